//! The story of `kvx-out`: Consul to one file, then the handler.

mod order;
mod reconcile;
mod record;
mod report;
mod source;
mod splay;
mod wait;

use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

pub use self::order::{Destination, DownloadOrder, HandlerPolicy, Ignored, Stdin, patience};
use self::reconcile::Reconciler;
use self::report::FileChange;
pub use self::report::{Applied, DownloadReport, Effect, Others};
use self::source::{Before, Obtained, Source, TriggerKind};
use crate::context::{Context, show};
use crate::error::{Result, Status};
use crate::install::{Target, WriteMode};
use crate::layout::keys::Subject;
use crate::layout::lock_file;
use crate::layout::pair::{PairState, VerifiedPair};
use crate::layout::payload::{self, Trigger};
use crate::layout::snapshot::Snapshot;
use crate::state::{self, StateFile};
use crate::util::path;
use crate::util::read::{ReadError, bounded};
use crate::util::time::Deadline;

/// Another run that was waited for longer than this is part of what is said of a failure.
const LONG: Duration = Duration::from_secs(1);

/// Why a run was started, and for what.
#[derive(Debug)]
pub struct Heard {
    /// That of the order, or the one that the payload names.
    pub subject: Option<Subject>,
    trigger: Trigger,
}

/// Reads the payload, if there is one.
///
/// # Errors
/// 64 to 74, as published.
pub fn hear(order: &DownloadOrder, context: &Context) -> Result<Heard> {
    let (subject, trigger) = match order.stdin {
        Stdin::Payload => read_payload(order, context)
            .inspect_err(|error| record::early(order, order.subject.as_ref(), error, context))?,
        Stdin::Untouched => (order.subject.clone(), Trigger::Unknown),
    };
    Ok(Heard { subject, trigger })
}

/// Downloads, as ordered.
///
/// # Errors
/// 1 to 78, as published. The file is what it was then, unless the message says that it is in place.
pub fn run(order: &DownloadOrder, heard: Heard, context: &Context) -> Result<DownloadReport> {
    let Heard { subject: Some(subject), trigger } = heard else {
        return Ok(DownloadReport { subject: None, did: Effect::Nothing });
    };
    let trigger = match (order.splay, trigger) {
        (None, trigger) | (_, trigger @ Trigger::Nothing) => trigger,
        (Some(splay), trigger) => {
            splay::sleep(splay, &subject, context);
            trigger.expire() // Long enough for somebody to stop it, or to upload another.
        }
    };
    if let (Some(limit), Trigger::Unknown) = (order.wait, &trigger) {
        wait::until_there(order, &subject, limit, context)
            .inspect_err(|error| record::early(order, Some(&subject), error, context))
            .map_err(|error| error.of(&subject))?;
    }
    let did = match (&order.to, trigger) {
        (_, Trigger::Nothing) => Effect::Nothing,
        (Destination::Stdout, trigger) => {
            to_stdout(order, &subject, trigger, context).map_err(|error| error.of(&subject))?
        }
        (Destination::File(path), trigger) => install(order, &subject, path, trigger, context)
            .map_err(|error| error.of(format_args!("{subject} -> {}", path.display())))?,
    };
    Ok(DownloadReport { subject: Some(subject), did })
}

fn read_payload(order: &DownloadOrder, context: &Context) -> Result<(Option<Subject>, Trigger)> {
    context.hint_at_terminal("a watch's payload");
    // In base64, with room for the other keys of a folder.
    let most = order.guards.max_size.saturating_mul(2).saturating_add(1024 * 1024);
    let text = bounded(std::io::stdin().as_fd(), most, Deadline::within(order.timeout)).map_err(|trouble| match trouble {
        ReadError::TooLarge => Status::Refused.error(format!("the payload on stdin is larger than {most} bytes; raise --max-size if it is meant to be")),
        ReadError::TooSlow(limit) => Status::CannotRead.error(format!(
            "the payload on stdin has not ended within {}; is this run by a watch? With -k, and without --payload and CONSUL_INDEX, stdin is not read",
            humantime::format_duration(limit)
        )),
        ReadError::Io(cause) => Status::CannotRead.error(format!("the payload on stdin cannot be read: {cause}")),
    })?;
    payload::about(&text, order.subject.as_ref(), &order.prefix)
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
    done.map_err(|error| match state_file.waited() {
        waited if waited < LONG => error,
        waited => error.and(&format!(
            "before that, it had waited {} for another run of this file",
            humantime::format_duration(Duration::from_secs(waited.as_secs()))
        )),
    })
}

