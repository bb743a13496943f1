//! The files of this node: as they are, as they are remembered, as they should be.

use std::path::Path;

use serde::Serialize;

use super::Order;
use super::keys::KeyState;
use crate::beside;
use crate::consul::{Client, Consistency, Key, Prefix};
use crate::document::{Checksum, LARGEST};
use crate::error::Result;
use crate::install::{self, Parents, Target};
use crate::path;
use crate::payload::text_of;
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
    let Some(file) = &order.file else {
        let document = order.key.as_ref().map(|key| (order.site.prefix.clone(), key.clone()));
        let all = stamp::all(directory)?.into_iter();
        return Ok(all.filter(|one| document.is_none() || document_of(one) == document).collect());
    };
    Ok(stamp::read(directory, &install::path_of(file))?.into_iter().collect())
}

/// The document that a file was made of.
pub(super) fn document_of(remembered: &Remembered) -> Option<(Prefix, Key)> {
    let Stamp { prefix, key, .. } = &remembered.stamp;
    Some((Prefix::parse(prefix.as_ref()?).ok()?, Key::parse(key).ok()?))
}

/// Looks at the files. Without a client, Consul cannot be asked.
pub(super) fn states(
    order: &Order,
    directory: &Path,
    remembered: &[Remembered],
    keys: &[KeyState],
    client: Option<&Client>,
    world: &World,
) -> Result<Vec<FileState>> {
    let known = remembered.iter().map(|one| state(order, directory, one, keys, client, world));
    let unknown = order.file.iter().filter(|_| remembered.is_empty());
    known.chain(unknown.map(|file| strange(order, directory, file, client, world))).collect()
}

/// A file of which nothing is remembered.
fn strange(order: &Order, directory: &Path, file: &Path, client: Option<&Client>, world: &World) -> Result<FileState> {
    let file = path::absolute(file);
    let lock = lock(&order.site.prefix, &file, client, world)?;
    let (checksum, mut problems) = match Disk::look(&file) {
        Disk::Has(checksum) => (checksum, Vec::new()),
        Disk::Missing => (None, vec!["missing".to_owned()]),
        Disk::Unreadable(why) => (None, vec![why]),
    };
    problems.push(format!("not installed by kvx-out, as far as is remembered in {}", directory.display()));
    problems.extend(lock.iter().map(|why| format!("locked: {why}")));
    Ok(FileState {
        file: file.display().to_string(),
        key: None,
        checksum,
        in_consul: None,
        since: None,
        lock,
        owed: Vec::new(),
        busy: false,
        command: Vec::new(),
        problems,
    })
}

fn state(
    order: &Order,
    directory: &Path,
    remembered: &Remembered,
    keys: &[KeyState],
    client: Option<&Client>,
    world: &World,
) -> Result<FileState> {
    let stamp = &remembered.stamp;
    let file = Path::new(&stamp.path);
    let in_consul = match &stamp.prefix {
        Some(prefix) => {
            let key = keys.iter().find(|key| key.prefix == *prefix && key.key == stamp.key);
            key.filter(|key| key.torn.is_none()).and_then(|key| key.checksum.clone())
        }
        None => client.map(|client| value(client, &stamp.key)).transpose()?.flatten(),
    };
    let prefix = stamp.prefix.as_ref().and_then(|prefix| Prefix::parse(prefix).ok());
    let lock = lock(prefix.as_ref().unwrap_or(&order.site.prefix), stamp.locked_as(), client, world)?;
    let owed: Vec<String> = stamp.owed.iter().map(|owed| owed.words.clone()).collect();
    let (checksum, mut problems) = match Disk::look(file) {
        Disk::Missing => (None, vec!["missing".to_owned()]),
        Disk::Unreadable(why) => (None, vec![why]),
        Disk::Has(is) => {
            let problem = compared(stamp, is.as_deref(), in_consul.as_deref(), client.is_some());
            (is, problem.into_iter().collect())
        }
    };
    problems.extend(stamp.unfinished.then(|| "a run that died has left it unfinished".to_owned()));
    problems.extend(owed.iter().map(|words| format!("owed: {words}")));
    // What a run is just putting right is not wrong.
    let busy = remembered.is_busy || (!problems.is_empty() && has_moved_on(directory, file, stamp)?);
    if busy {
        problems.clear();
    }
    problems.extend(lock.iter().map(|why| format!("locked: {why}")));
    Ok(FileState {
        file: stamp.path.clone(),
        key: Some(stamp.key.clone()),
        checksum,
        in_consul,
        since: Some(stamp.time),
        lock,
        owed,
        busy,
        command: stamp.command.clone(),
        problems,
    })
}

/// How a file that is there is, held against what was installed and what Consul has.
fn compared(stamp: &Stamp, is: Option<&str>, there: Option<&str>, is_asked: bool) -> Option<String> {
    let is_ours = is == Some(stamp.checksum.as_str());
    let reloads = !(stamp.handlers.is_empty() && stamp.owed.is_empty());
    match there {
        Some(_) if is == there => (!is_ours && reloads)
            .then(|| "as in Consul, but put there by somebody else: its handlers are owed".to_owned()),
        Some(there) if is_ours => Some(format!("behind: Consul has {}", short(there))),
        _ if !is_ours => Some(format!("changed by somebody else: {} was installed", short(&stamp.checksum))),
        None if is_asked => Some("its key is not in Consul, or torn".into()),
        _ => None,
    }
}

/// Whether a run is at the file now, or has been since it was looked at.
fn has_moved_on(directory: &Path, file: &Path, stamp: &Stamp) -> Result<bool> {
    Ok(stamp::read(directory, file)?.is_none_or(|now| now.is_busy || now.stamp != *stamp))
}

/// Why a file is locked, if it is: by the mark beside it, or else by that in Consul.
fn lock(prefix: &Prefix, file: &Path, client: Option<&Client>, world: &World) -> Result<Option<String>> {
    match (beside::reason(file), client) {
        (None, Some(client)) => {
            let path = prefix.lock(file, &world.hostname());
            Ok(client.read(Consistency::Default, &[], &[&path])?.take(&path).as_ref().and_then(text_of))
        }
        (beside, _) => Ok(beside),
    }
}

fn short(checksum: &str) -> String {
    Checksum::parse(checksum.as_bytes()).map_or("nothing".into(), |known| known.short().to_string())
}

/// A file as it is now.
enum Disk {
    Missing,
    Unreadable(String),
    /// Its checksum; none where it is larger than any document.
    Has(Option<String>),
}

impl Disk {
    fn look(file: &Path) -> Disk {
        let Ok(target) = Target::resolve(file, Parents::MustExist) else { return Disk::Missing }; // Its directory is gone.
        match target.installed(LARGEST) {
            Ok(None) => Disk::Missing,
            Ok(Some(installed)) => Disk::Has(installed.checksum.map(|checksum| checksum.to_string())),
            Err(error) => Disk::Unreadable(error.to_string()),
        }
    }
}

/// Of a file made by `--raw`.
fn value(client: &Client, path: &str) -> Result<Option<String>> {
    let value = client.read(Consistency::Default, &[path], &[])?.take(path);
    Ok(value.map(|entry| Checksum::of(&entry.value).to_string()))
}
