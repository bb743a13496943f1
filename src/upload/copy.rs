//! Copying a document to another key, as it is stored: value, Flags and checksum, in one transaction.

use crate::consul::Consistency;
use crate::context::Context;
use crate::document::guard::Guards;
use crate::error::{Result, Status};
use crate::layout::keys::{Key, KeyPaths};
use crate::layout::site::Site;
use crate::layout::snapshot;
use crate::layout::stored::EncodedDocument;
use crate::upload::{Mode, StopPolicy, Terms, UploadReport, converge};

/// A copy to be.
#[derive(Clone)]
pub struct CopyOrder {
    /// `--from`.
    pub from: Key,
    /// `--to`.
    pub to: Key,
    /// What it must be like.
    pub guards: Guards,
    /// `--ignore-stop`. (kvexpress ignores it always.)
    pub stop: StopPolicy,
    /// Where.
    pub site: Site,
}

/// Copies. A key that is stopped gets nothing: that is an error here, since a person wanted it, and nobody ends for it.
///
/// # Errors
/// 65 where a guard refuses it, 66 where there is nothing to copy, 75 where that is torn or the other stopped; 69, 77, 78.
pub fn copy(order: &CopyOrder, context: &Context) -> Result<UploadReport> {
    let client = order.site.client(context)?;
    let stored = EncodedDocument::of_pair(snapshot::verified(&client, KeyPaths::of(&order.site.prefix, &order.from))?);
    order.guards.check(stored.document())?;
    let terms = Terms {
        key: order.to.clone(),
        prefix: order.site.prefix.clone(),
        guards: order.guards,
        expect: None,
        stop: order.stop,
        mode: Mode::Upload,
        differ: None,
        consistency: Consistency::Default,
    };
    match converge(&terms, stored, &client, context)? {
        UploadReport::Stopped(reason) => Err(Status::TryAgain
            .error(format!("stopped, nothing copied: {reason}; resume it first, or give --ignore-stop"))),
        report => Ok(report),
    }
}
