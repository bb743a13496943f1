//! How a run ended, for whoever looks later.

use serde::{Deserialize, Serialize};

use crate::util::text;
use crate::util::time::seconds_now;

/// Results after which the file was as it should be, and the next run may find nothing to do.
const CURRENT: [&str; 4] = ["unchanged", "installed", "restored", "reloaded"];

/// The end of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRun {
    /// When, in seconds since 1970.
    pub time: u64,
    /// Its exit status.
    pub status: u8,
    /// What it came to, in the word that the JSON log has for it.
    pub result: String,
    /// Its line, at most 300 characters; empty where the result says all. (Each run reads this.)
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub line: String,
}

impl LastRun {
    /// Now.
    pub fn of(status: u8, result: &str, line: &str) -> LastRun {
        LastRun { time: seconds_now(), status, result: result.to_owned(), line: text::excerpt(line) }
    }

    /// Whether it left the file as it should be.
    pub(super) fn left_it_current(&self) -> bool {
        self.status == 0 && CURRENT.contains(&self.result.as_str())
    }
}
