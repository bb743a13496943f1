//! Where a file is locked on this node: a marker next to it.
//!
//! Ours is a hidden directory, `.NAME.lock`, with the reason in it: programs that read every file of a directory as their
//! configuration (nginx, dnsmasq, logrotate, run-parts) read neither. kvexpress's `FILE.locked` counts, too.

//!
//! All is done relative to the open directory of the file as it is named, and no link is followed. Where every user can create
//! files, only a marker counts that no other user can have put there: a directory that only this user, or root, can write. (To move
//! a directory elsewhere, one must be able to write it; a file only needs its directory.)

use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{FileStat, Mode, SFlag};

use crate::error::{Error, Result, Status};
use crate::install::{self, OpenDirectory, Parents, Target, failed};
use crate::layout::marker::NO_REASON;
use crate::util::{ownership, path, text};

/// Of a marker's text, this much is read.
const LARGEST: u64 = 4096;
/// Before the reason.
const REASON: &str = "Reason Locked: ";
/// The file with the reason, in our marker.
const NAME: &str = "reason";
/// Everyone may read why.
const DIRECTORY_MODE: u32 = 0o755;
const FILE_MODE: u32 = 0o644;
const CANNOT_LOCK: &str = "the file cannot be locked by a marker next to it";

/// What has a longer name cannot be installed: `.NAME.kvx~` may have 255 bytes.
const LONGEST_INSTALLED: usize = 249;
/// A file of a longer name has no `FILE.locked`: `.NAME.locked.kvx~` may have 255 bytes.
const LONGEST_NAME: usize = 242;

/// The file as it is named, in its open directory; none where that directory does not exist.
///
/// # Errors
/// 73 where its directory cannot be entered, or only by a link that must not be followed.
pub fn place(file: &Path) -> Result<Option<Target>> {
    let file = path::absolute(file);
    let is_gone = |above: &Path| above.metadata().is_err_and(|cause| cause.kind() == ErrorKind::NotFound);
    match Target::itself(&file, Parents::MustExist) {
        Err(_) if file.parent().is_some_and(is_gone) => Ok(None),
        target => target.map(Some),
    }
}

/// A file that cannot be locked by a marker, since its directory does not exist.
pub fn has_no_directory(file: &Path) -> Error {
    let cause = io::Error::from(Errno::ENOENT);
    let marker = file.with_file_name(hidden(file.file_name().unwrap_or_default()));
    cannot(CANNOT_LOCK, &io::Error::new(ErrorKind::NotFound, format!("{}: {cause}", marker.display())))
}

/// Our marker of a file of this name. Any that can be installed has room for it: `.NAME.kvx~` is as long.
fn hidden(name: &OsStr) -> OsString {
    [OsStr::new("."), name, OsStr::new(".lock")].into_iter().collect()
}

/// kvexpress's.
fn visible(file: &Target) -> OsString {
    let mut name = file.name().to_owned();
    name.push(".locked");
    name
}

/// What stands in a marker: which program unlocks the file, how, and why it is locked.
pub fn text(file: &Path, program: &str, reason: &str) -> String {
    let file = file.to_string_lossy();
    let (shown, word, reason) = (text::line(&file), text::quoted(&file), text::line(reason));
    format!(
        "To unlock '{shown}' and allow {program} to write again:\n\nsudo {program} unlock -f {word}\n\n{REASON}{reason}\n\n"
    )
}

/// Why a file is locked, and where that stands; none where there is no marker.
///
/// # Errors
/// 73 where there is a marker that cannot be read: somebody has set it, so it is not taken for absent.
pub fn reason(file: &Target) -> Result<Option<String>> {
    let Some(directory) = file.directory()? else { return Ok(None) };
    let unreadable = |cause: io::Error| cannot("its lock cannot be read", &cause);
    let (hidden, visible) = (hidden(file.name()), visible(file));
    let (read, marker) = if is_ours(&directory, &hidden).map_err(unreadable)? {
        (directory.enter(&hidden).and_then(|marker| read_in(&marker, NAME.as_ref())), hidden)
    } else if is_of_kvexpress(&directory, &visible).map_err(unreadable)? {
        (read_in(&directory, &visible), visible)
    } else {
        return Ok(None);
    };
    let why = match read {
        Err(cause) if cause.kind() == ErrorKind::NotFound => NO_REASON.into(), // The directory alone is a marker.
        why => why.map_err(unreadable)?,
    };
    Ok(Some(format!("{why} ({})", directory.path().join(marker).display())))
}

/// Makes our marker. From its first step on, the directory, the file is locked.
///
/// # Errors
/// 73, also where something else has its name. Then there is no marker that was not there before.
pub fn lock(file: &Target, text: &str) -> Result<()> {
    let failed = |cause: io::Error| cannot(CANNOT_LOCK, &cause);
    let directory = file.directory()?.ok_or_else(|| has_no_directory(file.path()))?;
    let name = hidden(file.name());
    let (marker, is_new) = match directory.make(&name, DIRECTORY_MODE) {
        Err(cause) if cause.kind() == ErrorKind::AlreadyExists => (directory.enter(&name), false),
        made => (made, true),
    };
    marker.and_then(|marker| write(&marker, &directory, text)).map_err(|cause| {
        if is_new {
            drop(remove(&directory, &name));
        }
        failed(cause)
    })
}

