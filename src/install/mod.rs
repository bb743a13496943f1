//! Putting a verified document in the place of a file, so that a reader sees the old one or the new one, whole and with
//! its owner and mode. Knows no network.

mod attributes;
mod staged;

use std::ffi::OsString;
use std::io::{self, ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use fs_err::os::unix::fs::OpenOptionsExt as _;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use sha2::{Digest, Sha256};

use self::attributes::Has;
pub use self::attributes::{Attributes, Wanted};
use self::staged::Staged;
use crate::document::{Checksum, Verified};
use crate::error::{Error, Result, Status};

/// As many symbolic links as the kernel follows.
const LINKS: usize = 40;

/// A file to be replaced, with symbolic links followed: the target of a link is replaced, not the link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    path: PathBuf,
    directory: PathBuf,
    name: OsString,
}

/// The file as it is now.
#[derive(Debug)]
pub struct Installed {
    /// Of its content; none where it is larger than any document may be.
    pub checksum: Option<Checksum>,
    has: Has,
    /// Open until the end: the kernel's work of freeing it stays out of the rename (measured: 15 us instead of 110).
    file: fs_err::File,
}

impl Target {
    /// Follows `path`. The file need not exist; its directory must.
    ///
    /// # Errors
    /// 73.
    pub fn resolve(path: &Path) -> Result<Target> {
        if path.as_os_str().as_bytes().ends_with(b"/") {
            return Err(Status::CannotWrite.error("that is a directory's name; give -f a file's"));
        }
        let mut path = std::path::absolute(path).map_err(|cause| cannot(&cause))?;
        for _ in 0..LINKS {
            let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
                return Err(Status::CannotWrite.error("that is no file's name; give -f one"));
            };
            let directory = fs_err::canonicalize(parent).map_err(|cause| match cause.kind() {
                ErrorKind::NotFound => Status::CannotWrite
                    .error(format!("the directory {} does not exist; create it first", parent.display())),
                _ => cannot(&cause),
            })?;
            let resolved = directory.join(name);
            match fs_err::read_link(&resolved) {
                Ok(link) => path = directory.join(link),
                Err(_) => return Ok(Target { name: name.to_owned(), path: resolved, directory }),
            }
        }
        Err(cannot(&Errno::ELOOP.into()))
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
        let mut options = fs_err::OpenOptions::new();
        options.read(true).custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits());
        let mut file = match options.open(&self.path) {
            Ok(file) => file,
            Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(unreadable(cause)),
        };
        let metadata = file.metadata().map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(Status::CannotWrite.error(format!(
                "{} is no regular file, and only such are replaced; name another with -f",
                self.path.display()
            )));
        }
        let checksum = if usize::try_from(metadata.len()).is_ok_and(|length| length <= largest) {
            Some(hash(&mut (&mut file).take(metadata.len())).map_err(unreadable)?)
        } else {
            None
        };
        Ok(Some(Installed { checksum, has: Has::of(&metadata), file }))
    }

    /// Takes away what a killed run left beside the file.
    ///
    /// # Errors
    /// 73, and 75 where another run is just writing it.
    pub fn sweep(&self) -> Result<()> {
        staged::sweep(&self.temporary()).map_err(|cause| cannot(&cause))
    }

    /// Puts the document in its place: a temporary file beside it, written, with owner and mode, on disk, then renamed,
    /// and that on disk too. Whatever fails, the target stays as it was and the temporary file goes.
    ///
    /// # Errors
    /// 73, and 75 where another run is just doing the same.
    pub fn replace(&self, document: &Verified, wanted: &Wanted, old: Option<&Installed>) -> Result<()> {
        let renamed = Staged::new(self.temporary()).and_then(|mut staged| {
            staged.fill(document, wanted, old.map(|old| &old.has))?;
            staged.rename(&self.path)
        });
        renamed.map_err(|cause| cannot(&cause))?;
        let synced = fs_err::File::open(&self.directory).and_then(|directory| directory.sync_all());
        match synced.map_err(|cause| (cause.kind(), cause)) {
            // Not to be had on this file system, or not for this user: then there is no more to be done.
            Ok(()) | Err((ErrorKind::InvalidInput | ErrorKind::Unsupported | ErrorKind::PermissionDenied, _)) => Ok(()),
            Err((_, cause)) => Err(Status::CannotWrite
                .error(format!("the file is in place, but may not survive a power loss: {cause}; look at the disk"))),
        }
    }

    /// Hidden, and with a name that logrotate, run-parts, dnsmasq and sudoers.d pass over.
    fn temporary(&self) -> PathBuf {
        let mut name = OsString::from(".");
        name.push(&self.name);
        name.push(".kvx~");
        self.directory.join(name)
    }
}

impl Installed {
    /// Whether owner and mode are as wanted.
    pub fn has(&self, wanted: &Wanted) -> bool {
        wanted.is_met_by(&self.has)
    }

    /// Gives it the owner and mode wanted; the content stays.
    ///
    /// # Errors
    /// 73.
    pub fn mend(&self, wanted: &Wanted) -> Result<()> {
        attributes::give(&self.file, wanted, Some(&self.has)).map_err(|cause| cannot(&cause))
    }
}

/// Of what was there at the look, should it grow.
fn hash(file: &mut impl Read) -> io::Result<Checksum> {
    let mut hash = Sha256::new();
    let mut buffer = [0; 32 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(Checksum::from_digest(hash.finalize().into())),
            n => hash.update(buffer.get(..n).unwrap_or_default()),
        }
    }
}

fn cannot(cause: &io::Error) -> Error {
    let remedy = match cause.kind() {
        ErrorKind::WouldBlock => return Status::TryAgain.error(format!("{cause}; try again")),
        ErrorKind::PermissionDenied => {
            "; this user must be allowed to write the directory, and nobody have made it immutable"
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "; make room",
        ErrorKind::InvalidFilename => "; use a shorter name, of 249 bytes at most",
        ErrorKind::ResourceBusy | ErrorKind::CrossesDevices => {
            "; it is mounted by itself (a bind mount?) and cannot be renamed over: mount its directory instead"
        }
        _ => "",
    };
    Status::CannotWrite.error(format!("the file cannot be replaced: {cause}{remedy}"))
}
