//! A document on its way into the place of a file: prepared beside it, shown to whoever has to approve of it, written, put in
//! its place.

use std::io::{self, ErrorKind};
use std::path::Path;

use super::attributes::{NewAttributes, Wanted};
use super::directory::OpenDirectory;
use super::in_place::Opened;
use super::parents::{Made, make};
use super::temporary::Staged;
use super::{Installed, Target, WriteMode, cannot};
use crate::document::Verified;
use crate::error::{Error, Result, Status};

/// A document that is about to replace a file; nothing of the file has changed yet.
#[derive(Debug)]
pub struct Replacement<'a> {
    target: &'a Target,
    document: &'a Verified,
    old: Option<&'a Installed>,
    due: NewAttributes,
    directory: OpenDirectory,
    way: Placement,
    /// Directories made for it.
    made: Made,
}

#[derive(Debug)]
enum Placement {
    Rename(Staged),
    InPlace(Opened),
}

/// One that is written, as far as it can be before the file changes.
#[derive(Debug)]
pub struct Written<'a>(Replacement<'a>);

/// A new file in its place.
#[must_use]
#[derive(Debug)]
pub struct Placed {
    renamed_in: Option<OpenDirectory>,
}

impl<'a> Replacement<'a> {
    /// A directory of ours beside the target; in place, the file that is there. Whatever fails from here on, the file stays as
    /// it was and nothing is left beside it.
    ///
    /// # Errors
    /// 73, and 75 where another run is just doing the same.
    pub fn prepare(
        target: &'a Target,
        document: &'a Verified,
        wanted: &Wanted,
        old: Option<&'a Installed>,
        manner: WriteMode,
    ) -> Result<Replacement<'a>> {
        let due = NewAttributes::of(wanted, old).map_err(|cause| cannot(&cause))?;
        let (directory, made) = make(target.found())?;
        let way = match (manner, old) {
            (WriteMode::InPlace, Some(old)) => Opened::of(&directory, target.name(), document, old, &due)
                .map(Placement::InPlace)
                .map_err(|cause| cannot(&cause))?,
            _ => Staged::new(&directory, target.temporary())
                .map(Placement::Rename)
                .map_err(|cause| cannot_rename(&cause))?,
        };
        Ok(Replacement { target, document, old, due, directory, way, made })
    }

    /// Shows a copy of the document to somebody who may look at it, but not touch it. What is installed is another file.
    ///
    /// # Errors
    /// His refusal; 65 where he has touched it; 73.
    pub fn show(&self, approve: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let (name, document, due, old) = (self.target.name(), self.document, &self.due, self.old);
        match &self.way {
            Placement::Rename(staged) => staged.show(name, document, due, old, WriteMode::Rename, approve),
            Placement::InPlace(_) => Staged::new(&self.directory, self.target.temporary())
                .map_err(|cause| cannot(&cause).and("in place too, --check is shown a copy beside the file"))?
                .show(name, document, due, old, WriteMode::InPlace, approve),
        }
    }

    /// Writes it, with owner, labels and mode, onto the disk. (In place, that is for later.)
    ///
    /// # Errors
    /// 73.
    pub fn write(self) -> Result<Written<'a>> {
        match &self.way {
            Placement::Rename(staged) => {
                staged.write(self.document, &self.due, self.old).map_err(|cause| cannot_rename(&cause))?
            }
            Placement::InPlace(_) => {}
        }
        Ok(Written(self))
    }
}

impl Written<'_> {
    /// Puts it in its place.
    ///
    /// # Errors
    /// 73, and 75 where the directory was replaced meanwhile. But for what is written in place, the old file is still there.
    pub fn put(self) -> Result<Placed> {
        let Replacement { target, document, due, directory, way, made, .. } = self.0;
        match way {
            Placement::Rename(staged) => {
                staged.rename(target.name()).map_err(|cause| cannot_rename(&cause))?;
                made.stay();
                Ok(Placed { renamed_in: Some(directory) })
            }
            Placement::InPlace(opened) => {
                opened.write(document, &due).map_err(|cause| {
                    cannot(&cause).and("what is there now may be half of it, and the next run ends what was begun")
                })?;
                Ok(Placed { renamed_in: None })
            }
        }
    }
}

impl Placed {
    /// So that it is there after a power loss, too.
    ///
    /// # Errors
    /// 73.
    pub fn onto_disk(self) -> Result<()> {
        self.renamed_in.map_or(Ok(()), |directory| directory.sync().map_err(|cause| not_on_disk(&cause)))
    }
}

fn cannot_rename(cause: &io::Error) -> Error {
    match cause.kind() {
        ErrorKind::ReadOnlyFilesystem => {
            cannot(cause).and("or, if the file can be written though its directory cannot, use --in-place")
        }
        _ => cannot(cause),
    }
}

/// The content is in place.
pub(super) fn not_on_disk(cause: &io::Error) -> Error {
    Status::CannotWrite.error(format!(
        "the file is in place, but may not survive a power loss: {cause}; look at the disk, and run it again"
    ))
}
