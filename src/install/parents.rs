//! The directories above the file.

use std::fs::DirBuilder;
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Component, Path, PathBuf};

use super::cannot;
use super::replacement::sync;
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
            Err(_) if self == Parents::MustExist => Err(missing(directory, "create it first, or give --mkdir")),
            Err(_) => to_be(directory),
        }
    }

    /// Creates what is missing, each on disk before the next.
    pub(super) fn make(self, directory: &Path) -> Result<()> {
        if self == Parents::MustExist {
            return Ok(());
        }
        let missing: Vec<&Path> = directory.ancestors().take_while(|above| !above.exists()).collect();
        for directory in missing.into_iter().rev() {
            make(directory).map_err(|cause| {
                let cause = io::Error::new(cause.kind(), format!("{}: {cause}", directory.display()));
                cannot(&cause)
            })?;
        }
        Ok(())
    }
}

fn make(directory: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o755).create(directory) {
        Err(cause) if cause.kind() == ErrorKind::AlreadyExists && directory.is_dir() => {}
        made => made?,
    }
    directory.parent().map_or(Ok(()), sync)
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
    Status::CannotWrite.error(format!("the directory {} does not exist; {remedy}", directory.display()))
}
