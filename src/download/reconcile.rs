//! Brings one file up to date: installs the document, restores owner and mode, runs the pending handler.

use std::ffi::OsString;
use std::path::Path;
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

/// The installed file, and what the order wants it to be.
pub(super) struct Reconciler<'a> {
    pub source_order: &'a SourceOrder,
    pub target_order: &'a TargetOrder,
    pub after: &'a AfterOrder,
    pub subject: &'a Subject,
    pub target: &'a Target,
    /// The file's path as the command line names it, made absolute but with its symbolic links.
    pub named: &'a Path,
    pub wanted: Wanted,
    pub installed: Option<&'a Installed>,
    pub context: &'a Context,
}

impl Reconciler<'_> {
    /// Whether the file has this document, owner and mode, the check has accepted it, its last installation is finished, and no
    /// handler is pending.
    pub fn is_up_to_date(&self, checksum: Checksum, state: Option<&State>) -> bool {
        !self.is_unfinished(checksum, state)
            && !self.is_unchecked(checksum, state)
            && self
                .installed
                .is_some_and(|installed| installed.checksum == Some(checksum) && installed.has_wanted(&self.wanted))
            && self.handler_to_run(checksum, state).is_none()
    }

    /// The handler and the reason to run it, unless it has succeeded for this document.
    fn handler_to_run(&self, checksum: Checksum, state: Option<&State>) -> Option<(&Handler, HandlerReason)> {
        let handler = self.after.handler.as_ref()?;
        if state.is_none_or(|state| state.is_pending(&handler.id(), checksum)) {
            Some((handler, HandlerReason::Pending))
        } else {
            (self.after.policy == HandlerPolicy::Always).then_some((handler, HandlerReason::Always))
        }
    }

    /// Whether the check has not accepted this document yet, as far as is recorded. If the file has it nevertheless, another
    /// user or program may have written it.
    fn is_unchecked(&self, checksum: Checksum, state: Option<&State>) -> bool {
        self.target_order.check.is_some() && !state.is_some_and(|state| state.has_document(checksum))
    }

    /// Whether a run began to install this document, and then died or could not be sure that it is on disk.
    fn is_unfinished(&self, checksum: Checksum, state: Option<&State>) -> bool {
        state.is_some_and(|state| state.unfinished && state.has_document(checksum))
    }

    /// Whether a run with `--in-place` died while it wrote: the file's content is not a document.
    fn is_half_written(&self, state: Option<&State>) -> bool {
        let checksum = self.installed.and_then(|installed| installed.checksum);
        self.target_order.write_mode == WriteMode::InPlace
            && state
                .is_some_and(|state| state.unfinished && !checksum.is_some_and(|checksum| state.has_document(checksum)))
    }

    /// Leaves the file unchanged, because the key is stopped or the file is locked. If the file is half written, that is an
    /// error: the stop or lock prevents its repair.
    pub fn unchanged_because(&self, because: Effect, state: Option<&State>) -> Result<Effect> {
        if !self.is_half_written(state) {
            return Ok(because);
        }
        let (why, remedy) = match because {
            Effect::Stopped(reason) => (format!("the key is stopped: {reason}"), "`kvx resume` the key"),
            Effect::Held(hold) => (
                format!("the key is held at {}: {}", hold.checksum.short(), hold.reason),
                "upload that document again, or `kvx release` the key",
            ),
            Effect::Locked(reason) => (format!("the file is locked: {reason}"), "`kvx unlock` the file"),
            because => return Ok(because),
        };
        Err(Status::CannotWrite.error(format!(
            "half written by a run that died (--in-place), and not repaired, since {why}; {remedy}, or repair the file by hand"
        )))
    }

    /// Installs the document, or restores owner and mode if the file has it already, and records that. A document that is
    /// not recorded must pass the check first, also if the file has it already.
    pub fn apply(
        &self,
        document: &Verified,
        index: u64,
        deadline: Deadline,
        state_file: &mut StateFile,
    ) -> Result<FileChange> {
        let unfinished = self.is_unfinished(document.checksum(), state_file.state());
        match self.installed {
            Some(installed) if installed.checksum == Some(document.checksum()) => {
                if self.is_unchecked(document.checksum(), state_file.state()) {
                    // Even with `--in-place`, the check needs a copy next to the file.
                    let write_mode = WriteMode::Rename;
                    let new = Replacement::prepare(self.target, document, &self.wanted, Some(installed), write_mode)?;
                    self.guard(document, &new, deadline, state_file)?;
                }
                let change = if installed.has_wanted(&self.wanted) {
                    FileChange::None
                } else {
                    self.restore_attributes(document, installed)?
                };
                if unfinished {
                    installed.sync(self.target)?;
                }
                state_file.adopt(self.state(document, index, state_file.state()))?;
                Ok(change)
            }
            installed => {
                state_file.sweep_copy();
                let write_mode = self.target_order.write_mode;
                let new = Replacement::prepare(self.target, document, &self.wanted, installed, write_mode)?;
                // An unfinished in-place write is completed without another check: the document passed before it began.
                if !(unfinished && write_mode == WriteMode::InPlace) {
                    self.guard(document, &new, deadline, state_file)?;
                }
                let new = new.write()?;
                // The new state is recorded before the file changes, so that a run that dies in between leaves all handlers
                // pending. If it were recorded afterwards, and the key then got the previous document again, the next run
                // would find the old state and not run them.
                let before = state_file.state().cloned();
                state_file.record(self.state(document, index, before.as_ref()))?;
                if write_mode == WriteMode::InPlace {
                    state_file.sync()?; // After a power loss, the state must say that the file may be half written.
                }
                let placed = new.install().inspect_err(|_| match write_mode {
                    WriteMode::Rename => state_file.restore(before), // The file was not changed either.
                    WriteMode::InPlace => {}
                })?;
                placed.sync()?;
                state_file.mark_finished()?;
                Ok(FileChange::Installed)
            }
        }
    }

    /// Restores owner and mode of a file whose content is right. A user who loses access may have the file open, so a new file with
    /// the wanted owner and mode replaces it, unless the change only grants access, or with `--in-place`.
    fn restore_attributes(&self, document: &Verified, installed: &Installed) -> Result<FileChange> {
        if self.target_order.write_mode == WriteMode::InPlace || installed.only_widens(&self.wanted) {
            return installed.restore_attributes(&self.wanted).map(|()| FileChange::Repaired);
        }
        let new = Replacement::prepare(self.target, document, &self.wanted, Some(installed), WriteMode::Rename)?;
        new.write()?.install()?.sync().map(|()| FileChange::Replaced)
    }

    /// Runs the guards that need the installed file (`--max-shrink`) or the new file next to it (`--check`).
    fn guard(&self, document: &Verified, new: &Replacement, deadline: Deadline, state_file: &StateFile) -> Result<()> {
        if let Some(installed) = self.installed.filter(|_| self.source_order.guards.max_shrink.is_some()) {
            self.source_order.guards.check_shrinkage(document, installed.size()?)?;
        }
        match &self.target_order.check {
            Some(check) => new.validate(&state_file.place_of_copy(), |staged| {
                check.approve(staged, &self.variables(document), deadline, &self.context.logger)
            }),
            None => Ok(()),
        }
    }

    /// Runs the handler, if it is pending. The returned value says whether it succeeded.
    ///
    /// # Errors
    /// 73 if the state file cannot be written.
    pub fn run_pending_handler(&self, document: &Verified, state_file: &mut StateFile) -> Result<Option<HandlerRun>> {
        let Some((handler, reason)) = self.handler_to_run(document.checksum(), state_file.state()) else {
            return Ok(None);
        };
        let (started, record) = (Instant::now(), handler_record(handler));
        state_file.mark_pending(&record)?;
        let ran = handler.run(&self.variables(document), &self.context.logger).map_err(|failed| {
            failed.and(&format!("{document} is installed; the handler is pending and the next run retries it"))
        });
        if ran.is_ok() {
            state_file.mark_done(record)?;
        }
        Ok(Some(HandlerRun { reason, result: ran.map(|()| started.elapsed()) }))
    }

    /// Environment variables of the check and the handler.
    fn variables(&self, document: &Verified) -> [(&'static str, OsString); 3] {
        [
            ("KVX_KEY", self.subject.to_string().into()),
            ("KVX_FILE", self.target.path().into()),
            ("KVX_CHECKSUM", document.checksum().to_string().into()),
        ]
    }

    fn state(&self, document: &Verified, index: u64, before: Option<&State>) -> State {
        State {
            named: (self.named != self.target.path()).then(|| self.named.to_string_lossy().into_owned()),
            prefix: matches!(self.subject, Subject::Document(_)).then(|| self.source_order.prefix.to_string()),
            pending: self.pending_handlers(before),
            command: self.command(before),
            wanted: self.wanted,
            ..State::new(self.target.path(), &self.subject.to_string(), document.checksum(), index)
        }
    }

    /// The command line to record, with which this file can be installed again. It is this run's, unless it must not be kept. The
    /// recorded one is better if this run was typed at a terminal, or has no handler where earlier runs had one.
    pub fn command(&self, before: Option<&State>) -> Vec<String> {
        let before = before.filter(|before| before.key == self.subject.to_string());
        let is_better = |before: &State| {
            let lacks_handler =
                self.after.handler.is_none() && !(before.handlers.is_empty() && before.pending.is_empty());
            lacks_handler || (!before.command.is_empty() && self.context.is_at_terminal())
        };
        match (&self.after.command, before) {
            (Some(words), Some(before)) if before.command == *words => words.clone(), // No need to check for a terminal.
            (Some(words), before) if !before.is_some_and(is_better) => words.clone(),
            (_, before) => before.map(|before| before.command.clone()).unwrap_or_default(),
        }
    }

    /// The handlers that a new document makes pending: this run's handler. A run without one (by hand, for example) makes the
    /// handlers of earlier runs pending.
    fn pending_handlers(&self, before: Option<&State>) -> Vec<HandlerRecord> {
        match &self.after.handler {
            Some(handler) => vec![handler_record(handler)],
            None => {
                let before = before.filter(|before| before.key == self.subject.to_string());
                before.into_iter().flat_map(|before| before.pending.iter().chain(&before.handlers)).cloned().collect()
            }
        }
    }
}

fn handler_record(handler: &Handler) -> HandlerRecord {
    HandlerRecord { handler: handler.id(), words: text::excerpt(&handler.program.to_string()) }
}
