//! Where to get the document: from the payload or from Consul. Decides which bytes may be installed.

use std::time::Duration;

use super::SourceOrder;
use super::local_copy::LocalCopy;
use crate::consul::{self, Client, Consistency, Endpoint, Failure};
use crate::context::Context;
use crate::document::Checksum;
use crate::error::{Error, Kind, Result};
use crate::layout::hold::Hold;
use crate::layout::keys::Subject;
use crate::layout::pair::{PairState, VerifiedPair};
use crate::layout::payload::Trigger;
use crate::layout::snapshot::{Location, Others, Snapshot};
use crate::util::time::{Backoff, Deadline};

/// A document's location in Consul, and the client that reads it.
pub(super) struct Source<'a> {
    client: Client<'a>,
    order: &'a SourceOrder,
    context: &'a Context,
    location: Location,
    purpose: Purpose,
}

/// What the document is read for.
#[derive(PartialEq, Eq)]
pub(super) enum Purpose {
    /// To install it, unless the key is stopped or held at another document, or the file is locked.
    Install {
        /// The path of the file's lock in Consul, `None` with `--ignore-lock`.
        lock: Option<String>,
        /// The checksum of the file.
        installed: Option<Checksum>,
    },
    /// To print it; stops and locks do not matter.
    Print,
}

/// What the payload or Consul returned.
pub(super) enum Fetched {
    Document(VerifiedPair),
    Stopped(String),
    Locked(String),
    /// The key is held at another document than this one.
    Held(Hold),
    /// The payload says that the key exists, but it was deleted since.
    Gone,
}

/// Who started the run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum TriggerKind {
    /// A watch, whose payload says that the key exists.
    Payload,
    /// An operator, a timer, or a watch on something else.
    Other,
}

impl TriggerKind {
    pub fn of(trigger: &Trigger) -> TriggerKind {
        if matches!(trigger, Trigger::Unknown) { TriggerKind::Other } else { TriggerKind::Payload }
    }
}

