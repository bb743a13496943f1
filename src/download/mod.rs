//! A run of `kvx-out`: read a document from Consul, install it into one file, then run the handler.

mod local_copy;
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

use self::local_copy::LocalCopy;
pub use self::order::{
    AfterOrder, Destination, DownloadOrder, HandlerPolicy, SourceOrder, Stdin, TargetOrder, patience,
};
use self::reconcile::Reconciler;
use self::report::FileChange;
pub use self::report::{Applied, DownloadReport, Effect};
use self::source::{Fetched, Purpose, Source, TriggerKind};
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

/// If a run waited longer than this for another run of the file, its failure message says so.
const NOTABLE_WAIT: Duration = Duration::from_secs(1);

/// How a run ended. The subject is known even if the run failed.
#[derive(Debug)]
pub struct DownloadRun {
    /// The subject from the command line, or from the payload.
    pub subject: Option<Subject>,
    /// What the run did, or an error with one of the published statuses (1 to 78). After an error the file is unchanged,
    /// unless the message says that the document is installed.
    pub result: Result<DownloadReport>,
}

/// Downloads and installs a document, as `order` says.
pub fn run(order: &DownloadOrder, context: &Context) -> DownloadRun {
    match trigger::read(&order.source, context) {
        Ok((Some(subject), trigger)) => {
            let result = perform(order, &subject, trigger, context);
            let subject = Some(subject);
            DownloadRun { result: result.map(|effect| DownloadReport { subject: subject.clone(), effect }), subject }
        }
        Ok((None, _)) => {
            DownloadRun { subject: None, result: Ok(DownloadReport { subject: None, effect: Effect::Nothing }) }
        }
        Err(error) => {
            let subject = order.source.subject.clone();
            record::without_lock(order, subject.as_ref(), &error, context);
            DownloadRun { subject, result: Err(error) }
        }
    }
}

