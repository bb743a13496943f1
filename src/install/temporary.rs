//! The staging directory, in which the new file is prepared, next to the target. Its hidden name is fixed, so that the
//! next run finds what a killed run left. Its mode is 0700: no other user can open the files in it, so the new file
//! gets its final owner and mode before it is written to disk. No other user can open the directory either, so if it is
//! locked, another run of kvx holds it, one with another state directory.

use std::ffi::{OsStr, OsString};
use std::fs::{Metadata, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::MetadataExt;

use nix::sys::stat::SFlag;
use nix::unistd::geteuid;

use super::Installed;
use super::directory::{OpenDirectory, busy};
use super::new_attributes::{NewAttributes, apply};
use crate::document::Verified;

pub(super) const PRIVATE: u32 = 0o700;
/// Mode while a check runs, which may drop its privileges: other users can reach the copy, but not list or lock the
/// directory.
const ENTERABLE: u32 = 0o711;
/// Bits that let other users open a directory.
const OPENS: u32 = 0o066;

/// Maximum number of attempts, if another process creates and removes an entry of this name at the wrong moments.
const MAX_ATTEMPTS: usize = 100;

/// The new file in the staging directory.
const NEW: &str = "new";
/// The directory in the staging directory, for the copy that `--check` validates.
pub(super) const CHECK: &str = "check";
/// All entries of a staging directory.
const OURS: [&str; 2] = [NEW, CHECK];

/// A locked staging directory. Dropping this removes it and its contents.
#[derive(Debug)]
pub(super) struct Staged {
    parent: OpenDirectory,
    name: OsString,
    directory: OpenDirectory,
}

impl Staged {
    /// Creates and locks the directory. Removes one that a killed run left.
    pub fn new(parent: &OpenDirectory, name: OsString) -> io::Result<Staged> {
        let directory = match parent.create_directory(&name, PRIVATE) {
            Err(cause) if cause.kind() == ErrorKind::AlreadyExists => {
                sweep(parent, &name)?;
                match parent.create_directory(&name, PRIVATE) {
                    Err(cause) if cause.kind() == ErrorKind::AlreadyExists && parent.is_open_to_all()? => {
                        displace(parent, &name)?
                    }
                    created => created?,
                }
            }
            created => created?,
        };
        claim(parent, &name, directory).inspect_err(|cause| {
            if cause.kind() != ErrorKind::WouldBlock {
                drop(parent.remove_directory(&name));
            }
        })
    }

    /// Lets a check that drops its privileges reach its copy. Returns the staging directory.
    pub fn open_to_check(&self) -> io::Result<&OpenDirectory> {
        self.directory.set_mode(ENTERABLE)?;
        Ok(&self.directory)
    }

    /// Makes the directory private again.
    pub fn close(&self) -> io::Result<()> {
        self.directory.set_mode(PRIVATE)
    }

    /// Writes the document and its attributes to disk.
    pub fn write(&self, document: &Verified, attributes: &NewAttributes, old: Option<&Installed>) -> io::Result<()> {
        let mut file = self.directory.create_file(NEW.as_ref())?;
        file.write_all(document.bytes())?;
        apply(&file, attributes, old)?;
        file.sync_all()
    }

    /// Renames the new file to its final name.
    pub fn rename(self, to: &OsStr) -> io::Result<()> {
        // The parent directory may have been replaced while this run waited for a lock.
        match self.parent.is_in_place() {
            true => self.directory.rename(NEW.as_ref(), &self.parent, to),
            false => Err(busy("its directory has just been replaced by another")),
        }
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        remove(&self.parent, &self.name, &self.directory, NEW.as_ref(), clear);
    }
}

/// Removes a directory and its contents: usually nothing, or this one file. A process that a check left running may
/// still write to it; then the next run removes the directory.
pub(super) fn remove(
    parent: &OpenDirectory,
    name: &OsStr,
    directory: &OpenDirectory,
    file: &OsStr,
    remove_contents: impl FnOnce(&OpenDirectory) -> io::Result<()>,
) {
    let remove = || parent.remove_directory(name);
    drop(remove().or_else(|_| directory.remove(file).and_then(|()| remove())).or_else(|_| {
        remove_contents(directory)?;
        remove()
    }));
}

/// Removes only the entries that a run creates.
fn clear(directory: &OpenDirectory) -> io::Result<()> {
    OURS.map(OsStr::new).into_iter().try_for_each(|name| directory.remove_all(name))
}

/// Removes what a killed run, or another user, left under this name. Returns whether it removed something.
///
/// In a directory where every user can create files, an entry that cannot be removed is not an error: [`displace`]
/// moves it away.
pub(super) fn sweep(parent: &OpenDirectory, name: &OsStr) -> io::Result<bool> {
    match remove_leftover(parent, name) {
        Err(cause) if cause.kind() != ErrorKind::WouldBlock && parent.is_open_to_all()? => Ok(false),
        removed => removed,
    }
}

fn remove_leftover(parent: &OpenDirectory, name: &OsStr) -> io::Result<bool> {
    match parent.kind_of(name)? {
        None => return Ok(false),
        Some(SFlag::S_IFDIR) => {}
        Some(_) => return parent.remove(name).map(|()| true),
    }
    match parent.enter(name) {
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(false), // Its owner has just removed it.
        Ok(directory) if directory.metadata().is_ok_and(|metadata| is_private(&metadata)) => {
            if !is_of_a_run(parent, &directory)? {
                return Err(foreign_files_error(parent, name));
            }
            let staged = claim(parent, name, directory)?;
            clear(&staged.directory)?;
            let metadata = staged.directory.metadata()?;
            drop(staged);
            if parent.contains(name, &metadata)? { Err(foreign_files_error(parent, name)) } else { Ok(true) }
        }
        // Not a directory of kvx. It is not locked: another user could hold that lock for as long as they like.
        _ => match parent.remove_directory(name) {
            Err(cause) if cause.kind() == ErrorKind::DirectoryNotEmpty => Err(foreign_files_error(parent, name)),
            removed => removed.map(|()| true),
        },
    }
}

/// Whether the contents of a private directory of this user are those of a staging directory. Another user who can
/// rename entries next to the file can have given its name to another one, which a run never fills with more than the
/// new file there: the copy for a check is elsewhere.
fn is_of_a_run(parent: &OpenDirectory, directory: &OpenDirectory) -> io::Result<bool> {
    match parent.exposure()? {
        None => directory.has_only(&OURS),
        Some(_) => {
            Ok(directory.has_only(&[NEW])? && matches!(directory.kind_of(NEW.as_ref())?, None | Some(SFlag::S_IFREG)))
        }
    }
}

fn foreign_files_error(parent: &OpenDirectory, name: &OsStr) -> io::Error {
    let path = parent.path().join(name);
    io::Error::other(format!("{} is a directory with files in it that are not ours; remove it", path.display()))
}

/// Creates a new directory and swaps it atomically with an entry of another user, who may recreate that entry whenever
/// it is removed. The other entry gets a random name, and is removed if it is a file or an empty directory.
fn displace(parent: &OpenDirectory, name: &OsStr) -> io::Result<OpenDirectory> {
    // Unpredictable, so that no other user can occupy it.
    let other = OsString::from(format!(".kvx~{:016x}", RandomState::new().hash_one(())));
    let directory = parent.create_directory(&other, PRIVATE)?;
    let mut placed = parent.exchange(&other, name);
    for _ in 0..MAX_ATTEMPTS {
        placed = match placed {
            // The other entry has just been removed; it may reappear at any time.
            Err(cause) if cause.kind() == ErrorKind::NotFound => {
                parent.rename(&other, parent, name).or_else(|_| parent.exchange(&other, name))
            }
            placed => placed,
        };
    }
    match parent.contains(&other, &directory.metadata()?) {
        Ok(false) => drop(parent.remove_directory(&other).or_else(|_| parent.remove(&other))),
        _ => drop(parent.remove_directory(&other)),
    }
    match placed {
        // In a sticky directory such as /tmp, only root can rename another user's entry.
        Err(cause) if cause.kind() == ErrorKind::PermissionDenied => Err(foreign_files_error(parent, name)),
        placed => placed.and_then(|()| parent.enter(name)),
    }
}

fn is_private(directory: &Metadata) -> bool {
    directory.uid() == geteuid().as_raw() && directory.mode() & OPENS == 0
}

/// Locks the directory, and checks that it is still the private one under this name.
fn claim(parent: &OpenDirectory, name: &OsStr, directory: OpenDirectory) -> io::Result<Staged> {
    const ANOTHER_RUN: &str = "another run, with another state directory, is just installing it";
    directory.file().file().try_lock().map_err(|cause| match cause {
        TryLockError::WouldBlock => busy(ANOTHER_RUN),
        TryLockError::Error(cause) => cause,
    })?;
    let metadata = directory.metadata()?;
    if !is_private(&metadata) {
        return Err(io::Error::other(format!("{} was swapped for another", directory.path().display())));
    }
    if !parent.contains(name, &metadata)? {
        return Err(busy(ANOTHER_RUN)); // It removed the directory before this run got the lock.
    }
    Ok(Staged { parent: parent.clone(), name: name.to_owned(), directory })
}
