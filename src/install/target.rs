//! The file to install: its resolved path, and the file that is installed there now.

use std::ffi::{OsStr, OsString};
use std::fs::Metadata;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, SFlag};

use super::directory::{OpenDirectory, failed};
use super::link::{self, Followed, LinkRestriction};
use super::resolve::{self, ResolvedDirectory};
use super::{Installed, Parents, cannot_replace, hash, temporary};
use crate::error::{Error, Result, Status};
use crate::util::path;

/// A file to replace. Symbolic links are resolved: kvx replaces the destination of a link, not the link.
#[derive(Clone, Debug)]
pub struct Target {
    path: PathBuf,
    name: OsString,
    resolved: ResolvedDirectory,
    /// The link, if the given path is one.
    named: Option<Rc<Target>>,
}

impl Target {
    /// Resolves `path`, and follows links. The file need not exist; its directory must, unless kvx is to create it.
    ///
    /// # Errors
    /// 73.
    pub fn resolve(path: &Path, parents: Parents) -> Result<Target> {
        if path.as_os_str().as_bytes().ends_with(b"/") {
            return Err(Status::CannotWrite.error("that is a directory's name; give -f a file's"));
        }
        let mut path = path::absolute(path)?;
        let (mut followed, mut named) = (Followed::default(), None);
        loop {
            let target = Target::at(&path, parents, &mut followed)?;
            let directory = target.directory()?;
            let link = directory.as_ref().map(|directory| link::read(directory, &target.name)).transpose()?;
            match (directory, link.flatten()) {
                (Some(directory), Some(link)) => {
                    followed
                        .add(link.restriction)
                        .map_err(|errno| cannot_replace(&failed("open file", &path, errno)))?;
                    path = directory.path().join(link.to);
                    named.get_or_insert_with(|| Rc::new(target));
                }
                _ => return Target { named, ..target }.if_permitted(&followed.restrictions),
            }
        }
    }

    /// An absolute path. If it is a link, the target is the link itself; links to its directory are followed.
    ///
    /// # Errors
    /// 73.
    pub(crate) fn without_following(path: &Path, parents: Parents) -> Result<Target> {
        let mut followed = Followed::default();
        Target::at(path, parents, &mut followed)?.if_permitted(&followed.restrictions)
    }

    fn at(path: &Path, parents: Parents, followed: &mut Followed) -> Result<Target> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(Status::CannotWrite.error("that is no file's name; give -f one"));
        };
        let resolved = resolve::directory(parent, parents, followed)?;
        Ok(Target { path: resolved.path().join(name), name: name.to_owned(), resolved, named: None })
    }

    /// The file at the given path: if that is a link, the link itself.
    pub fn named(&self) -> &Target {
        self.named.as_deref().unwrap_or(self)
    }

    /// Another file in its directory.
    pub(crate) fn sibling(&self, name: OsString) -> Target {
        Target { path: self.path.with_file_name(&name), name, resolved: self.resolved.clone(), named: None }
    }

    /// Returns the target if every link on the way may lead there.
    fn if_permitted(self, restrictions: &[LinkRestriction]) -> Result<Target> {
        restrictions.iter().try_for_each(|link| link.check(&self.resolved)).map(|()| self)
    }

    /// The canonical path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn name(&self) -> &OsStr {
        &self.name
    }

    pub(super) fn resolved(&self) -> &ResolvedDirectory {
        &self.resolved
    }

    /// The directory, if it exists by now.
    pub(crate) fn directory(&self) -> Result<Option<OpenDirectory>> {
        self.resolved.open_existing().map_err(|cause| cannot_replace(&cause))
    }

    /// The installed file, if there is one. A file above `max_size` is not read. A file that fails to be read for
    /// another reason than this user's rights or limits counts as different from every document.
    ///
    /// # Errors
    /// 73 if it is not a regular file, or this user may not read it.
    pub fn installed(&self, max_size: usize) -> Result<Option<Installed>> {
        let Some(directory) = self.directory()? else { return Ok(None) };
        // Check the type first: opening a device can have side effects.
        match directory.kind_of(&self.name).map_err(unreadable)? {
            Some(kind) => self.assert_regular(kind)?,
            None => return Ok(None),
        }
        let open_error = |errno| unreadable(failed("open file", &self.path, errno));
        let mut file = match directory.open(&self.name, OFlag::O_RDONLY, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::ENOENT) => return Ok(None),
            // This user lacks a permission, the machine lacks a resource, or a link has just replaced the file.
            Err(
                errno @ (Errno::EACCES | Errno::EPERM | Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::ELOOP),
            ) => return Err(open_error(errno)),
            // A process has a lease on the file, or the disk fails.
            Err(_) => {
                let file = directory.open(&self.name, OFlag::O_PATH, Mode::empty()).map_err(open_error)?;
                let metadata = file.metadata().map_err(unreadable)?;
                self.assert_regular(kind_of(&metadata))?;
                return Ok(Some(Installed::unreadable(&metadata, file, &directory)));
            }
        };
        let metadata = file.metadata().map_err(unreadable)?;
        self.assert_regular(kind_of(&metadata))?;
        let checksum = if usize::try_from(metadata.len()).is_ok_and(|length| length <= max_size) {
            // The file may grow meanwhile: read no more than its size at the start.
            match hash(&mut (&mut file).take(metadata.len())) {
                Ok(checksum) => Some(checksum),
                Err(_) => return Ok(Some(Installed::unreadable(&metadata, file, &directory))),
            }
        } else {
            None
        };
        Ok(Some(Installed::new(checksum, &metadata, file, &directory)))
    }

    /// Removes the staging directory that a killed run left next to the file, and returns its path.
    ///
    /// # Errors
    /// 73; 75 if another run is installing the file.
    pub fn sweep(&self) -> Result<Option<PathBuf>> {
        let Some(directory) = self.directory()? else { return Ok(None) };
        let temporary = self.temporary();
        let was_removed = temporary::sweep(&directory, &temporary).map_err(|cause| cannot_replace(&cause))?;
        Ok(was_removed.then(|| directory.path().join(temporary)))
    }

    fn assert_regular(&self, kind: SFlag) -> Result<()> {
        let kind = match kind {
            SFlag::S_IFREG => return Ok(()),
            SFlag::S_IFDIR => "a directory",
            SFlag::S_IFIFO => "a FIFO",
            SFlag::S_IFSOCK => "a socket",
            SFlag::S_IFLNK => "a symbolic link that was not there a moment ago",
            _ => "a device",
        };
        Err(Status::CannotWrite.error(format!(
            "{} is {kind}, and only regular files are replaced; name another with -f",
            self.path.display()
        )))
    }

    /// The name of the staging directory. It is hidden, and a directory, so programs that read all files of a directory
    /// ignore it: run-parts, cron, dnsmasq, nginx, sudo. logrotate, too, would read a regular file of this name: it
    /// ignores names that end with `~` only if they do not begin with a dot.
    pub(super) fn temporary(&self) -> OsString {
        let mut name = OsString::from(".");
        name.push(&self.name);
        name.push(".kvx~");
        name
    }
}

fn kind_of(metadata: &Metadata) -> SFlag {
    use std::os::unix::fs::MetadataExt;
    SFlag::from_bits_truncate(metadata.mode()) & SFlag::S_IFMT
}

fn unreadable(cause: io::Error) -> Error {
    Status::CannotWrite
        .error(format!("the installed file cannot be read: {cause}; run as a user who may read it, or move it away"))
}
