//! The command line of `kvx lock`.

use std::path::PathBuf;

use crate::cli::args::options::metrics_options;
use crate::cli::args::values;
use crate::error::Result;
use crate::layout::marker::Present;
use crate::operator::lock::{LockOptions, LockOrder, Marker};
use crate::operator::stop::Reason;
use crate::telemetry::metrics::Metrics;

metrics_options! {
    over site_options:
    /// Lock a file on this node: no run changes it until it is unlocked.
    #[argh(
        help_triggers("-h", "--help"),
        note = "The reason, with user, host and time, is stored in .NAME.lock/reason next to
the file, and in Consul as PREFIX/locks/SHA-256 OF THE PATH/HOSTNAME, which
kvexpress respects as well. Give the same path as to kvx-out. It waits for a
run that is in progress.",
        note = "How Consul is found: see kvx-in --help.",
        example = "{command_name} -f /etc/hosts.consul -r 'canary until Friday'",
        error_code(0, "locked"),
        error_code(64, "invalid command line"),
        error_code(69, "Consul cannot be reached"),
        error_code(73, ".NAME.lock cannot be written: it is locked in Consul only"),
        error_code(74, "the state cannot be read; the file is locked all the same"),
        error_code(75, "it is locked already, other writers were faster, or a run is busy"),
        error_code(77, "Consul's ACLs denied it"),
        error_code(78, "invalid configuration: the environment, or a file that it names")
    )]
    pub struct LockArgs {
        /// the file
        #[argh(option, short = 'f', arg_name = "file", from_str_fn(values::file))]
        file: PathBuf,

        /// why
        #[argh(option, short = 'r', arg_name = "text", from_str_fn(values::reason))]
        reason: Option<String>,

        /// replace the reason of a file that is locked already
        #[argh(switch)]
        replace: bool,

        /// directory for the state of installed files
        #[argh(option, arg_name = "dir", from_str_fn(values::path))]
        state_dir: Option<PathBuf>,

        /// with --dogstatsd, also send an event
        #[argh(switch)]
        events: bool,
    }
}

impl LockArgs {
    /// The metrics of the run.
    ///
    /// # Errors
    /// 64.
    pub fn run_metrics(&self) -> Result<Metrics> {
        self.metrics(self.events)
    }

    pub fn order(self) -> (LockOrder, LockOptions) {
        let site = self.site();
        let present = if self.replace { Present::Replace } else { Present::Keep };
        let reason = self.reason.map(Reason::ToSign);
        let options = LockOptions { reason, program: "kvx", marker: Marker::Hidden, present };
        (LockOrder { file: self.file, site, state_dir: self.state_dir }, options)
    }
}
