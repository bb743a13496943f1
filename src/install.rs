//! Putting a verified document in the place of a file, so that a reader sees the old one or the new one, whole and with
//! its owner and mode. Knows no network.

use std::ffi::OsString;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use fs_err::os::unix::fs::OpenOptionsExt as _;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::{Gid, Group, Uid, User, fchown};
use sha2::{Digest, Sha256};

use crate::document::{Checksum, Verified};
use crate::error::{Error, Result, Status};

/// Of a new file for which nothing is said.
const NEW_MODE: u32 = 0o640;
/// As many symbolic links as the kernel follows.
const LINKS: usize = 40;

/// What is wanted of the file besides its content; what is not said stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// `-c`: permission bits.
    pub mode: Option<u32>,
    /// `-o`: the user, by name or number.
    pub user: Option<String>,
    /// `-o user:group`.
    pub group: Option<String>,
}

/// Attributes with names looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    mode: Option<u32>,
    user: Option<Uid>,
    group: Option<Gid>,
}

impl Attributes {
    /// Looks up the names.
    ///
    /// # Errors
    /// 78 where this machine does not know one.
    pub fn look_up(&self) -> Result<Wanted> {
        let unknown = |kind: &str, name: &str| {
            Status::Configuration
                .error(format!("-o: there is no {kind} \"{name}\" on this machine; create it or name another"))
        };
        let user = self.user.as_deref().map(|name| match name.parse() {
            Ok(number) => Ok(Uid::from_raw(number)),
            Err(_) => User::from_name(name).ok().flatten().map(|user| user.uid).ok_or_else(|| unknown("user", name)),
        });
        let group = self.group.as_deref().map(|name| match name.parse() {
            Ok(number) => Ok(Gid::from_raw(number)),
            Err(_) => {
                Group::from_name(name).ok().flatten().map(|group| group.gid).ok_or_else(|| unknown("group", name))
            }
        });
        Ok(Wanted { mode: self.mode, user: user.transpose()?, group: group.transpose()? })
    }
}

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
    /// Of its content.
    pub checksum: Checksum,
    mode: u32,
    user: Uid,
    group: Gid,
    /// Open until the end: the kernel's work of freeing it stays out of the rename (measured: 15 us instead of 110).
    file: fs_err::File,
}

impl Target {
    /// Follows `path`. The file need not exist; its directory must.
    ///
    /// # Errors
    /// 73.
    pub fn resolve(path: &Path) -> Result<Target> {
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

    /// What is there now; none where there is nothing.
    ///
    /// # Errors
    /// 73 where it is no regular file or cannot be read.
    pub fn installed(&self) -> Result<Option<Installed>> {
        let mut options = fs_err::OpenOptions::new();
        options.read(true).custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits());
        let mut file = match options.open(&self.path) {
            Ok(file) => file,
            Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(cannot(&cause)),
        };
        let metadata = file.metadata().map_err(|cause| cannot(&cause))?;
        if !metadata.is_file() {
            return Err(Status::CannotWrite.error(format!(
                "{} is no regular file, and only such are replaced; name another with -f",
                self.path.display()
            )));
        }
        Ok(Some(Installed {
            checksum: hash(&mut file).map_err(|cause| cannot(&cause))?,
            mode: metadata.mode() & 0o7777,
            user: Uid::from_raw(metadata.uid()),
            group: Gid::from_raw(metadata.gid()),
            file,
        }))
    }

    /// Puts the document in its place: a temporary file beside it, written, with owner and mode, on disk, then renamed,
    /// and that on disk too. Whatever fails, the target stays as it was and the temporary file goes.
    ///
    /// To be called under the file's lock: the temporary file's name is fixed, so that a killed run's is found again.
    ///
    /// # Errors
    /// 73.
    pub fn replace(&self, document: &Verified, wanted: &Wanted, old: Option<&Installed>) -> Result<()> {
        let temporary = self.temporary();
        remove(&temporary).map_err(|cause| cannot(&cause))?;
        let done = stage(&temporary, document, wanted, old).and_then(|()| fs_err::rename(&temporary, &self.path));
        if let Err(cause) = done {
            drop(remove(&temporary));
            return Err(cannot(&cause));
        }
        let synced = fs_err::File::open(&self.directory).and_then(|directory| directory.sync_all());
        synced.map_err(|cause| {
            Status::CannotWrite.error(format!("it is replaced, but may not survive a power loss: {cause}"))
        })
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
        wanted.mode.is_none_or(|mode| mode == self.mode)
            && wanted.user.is_none_or(|user| user == self.user)
            && wanted.group.is_none_or(|group| group == self.group)
    }

    /// Gives it the owner and mode wanted; the content stays.
    ///
    /// # Errors
    /// 73.
    pub fn mend(&self, wanted: &Wanted) -> Result<()> {
        own(&self.file, wanted, Some(self)).map_err(|cause| cannot(&cause))
    }
}

fn stage(temporary: &Path, document: &Verified, wanted: &Wanted, old: Option<&Installed>) -> io::Result<()> {
    let mut options = fs_err::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).custom_flags(OFlag::O_NOFOLLOW.bits());
    let mut file = options.open(temporary)?;
    file.write_all(document.bytes())?;
    own(&file, wanted, old)?;
    file.sync_all()
}

/// Owner first: changing it takes setuid bits away. A new owner never sees a mode that was meant for another.
fn own(file: &fs_err::File, wanted: &Wanted, old: Option<&Installed>) -> io::Result<()> {
    let is = file.metadata()?;
    let user = wanted.user.or(old.map(|old| old.user)).filter(|user| user.as_raw() != is.uid());
    let group = wanted.group.or(old.map(|old| old.group)).filter(|group| group.as_raw() != is.gid());
    if user.is_some() || group.is_some() {
        fchown(file, user, group).map_err(|errno| {
            let cause = io::Error::from(errno);
            io::Error::new(
                cause.kind(),
                format!(
                    "its owner cannot be set: {cause}; run as root, or name with -o whom this user may give files to"
                ),
            )
        })?;
    }
    let mode = wanted.mode.or(old.map(|old| old.mode)).unwrap_or(NEW_MODE);
    if file.metadata()?.mode() & 0o7777 != mode {
        file.set_permissions(std::fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    match fs_err::remove_file(path) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => Err(cause),
        _ => Ok(()),
    }
}

fn hash(file: &mut fs_err::File) -> io::Result<Checksum> {
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
        ErrorKind::PermissionDenied => "; this user must be allowed to write the directory",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "; make room",
        ErrorKind::ResourceBusy | ErrorKind::CrossesDevices => {
            "; it is mounted by itself (a bind mount?) and cannot be renamed over: mount its directory instead"
        }
        _ => "",
    };
    Status::CannotWrite.error(format!("the file cannot be replaced: {cause}{remedy}"))
}
