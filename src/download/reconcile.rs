//! One file and what is pending for it: install, mend, run.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Instant;

use super::report::{Effect, FileChange, HandlerReason, HandlerRun};
use super::{AfterOrder, HandlerPolicy, SourceOrder, TargetOrder};
use crate::context::Context;
use crate::document::{Checksum, Verified};
use crate::error::{Result, Status};
use crate::install::{Installed, Replacement, Target, Wanted, WriteMode};
use crate::layout::keys::Subject;
use crate::process::handler::Handler;
use crate::state::{HandlerRecord, State, StateFile};
use crate::util::text;
use crate::util::time::Deadline;

/// The file that is to be right, as it is and as it is wanted.
pub(super) struct Reconciler<'a> {
    pub from: &'a SourceOrder,
    pub to: &'a TargetOrder,
    pub after: &'a AfterOrder,
    pub subject: &'a Subject,
    pub target: &'a Target,
    /// As it is named, absolute.
    pub path: PathBuf,
    pub wanted: Wanted,
    pub installed: Option<&'a Installed>,
    pub context: &'a Context,
}

impl Reconciler<'_> {
    /// Nothing to install, to mend, to make sure of or to run.
    pub fn is_right(&self, checksum: Checksum, state: Option<&State>) -> bool {
        !self.was_begun(checksum, state)
            && self
                .installed
                .is_some_and(|installed| installed.checksum == Some(checksum) && installed.has(&self.wanted))
            && self.is_pending(checksum, state).is_none()
    }

    /// Why the handler has to be run, if it has.
    fn is_pending(&self, checksum: Checksum, state: Option<&State>) -> Option<(&Handler, HandlerReason)> {
        let handler = self.after.handler.as_ref()?;
        if state.is_none_or(|state| state.is_pending(&handler.id(), checksum)) {
            Some((handler, HandlerReason::Pending))
        } else {
            (self.after.policy == HandlerPolicy::Always).then_some((handler, HandlerReason::Always))
        }
    }

    /// A run died, or could not be sure, after it had begun to put this document in its place.
    fn was_begun(&self, checksum: Checksum, state: Option<&State>) -> bool {
        state.is_some_and(|state| state.unfinished && state.has_document(checksum))
    }

    /// `--in-place`, and a run has died in the middle of it: the file is no document at all.
    fn is_half_written(&self, state: Option<&State>) -> bool {
        let checksum = self.installed.and_then(|installed| installed.checksum);
        self.to.write_mode == WriteMode::InPlace
            && state
                .is_some_and(|state| state.unfinished && !checksum.is_some_and(|checksum| state.has_document(checksum)))
    }

    /// Nothing is done, because somebody wants it so. But half a file is nobody's wish.
    pub fn unchanged_because(&self, because: Effect, state: Option<&State>) -> Result<Effect> {
        if !self.is_half_written(state) {
            return Ok(because);
        }
        let (Effect::Stopped(reason) | Effect::Locked(reason)) = because else { return Ok(because) };
        Err(Status::CannotWrite.error(format!(
            "a run that died has left it half written (--in-place), and it may not be put right: {reason}; take that mark away, or put the file right by hand"
        )))
    }

    pub fn apply(
        &self,
        document: &Verified,
        index: u64,
        deadline: Deadline,
        state_file: &mut StateFile,
    ) -> Result<FileChange> {
        let begun = self.was_begun(document.checksum(), state_file.state());
        match self.installed {
            Some(installed) if installed.checksum == Some(document.checksum()) => {
                let change = if installed.has(&self.wanted) {
                    FileChange::None
                } else {
                    self.restore_attributes(document, installed)?
                };
                if begun {
                    installed.sync(self.target)?;
                }
                state_file.adopt(self.state(document, index, state_file.state()))?;
                Ok(change)
            }
            installed => {
                state_file.sweep_copy();
                let new = Replacement::prepare(self.target, document, &self.wanted, installed, self.to.write_mode)?;
                // What was begun in place had passed, and is ended.
                if !(begun && self.to.write_mode == WriteMode::InPlace) {
                    self.guard(document, &new, deadline, state_file)?;
                }
                let new = new.write()?;
                // Before the file changes: whatever comes between, all its handlers are pending. Afterwards would be too
                // late: an upload that goes back to the document before would find its old state.
                let before = state_file.state().cloned();
                state_file.record(self.state(document, index, before.as_ref()))?;
                if self.to.write_mode == WriteMode::InPlace {
                    state_file.sync()?; // Or else nobody knew, after a power loss, that the file is half of one.
                }
                let placed = new.put().inspect_err(|_| match self.to.write_mode {
                    WriteMode::Rename => state_file.restore(before), // The file is as it was, too.
                    WriteMode::InPlace => {}
                })?;
                placed.onto_disk()?;
                state_file.mark_finished()?;
                Ok(FileChange::Installed)
            }
        }
    }

    /// Gives the file owner and mode, where its content is right. Whoever it no longer lets in, or no longer belongs to, may have
    /// it open: then it is another file that gets them, and takes its place.
    fn restore_attributes(&self, document: &Verified, installed: &Installed) -> Result<FileChange> {
        if self.to.write_mode == WriteMode::InPlace || installed.only_widens(&self.wanted) {
            return installed.restore_attributes(&self.wanted).map(|()| FileChange::Repaired);
        }
        let new = Replacement::prepare(self.target, document, &self.wanted, Some(installed), WriteMode::Rename)?;
        new.write()?.put()?.onto_disk().map(|()| FileChange::Replaced)
    }

    /// The guards that need the file as it was, and the new one beside it.
    fn guard(&self, document: &Verified, new: &Replacement, deadline: Deadline, state_file: &StateFile) -> Result<()> {
        if let Some(installed) = self.installed.filter(|_| self.from.guards.max_shrink.is_some()) {
            self.from.guards.check_shrinkage(document, installed.size()?)?;
        }
        match &self.to.check {
            Some(check) => new.show(&state_file.place_of_copy(), |staged| {
                check.approve(staged, &self.variables(document), deadline, &self.context.logger)
            }),
            None => Ok(()),
        }
    }

    /// Runs the handler, if it is pending. Whether it succeeds is part of what is returned.
    ///
    /// # Errors
    /// 73 where the state cannot be written.
    pub fn run_pending_handler(&self, document: &Verified, state_file: &mut StateFile) -> Result<Option<HandlerRun>> {
        let Some((handler, reason)) = self.is_pending(document.checksum(), state_file.state()) else {
            return Ok(None);
        };
        let (started, record) = (Instant::now(), record_of(handler));
        state_file.mark_pending(&record)?;
        let ran = handler.run(&self.variables(document), &self.context.logger).map_err(|failed| {
            failed.and(&format!("{document} is installed; the handler is pending and the next run retries it"))
        });
        if ran.is_ok() {
            state_file.mark_done(record)?;
        }
        Ok(Some(HandlerRun { reason, result: ran.map(|()| started.elapsed()) }))
    }

    /// What the check and the handler find in their environment.
    fn variables(&self, document: &Verified) -> [(&'static str, OsString); 3] {
        [
            ("KVX_KEY", self.subject.to_string().into()),
            ("KVX_FILE", self.target.path().into()),
            ("KVX_CHECKSUM", document.checksum().to_string().into()),
        ]
    }

    fn state(&self, document: &Verified, index: u64, before: Option<&State>) -> State {
        State {
            named: (self.path != self.target.path()).then(|| self.path.to_string_lossy().into_owned()),
            prefix: matches!(self.subject, Subject::Document(_)).then(|| self.from.prefix.to_string()),
            pending: self.pending_handlers(before),
            command: self.command(before),
            wanted: self.wanted,
            ..State::new(self.target.path(), &self.subject.to_string(), document.checksum(), index)
        }
    }

    /// The command line by which this is done again: this one, unless it may not be kept, or somebody looks by hand, in
    /// words of the moment, or leaves out the handlers.
    pub fn command(&self, before: Option<&State>) -> Vec<String> {
        let before = before.filter(|before| before.key == self.subject.to_string());
        let is_better = |before: &State| {
            let leaves_out = self.after.handler.is_none() && !(before.handlers.is_empty() && before.pending.is_empty());
            leaves_out || (!before.command.is_empty() && self.context.is_at_terminal())
        };
        match (&self.after.command, before) {
            (Some(words), Some(before)) if before.command == *words => words.clone(), // Without a look at the terminal.
            (Some(words), before) if !before.is_some_and(is_better) => words.clone(),
            (_, before) => before.map(|before| before.command.clone()).unwrap_or_default(),
        }
    }

    /// Of a new document: this run's handler; or, if it has none, as when somebody installs by hand, those that ran before.
    fn pending_handlers(&self, before: Option<&State>) -> Vec<HandlerRecord> {
        match &self.after.handler {
            Some(handler) => vec![record_of(handler)],
            None => {
                let before = before.filter(|before| before.key == self.subject.to_string());
                before.into_iter().flat_map(|before| before.pending.iter().chain(&before.handlers)).cloned().collect()
            }
        }
    }
}

fn record_of(handler: &Handler) -> HandlerRecord {
    HandlerRecord { handler: handler.id(), words: text::excerpt(&handler.program.to_string()) }
}
