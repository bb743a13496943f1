//! Which file an operator means with `-f`: the path that locks it, and its recorded state.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::context::Context;
use crate::error::Result;
use crate::install::{self, Parents, Target};
use crate::state::{self, RecordedState, State, StateDirectory};
use crate::util::exposure::exposure_of_file;
use crate::util::path;
use crate::util::time::Deadline;

/// A file on this node, as an operator has named it. It is determined once for each command.
#[derive(Debug)]
pub struct Identity {
    /// The path that names the lock, as in kvexpress: the one that kvx-out's command line has. Absolute, with its links.
    pub file: PathBuf,
    /// The canonical path, which names the state file.
    pub canonical: PathBuf,
    /// The recorded state of the file, if there is one.
    pub recorded: Option<RecordedState>,
    /// The given path, made absolute.
    given: PathBuf,
    /// Where the given path leads now, or why it leads nowhere.
    pub target: Result<Target>,
    /// The state directory.
    pub directory: StateDirectory,
}

impl Identity {
    /// Determines which file is meant.
    ///
    /// If kvx-out installed it under another path, such as a link, that path counts. But another user who can change a
    /// directory on the way, or the target's, can have the given path lead to another file for the moment. Then only
    /// the given path itself counts: as the canonical path of a recorded state, or as the path on its command line.
    ///
    /// # Errors
    /// 73, 78.
    pub fn of(file: &Path, state_dir: Option<&Path>, context: &Context) -> Result<Identity> {
        let given = path::absolute(file)?;
        let directory = state::directory(state_dir, &context.env)?;
        let target = Target::resolve(file, Parents::MustExist);
        let led_to = target.as_ref().ok().filter(|_| matches!(exposure_of_file(&given), Ok(None))).map(Target::path);
        // A state that cannot be read is none.
        let recorded = match led_to {
            Some(led_to) => state::read(&directory, led_to).unwrap_or_default(),
            None => newest(&directory, &given),
        };
        let recorded_path = recorded.as_ref().map(|recorded| Path::new(&recorded.state.path));
        let canonical = led_to.or(recorded_path).unwrap_or(&given).to_owned();
        let file = match &recorded {
            Some(RecordedState { state: State { named: None, .. }, .. }) => canonical.clone(),
            Some(RecordedState { state: State { named: Some(named), .. }, is_trusted, .. })
                if *is_trusted || install::path_of(Path::new(named)).is_ok_and(|now| now == canonical) =>
            {
                named.into()
            }
            _ => given.clone(),
        };
        Ok(Identity { file, canonical, recorded, given, target, directory })
    }

    /// Waits for runs on the file that have begun: under the given path, where it leads now, and under each path that was
    /// recorded for this lock.
    ///
    /// # Errors
    /// 75 if a run does not end by the deadline; 74 if a state cannot be read.
    pub fn wait_for_runs(&self, deadline: Deadline, context: &Context) -> Result<()> {
        let lossy = self.file.to_string_lossy();
        let recorded = state::all(&self.directory)?;
        let recorded = recorded.iter().filter(|one| one.state.locked_as() == Path::new(&*lossy));
        let recorded = recorded.map(|one| Path::new(&one.state.path));
        let named = [&*self.given, &*self.file, &*self.canonical]
            .into_iter()
            .chain(self.target.as_ref().ok().map(Target::path));
        let paths: BTreeSet<&Path> = named.chain(recorded).collect();
        paths.into_iter().try_for_each(|path| state::wait_for_runs(&self.directory, path, deadline, context))
    }
}

/// The newest recorded state that has this path byte for byte, as its canonical path or as that on its command line.
fn newest(directory: &StateDirectory, given: &Path) -> Option<RecordedState> {
    let is_given = |path: &Path| path.as_os_str() == given.as_os_str();
    let is_of_given = |one: &RecordedState| is_given(Path::new(&one.state.path)) || is_given(one.state.locked_as());
    let all = state::all(directory).unwrap_or_default();
    all.into_iter().filter(is_of_given).max_by_key(|one| one.state.time)
}
