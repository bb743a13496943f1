//! One file and what is owed for it: install, mend, run.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Instant;

use super::report::{Change, Did, Paid, Why};
use super::{Due, Order};
use crate::context::World;
use crate::document::{Checksum, Verified};
use crate::error::{Kind, Result, Status};
use crate::install::{Installed, Manner, Replacement, Target, Wanted};
use crate::layout::keys::Subject;
use crate::process::handler::Handler;
use crate::state::{Known, Memory, Stamp};
use crate::util::text;
use crate::util::time::Deadline;

/// The file that is to be right, as it is and as it is wanted.
pub(super) struct Managed<'a> {
    pub order: &'a Order,
    pub subject: &'a Subject,
    pub target: &'a Target,
    /// As it is named, absolute.
    pub path: PathBuf,
    pub wanted: Wanted,
    pub installed: Option<&'a Installed>,
    pub world: &'a World,
}

impl Managed<'_> {
    /// Nothing to install, to mend, to make sure of or to run.
    pub fn is_right(&self, checksum: Checksum, stamp: Option<&Stamp>) -> bool {
        !self.was_begun(checksum, stamp)
            && self
                .installed
                .is_some_and(|installed| installed.checksum == Some(checksum) && installed.has(&self.wanted))
            && self.owes(checksum, stamp).is_none()
    }

    /// Why the handler has to be run, if it has.
    fn owes(&self, checksum: Checksum, stamp: Option<&Stamp>) -> Option<(&Handler, Why)> {
        let handler = self.order.handler.as_ref()?;
        if stamp.is_none_or(|stamp| stamp.owes(&handler.id(), checksum)) {
            Some((handler, Why::Owed))
        } else {
            (self.order.due == Due::Always).then_some((handler, Why::Always))
        }
    }

    /// A run died, or could not be sure, after it had begun to put this document in its place.
    fn was_begun(&self, checksum: Checksum, stamp: Option<&Stamp>) -> bool {
        stamp.is_some_and(|stamp| stamp.unfinished && stamp.is_of(checksum))
    }

    /// `--in-place`, and a run has died in the middle of it: the file is no document at all.
    fn is_half_written(&self, stamp: Option<&Stamp>) -> bool {
        let checksum = self.installed.and_then(|installed| installed.checksum);
        self.order.manner == Manner::InPlace
            && stamp.is_some_and(|stamp| stamp.unfinished && !checksum.is_some_and(|checksum| stamp.is_of(checksum)))
    }

    /// Nothing is done, because somebody wants it so. But half a file is nobody's wish.
    pub fn stays(&self, because: Did, stamp: Option<&Stamp>) -> Result<Did> {
        if !self.is_half_written(stamp) {
            return Ok(because);
        }
        let (Did::Stopped(reason) | Did::Locked(reason)) = because else { return Ok(because) };
        Err(Status::CannotWrite.error(format!(
            "a run that died has left it half written (--in-place), and it may not be put right: {reason}; take that mark away, or put the file right by hand"
        )))
    }

    pub fn bring_up_to_date(
        &self,
        document: &Verified,
        index: u64,
        deadline: Deadline,
        memory: &mut Memory,
    ) -> Result<Change> {
        let begun = self.was_begun(document.checksum(), memory.stamp());
        match self.installed {
            Some(installed) if installed.checksum == Some(document.checksum()) => {
                let change = if installed.has(&self.wanted) { Change::None } else { self.mend(document, installed)? };
                if begun {
                    installed.sync(self.target)?;
                }
                memory.adopt(self.stamp(document, index, memory.stamp()))?;
                Ok(change)
            }
            installed => {
                let new = Replacement::prepare(self.target, document, &self.wanted, installed, self.order.manner)?;
                // What was begun in place had passed, and is ended.
                if !(begun && self.order.manner == Manner::InPlace) {
                    self.guard(document, &new, deadline)?;
                }
                let new = new.write()?;
                // Before the file changes: whatever comes between, all its handlers are owed. Afterwards would be too
                // late: an upload that goes back to the document before would find its old stamp.
                let before = memory.stamp().cloned();
                memory.remember(self.stamp(document, index, before.as_ref()))?;
                if self.order.manner == Manner::InPlace {
                    memory.survive()?; // Or else nobody knew, after a power loss, that the file is half of one.
                }
                let placed = new.put().inspect_err(|_| match self.order.manner {
                    Manner::Rename => memory.go_back_to(before), // The file is as it was, too.
                    Manner::InPlace => {}
                })?;
                placed.onto_disk()?;
                memory.is_finished()?;
                Ok(Change::Installed)
            }
        }
    }

    /// Gives the file owner and mode, where its content is right. Whoever it no longer lets in, or no longer belongs to, may have
    /// it open: then it is another file that gets them, and takes its place.
    fn mend(&self, document: &Verified, installed: &Installed) -> Result<Change> {
        if self.order.manner == Manner::InPlace || installed.only_widens(&self.wanted) {
            return installed.mend(&self.wanted).map(|()| Change::Mended);
        }
        let new = Replacement::prepare(self.target, document, &self.wanted, Some(installed), Manner::Rename)?;
        new.write()?.put()?.onto_disk().map(|()| Change::Renewed)
    }

    /// The guards that need the file as it was, and the new one beside it.
    fn guard(&self, document: &Verified, new: &Replacement, deadline: Deadline) -> Result<()> {
        if let Some(installed) = self.installed.filter(|_| self.order.guards.max_shrink.is_some()) {
            self.order.guards.check_shrinkage(document, installed.size()?)?;
        }
        match &self.order.check {
            Some(check) => {
                new.show(|staged| check.approve(staged, &self.variables(document), deadline, &self.world.journal))
            }
            None => Ok(()),
        }
    }

    pub fn pay_what_is_owed(&self, document: &Verified, change: Change, memory: &mut Memory) -> Result<Option<Paid>> {
        let Some((handler, why)) = self.owes(document.checksum(), memory.stamp()) else {
            return Ok(None);
        };
        let (started, known) = (Instant::now(), known(handler));
        memory.is_to_run(&known)?;
        handler.run(&self.variables(document), &self.world.journal).map_err(|failed| {
            failed
                .and(&format!("{document} is in place, the handler stays owed and the next run runs it again"))
                .counted_as(Kind::HandlerOwed {
                    checksum: document.checksum(),
                    size: document.size(),
                    installed: change == Change::Installed,
                })
        })?;
        memory.has_run(known)?;
        Ok(Some(Paid { why, took: started.elapsed() }))
    }

    /// What the check and the handler find in their environment.
    fn variables(&self, document: &Verified) -> [(&'static str, OsString); 3] {
        [
            ("KVX_KEY", self.subject.to_string().into()),
            ("KVX_FILE", self.target.path().into()),
            ("KVX_CHECKSUM", document.checksum().to_string().into()),
        ]
    }

    fn stamp(&self, document: &Verified, index: u64, before: Option<&Stamp>) -> Stamp {
        Stamp {
            named: (self.path != self.target.path()).then(|| self.path.to_string_lossy().into_owned()),
            prefix: matches!(self.subject, Subject::Document(_)).then(|| self.order.prefix.to_string()),
            owed: self.will_be_owed(before),
            command: self.command(before),
            wanted: self.wanted,
            ..Stamp::new(self.target.path(), &self.subject.to_string(), document.checksum(), index)
        }
    }

    /// The command line by which this is done again: this one, unless it may not be kept, or somebody looks by hand, in
    /// words of the moment, or leaves out the handlers.
    pub fn command(&self, before: Option<&Stamp>) -> Vec<String> {
        let before = before.filter(|before| before.key == self.subject.to_string());
        let is_better = |before: &Stamp| {
            let leaves_out = self.order.handler.is_none() && !(before.handlers.is_empty() && before.owed.is_empty());
            leaves_out || (!before.command.is_empty() && self.world.is_at_terminal())
        };
        match (&self.order.words, before) {
            (Some(words), Some(before)) if before.command == *words => words.clone(), // Without a look at the terminal.
            (Some(words), before) if !before.is_some_and(is_better) => words.clone(),
            (_, before) => before.map(|before| before.command.clone()).unwrap_or_default(),
        }
    }

    /// Of a new document: this run's handler; or, if it has none, as when somebody installs by hand, those that ran before.
    fn will_be_owed(&self, before: Option<&Stamp>) -> Vec<Known> {
        match &self.order.handler {
            Some(handler) => vec![known(handler)],
            None => {
                let before = before.filter(|before| before.key == self.subject.to_string());
                before.into_iter().flat_map(|before| before.owed.iter().chain(&before.handlers)).cloned().collect()
            }
        }
    }
}

fn known(handler: &Handler) -> Known {
    Known { handler: handler.id(), words: text::excerpt(&handler.program.to_string()) }
}
