//! The story of `kvx-in`: input to Consul.

mod converge;
pub mod copy;
mod order;
mod report;
mod write;

pub(crate) use self::converge::converge;
pub use self::order::{DIFFER, Lines, Mode, Order, Stop, Terms};
pub use self::report::{Answer, Replaced, Report, Upload};
use crate::consul::{Client, Server};
use crate::context::World;
use crate::document::guard::{self, Guards};
use crate::document::sorted::sorted;
use crate::document::{self, Verified};
use crate::error::{Error, Kind, Result, Status};
use crate::input::Input;
use crate::layout::stored::{Form, Stored};
use crate::util::time::Deadline;

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
