//! Removes leftovers next to a file, and its state.

use std::path::PathBuf;
use std::time::Duration;

use super::identity::Identity;
use crate::context::Context;
use crate::error::Result;
use crate::install::{self, Target};
use crate::state::{self, StateFile};
use crate::util::path;
use crate::util::time::Deadline;

/// Suffixes of kvexpress's files next to a file: for its comparison, and half-written ones.
const KVEXPRESS_SUFFIXES: [&str; 3] = [".compare", ".last", ".kvexpress"];
/// Maximum wait for another run that is installing the file.
const PATIENCE: Duration = Duration::from_secs(120);

/// The options of `kvx clean`.
pub struct CleanOrder {
    /// `-f`.
    pub file: PathBuf,
    /// Also remove the file, as kvexpress does.
    pub removes_file: bool,
    /// `--state-dir`.
    pub state_dir: Option<PathBuf>,
}

/// Cleans, and returns the removed paths. The next run installs the file again, or runs the handler again.
///
/// # Errors
/// 73, 74, 75, 78.
pub fn clean(order: &CleanOrder, context: &Context) -> Result<Vec<PathBuf>> {
    // The state may still exist if the directory does not.
    let Identity { canonical, target, directory, .. } = Identity::of(&order.file, order.state_dir.as_deref(), context)?;
    let mut removed = Vec::new();
    // The open state file locks out other runs.
    let state_file = match state::exists(&directory, &canonical)? {
        true => Some(StateFile::open(&directory, &canonical, Deadline::within(PATIENCE), context)?),
        false => None,
    };
    let cleaned = match target {
        Ok(target) => remove_leftovers(order, &target, &mut removed),
        Err(missing) if state_file.is_none() => return Err(missing),
        Err(_) => Ok(()), // The path does not lead to the recorded file any more.
    };
    // The state is removed even after an error: another user must not be able to prevent that with files next to the
    // file.
    let Some(state_file) = state_file else { return cleaned.map(|()| removed) };
    removed.push(state_file.delete()?);
    cleaned.map_err(|error| error.and("its state is removed"))?;
    Ok(removed)
}

/// Removes leftovers next to the file, and adds their paths to `removed`.
fn remove_leftovers(order: &CleanOrder, target: &Target, removed: &mut Vec<PathBuf>) -> Result<()> {
    removed.extend(target.sweep()?);
    for suffix in KVEXPRESS_SUFFIXES {
        removed.extend(install::remove(&path::with_suffix(&order.file, suffix))?);
    }
    if order.removes_file {
        removed.extend(install::remove(&order.file)?);
    }
    Ok(())
}
