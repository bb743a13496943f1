//! The directories above the file.

use std::fs::DirBuilder;
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Component, Path, PathBuf};

use super::cannot;
use crate::error::{Error, Result, Status};

/// Whether they are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parents {
    /// They must be.
    MustExist,
    /// `--mkdir`: they are created with the file.
    Create,
}

impl Parents {
    /// The canonical path of a directory; where it does not exist, the one that it will have.
    pub(super) fn resolve(self, directory: &Path) -> Result<PathBuf> {
        match fs_err::canonicalize(directory) {
            Ok(canonical) => Ok(canonical),
            Err(cause) if cause.kind() != ErrorKind::NotFound => Err(cannot(&cause)),
            Err(_) if self == Parents::MustExist => Err(missing(directory, "create it first, or give kvx-out --mkdir")),
            Err(_) => to_be(directory),
        }
    }

    /// Creates what is missing, each on disk before the next.
    pub(super) fn make(self, directory: &Path) -> Result<Made> {
        let mut made = Made(Vec::new());
        if self == Parents::MustExist {
            return Ok(made);
        }
        let missing: Vec<&Path> = directory.ancestors().take_while(|above| !above.exists()).collect();
        for directory in missing.into_iter().rev() {
            match DirBuilder::new().mode(0o755).create(directory) {
                Ok(()) => made.0.push(directory.to_owned()),
                Err(cause) if cause.kind() == ErrorKind::AlreadyExists && directory.is_dir() => {} // By somebody else.
                Err(cause) => {
                    return Err(Status::CannotWrite.error(format!(
                        "the directory {} cannot be created: {cause}; is there a file, or a link to nothing?",
                        directory.display()
                    )));
                }
            }
            let above = directory.parent().unwrap_or(directory);
            sync(above)
                .map_err(|cause| cannot(&io::Error::new(cause.kind(), format!("{}: {cause}", above.display()))))?;
        }
        Ok(made)
    }
}

/// Directories that were created, and go again unless they are needed.
#[derive(Debug)]
pub(super) struct Made(Vec<PathBuf>);

impl Made {
    /// They are needed.
    pub fn stay(mut self) {
        self.0.clear();
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        // In which somebody else has put something, he keeps.
        self.0.iter().rev().for_each(|directory| drop(std::fs::remove_dir(directory)));
    }
}

fn to_be(directory: &Path) -> Result<PathBuf> {
    for above in directory.ancestors() {
        match fs_err::canonicalize(above) {
            Ok(canonical) => return Ok(canonical.join(directory.strip_prefix(above).unwrap_or(Path::new("")))),
            Err(cause) if cause.kind() != ErrorKind::NotFound => return Err(cannot(&cause)),
            // What `..` leads to is only known of what is there.
            Err(_) if above.components().next_back() == Some(Component::ParentDir) => break,
            Err(_) => {}
        }
    }
    Err(missing(directory, "create it first"))
}

fn missing(directory: &Path, remedy: &str) -> Error {
    let remedy = if directory.is_symlink() { "it is a link to nothing: create that, or take it away" } else { remedy };
    Status::CannotWrite.error(format!("the directory {} does not exist; {remedy}", directory.display()))
}

/// Puts on disk what a directory holds. Where that is not to be had on this file system, or not for this user, there is no
/// more to be done.
pub(super) fn sync(directory: &Path) -> io::Result<()> {
    match fs_err::File::open(directory).and_then(|directory| directory.sync_all()) {
        Err(cause)
            if matches!(
                cause.kind(),
                ErrorKind::InvalidInput | ErrorKind::Unsupported | ErrorKind::PermissionDenied
            ) =>
        {
            Ok(())
        }
        synced => synced,
    }
}
