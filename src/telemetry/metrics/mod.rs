//! Metrics of a run: dogstatsd, and node_exporter's textfile collector. They are sent last, and a failure changes
//! neither what a run does nor its exit status.

pub mod dogstatsd;
pub(crate) mod textfile;

use std::path::PathBuf;

use self::dogstatsd::Dogstatsd;
use crate::env::Env;
use crate::telemetry::level::Level;
use crate::telemetry::outcome::Outcome;

/// Where metrics go.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// `--dogstatsd`.
    pub dogstatsd: Option<Dogstatsd>,
    /// `--metrics-textfile`.
    pub textfiles: Option<PathBuf>,
}

impl Metrics {
    /// Sends and writes the metrics. `difference` is the diff of an upload, if it is known. Returns the failures, for
    /// the log.
    pub fn emit(&self, run: &Outcome, difference: Option<&str>, env: &Env) -> Vec<(Level, String)> {
        let mut problems = Vec::new();
        if let Some(dogstatsd) = &self.dogstatsd
            && let Err(why) = dogstatsd.send(run, difference, env)
        {
            problems.push((Level::Debug, format!("metrics not sent to dogstatsd: {why}")));
        }
        if let Some(directory) = &self.textfiles
            && let Err(why) = textfile::write(directory, run)
        {
            let directory = directory.display();
            problems.push((
                Level::Warn,
                format!(
                    "metrics not written to {directory}: {why}; give --metrics-textfile a directory that this user can write"
                ),
            ));
        }
        problems
    }
}
