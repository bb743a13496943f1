//! Consul's transactions as they go over the wire: operations there, results or complaints back.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

use super::client::{Body, Call, Client};
use super::entry::{Entry, Value};
use super::failure::Result;

/// The body of a transaction may be this large (Consul's `txn_max_req_len`; tried: a value of 393,174 bytes passes,
/// 393,180 is 413, on 1.8.7 and 1.20.6).
const LARGEST: usize = 512 * 1024;

/// A change of one key, as part of a transaction. Consul's own verbs.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    /// Sets the value, whatever it was.
    Set(&'a str, Value<'a>),
    /// Sets the value if the index is still that one; 0 means that it does not exist.
    Cas(&'a str, Value<'a>, u64),
    /// Deletes the key if the index is still that one.
    DeleteCas(&'a str, u64),
    /// Changes nothing, but fails if the index is not that one any more.
    CheckIndex(&'a str, u64),
}

/// One operation.
#[derive(Serialize)]
pub(super) struct Op<'a> {
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
    flags: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u64>,
    /// A transaction heeds no `?ns=` and `?partition=` (tried): each operation says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    partition: Option<&'a str>,
}

impl<'a> Op<'a> {
    /// Reads a key with one of Consul's verbs.
    pub fn get(verb: &'a str, key: &'a str) -> Op<'a> {
        Op { kv: Kv { verb, key, ..Kv::default() } }
    }

    /// Makes a change.
    pub fn change(change: &Change<'a>) -> Op<'a> {
        let (verb, key, value, index) = match *change {
            Change::Set(key, value) => ("set", key, Some(value), None),
            Change::Cas(key, value, index) => ("cas", key, Some(value), Some(index)),
            Change::DeleteCas(key, index) => ("delete-cas", key, None, Some(index)),
            Change::CheckIndex(key, index) => ("check-index", key, None, Some(index)),
        };
        let flags = value.map(|value| value.flags).filter(|&flags| flags != 0); // 0 without a word.
        let value = value.map(|value| BASE64_STANDARD.encode(value.bytes));
        Op { kv: Kv { verb, key, value, flags, index, ..Kv::default() } }
    }
}

/// What became of a transaction.
pub(super) enum Transaction {
    /// All was done; this was found, by a server that was so far behind the leader.
    Done(Vec<Entry>, Option<Duration>),
    /// Nothing was done.
    Failed(Complaint),
    /// Nothing was sent: it is larger than Consul takes.
    TooLarge,
}

/// Why a transaction failed.
pub(super) struct Complaint {
    /// Consul's words.
    pub what: String,
    /// The same as they came, with what is not for people.
    raw: String,
    /// Of the operation that failed.
    pub key: String,
    /// Whether an earlier try may have had its effect.
    pub repeated: bool,
}

impl Complaint {
    /// In a transaction a denied write is 409, not 403.
    pub fn is_denial(&self) -> bool {
        self.raw.to_ascii_lowercase().contains("permission denied")
    }

    /// A verb that this Consul is too old for. It counts as a write there: a token that may only read is denied it
    /// (tried on 1.8.7), while a read is never denied in a transaction, but left out.
    pub fn is_unknown_verb(&self) -> bool {
        self.raw.contains("unknown KV verb") || self.is_denial()
    }
}

/// Any other JSON is not Consul's: an answer without `Results` must not pass for a success.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answered {
    #[serde(deserialize_with = "Option::deserialize")]
    results: Option<Vec<ResultItem>>,
    #[serde(default)]
    errors: Option<Vec<Problem>>,
}

#[derive(Deserialize)]
struct ResultItem {
    #[serde(rename = "KV")]
    kv: Entry,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Problem {
    #[serde(default)]
    op_index: usize,
    what: String,
}

impl Client<'_> {
    /// Does all of the operations, or none. The parameter is a read's consistency.
    pub(super) fn transact<'a>(&'a self, parameter: &str, mut ops: Vec<Op<'a>>) -> Result<Transaction> {
        let tenancy = self.server().tenancy();
        for op in &mut ops {
            (op.kv.namespace, op.kv.partition) = tenancy;
        }
        // Strings and numbers: serde_json has nothing to fail at.
        let body = serde_json::to_vec(&ops).unwrap_or_default();
        if body.len() > LARGEST {
            return Ok(Transaction::TooLarge);
        }
        let answer = self.call(&Call { path: "txn", parameter, body: Body::Json(&body) })?;
        if answer.status == 404 {
            return Err(self.errors().not_consul("HTTP 404 for /v1/txn"));
        }
        let Ok(answered) = serde_json::from_slice::<Answered>(&answer.body) else {
            return Err(self.errors().unexpected(answer.status));
        };
        match (answer.status, answered.results) {
            (200, Some(found)) => {
                Ok(Transaction::Done(found.into_iter().map(|found| found.kv).collect(), answer.behind))
            }
            (409, _) => {
                let problem = answered.errors.unwrap_or_default().into_iter().next();
                let key = problem.as_ref().and_then(|problem| ops.get(problem.op_index)).map(|op| op.kv.key.to_owned());
                let said = || String::from_utf8_lossy(&answer.body).into_owned();
                let raw = problem.map_or_else(said, |problem| problem.what);
                let what = match self.errors().words(&raw) {
                    words if words.is_empty() => {
                        "its words are not shown: there are none, or they repeat a secret".into()
                    }
                    words => words,
                };
                let key = key.unwrap_or_default();
                Ok(Transaction::Failed(Complaint { what, raw, key, repeated: answer.repeated }))
            }
            _ => Err(self.errors().unexpected(answer.status)),
        }
    }
}
