//! The story of `kvx-out`: Consul to one file, then the handler.

use std::fmt;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::consul::{self, Client, Entry, Key, Part, Prefix, Server};
use crate::document::{Checksum, Verified};
use crate::error::{Error, Result, Status};
use crate::guard::Guards;
use crate::handler::Handler;
use crate::input::{self, Trouble};
use crate::install::{Attributes, Installed, Target, Wanted};
use crate::pair::{Found, Pair, Whole};
use crate::payload::{self, Fire};
use crate::stamp::{self, Memory, Stamp};
use crate::time::{Backoff, Deadline};
use crate::world::World;

/// What to do, from the command line.
#[derive(Clone)]
pub struct Order {
    /// `-k`; without it, the payload names the key.
    pub key: Option<Key>,
    /// `-p`.
    pub prefix: Prefix,
    /// `-f`.
    pub to: Destination,
    /// `-l`, `--max-size`.
    pub guards: Guards,
    /// `-c`, `-o`.
    pub attributes: Attributes,
    /// `-e` or `-- ARGV`.
    pub handler: Option<Handler>,
    /// `--payload`, or what suggests one.
    pub stdin: Stdin,
    /// `--state-dir`.
    pub state_dir: Option<PathBuf>,
    /// `--timeout`: for all talk with Consul, and for the payload.
    pub timeout: Duration,
    /// How long another run on the same file is waited for: as long as one may take.
    pub patience: Duration,
    /// Which Consul.
    pub consul: consul::Flags,
}

/// Where the document goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A file, replaced atomically.
    File(PathBuf),
    /// `-f -`: stdout; no stamp and no handler.
    Stdout,
}

/// Whether there is a payload on stdin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stdin {
    /// A watch's payload.
    Payload,
    /// Somebody else's; it may never end.
    Untouched,
}

/// What became of it.
#[derive(Debug)]
pub struct Report {
    /// The key, unless the payload was to name it and did not.
    pub key: Option<Key>,
    /// What was done.
    pub did: Did,
}

/// What was done, or why nothing was.
#[derive(Debug)]
pub enum Did {
    /// The payload says that there is nothing, or that it may not be read; or there was, and is not any more.
    Nothing,
    /// The file is as it should be, and no handler is owed.
    Unchanged,
    /// The key is stopped, for this reason.
    Stopped(String),
    /// The file is locked on this node, for this reason.
    Locked(String),
    /// The document went to stdout.
    Printed(Verified, Option<String>),
    /// The file was brought up to date.
    Worked(Work),
}

/// What was done to a file.
#[derive(Debug)]
pub struct Work {
    path: PathBuf,
    document: Verified,
    change: Change,
    /// Until the file was right.
    took: Duration,
    /// How long the handler took, if it was owed.
    handler: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Installed,
    Mended,
    None,
}

/// Downloads, as ordered.
///
/// # Errors
/// 1 to 78, as published. But for 1 (the file is right, the handler owed) the file is what it was.
pub fn run(order: &Order, world: &World) -> Result<Report> {
    let (named, fire) = match order.stdin {
        Stdin::Payload => read_payload(order)?,
        Stdin::Untouched => (None, Fire::Unknown),
    };
    let Some(key) = order.key.clone().or(named) else {
        return Ok(Report { key: None, did: Did::Nothing });
    };
    let did = match (&order.to, fire) {
        (_, Fire::Nothing) => Ok(Did::Nothing),
        (Destination::Stdout, fire) => print(order, &key, fire, world),
        (Destination::File(path), fire) => install(order, &key, path, fire, world),
    };
    match did {
        Ok(did) => Ok(Report { key: Some(key), did }),
        Err(error) => Err(error.of(key)),
    }
}

