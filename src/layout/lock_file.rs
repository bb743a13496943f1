//! Where a file is locked on this node: a marker next to it.
//!
//! Ours is a hidden directory, `.NAME.lock`, with the reason in it: programs that read every file of a directory as their
//! configuration (nginx, dnsmasq, logrotate, run-parts) read neither. kvexpress's `FILE.locked` counts, too.

use std::ffi::OsString;
use std::fs::{DirBuilder, File, Metadata, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use fs_err::os::unix::fs::OpenOptionsExt as _;
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};

use crate::error::{Error, Result, Status};
use crate::layout::marker::NO_REASON;
use crate::util::{open, ownership, path, text};

/// Of a marker's text, this much is read.
const LARGEST: u64 = 4096;
/// Before the reason.
const REASON: &str = "Reason Locked: ";
/// The file with the reason, in our marker.
const NAME: &str = "reason";
/// Everyone may read why.
const DIRECTORY_MODE: u32 = 0o755;
const FILE_MODE: u32 = 0o644;

/// A file of a longer name has no `FILE.locked`: `.NAME.locked.kvx~` may have 255 bytes.
const LONGEST_NAME: usize = 242;

/// Our marker of a file. Any that can be installed has room for it: `.NAME.kvx~` is as long.
pub fn hidden(file: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(file.file_name().unwrap_or_default());
    name.push(".lock");
    file.with_file_name(name)
}

/// kvexpress's.
pub fn visible(file: &Path) -> PathBuf {
    path::with(file, ".locked")
}

/// Whether the name of a file leaves room for kvexpress's marker, and for that while it is written.
pub fn has_room(file: &Path) -> bool {
    file.file_name().is_none_or(|name| name.len() <= LONGEST_NAME)
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
pub fn reason(file: &Path) -> Result<Option<String>> {
    let (hidden, visible) = (hidden(file), visible(file));
    let unreadable = |cause: io::Error| cannot("its lock cannot be read", &cause);
    let (read, marker) = if is_ours(&hidden).map_err(unreadable)? {
        (open::directory(&hidden).and_then(|marker| read_in(&marker)), hidden)
    } else if is_there(&visible).map_err(unreadable)? {
        (open::regular(&visible).and_then(read), visible)
    } else {
        return Ok(None);
    };
    let why = match read {
        Err(cause) if cause.kind() == ErrorKind::NotFound => NO_REASON.into(), // The directory alone is a marker.
        why => why.map_err(unreadable)?,
    };
    Ok(Some(format!("{why} ({})", marker.display())))
}

/// Makes our marker. From its first step on, the directory, the file is locked.
///
/// # Errors
/// 73, also where something else has its name. Then there is no marker that was not there before.
pub fn lock(file: &Path, text: &str) -> Result<()> {
    let marker = hidden(file);
    let failed = |cause: io::Error| cannot("the file cannot be locked", &cause);
    let is_new = match DirBuilder::new().mode(DIRECTORY_MODE).create(&marker) {
        Err(cause) if cause.kind() == ErrorKind::AlreadyExists => false,
        Err(cause) => return Err(failed(io::Error::new(cause.kind(), format!("{}: {cause}", marker.display())))),
        Ok(()) => true,
    };
    write(&marker, text).map_err(|cause| {
        if is_new {
            drop(remove(&marker));
        }
        failed(cause)
    })
}

/// Takes the markers away, ours last.
///
/// # Errors
/// One cannot be removed: the file stays locked.
pub fn unlock(file: &Path) -> io::Result<()> {
    let (hidden, visible) = (hidden(file), visible(file));
    if is_there(&visible)? {
        fs_err::remove_file(&visible)?;
    }
    if is_ours(&hidden)? { remove(&hidden) } else { Ok(()) }
}

/// Whether there is a marker that counts. In a directory that every user may write, that of a stranger does not.
fn is_there(marker: &Path) -> io::Result<bool> {
    there(marker).map(|there| there.is_some())
}

/// The same of ours: what is not a directory is somebody else's file, and no marker.
fn is_ours(marker: &Path) -> io::Result<bool> {
    there(marker).map(|there| there.is_some_and(|there| there.is_dir()))
}

fn there(marker: &Path) -> io::Result<Option<Metadata>> {
    let there = match fs_err::symlink_metadata(marker) {
        // With a name too long to be there, surely, too.
        Err(cause) if matches!(cause.kind(), ErrorKind::NotFound | ErrorKind::InvalidFilename) => return Ok(None),
        there => there?,
    };
    let directory = fs_err::metadata(directory_of(marker))?;
    let counts = ownership::counts(&there, &directory);
    Ok(counts.then_some(there))
}

fn directory_of(marker: &Path) -> &Path {
    marker.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn read_in(marker: &fs_err::File) -> io::Result<String> {
    let file = File::from(openat(marker, NAME, OFlag::O_CLOEXEC | open::CAREFULLY, Mode::empty())?);
    let is_file = file.metadata()?.is_file();
    if is_file { read(file) } else { Err(io::Error::other("its reason is not a regular file")) }
}

fn read(file: impl Read) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.take(LARGEST).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let reason = text::excerpt(text.lines().find_map(|line| line.strip_prefix(REASON)).unwrap_or(&text));
    Ok(if reason.is_empty() { NO_REASON.into() } else { reason })
}

/// Only what is reached by the open directory is written: its name may lead elsewhere by now.
fn write(marker: &Path, text: &str) -> io::Result<()> {
    let directory = open::directory(marker)?;
    if !is_ours(marker)? {
        return Err(io::Error::other(format!("{} belongs to another user", marker.display())));
    }
    if open::is_empty(&directory)? {
        directory.set_permissions(Permissions::from_mode(DIRECTORY_MODE))?; // Whatever the umask is.
    }
    remove_reason(&directory)?;
    let create = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC | open::CAREFULLY;
    let mut reason = File::from(openat(&directory, NAME, create, Mode::S_IRUSR | Mode::S_IWUSR)?);
    reason.write_all(text.as_bytes())?;
    reason.set_permissions(Permissions::from_mode(FILE_MODE))?;
    reason.sync_all()?;
    directory.sync_all()?;
    let mut above = fs_err::OpenOptions::new();
    above.read(true).custom_flags(OFlag::O_DIRECTORY.bits()).open(directory_of(marker))?.sync_all()
}

fn remove(marker: &Path) -> io::Result<()> {
    remove_reason(&open::directory(marker)?)?;
    fs_err::remove_dir(marker)
}

fn remove_reason(marker: &fs_err::File) -> io::Result<()> {
    match unlinkat(marker, NAME, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
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
