//! The story of `kvx-in`: input to Consul.

use std::fmt;
use std::time::Duration;

use crate::consul::{self, Change, Client, Key, Outcome, Part, Prefix, Server};
use crate::diff;
use crate::document::{self, Checksum, Verified};
use crate::error::{Result, Status};
use crate::guard::Guards;
use crate::input::Input;
use crate::pair::{Found, Pair, Torn};
use crate::payload;
use crate::time::{Backoff, Deadline};
use crate::world::World;

/// So often somebody else may be faster, before we give up.
const RACES: usize = 10;

/// What to do, from the command line.
#[derive(Clone)]
pub struct Order {
    /// `-k`.
    pub key: Key,
    /// `-p`.
    pub prefix: Prefix,
    /// stdin, `-f` or `-- CMD`.
    pub input: Input,
    /// `-l`, `--max-size`.
    pub guards: Guards,
    /// `--expect`: the document that is to be replaced must have this checksum.
    pub expect: Option<Checksum>,
    /// `-n`.
    pub mode: Mode,
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

/// What became of it.
#[derive(Debug)]
pub enum Report {
    /// Consul has it already.
    Unchanged(Verified),
    /// The key is stopped, for this reason: nothing was uploaded.
    Stopped(String),
    /// It would be uploaded, with this difference to what is in Consul.
    WouldUpload(Verified, String),
    /// It was uploaded, instead of that.
    Uploaded(Verified, Replaced),
}

/// What was in Consul before.
#[derive(Clone, Copy, Debug)]
pub enum Replaced {
    /// Nothing.
    Nothing,
    /// Data and checksum that did not belong together.
    Torn,
    /// A document.
    Document(Checksum),
}

/// Uploads, as ordered.
///
/// # Errors
/// 64 to 78, as published. Nothing in Consul has changed then, unless the talk with Consul broke off: running it again
/// is safe, and finds out.
pub fn run(order: &Order, world: &World) -> Result<Report> {
    let ours = Verified::ours(order.input.read(order.guards.max_size, order.timeout)?);
    order.guards.check(&ours).map_err(|refused| hint_at_redirection(refused, &ours, order))?;
    let server = Server::find(&order.consul, world)?;
    let client = Client::new(server, Deadline::within(order.timeout), document::LARGEST, world);
    converge(order, ours, &client, world)
}

/// Reads, decides and changes, again and again while somebody else is faster: the last writer wins, and knows whom it
/// replaced.
fn converge(order: &Order, ours: Verified, client: &Client, world: &World) -> Result<Report> {
    let paths = Paths::of(order);
    let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_millis(500));
    let mut lost = String::new();
    // What a change replaced whose answer was lost: if the document is there afterwards, that change was ours.
    let mut perhaps_done = None;
    for race in 0..RACES {
        if race > 0 && !backoff.sleep(client.deadline(), &world.random) {
            break;
        }
        let ([data, checksum], [stop]) = client.read([&paths.data, &paths.checksum], [&paths.stop])?;
        let found = Pair { data, checksum }.judge();
        if let Found::Whole(previous) = &found
            && previous.document.checksum() == ours.checksum()
        {
            return Ok(match perhaps_done {
                Some(replaced) => Report::Uploaded(ours, replaced),
                None => Report::Unchanged(ours),
            });
        }
        if let Some(reason) = stop.as_ref().and_then(payload::reason) {
            return Ok(Report::Stopped(reason));
        }
        expected(order, &found)?;
        if order.mode == Mode::DryRun {
            let difference = diff::unified(previous(&found), ours.bytes(), &paths.data);
            return Ok(Report::WouldUpload(ours, difference));
        }
        match paths.put(&found, &ours, client)? {
            Outcome::Done => {
                // A large document goes in two steps: a torn pair may be our own first one, whose answer was lost.
                let replaced = perhaps_done.filter(|_| matches!(found, Found::Torn(_))).unwrap_or(replaced(&found));
                return Ok(Report::Uploaded(ours, replaced));
            }
            Outcome::Lost { why, repeated } => {
                world.detail(|| format!("{}: somebody else was faster ({why}); reading again", order.key));
                lost = why;
                if repeated {
                    perhaps_done = Some(replaced(&found));
                }
            }
            Outcome::TooLarge => return Err(Status::Refused.error("it is too large for Consul")),
        }
    }
    Err(Status::TryAgain.error(format!("other writers were faster every time ({lost}); run it again")))
}

/// Where the key is.
struct Paths {
    data: String,
    checksum: String,
    stop: String,
}

impl Paths {
    fn of(order: &Order) -> Paths {
        let path = |part| order.key.path(&order.prefix, part);
        Paths { data: path(Part::Data), checksum: path(Part::Checksum), stop: path(Part::Stop) }
    }

    /// Replaces what was found, data and checksum together.
    fn put(&self, found: &Found, ours: &Verified, client: &Client) -> Result<Outcome> {
        let now = Now::of(found, ours);
        let checksum = ours.checksum().to_string();
        let set = Change::Set(&self.data, ours.bytes());
        let outcome = client.change(&now.with(set, &self.checksum, checksum.as_bytes()))?;
        if outcome == Outcome::TooLarge { self.put_large(&now, ours, client) } else { Ok(outcome) }
    }

