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
    /// StopOrder a key: nobody uploads it, and nobody installs it, until it is resumed.
    #[argh(
        help_triggers("-h", "--help"),
        note = "The reason stands in Consul as PREFIX/KEY/stop, with who, where and when;
every run of kvx-in and kvx-out tells it, and so does kvexpress.",
        note = "Consul is found as by kvx-in: see kvx-in --help.",
        example = "{command_name} -k hosts -r 'bad DNS since 14:00'",
        error_code(0, "stopped"),
        error_code(64, "the command line makes no sense"),
        error_code(66, "there is no such key"),
        error_code(69, "Consul cannot be reached"),
        error_code(75, "it is stopped already, or others were faster every time"),
        error_code(77, "Consul's ACLs deny it"),
        error_code(78, "the environment, or a file it names, makes no sense")
    )]
    pub struct StopArgs {
        /// name of the document in Consul, such as hosts
        #[argh(option, short = 'k', arg_name = "key", from_str_fn(values::key))]
        key: Key,

        /// why
        #[argh(option, short = 'r', arg_name = "text", from_str_fn(values::reason))]
        reason: String,

        /// also a key that is not there (yet)
        #[argh(switch)]
        force: bool,

        /// replace the reason of a key that is stopped already
        #[argh(switch)]
        replace: bool,

        /// with --dogstatsd: an event, too
        #[argh(switch)]
        events: bool,
    }
}

impl StopArgs {
    /// Who is told of it.
    ///
    /// # Errors
    /// 64.
    pub fn told(&self) -> Result<Metrics> {
        self.metrics(self.events)
    }

    /// The order.
    pub fn order(self) -> StopOrder {
        let present = if self.replace { Present::IsReplaced } else { Present::Stays };
        StopOrder { site: self.site(), key: self.key, reason: Reason::ToSign(self.reason), force: self.force, present }
    }
}
