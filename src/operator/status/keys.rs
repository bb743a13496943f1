//! One key in Consul.

use serde::Serialize;

use crate::consul::{Client, Consistency, Entry, Folder, Key, Prefix};
use crate::document::Checksum;
use crate::encoding;
use crate::error::Result;
use crate::pair::{Found, Pair};
use crate::payload::text_of;

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
}

impl KeyState {
    /// What is wrong, in words.
    pub fn problem(&self) -> Option<String> {
        let torn = self.torn.map(|why| format!("torn: {why}; upload it again with kvx-in"));
        let stopped = self.stop.as_ref().map(|why| format!("stopped: {why}"));
        let nothing = (self.checksum.is_none() && torn.is_none()).then(|| "not there".to_owned());
        let all: Vec<String> = [nothing, torn, stopped].into_iter().flatten().collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

/// Looks at a key.
pub(super) fn state(client: &Client, prefix: &Prefix, key: &Key) -> Result<KeyState> {
    let folder = Folder::of(prefix, key);
    let mut entries = client.read(Consistency::Default, &[&folder.data, &folder.checksum], &[&folder.stop])?;
    let stop = entries.take(&folder.stop).as_ref().and_then(text_of);
    let pair = Pair::take(&mut entries, &folder);
    let raw = pair.data.as_ref().map(|data| (Checksum::of(&data.value), data.value.len(), data.flags));
    let index = [&pair.data, &pair.checksum].into_iter().flatten().map(|entry| entry.modify_index).max();
    let claimed = pair.checksum.as_ref().and_then(|entry: &Entry| Checksum::parse(&entry.value));
    let mut state = KeyState {
        prefix: prefix.to_string(),
        key: key.to_string(),
        checksum: claimed.map(|checksum| checksum.to_string()),
        bytes: None,
        lines: None,
        encoding: None,
        stored: raw.map(|(_, stored, _)| stored),
        index,
        stop,
        torn: None,
    };
    match pair.judge() {
        Found::Nothing => {}
        Found::Torn(torn) => state.torn = Some(torn.why),
        Found::Whole(whole) => {
            let size = whole.document.size();
            (state.bytes, state.lines) = (Some(size.bytes()), Some(size.lines()));
            state.encoding = raw.map(|(raw, _, flags)| match flags {
                _ if raw == whole.document.checksum() => "plain",
                encoding::BROTLI => "brotli",
                _ => "gzip",
            });
        }
    }
    Ok(state)
}
