//! The directory in which a file is prepared: beside the target, of a fixed hidden name, so that a killed run's is found again,
//! and of mode 0700. What is in it, nobody else can open, whatever its owner and mode: so it has those before it is on disk.
//! And nobody else can open the directory: so its lock is held by a run, one that does not share our state directory.

use std::ffi::{OsStr, OsString};
use std::fs::{Metadata, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::MetadataExt;

use nix::sys::stat::SFlag;
use nix::unistd::geteuid;

use super::Installed;
use super::directory::{OpenDirectory, busy};
use super::due::{NewAttributes, give};
use crate::document::Verified;

pub(super) const PRIVATE: u32 = 0o700;
/// While a check runs, which may give up its rights: its copy can be reached, but the directory neither listed nor locked.
const ENTERABLE: u32 = 0o711;
/// Bits by which others can open a directory.
const OPENS: u32 = 0o066;

/// So often somebody may put something there, and take it away, in the wrong moment.
const TRIES: usize = 100;

/// In it, the file to be installed.
const NEW: &str = "new";
/// In it, the directory of the copy that is checked.
pub(super) const CHECK: &str = "check";

/// A directory of ours: gone with all that is in it when this is dropped.
#[derive(Debug)]
pub(super) struct Staged {
    beside: OpenDirectory,
    name: OsString,
    directory: OpenDirectory,
}

impl Staged {
    /// A new one.
    pub fn new(beside: &OpenDirectory, name: OsString) -> io::Result<Staged> {
        let directory = match beside.make(&name, PRIVATE) {
            Err(cause) if cause.kind() == ErrorKind::AlreadyExists => {
                sweep(beside, &name)?;
                match beside.make(&name, PRIVATE) {
                    Err(cause) if cause.kind() == ErrorKind::AlreadyExists && beside.is_open_to_all()? => {
                        displace(beside, &name)?
                    }
                    made => made?,
                }
            }
            made => made?,
        };
        claim(beside, &name, directory).inspect_err(|cause| {
            if cause.kind() != ErrorKind::WouldBlock {
                drop(beside.remove_directory(&name));
            }
        })
    }

    /// Opens it, so far, to a check, which may give up its rights; the directory in which its copy is.
    pub fn open_to_check(&self) -> io::Result<&OpenDirectory> {
        self.directory.set_mode(ENTERABLE)?;
        Ok(&self.directory)
    }

    /// Closes it again.
    pub fn close(&self) -> io::Result<()> {
        self.directory.set_mode(PRIVATE)
    }

    /// Writes the document, with all that is due to it, onto the disk.
    pub fn write(&self, document: &Verified, due: &NewAttributes, old: Option<&Installed>) -> io::Result<()> {
        let mut file = self.directory.create(NEW.as_ref())?;
        file.write_all(document.bytes())?;
        give(&file, due, old)?;
        file.sync_all()
    }

    /// Puts it in its place.
    pub fn rename(self, to: &OsStr) -> io::Result<()> {
        // As long as another run had the lock, somebody may have put another directory there.
        match self.beside.is_in_place() {
            true => self.directory.rename(NEW.as_ref(), &self.beside, to),
            false => Err(busy("its directory has just been replaced by another")),
        }
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        remove(&self.beside, &self.name, &self.directory, NEW.as_ref(), clear);
    }
}

/// Removes a directory, and what is in it: mostly nothing, or this one file. What a check has left running may go on writing
/// there: then the next run removes it.
pub(super) fn remove(
    above: &OpenDirectory,
    name: &OsStr,
    directory: &OpenDirectory,
    file: &OsStr,
    empty: impl FnOnce(&OpenDirectory) -> io::Result<()>,
) {
    let remove = || above.remove_directory(name);
    drop(remove().or_else(|_| directory.remove(file).and_then(|()| remove())).or_else(|_| {
        empty(directory)?;
        remove()
    }));
}

/// Removes what a run puts there, and nothing else: whoever may rename what is beside the file can have given this name to
/// another directory of ours.
fn clear(directory: &OpenDirectory) -> io::Result<()> {
    [NEW, CHECK].map(OsStr::new).into_iter().try_for_each(|name| directory.remove_all(name))
}

/// Takes away what a killed run, or anybody else, has left there; whether there was anything.
///
/// Where everybody may create files, what cannot be taken away stays: it is in nobody's way, see [`displace`].
pub(super) fn sweep(beside: &OpenDirectory, name: &OsStr) -> io::Result<bool> {
    match take_away(beside, name) {
        Err(cause) if cause.kind() != ErrorKind::WouldBlock && beside.is_open_to_all()? => Ok(false),
        taken => taken,
    }
}

fn take_away(beside: &OpenDirectory, name: &OsStr) -> io::Result<bool> {
    match beside.kind_of(name)? {
        None => return Ok(false),
        Some(SFlag::S_IFDIR) => {}
        Some(_) => return beside.remove(name).map(|()| true),
    }
    match beside.enter(name) {
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(false), // Whoever's it was has taken it away.
        Ok(directory) if directory.metadata().is_ok_and(|is| is_private(&is)) => {
            let staged = claim(beside, name, directory)?;
            clear(&staged.directory)?;
            let is = staged.directory.metadata()?;
            drop(staged);
            if beside.has(name, &is)? { Err(has_others(beside, name)) } else { Ok(true) }
        }
        // None of ours. Others may lock it as long as they like.
        _ => match beside.remove_directory(name) {
            Err(cause) if cause.kind() == ErrorKind::DirectoryNotEmpty => Err(has_others(beside, name)),
            removed => removed.map(|()| true),
        },
    }
}

fn has_others(beside: &OpenDirectory, name: &OsStr) -> io::Error {
    let path = beside.path().join(name);
    io::Error::other(format!("{} is a directory with files in it that are not ours; remove it", path.display()))
}

/// A new one in the place of what somebody else has put there, or puts there anew whenever it is taken away, as whoever may
/// create files can: the two change places, in one moment. What was there has another name then, and goes if it is empty.
fn displace(beside: &OpenDirectory, name: &OsStr) -> io::Result<OpenDirectory> {
    let other = OsString::from(format!(".kvx~{:016x}", RandomState::new().hash_one(()))); // Which nobody can hold before us.
    let directory = beside.make(&other, PRIVATE)?;
    let mut placed = beside.exchange(&other, name);
    for _ in 0..TRIES {
        placed = match placed {
            // It has just gone; and may be there again.
            Err(cause) if cause.kind() == ErrorKind::NotFound => {
                beside.rename(&other, beside, name).or_else(|_| beside.exchange(&other, name))
            }
            placed => placed,
        };
    }
    match beside.has(&other, &directory.metadata()?) {
        Ok(false) => drop(beside.remove_directory(&other).or_else(|_| beside.remove(&other))),
        _ => drop(beside.remove_directory(&other)),
    }
    match placed {
        // A user other than root may not, in a directory such as /tmp.
        Err(cause) if cause.kind() == ErrorKind::PermissionDenied => Err(has_others(beside, name)),
        placed => placed.and_then(|()| beside.enter(name)),
    }
}

fn is_private(directory: &Metadata) -> bool {
    directory.uid() == geteuid().as_raw() && directory.mode() & OPENS == 0
}

/// Has it for ourselves.
fn claim(beside: &OpenDirectory, name: &OsStr, directory: OpenDirectory) -> io::Result<Staged> {
    const ANOTHER_RUN: &str = "another run, with another state directory, is just installing it";
    directory.file().file().try_lock().map_err(|cause| match cause {
        TryLockError::WouldBlock => busy(ANOTHER_RUN),
        TryLockError::Error(cause) => cause,
    })?;
    let is = directory.metadata()?;
    if !is_private(&is) {
        return Err(io::Error::other(format!("{} was swapped for another", directory.path().display())));
    }
    if !beside.has(name, &is)? {
        return Err(busy(ANOTHER_RUN)); // Which took it away before we had the lock.
    }
    Ok(Staged { beside: beside.clone(), name: name.to_owned(), directory })
}
