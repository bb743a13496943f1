//! The command line of `kvx unlock`.

use std::path::PathBuf;

use crate::cli::args::options::metrics_options;
use crate::cli::args::values;
use crate::error::Result;
use crate::operator::lock::LockOrder;
use crate::telemetry::metrics::Metrics;

metrics_options! {
    over site_options:
    /// Unlock a file on this node.
    #[argh(
        help_triggers("-h", "--help"),
        note = "What was missed arrives with the next run: by the timer, the next upload, or
at once with --run. That runs the command line that has installed the file, as
this user, if this user has run it before.",
        note = "Not kept, and so not run, is what was run with -t, --force or --ignore-..., or
with a relative path.",
        note = "Consul is found as by kvx-in: see kvx-in --help.",
        example = "{command_name} -f /etc/hosts.consul --run",
        error_code(0, "unlocked, or not locked"),
        error_code(64, "the command line makes no sense"),
        error_code(66, "--run, and nothing is recorded that could be run"),
        error_code(69, "Consul cannot be reached"),
        error_code(73, "the marker next to the file cannot be removed"),
        error_code(75, "others were faster every time"),
        error_code(77, "Consul's ACLs deny it"),
        error_code(78, "the environment, or a file it names, makes no sense")
    )]
    pub struct UnlockArgs {
        /// the file
        #[argh(option, short = 'f', arg_name = "file", from_str_fn(values::file))]
        file: PathBuf,

        /// then run what has installed it; its status is ours
        #[argh(switch)]
        run: bool,

        /// directory for what is recorded of installed files
        #[argh(option, arg_name = "dir", from_str_fn(values::path))]
        state_dir: Option<PathBuf>,
    }
}

impl UnlockArgs {
    /// Who is told of it.
    ///
    /// # Errors
    /// 64.
    pub fn told(&self) -> Result<Metrics> {
        self.metrics(false)
    }

    /// Whether to run afterwards what has installed the file.
    pub fn runs(&self) -> bool {
        self.run
    }

    /// The order.
    pub fn order(self) -> LockOrder {
        let site = self.site();
        LockOrder { file: self.file, site, state_dir: self.state_dir }
    }
}
