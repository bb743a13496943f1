//! What Consul has of a key at one moment: its folder, its versions and their documents; and that they fit together.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use kvx::document::{Checksum, Verified};
use kvx::layout::history::VersionName;
use kvx::layout::record::{Record, Timestamp};
use serde_json::{Value, json};

use super::{Place, sha256};

/// All entries of a key, read in one transaction.
#[derive(Clone, Debug, PartialEq)]
pub struct Moment {
    key: String,
    /// By their paths: value, Flags and index.
    entries: BTreeMap<String, (Vec<u8>, u64, u64)>,
}

/// The pair in Consul.
#[derive(Debug, PartialEq)]
pub enum Pair {
    Absent,
    Whole(Vec<u8>),
    /// The data, and the checksum.
    Torn(Option<Vec<u8>>, Option<String>),
}

impl Moment {
    pub fn of(place: &Place) -> Moment {
        let read = |folder: &String| json!({"KV": {"Verb": "get-tree", "Key": folder}});
        let body = Value::from_iter(folders(&place.key).iter().map(read)).to_string();
        let (status, answer) = place.consul.http("PUT", "/v1/txn", body.as_bytes()).unwrap();
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&answer));
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        let entries = answer["Results"].as_array().into_iter().flatten().map(|result| {
            let entry = &result["KV"];
            let value = BASE64_STANDARD.decode(entry["Value"].as_str().unwrap_or_default()).unwrap();
            let [flags, index] = ["Flags", "ModifyIndex"].map(|name| entry[name].as_u64().unwrap());
            (entry["Key"].as_str().unwrap().to_owned(), (value, flags, index))
        });
        Moment { key: place.key.clone(), entries: entries.collect() }
    }

    /// Writes these entries, and removes all others of the key.
    pub fn restore(&self, place: &Place) {
        for folder in folders(&self.key) {
            assert_eq!(place.consul.http("DELETE", &format!("/v1/kv/{folder}?recurse"), b"").unwrap().0, 200);
        }
        for (path, (value, flags, _)) in &self.entries {
            place.consul.put_flags(path, value, *flags);
        }
    }

    /// The entry of the key's folder.
    pub fn value(&self, part: &str) -> Option<Vec<u8>> {
        self.entries.get(&format!("kvexpress/{}/{part}", self.key)).map(|(value, ..)| value.clone())
    }

    /// Value and Flags of the key's entry.
    fn stored(&self, part: &str) -> Option<(Vec<u8>, u64)> {
        self.entries.get(&format!("kvexpress/{}/{part}", self.key)).map(|(value, flags, _)| (value.clone(), *flags))
    }

    fn children(&self, folder: &str) -> impl Iterator<Item = (&str, &(Vec<u8>, u64, u64))> {
        let folder = format!("kvexpress/kvx/{folder}/{}/", self.key);
        let named = self.entries.iter().map(move |(path, entry)| Some((path.strip_prefix(&folder)?, entry)));
        named.flatten().filter(|(name, _)| !name.contains('/'))
    }

    /// The versions, the oldest first.
    pub fn names(&self) -> Vec<VersionName> {
        self.children("history").map(|(name, _)| VersionName::parse(name).unwrap()).collect()
    }

    /// The checksums of the versions, the oldest first.
    pub fn versions(&self) -> Vec<String> {
        self.names().iter().map(|name| name.checksum.to_string()).collect()
    }

    /// The record of each version, the oldest first.
    pub fn records(&self) -> Vec<Record> {
        self.children("history").map(|(_, (value, ..))| Record::parse(value).unwrap()).collect()
    }

    /// The checksums of the documents in the history.
    pub fn parts(&self) -> BTreeSet<String> {
        self.children("parts").map(|(name, _)| name.to_owned()).collect()
    }

    /// The documents that no version has.
    pub fn orphans(&self) -> Vec<String> {
        let named: BTreeSet<String> = self.versions().into_iter().collect();
        self.parts().difference(&named).cloned().collect()
    }

    pub fn pair(&self) -> Pair {
        let checksum = self.value("checksum").map(|value| String::from_utf8(value).unwrap());
        let data = self.stored("data");
        let verified = data.clone().zip(checksum.as_ref()).and_then(|((value, flags), checksum)| {
            let (document, _) = Verified::decode(value, flags, Checksum::parse(checksum.as_bytes())?).ok()?;
            Some(document.bytes().to_vec())
        });
        match (verified, data, checksum) {
            (Some(document), ..) => Pair::Whole(document),
            (None, None, None) => Pair::Absent,
            (None, data, checksum) => Pair::Torn(data.map(|(value, _)| value), checksum),
        }
    }

    /// The checksum of the held document.
    pub fn held(&self) -> Option<String> {
        self.value("hold").map(|value| String::from_utf8(value).unwrap()[..64].to_owned())
    }

    /// The key's record, if it describes the current document.
    pub fn record(&self) -> Option<Record> {
        let record = Record::parse(&self.value("record")?).expect("a record");
        let Pair::Whole(document) = self.pair() else { return None };
        (record.checksum.to_string() == sha256(document)).then_some(record)
    }

    /// Each version has its document, which verifies, and its own record; and if the key's record counts, the version that it
    /// describes is among them.
    #[track_caller]
    pub fn assert_consistent(&self, case: &str) {
        let parts: BTreeMap<&str, _> = self.children("parts").collect();
        for (name, (value, ..)) in self.children("history") {
            let VersionName { time, checksum } = VersionName::parse(name).expect("a version");
            let record = Record::parse(value).unwrap_or_else(|why| panic!("{name}: {why:?}; {case}"));
            assert_eq!((record.time, record.checksum), (time, checksum), "{name}: {case}");
            let (value, flags, _) = parts.get(&*checksum.to_string()).unwrap_or_else(|| panic!("no {name}: {case}"));
            assert!(Verified::decode(value.clone(), *flags, checksum).is_ok(), "{name} does not verify: {case}");
        }
        if let Some(record) = self.record() {
            let name = VersionName { time: record.time, checksum: record.checksum };
            assert!(self.names().contains(&name), "no {name}: {case}\n{:#?}", self.names());
            assert_eq!(self.names().last(), Some(&name), "the newest: {case}");
        }
    }
}

/// Puts the key's times ahead, by a record of an earlier document: the time of each upload from now on is a millisecond after the
/// one before, so that none of them comes in another hour, however late it is now.
pub fn go_on_at(place: &Place, time: Timestamp) {
    let checksum = Checksum::of(b"an earlier document");
    let record = Record {
        key: format!("kvexpress/{}", place.key),
        checksum,
        size: 1,
        time,
        by: "anna@web-1".into(),
        over: None,
        brake: None,
        undo: None,
        note: None,
    };
    place.consul.put(&place.kv("record"), record.to_string());
}

/// The middle of an hour that begins after this number of hours.
pub fn in_hours(hours: u64) -> Timestamp {
    const HOUR: std::time::Duration = std::time::Duration::from_secs(3600);
    let hour = Timestamp::now().in_units_of(HOUR) + hours;
    Timestamp::from_millis((hour * 3600 + 1800) * 1000)
}

fn folders(key: &str) -> [String; 3] {
    [format!("kvexpress/{key}/"), format!("kvexpress/kvx/history/{key}/"), format!("kvexpress/kvx/parts/{key}/")]
}
