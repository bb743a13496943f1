//! Records how a run ended in the state file, for `kvx status`. An agent may log a watch's output elsewhere, or not at all.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Assignment, DownloadOrder, Effect};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::install::{Parents, Target};
use crate::layout::keys::Subject;
use crate::state::{self, LastRun, State, StateDirectory, StateFile};
use crate::telemetry::outcome::RunResult;
use crate::util::path;
use crate::util::time::Deadline;

/// Records the result while the run holds the file's lock. A failure to record it does not change the result.
pub(super) fn under_lock(done: &Result<Effect>, assignment: &Assignment, state_file: &mut StateFile) {
    let run = match done {
        Ok(Effect::Unchanged { .. }) if state_file.was_current() => return,
        Ok(effect) => match (effect, effect.failure()) {
            (_, Some(error)) => LastRun::new(error.status() as u8, effect.result().word(), &error.to_string()),
            (Effect::Applied(_) | Effect::Unchanged { .. }, None) => LastRun::new(0, effect.result().word(), ""),
            (_, None) => LastRun::new(0, effect.result().word(), &effect.to_string()),
        },
        Err(error) => failure(error),
    };
    let Assignment { order, subject, target, named, context } = *assignment;
    let new_state = || State {
        named: (named != target.path()).then(|| named.to_string_lossy().into_owned()),
        ..with_order(order, subject, State::without_document(target.path(), &subject.to_string()))
    };
    if let Err(error) = state_file.record_run(run, new_state) {
        context.detail(|| format!("the result of this run is not recorded: {error}"));
    }
}

/// Records the failure of a run that never got the file's lock. If another run holds it, that run's result is recorded instead.
pub(super) fn without_lock(order: &DownloadOrder, subject: Option<&Subject>, error: &Error, context: &Context) {
    let (Some(file), Some(subject)) = (order.target.to.file(), subject) else { return };
    let recorded = state::directory(order.target.state_dir.as_deref(), &context.env).and_then(|directory| {
        let path = path_of(file, &directory)?;
        let mut state_file = StateFile::open(&directory, &path, Deadline::within(Duration::ZERO), context)?;
        let new_state = || with_order(order, subject, State::without_document(&path, &subject.to_string()));
        state_file.record_run(failure(error), new_state)
    });
    if let Err(error) = recorded {
        context.detail(|| format!("the result of this run is not recorded: {error}"));
    }
}

/// The path under which the file is recorded. If a symbolic link on the way cannot be read, it is the path of the last record.
fn path_of(file: &Path, directory: &StateDirectory) -> Result<PathBuf> {
    let named = path::absolute(file)?;
    match Target::resolve(file, Parents::MustExist) {
        Ok(target) => Ok(target.path().to_owned()),
        Err(_) => Ok(state::path_of(directory, &named)?.unwrap_or(named)),
    }
}

fn failure(error: &Error) -> LastRun {
    LastRun::new(error.status() as u8, RunResult::from_error(error).word(), &error.to_string())
}

/// Adds to a new state what `kvx status` and `kvx unlock --run` need from the order.
fn with_order(order: &DownloadOrder, subject: &Subject, state: State) -> State {
    State {
        prefix: matches!(subject, Subject::Document(_)).then(|| order.source.prefix.to_string()),
        command: order.after.command.clone().unwrap_or_default(),
        ..state
    }
}
