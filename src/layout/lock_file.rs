//! The marker that locks a file on this node, next to the file.
//!
//! kvx creates a hidden directory, `.NAME.lock`, with the reason in it. Programs that read every file of a directory as
//! configuration (nginx, dnsmasq, logrotate, run-parts) do not read it. kvx also respects kvexpress's `FILE.locked`.
//!
//! All operations are relative to the open directory of the file at the given path, and follow no link. In a directory
//! where every user can create files, only a marker that no other user can have created counts: a directory that only
//! this user or root can write. (To move a directory elsewhere, a user must be able to write it; to move a file, only
//! its directory.)

use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{FileStat, Mode, SFlag};

use crate::error::{Error, Result, Status};
use crate::install::{self, OpenDirectory, Parents, Target, failed};
use crate::layout::lock_directory::{self, DIRECTORY_MODE, REASON_FILE};
use crate::layout::lock_reason;
use crate::layout::marker::NO_REASON;
use crate::util::{ownership, path};

const CANNOT_LOCK: &str = "the file cannot be locked by a marker next to it";

/// Maximum length of a file's name, since `.NAME.kvx~` may have 255 bytes.
const MAX_NAME: usize = 249;
/// Maximum length for `FILE.locked`, since `.NAME.locked.kvx~` may have 255 bytes.
const MAX_VISIBLE_NAME: usize = 242;

/// The file at this path, without following a link. `None` if its directory does not exist.
///
/// # Errors
/// 73 if its directory cannot be opened, or is behind a link that must not be followed.
pub fn locate(file: &Path) -> Result<Option<Target>> {
    let file = path::absolute(file)?;
    let is_missing = |directory: &Path| directory.metadata().is_err_and(|cause| cause.kind() == ErrorKind::NotFound);
    match Target::without_following(&file, Parents::MustExist) {
        Err(_) if file.parent().is_some_and(is_missing) => Ok(None),
        target => target.map(Some),
    }
}

/// The error for a file that has no marker because its directory does not exist.
pub fn missing_directory(file: &Path) -> Error {
    let cause = io::Error::from(Errno::ENOENT);
    let marker = file.with_file_name(hidden_name(file.file_name().unwrap_or_default()));
    cannot(CANNOT_LOCK, &io::Error::new(ErrorKind::NotFound, format!("{}: {cause}", marker.display())))
}

/// The name of kvx's marker. It is never too long for a file that can be installed: `.NAME.kvx~` has the same length.
fn hidden_name(name: &OsStr) -> OsString {
    [OsStr::new("."), name, OsStr::new(".lock")].into_iter().collect()
}

/// The name of kvexpress's marker.
fn visible_name(file: &Target) -> OsString {
    let mut name = file.name().to_owned();
    name.push(".locked");
    name
}

/// The reason of a lock, and the marker's path. `None` if there is no marker.
///
/// # Errors
/// 73 if a marker exists but cannot be read: the file counts as locked.
pub fn reason(file: &Target) -> Result<Option<String>> {
    let Some(directory) = file.directory()? else { return Ok(None) };
    let unreadable = |cause: io::Error| cannot("its lock cannot be read", &cause);
    let (hidden, visible) = (hidden_name(file.name()), visible_name(file));
    let (read, marker) = if has_kvx_marker(&directory, &hidden).map_err(unreadable)? {
        (directory.enter(&hidden).and_then(|marker| read_reason(&marker, REASON_FILE.as_ref())), hidden)
    } else if has_kvexpress_marker(&directory, &visible).map_err(unreadable)? {
        (read_reason(&directory, &visible), visible)
    } else {
        return Ok(None);
    };
    let reason = match read {
        // The directory locks the file even without a reason.
        Err(cause) if cause.kind() == ErrorKind::NotFound => NO_REASON.into(),
        reason => reason.map_err(unreadable)?,
    };
    Ok(Some(format!("{reason} ({})", directory.path().join(marker).display())))
}

