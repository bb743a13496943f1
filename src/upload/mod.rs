//! The story of `kvx-in`: input to Consul.

mod put;
mod report;

use std::time::Duration;

use self::put::put;
pub use self::report::{Answer, Replaced, Report};
use crate::consul::{self, Client, Consistency, Folder, Key, Outcome, Prefix, Server};
use crate::document::{self, Checksum, Size, Verified};
use crate::error::{Error, Kind, Result, Status};
use crate::guard::Guards;
use crate::input::Input;
use crate::pair::{Found, Pair, Torn};
use crate::time::{Backoff, Deadline};
use crate::world::World;
use crate::{diff, payload};

/// So often somebody else may be faster, before we give up.
const RACES: usize = 10;

/// An event is not worth more time.
pub const DIFFER: Duration = Duration::from_millis(200);

/// What to do, from the command line.
#[derive(Clone)]
pub struct Order {
    /// `-k`.
    pub key: Key,
    /// `-p`.
    pub prefix: Prefix,
    /// stdin, `-f` or `-- CMD`.
    pub input: Input,
    /// `-l`, `--max-size`, `--max-shrink`.
    pub guards: Guards,
    /// `--expect`: the document that is to be replaced must have this checksum.
    pub expect: Option<Checksum>,
    /// `-n`.
    pub mode: Mode,
    /// `--events`: afterwards, so long at most, to find out what the change was.
    pub differ: Option<Duration>,
    /// `--consistent`.
    pub consistency: Consistency,
    /// `--timeout`: for reading the input, and then for all talk with Consul.
    pub timeout: Duration,
    /// Which Consul.
    pub consul: consul::Flags,
}

/// Whether to upload, or only to show what would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Upload.
    Upload,
    /// Show the difference and send nothing.
    DryRun,
}

/// Uploads, as ordered.
///
/// # Errors
/// 64 to 78, as published. Nothing in Consul has changed then, unless the talk with Consul broke off, or was denied
/// between the two steps of a large document: running it again is safe, and finds out.
pub fn run(order: &Order, world: &World) -> Result<Report> {
    let ours = Verified::ours(order.input.read(order.guards.max_size, order.timeout, world)?);
    order.guards.check(&ours).map_err(|refused| hint_at_redirection(refused, &ours, order))?;
    let server = Server::find(&order.consul, world)?;
    let client = Client::new(server, Deadline::within(order.timeout), document::LARGEST, world);
    converge(order, ours, &client, world)
}

/// Reads, decides and changes, again and again while somebody else is faster: the last writer wins, and knows whom it
/// replaced.
fn converge(order: &Order, ours: Verified, client: &Client, world: &World) -> Result<Report> {
    let folder = Folder::of(&order.prefix, &order.key);
    let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_millis(500));
    let mut lost = String::new();
    // What a change replaces whose answer was lost: afterwards the document is there, or half of a large one is.
    let mut unanswered = None;
    for race in 0..RACES {
        if race > 0 && !backoff.sleep(client.deadline(), &world.random) {
            break;
        }
        let mut entries =
            client.read(order.consistency, &[&folder.data, &folder.checksum], &[&folder.stop]).map_err(|error| {
                match error.status() {
                    Status::Refused => error.and("whatever it is, it is no document: look at it, or use another key"),
                    _ => error,
                }
            })?;
        let found = Pair::take(&mut entries, &folder).judge();
        if let Found::Whole(previous) = &found
            && previous.document.checksum() == ours.checksum()
        {
            return Ok(match unanswered {
                Some(replaced) => Report::Uploaded(ours, replaced, Answer::Lost, None),
                None => Report::Unchanged(ours),
            });
        }
        let stop = entries.take(&folder.stop).as_ref().and_then(payload::reason);
        if order.mode == Mode::DryRun || stop.is_none() {
            expected(order, &found, &ours)?;
            order.guards.check_shrinkage(&ours, Size::of(previous(&found)))?;
        }
        match (order.mode, stop) {
            (Mode::Upload, Some(reason)) => return Ok(Report::Stopped(reason)),
            (Mode::Upload, None) => {}
            (Mode::DryRun, stop) => {
                let (from, to) = (format!("{} (in Consul)", folder.data), format!("{} (to upload)", folder.data));
                let limit = client.deadline().left();
                let difference = diff::unified((previous(&found), &from), (ours.bytes(), &to), limit);
                return Ok(Report::WouldUpload(ours, difference, stop));
            }
        }
        let outcome = put(&folder, &found, &ours, client).map_err(|error| match error.status() {
            Status::Unavailable => error.and("the document may be in Consul all the same: run it again to be sure"),
            _ => error,
        })?;
        let replaced = replaced(&found, &ours, unanswered);
        match outcome {
            Outcome::Done => {
                let name = folder.data.as_str();
                let differ = |limit| diff::unified((previous(&found), name), (ours.bytes(), name), limit);
                let difference = order.differ.map(differ);
                return Ok(Report::Uploaded(ours, replaced, Answer::Heard, difference));
            }
            Outcome::Lost { why, repeated } => {
                world.detail(|| format!("{}: somebody else was faster ({why}); reading again", order.key));
                lost = why;
                unanswered = repeated.then_some(replaced);
            }
            Outcome::TooLarge => return Err(Status::Refused.error("it is too large for Consul")),
        }
    }
    Err(Status::TryAgain.error(format!("other writers were faster every time ({lost}); run it again")))
}

