//! A document on its way into the place of a file, in three steps: prepared beside it, shown to whoever has to approve of
//! it, put in its place.

use std::io;
use std::path::Path;

use super::attributes::Wanted;
use super::in_place::Opened;
use super::parents::{Made, sync};
use super::staged::{Staged, sweep};
use super::{Installed, Manner, Target, cannot};
use crate::document::Verified;
use crate::error::{Error, Result, Status};

/// A document that is about to replace a file; nothing of the file has changed yet.
#[derive(Debug)]
pub struct Replacement<'a> {
    target: &'a Target,
    document: &'a Verified,
    wanted: &'a Wanted,
    way: Way,
    /// Directories made for it.
    made: Made,
}

#[derive(Debug)]
enum Way {
    Rename(Staged),
    Through(Opened),
}

/// A new file in its place.
#[must_use]
#[derive(Debug)]
pub struct Placed<'a> {
    renamed_in: Option<&'a Path>,
}

impl<'a> Replacement<'a> {
    /// A temporary file beside the target: written, with owner, labels and mode, on disk. In place, the file that is there.
    /// Whatever fails, the file stays as it was and nothing is left beside it.
    ///
    /// # Errors
    /// 73, and 75 where another run is just doing the same.
    pub fn prepare(
        target: &'a Target,
        document: &'a Verified,
        wanted: &'a Wanted,
        old: Option<&'a Installed>,
        manner: Manner,
    ) -> Result<Replacement<'a>> {
        let made = target.parents.make(&target.directory)?;
        let way = match (manner, old) {
            (Manner::InPlace, Some(old)) => Opened::of(target.path(), document, old).map(Way::Through),
            _ => stage(target, document, wanted, old).map(Way::Rename),
        };
        Ok(Replacement { target, document, wanted, way: way.map_err(|cause| cannot(&cause))?, made })
    }

    /// Shows the prepared file to somebody who may look at it, but not touch it. (In place, that is a copy beside it.)
    ///
    /// # Errors
    /// His refusal; 65 where he has touched it; 73.
    pub fn show(&mut self, approve: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        match &mut self.way {
            Way::Rename(staged) => show(staged, self.document, approve),
            Way::Through(_) => {
                let copy = Staged::new(self.target.temporary()).and_then(|mut staged| {
                    staged.write(self.document)?;
                    Ok(staged)
                });
                let mut copy =
                    copy.map_err(|cause| cannot(&cause).and("in place too, --check is shown a copy beside the file"))?;
                show(&mut copy, self.document, approve)
            }
        }
    }

    /// Puts it in its place.
    ///
    /// # Errors
    /// 73, and 75 where another run was faster. But for what is written in place, the old file is still there.
    pub fn put(self) -> Result<Placed<'a>> {
        match self.way {
            Way::Rename(staged) => {
                staged.rename(self.target.path()).map_err(|cause| cannot(&cause))?;
                self.made.stay();
                Ok(Placed { renamed_in: Some(&self.target.directory) })
            }
            Way::Through(opened) => {
                opened.write(self.document, self.wanted).map_err(|cause| {
                    cannot(&cause).and("what is there now may be half of it, and the next run ends what was begun")
                })?;
                Ok(Placed { renamed_in: None })
            }
        }
    }
}

impl Placed<'_> {
    /// So that it is there after a power loss, too.
    ///
    /// # Errors
    /// 73.
    pub fn onto_disk(self) -> Result<()> {
        self.renamed_in.map_or(Ok(()), |directory| sync(directory).map_err(|cause| not_on_disk(&cause)))
    }
}

fn stage(target: &Target, document: &Verified, wanted: &Wanted, old: Option<&Installed>) -> io::Result<Staged> {
    let mut staged = Staged::new(target.temporary())?;
    staged.fill(document, wanted, old)?;
    Ok(staged)
}

fn show(staged: &mut Staged, document: &Verified, approve: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let before = staged.has().map_err(|cause| cannot(&cause))?;
    approve(staged.path())?;
    let untouched = staged.is_still(document).and_then(|still| Ok(still && staged.has()? == before));
    if untouched.map_err(|cause| cannot(&cause))? {
        return Ok(());
    }
    drop(sweep(staged.path())); // What it may have put there instead.
    Err(Status::Refused.error(
        "the check has changed the file it was shown (place, content, owner or mode), which it may only look at; the file stays as it was",
    ))
}

/// The content is in place.
pub(super) fn not_on_disk(cause: &io::Error) -> Error {
    Status::CannotWrite.error(format!(
        "the file is in place, but may not survive a power loss: {cause}; look at the disk, and run it again"
    ))
}
