//! The command line of `kvx-in`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::options::metrics_options;
use super::values;
use crate::consul::Consistency;
use crate::document::Checksum;
use crate::document::guard::{self, Percent};
use crate::error::{Result, Status};
use crate::input::Input;
use crate::input::url::Url;
use crate::layout::keys::{Key, Prefix};
use crate::layout::stored::Encoding;
use crate::telemetry::metrics::Metrics;
use crate::upload::{self, Lines, Mode, StopPolicy, Terms, UploadOrder};

metrics_options! {
    over consul_options:
    /// Upload a rendered file into Consul's KV store, if it has changed.
    #[argh(
        help_triggers("-h", "--help"),
        note = "The document is read from stdin, from -f FILE, from -u URL (which counts only
if it is answered with 200), or from the stdout of a command behind -- (which
counts only if the command exits 0).
It is stored as PREFIX/KEY/data with its SHA-256 as PREFIX/KEY/checksum, both
or neither. Nothing is sent if Consul has it already, with -z or without.",
        note = "With -S the document has no newline at the end, so it counts one line less.",
        note = "With -z the document itself may have 16M, or --max-size if that is more.",
        note = "-u follows up to 10 redirects, but none from https to http. It trusts the
system's CAs (SSL_CERT_FILE, SSL_CERT_DIR), takes no proxy, and does not try
again.",
        note = "Consul is found by -s, or by CONSUL_HTTP_ADDR, as Consul's own tools do;
CONSUL_HTTP_TOKEN, _TOKEN_FILE, _AUTH, _SSL and _SSL_VERIFY, CONSUL_NAMESPACE
and CONSUL_PARTITION are heeded.",
        note = "A run ends within 2 times --timeout and 6s (66s); for a large document -z
takes some seconds more.",
        example = "{command_name} -k hosts < /etc/hosts.rendered
render | {command_name} -k hosts --min-lines 600
{command_name} -k hosts -- ./render --all
{command_name} -k hosts -n -f hosts.new
{command_name} -k bans -S -z -u https://intranet/bans.txt",
        error_code(0, "uploaded, unchanged or stopped"),
        error_code(64, "the command line makes no sense"),
        error_code(65, "a guard refused the document"),
        error_code(69, "Consul cannot be reached"),
        error_code(74, "the input cannot be read"),
        error_code(75, "somebody else was faster, or --expect does not hold"),
        error_code(77, "Consul's ACLs deny it"),
        error_code(78, "the environment, or a file it names, makes no sense")
    )]
    pub struct KvxInArgs {
        /// name of the document in Consul, such as hosts
        #[argh(option, short = 'k', arg_name = "key", from_str_fn(values::key))]
        key: Key,

        /// read the document from this file instead of stdin (-)
        #[argh(option, short = 'f', arg_name = "file", from_str_fn(values::path))]
        file: Option<PathBuf>,

        /// read the document from this http or https URL; whoever sees ps sees a password in it
        #[argh(option, short = 'u', arg_name = "url", from_str_fn(values::url))]
        url: Option<Url>,

        /// sort the lines, without the empty ones and without a newline at the end, as kvexpress does
        #[argh(switch, short = 'S')]
        sorted: bool,

        /// store it compressed: brotli, which kvx-out knows by itself, and kvexpress from 1.16 on
        #[argh(switch, short = 'z')]
        compress: bool,

        /// folder of all keys in the KV store (kvexpress)
        #[argh(option, short = 'p', arg_name = "prefix", from_str_fn(values::prefix))]
        prefix: Option<Prefix>,

        /// refuse a document of fewer lines (10); 0 lets an empty one through
        #[argh(option, short = 'l', arg_name = "n", default = "10")]
        min_lines: u64,

        /// refuse what is larger as it is stored, in bytes or with K, M (512K, which is what Consul stores)
        #[argh(option, arg_name = "size", default = "guard::LARGEST_VALUE", from_str_fn(values::size))]
        max_size: usize,

        /// refuse a document that has this much less than the one in Consul, in lines or in bytes
        #[argh(option, arg_name = "percent", from_str_fn(values::percent))]
        max_shrink: Option<Percent>,

        /// let through what shrinks more than --max-shrink allows
        #[argh(switch)]
        force: bool,

        /// replace only the document with this checksum, otherwise exit with 75
        #[argh(option, arg_name = "checksum", from_str_fn(values::checksum))]
        expect: Option<Checksum>,

        /// upload though the key is stopped
        #[argh(switch)]
        ignore_stop: bool,

        /// show the difference to what is in Consul, and send nothing; the status is 0 either way
        #[argh(switch, short = 'n')]
        dry_run: bool,

        /// with --dogstatsd: send an event for an upload (with what changed in it), a document that is too short, and a stop
        #[argh(switch)]
        events: bool,

        /// read from a leader that the other servers confirm
        #[argh(switch)]
        consistent: bool,

        /// give up on the input, and then on Consul, after so long (30s)
        #[argh(option, arg_name = "duration", default = "Duration::from_secs(30)", from_str_fn(values::duration))]
        timeout: Duration,
    }
}

impl KvxInArgs {
    /// Who is told of the run.
    ///
    /// # Errors
    /// 64.
    pub fn told(&self) -> Result<Metrics> {
        self.metrics(self.events)
    }

    /// The order, and whether it makes sense. `command` is what stands behind `--`.
    ///
    /// # Errors
    /// 64.
    pub fn order(self, command: Option<Vec<OsString>>) -> Result<UploadOrder> {
        let consul = self.consul();
        let usage = |what: &str| Status::Usage.error(what);
        let input = match (self.file, self.url, command) {
            (None, None, None) => Input::Stdin,
            (Some(file), None, None) if file.as_os_str() == "-" => Input::Stdin,
            (Some(file), None, None) => Input::File(file),
            (None, Some(url), None) => Input::Url(url),
            (None, None, Some(command)) => Input::Command(command),
            _ => return Err(usage("give one of -f, -u and a command behind --, not several")),
        };
        let terms = Terms {
            key: self.key,
            prefix: self.prefix.unwrap_or_default(),
            guards: super::guards(self.min_lines, self.max_size, self.max_shrink, self.force),
            expect: self.expect,
            stop: if self.ignore_stop { StopPolicy::Ignored } else { StopPolicy::Respected },
            mode: if self.dry_run { Mode::DryRun } else { Mode::Upload },
            differ: self.events.then_some(upload::DIFFER),
            consistency: if self.consistent { Consistency::Consistent } else { Consistency::Default },
        };
        Ok(UploadOrder {
            terms,
            input,
            lines: if self.sorted { Lines::Sorted } else { Lines::AsTheyAre },
            form: if self.compress { Encoding::Compressed } else { Encoding::Plain },
            timeout: self.timeout,
            consul,
        })
    }
}
