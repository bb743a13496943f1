//! How the last run ended, for `kvx status` and for the next run.

use serde::{Deserialize, Serialize};

use crate::util::text;
use crate::util::time::seconds_now;

/// Results that leave the file up to date, so that the next run may have nothing to do.
const CURRENT: [&str; 4] = ["unchanged", "installed", "restored", "reloaded"];

/// The end of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRun {
    /// When it ended, in seconds since 1970.
    pub time: u64,
    /// Its exit status.
    pub status: u8,
    /// Its result: the same word as in the JSON log.
    pub result: String,
    /// Its line, at most 300 characters, since each run reads it. Empty if the result says everything.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub line: String,
}

impl LastRun {
    /// A run that ends now.
    pub fn new(status: u8, result: &str, line: &str) -> LastRun {
        LastRun { time: seconds_now(), status, result: result.to_owned(), line: text::excerpt(line) }
    }

    /// Whether the run left the file up to date.
    pub(super) fn left_it_current(&self) -> bool {
        self.status == 0 && CURRENT.contains(&self.result.as_str())
    }
}
