//! Copies a document to another key in its stored encoding: value, Flags and checksum, in one transaction.

use crate::consul::Consistency;
use crate::context::Context;
use crate::document::guard::Guards;
use crate::error::Result;
use crate::layout::keys::{Key, KeyPaths};
use crate::layout::site::Site;
use crate::layout::snapshot;
use crate::layout::stored::EncodedDocument;
use crate::telemetry::outcome::{Outcome, RunOutcome, RunResult};
use crate::upload::{Description, MarkerPolicy, Mode, Terms, UploadEffect, converge};

/// What to copy.
#[derive(Clone)]
pub struct CopyOrder {
    /// `--from`.
    pub from: Key,
    /// `--to`.
    pub to: Key,
    /// What the document must satisfy.
    pub guards: Guards,
    /// `--ignore-stop`. kvexpress always ignores a stop.
    pub stop: MarkerPolicy,
    /// `--ignore-hold`.
    pub hold: MarkerPolicy,
    /// What describes the copy.
    pub description: Description,
    /// The Consul and the prefix.
    pub site: Site,
}

/// What a copy did, and between which keys.
#[derive(Debug)]
pub struct CopyReport {
    from: Key,
    to: Key,
    effect: UploadEffect,
}

/// Copies a document. Unlike in `kvx-in`, a stopped key is an error: an operator asked for the copy, and no watch ends
/// because of the status.
///
/// # Errors
/// 65 if a guard rejects the document, 66 if the source key does not exist, 75 if it is torn or the target key is stopped; 69,
/// 77, 78.
pub fn copy(order: &CopyOrder, context: &Context) -> Result<CopyReport> {
    let (from, to) = (order.from.clone(), order.to.clone());
    match effect(order, context) {
        Ok(effect) => Ok(CopyReport { from, to, effect }),
        Err(error) => Err(error.of(format_args!("{from} -> {to}"))),
    }
}

fn effect(order: &CopyOrder, context: &Context) -> Result<UploadEffect> {
    let client = order.site.client(context)?;
    let pair = snapshot::verified(&client, KeyPaths::of(&order.site.prefix, &order.from))?;
    order.guards.check(&pair.document)?;
    let terms = Terms {
        key: order.to.clone(),
        prefix: order.site.prefix.clone(),
        guards: order.guards,
        expect: None,
        stop: order.stop,
        hold: order.hold,
        mode: Mode::Upload,
        differ: None,
        consistency: Consistency::Default,
        description: order.description.clone(),
    };
    match converge(&terms, EncodedDocument::of_pair(pair), &client, context)? {
        UploadEffect::Prevented(obstacle) => Err(obstacle.as_error("copied")),
        effect => Ok(effect),
    }
}

impl RunOutcome for CopyReport {
    fn line(&self) -> String {
        format!("{} -> {}: {}", self.from, self.to, self.effect)
    }

    fn is_news(&self) -> bool {
        !matches!(self.effect, UploadEffect::Unchanged(_))
    }

    fn outcome(&self, begun: Outcome) -> Outcome {
        match self.effect.outcome(begun) {
            uploaded if uploaded.result == RunResult::Uploaded => uploaded.with_reason(&self.from.to_string()),
            outcome => outcome,
        }
    }
}
