//! What this node remembers of one file: which checksum is installed, and which handlers have run for it. The same small
//! file is the lock under which everything about that file is decided and done.
//!
//! Whatever is lost, at whatever moment, a missing or different stamp means that the handler is *owed*: one reload too
//! many, never one too few. So the stamp needs no fsync: a power loss makes an older one of it, and a restart of whatever
//! was to be reloaded. (But for `--in-place`: a file that is half of one must be known as such.)

mod look;
mod place;
mod text;

use std::fs::{DirBuilder, TryLockError};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use fs_err::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use nix::fcntl::OFlag;
use serde::{Deserialize, Serialize};

pub use self::look::{Remembered, all, is_there, read, wait_for_runs};
pub use self::place::directory;
use crate::document::Checksum;
use crate::error::{Error, Result, Status};
use crate::time::{Backoff, Deadline};
use crate::world::World;

/// No stamp is so large: not if each character of the longest command line is one that JSON spells out.
const LARGEST: u64 = 256 * 1024;

/// What is remembered of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// The file, canonical.
    pub path: String,
    /// As it was named, where that is something else: a lock is of that path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub named: Option<String>,
    /// The key it came from.
    pub key: String,
    /// The checksum of what was installed, in hex.
    pub checksum: String,
    /// The index of the document in Consul.
    pub index: u64,
    /// When, in seconds since 1970.
    pub time: u64,
    /// The handlers that have succeeded since then.
    pub handlers: Vec<Known>,
    /// Those that have not, as far as runs knew of them. (Others may be owed of which nobody knows yet.)
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owed: Vec<Known>,
    /// The prefix of the key; none where it is the path of a value (`--raw`).
    #[serde(default)]
    pub prefix: Option<String>,
    /// The command line that wrote this, to be run again; empty where it may not be kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Written before it is put in its place: until that has surely come to its end, and onto the disk.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unfinished: bool,
}

/// A handler of which a run knew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Its id.
    pub handler: String,
    /// For people.
    pub words: String,
}

impl Stamp {
    /// Of a document about to be installed: no handler has run for it.
    pub fn new(path: &Path, key: &str, checksum: Checksum, index: u64) -> Stamp {
        let time = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
        Stamp {
            path: path.to_string_lossy().into_owned(),
            named: None,
            key: key.to_owned(),
            checksum: checksum.to_string(),
            index,
            time,
            handlers: Vec::new(),
            owed: Vec::new(),
            prefix: None,
            command: Vec::new(),
            unfinished: true,
        }
    }

    /// The path by which the file is locked.
    pub fn locked_as(&self) -> &Path {
        Path::new(self.named.as_ref().unwrap_or(&self.path))
    }

    /// Whether it is of the same key, and locked by the same path.
    fn is_made_as(&self, other: &Stamp) -> bool {
        (&self.key, &self.prefix, &self.named) == (&other.key, &other.prefix, &other.named)
    }

    /// Whether it is of this document.
    pub fn is_of(&self, checksum: Checksum) -> bool {
        self.checksum == checksum.to_string()
    }

    /// Whether this handler still has to run for this checksum.
    pub fn owes(&self, handler: &str, checksum: Checksum) -> bool {
        !self.is_of(checksum) || !self.handlers.iter().any(|ran| ran.handler == handler)
    }
}

/// The lock of one file, held, with its stamp.
#[derive(Debug)]
pub struct Memory {
    file: fs_err::File,
    stamp: Option<Stamp>,
}

impl Memory {
    /// Takes the lock of the file at `path` (canonical), waiting until `deadline`. It is held until this is dropped.
    ///
    /// # Errors
    /// 73 where the state directory cannot be written, 75 where somebody else holds the lock for too long.
    pub fn open(directory: &Path, path: &Path, deadline: Deadline, world: &World) -> Result<Memory> {
        let mut file = open(directory, path)?;
        loop {
            let busy = || format!("{}: another run is busy with it; waiting", path.display());
            let is_ours = wait_for(|| file.file().try_lock(), deadline, world, busy);
            if !is_ours.map_err(|cause| cannot(file.path(), &cause))? {
                return Err(Status::TryAgain.error(format!(
                    "another run has been busy with the file for {}; try again once it has ended",
                    humantime::format_duration(deadline.limit())
                )));
            }
            // Somebody may have taken the file away before we had its lock: then the lock is worth nothing.
            match file.metadata() {
                // Who reads a FIFO may wait for ever.
                Ok(metadata) if !metadata.is_file() => {
                    return Err(cannot(file.path(), &io::Error::other("that is no regular file")));
                }
                Ok(metadata) if metadata.nlink() > 0 => break,
                Ok(_) => file = open(directory, path)?,
                Err(cause) => return Err(cannot(file.path(), &cause)),
            }
        }
        let mut text = Vec::with_capacity(1024);
        (&file).take(LARGEST).read_to_end(&mut text).map_err(|cause| cannot(file.path(), &cause))?;
        Ok(Memory { stamp: text::read(&text), file })
    }

    /// The stamp as it was last written, if there is a whole one.
    pub fn stamp(&self) -> Option<&Stamp> {
        self.stamp.as_ref()
    }

