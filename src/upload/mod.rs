//! The story of `kvx-in`: input to Consul.

mod converge;
pub mod copy;
mod report;
mod write;

use std::time::Duration;

pub(crate) use self::converge::converge;
pub use self::report::{Answer, Replaced, Report, Upload};
use crate::consul::{self, Client, Consistency, Server};
use crate::context::World;
use crate::document::guard::{self, Guards};
use crate::document::sorted::sorted;
use crate::document::{self, Checksum, Verified};
use crate::error::{Error, Kind, Result, Status};
use crate::input::Input;
use crate::layout::keys::{Key, Prefix};
use crate::layout::stored::{Form, Stored};
use crate::util::time::Deadline;

/// An event is not worth more time.
pub const DIFFER: Duration = Duration::from_millis(200);

/// What to do, from the command line.
#[derive(Clone)]
pub struct Order {
    /// Where the document goes, and under which terms.
    pub terms: Terms,
    /// stdin, `-f`, `-u` or `-- CMD`.
    pub input: Input,
    /// `-S`.
    pub lines: Lines,
    /// `-z`.
    pub form: Form,
    /// `--timeout`: for reading the input, and then for all talk with Consul.
    pub timeout: Duration,
    /// Which Consul.
    pub consul: consul::Flags,
}

/// What it takes to replace a document by another, wherever that comes from.
#[derive(Clone)]
pub struct Terms {
    /// `-k`.
    pub key: Key,
    /// `-p`.
    pub prefix: Prefix,
    /// `-l`, `--max-size` (of what is stored), `--max-shrink`.
    pub guards: Guards,
    /// `--expect`: the document that is to be replaced must have this checksum.
    pub expect: Option<Checksum>,
    /// `--ignore-stop`.
    pub stop: Stop,
    /// `-n`.
    pub mode: Mode,
    /// `--events`: afterwards, so long at most, to find out what the change was.
    pub differ: Option<Duration>,
    /// `--consistent`.
    pub consistency: Consistency,
}

/// What becomes of the lines of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lines {
    /// They are the document.
    AsTheyAre,
    /// They are sorted.
    Sorted,
}

/// What the mark that a key is stopped means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Nothing is uploaded.
    Heeded,
    /// It is told of, and no more.
    Ignored,
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
    let document = read(order, world)?;
    let ours = Stored::new(document, order.form)?;
    let server = Server::find(&order.consul, world)?;
    let client = Client::new(server, Deadline::within(order.timeout), document::LARGEST, world);
    converge(&order.terms, ours, &client, world)
}

/// The document, if the guards let it through.
fn read(order: &Order, world: &World) -> Result<Verified> {
    let guards = match order.form {
        Form::Plain => order.terms.guards,
        // The size of what is stored is looked at once it is compressed.
        Form::Compressed => Guards { max_size: order.terms.guards.max_size.max(guard::LARGEST), ..order.terms.guards },
    };
    let input = order.input.read(guards.max_size, order.timeout, world).map_err(|error| match order.form {
        Form::Plain if error.status() == Status::Refused => error.and("or compress it with -z"),
        _ => error,
    })?;
    let document = Verified::ours(match order.lines {
        Lines::AsTheyAre => input,
        Lines::Sorted => sorted(&input),
    });
    guards.check(&document).map_err(|refused| hint_at_redirection(refused, &document, order))?;
    Ok(document)
}

/// Consul Template does not pipe what it renders: the usual reason why nothing comes.
fn hint_at_redirection(refused: Error, ours: &Verified, order: &Order) -> Error {
    if ours.bytes().is_empty() && order.input == Input::Stdin {
        let refused = Status::Refused.error(format!("stdin was empty; did you forget `< FILE`? (Consul Template does not pipe to its command.) If an empty document is meant, give -l 0 (-l is {})", order.terms.guards.min_lines));
        refused.counted_as(Kind::TooShort)
    } else {
        refused
    }
}