/// Makes kvexpress's marker, of this mode; or ours, where that has no room for its name, or does not count.
///
/// # Errors
/// 73; 75 where somebody else is just doing the same.
pub fn lock_visibly(file: &Target, text: &str, mode: u32) -> Result<()> {
    let is_open_to_all = match file.directory()? {
        Some(directory) => directory.is_open_to_all().map_err(|cause| cannot(CANNOT_LOCK, &cause))?,
        None => false,
    };
    if is_open_to_all || file.name().len() > LONGEST_NAME {
        return lock(file, text);
    }
    install::write_note(&file.neighbour(visible(file)), text, mode)
}

/// Whether the name of a file is too long for our marker, and so for any that could be installed.
pub fn is_nameless(file: &Path) -> bool {
    file.file_name().is_some_and(|name| name.len() > LONGEST_INSTALLED)
}

/// Takes the markers away, ours last.
///
/// # Errors
/// One cannot be removed: the file stays locked.
pub fn unlock(file: &Target) -> Result<()> {
    let Some(directory) = file.directory()? else { return Ok(()) };
    let (hidden, visible) = (hidden(file.name()), visible(file));
    let unlock = || {
        // Where it does not count, one of this user's is from other times.
        let is_left = |is: FileStat| kind_of(&is) == SFlag::S_IFREG && ownership::is_ours_by(is.st_uid);
        if is_of_kvexpress(&directory, &visible)? || directory.look_at(&visible)?.is_some_and(is_left) {
            directory.remove(&visible)?;
        }
        if is_ours(&directory, &hidden)? { remove(&directory, &hidden) } else { Ok(()) }
    };
    unlock().map_err(|cause| Status::CannotWrite.error(format!("{cause}; run as a user who may remove it")))
}

/// Whether there is a marker of ours that counts. What is not a directory is somebody else's file, and no marker.
fn is_ours(directory: &OpenDirectory, name: &OsStr) -> io::Result<bool> {
    let Some(is) = directory.look_at(name)? else { return Ok(false) };
    let is_directory = kind_of(&is) == SFlag::S_IFDIR;
    Ok(is_directory && (!directory.is_open_to_all()? || ownership::is_private(is.st_uid, is.st_mode)))
}

fn kind_of(is: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(is.st_mode) & SFlag::S_IFMT
}

/// Whether there is one of kvexpress's that counts.
fn is_of_kvexpress(directory: &OpenDirectory, name: &OsStr) -> io::Result<bool> {
    Ok(directory.look_at(name)?.is_some() && !directory.is_open_to_all()?)
}

/// Why, as a regular file in this directory says.
fn read_in(directory: &OpenDirectory, name: &OsStr) -> io::Result<String> {
    let opened = directory.open(name, OFlag::O_RDONLY, Mode::empty());
    let file = opened.map_err(|errno| failed("open file", &directory.path().join(name), errno))?;
    match file.metadata()?.is_file() {
        true => read(file),
        false => Err(io::Error::other(format!("{} is not a regular file", file.path().display()))),
    }
}

fn read(file: impl Read) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.take(LARGEST).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let reason = text::excerpt(text.lines().find_map(|line| line.strip_prefix(REASON)).unwrap_or(&text));
    Ok(if reason.is_empty() { NO_REASON.into() } else { reason })
}

/// Writes the reason into a marker that is open; into none that another user has made, or could have filled.
fn write(marker: &OpenDirectory, above: &OpenDirectory, text: &str) -> io::Result<()> {
    let is = marker.metadata()?;
    if !ownership::is_ours(&is) {
        return Err(io::Error::other(format!("{} belongs to another user ({})", marker.path().display(), is.uid())));
    }
    if above.is_open_to_all()? && ownership::is_shared(&is) {
        return Err(io::Error::other(format!("other users can write {}", marker.path().display())));
    }
    if marker.is_empty()? {
        marker.drop_acls()?;
        marker.set_mode(DIRECTORY_MODE)?; // Whatever the umask is.
    }
    remove_reason(marker)?;
    let mut reason = marker.create(NAME.as_ref())?;
    reason.write_all(text.as_bytes())?;
    reason.set_permissions(PermissionsExt::from_mode(FILE_MODE))?;
    reason.sync_all()?;
    marker.sync()?;
    above.sync()
}

fn remove(directory: &OpenDirectory, name: &OsStr) -> io::Result<()> {
    remove_reason(&directory.enter(name)?)?;
    directory.remove_directory(name)
}

fn remove_reason(marker: &OpenDirectory) -> io::Result<()> {
    match marker.remove(NAME.as_ref()) {
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn cannot(what: &str, cause: &io::Error) -> Error {
    let remedy = match cause.kind() {
        ErrorKind::PermissionDenied => "; run as a user who may",
        ErrorKind::NotADirectory | ErrorKind::Other => "; move it away",
        ErrorKind::NotFound => "; its directory does not exist",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "; make room",
        _ => "",
    };
    Status::CannotWrite.error(format!("{what}: {cause}{remedy}"))
}