fn lock(order: &DownloadOrder, path: &Path, named: &Path, context: &Context) -> Result<(Target, StateFile)> {
    let target = Target::resolve(path, order.parents)?;
    let state_dir = state::directory(order.state_dir.as_deref(), &context.env)?;
    let state_file = StateFile::open(&state_dir, target.path(), Deadline::within(order.patience), context)?;
    if state_file.is_new() && named != target.path() {
        drop(state::sweep_abandoned(&state_dir, named, target.path())); // What cannot be swept is garbage, no more.
    }
    Ok((target, state_file))
}

fn apply(about: &Assignment, trigger: Trigger, started: Instant, state_file: &mut StateFile) -> Result<Effect> {
    let Assignment { order, subject, target, named, context } = *about;
    let wanted = order.attributes.look_up()?;
    let deadline = Deadline::within(order.timeout);
    target.sweep()?;
    let installed = target.installed(order.guards.max_size)?;
    let file =
        Reconciler { order, subject, path: named.to_owned(), target, wanted, installed: installed.as_ref(), context };

    if let Some((checksum, index)) = trigger.names()
        && file.is_right(checksum, state_file.state())
    {
        let command = file.command(state_file.state());
        state_file.record_index(index, command, wanted)?;
        return Ok(Effect::Unchanged(target.path().to_owned(), checksum, others(state_file)));
    }
    if !order.ignored.lock
        && let Some(reason) = lock_file::reason(named)?
    {
        return file.stays(Effect::Locked(reason), state_file.state());
    }
    let (kind, before) = (TriggerKind::by(&trigger), Before::of(&trigger, state_file.state(), installed.as_ref()));
    let obtained = match source::of_payload(trigger, &before, order.ignored) {
        Some(obtained) => obtained,
        None => Source::new(order, subject, Some(named), deadline, context)?.ask(kind, &before)?,
    };
    let VerifiedPair { document, index, .. } = match obtained {
        Obtained::Document(whole) => whole,
        Obtained::Stopped(reason) => return file.stays(Effect::Stopped(reason), state_file.state()),
        Obtained::Locked(reason) => return file.stays(Effect::Locked(reason), state_file.state()),
        Obtained::Gone => return Ok(Effect::Nothing),
    };
    order.guards.check(&document)?;
    let change = file.apply(&document, index, deadline, state_file)?;
    let took = started.elapsed();
    let handler = file.run_pending_handler(&document, change, state_file)?;
    let others = others(state_file);
    if change == FileChange::None && handler.is_none() {
        return Ok(Effect::Unchanged(target.path().to_owned(), document.checksum(), others));
    }
    let other_names = match order.manner {
        WriteMode::Rename => installed.map_or(0, |installed| installed.other_names()),
        WriteMode::InPlace => 0, // It is still one file.
    };
    Ok(Effect::Applied(Applied {
        path: target.path().to_owned(),
        document,
        change,
        other_names,
        took,
        handler,
        others,
    }))
}

/// Once this run's own handler is paid.
fn others(state_file: &StateFile) -> Others {
    if state_file.state().is_some_and(|state| !state.owed.is_empty()) { Others::Pending } else { Others::Done }
}

/// To stdout. Nothing is installed, so neither a stop nor a lock forbids it: its reader gets the whole document.
fn to_stdout(order: &DownloadOrder, subject: &Subject, trigger: Trigger, context: &Context) -> Result<Effect> {
    let source = Source::new(order, subject, None, Deadline::within(order.timeout), context)?;
    let (document, stop) = match source.settled(order.consistency)?? {
        Snapshot { state: PairState::Verified(pair), stop, .. } => (pair.document, stop),
        _ if TriggerKind::by(&trigger) == TriggerKind::ByThisKey => return Ok(Effect::Nothing),
        _ => return Err(source.no_such_key()),
    };
    order.guards.check(&document)?;
    show(document.bytes())?;
    Ok(Effect::Printed(document, stop))
}
