//! What kvx asks of the KV store: read some keys in one go, change some in one go.

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;

use super::client::{Body, Call, Client};
use super::entry::{Entry, Value};
use super::failure::{Failure, Result};
use super::transaction::{Change, Complaint, Op, Transaction};
use crate::error::Status;

/// What may stand in a path as it is: the unreserved characters of RFC 3986, and the slash.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// A follower hears of its leader many times a second.
const FRESH: Duration = Duration::from_secs(5);

/// How sure a read is that nobody knows better. In Consul's own words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consistency {
    /// The leader answers, which in rare moments another has overtaken without its knowledge.
    #[default]
    Default,
    /// Any server answers, even without a leader; it may be behind.
    Stale,
    /// The leader answers once the others have confirmed that it is one.
    Consistent,
}

impl Consistency {
    /// As the API wants it.
    fn parameter(self) -> &'static str {
        match self {
            Consistency::Default => "",
            Consistency::Stale => "stale",
            Consistency::Consistent => "consistent",
        }
    }

    /// Behind other parameters.
    pub(super) fn also(self, others: &str) -> String {
        match self.parameter() {
            "" => others.into(),
            parameter => format!("{others}&{parameter}"),
        }
    }
}

/// What became of a change.
#[derive(Debug, PartialEq, Eq)]
pub enum ChangeResult {
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

/// What a read found: the keys that are there.
#[derive(Debug, Default)]
pub struct Entries {
    found: Vec<Entry>,
    behind: Option<Duration>,
}

impl Entries {
    /// Takes out the entry of exactly this key, if it is there.
    pub fn take(&mut self, key: &str) -> Option<Entry> {
        let at = self.found.iter().position(|entry| entry.key == key)?;
        Some(self.found.swap_remove(at))
    }

    /// Whether the server that answered has heard of the leader just now: what it does not know is some seconds old at most.
    pub fn is_fresh(&self) -> bool {
        self.behind.is_some_and(|behind| behind <= FRESH)
    }

    fn has(&self, key: &str) -> bool {
        self.found.iter().any(|entry| entry.key == key)
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
    pub fn read(&self, consistency: Consistency, documents: &[&str], marks: &[&str]) -> Result<Entries> {
        let (found, denied) = self.read_each(consistency, documents, marks)?;
        denied.into_iter().next().map_or(Ok(found), |(_, denial)| Err(denial))
    }

    /// The same where some may be denied: what was found, and what was denied.
    ///
    /// # Errors
    /// As [`Client`] says.
    pub fn read_each<'k>(
        &self,
        consistency: Consistency,
        documents: &[&'k str],
        marks: &[&'k str],
    ) -> Result<(Entries, Vec<(&'k str, Failure)>)> {
        if let (Some(first), true) = (documents.first(), self.server().has_tenancy()) {
            // A Consul without namespaces would take the default one, without a word; to this it says 400.
            denial(self.assert_readable(first, consistency))?;
        }
        let keys: Vec<&str> = documents.iter().chain(marks).copied().collect();
        let mut found = match self.get("get-or-empty", consistency, &keys)? {
            Transaction::Done(found, behind) => Entries { found, behind },
            Transaction::Failed(complaint) if complaint.is_unknown_verb() => {
                return self.read_before_1_14(consistency, documents, &keys);
            }
            failed => return Err(self.cannot_read(failed)),
        };
        // Every key that may be read has a result, an absent one with CreateIndex 0; a denied one is left out.
        let left_out = keys.into_iter().filter(|key| !found.has(key));
        let denied = left_out.map(|key| (key, self.errors().denied("it is left out of what was found", key))).collect();
        found.found.retain(|entry| entry.create_index > 0);
        Ok((found, denied))
    }

    /// The paths of all keys in a folder, in order; what may not be read is left out.
    ///
    /// # Errors
    /// As [`Client`] says.
    pub fn list(&self, folder: &str) -> Result<Vec<String>> {
        self.under(folder, "keys")
    }

    /// All keys in a folder with their values, as they are at one moment; what may not be read is left out.
    ///
    /// # Errors
    /// As [`Client`] says.
    pub fn all(&self, folder: &str) -> Result<Vec<Entry>> {
        self.under(folder, "recurse")
    }

    /// Nothing in it, and nothing that may be read, look the same.
    fn under<T: DeserializeOwned>(&self, folder: &str, parameter: &str) -> Result<Vec<T>> {
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
            Transaction::Done(found, behind) => Entries { found, behind },
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
            Transaction::Failed(complaint) => {
                self.errors().unavailable(&format!("it cannot read: \"{}\"", complaint.what))
            }
            _ => Failure::TooLarge(Status::Refused.error("the key is too long to ask for; use a shorter one")),
        }
    }

    /// Fails if the key may not be read. (It may have come to be since: no matter, the next run sees it.)
    fn assert_readable(&self, key: &str, consistency: Consistency) -> Result<()> {
        let parameter = consistency.also("raw");
        self.call(&Call { path: &path(key), parameter: &parameter, body: Body::None }).map(drop)
    }

    /// Does all of the changes, or none.
    ///
    /// # Errors
    /// 77 where one is denied, and as [`Client`] says.
    pub fn change(&self, changes: &[Change]) -> Result<ChangeResult> {
        match self.transact("", changes.iter().map(Op::change).collect())? {
            Transaction::Done(..) => Ok(ChangeResult::Done),
            Transaction::Failed(complaint) if complaint.is_denial() => {
                Err(self.errors().denied(&complaint.what, &complaint.key))
            }
            Transaction::Failed(Complaint { what, repeated, .. }) => Ok(ChangeResult::Lost { why: what, repeated }),
            Transaction::TooLarge => Ok(ChangeResult::TooLarge),
        }
    }

    /// Sets a value that no transaction can carry, if the key's index is still that one (0: it does not exist).
    ///
    /// # Errors
    /// 77 where it is denied, 65 where it is above Consul's limit, and as [`Client`] says.
    pub fn put(&self, key: &str, value: Value, index: u64) -> Result<ChangeResult> {
        let parameter = match value.flags {
            0 => format!("cas={index}"),
            flags => format!("cas={index}&flags={flags}"),
        };
        let answer = self.call(&Call { path: &path(key), parameter: &parameter, body: Body::Bytes(value.bytes) })?;
        match (answer.status, answer.body.trim_ascii()) {
            (200, b"true") => Ok(ChangeResult::Done),
            (200, b"false") => Ok(ChangeResult::Lost { why: format!("{key} has changed"), repeated: answer.repeated }),
            _ => Err(self.errors().unexpected(answer.status)),
        }
    }
}

/// A denial is an answer, too.
fn denial(asked: Result<()>) -> Result<Option<Failure>> {
    match asked {
        Err(denial @ Failure::Denied(_)) => Ok(Some(denial)),
        asked => asked.map(|()| None),
    }
}

/// Where a key is in the API.
pub(super) fn path(key: &str) -> String {
    format!("kv/{}", utf8_percent_encode(key, PATH))
}
