//! A document on its way into the place of a file, in three steps: prepared beside it, shown to whoever has to approve of
//! it, put in its place.

use std::io::{self, ErrorKind};
use std::path::Path;

use super::attributes::Wanted;
use super::staged::{Staged, sweep};
use super::{Installed, Manner, Target, cannot, in_place};
use crate::document::Verified;
use crate::error::{Result, Status};

/// A document that is about to replace a file; nothing of the file has changed yet.
#[derive(Debug)]
pub struct Replacement<'a> {
    target: &'a Target,
    document: &'a Verified,
    wanted: &'a Wanted,
    old: Option<&'a Installed>,
    way: Way<'a>,
}

#[derive(Debug)]
enum Way<'a> {
    Rename(Staged),
    Through(&'a Installed),
}

impl<'a> Replacement<'a> {
    /// A temporary file beside the target: written, with owner, labels and mode, on disk. (In place, none is needed.)
    ///
    /// # Errors
    /// 73, and 75 where another run is just doing the same. Then nothing is left.
    pub(super) fn prepare(
        target: &'a Target,
        document: &'a Verified,
        wanted: &'a Wanted,
        old: Option<&'a Installed>,
        manner: Manner,
    ) -> Result<Replacement<'a>> {
        target.parents.make(&target.directory)?;
        let way = match (manner, old) {
            (Manner::InPlace, Some(old)) => Way::Through(old),
            _ => Way::Rename(stage(target, document, wanted, old).map_err(|cause| cannot(&cause))?),
        };
        Ok(Replacement { target, document, wanted, old, way })
    }

    /// Shows the prepared file to somebody who may look at it, but not touch it.
    ///
    /// # Errors
    /// His refusal; 65 where he has touched it; 73.
    pub fn show(&mut self, approve: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        match &mut self.way {
            Way::Rename(staged) => show(staged, self.document, approve),
            Way::Through(_) => {
                let staged = stage(self.target, self.document, self.wanted, self.old);
                show(&mut staged.map_err(|cause| cannot(&cause))?, self.document, approve)
            }
        }
    }

    /// Puts it in its place, and that on disk.
    ///
    /// # Errors
    /// 73, and 75 where another run was faster.
    pub fn put(self) -> Result<()> {
        match self.way {
            Way::Rename(staged) => {
                staged.rename(self.target.path()).map_err(|cause| cannot(&cause))?;
                sync(&self.target.directory).map_err(|cause| {
                    let what = "the file is in place, but may not survive a power loss";
                    Status::CannotWrite.error(format!("{what}: {cause}; look at the disk"))
                })
            }
            Way::Through(old) => in_place::write(self.target.path(), self.document, self.wanted, old)
                .map_err(|cause| in_place::cannot(&cause)),
        }
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
        "the check has changed the file it was shown (content, owner or mode), which it may only look at; the file stays as it was",
    ))
}

/// Where it is not to be had on this file system, or not for this user, there is no more to be done.
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