    /// A payload said that the installed document is current at this index: what an older payload brings is older. Whoever
    /// wants to do the same again, runs this command.
    ///
    /// # Errors
    /// 73.
    pub fn has_seen(&mut self, index: u64, command: Vec<String>) -> Result<()> {
        match &self.stamp {
            Some(stamp) if stamp.index < index || stamp.command != command => {
                self.remember(Stamp { index: stamp.index.max(index), command, ..stamp.clone() })
            }
            _ => Ok(()),
        }
    }

    /// Consul said that this is current, and it is installed already, by whomever, and on disk. The index may be lower than
    /// the one remembered: a snapshot was restored.
    ///
    /// # Errors
    /// 73.
    pub fn adopt(&mut self, now: Stamp) -> Result<()> {
        let now = match &self.stamp {
            // The same document: what has been done for it is still done.
            Some(stamp) if stamp.checksum == now.checksum && stamp.is_made_as(&now) => {
                Stamp { index: now.index, command: now.command, unfinished: false, ..stamp.clone() }
            }
            // Also if it comes from elsewhere now.
            Some(stamp) if stamp.checksum == now.checksum => Stamp {
                time: stamp.time,
                handlers: stamp.handlers.clone(),
                owed: stamp.owed.clone(),
                unfinished: false,
                ..now
            },
            _ => Stamp { unfinished: false, ..now },
        };
        if self.stamp.as_ref() == Some(&now) { Ok(()) } else { self.remember(now) }
    }

    /// What is remembered is in its place, and on disk.
    ///
    /// # Errors
    /// 73.
    pub fn is_finished(&mut self) -> Result<()> {
        match &self.stamp {
            Some(stamp) if stamp.unfinished => self.remember(Stamp { unfinished: false, ..stamp.clone() }),
            _ => Ok(()),
        }
    }

    /// What it says was to be done was not, and the file is as it was before. (If that cannot be written, it will seem
    /// unfinished: nothing worse.)
    pub fn go_back_to(&mut self, before: Option<Stamp>) {
        match before {
            Some(stamp) => drop(self.remember(stamp)),
            None => {
                drop(self.file.set_len(0));
                self.stamp = None;
            }
        }
    }

    /// A handler is about to be run again: until it has succeeded, it is owed.
    ///
    /// # Errors
    /// 73.
    pub fn is_to_run(&mut self, owed: &Known) -> Result<()> {
        let Some(mut stamp) = self.stamp.clone() else { return Ok(()) };
        if stamp.owed.contains(owed) {
            return Ok(());
        }
        stamp.handlers.retain(|ran| ran.handler != owed.handler);
        stamp.owed.push(owed.clone());
        self.remember(stamp)
    }

    /// A handler has succeeded for what is installed.
    ///
    /// # Errors
    /// 73.
    pub fn has_run(&mut self, handler: Known) -> Result<()> {
        let Some(mut stamp) = self.stamp.clone() else { return Ok(()) };
        stamp.owed.retain(|owed| owed.handler != handler.handler);
        stamp.handlers.push(handler);
        self.remember(stamp)
    }

    /// Forgets everything; says where it was. (Who waits for this lock takes one anew.)
    ///
    /// # Errors
    /// 73.
    pub fn forget(self) -> Result<PathBuf> {
        let path = self.file.path().to_owned();
        fs_err::remove_file(&path).map_err(|cause| cannot(&path, &cause))?;
        Ok(path)
    }

    /// Remembers.
    ///
    /// # Errors
    /// 73.
    pub fn remember(&mut self, stamp: Stamp) -> Result<()> {
        self.file.write_all_at(&text::of(&stamp), 0).map_err(|cause| cannot(self.file.path(), &cause))?;
        self.stamp = Some(stamp);
        Ok(())
    }

    /// Puts on disk what is remembered.
    ///
    /// # Errors
    /// 73.
    pub fn survive(&self) -> Result<()> {
        self.file.sync_data().map_err(|cause| cannot(self.file.path(), &cause))
    }
}

/// Waits for a lock that somebody has, and says once that he has; false where he has it until the deadline.
fn wait_for(
    lock: impl Fn() -> std::result::Result<(), TryLockError>,
    deadline: Deadline,
    world: &World,
    busy: impl Fn() -> String,
) -> io::Result<bool> {
    let mut backoff = Backoff::new(Duration::from_millis(5), Duration::from_millis(50));
    let mut told = false;
    loop {
        match lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::Error(cause)) => return Err(cause),
            Err(TryLockError::WouldBlock) => {}
        }
        if !std::mem::replace(&mut told, true) {
            world.progress(&busy);
        }
        if !backoff.sleep(deadline, &world.random) {
            return Ok(false);
        }
    }
}

/// In the state directory.
fn name_of(path: &Path) -> String {
    Checksum::of(path.as_os_str().as_bytes()).to_string()
}

fn open(directory: &Path, path: &Path) -> Result<fs_err::File> {
    let mut options = fs_err::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(OFlag::O_NOFOLLOW.bits());
    let at = directory.join(name_of(path));
    options
        .open(&at)
        .or_else(|cause| match cause.kind() {
            io::ErrorKind::NotFound => {
                DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
                options.open(&at)
            }
            _ => Err(cause),
        })
        .map_err(|cause| cannot(directory, &cause))
}

fn cannot(path: &Path, cause: &io::Error) -> Error {
    let remedy = match cause.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room",
        _ => "give --state-dir a directory that this user may write",
    };
    Status::CannotWrite
        .error(format!("what is installed cannot be remembered in {}: {cause}; {remedy}", path.display()))
}
