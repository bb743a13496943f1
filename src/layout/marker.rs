//! The markers in Consul, stops and locks, with their reasons. All changes are compare-and-set, so that no concurrent
//! change is lost.

use std::time::Duration;

use crate::consul::{Change, ChangeResult, Client, Consistency, Entry};
use crate::context::Context;
use crate::error::{Result, Status};
use crate::util::text;
use crate::util::time::Backoff;

/// The number of attempts to change a marker while other writers change it, too.
const MAX_ATTEMPTS: usize = 10;

/// The reason of a marker without one.
pub const NO_REASON: &str = "no reason given";

/// The reason of a stop or lock. As in kvexpress, a marker with an empty value does not count, so it has none; one with
/// only white space counts.
pub fn text_of(marker: &Entry) -> Option<String> {
    let text = text::excerpt(&String::from_utf8_lossy(&marker.value));
    (!marker.value.is_empty()).then_some(if text.is_empty() { NO_REASON.into() } else { text })
}

/// The reason with the path of the marker.
pub fn reason(marker: &Entry) -> Option<String> {
    text_of(marker).map(|text| format!("{text} ({})", marker.key))
}

/// What to do with a marker that exists already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Present {
    /// Keep it with its reason, since another operator may rely on it.
    Keep,
    /// Replace it (`--replace`, and always for kvexpress).
    Replace,
}

/// The result of setting a marker.
pub enum Set {
    /// The marker was set. The reason of the previous one, if there was one.
    Done(Option<String>),
    /// The marker existed and was kept. Its reason.
    Taken(String),
}

/// The reason of the marker at this path, if it exists.
pub fn read(client: &Client, path: &str) -> Result<Option<String>> {
    Ok(client.read(Consistency::Default, &[], &[path])?.take(path).as_ref().and_then(text_of))
}

/// Sets a marker.
pub fn set(client: &Client, path: &str, text: &str, present: Present, context: &Context) -> Result<Set> {
    let mut attempted = None;
    converge(client, context, || {
        let now = client.read(Consistency::Default, &[], &[path])?.take(path);
        // An earlier attempt has set the marker, but its answer was lost.
        if let Some(before) = attempted.take()
            && now.as_ref().is_some_and(|now| now.value == text.as_bytes())
        {
            return Ok((ChangeResult::Done, Set::Done(before)));
        }
        let (index, before) = (now.as_ref().map_or(0, |now| now.modify_index), now.as_ref().and_then(text_of));
        if let (Present::Keep, Some(before)) = (present, &before) {
            return Ok((ChangeResult::Done, Set::Taken(before.clone())));
        }
        attempted = Some(before.clone());
        Ok((client.change(&[Change::Cas(path, text.as_bytes().into(), index)])?, Set::Done(before)))
    })
}

/// Deletes a marker and returns its reason, if it existed. If an answer is lost, the delete is repeated; Consul answers
/// the second one with success, too (tried).
pub fn clear(client: &Client, path: &str, context: &Context) -> Result<Option<String>> {
    converge(client, context, || match client.read(Consistency::Default, &[], &[path])?.take(path) {
        None => Ok((ChangeResult::Done, None)),
        Some(marker) => Ok((client.change(&[Change::DeleteCas(path, marker.modify_index)])?, text_of(&marker))),
    })
}

/// Repeats `attempt` while it loses against concurrent changes.
pub fn converge<T>(
    client: &Client,
    context: &Context,
    mut attempt: impl FnMut() -> Result<(ChangeResult, T)>,
) -> Result<T> {
    let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_millis(500));
    for _ in 0..MAX_ATTEMPTS {
        match attempt()? {
            (ChangeResult::Done, result) => return Ok(result),
            (ChangeResult::Lost { .. }, _) if backoff.sleep(client.deadline(), &context.random) => {}
            (ChangeResult::TooLarge, _) => {
                return Err(Status::Refused.error("the reason is too long; use a shorter one"));
            }
            (ChangeResult::Lost { .. }, _) => break,
        }
    }
    Err(Status::TryAgain.error("other writers were faster every time; run it again"))
}