fn read_payload(order: &Order) -> Result<(Option<Key>, Fire)> {
    // In base64, with room for the other keys of a folder.
    let most = order.guards.max_size.saturating_mul(2).saturating_add(1024 * 1024);
    let text = input::bounded(std::io::stdin().as_fd(), most, Deadline::within(order.timeout)).map_err(|trouble| match trouble {
        Trouble::TooLarge => Status::Refused.error(format!("the payload on stdin is larger than {most} bytes; raise --max-size if it is meant to be")),
        Trouble::TooSlow(limit) => Status::CannotRead.error(format!(
            "the payload on stdin has not ended within {}; is this run by a watch? With -k, and without --payload and CONSUL_INDEX, stdin is not read",
            humantime::format_duration(limit)
        )),
        Trouble::Io(cause) => Status::CannotRead.error(format!("the payload on stdin cannot be read: {cause}")),
    })?;
    payload::read(&text, order.key.as_ref(), &order.prefix)
}

/// Everything about the file is decided and done under its lock.
fn install(order: &Order, key: &Key, path: &Path, fire: Fire, world: &World) -> Result<Did> {
    let started = Instant::now();
    let wanted = order.attributes.look_up()?;
    let target = Target::resolve(path)?;
    let state_dir = stamp::directory(order.state_dir.as_deref(), world)?;
    let mut memory = Memory::open(&state_dir, target.path(), Deadline::within(order.patience), world)?;
    let installed = target.installed()?;
    let file = Managed { order, key, target: &target, wanted, installed: installed.as_ref() };

    if let Some((checksum, index)) = fire.names()
        && file.is_right(checksum, memory.stamp())
    {
        memory.has_seen(index)?;
        return Ok(Did::Unchanged);
    }
    if let Some(reason) = locked_here(path) {
        return Ok(Did::Locked(reason));
    }
    let Whole { document, index, .. } =
        match Source::new(order, key, Some(path), world)?.obtain(fire, &memory, installed.is_some())? {
            Obtained::Document(whole) => whole,
            Obtained::Stopped(reason) => return Ok(Did::Stopped(reason)),
            Obtained::Locked(reason) => return Ok(Did::Locked(reason)),
            Obtained::Gone => return Ok(Did::Nothing),
        };
    order.guards.check(&document)?;
    let change = file.bring_up_to_date(&document, index, &mut memory)?;
    let took = started.elapsed();
    let handler = file.pay_what_is_owed(&document, &mut memory)?;
    if change == Change::None && handler.is_none() {
        return Ok(Did::Unchanged);
    }
    Ok(Did::Worked(Work { path: target.path().to_owned(), document, change, took, handler }))
}

/// The file that is to be right, as it is and as it is wanted.
struct Managed<'a> {
    order: &'a Order,
    key: &'a Key,
    target: &'a Target,
    wanted: Wanted,
    installed: Option<&'a Installed>,
}

impl Managed<'_> {
    /// Nothing to install, to mend or to run.
    fn is_right(&self, checksum: Checksum, stamp: Option<&Stamp>) -> bool {
        self.installed.is_some_and(|installed| installed.checksum == checksum && installed.has(&self.wanted))
            && !self.owes(checksum, stamp)
    }

    fn owes(&self, checksum: Checksum, stamp: Option<&Stamp>) -> bool {
        self.order.handler.as_ref().is_some_and(|handler| stamp.is_none_or(|stamp| stamp.owes(&handler.id(), checksum)))
    }

    fn bring_up_to_date(&self, document: &Verified, index: u64, memory: &mut Memory) -> Result<Change> {
        match self.installed {
            Some(installed) if installed.checksum == document.checksum() => {
                memory.adopt(self.stamp(document, index))?;
                if installed.has(&self.wanted) {
                    return Ok(Change::None);
                }
                installed.mend(&self.wanted)?;
                Ok(Change::Mended)
            }
            _ => {
                // Before the file changes: whatever comes between, all its handlers are owed. Afterwards would be too
                // late: an upload that goes back to the document before would find its old stamp.
                memory.remember(self.stamp(document, index))?;
                self.target.replace(document, &self.wanted, self.installed)?;
                Ok(Change::Installed)
            }
        }
    }

    fn pay_what_is_owed(&self, document: &Verified, memory: &mut Memory) -> Result<Option<Duration>> {
        let Some(handler) = self.order.handler.as_ref().filter(|_| self.owes(document.checksum(), memory.stamp()))
        else {
            return Ok(None);
        };
        let started = Instant::now();
        let checksum = document.checksum().to_string();
        let variables = [
            ("KVX_KEY", self.key.to_string().into()),
            ("KVX_FILE", self.target.path().into()),
            ("KVX_CHECKSUM", checksum.into()),
        ];
        handler.run(&variables).map_err(|failed| {
            failed
                .of(format!("{} has {document}, but", self.target.path().display()))
                .and("it stays owed: the next run runs it again")
        })?;
        memory.has_run(handler.id())?;
        Ok(Some(started.elapsed()))
    }

    fn stamp(&self, document: &Verified, index: u64) -> Stamp {
        Stamp::new(self.target.path(), &self.key.to_string(), document.checksum(), index)
    }
}

