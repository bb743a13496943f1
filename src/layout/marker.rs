//! A mark in Consul, with its reason: a stop, a lock. Nobody's change of it is lost unseen.

use std::time::Duration;

use crate::consul::{Change, ChangeResult, Client, Consistency, Entry};
use crate::context::Context;
use crate::error::{Result, Status};
use crate::util::text;
use crate::util::time::Backoff;

/// So often somebody else may be faster, before we give up.
const RACES: usize = 10;

/// Of a mark that gives none.
pub const NO_REASON: &str = "no reason given";

/// The reason in a stop or lock; one with nothing in it is none, as for kvexpress. One with nothing to be seen in it is.
pub fn text_of(mark: &Entry) -> Option<String> {
    let text = text::excerpt(&String::from_utf8_lossy(&mark.value));
    (!mark.value.is_empty()).then_some(if text.is_empty() { NO_REASON.into() } else { text })
}

/// The same, and where it stands.
pub fn reason(mark: &Entry) -> Option<String> {
    text_of(mark).map(|text| format!("{text} ({})", mark.key))
}

/// What becomes of a mark that is set already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Present {
    /// It stays, with its reason: whoever set it may not know of another.
    Stays,
    /// `--replace`, and always as kvexpress.
    IsReplaced,
}

/// What came of setting a mark.
pub enum Set {
    /// It is set; what it said before, if it was.
    Done(Option<String>),
    /// It was set already, and stays.
    Taken(String),
}

/// What a mark says, if it is set.
pub fn read(client: &Client, path: &str) -> Result<Option<String>> {
    Ok(client.read(Consistency::Default, &[], &[path])?.take(path).as_ref().and_then(text_of))
}

/// Sets a mark.
pub fn set(client: &Client, path: &str, text: &str, present: Present, context: &Context) -> Result<Set> {
    let mut tried = None;
    converge(client, context, || {
        let now = client.read(Consistency::Default, &[], &[path])?.take(path);
        // Ours already: the answer that said so was lost.
        if let Some(before) = tried.take()
            && now.as_ref().is_some_and(|now| now.value == text.as_bytes())
        {
            return Ok((ChangeResult::Done, Set::Done(before)));
        }
        let (index, before) = (now.as_ref().map_or(0, |now| now.modify_index), now.as_ref().and_then(text_of));
        if let (Present::Stays, Some(before)) = (present, &before) {
            return Ok((ChangeResult::Done, Set::Taken(before.clone())));
        }
        tried = Some(before.clone());
        Ok((client.change(&[Change::Cas(path, text.as_bytes().into(), index)])?, Set::Done(before)))
    })
}

/// Takes a mark away; what it said, if it was set. (Where the answer was lost, what is gone is deleted again: Consul says
/// yes, tried.)
pub fn clear(client: &Client, path: &str, context: &Context) -> Result<Option<String>> {
    converge(client, context, || match client.read(Consistency::Default, &[], &[path])?.take(path) {
        None => Ok((ChangeResult::Done, None)),
        Some(mark) => Ok((client.change(&[Change::DeleteCas(path, mark.modify_index)])?, text_of(&mark))),
    })
}

/// Tries again while somebody else is faster.
pub fn converge<T>(
    client: &Client,
    context: &Context,
    mut attempt: impl FnMut() -> Result<(ChangeResult, T)>,
) -> Result<T> {
    let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_millis(500));
    for _ in 0..RACES {
        match attempt()? {
            (ChangeResult::Done, result) => return Ok(result),
            (ChangeResult::Lost { .. }, _) if backoff.sleep(client.deadline(), &context.random) => {}
            (ChangeResult::TooLarge, _) => {
                return Err(Status::Refused.error("the reason is too long; use a shorter one"));
            }
            (ChangeResult::Lost { .. }, _) => break,
        }
    }
    Err(Status::TryAgain.error("others were faster every time; run it again"))
}
