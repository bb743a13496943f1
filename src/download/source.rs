//! Where the document is to be had, and which bytes may be installed.

use std::path::Path;
use std::time::Duration;

use super::{Destination, DownloadOrder, Ignored};
use crate::consul::{Client, Consistency, Endpoint, Entries};
use crate::context::Context;
use crate::document::Checksum;
use crate::error::{Error, Kind, Result, Status};
use crate::install::Installed;
use crate::layout::keys::{KeyPaths, Subject};
use crate::layout::marker;
use crate::layout::pair::{Pair, PairState, VerifiedPair};
use crate::layout::payload::Trigger;
use crate::state::State;
use crate::util::time::{Backoff, Deadline};

/// Where the document is to be had.
pub(super) struct Source<'a> {
    client: Client<'a>,
    order: &'a DownloadOrder,
    context: &'a Context,
    asked: Location,
    /// None for stdout, and where it is ignored.
    lock: Option<String>,
}

/// What is asked for.
enum Location {
    Pair(KeyPaths),
    Value(String),
}

impl Location {
    fn of(subject: &Subject, order: &DownloadOrder) -> Location {
        match subject {
            Subject::Document(key) => Location::Pair(KeyPaths::of(&order.prefix, key)),
            Subject::Value(path) => Location::Value(path.as_str().to_owned()),
        }
    }

    /// Where the document itself is.
    fn data(&self) -> &str {
        match self {
            Location::Pair(folder) => &folder.data,
            Location::Value(path) => path,
        }
    }

    /// Nothing stops a value that is no document.
    fn stop(&self, ignored: Ignored) -> Option<&str> {
        match self {
            Location::Pair(folder) if !ignored.stop => Some(&folder.stop),
            _ => None,
        }
    }

    fn documents(&self) -> Vec<&str> {
        match self {
            Location::Pair(folder) => vec![&folder.data, &folder.checksum],
            Location::Value(path) => vec![path],
        }
    }

    fn verify(&self, entries: &mut Entries) -> PairState {
        match self {
            Location::Pair(folder) => Pair::take(entries, folder).verify(),
            Location::Value(path) => PairState::of_value(entries.take(path)),
        }
    }
}

/// What one read brought.
pub(super) struct Snapshot {
    pub found: PairState,
    pub stop: Option<String>,
    pub lock: Option<String>,
    /// See [`crate::consul::Entries::is_fresh`].
    pub fresh: bool,
}

/// What asking, or the payload, brought.
pub(super) enum Obtained {
    Document(VerifiedPair),
    Stopped(String),
    Locked(String),
    /// The payload says there was something, but there is not now.
    Gone,
}

/// Why somebody asks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum TriggerKind {
    /// A payload said that the key is there.
    ByThisKey,
    /// By hand, by a timer, by another event.
    Otherwise,
}

impl TriggerKind {
    pub fn by(trigger: &Trigger) -> TriggerKind {
        if matches!(trigger, Trigger::Unknown) { TriggerKind::Otherwise } else { TriggerKind::ByThisKey }
    }
}

/// What is known before anybody is asked, and what others bring is held against.
pub(super) struct Before<'a> {
    /// What the payload says that the document is.
    named: Option<Checksum>,
    state: Option<&'a State>,
    installed: Option<&'a Installed>,
}

impl<'a> Before<'a> {
    pub fn of(trigger: &Trigger, state: Option<&'a State>, installed: Option<&'a Installed>) -> Before<'a> {
        Before { named: trigger.names().map(|(checksum, _)| checksum), state, installed }
    }

    /// Bytes that may have been overtaken, of a payload or a stale read, may be installed only if they are what the payload
    /// says and newer than what is installed, or if there was never anything.
    fn is_surely_older_than(&self, whole: &VerifiedPair) -> bool {
        self.is_not_other_than(whole) && self.state.map_or(self.installed.is_none(), |state| whole.index > state.index)
    }

    /// Or else they may say that what is installed is still right, as far as anybody has seen.
    fn is_still(&self, whole: &VerifiedPair) -> bool {
        let installed = self.installed.and_then(|installed| installed.checksum);
        self.is_not_other_than(whole)
            && installed == Some(whole.document.checksum())
            && self.state.is_some_and(|state| whole.index >= state.index)
    }

    fn is_not_other_than(&self, whole: &VerifiedPair) -> bool {
        self.named.is_none_or(|named| named == whole.document.checksum())
    }
}

pub(super) fn of_payload(trigger: Trigger, before: &Before, ignored: Ignored) -> Option<Obtained> {
    let Trigger::Prefix(pair, stop) = trigger else { return None };
    if let Some(reason) = stop.filter(|_| !ignored.stop) {
        return Some(Obtained::Stopped(reason));
    }
    match pair.verify() {
        PairState::Verified(whole) if before.is_surely_older_than(&whole) => Some(Obtained::Document(whole)),
        _ => None,
    }
}

