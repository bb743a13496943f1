//! Parses the payload: the JSON that a Consul watch writes to the stdin of its handler. Pure.
//!
//! A payload is only a hint, since watches merge changes, repeat them and are late. `download` decides what a payload
//! alone permits.

use crate::consul::Entry;
use crate::document::Checksum;
use crate::document::encoding;
use crate::error::{Result, Status};
use crate::layout::keys::{Key, Part, Prefix, Subject, ValuePath};
use crate::layout::marker::reason;
use crate::layout::pair::Pair;

/// What started this run, according to stdin.
#[derive(Debug)]
pub enum Trigger {
    /// There is no payload, or it is not about this key. Consul has to be asked.
    Unknown,
    /// `null`: the key does not exist yet, was deleted, or is denied. Consul does not say which.
    Nothing,
    /// A `key` watch: the document's checksum, if the payload has it, at this index.
    Changed(Option<Checksum>, u64),
    /// A `keyprefix` watch: the key's folder.
    Prefix(Box<Folder>),
}

/// The folder of a key.
#[derive(Debug, Default)]
pub struct Folder {
    /// Data and checksum.
    pub pair: Pair,
    /// The reason of the stop, if there is one.
    pub stop: Option<String>,
    /// The hold.
    pub hold: Option<Entry>,
    /// The record.
    pub record: Option<Entry>,
}

impl Trigger {
    /// The checksum of the document and its index, if the payload has them.
    pub fn names(&self) -> Option<(Checksum, u64)> {
        match self {
            Trigger::Changed(checksum, index) => checksum.map(|checksum| (checksum, *index)),
            Trigger::Prefix(folder) => {
                let checksum = folder.pair.checksum.as_ref();
                checksum.and_then(|entry| Some((Checksum::parse(&entry.value)?, entry.modify_index)))
            }
            Trigger::Unknown | Trigger::Nothing => None,
        }
    }

    /// The trigger after a delay. The document in the payload may be outdated, so only its checksum is kept, and Consul
    /// has to be asked.
    pub fn expire(self) -> Trigger {
        match (&self, self.names()) {
            (Trigger::Prefix(..), Some((checksum, index))) => Trigger::Changed(Some(checksum), index),
            (Trigger::Prefix(..), None) => Trigger::Changed(None, 0),
            _ => self,
        }
    }
}

/// Parses a payload about `wanted`. Without `wanted`, the payload must name a key.
///
/// # Errors
/// Those of [`read`].
pub fn about(text: &[u8], wanted: Option<&Subject>, prefix: &Prefix) -> Result<(Option<Subject>, Trigger)> {
    match wanted {
        None => read(text, None, prefix).map(|(key, trigger)| (key.map(Subject::Document), trigger)),
        Some(Subject::Document(key)) => Ok((wanted.cloned(), read(text, Some(key), prefix)?.1)),
        Some(Subject::Value(path)) => Ok((wanted.cloned(), value_trigger(text, path))),
    }
}

/// The trigger of a `key` watch on a plain value (`--raw`).
fn value_trigger(text: &[u8], path: &ValuePath) -> Trigger {
    match text.trim_ascii() {
        b"null" => Trigger::Nothing,
        one => match serde_json::from_slice::<Entry>(one) {
            Ok(entry) if entry.key == path.as_str() => {
                Trigger::Changed(Some(Checksum::of(&entry.value)), entry.modify_index)
            }
            _ => Trigger::Unknown,
        },
    }
}

/// Parses a payload. `wanted` is the key of `-k`. Without it, the payload must name a key.
///
/// With `-k`, any text that is not a payload of that key gives [`Trigger::Unknown`].
///
/// # Errors
/// Without `-k`: 65 if the text is not a payload, 64 if it does not name exactly one key under the prefix.
pub fn read(text: &[u8], wanted: Option<&Key>, prefix: &Prefix) -> Result<(Option<Key>, Trigger)> {
    let parsed = match text.trim_ascii() {
        b"" => None,
        b"null" => return Ok((None, Trigger::Nothing)),
        list if list.starts_with(b"[") => serde_json::from_slice(list).ok(),
        one => serde_json::from_slice(one).ok().map(|entry| vec![entry]),
    };
    let is_folder = !text.trim_ascii().starts_with(b"{");
    let Some(entries): Option<Vec<Entry>> = parsed else {
        return match wanted {
            Some(_) => Ok((None, Trigger::Unknown)),
            None => Err(Status::Refused.error(
                "stdin is not the payload of a `key` or `keyprefix` watch; name the key with -k, or run it by a watch",
            )),
        };
    };
    let named: Vec<(Key, Part, Entry)> = entries
        .into_iter()
        .filter_map(|entry| prefix.split(&entry.key).map(|(key, part)| (key, part, entry)))
        .collect();
    let key = match wanted {
        Some(key) => key.clone(),
        None => only_key(&named, is_folder).ok_or_else(|| {
            Status::Usage.error(format!(
                "the watch's payload does not name one key under {prefix}/; name it with -k, or the prefix with -p"
            ))
        })?,
    };
    let parts = named.into_iter().filter(|(name, _, _)| *name == key).map(|(_, part, entry)| (part, entry));
    let trigger = if is_folder { folder_trigger(parts) } else { entry_trigger(parts) };
    Ok((Some(key), trigger))
}

/// The only key in the payload, or the key whose folder contains all others: a watch on `PREFIX/app/` has `app/nginx`
/// in its payload, too. If `app` does not exist, the payload is the same as that of a watch on `app/nginx`. It is then
/// unclear which key is meant, so the key of a folder must not be nested.
fn only_key(named: &[(Key, Part, Entry)], is_folder: bool) -> Option<Key> {
    let mut keys = named.iter().map(|(key, _, _)| key);
    let first = keys.next()?;
    let outermost = keys.fold(first, |outer, key| if key.contains(outer) { key } else { outer });
    let all = named.iter().all(|(key, _, _)| key == outermost || outermost.contains(key));
    (all && !(is_folder && outermost.is_nested())).then(|| outermost.clone())
}

fn folder_trigger(parts: impl Iterator<Item = (Part, Entry)>) -> Trigger {
    let mut folder = Folder::default();
    for (part, entry) in parts {
        match part {
            Part::Data => folder.pair.data = Some(entry),
            Part::Checksum => folder.pair.checksum = Some(entry),
            Part::Stop => folder.stop = reason(&entry),
            Part::Hold => folder.hold = Some(entry),
            Part::Record => folder.record = Some(entry),
        }
    }
    match &folder.pair {
        Pair { data: None, checksum: None } => Trigger::Unknown,
        _ => Trigger::Prefix(Box::new(folder)),
    }
}

fn entry_trigger(mut parts: impl Iterator<Item = (Part, Entry)>) -> Trigger {
    match parts.next() {
        None => Trigger::Unknown,
        Some((Part::Checksum, entry)) => Trigger::Changed(Checksum::parse(&entry.value), entry.modify_index),
        Some((Part::Data, entry)) if entry.flags == encoding::BROTLI => Trigger::Changed(None, entry.modify_index),
        Some((Part::Data, entry)) => Trigger::Changed(Some(Checksum::of(&entry.value)), entry.modify_index),
        Some((Part::Stop | Part::Hold | Part::Record, entry)) => Trigger::Changed(None, entry.modify_index),
    }
}
