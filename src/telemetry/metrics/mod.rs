//! What is told of a run to those who count: dogstatsd, and node_exporter's textfile collector. After everything else,
//! and at no cost to it: whether they listen or not changes neither what a run does nor how it ends.

pub mod dogstatsd;
pub mod textfile;

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
    /// Sends and writes them. `difference`: what an upload changed, if it is known. What did not work is returned, to be logged.
    pub fn emit(&self, run: &Outcome, difference: Option<&str>, env: &Env) -> Vec<(Level, String)> {
        let mut problems = Vec::new();
        if let Some(dogstatsd) = &self.dogstatsd
            && let Err(why) = dogstatsd.send(run, difference, env)
        {
            problems.push((Level::Debug, format!("no metrics for dogstatsd: {why}")));
        }
        if let Some(directory) = &self.textfiles
            && let Err(why) = textfile::write(directory, run)
        {
            let directory = directory.display();
            problems.push((
                Level::Warn,
                format!(
                    "no metrics in {directory}: {why}; give --metrics-textfile a directory that this user may write"
                ),
            ));
        }
        problems
    }
}