/// To stdout. Nothing is installed, so neither a stop nor a lock forbids it: its reader gets the whole document.
fn print(order: &Order, key: &Key, fire: Fire, world: &World) -> Result<Did> {
    let source = Source::new(order, key, None, world)?;
    let (document, stop) = match source.settled()? {
        State { found: Found::Whole(whole), stop, .. } => (whole.document, stop),
        _ if !matches!(fire, Fire::Unknown) => return Ok(Did::Nothing),
        _ => return Err(source.no_such_key()),
    };
    order.guards.check(&document)?;
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(document.bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(Did::Printed(document, stop)),
        Err(cause) => Err(Status::CannotWrite.error(format!("stdout cannot be written: {cause}"))),
    }
}

/// The mark that kvexpress's `lock` leaves beside the file.
fn locked_here(path: &Path) -> Option<String> {
    let mut mark = path.as_os_str().to_owned();
    mark.push(".locked");
    let text = fs_err::read(Path::new(&mark)).ok()?;
    let text = String::from_utf8_lossy(&text);
    let reason = text.lines().find_map(|line| line.strip_prefix("Reason Locked: "));
    Some(format!("{} ({})", reason.unwrap_or("no reason given"), mark.to_string_lossy()))
}

/// Where the document is to be had.
struct Source<'a> {
    client: Client<'a>,
    order: &'a Order,
    world: &'a World,
    data: String,
    checksum: String,
    stop: String,
    /// None for stdout.
    lock: Option<String>,
}

/// What one read brought.
struct State {
    found: Found,
    stop: Option<String>,
    lock: Option<String>,
}

/// What asking, or the payload, brought.
enum Obtained {
    Document(Whole),
    Stopped(String),
    Locked(String),
    /// The payload says there was something, but there is not now.
    Gone,
}

