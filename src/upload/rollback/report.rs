//! What a rollback did: its line.

use std::fmt;

use crate::document::{Size, Verified};
use crate::layout::history::VersionName;
use crate::layout::keys::Key;
use crate::layout::pair::PairState;
use crate::layout::snapshot::Snapshot;

/// What a rollback did.
pub struct RollbackReport {
    pub(super) key: Key,
    pub(super) restored: Restored,
    /// What the key had before.
    pub(super) replaced: Option<String>,
    /// How much smaller the document is than the one before, if it is.
    pub(super) shrinkage: Option<String>,
    pub(super) holds: bool,
    /// The hold of another document that was replaced.
    pub(super) hold_before: Option<String>,
    pub(super) resumed: Option<String>,
    pub(super) is_current: bool,
    /// The diff of a dry run.
    pub preview: Option<Vec<u8>>,
}

/// The restored version.
pub(super) struct Restored {
    pub name: VersionName,
    pub size: String,
}

impl fmt::Display for RollbackReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Restored { name, size } = &self.restored;
        match (self.preview.is_some(), self.is_current) {
            (true, _) => write!(f, "{size} of {} would be restored", name.time)?,
            (false, true) => write!(f, "{size} is the current document")?,
            (false, false) => write!(f, "{size} of {} restored", name.time)?,
        }
        if let (Some(replaced), false) = (&self.replaced, self.is_current) {
            write!(f, ", in place of {replaced}")?;
        }
        if let Some(shrinkage) = &self.shrinkage {
            write!(f, "; {shrinkage}")?;
        }
        if self.preview.is_some() {
            return Ok(());
        }
        if let Some(hold) = &self.hold_before {
            write!(f, "; it was held at {hold}")?;
        }
        if let Some(reason) = &self.resumed {
            write!(f, "; resumed, it was stopped: {reason}")?;
        }
        if self.holds {
            write!(f, "; held: nothing else is uploaded or installed until `kvx release -k {}`", self.key)?;
        }
        Ok(())
    }
}

/// How much smaller the restored document is: a node with a lower `--max-shrink` rejects it.
pub(super) fn shrinkage(document: &Verified, before: &Snapshot) -> Option<String> {
    let PairState::Verified(pair) = &before.state else { return None };
    let (was, now): (Size, Size) = (pair.document.size(), document.size());
    let percent = |was: u64, now: u64| was.saturating_sub(now).saturating_mul(100).checked_div(was).unwrap_or(0);
    let most = percent(was.lines(), now.lines()).max(percent(was.bytes(), now.bytes()));
    (most >= 10).then(|| format!("it is {most} % smaller: a node with a lower --max-shrink rejects it"))
}
