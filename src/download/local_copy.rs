//! What the node has, and which bytes that may be outdated it may install all the same.

use super::source::Fetched;
use crate::consul::Entry;
use crate::document::Checksum;
use crate::install::Installed;
use crate::layout::hold::Hold;
use crate::layout::pair::{PairState, VerifiedPair};
use crate::layout::payload::{Folder, Trigger};
use crate::layout::record;
use crate::state::State;

/// What the node knows before it asks Consul. Bytes that may be outdated (from a payload or a stale read) are compared with it.
pub(super) struct LocalCopy<'a> {
    /// The document's checksum according to the payload.
    announced: Option<Checksum>,
    state: Option<&'a State>,
    installed: Option<&'a Installed>,
}

impl<'a> LocalCopy<'a> {
    pub fn new(trigger: &Trigger, state: Option<&'a State>, installed: Option<&'a Installed>) -> LocalCopy<'a> {
        LocalCopy { announced: trigger.names().map(|(checksum, _)| checksum), state, installed }
    }

    /// Whether this pair may be installed although it may be outdated: it agrees with the payload, and it is newer than the
    /// installed document, or nothing was ever installed. It counts only with its record: ACLs can hide a part of the folder, and
    /// with it the hold.
    pub fn is_older_than(&self, pair: &VerifiedPair, record: Option<&Entry>) -> bool {
        self.agrees_with_payload(pair)
            && self.state.map_or(self.installed.is_none(), |state| pair.index > state.index)
            && record::of_document(record, pair.document.checksum()).is_some()
    }

    /// Whether this pair, although it may be outdated, confirms that the installed document is still the current one.
    pub fn is_confirmed_by(&self, pair: &VerifiedPair) -> bool {
        let installed = self.installed.and_then(|installed| installed.checksum);
        self.agrees_with_payload(pair)
            && installed == Some(pair.document.checksum())
            && self.state.is_some_and(|state| pair.index >= state.index)
    }

    fn agrees_with_payload(&self, pair: &VerifiedPair) -> bool {
        self.announced.is_none_or(|announced| announced == pair.document.checksum())
    }
}

/// What the payload itself contains, if that can be used without asking Consul.
pub(super) fn from_payload(trigger: Trigger, local: &LocalCopy, ignores_stop: bool) -> Option<Fetched> {
    let Trigger::Prefix(folder) = trigger else { return None };
    let Folder { pair, stop, hold, record } = *folder;
    if let Some(reason) = stop.filter(|_| !ignores_stop) {
        return Some(Fetched::Stopped(reason));
    }
    match pair.verify() {
        PairState::Verified(pair) if local.is_older_than(&pair, record.as_ref()) => {
            let hold = Hold::of(hold.as_ref()).ok()?.filter(|hold| hold.forbids(pair.document.checksum()));
            hold.is_none().then_some(Fetched::Document(pair))
        }
        _ => None,
    }
}