impl<'a> Source<'a> {
    fn new(order: &'a Order, key: &Key, file: Option<&Path>, world: &'a World) -> Result<Source<'a>> {
        let path = |part| key.path(&order.prefix, part);
        // As given, but absolute, as kvexpress's `lock` wants it.
        let lock = file.map(|file| {
            order.prefix.lock(&std::path::absolute(file).unwrap_or_else(|_| file.to_owned()), &world.hostname())
        });
        let server = Server::find(&order.consul, world)?;
        let client = Client::new(server, Deadline::within(order.timeout), order.guards.max_size, world);
        Ok(Source {
            client,
            order,
            world,
            data: path(Part::Data),
            checksum: path(Part::Checksum),
            stop: path(Part::Stop),
            lock,
        })
    }

    /// The rule of which bytes may be installed. What a read brings that was made under the file's lock may always be,
    /// if it verifies: whatever its index, since indexes go back when a snapshot is restored (tried). A payload may have
    /// been overtaken: its bytes are good only if they are newer than what is installed, or there was never anything.
    fn obtain(&self, fire: Fire, memory: &Memory, file_exists: bool) -> Result<Obtained> {
        let by_payload = !matches!(fire, Fire::Unknown);
        if let Fire::Folder(pair, stop) = fire {
            if let Some(reason) = stop {
                return Ok(Obtained::Stopped(reason));
            }
            let newer = |index| memory.stamp().map_or(!file_exists, |stamp| index > stamp.index);
            match pair.judge() {
                Found::Whole(whole) if newer(whole.index) => return Ok(Obtained::Document(whole)),
                _ => self.world.detail(|| format!("{}: the payload is not enough; asking Consul", self.data)),
            }
        }
        let state = self.settled()?;
        Ok(match (state.stop, state.lock, state.found) {
            (Some(reason), _, _) => Obtained::Stopped(reason),
            (_, Some(reason), _) => Obtained::Locked(reason),
            (_, _, Found::Whole(whole)) => Obtained::Document(whole),
            _ if by_payload => Obtained::Gone,
            _ => return Err(self.no_such_key()),
        })
    }

    /// Reads until it is not a torn pair: an old kvexpress may be between its two PUTs. What is stopped or locked may
    /// be torn.
    fn settled(&self) -> Result<State> {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
        loop {
            let state = self.read()?;
            let Found::Torn(torn) = &state.found else { return Ok(state) };
            if self.lock.is_some() && (state.stop.is_some() || state.lock.is_some()) {
                return Ok(state);
            }
            self.world.progress(|| format!("{}: {}; waiting for the other half", self.data, torn.why));
            if !backoff.sleep(self.client.deadline(), &self.world.random) {
                return Err(Status::TryAgain.error(format!(
                    "{} and {} in Consul are torn: {} (for {}); upload the document again with kvx-in",
                    self.data,
                    self.checksum,
                    torn.why,
                    humantime::format_duration(self.order.timeout)
                )));
            }
        }
    }

    fn read(&self) -> Result<State> {
        let documents = [self.data.as_str(), &self.checksum];
        let ([data, checksum], stop, lock) = match &self.lock {
            Some(lock) => {
                let (pair, [stop, lock]) = self.client.read(documents, [&self.stop, lock])?;
                (pair, stop, lock)
            }
            None => {
                let (pair, [stop]) = self.client.read(documents, [&self.stop])?;
                (pair, stop, None)
            }
        };
        let reason = |mark: Option<Entry>| mark.as_ref().and_then(payload::reason);
        Ok(State { found: Pair { data, checksum }.judge(), stop: reason(stop), lock: reason(lock) })
    }

    fn no_such_key(&self) -> Error {
        Status::NoSuchKey.error(format!(
            "there is no {} in Consul at {}; upload it with kvx-in, or check -k and -p",
            self.data,
            self.client.server()
        ))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(key) = &self.key {
            write!(f, "{key}: ")?;
        }
        match &self.did {
            Did::Nothing => f.write_str(
                "nothing there (not yet, not any more, or not to be read with this token); the file stays as it is",
            ),
            Did::Unchanged => f.write_str("unchanged"),
            Did::Stopped(reason) => write!(f, "stopped, the file stays as it is: {reason}"),
            Did::Locked(reason) => write!(f, "locked on this node, the file stays as it is: {reason}"),
            Did::Printed(document, None) => write!(f, "{document}"),
            Did::Printed(document, Some(reason)) => write!(f, "{document}, though the key is stopped: {reason}"),
            Did::Worked(work) => work.fmt(f),
        }
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match self.change {
            Change::Installed => write!(f, "{} installed in {} ms as {path}", self.document, self.took.as_millis())?,
            Change::Mended => write!(f, "owner or mode of {path} mended")?,
            Change::None => write!(f, "{path} unchanged")?,
        }
        match self.handler {
            None => Ok(()),
            Some(took) if self.change == Change::Installed => write!(f, ", handler ran in {} ms", took.as_millis()),
            Some(took) => write!(f, ", the handler that was owed ran in {} ms", took.as_millis()),
        }
    }
}

impl Report {
    /// Whether something was done, or was not that somebody may have expected: worth a line without `-v`.
    pub fn is_news(&self) -> bool {
        !matches!(self.did, Did::Unchanged | Did::Printed(_, None))
    }
}
