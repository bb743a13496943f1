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

pub use self::order::{Destination, Due, Ignored, Order, Stdin, patience};
use self::reconcile::Managed;
use self::report::Change;
pub use self::report::{Did, Others, Report, Work};
use self::source::{Before, Fired, Obtained, Source, State};
use crate::context::{World, show};
use crate::error::{Result, Status};
use crate::install::{Manner, Target};
use crate::layout::keys::Subject;
use crate::layout::lock_file;
use crate::layout::pair::{Found, Whole};
use crate::layout::payload::{self, Fire};
use crate::state::{self, Memory};
use crate::util::path;
use crate::util::read::{Trouble, bounded};
use crate::util::time::Deadline;

/// Another run that was waited for longer than this is part of what is said of a failure.
const LONG: Duration = Duration::from_secs(1);

/// Why a run was started, and for what.
#[derive(Debug)]
pub struct Heard {
    /// That of the order, or the one that the payload names.
    pub subject: Option<Subject>,
    fire: Fire,
}

/// Reads the payload, if there is one.
///
/// # Errors
/// 64 to 74, as published.
pub fn hear(order: &Order, world: &World) -> Result<Heard> {
    let (subject, fire) = match order.stdin {
        Stdin::Payload => read_payload(order, world)
            .inspect_err(|error| record::early(order, order.subject.as_ref(), error, world))?,
        Stdin::Untouched => (order.subject.clone(), Fire::Unknown),
    };
    Ok(Heard { subject, fire })
}

/// Downloads, as ordered.
///
/// # Errors
/// 1 to 78, as published. The file is what it was then, unless the message says that it is in place.
pub fn run(order: &Order, heard: Heard, world: &World) -> Result<Report> {
    let Heard { subject: Some(subject), fire } = heard else {
        return Ok(Report { subject: None, did: Did::Nothing });
    };
    let fire = match (order.splay, fire) {
        (None, fire) | (_, fire @ Fire::Nothing) => fire,
        (Some(splay), fire) => {
            splay::sleep(splay, &subject, world);
            fire.grown_old() // Long enough for somebody to stop it, or to upload another.
        }
    };
    if let (Some(limit), Fire::Unknown) = (order.wait, &fire) {
        wait::until_there(order, &subject, limit, world)
            .inspect_err(|error| record::early(order, Some(&subject), error, world))
            .map_err(|error| error.of(&subject))?;
    }
    let did = match (&order.to, fire) {
        (_, Fire::Nothing) => Did::Nothing,
        (Destination::Stdout, fire) => to_stdout(order, &subject, fire, world).map_err(|error| error.of(&subject))?,
        (Destination::File(path), fire) => install(order, &subject, path, fire, world)
            .map_err(|error| error.of(format_args!("{subject} -> {}", path.display())))?,
    };
    Ok(Report { subject: Some(subject), did })
}

fn read_payload(order: &Order, world: &World) -> Result<(Option<Subject>, Fire)> {
    world.hint_at_terminal("a watch's payload");
    // In base64, with room for the other keys of a folder.
    let most = order.guards.max_size.saturating_mul(2).saturating_add(1024 * 1024);
    let text = bounded(std::io::stdin().as_fd(), most, Deadline::within(order.timeout)).map_err(|trouble| match trouble {
        Trouble::TooLarge => Status::Refused.error(format!("the payload on stdin is larger than {most} bytes; raise --max-size if it is meant to be")),
        Trouble::TooSlow(limit) => Status::CannotRead.error(format!(
            "the payload on stdin has not ended within {}; is this run by a watch? With -k, and without --payload and CONSUL_INDEX, stdin is not read",
            humantime::format_duration(limit)
        )),
        Trouble::Io(cause) => Status::CannotRead.error(format!("the payload on stdin cannot be read: {cause}")),
    })?;
    payload::about(&text, order.subject.as_ref(), &order.prefix)
}

/// What a run on a file is about.
struct Assignment<'a> {
    order: &'a Order,
    subject: &'a Subject,
    target: &'a Target,
    /// The file as it is named, absolute.
    named: &'a Path,
    world: &'a World,
}

