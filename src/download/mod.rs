//! The story of `kvx-out`: a document from Consul into one file, then the handler.

mod order;
mod reconcile;
mod record;
mod report;
mod source;
mod splay;
mod trigger;
mod wait;

use std::path::Path;
use std::time::{Duration, Instant};

pub use self::order::{
    AfterOrder, Destination, DownloadOrder, HandlerPolicy, SourceOrder, Stdin, TargetOrder, patience,
};
use self::reconcile::Reconciler;
use self::report::FileChange;
pub use self::report::{Applied, DownloadReport, Effect};
use self::source::{Before, Obtained, Source, TriggerKind};
use crate::context::{Context, show};
use crate::error::{Error, Result};
use crate::install::{Target, WriteMode};
use crate::layout::keys::Subject;
use crate::layout::lock_file;
use crate::layout::pair::{PairState, VerifiedPair};
use crate::layout::payload::Trigger;
use crate::layout::snapshot::Snapshot;
use crate::state::{self, StateFile};
use crate::util::path;
use crate::util::time::Deadline;

/// A failure says that another run was waited for if that took longer than this.
const LONG: Duration = Duration::from_secs(1);

/// How a run ended. Its subject is known also if it failed.
#[derive(Debug)]
pub struct DownloadRun {
    /// The order's subject, or the one that the payload names.
    pub subject: Option<Subject>,
    /// 1 to 78, as published. The file is what it was then, unless the message says that the document is in place.
    pub result: Result<DownloadReport>,
}

/// Downloads, as ordered.
pub fn run(order: &DownloadOrder, context: &Context) -> DownloadRun {
    match trigger::read(&order.source, context) {
        Ok((Some(subject), trigger)) => {
            let result = effect(order, &subject, trigger, context);
            let subject = Some(subject);
            DownloadRun { result: result.map(|effect| DownloadReport { subject: subject.clone(), effect }), subject }
        }
        Ok((None, _)) => {
            DownloadRun { subject: None, result: Ok(DownloadReport { subject: None, effect: Effect::Nothing }) }
        }
        Err(error) => {
            let subject = order.source.subject.clone();
            record::early(order, subject.as_ref(), &error, context);
            DownloadRun { subject, result: Err(error) }
        }
    }
}

fn effect(order: &DownloadOrder, subject: &Subject, trigger: Trigger, context: &Context) -> Result<Effect> {
    let trigger = match (order.source.splay, trigger) {
        (None, trigger) | (_, trigger @ Trigger::Nothing) => trigger,
        (Some(splay), trigger) => {
            splay::sleep(splay, subject, context);
            trigger.expire() // In the meantime the key may have been stopped, or have another document.
        }
    };
    if let (Some(limit), Trigger::Unknown) = (order.source.wait, &trigger) {
        wait::until_there(&order.source, subject, limit, context)
            .inspect_err(|error| record::early(order, Some(subject), error, context))
            .map_err(|error| error.of(subject))?;
    }
    match (&order.target.to, trigger) {
        (_, Trigger::Nothing) => Ok(Effect::Nothing),
        (Destination::Stdout, trigger) => {
            to_stdout(&order.source, subject, trigger, context).map_err(|error| error.of(subject))
        }
        (Destination::File(path), trigger) => {
            let explain = |error: Error| error.of(format_args!("{subject} -> {}", path.display()));
            let done = install(order, subject, path, trigger, context);
            done.map(|effect| effect.map_failure(explain)).map_err(explain)
        }
    }
}

/// What a run on a file is about.
struct Assignment<'a> {
    order: &'a DownloadOrder,
    subject: &'a Subject,
    target: &'a Target,
    /// The file as it is named, absolute.
    named: &'a Path,
    context: &'a Context,
}

/// Everything about the file is decided and done under its lock, and how that ended is recorded.
fn install(
    order: &DownloadOrder,
    subject: &Subject,
    path: &Path,
    trigger: Trigger,
    context: &Context,
) -> Result<Effect> {
    let (started, named) = (Instant::now(), path::absolute(path));
    let locked = lock(order, path, &named, context);
    let (target, mut state_file) = locked.inspect_err(|error| record::early(order, Some(subject), error, context))?;
    let about = Assignment { order, subject, target: &target, named: &named, context };
    let done = apply(&about, trigger, started, &mut state_file);
    record::under_lock(&done, &about, &mut state_file);
    let waited = state_file.waited();
    let explain = |error: Error| match waited < LONG {
        true => error,
        false => error.and(&format!(
            "before that, it had waited {} for another run of this file",
            humantime::format_duration(Duration::from_secs(waited.as_secs()))
        )),
    };
    done.map(|effect| effect.map_failure(explain)).map_err(explain)
}

