//! Events for Datadog's event stream, with kvexpress's titles. No I/O.

use super::tags;
use super::wire::{Alert, event};
use crate::telemetry::outcome::{Direction, Outcome, RunResult};

/// The event of a run, if its result has one. `difference` is the diff of an upload.
pub(super) fn from_run(run: &Outcome, difference: Option<&str>, prefix: &str, host: &str) -> Option<String> {
    let key = run.key.as_deref().unwrap_or_default();
    let reason = run.reason.as_deref().unwrap_or_default();
    let at = |part: &str| format!("{}/{key}/{part}", run.prefix);
    // The `key` tag is kvexpress's: for some events it is the key, for others the full path in the KV store.
    let (subject, location, event_tag, alert, title, text) = match (run.direction, run.result) {
        (Direction::In, RunResult::Uploaded) => {
            let (data, text) = (at("data"), difference.map_or_else(|| size_of(run), hunks));
            (data.clone(), "complete", "success", Alert::Info, format!("Updated: {data}"), text)
        }
        (Direction::In, RunResult::Stopped) => {
            let stop = at("stop");
            let title = format!("Stop key is present: {stop}. Stopping.");
            (stop, "stop_key_present", "stop", Alert::Error, title, reason.to_owned())
        }
        (Direction::In, RunResult::TooShort) => {
            let title = format!("Not long enough: {key}. Stopping.");
            (key.to_owned(), "not_long_enough", "length", Alert::Error, title, reason.to_owned())
        }
        (Direction::Copy, RunResult::Uploaded) => {
            let title = format!("Copy: {} to {key}", run.reason.as_deref().unwrap_or("?"));
            (key.to_owned(), "complete", "success", Alert::Info, title.clone(), title)
        }
        (Direction::Stop, RunResult::Stopped) => {
            let stop = at("stop");
            (
                stop.clone(),
                "stop_key_save",
                "stop_set",
                Alert::Warning,
                format!("Set Stop Key: {stop}"),
                reason.to_owned(),
            )
        }
        (Direction::Lock, RunResult::Locked) => {
            let file = run.file.as_deref().map(|file| file.display().to_string()).unwrap_or_default();
            (key.to_owned(), "complete", "lock", Alert::Warning, format!("Locked: {file} on {host}"), reason.to_owned())
        }
        _ => return None,
    };
    let mut tags = tags(Some(&subject), run, location, host).and(prefix, event_tag);
    if run.direction == Direction::Copy {
        tags = tags.and("keyFrom", reason);
    }
    Some(event(&title, &text, key, alert, &tags))
}

/// A unified diff without its two header lines, since the title contains the key.
fn hunks(difference: &str) -> String {
    difference.splitn(3, '\n').nth(2).unwrap_or(difference).to_owned()
}

fn size_of(run: &Outcome) -> String {
    format!("{} lines, {} bytes", run.lines.unwrap_or(0), run.bytes.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::hunks;

    #[test]
    fn the_header_is_left_out_for_any_key() {
        for key in ["hosts", "höste/日本"] {
            let difference = format!("--- kvexpress/{key}/data\n+++ kvexpress/{key}/data\n@@ -1 +1 @@\n-a\n+ä\n");
            assert_eq!(hunks(&difference), "@@ -1 +1 @@\n-a\n+ä\n", "{key}");
        }
        assert_eq!(hunks("--- a\n+++ a\nDocuments differ\n"), "Documents differ\n");
        assert_eq!(hunks("@@"), "@@");
    }
}