/// Everything about the file is decided and done under its lock, and how that ended is recorded.
fn install(order: &Order, subject: &Subject, path: &Path, fire: Fire, world: &World) -> Result<Did> {
    let (started, named) = (Instant::now(), path::absolute(path));
    let locked = lock(order, path, &named, world);
    let (target, mut memory) = locked.inspect_err(|error| record::early(order, Some(subject), error, world))?;
    let about = Assignment { order, subject, target: &target, named: &named, world };
    let done = apply(&about, fire, started, &mut memory);
    record::under_lock(&done, &about, &mut memory);
    done.map_err(|error| match memory.waited() {
        waited if waited < LONG => error,
        waited => error.and(&format!(
            "before that, it had waited {} for another run of this file",
            humantime::format_duration(Duration::from_secs(waited.as_secs()))
        )),
    })
}

fn lock(order: &Order, path: &Path, named: &Path, world: &World) -> Result<(Target, Memory)> {
    let target = Target::resolve(path, order.parents)?;
    let state_dir = state::directory(order.state_dir.as_deref(), &world.env)?;
    let memory = Memory::open(&state_dir, target.path(), Deadline::within(order.patience), world)?;
    if memory.is_new() && named != target.path() {
        drop(state::sweep_abandoned(&state_dir, named, target.path())); // What cannot be swept is garbage, no more.
    }
    Ok((target, memory))
}

fn apply(about: &Assignment, fire: Fire, started: Instant, memory: &mut Memory) -> Result<Did> {
    let Assignment { order, subject, target, named, world } = *about;
    let wanted = order.attributes.look_up()?;
    let deadline = Deadline::within(order.timeout);
    target.sweep()?;
    let installed = target.installed(order.guards.max_size)?;
    let file = Managed { order, subject, path: named.to_owned(), target, wanted, installed: installed.as_ref(), world };

    if let Some((checksum, index)) = fire.names()
        && file.is_right(checksum, memory.stamp())
    {
        let command = file.command(memory.stamp());
        memory.has_seen(index, command, wanted)?;
        return Ok(Did::Unchanged(target.path().to_owned(), checksum, others(memory)));
    }
    if !order.ignored.lock
        && let Some(reason) = lock_file::reason(named)?
    {
        return file.stays(Did::Locked(reason), memory.stamp());
    }
    let (fired, before) = (Fired::by(&fire), Before::of(&fire, memory.stamp(), installed.as_ref()));
    let obtained = match source::of_payload(fire, &before, order.ignored) {
        Some(obtained) => obtained,
        None => Source::new(order, subject, Some(named), deadline, world)?.ask(fired, &before)?,
    };
    let Whole { document, index, .. } = match obtained {
        Obtained::Document(whole) => whole,
        Obtained::Stopped(reason) => return file.stays(Did::Stopped(reason), memory.stamp()),
        Obtained::Locked(reason) => return file.stays(Did::Locked(reason), memory.stamp()),
        Obtained::Gone => return Ok(Did::Nothing),
    };
    order.guards.check(&document)?;
    let change = file.bring_up_to_date(&document, index, deadline, memory)?;
    let took = started.elapsed();
    let handler = file.pay_what_is_owed(&document, change, memory)?;
    let others = others(memory);
    if change == Change::None && handler.is_none() {
        return Ok(Did::Unchanged(target.path().to_owned(), document.checksum(), others));
    }
    let other_names = match order.manner {
        Manner::Rename => installed.map_or(0, |installed| installed.other_names()),
        Manner::InPlace => 0, // It is still one file.
    };
    Ok(Did::Worked(Work { path: target.path().to_owned(), document, change, other_names, took, handler, others }))
}

/// Once this run's own handler is paid.
fn others(memory: &Memory) -> Others {
    if memory.stamp().is_some_and(|stamp| !stamp.owed.is_empty()) { Others::Owed } else { Others::Paid }
}

/// To stdout. Nothing is installed, so neither a stop nor a lock forbids it: its reader gets the whole document.
fn to_stdout(order: &Order, subject: &Subject, fire: Fire, world: &World) -> Result<Did> {
    let source = Source::new(order, subject, None, Deadline::within(order.timeout), world)?;
    let (document, stop) = match source.settled(order.consistency)? {
        State { found: Found::Whole(whole), stop, .. } => (whole.document, stop),
        _ if Fired::by(&fire) == Fired::ByThisKey => return Ok(Did::Nothing),
        _ => return Err(source.no_such_key()),
    };
    order.guards.check(&document)?;
    show(document.bytes())?;
    Ok(Did::Printed(document, stop))
}