fn lock(order: &DownloadOrder, path: &Path, named: &Path, context: &Context) -> Result<(Target, StateFile)> {
    let target = Target::resolve(path, order.target.parents)?;
    let state_dir = state::directory(order.target.state_dir.as_deref(), &context.env)?;
    let state_file = StateFile::open(&state_dir, target.path(), Deadline::within(order.target.patience), context)?;
    if state_file.is_new() && named != target.path() {
        drop(state::sweep_abandoned(&state_dir, named, target.path())); // What cannot be swept is garbage, no more.
    }
    Ok((target, state_file))
}

fn apply(about: &Assignment, trigger: Trigger, started: Instant, state_file: &mut StateFile) -> Result<Effect> {
    let Assignment { order, subject, target, named, context } = *about;
    let DownloadOrder { source: from, target: to, after } = order;
    let wanted = to.attributes.look_up()?;
    let deadline = Deadline::within(from.timeout);
    target.sweep()?;
    let installed = target.installed(from.guards.max_size)?;
    let file = Reconciler {
        from,
        to,
        after,
        subject,
        target,
        path: named.to_owned(),
        wanted,
        installed: installed.as_ref(),
        context,
    };

    if let Some((checksum, index)) = trigger.names()
        && file.is_right(checksum, state_file.state())
    {
        let command = file.command(state_file.state());
        state_file.record_index(index, command, wanted)?;
        return Ok(unchanged(target, checksum, state_file));
    }
    if !to.ignores_lock
        && let Some(reason) = lock_file::reason(target.named())?
    {
        return file.unchanged_because(Effect::Locked(reason), state_file.state());
    }
    let (kind, before) = (TriggerKind::by(&trigger), Before::of(&trigger, state_file.state(), installed.as_ref()));
    let obtained = match source::of_payload(trigger, &before, from.ignores_stop) {
        Some(obtained) => obtained,
        None => {
            let lock = (!to.ignores_lock).then(|| from.prefix.lock(named, &context.env.hostname()));
            Source::new(from, subject, lock, deadline, context)?.ask(kind, &before)?
        }
    };
    let VerifiedPair { document, index, .. } = match obtained {
        Obtained::Document(pair) => pair,
        Obtained::Stopped(reason) => return file.unchanged_because(Effect::Stopped(reason), state_file.state()),
        Obtained::Locked(reason) => return file.unchanged_because(Effect::Locked(reason), state_file.state()),
        Obtained::Gone => return Ok(Effect::Nothing),
    };
    from.guards.check(&document)?;
    let change = file.apply(&document, index, deadline, state_file)?;
    let took = started.elapsed();
    let handler = file.run_pending_handler(&document, state_file)?;
    if change == FileChange::None && handler.is_none() {
        return Ok(unchanged(target, document.checksum(), state_file));
    }
    let other_names = match to.write_mode {
        WriteMode::Rename => installed.map_or(0, |installed| installed.other_names()),
        WriteMode::InPlace => 0, // It is still one file.
    };
    let (path, other_handlers_pending) = (target.path().to_owned(), are_others_pending(state_file));
    Ok(Effect::Applied(Applied { path, document, change, other_names, took, handler, other_handlers_pending }))
}

fn unchanged(target: &Target, checksum: crate::document::Checksum, state_file: &StateFile) -> Effect {
    let other_handlers_pending = are_others_pending(state_file);
    Effect::Unchanged { path: target.path().to_owned(), checksum, other_handlers_pending }
}

/// Whether handlers are pending once this run's own has succeeded.
fn are_others_pending(state_file: &StateFile) -> bool {
    state_file.state().is_some_and(|state| !state.pending.is_empty())
}

/// Prints the document. Nothing is installed, so neither a stop nor a lock forbids it: the reader gets the whole document.
fn to_stdout(order: &SourceOrder, subject: &Subject, trigger: Trigger, context: &Context) -> Result<Effect> {
    let source = Source::to_print(order, subject, Deadline::within(order.timeout), context)?;
    let (document, stop) = match source.settled(order.consistency)?? {
        Snapshot { state: PairState::Verified(pair), stop, .. } => (pair.document, stop),
        _ if TriggerKind::by(&trigger) == TriggerKind::ByThisKey => return Ok(Effect::Nothing),
        _ => return Err(source.no_such_key()),
    };
    order.guards.check(&document)?;
    show(document.bytes())?;
    Ok(Effect::Printed(document, stop))
}
