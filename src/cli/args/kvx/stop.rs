//! The command line of `kvx stop`.

use crate::cli::args::options::metrics_options;
use crate::cli::args::values;
use crate::error::Result;
use crate::layout::keys::Key;
use crate::layout::marker::Present;
use crate::operator::stop::{Reason, StopOrder};
use crate::telemetry::metrics::Metrics;

metrics_options! {
    over site_options:
    /// Stop a key: it is neither uploaded nor installed until it is resumed.
    #[argh(
        help_triggers("-h", "--help"),
        note = "The reason is stored in Consul as PREFIX/KEY/stop, with user, host and time;
every run of kvx-in and kvx-out logs it, and so does kvexpress.",
        note = "How Consul is found: see kvx-in --help.",
        example = "{command_name} -k hosts -r 'bad DNS since 14:00'",
        error_code(0, "stopped"),
        error_code(64, "invalid command line"),
        error_code(66, "there is no such key"),
        error_code(69, "Consul cannot be reached"),
        error_code(75, "it is stopped already, or other writers were faster every time"),
        error_code(77, "Consul's ACLs denied it"),
        error_code(78, "invalid configuration: the environment, or a file that it names")
    )]
    pub struct StopArgs {
        /// name of the document in Consul, such as hosts
        #[argh(option, short = 'k', arg_name = "key", from_str_fn(values::key))]
        key: Key,

        /// why
        #[argh(option, short = 'r', arg_name = "text", from_str_fn(values::reason))]
        reason: String,

        /// also stop a key that does not exist yet
        #[argh(switch)]
        force: bool,

        /// replace the reason of a key that is stopped already
        #[argh(switch)]
        replace: bool,

        /// with --dogstatsd, also send an event
        #[argh(switch)]
        events: bool,
    }
}

impl StopArgs {
    /// The metrics of the run.
    ///
    /// # Errors
    /// 64.
    pub fn run_metrics(&self) -> Result<Metrics> {
        self.metrics(self.events)
    }

    pub fn order(self) -> StopOrder {
        let present = if self.replace { Present::Replace } else { Present::Keep };
        StopOrder { site: self.site(), key: self.key, reason: Reason::ToSign(self.reason), force: self.force, present }
    }
}
