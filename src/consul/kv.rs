//! What kvx asks of the KV store: read some keys in one go, change some in one go.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use ureq::http::Method;

use super::client::{Answer, Call, Client, denied, words};
use super::entry::Entry;
use crate::error::{Error, Result};

/// The body of a transaction may be this large (Consul's `txn_max_req_len`; tried: a value of 393,174 bytes passes,
/// 393,180 is 413, on 1.8.7 and 1.20.6).
const TRANSACTION: usize = 512 * 1024;

/// What may stand in a path as it is: the unreserved characters of RFC 3986, and the slash.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// A change of one key, as part of a transaction. Consul's own verbs.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    /// Sets the value, whatever it was; Flags 0.
    Set(&'a str, &'a [u8]),
    /// Sets the value if the index is still that one; 0 means that it does not exist.
    Cas(&'a str, &'a [u8], u64),
    /// Deletes the key if the index is still that one.
    DeleteCas(&'a str, u64),
    /// Changes nothing, but fails if the index is not that one any more.
    CheckIndex(&'a str, u64),
}

/// What became of a change.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done.
    Done,
    /// Not done: an index was not what it should be. Consul's words.
    ///
    /// `repeated` says that an earlier try of the same change got no answer: it may have been done then, and the index
    /// may be other for that reason.
    Lost {
        /// Consul's words.
        why: String,
        /// Whether the change was sent more than once.
        repeated: bool,
    },
    /// Not even sent: no transaction can carry it.
    TooLarge,
}

