//! A document on its way into the place of a file: prepared beside it, shown to whoever has to approve of it, written, put in
//! its place.

use std::io::{self, ErrorKind};
use std::path::Path;

use super::attributes::Wanted;
use super::copy::{self, Original, Place};
use super::directory::OpenDirectory;
use super::due::NewAttributes;
use super::in_place::Opened;
use super::parents::{Made, make};
use super::temporary::Staged;
use super::{Installed, Parents, Target, WriteMode, cannot};
use crate::document::Verified;
use crate::error::{Error, Result, Status};
use crate::util::ownership::exposed;

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
        let (directory, made) = make(target.found())?;
        let due = directory.metadata().and_then(|directory| NewAttributes::of(wanted, old, &directory));
        let due = due.map_err(|cause| cannot(&cause))?;
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
    /// The copy is next to the file; but where another user can rename a directory above it, and so have another file seen by its
    /// path, it is in a new directory at `private`, above which no other user can change anything.
    ///
    /// # Errors
    /// His refusal; 65 where he has touched it; 73.
    pub fn show(&self, private: &Path, approve: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let original = Original { name: self.target.name(), document: self.document, due: &self.due, old: self.old };
        if exposed(self.directory.path()).map_err(|cause| cannot(&cause))?.is_some() {
            let private = Target::itself(private, Parents::MustExist)?;
            let above = private.found().directory.clone();
            return copy::show(&original, &Place::Apart(above, private.name().to_owned()), approve);
        }
        match &self.way {
            Placement::Rename(staged) => copy::show(&original, &Place::NextToFile(staged), approve),
            Placement::InPlace(_) => {
                let staged = Staged::new(&self.directory, self.target.temporary())
                    .map_err(|cause| cannot(&cause).and("in place too, --check is shown a copy beside the file"))?;
                copy::show(&original, &Place::NextToFile(&staged), approve)
            }
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
