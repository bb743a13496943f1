//! The requests to the KV store: read several keys in one request, change several keys in one transaction.

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;

use super::client::{Body, Call, Client};
use super::entry::{Entry, Value};
use super::failure::{Failure, Result};
use super::transaction::{Change, Op, Rejection, Transaction};
use crate::error::Status;

/// The characters that are not percent-encoded in a path: the unreserved ones of RFC 3986, and the slash.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// The longest time since the last contact with the leader at which an answer counts as fresh. A healthy follower has
/// contact several times a second.
const MAX_LAST_CONTACT: Duration = Duration::from_secs(5);

/// The consistency of a read, by Consul's own names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consistency {
    /// The leader answers. In rare moments a new leader has been elected already, so that the answer is old.
    #[default]
    Default,
    /// Any server answers, even without a leader. The answer may be old.
    Stale,
    /// The leader answers after a quorum has confirmed that it still leads.
    Consistent,
}

impl Consistency {
    /// What a reader asks again with before it says that a document does not exist: a server that has just become
    /// leader may not have loaded its data yet, and answers by default that there is none (tried on 1.8.7).
    pub const CONFIRMS_ABSENCE: Consistency = Consistency::Consistent;

    fn parameter(self) -> &'static str {
        match self {
            Consistency::Default => "",
            Consistency::Stale => "stale",
            Consistency::Consistent => "consistent",
        }
    }

    /// Appends the parameter to others.
    pub(super) fn append_to(self, others: &str) -> String {
        match self.parameter() {
            "" => others.into(),
            parameter => format!("{others}&{parameter}"),
        }
    }
}

/// The result of a change.
#[derive(Debug, PartialEq, Eq)]
pub enum ChangeResult {
    /// The change was made.
    Done,
    /// The change was not made, because an index did not match.
    Lost {
        /// Consul's message.
        why: String,
        /// Whether the change was sent more than once. An earlier attempt, whose answer was lost, may have made the
        /// change; the index may differ for that reason.
        repeated: bool,
    },
    /// The change was not sent, because it exceeds the size limit of a transaction.
    TooLarge,
}

/// The keys that a read found.
#[derive(Debug, Default)]
pub struct Entries {
    found: Vec<Entry>,
    last_contact: Option<Duration>,
}

impl Entries {
    /// Removes and returns the entry of exactly this key.
    pub fn take(&mut self, key: &str) -> Option<Entry> {
        let at = self.found.iter().position(|entry| entry.key == key)?;
        Some(self.found.swap_remove(at))
    }

    /// Whether the answering server had contact with the leader within the last 5 seconds, so that it can miss only
    /// changes that are newer than that.
    pub fn is_fresh(&self) -> bool {
        self.last_contact.is_some_and(|ago| ago <= MAX_LAST_CONTACT)
    }

    fn has(&self, key: &str) -> bool {
        self.found.iter().any(|entry| entry.key == key)
    }
}

