//! Putting a verified document in the place of a file, so that a reader sees the old one or the new one, whole and with
//! its owner and mode (but for `--in-place`, which says what it gives up). Knows no network.

mod attributes;
mod in_place;
mod labels;
mod parents;
mod replacement;
mod staged;

use std::ffi::OsString;
use std::fs::FileType;
use std::io::{self, ErrorKind, Read, Seek};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use fs_err::os::unix::fs::OpenOptionsExt as _;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use sha2::{Digest, Sha256};

use self::attributes::Has;
pub use self::attributes::{Attributes, Wanted};
pub use self::parents::Parents;
pub use self::replacement::{Placed, Replacement};
use crate::document::{Checksum, Size, Verified};
use crate::error::{Error, Result, Status};
use crate::path;

/// As many symbolic links as the kernel follows.
const LINKS: usize = 40;

/// How a file that is there is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// By another file, in one moment.
    Rename,
    /// `--in-place`: through the same file, for one that must stay the same.
    InPlace,
}

/// A file to be replaced, with symbolic links followed: the target of a link is replaced, not the link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    path: PathBuf,
    directory: PathBuf,
    name: OsString,
    parents: Parents,
}

/// The file as it is now.
#[derive(Debug)]
pub struct Installed {
    /// Of its content; none where it is larger than any document may be.
    pub checksum: Option<Checksum>,
    has: Has,
    /// In bytes, as it was at the look.
    length: u64,
    /// How many names (hard links) it has.
    names: u64,
    /// Open until the end: the kernel's work of freeing it stays out of the rename (measured: 15 us instead of 110).
    file: fs_err::File,
}

impl Target {
    /// Follows `path`. The file need not exist, and its directory only if nobody is to create it.
    ///
    /// # Errors
    /// 73.
    pub fn resolve(path: &Path, parents: Parents) -> Result<Target> {
        if path.as_os_str().as_bytes().ends_with(b"/") {
            return Err(Status::CannotWrite.error("that is a directory's name; give -f a file's"));
        }
        let mut path = std::path::absolute(path).map_err(|cause| cannot(&cause))?;
        for _ in 0..LINKS {
            let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
                return Err(Status::CannotWrite.error("that is no file's name; give -f one"));
            };
            let directory = parents.resolve(parent)?;
            let resolved = directory.join(name);
            match fs_err::read_link(&resolved) {
                Ok(link) => path = directory.join(link),
                // No link, or nothing at all.
                Err(cause) if matches!(cause.kind(), ErrorKind::InvalidInput | ErrorKind::NotFound) => {
                    return Ok(Target { name: name.to_owned(), path: resolved, directory, parents });
                }
                Err(cause) => return Err(cannot(&cause)),
            }
        }
        Err(cannot(&Errno::ELOOP.into()))
    }

    /// `path` itself, even if it is a link.
    fn itself(path: &Path) -> Result<Target> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(Status::CannotWrite.error("that is no file's name"));
        };
        let directory = Parents::MustExist.resolve(parent)?;
        let path = directory.join(name);
        Ok(Target { name: name.to_owned(), path, directory, parents: Parents::MustExist })
    }

    /// The canonical path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is there now; none where there is nothing. What is larger than `largest` is not read.
    ///
    /// # Errors
    /// 73 where it is no regular file or cannot be read.
    pub fn installed(&self, largest: usize) -> Result<Option<Installed>> {
        let unreadable = |cause: io::Error| {
            Status::CannotWrite
                .error(format!("what is there cannot be read: {cause}; run as a user who may, or move it away"))
        };
        match fs_err::symlink_metadata(&self.path) {
            Ok(metadata) => self.assert_regular(metadata.file_type())?, // To open a device may do something to it.
            Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(unreadable(cause)),
        }
        let mut options = fs_err::OpenOptions::new();
        options.read(true).custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits());
        let mut file = match options.open(&self.path) {
            Ok(file) => file,
            Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(unreadable(cause)),
        };
        let metadata = file.metadata().map_err(unreadable)?;
        self.assert_regular(metadata.file_type())?;
        let checksum = if usize::try_from(metadata.len()).is_ok_and(|length| length <= largest) {
            // Of what was there at the look, should it grow.
            Some(hash(&mut (&mut file).take(metadata.len())).map_err(unreadable)?)
        } else {
            None
        };
        Ok(Some(Installed { checksum, has: Has::of(&metadata), length: metadata.len(), names: metadata.nlink(), file }))
    }

    /// Takes away what a killed run left beside the file; says where it was.
    ///
    /// # Errors
    /// 73, and 75 where another run is just writing it.
    pub fn sweep(&self) -> Result<Option<PathBuf>> {
        let temporary = self.temporary();
        let was_there = staged::sweep(&temporary).map_err(|cause| cannot(&cause))?;
        Ok(was_there.then_some(temporary))
    }

    fn assert_regular(&self, is: FileType) -> Result<()> {
        let kind = match is {
            _ if is.is_file() => return Ok(()),
            _ if is.is_dir() => "a directory",
            _ if is.is_fifo() => "a FIFO",
            _ if is.is_socket() => "a socket",
            _ if is.is_symlink() => "a symbolic link that was not there a moment ago",
            _ => "a device",
        };
        Err(Status::CannotWrite.error(format!(
            "{} is {kind}, and only regular files are replaced; name another with -f",
            self.path.display()
        )))
    }

    /// Hidden, and with a name that logrotate, run-parts, dnsmasq and sudoers.d pass over.
    fn temporary(&self) -> PathBuf {
        let mut name = OsString::from(".");
        name.push(&self.name);
        name.push(".kvx~");
        self.directory.join(name)
    }
}

