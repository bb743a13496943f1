//! What is told of a run to those who count: dogstatsd, and node_exporter's textfile collector. After everything else,
//! and at no cost to it: whether they listen or not changes neither what a run does nor how it ends.

pub mod dogstatsd;
pub mod textfile;

use std::path::PathBuf;

use self::dogstatsd::Dogstatsd;
use crate::context::Context;
use crate::telemetry::outcome::Outcome;

/// Who is told.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// `--dogstatsd`.
    pub dogstatsd: Option<Dogstatsd>,
    /// `--metrics-textfile`.
    pub textfiles: Option<PathBuf>,
}

impl Metrics {
    /// Tells them. `difference`: of an upload, what changed, if it is known.
    pub fn tell(&self, run: &Outcome, difference: Option<&str>, context: &Context) {
        if let Some(dogstatsd) = &self.dogstatsd
            && let Err(why) = dogstatsd.tell(run, difference, &context.env)
        {
            context.detail(|| format!("no metrics for dogstatsd: {why}"));
        }
        if let Some(directory) = &self.textfiles
            && let Err(why) = textfile::write(directory, run)
        {
            context.warn(&format!(
                "no metrics in {}: {why}; give --metrics-textfile a directory that this user may write",
                directory.display()
            ));
        }
    }
}
