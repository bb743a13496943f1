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
        note = "What was missed is installed by the next run: by the timer, the next upload,
or at once with --run. That reruns the command that installed the file, as
this user, if this user has run it before.",
        note = "A command with -t, --force, --ignore-... or a relative path is not recorded,
and so not rerun.",
        note = "How Consul is found: see kvx-in --help.",
        example = "{command_name} -f /etc/hosts.consul --run",
        error_code(0, "unlocked, or not locked"),
        error_code(64, "invalid command line"),
        error_code(66, "--run, and no command is recorded that could be rerun"),
        error_code(69, "Consul cannot be reached"),
        error_code(73, "the marker next to the file cannot be removed"),
        error_code(75, "other writers were faster every time"),
        error_code(77, "Consul's ACLs denied it"),
        error_code(78, "invalid configuration: the environment, or a file that it names")
    )]
    pub struct UnlockArgs {
        /// the file
        #[argh(option, short = 'f', arg_name = "file", from_str_fn(values::file))]
        file: PathBuf,

        /// rerun the command that installed the file, and exit with its status
        #[argh(switch)]
        run: bool,

        /// directory for the state of installed files
        #[argh(option, arg_name = "dir", from_str_fn(values::path))]
        state_dir: Option<PathBuf>,
    }
}

impl UnlockArgs {
    /// The metrics of the run.
    ///
    /// # Errors
    /// 64.
    pub fn run_metrics(&self) -> Result<Metrics> {
        self.metrics(false)
    }

    /// Whether to rerun the command that installed the file.
    pub fn reruns(&self) -> bool {
        self.run
    }

    pub fn order(self) -> LockOrder {
        let site = self.site();
        LockOrder { file: self.file, site, state_dir: self.state_dir }
    }
}