fn perform(order: &DownloadOrder, subject: &Subject, trigger: Trigger, context: &Context) -> Result<Effect> {
    let trigger = match (order.source.splay, trigger) {
        (None, trigger) | (_, trigger @ Trigger::Nothing) => trigger,
        (Some(splay), trigger) => {
            splay::sleep(splay, subject, context);
            trigger.expire() // While this run slept, the key may have been stopped or its document replaced.
        }
    };
    if let (Some(limit), Trigger::Unknown) = (order.source.wait, &trigger) {
        wait::for_key(&order.source, subject, limit, context)
            .inspect_err(|error| record::without_lock(order, Some(subject), error, context))
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

/// What a run does with one file.
struct Assignment<'a> {
    order: &'a DownloadOrder,
    subject: &'a Subject,
    target: &'a Target,
    /// The file's path as the command line names it, made absolute but with its symbolic links.
    named: &'a Path,
    context: &'a Context,
}

/// Takes the file's lock, installs the document, runs the handler, and records the result in the state file.
fn install(
    order: &DownloadOrder,
    subject: &Subject,
    path: &Path,
    trigger: Trigger,
    context: &Context,
) -> Result<Effect> {
    let (started, named) = (Instant::now(), path::absolute(path)?);
    let locked = lock(order, path, &named, context);
    let (target, mut state_file) =
        locked.inspect_err(|error| record::without_lock(order, Some(subject), error, context))?;
    let assignment = Assignment { order, subject, target: &target, named: &named, context };
    // While this run waited for another one, the key may have been stopped or its document replaced.
    let trigger = if state_file.waited().is_some() { trigger.expire() } else { trigger };
    let done = apply(&assignment, trigger, started, &mut state_file);
    record::under_lock(&done, &assignment, &mut state_file);
    let waited = state_file.waited();
    let explain = |error: Error| match waited.filter(|waited| *waited >= NOTABLE_WAIT) {
        None => error,
        Some(waited) => error.and(&format!(
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
        drop(state::sweep_abandoned(&state_dir, named, target.path())); // A leftover that cannot be removed does no harm.
    }
    Ok((target, state_file))
}

fn apply(assignment: &Assignment, trigger: Trigger, started: Instant, state_file: &mut StateFile) -> Result<Effect> {
    let Assignment { order, subject, target, named, context } = *assignment;
    let DownloadOrder { source: source_order, target: target_order, after } = order;
    let wanted = target_order.attributes.look_up()?;
    let deadline = Deadline::within(source_order.timeout);
    target.sweep()?;
    let installed = target.installed(source_order.guards.max_size)?;
    let file = Reconciler {
        source_order,
        target_order,
        after,
        subject,
        target,
        named,
        wanted,
        installed: installed.as_ref(),
        context,
    };

    if let Some((checksum, index)) = trigger.names()
        && file.is_up_to_date(checksum, state_file.state())
    {
        let command = file.command(state_file.state());
        state_file.record_index(index, command, wanted)?;
        return Ok(unchanged(target, checksum, state_file));
    }
    if !target_order.ignores_lock
        && let Some(reason) = lock_file::reason(target.named())?
    {
        return file.unchanged_because(Effect::Locked(reason), state_file.state());
    }
    let kind = TriggerKind::of(&trigger);
    let local = LocalCopy::new(&trigger, state_file.state(), installed.as_ref());
    let fetched = match local_copy::from_payload(trigger, &local, source_order.ignores_stop) {
        Some(fetched) => fetched,
        None => {
            let lock = (!target_order.ignores_lock).then(|| source_order.prefix.lock(named, &context.env.hostname()));
            let purpose = Purpose::Install { lock, installed: installed.as_ref().and_then(|file| file.checksum) };
            Source::open(source_order, subject, purpose, deadline, context)?.fetch(kind, &local)?
        }
    };
    let VerifiedPair { document, index, .. } = match fetched {
        Fetched::Document(pair) => pair,
        Fetched::Stopped(reason) => return file.unchanged_because(Effect::Stopped(reason), state_file.state()),
        Fetched::Held(hold) => return file.unchanged_because(Effect::Held(hold), state_file.state()),
        Fetched::Locked(reason) => return file.unchanged_because(Effect::Locked(reason), state_file.state()),
        Fetched::Gone => return Ok(Effect::Nothing),
    };
    source_order.guards.check(&document)?;
    let change = file.apply(&document, index, deadline, state_file)?;
    let took = started.elapsed();
    let handler = file.run_pending_handler(&document, state_file)?;
    if change == FileChange::None && handler.is_none() {
        return Ok(unchanged(target, document.checksum(), state_file));
    }
    let other_names = match target_order.write_mode {
        WriteMode::Rename => installed.map_or(0, |installed| installed.other_names()),
        WriteMode::InPlace => 0, // All hard links still name the same file.
    };
    let (path, other_handlers_pending) = (target.path().to_owned(), are_others_pending(state_file));
    Ok(Effect::Applied(Applied { path, document, change, other_names, took, handler, other_handlers_pending }))
}

fn unchanged(target: &Target, checksum: crate::document::Checksum, state_file: &StateFile) -> Effect {
    let other_handlers_pending = are_others_pending(state_file);
    Effect::Unchanged { path: target.path().to_owned(), checksum, other_handlers_pending }
}

/// Whether handlers of other command lines are pending. Call it after this run's own handler has succeeded.
fn are_others_pending(state_file: &StateFile) -> bool {
    state_file.state().is_some_and(|state| !state.pending.is_empty())
}

/// Prints the document. Nothing is installed, so a stop or a lock does not prevent it.
fn to_stdout(order: &SourceOrder, subject: &Subject, trigger: Trigger, context: &Context) -> Result<Effect> {
    let source = Source::open(order, subject, Purpose::Print, Deadline::within(order.timeout), context)?;
    let (document, stop) = match source.read_settled(order.consistency)?? {
        Snapshot { state: PairState::Verified(pair), stop, .. } => (pair.document, stop),
        _ if TriggerKind::of(&trigger) == TriggerKind::Payload => return Ok(Effect::Nothing),
        _ => return Err(source.no_such_key()),
    };
    order.guards.check(&document)?;
    show(document.bytes())?;
    Ok(Effect::Printed(document, stop))
}