    /// A document that no transaction can carry: first the data, which makes a torn pair that nobody installs; then the
    /// checksum, if the data is still ours.
    fn put_large(&self, now: &Now, ours: &Verified, client: &Client) -> Result<Outcome> {
        if !now.has_our_data {
            match client.put(&self.data, ours.bytes(), now.data_index)? {
                Outcome::Done => {}
                not_done => return Ok(not_done),
            }
        }
        let ([data], []) = client.read([&self.data], [])?;
        let Some(data) = data.filter(|data| data.value == ours.bytes() && data.flags == 0) else {
            return Ok(Outcome::Lost { why: format!("{} has changed", self.data), repeated: false });
        };
        let checksum = ours.checksum().to_string();
        client.change(&now.with(Change::CheckIndex(&self.data, data.modify_index), &self.checksum, checksum.as_bytes()))
    }
}

/// What of the state in Consul decides how to replace it.
struct Now {
    data_index: u64,
    has_our_data: bool,
    checksum_index: u64,
    /// A torn pair with our checksum: to set the same value again would wake no watch (tried).
    has_our_checksum: bool,
}

impl Now {
    fn of(found: &Found, ours: &Verified) -> Now {
        match found {
            Found::Nothing => Now { data_index: 0, has_our_data: false, checksum_index: 0, has_our_checksum: false },
            Found::Whole(whole) => Now {
                data_index: whole.data_index,
                has_our_data: false,
                checksum_index: whole.index,
                has_our_checksum: false,
            },
            Found::Torn(Torn { pair, .. }) => Now {
                data_index: pair.data.as_ref().map_or(0, |data| data.modify_index),
                has_our_data: pair.data.as_ref().is_some_and(|data| data.value == ours.bytes() && data.flags == 0),
                checksum_index: pair.checksum.as_ref().map_or(0, |entry| entry.modify_index),
                has_our_checksum: pair
                    .checksum
                    .as_ref()
                    .is_some_and(|entry| entry.value == ours.checksum().to_string().as_bytes()),
            },
        }
    }

    /// The changes: the data's, then the checksum's.
    fn with<'a>(&self, data: Change<'a>, key: &'a str, checksum: &'a [u8]) -> Vec<Change<'a>> {
        if self.has_our_checksum {
            vec![data, Change::DeleteCas(key, self.checksum_index), Change::Set(key, checksum)]
        } else {
            vec![data, Change::Cas(key, checksum, self.checksum_index)]
        }
    }
}

fn expected(order: &Order, found: &Found) -> Result<()> {
    let Some(expect) = order.expect else { return Ok(()) };
    let is = match found {
        Found::Whole(whole) if whole.document.checksum() == expect => return Ok(()),
        Found::Whole(whole) => format!("holds {}", whole.document.checksum()),
        Found::Torn(torn) => format!("is torn ({})", torn.why),
        Found::Nothing => "does not exist".into(),
    };
    Err(Status::TryAgain
        .error(format!("the key {is}, not {expect} as --expect wants; look at what is there and decide anew")))
}

fn replaced(found: &Found) -> Replaced {
    match found {
        Found::Nothing => Replaced::Nothing,
        Found::Torn(_) => Replaced::Torn,
        Found::Whole(whole) => Replaced::Document(whole.document.checksum()),
    }
}

fn previous(found: &Found) -> &[u8] {
    match found {
        Found::Nothing => &[],
        Found::Torn(torn) => torn.pair.data.as_ref().map_or(&[], |data| &data.value),
        Found::Whole(whole) => whole.document.bytes(),
    }
}

/// Consul Template does not pipe what it renders: the usual reason why nothing comes.
fn hint_at_redirection(refused: crate::error::Error, ours: &Verified, order: &Order) -> crate::error::Error {
    if ours.bytes().is_empty() && order.input == Input::Stdin {
        Status::Refused.error(format!("stdin was empty; did you forget `< FILE`? (Consul Template does not pipe to its command.) If an empty document is meant, give -l 0 (-l is {})", order.guards.min_lines))
    } else {
        refused
    }
}

impl Report {
    /// Whether it is worth a line without `-v`.
    pub fn is_news(&self) -> bool {
        !matches!(self, Report::Unchanged(_))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Report::Unchanged(document) => write!(f, "{document} unchanged"),
            Report::Stopped(reason) => write!(f, "stopped, nothing uploaded: {reason}"),
            Report::WouldUpload(document, _) => write!(f, "{document} would be uploaded"),
            Report::Uploaded(document, replaced) => write!(f, "{document} uploaded, {replaced}"),
        }
    }
}

impl fmt::Display for Replaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Replaced::Nothing => f.write_str("the first of this key"),
            Replaced::Torn => f.write_str("in place of a torn pair"),
            Replaced::Document(checksum) => write!(f, "in place of {}", checksum.short()),
        }
    }
}
