//! Resolves a path to an open directory, name by name where it contains a link.

use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};

use super::cannot_replace;
use super::directory::{OpenDirectory, failed};
use super::link::{self, Followed, Link};
use crate::error::{Error, Result, Status};

/// What to do if directories above the file do not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parents {
    /// Fail.
    MustExist,
    /// `--mkdir`: create them with the file.
    Create,
}

/// A resolved directory, which may not exist yet.
#[derive(Clone, Debug)]
pub(super) struct ResolvedDirectory {
    /// The last existing directory on the path.
    pub directory: OpenDirectory,
    /// Names of the missing directories below it.
    pub missing: Vec<OsString>,
}

impl ResolvedDirectory {
    /// Opens the directory, if it exists by now.
    pub fn open_existing(&self) -> io::Result<Option<OpenDirectory>> {
        let mut directory = self.directory.clone();
        for name in &self.missing {
            match directory.enter(name) {
                Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(None),
                entered => directory = entered?,
            }
        }
        Ok(Some(directory))
    }

    /// The canonical path, also of a directory that does not exist yet.
    pub fn path(&self) -> PathBuf {
        self.missing.iter().fold(self.directory.path().to_owned(), |path, name| path.join(name))
    }
}

/// Resolves an absolute path. The links on the way are added to `followed`.
pub(super) fn directory(path: &Path, parents: Parents, followed: &mut Followed) -> Result<ResolvedDirectory> {
    // Most paths contain no link: one system call is enough. The walk handles all other cases and errors.
    let resolved = match OpenDirectory::without_links(path) {
        Ok(directory) => ResolvedDirectory { directory, missing: Vec::new() },
        Err(_) => walk(path, parents, followed)?,
    };
    // /proc/1/fd leads there without a link.
    if resolved.directory.path().starts_with("/proc") {
        Err(link::leads_into_proc(resolved.directory.path()))
    } else {
        Ok(resolved)
    }
}

/// Resolves the path name by name.
fn walk(given: &Path, parents: Parents, followed: &mut Followed) -> Result<ResolvedDirectory> {
    let mut current = OpenDirectory::root().map_err(|cause| cannot_replace(&cause))?;
    // The directories above it, as they were entered: `..` leads back there, wherever they are moved meanwhile.
    let mut above: Vec<OpenDirectory> = Vec::new();
    let mut missing = Vec::new();
    // The remaining names, the next one last, and whether each comes from a link.
    let mut remaining = Vec::new();
    push(&mut remaining, given, false);
    while let Some((name, from_link)) = remaining.pop() {
        if !missing.is_empty() {
            if name == ".." {
                return Err(missing_error(given, "create it first")); // The parent of a missing directory is unknown.
            }
            missing.push(name);
            continue;
        }
        if name == ".." {
            current = above.pop().unwrap_or(current);
            continue;
        }
        match step(&current, &name)? {
            Step::Into(directory) => above.push(std::mem::replace(&mut current, directory)),
            Step::Link(Link { to, restriction }) => {
                followed.add(restriction).map_err(|errno| cannot_replace(&failed("open directory", given, errno)))?;
                if to.is_absolute() {
                    above.clear();
                    current = OpenDirectory::root().map_err(|cause| cannot_replace(&cause))?;
                }
                push(&mut remaining, &to, true);
            }
            Step::Missing if parents == Parents::MustExist => {
                return Err(missing_error(given, "create it first, or give kvx-out --mkdir"));
            }
            Step::Missing if from_link => {
                return Err(Status::CannotWrite.error(format!(
                    "the directory {} cannot be created: it is, or is in, a link to nothing; create what the link names, or take it away",
                    given.display()
                )));
            }
            Step::Missing => missing.push(name),
        }
    }
    Ok(ResolvedDirectory { directory: current, missing })
}

/// Pushes the names of a path onto the remaining ones.
fn push(remaining: &mut Vec<(OsString, bool)>, path: &Path, from_link: bool) {
    let names =
        path.components().rev().filter(|component| matches!(component, Component::Normal(_) | Component::ParentDir));
    remaining.extend(names.map(|name| (name.as_os_str().to_owned(), from_link)));
}

enum Step {
    Into(OpenDirectory),
    Link(Link),
    Missing,
}

fn step(current: &OpenDirectory, name: &OsStr) -> Result<Step> {
    if let Some(link) = link::read(current, name)? {
        return Ok(Step::Link(link));
    }
    match current.enter(name) {
        Ok(directory) => Ok(Step::Into(directory)),
        Err(cause) if matches!(cause.kind(), ErrorKind::NotFound | ErrorKind::InvalidFilename) => Ok(Step::Missing),
        Err(cause) => Err(cannot_replace(&cause)),
    }
}

fn missing_error(directory: &Path, remedy: &str) -> Error {
    let remedy = if directory.is_symlink() { "it is a link to nothing: create that, or take it away" } else { remedy };
    Status::CannotWrite.error(format!("the directory {} does not exist; {remedy}", directory.display()))
}
