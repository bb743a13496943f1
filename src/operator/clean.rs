//! Taking away what was left beside a file, and what is recorded of it.

use std::path::PathBuf;
use std::time::Duration;

use crate::context::Context;
use crate::error::Result;
use crate::install::{self, Parents, Target};
use crate::state::{self, StateFile};
use crate::util::path;
use crate::util::time::Deadline;

/// What kvexpress keeps beside a file: for its comparison, and half-written.
const OF_KVEXPRESS: [&str; 3] = [".compare", ".last", ".kvexpress"];
/// A run that is at the file is waited for so long.
const PATIENCE: Duration = Duration::from_secs(120);

/// What to clean.
pub struct CleanOrder {
    /// `-f`.
    pub file: PathBuf,
    /// The file, too, as kvexpress does.
    pub removes_file: bool,
    /// `--state-dir`.
    pub state_dir: Option<PathBuf>,
}

/// Cleans; says what it has taken away. The next run installs the file anew, or reloads.
///
/// # Errors
/// 73, 74, 75, 78.
pub fn clean(order: &CleanOrder, context: &Context) -> Result<Vec<PathBuf>> {
    let path = install::path_of(&order.file); // If its directory is gone, it may still be recorded.
    let directory = state::directory(order.state_dir.as_deref(), &context.env)?;
    let mut gone = Vec::new();
    // Nobody is at the file meanwhile.
    let state_file = match state::exists(&directory, &path)? {
        true => Some(StateFile::open(&directory, &path, Deadline::within(PATIENCE), context)?),
        false => None,
    };
    let removed = match Target::resolve(&order.file, Parents::MustExist) {
        Ok(target) => take_away(order, &target, &mut gone),
        Err(missing) if state_file.is_none() => return Err(missing),
        Err(_) => Ok(()), // Whatever its path leads to by now is not the file.
    };
    // In any case: what others can put next to the file must not keep its state.
    let Some(state_file) = state_file else { return removed.map(|()| gone) };
    gone.push(state_file.delete()?);
    removed.map_err(|error| error.and("its state is removed"))?;
    Ok(gone)
}

/// Takes away what is next to the file, and says what that was.
fn take_away(order: &CleanOrder, target: &Target, gone: &mut Vec<PathBuf>) -> Result<()> {
    gone.extend(target.sweep()?);
    for suffix in OF_KVEXPRESS {
        gone.extend(install::remove(&path::with_suffix(&order.file, suffix))?);
    }
    if order.removes_file {
        gone.extend(install::remove(&order.file)?);
    }
    Ok(())
}
