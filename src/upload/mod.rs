//! A run of `kvx-in`: read a document from its input, check it, upload it to Consul.

mod converge;
pub(crate) mod copy;
mod describe;
mod history;
mod order;
mod report;
pub(crate) mod rollback;
mod write;

pub(crate) use self::converge::converge;
pub use self::order::{DIFFER, Description, Lines, MarkerPolicy, Mode, Terms, UploadOrder};
pub use self::report::{Answer, Obstacle, Preview, Replaced, Upload, UploadEffect, UploadReport};
use crate::consul::{Client, Endpoint};
use crate::context::{Context, show};
use crate::document::guard::{self, Guards};
use crate::document::sorted::sorted;
use crate::document::{self, Verified};
use crate::error::{Error, Kind, Result, Status};
use crate::input::Input;
use crate::layout::stored::{EncodedDocument, Encoding};
use crate::util::time::Deadline;

/// Uploads a document, as `order` says.
///
/// # Errors
/// 64 to 78, as published. Nothing in Consul has changed then, unless the connection to Consul broke, or Consul denied the
/// second of the two steps of a large document. It is safe to run it again, and the next run reports what Consul has.
pub fn run(order: &UploadOrder, context: &Context) -> Result<UploadReport> {
    let Terms { key, mode, .. } = &order.terms;
    let done = upload(order, context).and_then(|effect| {
        if let UploadEffect::WouldUpload(preview) = &effect {
            show(&preview.difference)?;
        }
        Ok(effect)
    });
    done.map(|effect| UploadReport { key: key.clone(), mode: *mode, effect }).map_err(|error| error.of(key))
}

fn upload(order: &UploadOrder, context: &Context) -> Result<UploadEffect> {
    let document = read(order, context)?;
    let ours = EncodedDocument::new(document, order.form)?;
    let endpoint = Endpoint::from_options(&order.consul, context)?;
    let client = Client::new(endpoint, Deadline::within(order.timeout), document::LARGEST, context);
    converge(&order.terms, ours, &client, context)
}

/// Reads the document, and applies the guards.
fn read(order: &UploadOrder, context: &Context) -> Result<Verified> {
    let guards = match order.form {
        Encoding::Plain => order.terms.guards,
        // --max-size limits the stored bytes, so it is checked after compression.
        Encoding::Compressed => {
            Guards { max_size: order.terms.guards.max_size.max(guard::LARGEST), ..order.terms.guards }
        }
    };
    let input = order.input.read(guards.max_size, order.timeout, context).map_err(|error| match order.form {
        Encoding::Plain if error.status() == Status::Refused => error.and("or compress it with -z"),
        _ => error,
    })?;
    let document = Verified::ours(match order.lines {
        Lines::AsTheyAre => input,
        Lines::Sorted => sorted(&input),
    });
    guards.check(&document).map_err(|refused| hint_at_redirection(refused, &document, order))?;
    Ok(document)
}

/// An empty stdin has a usual cause: Consul Template does not pipe the rendered file to its command.
fn hint_at_redirection(refused: Error, document: &Verified, order: &UploadOrder) -> Error {
    if document.bytes().is_empty() && order.input == Input::Stdin {
        let refused = Status::Refused.error(format!("stdin was empty; did you forget `< FILE`? (Consul Template does not pipe to its command.) If an empty document is intended, give -l 0 (-l is {})", order.terms.guards.min_lines));
        refused.counted_as(Kind::TooShort)
    } else {
        refused
    }
}