impl<'a> Source<'a> {
    pub fn open(
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

    /// Reads the document from Consul.
    ///
    /// A verified document that the leader returns while this run holds the file's lock may always be installed, whatever its
    /// index: indexes go back when a snapshot is restored (tried).
    pub fn fetch(&self, kind: TriggerKind, local: &LocalCopy) -> Result<Fetched> {
        let consistency = match self.order.consistency {
            Consistency::Stale => match self.read_stale(local) {
                Some((pair, true)) => return Ok(Fetched::Document(pair)),
                Some((pair, false)) => return self.read_leader_or(pair, kind),
                None => Consistency::Default,
            },
            consistency => consistency,
        };
        self.read_leader(consistency, kind)?
    }

    /// A stale read counts only if it leaves no doubt: the server follows its leader and has a newer document than the installed
    /// one, or the same. If a server without a leader has the same document, `false` is returned with it: that answer is used
    /// only if the leader cannot be asked.
    fn read_stale(&self, local: &LocalCopy) -> Option<(VerifiedPair, bool)> {
        match self.read(Consistency::Stale).ok()? {
            Snapshot { state: PairState::Verified(pair), stop: None, lock: None, hold: None, record, is_fresh } => {
                let is_newer = is_fresh && local.is_older_than(&pair, record.as_ref());
                let usable = local.is_confirmed_by(&pair) || is_newer;
                usable.then_some((pair, is_fresh))
            }
            _ => None,
        }
    }

    /// Asks the leader. If there is none, the installed document stays, with a warning.
    fn read_leader_or(&self, installed: VerifiedPair, kind: TriggerKind) -> Result<Fetched> {
        match self.read_leader(Consistency::Default, kind) {
            Err(Failure::Unavailable(error)) => {
                self.context.warn(&format!(
                    "{}: {error}; file left unchanged: a server without a leader has the same document",
                    self.location.data()
                ));
                Ok(Fetched::Document(installed))
            }
            answered => answered?,
        }
    }

    /// The outer failure is about the request, the inner one about the document that was read.
    fn read_leader(&self, consistency: Consistency, kind: TriggerKind) -> consul::Result<Result<Fetched>> {
        let snapshot = match self.read_settled(consistency)? {
            Ok(snapshot) => snapshot,
            Err(torn) => return Ok(Err(torn)),
        };
        let hold = match Hold::of(snapshot.hold.as_ref()) {
            Ok(hold) => hold,
            Err(malformed) => return Ok(Err(malformed)),
        };
        Ok(match (snapshot.stop, snapshot.lock, snapshot.state) {
            (Some(reason), _, _) => Ok(Fetched::Stopped(reason)),
            (_, Some(reason), _) => Ok(Fetched::Locked(reason)),
            (_, _, PairState::Verified(pair)) => Ok(match hold {
                Some(hold) if hold.forbids(pair.document.checksum()) => Fetched::Held(hold),
                _ => Fetched::Document(pair),
            }),
            // The file has the held document, or the pair would have been waited for.
            (_, _, PairState::Torn(_)) if let Some(hold) = hold => Ok(Fetched::Held(hold)),
            _ if kind == TriggerKind::Payload => Ok(Fetched::Gone),
            _ => Err(self.no_such_key()),
        })
    }

    /// Reads until data and checksum match: an old kvexpress may be between its two PUTs. If the document does not exist, this is
    /// confirmed. If the key is stopped, or held at the document that the file has, or if the file is locked, the first answer is
    /// returned at once.
    ///
    /// The outer failure is about the request; the inner one says that the pair stays torn.
    pub fn read_settled(&self, mut consistency: Consistency) -> consul::Result<Result<Snapshot>> {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
        let mut torn = None;
        loop {
            let snapshot = match (self.read(consistency), torn) {
                (Ok(snapshot), _) => snapshot,
                // The deadline interrupted the last read: the torn pair of the earlier reads is the cause to report.
                (Err(_), Some(why)) if self.client.deadline().left().is_zero() => return Ok(Err(self.torn(why))),
                (Err(failure), _) => return Err(failure),
            };
            let is_marked = snapshot.stop.is_some() || snapshot.lock.is_some() || self.has_held(&snapshot);
            let found = match &snapshot.state {
                _ if is_marked && self.purpose != Purpose::Print => return Ok(Ok(snapshot)),
                PairState::Torn(found) => found,
                PairState::Absent if consistency != Consistency::CONFIRMS_ABSENCE => {
                    consistency = Consistency::CONFIRMS_ABSENCE;
                    continue;
                }
                _ => return Ok(Ok(snapshot)),
            };
            if torn.is_none() {
                self.context.progress(|| {
                    format!("{}: {}; reading again until data and checksum match", self.location.data(), found.why)
                });
            }
            if !backoff.sleep(self.client.deadline(), &self.context.random) {
                return Ok(Err(self.torn(found.why)));
            }
            torn = Some(found.why);
        }
    }

    /// Whether the key is held at the document that the file has.
    fn has_held(&self, snapshot: &Snapshot) -> bool {
        match (&self.purpose, Hold::of(snapshot.hold.as_ref())) {
            (Purpose::Install { installed: Some(installed), .. }, Ok(Some(hold))) => !hold.forbids(*installed),
            _ => false,
        }
    }

    fn torn(&self, why: &str) -> Error {
        self.location.torn(why, Some(self.order.timeout)).counted_as(Kind::Torn)
    }

    fn read(&self, consistency: Consistency) -> consul::Result<Snapshot> {
        let paths = self.location.paths();
        let others = Others {
            stop: paths.map(|paths| paths.stop.as_str()).filter(|_| !self.order.ignores_stop),
            hold: paths.map(|paths| paths.hold.as_str()),
            hold_may_be_denied: self.order.hold_may_be_denied,
            // Only a document that may be outdated needs its record.
            record: paths.map(|paths| paths.record.as_str()).filter(|_| consistency == Consistency::Stale),
            lock: match &self.purpose {
                Purpose::Install { lock, .. } => lock.as_deref(),
                Purpose::Print => None,
            },
        };
        let read = Snapshot::read(&self.client, consistency, &self.location, others);
        read.map_err(|failure| match failure {
            Failure::TooLarge(_) => failure.and("if that is intended, raise --max-size"),
            _ => failure,
        })
    }

    pub fn no_such_key(&self) -> Error {
        self.location.absent(self.client.endpoint())
    }
}
