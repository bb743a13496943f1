//! The command line of `kvx-in`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::options::metrics_options;
use super::{policy, values};
use crate::consul::Consistency;
use crate::document::Checksum;
use crate::document::guard::{self, Percent};
use crate::error::{Result, Status};
use crate::input::Input;
use crate::input::url::Url;
use crate::layout::history::Keep;
use crate::layout::keys::{Key, Prefix};
use crate::layout::stored::Encoding;
use crate::telemetry::metrics::Metrics;
use crate::upload::{self, Description, Lines, Mode, Terms, UploadOrder};

metrics_options! {
    over consul_options:
    /// Upload a rendered file into Consul's KV store, if it has changed.
    #[argh(
        help_triggers("-h", "--help"),
        note = "The document comes from stdin, -f FILE, -u URL (only an answer of 200 counts),
or the stdout of a command after -- (only if it exits 0). It is stored as
PREFIX/KEY/data, its SHA-256 as PREFIX/KEY/checksum, and who uploaded it, when
and in place of what, as PREFIX/KEY/record, in one transaction. It also adds
the version to PREFIX/kvx/history/KEY/ and PREFIX/kvx/parts/KEY/.
Nothing is sent if Consul already has the same document, with -z or without.",
        note = "With -S the document has no final newline, so it has one line less.",
        note = "With -z the uncompressed document may have up to 16M, or --max-size if that is
more.",
        note = "-u follows up to 10 redirects, but not from https to http. It trusts the
system's CAs (SSL_CERT_FILE, SSL_CERT_DIR), uses no proxy and does not retry.",
        note = "Consul's address is -s or CONSUL_HTTP_ADDR, as for Consul's own tools.
CONSUL_HTTP_TOKEN, _TOKEN_FILE, _AUTH, _SSL and _SSL_VERIFY, CONSUL_NAMESPACE
and CONSUL_PARTITION are respected.",
        note = "A run takes at most 2 times --timeout plus 6s (66s); for a large document, -z
takes some seconds more.",
        example = "{command_name} -k hosts < /etc/hosts.rendered
render | {command_name} -k hosts --min-lines 600
{command_name} -k hosts -- ./render --all
{command_name} -k hosts -n -f hosts.new
{command_name} -k bans -S -z -u https://intranet/bans.txt",
        error_code(0, "uploaded, unchanged, stopped or held"),
        error_code(64, "invalid command line"),
        error_code(65, "a guard rejected the document"),
        error_code(69, "Consul cannot be reached"),
        error_code(74, "the input cannot be read"),
        error_code(75, "another writer was faster; --expect: it does not match, or stopped or held"),
        error_code(77, "Consul's ACLs denied it"),
        error_code(78, "invalid configuration: the environment, or a file that it names")
    )]
    pub struct KvxInArgs {
        /// name of the document in Consul, such as hosts
        #[argh(option, short = 'k', arg_name = "key", from_str_fn(values::key))]
        key: Key,

        /// read the document from this file, - for stdin [default: -]
        #[argh(option, short = 'f', arg_name = "file", from_str_fn(values::path))]
        file: Option<PathBuf>,

        /// read the document from this http or https URL; a password in it is visible in ps
        #[argh(option, short = 'u', arg_name = "url", from_str_fn(values::url))]
        url: Option<Url>,

        /// sort the lines, drop empty ones and the final newline, as kvexpress does
        #[argh(switch, short = 'S')]
        sorted: bool,

        /// store it compressed (brotli); kvx-out and kvexpress from 1.16 on decompress it
        #[argh(switch, short = 'z')]
        compress: bool,

        /// folder of all keys in the KV store [default: kvexpress]
        #[argh(option, short = 'p', arg_name = "prefix", from_str_fn(values::prefix))]
        prefix: Option<Prefix>,

        /// minimum number of lines; 0 accepts an empty document [default: 10]
        #[argh(option, short = 'l', arg_name = "n", default = "10")]
        min_lines: u64,

        /// maximum size as stored, in bytes or with K, M [default: 512K, Consul's own limit]
        #[argh(option, arg_name = "size", default = "guard::LARGEST_VALUE", from_str_fn(values::size))]
        max_size: usize,

        /// reject a document that is smaller than the one in Consul by more than this, in lines or bytes
        #[argh(option, arg_name = "percent", from_str_fn(values::percent))]
        max_shrink: Option<Percent>,

        /// ignore --max-shrink
        #[argh(switch)]
        force: bool,

        /// replace only a document with this checksum; otherwise exit with 75
        #[argh(option, arg_name = "checksum", from_str_fn(values::checksum))]
        expect: Option<Checksum>,

        /// upload even if the key is stopped
        #[argh(switch)]
        ignore_stop: bool,

        /// upload even if the key is held at another document, and move the hold to the new one
        #[argh(switch)]
        ignore_hold: bool,

        /// show the difference to the document in Consul and send nothing; exit with 0 either way
        #[argh(switch, short = 'n')]
        dry_run: bool,

        /// why: kept with the document, and shown by kvx status
        #[argh(option, short = 'm', arg_name = "text", from_str_fn(values::note))]
        note: Option<String>,

        /// number of versions to keep in the key's history, plus one for each of the last 24 hours; 0 for no history [default: 20]
        #[argh(option, arg_name = "n", default = "Keep::default()", from_str_fn(values::keep))]
        keep: Keep,

        /// with --dogstatsd, send events: an upload (with its changes), a document with too few lines, a stop
        #[argh(switch)]
        events: bool,

        /// read from a leader that the other servers have confirmed
        #[argh(switch)]
        consistent: bool,

        /// limit for reading the input, and then for all requests to Consul [default: 30s]
        #[argh(option, arg_name = "duration", default = "Duration::from_secs(30)", from_str_fn(values::duration))]
        timeout: Duration,
    }
}

impl KvxInArgs {
    /// The metrics of the run.
    ///
    /// # Errors
    /// 64.
    pub fn run_metrics(&self) -> Result<Metrics> {
        self.metrics(self.events)
    }

    /// The order, if the options fit together. `command` contains the words after `--`.
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
            stop: policy(self.ignore_stop),
            hold: policy(self.ignore_hold),
            mode: if self.dry_run { Mode::DryRun } else { Mode::Upload },
            differ: self.events.then_some(upload::DIFFER),
            consistency: if self.consistent { Consistency::Consistent } else { Consistency::Default },
            description: Description::Record { undo: true, note: self.note, keep: self.keep },
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
