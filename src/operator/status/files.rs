//! The files of this node: as they are, as they are remembered, as they should be.

use std::path::Path;

use serde::Serialize;

use super::Order;
use super::keys::KeyState;
use crate::beside;
use crate::consul::{Client, Consistency, Key, Prefix};
use crate::document::{Checksum, LARGEST};
use crate::error::Result;
use crate::install::{Parents, Target};
use crate::operator::mark::text_of;
use crate::stamp::{self, Remembered, Stamp};
use crate::world::World;

/// How a file is.
#[derive(Clone, Debug, Serialize)]
pub struct FileState {
    /// Where.
    pub file: String,
    /// The key, or the path of a value (`--raw`), that it was made of; none where nothing is remembered.
    pub key: Option<String>,
    /// The SHA-256 of what is there now, in hex; none where nothing is.
    pub checksum: Option<String>,
    /// What Consul has, if it could be asked and has it.
    pub in_consul: Option<String>,
    /// When it was installed, in seconds since 1970.
    pub since: Option<u64>,
    /// Why it is locked, if it is.
    pub lock: Option<String>,
    /// The handlers that are owed, as far as a run knew of them.
    pub owed: Vec<String>,
    /// Whether a run is at it now.
    pub busy: bool,
    /// The command line that installed it, where it may be kept.
    pub command: Vec<String>,
    /// What is wrong, in words.
    pub problems: Vec<String>,
}

/// What is remembered, of the files that are wanted.
pub(super) fn remembered(order: &Order, directory: &Path) -> Result<Vec<Remembered>> {
    let all = match &order.file {
        Some(file) => {
            let target = Target::resolve(file, Parents::MustExist)?;
            stamp::read(directory, target.path())?.into_iter().collect()
        }
        None => stamp::all(directory)?,
    };
    let wanted = order.key.as_ref().map(|key| (order.site.prefix.clone(), key.clone()));
    Ok(all.into_iter().filter(|one| wanted.is_none() || document_of(one) == wanted).collect())
}

/// The document that a file was made of.
pub(super) fn document_of(remembered: &Remembered) -> Option<(Prefix, Key)> {
    let Stamp { prefix, key, .. } = &remembered.stamp;
    Some((Prefix::parse(prefix.as_ref()?).ok()?, Key::parse(key).ok()?))
}

/// Looks at the files. Without a client, Consul cannot be asked.
pub(super) fn states(
    order: &Order,
    remembered: Vec<Remembered>,
    keys: &[KeyState],
    client: Option<&Client>,
    world: &World,
) -> Result<Vec<FileState>> {
    let unknown = order.file.iter().filter(|_| remembered.is_empty());
    let unknown: Vec<FileState> = unknown.map(|file| strange(file)).collect::<Result<_>>()?;
    let known = remembered.into_iter().map(|remembered| state(order, remembered, keys, client, world));
    Ok(known.collect::<Result<Vec<FileState>>>()?.into_iter().chain(unknown).collect())
}

/// A file of which nothing is remembered.
fn strange(file: &Path) -> Result<FileState> {
    let target = Target::resolve(file, Parents::MustExist)?;
    Ok(FileState {
        file: target.path().display().to_string(),
        key: None,
        checksum: on_disk(target.path())?.map(|checksum| checksum.to_string()),
        in_consul: None,
        since: None,
        lock: beside::reason(file),
        owed: Vec::new(),
        busy: false,
        command: Vec::new(),
        problems: vec!["not installed by kvx-out, as far as this state directory knows".into()],
    })
}

fn state(
    order: &Order,
    remembered: Remembered,
    keys: &[KeyState],
    client: Option<&Client>,
    world: &World,
) -> Result<FileState> {
    let Remembered { stamp, is_busy, .. } = remembered;
    let file = Path::new(&stamp.path);
    let is = on_disk(file)?.map(|checksum| checksum.to_string());
    let in_consul = match &stamp.prefix {
        Some(prefix) => {
            let key = keys.iter().find(|key| key.prefix == *prefix && key.key == stamp.key);
            key.filter(|key| key.torn.is_none()).and_then(|key| key.checksum.clone())
        }
        None => client.map(|client| value(client, &stamp.key)).transpose()?.flatten(),
    };
    let lock = match (beside::reason(stamp.locked_as()), client) {
        (None, Some(client)) => {
            let path = order.site.prefix.lock(stamp.locked_as(), &world.hostname());
            client.read(Consistency::Default, &[], &[&path])?.take(&path).as_ref().and_then(text_of)
        }
        (beside, _) => beside,
    };
    let owed: Vec<String> = stamp.owed.iter().map(|owed| owed.words.clone()).collect();
    let mut problems = Vec::new();
    match (&is, &in_consul) {
        (None, _) => problems.push("missing".into()),
        (is, there @ Some(_)) if is != there && *is == Some(stamp.checksum.clone()) => {
            problems.push(format!("behind: Consul has {}", short(there)));
        }
        (is, there) if *is != Some(stamp.checksum.clone()) && is != there => {
            problems.push(format!("changed by somebody else: {} was installed", short(&Some(stamp.checksum.clone()))));
        }
        (_, None) if client.is_some() => problems.push("its key is not in Consul, or torn".into()),
        _ => {}
    }
    if stamp.unfinished {
        problems.push(if is_busy { "being installed".into() } else { "a run that died has left it unfinished".into() });
    }
    problems.extend(lock.iter().map(|why| format!("locked: {why}")));
    problems.extend(owed.iter().map(|words| format!("owed: {words}")));
    Ok(FileState {
        file: stamp.path,
        key: Some(stamp.key),
        checksum: is,
        in_consul,
        since: Some(stamp.time),
        lock,
        owed,
        busy: is_busy,
        command: stamp.command,
        problems,
    })
}

fn short(checksum: &Option<String>) -> String {
    let short =
        checksum.as_ref().and_then(|hex| Checksum::parse(hex.as_bytes())).map(|known| known.short().to_string());
    short.unwrap_or("nothing".into())
}

fn on_disk(file: &Path) -> Result<Option<Checksum>> {
    let target = match Target::resolve(file, Parents::MustExist) {
        Ok(target) => target,
        Err(_) => return Ok(None), // Its directory is gone.
    };
    Ok(target.installed(LARGEST)?.and_then(|installed| installed.checksum))
}

/// Of a file made by `--raw`.
fn value(client: &Client, path: &str) -> Result<Option<String>> {
    let value = client.read(Consistency::Default, &[path], &[])?.take(path);
    Ok(value.map(|entry| Checksum::of(&entry.value).to_string()))
}