/// Creates `.NAME.lock`. The file is locked as soon as the directory exists, before the reason is written.
///
/// # Errors
/// 73, also if another file has that name. A new marker is removed again.
pub fn lock(file: &Target, text: &str) -> Result<()> {
    let failed = |cause: io::Error| cannot(CANNOT_LOCK, &cause);
    let directory = file.directory()?.ok_or_else(|| missing_directory(file.path()))?;
    let name = hidden_name(file.name());
    let (marker, is_new) = match directory.create_directory(&name, DIRECTORY_MODE) {
        Err(cause) if cause.kind() == ErrorKind::AlreadyExists => (directory.enter(&name), false),
        created => (created, true),
    };
    marker.and_then(|marker| lock_directory::write(&marker, is_new, &directory, text)).map_err(|cause| {
        if is_new {
            drop(lock_directory::remove(&directory, &name));
        }
        failed(cause)
    })
}

/// Creates kvexpress's `FILE.locked` with this mode. Creates `.NAME.lock` instead if that name is too long, or if every
/// user can write the directory, where `FILE.locked` does not count.
///
/// # Errors
/// 73; 75 if another run is writing the same marker.
pub fn lock_visibly(file: &Target, text: &str, mode: u32) -> Result<()> {
    let is_open_to_all = match file.directory()? {
        Some(directory) => directory.is_open_to_all().map_err(|cause| cannot(CANNOT_LOCK, &cause))?,
        None => false,
    };
    if is_open_to_all || file.name().len() > MAX_VISIBLE_NAME {
        return lock(file, text);
    }
    install::write_note(&file.sibling(visible_name(file)), text, mode)
}

/// Whether the file's name is too long for the marker. Such a file cannot be installed either.
pub fn is_name_too_long(file: &Path) -> bool {
    file.file_name().is_some_and(|name| name.len() > MAX_NAME)
}

/// Removes both markers, `.NAME.lock` last.
///
/// # Errors
/// 73 if one cannot be removed: the file stays locked.
pub fn unlock(file: &Target) -> Result<()> {
    let Some(directory) = file.directory()? else { return Ok(()) };
    let (hidden, visible) = (hidden_name(file.name()), visible_name(file));
    let unlock = || {
        // Where `FILE.locked` does not count, one of this user is a leftover from before the directory was opened to
        // all.
        let is_leftover = |stat: FileStat| kind_of(&stat) == SFlag::S_IFREG && ownership::is_our_uid(stat.st_uid);
        if has_kvexpress_marker(&directory, &visible)? || directory.stat(&visible)?.is_some_and(is_leftover) {
            directory.remove(&visible)?;
        }
        if has_kvx_marker(&directory, &hidden)? { lock_directory::remove(&directory, &hidden) } else { Ok(()) }
    };
    unlock().map_err(|cause| cannot("its marker cannot be removed", &cause))
}

/// Whether a `.NAME.lock` exists and counts. If it is not a directory, another program created it, and it is not a
/// marker.
fn has_kvx_marker(directory: &OpenDirectory, name: &OsStr) -> io::Result<bool> {
    let Some(stat) = directory.stat(name)? else { return Ok(false) };
    let is_directory = kind_of(&stat) == SFlag::S_IFDIR;
    Ok(is_directory && (!directory.is_open_to_all()? || ownership::is_private(stat.st_uid, stat.st_mode)))
}

fn kind_of(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT
}

/// Whether a `FILE.locked` exists and counts.
fn has_kvexpress_marker(directory: &OpenDirectory, name: &OsStr) -> io::Result<bool> {
    Ok(directory.stat(name)?.is_some() && !directory.is_open_to_all()?)
}

/// Reads the reason from a regular file in this directory.
fn read_reason(directory: &OpenDirectory, name: &OsStr) -> io::Result<String> {
    let opened = directory.open(name, OFlag::O_RDONLY, Mode::empty());
    let file = opened.map_err(|errno| failed("open file", &directory.path().join(name), errno))?;
    match file.metadata()?.is_file() {
        true => lock_reason::read(file),
        false => Err(io::Error::other(format!("{} is not a regular file", file.path().display()))),
    }
}

fn cannot(what: &str, cause: &io::Error) -> Error {
    let remedy = match cause.kind() {
        ErrorKind::PermissionDenied => "; run as a user who may",
        ErrorKind::NotADirectory | ErrorKind::IsADirectory | ErrorKind::DirectoryNotEmpty | ErrorKind::Other => {
            "; move it away"
        }
        ErrorKind::NotFound => "; its directory does not exist",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "; make room",
        _ => "",
    };
    Status::CannotWrite.error(format!("{what}: {cause}{remedy}"))
}
