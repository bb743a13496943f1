//! The status of keys in Consul.

use serde::Serialize;

use crate::consul::{self, Client, Consistency, Entries, Entry, Failure};
use crate::document::Checksum;
use crate::document::encoding;
use crate::layout::hold::Hold;
use crate::layout::keys::{Key, KeyPaths, Prefix};
use crate::layout::marker::text_of;
use crate::layout::pair::{Pair, PairState, Torn, VerifiedPair};
use crate::layout::record;
use crate::util::time::{ago, rfc3339};

#[derive(Clone, Debug, Serialize)]
pub struct KeyState {
    pub prefix: String,
    /// The key's name.
    pub key: String,
    /// The value of its checksum entry, in hex; `None` if that is missing or not a checksum.
    pub checksum: Option<String>,
    /// The document's size, if the pair verifies.
    pub bytes: Option<u64>,
    /// The document's number of lines.
    pub lines: Option<u64>,
    /// The encoding: plain, brotli or gzip.
    pub encoding: Option<&'static str>,
    /// Size of the stored value, in bytes.
    pub stored: Option<usize>,
    /// The index (ModifyIndex) of its last change.
    pub index: Option<u64>,
    /// When the document was uploaded, by its record: `2026-11-27T14:02:11.123Z`.
    pub uploaded: Option<String>,
    /// Who uploaded it: `user@host`.
    pub by: Option<String>,
    /// The note of the upload.
    pub note: Option<String>,
    /// The reason of the stop, if the key is stopped.
    pub stop: Option<String>,
    /// The hold, if the key is held.
    pub hold: Option<HoldState>,
    /// Why the pair is torn, if it is.
    pub torn: Option<&'static str>,
    /// Whether this token cannot read the document or the stop; then the other fields are unknown.
    pub denied: bool,
}

/// The hold of a key.
#[derive(Clone, Debug, Serialize)]
pub struct HoldState {
    /// The checksum of the document that is held, in hex; `None` if the entry is not a hold.
    pub checksum: Option<String>,
    /// The reason, or why the entry is not a hold.
    pub reason: String,
    /// When it was set: `2026-11-27T14:02:11Z`; `None` if the reason does not say.
    pub since: Option<String>,
}

/// Number of keys per transaction: Consul 1.8 accepts 64 operations, and a key takes five.
const KEYS_PER_TRANSACTION: usize = 12;

impl KeyState {
    /// What is wrong with the key, if anything.
    pub fn problem(&self) -> Option<String> {
        let torn = self.torn.map(|why| format!("torn: {why}; upload it again with kvx-in"));
        let stopped = self.stop.as_ref().map(|why| format!("stopped: {why}"));
        let denied = self.denied.then(|| "denied: this token cannot read it".to_owned());
        let nothing = (self.checksum.is_none() && torn.is_none() && !self.denied).then(|| "no document".to_owned());
        let held = self.hold.as_ref().map(HoldState::problem);
        let all: Vec<String> = [denied, nothing, torn, stopped, held].into_iter().flatten().collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

impl HoldState {
    fn of(entry: Option<&Entry>) -> Option<HoldState> {
        match Hold::of(entry) {
            Ok(hold) => hold.map(|hold| HoldState {
                checksum: Some(hold.checksum.to_string()),
                since: hold.since().map(rfc3339),
                reason: hold.reason,
            }),
            Err(malformed) => Some(HoldState { checksum: None, reason: malformed.to_string(), since: None }),
        }
    }

    /// `held at 3f9a41c2… since 3h ago: REASON`.
    fn problem(&self) -> String {
        let Some(checksum) = &self.checksum else { return self.reason.clone() };
        let short = checksum.get(..8).unwrap_or(checksum);
        let since = self.since.as_deref().and_then(|since| humantime::parse_rfc3339(since).ok());
        format!(
            "held at {short}…{}: {}",
            since.map(|since| format!(", {}", ago(since))).unwrap_or_default(),
            self.reason
        )
    }
}

/// The status of the keys, and the failure of the first one that is denied.
pub(super) fn states(client: &Client, keys: &[(Prefix, Key)]) -> consul::Result<(Vec<KeyState>, Option<Failure>)> {
    let (mut states, mut denial) = (Vec::with_capacity(keys.len()), None);
    for keys in keys.chunks(KEYS_PER_TRANSACTION) {
        let paths_of_keys: Vec<KeyPaths> = keys.iter().map(|(prefix, key)| KeyPaths::of(prefix, key)).collect();
        let documents: Vec<&str> = paths_of_keys.iter().flat_map(|paths| [&*paths.data, &*paths.checksum]).collect();
        let others: Vec<&str> =
            paths_of_keys.iter().flat_map(|paths| [&*paths.stop, &*paths.hold, &*paths.record]).collect();
        let (mut entries, denied) = client.read_each(Consistency::Default, &documents, &others)?;
        for ((prefix, key), paths) in keys.iter().zip(&paths_of_keys) {
            let of_this = [&paths.data, &paths.checksum, &paths.stop, &paths.hold];
            let is_denied = denied.iter().any(|(path, _)| of_this.iter().any(|known| known == path));
            states.push(KeyState { denied: is_denied, ..state(&mut entries, paths, prefix, key) });
        }
        // A node's token need not be allowed to read records.
        let is_needed = |path: &str| !paths_of_keys.iter().any(|paths| paths.record == path);
        denial = denial.or(denied.into_iter().find(|(path, _)| is_needed(path)).map(|(_, denial)| denial));
    }
    Ok((states, denial))
}

fn state(entries: &mut Entries, paths: &KeyPaths, prefix: &Prefix, key: &Key) -> KeyState {
    let stop = entries.take(&paths.stop).as_ref().and_then(text_of);
    let hold = HoldState::of(entries.take(&paths.hold).as_ref());
    let record = entries.take(&paths.record);
    let mut state = KeyState {
        prefix: prefix.to_string(),
        key: key.to_string(),
        checksum: None,
        bytes: None,
        lines: None,
        encoding: None,
        stored: None,
        index: None,
        uploaded: None,
        by: None,
        note: None,
        stop,
        hold,
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
            // A record that cannot be parsed describes nothing.
            if let Some(record) = record::of_document(record.as_ref(), document.checksum()) {
                state.uploaded = Some(record.time.to_string());
                (state.by, state.note) = (Some(record.by), record.note);
            }
            state.encoding = Some(match (encoded, flags) {
                (None, _) => "plain",
                (Some(_), encoding::BROTLI) => "brotli",
                (Some(_), _) => "gzip",
            });
        }
    }
    state
}
