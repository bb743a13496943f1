//! How a run ended, recorded in the file's state for `kvx status`: an agent logs it somewhere else, or nowhere.

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

/// Records it while the run still has the file's lock. What it has done, or why it failed, stands either way.
pub(super) fn under_lock(done: &Result<Effect>, about: &Assignment, state_file: &mut StateFile) {
    let run = match done {
        Ok(Effect::Unchanged { .. }) if state_file.was_current() => return,
        Ok(effect) => match (effect, effect.failure()) {
            (_, Some(error)) => LastRun::new(error.status() as u8, effect.result().word(), &error.to_string()),
            (Effect::Applied(_) | Effect::Unchanged { .. }, None) => LastRun::new(0, effect.result().word(), ""),
            (_, None) => LastRun::new(0, effect.result().word(), &effect.to_string()),
        },
        Err(error) => failure(error),
    };
    let Assignment { order, subject, target, named, context } = *about;
    let nothing = || State {
        named: (named != target.path()).then(|| named.to_string_lossy().into_owned()),
        ..of_nothing(order, subject, State::without_document(target.path(), &subject.to_string()))
    };
    if let Err(error) = state_file.record_run(run, nothing) {
        context.detail(|| format!("how this run ended is not recorded: {error}"));
    }
}

/// Records the failure of a run that did not come to have the lock. If another run has it, that one's end counts.
pub(super) fn early(order: &DownloadOrder, subject: Option<&Subject>, error: &Error, context: &Context) {
    let (Some(file), Some(subject)) = (order.target.to.file(), subject) else { return };
    let recorded = state::directory(order.target.state_dir.as_deref(), &context.env).and_then(|directory| {
        let path = path_of(file, &directory)?;
        let mut state_file = StateFile::open(&directory, &path, Deadline::within(Duration::ZERO), context)?;
        let nothing = || of_nothing(order, subject, State::without_document(&path, &subject.to_string()));
        state_file.record_run(failure(error), nothing)
    });
    if let Err(error) = recorded {
        context.detail(|| format!("how this run ended is not recorded: {error}"));
    }
}

/// By which the file is recorded: where that cannot be found out, as a link on the way cannot be read, the one it had before.
fn path_of(file: &Path, directory: &StateDirectory) -> Result<PathBuf> {
    let named = path::absolute(file);
    match Target::resolve(file, Parents::MustExist) {
        Ok(target) => Ok(target.path().to_owned()),
        Err(_) => Ok(state::path_of(directory, &named)?.unwrap_or(named)),
    }
}

fn failure(error: &Error) -> LastRun {
    LastRun::new(error.status() as u8, RunResult::from_error(error).word(), &error.to_string())
}

fn of_nothing(order: &DownloadOrder, subject: &Subject, state: State) -> State {
    State {
        prefix: matches!(subject, Subject::Document(_)).then(|| order.source.prefix.to_string()),
        command: order.after.command.clone().unwrap_or_default(),
        ..state
    }
}