/// `--expect`. A large document goes in two steps: what stands between them may be of a run that died.
fn expected(order: &Order, found: &Found, ours: &Verified) -> Result<()> {
    let Some(expect) = order.expect else { return Ok(()) };
    let is = match found {
        Found::Whole(whole) if whole.document.checksum() == expect => return Ok(()),
        Found::Torn(torn) if torn.has_data(ours) && torn.has_checksum(expect) => return Ok(()),
        Found::Whole(whole) => format!("holds {}", whole.document.checksum()),
        Found::Torn(torn) => format!("is torn ({})", torn.why),
        Found::Nothing => "does not exist".into(),
    };
    Err(Status::TryAgain
        .error(format!("the key {is}, not {expect} as --expect wants; look at what is there and decide anew")))
}

/// What stands there and is replaced; or, if that is our own first half whose answer was lost, what it replaced.
fn replaced(found: &Found, ours: &Verified, unanswered: Option<Replaced>) -> Replaced {
    match (found, unanswered) {
        (Found::Nothing, _) => Replaced::Nothing,
        (Found::Whole(whole), _) => Replaced::Document(whole.document.checksum()),
        (Found::Torn(torn), Some(before)) if torn.has_data(ours) && checksum_is_of(torn, before) => before,
        (Found::Torn(_), _) => Replaced::Torn,
    }
}

fn checksum_is_of(torn: &Torn, before: Replaced) -> bool {
    match before {
        Replaced::Document(checksum) => torn.has_checksum(checksum),
        Replaced::Nothing => torn.pair.checksum.is_none(),
        Replaced::Torn => false,
    }
}

/// Of a torn pair, what would be the document if its checksum were.
fn previous(found: &Found) -> &[u8] {
    match found {
        Found::Nothing => &[],
        Found::Torn(torn) => torn.pair.data.as_ref().map_or(&[], |data| &data.value),
        Found::Whole(whole) => whole.document.bytes(),
    }
}

/// Consul Template does not pipe what it renders: the usual reason why nothing comes.
fn hint_at_redirection(refused: Error, ours: &Verified, order: &Order) -> Error {
    if ours.bytes().is_empty() && order.input == Input::Stdin {
        let refused = Status::Refused.error(format!("stdin was empty; did you forget `< FILE`? (Consul Template does not pipe to its command.) If an empty document is meant, give -l 0 (-l is {})", order.guards.min_lines));
        refused.counted_as(Kind::TooShort)
    } else {
        refused
    }
}
