//! Where the document is to be had, and which bytes may be installed.

use std::time::Duration;

use super::SourceOrder;
use crate::consul::{self, Client, Consistency, Endpoint, Failure};
use crate::context::Context;
use crate::document::Checksum;
use crate::error::{Error, Kind, Result};
use crate::install::Installed;
use crate::layout::keys::Subject;
use crate::layout::pair::{PairState, VerifiedPair};
use crate::layout::payload::Trigger;
use crate::layout::snapshot::{Location, Snapshot};
use crate::state::State;
use crate::util::time::{Backoff, Deadline};

/// Where the document is to be had.
pub(super) struct Source<'a> {
    client: Client<'a>,
    order: &'a SourceOrder,
    context: &'a Context,
    location: Location,
    purpose: Purpose,
}

/// What the document is read for.
#[derive(PartialEq, Eq)]
enum Purpose {
    /// To be installed, unless the key is stopped, or the file locked at this path in Consul.
    Install { lock: Option<String> },
    /// To be printed, whatever is stopped or locked.
    Print,
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

pub(super) fn of_payload(trigger: Trigger, before: &Before, ignores_stop: bool) -> Option<Obtained> {
    let Trigger::Prefix(pair, stop) = trigger else { return None };
    if let Some(reason) = stop.filter(|_| !ignores_stop) {
        return Some(Obtained::Stopped(reason));
    }
    match pair.verify() {
        PairState::Verified(whole) if before.is_surely_older_than(&whole) => Some(Obtained::Document(whole)),
        _ => None,
    }
}

impl<'a> Source<'a> {
    /// For a file, whose lock in Consul has this path; none where that is ignored.
    pub fn new(
        order: &'a SourceOrder,
        subject: &Subject,
        lock: Option<String>,
        deadline: Deadline,
        context: &'a Context,
    ) -> Result<Source<'a>> {
        Source::open(order, subject, Purpose::Install { lock }, deadline, context)
    }

    /// For stdout.
    pub fn to_print(
        order: &'a SourceOrder,
        subject: &Subject,
        deadline: Deadline,
        context: &'a Context,
    ) -> Result<Source<'a>> {
        Source::open(order, subject, Purpose::Print, deadline, context)
    }

    fn open(
        order: &'a SourceOrder,
        subject: &Subject,
        purpose: Purpose,
        deadline: Deadline,
        context: &'a Context,
    ) -> Result<Source<'a>> {
        let endpoint = Endpoint::from_options(&order.consul, context)?;
        let client = Client::new(endpoint, deadline, order.guards.max_size, context);
        Ok(Source { client, order, context, location: Location::of(subject, &order.prefix), purpose })
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
        self.by_the_leader(sure, kind)?
    }

    /// What a stale read brings is believed only if it leaves no doubt: from a server that follows its leader, and newer
    /// than what is installed, or the same. The same from one that does not may still be better than nothing.
    fn by_any_server(&self, before: &Before) -> Option<(VerifiedPair, bool)> {
        match self.read(Consistency::Stale).ok()? {
            Snapshot { state: PairState::Verified(whole), stop: None, lock: None, is_fresh } => {
                let usable = before.is_still(&whole) || (is_fresh && before.is_surely_older_than(&whole));
                usable.then_some((whole, is_fresh))
            }
            _ => None,
        }
    }

    /// Without a leader the installed file stays, and a line says so.
    fn by_the_leader_or(&self, installed: VerifiedPair, kind: TriggerKind) -> Result<Obtained> {
        match self.by_the_leader(Consistency::Default, kind) {
            Err(Failure::Unavailable(error)) => {
                self.context.warn(&format!(
                    "{}: {error}; as far as a server knows that follows none, the file is right",
                    self.location.data()
                ));
                Ok(Obtained::Document(installed))
            }
            answered => answered?,
        }
    }

    /// The outer failure is Consul's, the inner one is about what it holds.
    fn by_the_leader(&self, consistency: Consistency, kind: TriggerKind) -> consul::Result<Result<Obtained>> {
        let snapshot = match self.settled(consistency)? {
            Ok(snapshot) => snapshot,
            Err(torn) => return Ok(Err(torn)),
        };
        Ok(match (snapshot.stop, snapshot.lock, snapshot.state) {
            (Some(reason), _, _) => Ok(Obtained::Stopped(reason)),
            (_, Some(reason), _) => Ok(Obtained::Locked(reason)),
            (_, _, PairState::Verified(pair)) => Ok(Obtained::Document(pair)),
            _ if kind == TriggerKind::ByThisKey => Ok(Obtained::Gone),
            _ => Err(self.no_such_key()),
        })
    }

    /// Reads until data and checksum match: an old kvexpress may be between its two PUTs. A key that is stopped, or whose file is
    /// locked, may be torn. The outer failure is Consul's; the inner one says that the key stays torn.
    pub fn settled(&self, consistency: Consistency) -> consul::Result<Result<Snapshot>> {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
        let mut torn = None;
        loop {
            let snapshot = match (self.read(consistency), torn) {
                (Ok(snapshot), _) => snapshot,
                // The last read is cut short by the deadline: what the earlier ones saw is the cause.
                (Err(_), Some(why)) if self.client.deadline().left().is_zero() => return Ok(Err(self.torn(why))),
                (Err(failure), _) => return Err(failure),
            };
            let PairState::Torn(found) = &snapshot.state else { return Ok(Ok(snapshot)) };
            if self.purpose != Purpose::Print && (snapshot.stop.is_some() || snapshot.lock.is_some()) {
                return Ok(Ok(snapshot));
            }
            if torn.is_none() {
                self.context
                    .progress(|| format!("{}: {}; waiting for the other half", self.location.data(), found.why));
            }
            if !backoff.sleep(self.client.deadline(), &self.context.random) {
                return Ok(Err(self.torn(found.why)));
            }
            torn = Some(found.why);
        }
    }

    fn torn(&self, why: &str) -> Error {
        self.location.torn(why, Some(self.order.timeout)).counted_as(Kind::Torn)
    }

    fn read(&self, consistency: Consistency) -> consul::Result<Snapshot> {
        let stop = self.location.stop().filter(|_| !self.order.ignores_stop);
        let lock = match &self.purpose {
            Purpose::Install { lock } => lock.as_deref(),
            Purpose::Print => None,
        };
        let read = Snapshot::read(&self.client, consistency, &self.location, stop, lock);
        read.map_err(|failure| match failure {
            Failure::TooLarge(_) => failure.and("if the document is meant to be that large, raise --max-size"),
            _ => failure,
        })
    }

    /// The error that the key is not in Consul.
    pub fn no_such_key(&self) -> Error {
        self.location.absent(self.client.endpoint())
    }
}
