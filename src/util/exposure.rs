//! Which other users can change the directories of a path, and so what is found at it. The path is walked name by name.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use nix::sys::statfs::statfs;

use super::ownership::{Exposure, STICKY};

/// Maximum number of symbolic links, as in the kernel.
const MAX_LINKS: usize = 40;

/// Who else can change the directories of an absolute path, the last one included, and where a link on it leads. `None`
/// if no one else can. A link counts as exposed if another user owns it, or can have put it there. If a name does not
/// exist, the users who can create it count.
///
/// # Errors
/// A directory on the path cannot be examined.
pub fn exposure(path: &Path) -> io::Result<Option<Exposure>> {
    Walk::along(path, Last::Directory)
}

/// Like [`exposure`], for the path of a file. The users who can put a file there count.
///
/// # Errors
/// A directory on the path cannot be examined.
pub fn exposure_of_file(path: &Path) -> io::Result<Option<Exposure>> {
    Walk::along(path, Last::File)
}

/// What the last name of a path is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Directory,
    File,
}

/// A walk along a path, name by name.
struct Walk {
    /// The directory so far, without links.
    current: PathBuf,
    found: Option<Exposure>,
    links: usize,
    last: Last,
}

impl Walk {
    fn along(path: &Path, last: Last) -> io::Result<Option<Exposure>> {
        let mut walk = Walk { current: PathBuf::new(), found: None, links: 0, last };
        walk.follow(path)?;
        Ok(walk.found)
    }

    /// Walks on along a path. Returns false where it ends: at a file, or where a name does not exist.
    fn follow(&mut self, path: &Path) -> io::Result<bool> {
        for component in path.components() {
            match component {
                Component::RootDir => {
                    self.current = PathBuf::from("/");
                    let root = fs_err::symlink_metadata(&self.current)?;
                    Exposure::add(&mut self.found, Exposure::of(&self.current, root.uid(), root.mode()));
                }
                Component::ParentDir => drop(self.current.pop()),
                Component::Normal(name) => {
                    self.current.push(name);
                    if !self.step()? {
                        return Ok(false);
                    }
                }
                Component::CurDir | Component::Prefix(_) => {}
            }
        }
        Ok(true)
    }

    /// Examines the entry at `current`, and walks on from there if it is a link.
    fn step(&mut self) -> io::Result<bool> {
        let metadata = match fs_err::symlink_metadata(&self.current) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
                self.add_creators()?;
                return Ok(false);
            }
            metadata => metadata?,
        };
        if metadata.is_dir() {
            let parent = fs_err::symlink_metadata(self.current.parent().unwrap_or(Path::new("/")))?;
            Exposure::add(&mut self.found, Exposure::of_move(&self.current, metadata.mode(), parent.mode()));
            Exposure::add(&mut self.found, Exposure::of(&self.current, metadata.uid(), metadata.mode()));
            let system = || statfs(&self.current);
            Exposure::add(&mut self.found, Exposure::of_file_system(&self.current, metadata.dev(), system)?);
            return Ok(true);
        }
        if !metadata.is_symlink() && self.last == Last::File {
            self.add_creators()?;
            return Ok(false);
        }
        if !metadata.is_symlink() {
            let path = self.current.display();
            return Err(io::Error::new(io::ErrorKind::NotADirectory, format!("{path}: Not a directory")));
        }
        self.links = self.links.saturating_add(1);
        if self.links > MAX_LINKS {
            return Err(io::Error::other(format!("{}: too many symbolic links", self.current.display())));
        }
        self.add_creators()?;
        Exposure::add(&mut self.found, Exposure::of(&self.current, metadata.uid(), 0));
        let to = fs_err::read_link(&self.current)?;
        self.current.pop();
        self.follow(&to)
    }

    /// Adds who can create the entry at `current`, or move one there: the sticky bit does not keep others from that.
    fn add_creators(&mut self) -> io::Result<()> {
        let directory = fs_err::metadata(self.current.parent().unwrap_or(Path::new("/")))?;
        Exposure::add(&mut self.found, Exposure::of(&self.current, directory.uid(), directory.mode() & !STICKY));
        Ok(())
    }
}
