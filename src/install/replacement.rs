//! Replaces a file in steps: prepare a staging directory next to it, validate a copy, write the new file, rename it.

use std::io::{self, ErrorKind};
use std::path::Path;

use super::attributes::Wanted;
use super::copy::{self, CopyLocation, Original};
use super::directory::OpenDirectory;
use super::in_place::InPlaceFile;
use super::new_attributes::NewAttributes;
use super::parents::{self, CreatedParents};
use super::temporary::Staged;
use super::{Installed, Parents, Target, WriteMode, cannot_replace, not_durable};
use crate::document::Verified;
use crate::error::{Error, Result};

/// A prepared replacement. The file is not changed yet.
#[derive(Debug)]
pub struct Replacement<'a> {
    target: &'a Target,
    document: &'a Verified,
    old: Option<&'a Installed>,
    attributes: NewAttributes,
    directory: OpenDirectory,
    placement: Placement,
    created: CreatedParents,
}

#[derive(Debug)]
enum Placement {
    Rename(Staged),
    InPlace(InPlaceFile),
}

/// A replacement whose new file is on disk. (With `--in-place`, nothing is written yet.)
#[derive(Debug)]
pub struct Written<'a>(Replacement<'a>);

/// The installed file; its directory may not be synced yet.
#[must_use]
#[derive(Debug)]
pub struct Placed {
    renamed_in: Option<OpenDirectory>,
}

impl<'a> Replacement<'a> {
    /// Creates a staging directory next to the target, or opens the existing file with `--in-place`. If a later step
    /// fails, the file is left unchanged and the staging directory is removed.
    ///
    /// # Errors
    /// 73; 75 if another run is installing the same file.
    pub fn prepare(
        target: &'a Target,
        document: &'a Verified,
        wanted: &Wanted,
        old: Option<&'a Installed>,
        write_mode: WriteMode,
    ) -> Result<Replacement<'a>> {
        let (directory, created) = parents::create(target.resolved())?;
        let attributes = NewAttributes::new(wanted, old, &directory).map_err(|cause| cannot_replace(&cause))?;
        let placement = match (write_mode, old) {
            (WriteMode::InPlace, Some(old)) => InPlaceFile::open(&directory, target.name(), document, old, &attributes)
                .map(Placement::InPlace)
                .map_err(|cause| cannot_replace(&cause))?,
            _ => Staged::new(&directory, target.temporary())
                .map(Placement::Rename)
                .map_err(|cause| cannot_rename(&cause))?,
        };
        Ok(Replacement { target, document, old, attributes, directory, placement, created })
    }

    /// Runs a check on a copy of the document. The check must not change the copy, and the installed file is another
    /// one.
    ///
    /// The copy is next to the file. But if another user can rename a parent directory, and so have the check read
    /// another file, the copy is in a new directory at `private`, in a directory that no other user can change.
    ///
    /// # Errors
    /// The check's own error; 65 if it changed the copy; 73.
    pub fn validate(&self, private: &Path, check: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let original =
            Original { name: self.target.name(), document: self.document, attributes: &self.attributes, old: self.old };
        if self.directory.exposure().map_err(|cause| cannot_replace(&cause))?.is_some() {
            let private = Target::without_following(private, Parents::MustExist)?;
            let parent = private.resolved().directory.clone();
            return copy::validate(&original, &CopyLocation::Private(parent, private.name().to_owned()), check);
        }
        match &self.placement {
            Placement::Rename(staged) => copy::validate(&original, &CopyLocation::NextToFile(staged), check),
            Placement::InPlace(_) => {
                let staged = Staged::new(&self.directory, self.target.temporary()).map_err(|cause| {
                    cannot_replace(&cause).and("even with --in-place, --check needs a copy next to the file")
                })?;
                copy::validate(&original, &CopyLocation::NextToFile(&staged), check)
            }
        }
    }

    /// Writes the new file with owner, labels and mode, and syncs it. With `--in-place`, [`Written::install`] does
    /// this.
    ///
    /// # Errors
    /// 73.
    pub fn write(self) -> Result<Written<'a>> {
        match &self.placement {
            Placement::Rename(staged) => {
                staged.write(self.document, &self.attributes, self.old).map_err(|cause| cannot_rename(&cause))?
            }
            Placement::InPlace(_) => {}
        }
        Ok(Written(self))
    }
}

impl Written<'_> {
    /// Renames the new file over the old one, or writes through the old one with `--in-place`.
    ///
    /// # Errors
    /// 73; 75 if the directory was replaced meanwhile. The old file is unchanged, except with `--in-place`.
    pub fn install(self) -> Result<Placed> {
        let Replacement { target, document, attributes, directory, placement, created, .. } = self.0;
        match placement {
            Placement::Rename(staged) => {
                staged.rename(target.name()).map_err(|cause| cannot_rename(&cause))?;
                created.keep();
                Ok(Placed { renamed_in: Some(directory) })
            }
            Placement::InPlace(file) => {
                file.write(document, &attributes).map_err(|cause| {
                    cannot_replace(&cause).and("the file may be half-written; the next run completes it")
                })?;
                Ok(Placed { renamed_in: None })
            }
        }
    }
}

impl Placed {
    /// Syncs the directory, so that the new file survives a power loss.
    ///
    /// # Errors
    /// 73.
    pub fn sync(self) -> Result<()> {
        self.renamed_in.map_or(Ok(()), |directory| directory.sync().map_err(|cause| not_durable(&cause)))
    }
}

fn cannot_rename(cause: &io::Error) -> Error {
    match cause.kind() {
        ErrorKind::ReadOnlyFilesystem => {
            cannot_replace(cause).and("or, if the file can be written though its directory cannot, use --in-place")
        }
        _ => cannot_replace(cause),
    }
}