/// The canonical path of a file, by which it is remembered; as it is named, where its directory is gone.
pub fn path_of(file: &Path) -> PathBuf {
    Target::resolve(file, Parents::MustExist).map_or_else(|_| path::absolute(file), |target| target.path)
}

/// Writes a text of ours at `path`, with this mode, as a file is replaced; never through a link, which somebody may have
/// put there to have another file written over.
///
/// # Errors
/// 73, and 75 where somebody else is just doing the same.
pub fn write_note(path: &Path, text: &str, mode: u32) -> Result<()> {
    let write = || {
        let target = Target::itself(path)?;
        let wanted = Attributes { mode: Some(mode), ..Attributes::default() }.look_up()?;
        target.sweep()?;
        let document = Verified::ours(text.into());
        Replacement::prepare(&target, &document, &wanted, None, Manner::Rename)?.put()?.onto_disk()
    };
    write().map_err(|error| error.of(path.display()))
}

impl Installed {
    /// Whether owner and mode are as wanted.
    pub fn has(&self, wanted: &Wanted) -> bool {
        wanted.is_met_by(&self.has)
    }

    /// How owner and mode are otherwise than wanted, for people.
    pub fn drift(&self, wanted: &Wanted) -> Option<String> {
        wanted.difference(&self.has)
    }

    /// Gives it the owner and mode wanted; the content stays.
    ///
    /// # Errors
    /// 73.
    pub fn mend(&self, wanted: &Wanted) -> Result<()> {
        let given = attributes::give_owner(&self.file, wanted, Some(&self.has))
            .and_then(|()| attributes::give_mode(&self.file, wanted, Some(&self.has)));
        given.map_err(|cause| cannot(&cause))
    }

    /// Its other names (hard links), which keep what it was when it is replaced by another file.
    pub fn other_names(&self) -> u64 {
        self.names.saturating_sub(1)
    }

    /// How large it is. Of one that no document may be as large as, the lines are not counted.
    ///
    /// # Errors
    /// 73 where it cannot be read any more.
    pub fn size(&self) -> Result<Size> {
        let mut size = Size::default();
        if self.checksum.is_none() {
            return Ok(Size::of_bytes(self.length));
        }
        let mut file = &self.file;
        let read = file.rewind().and_then(|()| each_piece(&mut file.take(self.length), |piece| size.add(piece)));
        read.map_err(|cause| cannot(&cause))?;
        Ok(size)
    }

    /// Puts on disk what may not be there yet, as after a run that died.
    ///
    /// # Errors
    /// 73.
    pub fn sync(&self, target: &Target) -> Result<()> {
        let synced = self.file.sync_all().and_then(|()| parents::sync(&target.directory));
        synced.map_err(|cause| replacement::not_on_disk(&cause))
    }
}

fn hash(file: &mut impl Read) -> io::Result<Checksum> {
    let mut hash = Sha256::new();
    each_piece(file, |piece| hash.update(piece))?;
    Ok(Checksum::from_digest(hash.finalize().into()))
}

fn each_piece(file: &mut impl Read, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    let mut buffer = [0; 8 * 1024]; // Each page of it costs more than a system call.
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(()),
            n => take(buffer.get(..n).unwrap_or_default()),
        }
    }
}

fn cannot(cause: &io::Error) -> Error {
    let remedy = match cause.kind() {
        ErrorKind::WouldBlock => return Status::TryAgain.error(format!("{cause}; run it again")),
        ErrorKind::PermissionDenied => {
            "; this user must be allowed to write the directory, and nobody have made it immutable"
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "; make room",
        ErrorKind::FileTooLarge => "; raise the limit of file sizes (ulimit -f, LimitFSIZE=)",
        ErrorKind::ExecutableFileBusy => "; it is a program that runs: end it first, or leave --in-place",
        ErrorKind::NotADirectory => "; it is in what is no directory: give -f another path",
        ErrorKind::ReadOnlyFilesystem => "; its file system must be writable",
        ErrorKind::InvalidFilename => "; use a shorter name, of 249 bytes at most",
        ErrorKind::ResourceBusy | ErrorKind::CrossesDevices => {
            "; it is mounted by itself (a bind mount?) and cannot be renamed over: mount its directory instead, or write through it with --in-place"
        }
        _ => "",
    };
    Status::CannotWrite.error(format!("the file cannot be replaced: {cause}{remedy}"))
}
