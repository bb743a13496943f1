//! The command line of `kvx copy`.

use crate::cli::args::options::metrics_options;
use crate::cli::args::{policy, values};
use crate::document::LARGEST;
use crate::document::guard::Guards;
use crate::error::{Result, Status};
use crate::layout::history::Keep;
use crate::layout::keys::Key;
use crate::telemetry::metrics::Metrics;
use crate::upload::Description;
use crate::upload::copy::CopyOrder;

metrics_options! {
    over site_options:
    /// Copy a document to another key.
    #[argh(
        help_triggers("-h", "--help"),
        note = "The stored value, its Flags, its checksum and a record of the copy are written
in one transaction, which also adds it to the other key's history.
Nothing is sent if the other key already has the same document.",
        note = "How Consul is found: see kvx-in --help.",
        example = "{command_name} --from hosts --to hosts-before",
        error_code(0, "copied, or unchanged"),
        error_code(64, "invalid command line"),
        error_code(66, "the key to copy does not exist"),
        error_code(69, "Consul cannot be reached"),
        error_code(75, "it is torn, the other key is stopped or held, or other writers were faster"),
        error_code(77, "Consul's ACLs denied it"),
        error_code(78, "invalid configuration: the environment, or a file that it names")
    )]
    pub struct CopyArgs {
        /// the key to copy
        #[argh(option, arg_name = "key", from_str_fn(values::key))]
        from: Key,

        /// the key to copy it to
        #[argh(option, arg_name = "key", from_str_fn(values::key))]
        to: Key,

        /// copy even if the other key is stopped
        #[argh(switch)]
        ignore_stop: bool,

        /// copy even if the other key is held at another document, and move the hold to the new one
        #[argh(switch)]
        ignore_hold: bool,

        /// why: kept with the document, and shown by kvx status
        #[argh(option, short = 'm', arg_name = "text", from_str_fn(values::note))]
        note: Option<String>,

        /// number of versions to keep in the other key's history, plus one for each of the last 24 hours; 0 for no history [default: 20]
        #[argh(option, arg_name = "n", default = "Keep::default()", from_str_fn(values::keep))]
        keep: Keep,

        /// with --dogstatsd, also send an event
        #[argh(switch)]
        events: bool,
    }
}

impl CopyArgs {
    /// The metrics of the run.
    ///
    /// # Errors
    /// 64.
    pub fn run_metrics(&self) -> Result<Metrics> {
        self.metrics(self.events)
    }

    /// The order, if its options fit together.
    ///
    /// # Errors
    /// 64.
    pub fn order(self) -> Result<CopyOrder> {
        let site = self.site();
        if self.from == self.to {
            return Err(Status::Usage.error("--from and --to name the same key"));
        }
        // No limits: the document passed the guards of the upload.
        let guards = Guards { min_lines: 0, max_size: LARGEST, max_shrink: None };
        let (stop, hold) = (policy(self.ignore_stop), policy(self.ignore_hold));
        let description = Description::Record { undo: true, note: self.note, keep: self.keep };
        Ok(CopyOrder { from: self.from, to: self.to, guards, stop, hold, description, site })
    }
}