impl<'a> Source<'a> {
    /// `file`: as it is named, absolute.
    pub fn new(
        order: &'a DownloadOrder,
        subject: &Subject,
        file: Option<&Path>,
        deadline: Deadline,
        context: &'a Context,
    ) -> Result<Source<'a>> {
        let lock = file.filter(|_| !order.ignored.lock).map(|file| order.prefix.lock(file, &context.env.hostname()));
        let server = Endpoint::find(&order.consul, context)?;
        let client = Client::new(server, deadline, order.guards.max_size, context);
        Ok(Source { client, order, context, asked: Location::of(subject, order), lock })
    }

    /// What a read from the leader brings that was made under the file's lock may always be installed, if it verifies:
    /// whatever its index, since indexes go back when a snapshot is restored (tried).
    pub fn ask(&self, kind: TriggerKind, before: &Before) -> Result<Obtained> {
        let sure = match self.order.consistency {
            Consistency::Stale => match self.by_any_server(before) {
                Some((whole, true)) => return Ok(Obtained::Document(whole)),
                Some((whole, false)) => return self.by_the_leader_or(whole, kind),
                None => Consistency::Default,
            },
            sure => sure,
        };
        self.by_the_leader(sure, kind)
    }

    /// What a stale read brings is believed only if it leaves no doubt: from a server that follows its leader, and newer
    /// than what is installed, or the same. The same from one that does not may still be better than nothing.
    fn by_any_server(&self, before: &Before) -> Option<(VerifiedPair, bool)> {
        match self.read(Consistency::Stale).ok()? {
            Snapshot { found: PairState::Verified(whole), stop: None, lock: None, fresh } => {
                let usable = before.is_still(&whole) || (fresh && before.is_surely_older_than(&whole));
                usable.then_some((whole, fresh))
            }
            _ => None,
        }
    }

    /// While nobody leads, what is installed stays, and that is said.
    fn by_the_leader_or(&self, installed: VerifiedPair, kind: TriggerKind) -> Result<Obtained> {
        match self.by_the_leader(Consistency::Default, kind) {
            Err(error) if error.status() == Status::Unavailable => {
                self.context.warn(&format!(
                    "{}: {error}; as far as a server knows that follows none, the file is right",
                    self.asked.data()
                ));
                Ok(Obtained::Document(installed))
            }
            answered => answered,
        }
    }

    fn by_the_leader(&self, consistency: Consistency, kind: TriggerKind) -> Result<Obtained> {
        let state = self.settled(consistency)?;
        Ok(match (state.stop, state.lock, state.found) {
            (Some(reason), _, _) => Obtained::Stopped(reason),
            (_, Some(reason), _) => Obtained::Locked(reason),
            (_, _, PairState::Verified(whole)) => Obtained::Document(whole),
            _ if kind == TriggerKind::ByThisKey => Obtained::Gone,
            _ => return Err(self.no_such_key()),
        })
    }

    /// Reads until it is not a torn pair: an old kvexpress may be between its two PUTs. What is stopped or locked may
    /// be torn.
    pub fn settled(&self, consistency: Consistency) -> Result<Snapshot> {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
        let mut torn = None;
        loop {
            let state = match (self.read(consistency), torn) {
                (Ok(state), _) => state,
                // The last read is cut short by the deadline: what the others saw is the cause.
                (Err(_), Some(why)) if self.client.deadline().left().is_zero() => return Err(self.torn(why)),
                (Err(error), _) => return Err(error),
            };
            let PairState::Torn(found) = &state.found else { return Ok(state) };
            if self.order.to != Destination::Stdout && (state.stop.is_some() || state.lock.is_some()) {
                return Ok(state);
            }
            if torn.is_none() {
                self.context.progress(|| format!("{}: {}; waiting for the other half", self.asked.data(), found.why));
            }
            if !backoff.sleep(self.client.deadline(), &self.context.random) {
                return Err(self.torn(found.why));
            }
            torn = Some(found.why);
        }
    }

    fn torn(&self, why: &str) -> Error {
        let torn = Status::TryAgain.error(format!(
            "{} in Consul are torn: {why} (for {}); upload the document again with kvx-in",
            self.asked.documents().join(" and "),
            humantime::format_duration(self.order.timeout)
        ));
        torn.counted_as(Kind::Torn)
    }

    fn read(&self, consistency: Consistency) -> Result<Snapshot> {
        let stop = self.asked.stop(self.order.ignored);
        let marks: Vec<&str> = stop.into_iter().chain(self.lock.as_deref()).collect();
        let read = self.client.read(consistency, &self.asked.documents(), &marks);
        let mut entries = read.map_err(|error| match error.status() {
            Status::Refused => error.and("if the document is meant to be that large, raise --max-size"),
            _ => error,
        })?;
        let fresh = entries.is_fresh();
        let mut reason = |mark: &str| entries.take(mark).as_ref().and_then(marker::reason);
        let (stop, lock) = (stop.and_then(&mut reason), self.lock.as_deref().and_then(reason));
        Ok(Snapshot { found: self.asked.verify(&mut entries), stop, lock, fresh })
    }

    pub fn no_such_key(&self) -> Error {
        let remedy = match self.asked {
            Location::Pair(_) => "upload it with kvx-in, or check -k and -p",
            Location::Value(_) => "put it there, or check --raw, which takes a whole path",
        };
        let (data, server) = (self.asked.data(), self.client.server());
        Status::NoSuchKey.error(format!("there is no {data} in Consul at {server}; {remedy}"))
    }
}
