//! The wire format of Consul's transactions: operations in the request, results or errors in the answer.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

use super::client::{Body, Call, Client};
use super::entry::{Entry, Value};
use super::failure::Result;

/// The largest body of a transaction, in bytes (Consul's `txn_max_req_len`). Tried on 1.8.7 and 1.20.6: a value of
/// 393,174 bytes is accepted, one of 393,180 is answered with 413.
const MAX_BODY: usize = 512 * 1024;

/// A change of one key in a transaction. The names are Consul's verbs.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    /// Sets the value unconditionally.
    Set(&'a str, Value<'a>),
    /// Sets the value if the key still has this index; 0 means that the key must not exist.
    Cas(&'a str, Value<'a>, u64),
    /// Deletes the key if it still has this index.
    DeleteCas(&'a str, u64),
    /// Deletes the key, if it exists.
    Delete(&'a str),
    /// Changes nothing, but fails if the key does not have this index.
    CheckIndex(&'a str, u64),
    /// Changes nothing, but fails if the key exists.
    CheckAbsent(&'a str),
    /// Changes nothing, but fails if the key does not exist. Its value is part of the answer, and ignored.
    CheckExists(&'a str),
}

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
    /// A transaction ignores `?ns=` and `?partition=` (tried), so each operation carries namespace and partition.
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    partition: Option<&'a str>,
}

impl<'a> Op<'a> {
    /// Reads a key with this verb.
    pub fn get(verb: &'a str, key: &'a str) -> Op<'a> {
        Op { kv: Kv { verb, key, ..Kv::default() } }
    }

    pub fn change(change: &Change<'a>) -> Op<'a> {
        let (verb, key, value, index) = match *change {
            Change::Set(key, value) => ("set", key, Some(value), None),
            Change::Cas(key, value, index) => ("cas", key, Some(value), Some(index)),
            Change::DeleteCas(key, index) => ("delete-cas", key, None, Some(index)),
            Change::Delete(key) => ("delete", key, None, None),
            Change::CheckIndex(key, index) => ("check-index", key, None, Some(index)),
            Change::CheckAbsent(key) => ("check-not-exists", key, None, None),
            Change::CheckExists(key) => ("get", key, None, None),
        };
        let flags = value.map(|value| value.flags).filter(|&flags| flags != 0); // Consul's default is 0.
        let value = value.map(|value| BASE64_STANDARD.encode(value.bytes));
        Op { kv: Kv { verb, key, value, flags, index, ..Kv::default() } }
    }
}

/// The result of a transaction.
pub(super) enum Transaction {
    /// All operations were done. The entries that were read, and the time since the answering server's last contact
    /// with the leader.
    Done(Vec<Entry>, Option<Duration>),
    /// Consul did nothing.
    Rejected(Rejection),
    /// Nothing was sent, because the body exceeds Consul's limit.
    TooLarge,
}

/// Why Consul rejected a transaction.
pub(super) struct Rejection {
    /// Consul's message, safe to show.
    pub message: String,
    /// The message as Consul sent it.
    raw: String,
    /// The key of the operation that failed.
    pub key: String,
    /// Whether an earlier attempt of the same transaction may have succeeded.
    pub repeated: bool,
}

impl Rejection {
    /// In a transaction, Consul answers a denied write with 409, not 403.
    pub fn is_denial(&self) -> bool {
        self.raw.to_ascii_lowercase().contains("permission denied")
    }

    /// Whether this Consul is too old for the verb of a read. Old versions treat an unknown verb as a write, and deny
    /// it to a read-only token (tried on 1.8.7). A denial therefore means an unknown verb, since a transaction omits
    /// denied reads.
    pub fn is_unknown_verb(&self) -> bool {
        self.raw.contains("unknown KV verb") || self.is_denial()
    }
}

/// The answer. `Results` is mandatory, so that JSON from another server does not pass for a success.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TxnResponse {
    #[serde(deserialize_with = "Option::deserialize")]
    results: Option<Vec<ResultItem>>,
    #[serde(default)]
    errors: Option<Vec<TxnError>>,
}

#[derive(Deserialize)]
struct ResultItem {
    #[serde(rename = "KV")]
    kv: Entry,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TxnError {
    #[serde(default)]
    op_index: usize,
    what: String,
}

impl Client<'_> {
    /// Does all of the operations, or none. `parameter` is the consistency of a read.
    pub(super) fn transact<'a>(&'a self, parameter: &str, mut ops: Vec<Op<'a>>) -> Result<Transaction> {
        let tenancy = self.endpoint().tenancy();
        for op in &mut ops {
            (op.kv.namespace, op.kv.partition) = tenancy;
        }
        // Serializing strings and numbers cannot fail.
        let body = serde_json::to_vec(&ops).unwrap_or_default();
        if body.len() > MAX_BODY {
            return Ok(Transaction::TooLarge);
        }
        let reply = self.call(&Call { path: "txn", parameter, body: Body::Json(&body) })?;
        if reply.status == 404 {
            return Err(self.errors().not_consul("HTTP 404 for /v1/txn"));
        }
        let Ok(response) = serde_json::from_slice::<TxnResponse>(&reply.body) else {
            return Err(self.errors().unexpected(reply.status));
        };
        match (reply.status, response.results) {
            (200, Some(found)) => {
                Ok(Transaction::Done(found.into_iter().map(|item| item.kv).collect(), reply.last_contact))
            }
            (409, _) => {
                let error = response.errors.unwrap_or_default().into_iter().next();
                let key = error.as_ref().and_then(|error| ops.get(error.op_index)).map(|op| op.kv.key.to_owned());
                let body = || String::from_utf8_lossy(&reply.body).into_owned();
                let raw = error.map_or_else(body, |error| error.what);
                let message = match self.errors().message(&raw) {
                    message if message.is_empty() => {
                        "Consul's message is not shown: it is empty or repeats a secret".into()
                    }
                    message => message,
                };
                let key = key.unwrap_or_default();
                Ok(Transaction::Rejected(Rejection { message, raw, key, repeated: reply.repeated }))
            }
            _ => Err(self.errors().unexpected(reply.status)),
        }
    }
}
