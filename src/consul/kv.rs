//! What kvx asks of the KV store: read some keys in one go, change some in one go.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use super::client::{Answer, Body, Call, Client, denied, words};
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

/// What a read found: the keys that are there.
#[derive(Debug, Default)]
pub struct Entries(Vec<Entry>);

impl Entries {
    /// Takes out the entry of exactly this key, if it is there.
    pub fn take(&mut self, key: &str) -> Option<Entry> {
        let at = self.0.iter().position(|entry| entry.key == key)?;
        Some(self.0.swap_remove(at))
    }

    fn has(&self, key: &str) -> bool {
        self.0.iter().any(|entry| entry.key == key)
    }
}

impl Client<'_> {
    /// Reads keys as they are at one moment: documents, and marks on them.
    ///
    /// One request. On Consul before 1.14, which does not know `get-or-empty`, one more; and there, what is denied looks
    /// absent, so one more for each document that is absent, to tell (a mark that is denied looks absent).
    ///
    /// # Errors
    /// 77 where a key is denied, and as [`Client`] says.
    pub fn read(&self, documents: &[&str], marks: &[&str]) -> Result<Entries> {
        let keys: Vec<&str> = documents.iter().chain(marks).copied().collect();
        match self.get("get-or-empty", &keys)? {
            // Every key that may be read has a result, an absent one with CreateIndex 0; a denied one is left out.
            Transaction::Done(mut found) => match keys.iter().find(|key| !found.has(key)) {
                Some(key) => Err(denied(&format!("{key} may not be read"))),
                None => {
                    found.0.retain(|entry| entry.create_index > 0);
                    Ok(found)
                }
            },
            // Where the verb is unknown it counts as a write: a token that may only read is denied it (tried on 1.8.7),
            // while a read is never denied in a transaction, but left out.
            Transaction::Failed { what, .. } if what.contains("unknown KV verb") || is_denial(&what) => {
                self.read_before_1_14(documents, &keys)
            }
            Transaction::Failed { what, .. } => Err(self.unavailable(&format!("it cannot read: \"{what}\""))),
        }
    }

    fn read_before_1_14(&self, documents: &[&str], keys: &[&str]) -> Result<Entries> {
        match self.get("get-tree", keys)? {
            Transaction::Done(found) => {
                for key in documents.iter().filter(|key| !found.has(key)) {
                    self.assert_readable(key)?;
                }
                Ok(found)
            }
            Transaction::Failed { what, .. } => Err(self.unavailable(&format!("it cannot read: \"{what}\""))),
        }
    }

    fn get(&self, verb: &str, keys: &[&str]) -> Result<Transaction> {
        let ops: Vec<Op> = keys.iter().map(|key| Op { kv: Kv { verb, key, ..Kv::default() } }).collect();
        self.transact(&json(&ops))
    }

    /// Fails if the key may not be read. (It may have come to be since: no matter, the next run sees it.)
    fn assert_readable(&self, key: &str) -> Result<()> {
        self.call(&Call { path: &path(key), parameter: "raw", body: Body::None }).map(drop)
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
            Transaction::Failed { what, .. } if is_denial(&what) => return Err(denied(&format!("\"{what}\""))),
            Transaction::Failed { what, repeated } => Outcome::Lost { why: what, repeated },
        })
    }

    /// Sets a value that no transaction can carry, if the key's index is still that one (0: it does not exist). Flags 0.
    ///
    /// # Errors
    /// 77 where it is denied, 65 where it is above Consul's limit, and as [`Client`] says.
    pub fn put(&self, key: &str, value: &[u8], index: u64) -> Result<Outcome> {
        let answer =
            self.call(&Call { path: &path(key), parameter: &format!("cas={index}"), body: Body::Bytes(value) })?;
        match (answer.status, answer.body.trim_ascii()) {
            (200, b"true") => Ok(Outcome::Done),
            (200, b"false") => Ok(Outcome::Lost { why: format!("{key} has changed"), repeated: answer.repeated }),
            _ => Err(self.unexpected(&answer)),
        }
    }

    fn transact(&self, body: &[u8]) -> Result<Transaction> {
        let answer = self.call(&Call { path: "txn", parameter: "", body: Body::Json(body) })?;
        if answer.status == 404 {
            return Err(
                self.unavailable("HTTP 404 for /v1/txn; is it Consul's HTTP port, and the path in its address right?")
            );
        }
        let Ok(results) = serde_json::from_slice::<Results>(&answer.body) else { return Err(self.unexpected(&answer)) };
        if answer.status == 200 {
            let found = results.results.unwrap_or_default();
            return Ok(Transaction::Done(Entries(found.into_iter().map(|found| found.kv).collect())));
        }
        let complaints = results.errors.unwrap_or_default();
        let what = complaints.first().map_or_else(|| words(&answer.body), |complaint| words(complaint.what.as_bytes()));
        Ok(Transaction::Failed { what, repeated: answer.repeated })
    }

    fn unexpected(&self, answer: &Answer) -> Error {
        self.unavailable(&format!("HTTP {}, but not an answer of Consul's; is it Consul's HTTP port?", answer.status))
    }
}

enum Transaction {
    Done(Entries),
    Failed { what: String, repeated: bool },
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

/// In a transaction a denied write is 409, not 403.
fn is_denial(what: &str) -> bool {
    what.to_ascii_lowercase().contains("permission denied")
}

/// Strings, numbers and maps with string keys: serde_json has nothing to fail at.
fn json(ops: &[Op]) -> Vec<u8> {
    serde_json::to_vec(ops).unwrap_or_default()
}

fn path(key: &str) -> String {
    format!("kv/{}", utf8_percent_encode(key, PATH))
}