#[derive(Serialize)]
struct Op<'a> {
    #[serde(rename = "KV")]
    kv: Kv<'a>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Kv<'a> {
    verb: &'a str,
    key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Results {
    #[serde(default)]
    results: Option<Vec<Found>>,
    #[serde(default)]
    errors: Option<Vec<Complaint>>,
}

#[derive(Deserialize)]
struct Found {
    #[serde(rename = "KV")]
    kv: Entry,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Complaint {
    what: String,
}

impl Client<'_> {
    /// Reads keys as they are at one moment: each key's entry, or none where there is none.
    ///
    /// One request. On Consul before 1.14, which does not know `get-or-empty`, one more; and there, what is denied looks
    /// absent, so one more for each of the `documents` that is absent, to tell (a mark that is denied looks absent).
    ///
    /// # Errors
    /// 77 where a key is denied, and as [`Client`] says.
    pub fn read<const D: usize, const M: usize>(
        &self,
        documents: [&str; D],
        marks: [&str; M],
    ) -> Result<([Option<Entry>; D], [Option<Entry>; M])> {
        let keys: Vec<&str> = documents.iter().chain(&marks).copied().collect();
        match self.transact(&json(&get("get-or-empty", &keys)))? {
            Transaction::Done(found) => {
                let mut taken = Taken(found);
                Ok((all(documents.map(|key| taken.or_denied(key)))?, all(marks.map(|key| taken.or_denied(key)))?))
            }
            Transaction::Failed { what, .. } if what.contains("unknown KV verb") => {
                self.read_before_1_14(documents, marks, &keys)
            }
            Transaction::Failed { what, .. } => Err(self.unavailable(&format!("it cannot read: \"{what}\""))),
        }
    }

    fn read_before_1_14<const D: usize, const M: usize>(
        &self,
        documents: [&str; D],
        marks: [&str; M],
        keys: &[&str],
    ) -> Result<([Option<Entry>; D], [Option<Entry>; M])> {
        match self.transact(&json(&get("get-tree", keys)))? {
            Transaction::Done(found) => {
                let mut taken = Taken(found);
                let absent_or_denied = |key| match taken.exactly(key) {
                    Some(entry) => Ok(Some(entry)),
                    None => self.exists(key).map(|()| None),
                };
                let documents = all(documents.map(absent_or_denied))?;
                Ok((documents, marks.map(|key| taken.exactly(key))))
            }
            Transaction::Failed { what, .. } => Err(self.unavailable(&format!("it cannot read: \"{what}\""))),
        }
    }

    /// Fails if the key may not be read. (It may have come to be since: no matter, the next run sees it.)
    fn exists(&self, key: &str) -> Result<()> {
        self.call(&Call { method: Method::GET, path: &path(key), parameter: "raw", body: &[] }).map(drop)
    }

    /// Does all of the changes, or none.
    ///
    /// # Errors
    /// 77 where one is denied, and as [`Client`] says.
    pub fn change(&self, changes: &[Change]) -> Result<Outcome> {
        let ops: Vec<Op> = changes.iter().map(Change::op).collect();
        let body = json(&ops);
        if body.len() > TRANSACTION {
            return Ok(Outcome::TooLarge);
        }
        Ok(match self.transact(&body)? {
            Transaction::Done(_) => Outcome::Done,
            Transaction::Failed { what, repeated } => Outcome::Lost { why: what, repeated },
        })
    }

    /// Sets a value that no transaction can carry, if the key's index is still that one (0: it does not exist). Flags 0.
    ///
    /// # Errors
    /// 77 where it is denied, 65 where it is above Consul's limit, and as [`Client`] says.
    pub fn put(&self, key: &str, value: &[u8], index: u64) -> Result<Outcome> {
        let answer = self.call(&Call {
            method: Method::PUT,
            path: &path(key),
            parameter: &format!("cas={index}"),
            body: value,
        })?;
        match (answer.status, answer.body.trim_ascii()) {
            (200, b"true") => Ok(Outcome::Done),
            (200, b"false") => Ok(Outcome::Lost { why: format!("{key} has changed"), repeated: answer.repeated }),
            _ => Err(self.unexpected(&answer)),
        }
    }

    fn transact(&self, body: &[u8]) -> Result<Transaction> {
        let answer = self.call(&Call { method: Method::PUT, path: "txn", parameter: "", body })?;
        if answer.status == 404 {
            return Err(
                self.unavailable("HTTP 404 for /v1/txn; is it Consul's HTTP port, and the path in its address right?")
            );
        }
        let Ok(results) = serde_json::from_slice::<Results>(&answer.body) else { return Err(self.unexpected(&answer)) };
        if answer.status == 200 {
            return Ok(Transaction::Done(
                results.results.unwrap_or_default().into_iter().map(|found| found.kv).collect(),
            ));
        }
        let complaints = results.errors.unwrap_or_default();
        let what = complaints.first().map_or_else(|| words(&answer.body), |complaint| words(complaint.what.as_bytes()));
        if what.to_ascii_lowercase().contains("permission denied") {
            return Err(denied(&format!("\"{what}\""))); // In a transaction a denied write is 409, not 403.
        }
        Ok(Transaction::Failed { what, repeated: answer.repeated })
    }

    fn unexpected(&self, answer: &Answer) -> Error {
        self.unavailable(&format!("HTTP {}, but not an answer of Consul's; is it Consul's HTTP port?", answer.status))
    }
}

enum Transaction {
    Done(Vec<Entry>),
    Failed { what: String, repeated: bool },
}

/// Results, matched by key: what is denied is missing, without a word.
struct Taken(Vec<Entry>);

impl Taken {
    fn exactly(&mut self, key: &str) -> Option<Entry> {
        let at = self.0.iter().position(|entry| entry.key == key)?;
        Some(self.0.swap_remove(at))
    }

    /// With `get-or-empty` every key that may be read has a result, an absent one with CreateIndex 0.
    fn or_denied(&mut self, key: &str) -> Result<Option<Entry>> {
        match self.exactly(key) {
            Some(entry) if entry.create_index == 0 => Ok(None),
            Some(entry) => Ok(Some(entry)),
            None => Err(denied(&format!("{key} may not be read"))),
        }
    }
}

fn all<const N: usize>(results: [Result<Option<Entry>>; N]) -> Result<[Option<Entry>; N]> {
    let mut entries = [const { None }; N];
    for (slot, result) in entries.iter_mut().zip(results) {
        *slot = result?;
    }
    Ok(entries)
}

fn get<'a>(verb: &'a str, keys: &[&'a str]) -> Vec<Op<'a>> {
    keys.iter().map(|key| Op { kv: Kv { verb, key, ..Kv::default() } }).collect()
}

impl<'a> Change<'a> {
    fn op(&self) -> Op<'a> {
        let encoded = |value: &[u8]| Some(BASE64_STANDARD.encode(value));
        Op {
            kv: match *self {
                Change::Set(key, value) => Kv { verb: "set", key, value: encoded(value), index: None },
                Change::Cas(key, value, index) => Kv { verb: "cas", key, value: encoded(value), index: Some(index) },
                Change::DeleteCas(key, index) => Kv { verb: "delete-cas", key, value: None, index: Some(index) },
                Change::CheckIndex(key, index) => Kv { verb: "check-index", key, value: None, index: Some(index) },
            },
        }
    }
}

/// Strings, numbers and maps with string keys: serde_json has nothing to fail at.
fn json(ops: &[Op]) -> Vec<u8> {
    serde_json::to_vec(ops).unwrap_or_default()
}

fn path(key: &str) -> String {
    format!("kv/{}", utf8_percent_encode(key, PATH))
}
