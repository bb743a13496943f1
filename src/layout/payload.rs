//! The JSON that a Consul watch writes to its handler's stdin. Pure.
//!
//! A payload is a hint: watches coalesce, repeat and come late. What may be done on its word alone, `download` decides.

use crate::consul::Entry;
use crate::document::Checksum;
use crate::document::encoding;
use crate::error::{Result, Status};
use crate::layout::keys::{Key, Part, Prefix, Subject, ValuePath};
use crate::layout::marker::reason;
use crate::layout::pair::Pair;

/// Why this run was started, as far as stdin tells.
#[derive(Debug)]
pub enum Trigger {
    /// No payload, or none of ours: ask Consul.
    Unknown,
    /// `null`: the key is not there yet, deleted, or may not be read. Consul does not say which.
    Nothing,
    /// A `key` watch: at this index the document has this checksum, where the payload tells.
    Changed(Option<Checksum>, u64),
    /// A `keyprefix` watch: all of the key's folder, the reason of a stop included.
    Prefix(Pair, Option<String>),
}

impl Trigger {
    /// The checksum that the document has, and the index at which it has it, as far as the payload tells.
    pub fn names(&self) -> Option<(Checksum, u64)> {
        match self {
            Trigger::Changed(checksum, index) => checksum.map(|checksum| (checksum, *index)),
            Trigger::Prefix(pair, _) => {
                pair.checksum.as_ref().and_then(|entry| Some((Checksum::parse(&entry.value)?, entry.modify_index)))
            }
            Trigger::Unknown | Trigger::Nothing => None,
        }
    }

    /// The same after a while: what it brought may have been overtaken, and is to be asked for.
    pub fn expire(self) -> Trigger {
        match (&self, self.names()) {
            (Trigger::Prefix(..), Some((checksum, index))) => Trigger::Changed(Some(checksum), index),
            (Trigger::Prefix(..), None) => Trigger::Changed(None, 0),
            _ => self,
        }
    }
}

/// Reads a payload about `wanted`; without it, the payload must name a key.
///
/// # Errors
/// As [`read`].
pub fn about(text: &[u8], wanted: Option<&Subject>, prefix: &Prefix) -> Result<(Option<Subject>, Trigger)> {
    match wanted {
        None => read(text, None, prefix).map(|(key, trigger)| (key.map(Subject::Document), trigger)),
        Some(Subject::Document(key)) => Ok((wanted.cloned(), read(text, Some(key), prefix)?.1)),
        Some(Subject::Value(path)) => Ok((wanted.cloned(), of_value(text, path))),
    }
}

/// Of a `key` watch on the value itself.
fn of_value(text: &[u8], path: &ValuePath) -> Trigger {
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

/// Reads a payload. `wanted` is the key of `-k`; without it, the payload must name one.
///
/// With `-k`, what is no payload of that key means only that something happened: [`Trigger::Unknown`].
///
/// # Errors
/// Without `-k`: 65 where it cannot be parsed, 64 where it does not name one key under the prefix.
pub fn read(text: &[u8], wanted: Option<&Key>, prefix: &Prefix) -> Result<(Option<Key>, Trigger)> {
    let parsed = match text.trim_ascii() {
        b"" => None,
        b"null" => return Ok((None, Trigger::Nothing)),
        list if list.starts_with(b"[") => serde_json::from_slice(list).ok(),
        one => serde_json::from_slice(one).ok().map(|entry| vec![entry]),
    };
    let folder = !text.trim_ascii().starts_with(b"{");
    let Some(entries): Option<Vec<Entry>> = parsed else {
        return match wanted {
            Some(_) => Ok((None, Trigger::Unknown)),
            None => Err(Status::Refused.error(
                "stdin is no payload of a `key` or `keyprefix` watch; name the key with -k, or make a watch run this",
            )),
        };
    };
    let named: Vec<(Key, Part, Entry)> = entries
        .into_iter()
        .filter_map(|entry| prefix.split(&entry.key).map(|(key, part)| (key, part, entry)))
        .collect();
    let key = match wanted {
        Some(key) => key.clone(),
        None => only_key(&named, folder).ok_or_else(|| {
            Status::Usage.error(format!(
                "the watch's payload does not name one key under {prefix}/; name it with -k, or the prefix with -p"
            ))
        })?,
    };
    let ours = named.into_iter().filter(|(of, _, _)| *of == key).map(|(_, part, entry)| (part, entry));
    let trigger = if folder { of_folder(ours) } else { of_one(ours) };
    Ok((Some(key), trigger))
}

/// The one key that is named, or the one whose folder holds all others: a watch on `PREFIX/app/` also brings `app/nginx`.
/// Where `app` is not there, it brings `app/nginx` alone, as a watch on that would: so of a folder, the key must be one
/// that is in no other's.
fn only_key(named: &[(Key, Part, Entry)], folder: bool) -> Option<Key> {
    let mut keys = named.iter().map(|(key, _, _)| key);
    let first = keys.next()?;
    let outermost = keys.fold(first, |outer, key| if key.contains(outer) { key } else { outer });
    let all = named.iter().all(|(key, _, _)| key == outermost || outermost.contains(key));
    (all && !(folder && outermost.is_nested())).then(|| outermost.clone())
}

fn of_folder(ours: impl Iterator<Item = (Part, Entry)>) -> Trigger {
    let mut pair = Pair::default();
    let mut stop = None;
    for (part, entry) in ours {
        match part {
            Part::Data => pair.data = Some(entry),
            Part::Checksum => pair.checksum = Some(entry),
            Part::Stop => stop = reason(&entry),
        }
    }
    if pair.data.is_none() && pair.checksum.is_none() { Trigger::Unknown } else { Trigger::Prefix(pair, stop) }
}

fn of_one(mut ours: impl Iterator<Item = (Part, Entry)>) -> Trigger {
    match ours.next() {
        None => Trigger::Unknown,
        Some((Part::Checksum, entry)) => Trigger::Changed(Checksum::parse(&entry.value), entry.modify_index),
        Some((Part::Data, entry)) if entry.flags == encoding::BROTLI => Trigger::Changed(None, entry.modify_index),
        Some((Part::Data, entry)) => Trigger::Changed(Some(Checksum::of(&entry.value)), entry.modify_index),
        Some((Part::Stop, entry)) => Trigger::Changed(None, entry.modify_index),
    }
}