impl Client<'_> {
    /// Reads the keys of documents and of markers, all at the same moment.
    ///
    /// This takes one request. Consul before 1.14 does not know `get-or-empty` and needs another. There a denied key
    /// looks like a missing one, so each missing document takes one more request to find out; a denied marker counts as
    /// missing.
    ///
    /// # Errors
    /// 77 if a key is denied; 65, 69 and 78 as for every request.
    pub fn read(&self, consistency: Consistency, documents: &[&str], markers: &[&str]) -> Result<Entries> {
        let (found, denied) = self.read_each(consistency, documents, markers)?;
        denied.into_iter().next().map_or(Ok(found), |(_, denial)| Err(denial))
    }

    /// Like [`Client::read`], but returns the denied keys with their errors next to the entries that were found.
    ///
    /// # Errors
    /// 65, 69, 77 and 78 as for every request.
    pub fn read_each<'k>(
        &self,
        consistency: Consistency,
        documents: &[&'k str],
        markers: &[&'k str],
    ) -> Result<(Entries, Vec<(&'k str, Failure)>)> {
        if let (Some(first), true) = (documents.first(), self.endpoint().has_tenancy()) {
            // In a transaction, Consul without namespaces silently uses the default one. This request it answers with
            // 400.
            denial(self.assert_readable(first, consistency))?;
        }
        let keys: Vec<&str> = documents.iter().chain(markers).copied().collect();
        let mut found = match self.get("get-or-empty", consistency, &keys)? {
            Transaction::Done(found, last_contact) => Entries { found, last_contact },
            Transaction::Rejected(rejection) if rejection.is_unknown_verb() => {
                return self.read_before_1_14(consistency, documents, &keys);
            }
            failed => return Err(self.cannot_read(failed)),
        };
        // The answer has a result for each readable key, with CreateIndex 0 if the key is missing. Denied keys have no
        // result.
        let left_out = keys.into_iter().filter(|key| !found.has(key));
        let denied = left_out.map(|key| (key, self.errors().denied("it is missing in the answer", key))).collect();
        found.found.retain(|entry| entry.create_index > 0);
        Ok((found, denied))
    }

    /// The paths of all keys in a folder, sorted. Consul omits the keys that the token must not list.
    ///
    /// # Errors
    /// 65, 69, 77 and 78 as for every request.
    pub fn list(&self, consistency: Consistency, folder: &str) -> Result<Vec<String>> {
        self.get_folder(folder, &consistency.append_to("keys"))
    }

    /// All keys in a folder with their values at the same moment. Consul omits the keys that the token must not read.
    ///
    /// # Errors
    /// 65, 69, 77 and 78 as for every request.
    pub fn all(&self, folder: &str) -> Result<Vec<Entry>> {
        self.get_folder(folder, "recurse")
    }

    /// Consul's answer is the same for an empty folder and for one without readable keys.
    fn get_folder<T: DeserializeOwned>(&self, folder: &str, parameter: &str) -> Result<Vec<T>> {
        let answer = self.call(&Call { path: &path(&format!("{folder}/")), parameter, body: Body::None })?;
        match answer.status {
            404 => Ok(Vec::new()),
            _ => serde_json::from_slice(&answer.body).map_err(|_| self.errors().unexpected(answer.status)),
        }
    }

    fn read_before_1_14<'k>(
        &self,
        consistency: Consistency,
        documents: &[&'k str],
        keys: &[&str],
    ) -> Result<(Entries, Vec<(&'k str, Failure)>)> {
        let found = match self.get("get-tree", consistency, keys)? {
            Transaction::Done(found, last_contact) => Entries { found, last_contact },
            failed => return Err(self.cannot_read(failed)),
        };
        let mut denied = Vec::new();
        for key in documents.iter().filter(|key| !found.has(key)) {
            denied.extend(denial(self.assert_readable(key, consistency))?.map(|denial| (*key, denial)));
        }
        Ok((found, denied))
    }

    fn get<'a>(&'a self, verb: &'a str, consistency: Consistency, keys: &[&'a str]) -> Result<Transaction> {
        self.transact(consistency.parameter(), keys.iter().map(|key| Op::get(verb, key)).collect())
    }

    fn cannot_read(&self, failed: Transaction) -> Failure {
        match failed {
            Transaction::Rejected(rejection) => {
                self.errors().unavailable(&format!("the read failed: \"{}\"", rejection.message))
            }
            _ => Failure::TooLarge(Status::Refused.error("the key is too long; use a shorter one")),
        }
    }

    /// Fails if Consul denies reading the key. The value is ignored: if the key has been created since, the next run
    /// reads it.
    fn assert_readable(&self, key: &str, consistency: Consistency) -> Result<()> {
        let parameter = consistency.append_to("raw");
        self.call(&Call { path: &path(key), parameter: &parameter, body: Body::None }).map(drop)
    }

    /// Makes all of the changes, or none.
    ///
    /// # Errors
    /// 77 if one is denied; 65, 69 and 78 as for every request.
    pub fn change(&self, changes: &[Change]) -> Result<ChangeResult> {
        match self.transact("", changes.iter().map(Op::change).collect())? {
            Transaction::Done(..) => Ok(ChangeResult::Done),
            Transaction::Rejected(rejection) if rejection.is_denial() => {
                Err(self.errors().denied(&rejection.message, &rejection.key))
            }
            Transaction::Rejected(Rejection { message, repeated, .. }) => {
                Ok(ChangeResult::Lost { why: message, repeated })
            }
            Transaction::TooLarge => Ok(ChangeResult::TooLarge),
        }
    }

    /// Sets a value that is too large for a transaction, if the key still has this index (0: if it does not exist), or, without
    /// an index, unconditionally.
    ///
    /// # Errors
    /// 77 if it is denied, 65 if the value exceeds Consul's limit; 69 and 78 as for every request.
    pub fn put(&self, key: &str, value: Value, index: Option<u64>) -> Result<ChangeResult> {
        let cas = index.map(|index| format!("cas={index}"));
        let flags = Some(value.flags).filter(|&flags| flags != 0).map(|flags| format!("flags={flags}"));
        let parameter = cas.into_iter().chain(flags).collect::<Vec<_>>().join("&");
        let answer = self.call(&Call { path: &path(key), parameter: &parameter, body: Body::Bytes(value.bytes) })?;
        match (answer.status, answer.body.trim_ascii()) {
            (200, b"true") => Ok(ChangeResult::Done),
            (200, b"false") => Ok(ChangeResult::Lost { why: format!("{key} has changed"), repeated: answer.repeated }),
            _ => Err(self.errors().unexpected(answer.status)),
        }
    }
}

/// Turns a denial from an error into a value.
fn denial(result: Result<()>) -> Result<Option<Failure>> {
    match result {
        Err(denial @ Failure::Denied(_)) => Ok(Some(denial)),
        other => other.map(|()| None),
    }
}

/// The path of a key in the API.
pub(super) fn path(key: &str) -> String {
    format!("kv/{}", utf8_percent_encode(key, PATH))
}
