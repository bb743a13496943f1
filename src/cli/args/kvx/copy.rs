//! The command line of `kvx copy`.

use crate::cli::args::options::metrics_options;
use crate::cli::args::values;
use crate::document::LARGEST;
use crate::document::guard::Guards;
use crate::error::{Result, Status};
use crate::layout::keys::Key;
use crate::telemetry::metrics::Metrics;
use crate::upload::StopPolicy;
use crate::upload::copy::CopyOrder;

metrics_options! {
    over site_options:
    /// Copy a document to another key.
    #[argh(
        help_triggers("-h", "--help"),
        note = "As it is stored: value, Flags and checksum, in one transaction. Nothing is
sent if the other key has it already.",
        note = "Consul is found as by kvx-in: see kvx-in --help.",
        example = "{command_name} --from hosts --to hosts-before",
        error_code(0, "copied, or unchanged"),
        error_code(64, "the command line makes no sense"),
        error_code(66, "there is nothing to copy"),
        error_code(69, "Consul cannot be reached"),
        error_code(75, "it is torn, the other key is stopped, or others were faster every time"),
        error_code(77, "Consul's ACLs deny it"),
        error_code(78, "the environment, or a file it names, makes no sense")
    )]
    pub struct CopyArgs {
        /// the key to copy
        #[argh(option, arg_name = "key", from_str_fn(values::key))]
        from: Key,

        /// the key that is to have it, too
        #[argh(option, arg_name = "key", from_str_fn(values::key))]
        to: Key,

        /// copy though the other key is stopped
        #[argh(switch)]
        ignore_stop: bool,

        /// with --dogstatsd: an event, too
        #[argh(switch)]
        events: bool,
    }
}

impl CopyArgs {
    /// Who is told of it.
    ///
    /// # Errors
    /// 64.
    pub fn told(&self) -> Result<Metrics> {
        self.metrics(self.events)
    }

    /// The order, and whether it makes sense.
    ///
    /// # Errors
    /// 64.
    pub fn order(self) -> Result<CopyOrder> {
        let site = self.site();
        if self.from == self.to {
            return Err(Status::Usage.error("--from and --to name the same key"));
        }
        // It has passed the guards when it was uploaded.
        let guards = Guards { min_lines: 0, max_size: LARGEST, max_shrink: None };
        let stop = if self.ignore_stop { StopPolicy::Ignored } else { StopPolicy::Respected };
        Ok(CopyOrder { from: self.from, to: self.to, guards, stop, site })
    }
}
