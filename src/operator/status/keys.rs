//! One key in Consul.

use serde::Serialize;

use crate::consul::{self, Client, Consistency, Entries, Failure};
use crate::document::Checksum;
use crate::document::encoding;
use crate::layout::keys::{Key, KeyPaths, Prefix};
use crate::layout::marker::text_of;
use crate::layout::pair::{Pair, PairState, Torn, VerifiedPair};

/// How a key is.
#[derive(Clone, Debug, Serialize)]
pub struct KeyState {
    /// Its prefix.
    pub prefix: String,
    /// Its name.
    pub key: String,
    /// What its checksum says, in hex; none where it is missing or none.
    pub checksum: Option<String>,
    /// Of the document, if the pair verifies.
    pub bytes: Option<u64>,
    /// Of the document.
    pub lines: Option<u64>,
    /// How it is stored: plain, brotli or gzip.
    pub encoding: Option<&'static str>,
    /// In bytes, as it is stored.
    pub stored: Option<usize>,
    /// The index (ModifyIndex) of its last change.
    pub index: Option<u64>,
    /// Why it is stopped, if it is.
    pub stop: Option<String>,
    /// Why the pair does not verify, if it does not.
    pub torn: Option<&'static str>,
    /// Whether this token may not read it, or its stop: then the rest is not known.
    pub denied: bool,
}

/// So many keys are read by one transaction: of 64 operations, as many as Consul 1.8 takes, three for each.
const AT_ONCE: usize = 21;

impl KeyState {
    /// What is wrong, in words.
    pub fn problem(&self) -> Option<String> {
        let torn = self.torn.map(|why| format!("torn: {why}; upload it again with kvx-in"));
        let stopped = self.stop.as_ref().map(|why| format!("stopped: {why}"));
        let denied = self.denied.then(|| "denied: this token cannot read it".to_owned());
        let nothing = (self.checksum.is_none() && torn.is_none() && !self.denied).then(|| "not there".to_owned());
        let all: Vec<String> = [denied, nothing, torn, stopped].into_iter().flatten().collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

/// Looks at keys. Of those that are denied, also why the first one is.
pub(super) fn states(client: &Client, keys: &[(Prefix, Key)]) -> consul::Result<(Vec<KeyState>, Option<Failure>)> {
    let (mut states, mut denial) = (Vec::with_capacity(keys.len()), None);
    for keys in keys.chunks(AT_ONCE) {
        let folders: Vec<KeyPaths> = keys.iter().map(|(prefix, key)| KeyPaths::of(prefix, key)).collect();
        let documents: Vec<&str> = folders.iter().flat_map(|folder| [&*folder.data, &*folder.checksum]).collect();
        let stops: Vec<&str> = folders.iter().map(|folder| &*folder.stop).collect();
        let (mut entries, denied) = client.read_each(Consistency::Default, &documents, &stops)?;
        for ((prefix, key), folder) in keys.iter().zip(&folders) {
            let of_this = [&folder.data, &folder.checksum, &folder.stop];
            let is_denied = denied.iter().any(|(path, _)| of_this.iter().any(|known| known == path));
            states.push(KeyState { denied: is_denied, ..state(&mut entries, folder, prefix, key) });
        }
        denial = denial.or(denied.into_iter().next().map(|(_, denial)| denial));
    }
    Ok((states, denial))
}

fn state(entries: &mut Entries, paths: &KeyPaths, prefix: &Prefix, key: &Key) -> KeyState {
    let stop = entries.take(&paths.stop).as_ref().and_then(text_of);
    let mut state = KeyState {
        prefix: prefix.to_string(),
        key: key.to_string(),
        checksum: None,
        bytes: None,
        lines: None,
        encoding: None,
        stored: None,
        index: None,
        stop,
        torn: None,
        denied: false,
    };
    match Pair::take(entries, paths).verify() {
        PairState::Absent => {}
        PairState::Torn(Torn { why, pair: Pair { data, checksum } }) => {
            let claimed = checksum.as_ref().and_then(|entry| Checksum::parse(&entry.value));
            state.torn = Some(why);
            state.checksum = claimed.map(|checksum| checksum.to_string());
            state.stored = data.as_ref().map(|data| data.value.len());
            state.index = [&data, &checksum].into_iter().flatten().map(|entry| entry.modify_index).max();
        }
        PairState::Verified(VerifiedPair { document, encoded, flags, index, data_index }) => {
            state.checksum = Some(document.checksum().to_string());
            (state.bytes, state.lines) = (Some(document.size().bytes()), Some(document.size().lines()));
            state.stored = Some(encoded.as_ref().map_or(document.bytes().len(), Vec::len));
            state.index = Some(index.max(data_index));
            state.encoding = Some(match (encoded, flags) {
                (None, _) => "plain",
                (Some(_), encoding::BROTLI) => "brotli",
                (Some(_), _) => "gzip",
            });
        }
    }
    state
}
