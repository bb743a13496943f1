//! The command line of `kvx-out`.

mod order;

use std::path::PathBuf;
use std::time::Duration;

use super::options::metrics_options;
use super::values;
use crate::document::guard::{self, Percent};
use crate::install::Attributes;
use crate::layout::keys::{Key, Prefix, ValuePath};
use crate::process::check::Check;

metrics_options! {
    over consul_options:
    /// Install a verified file from Consul's KV store; run a handler if it changed.
    #[argh(
        help_triggers("-h", "--help"),
        note = "Run by a Consul watch, it reads the watch's payload from stdin: of a `key`
watch on PREFIX/KEY/checksum, or of a `keyprefix` watch on PREFIX/KEY/. stdin
is read if CONSUL_INDEX is set (watches set it), without -k, or with
--payload; otherwise it is not touched.",
        note = "The handler runs once a new file is installed. If it fails or never ran, it is
pending: the next run retries it. A new owner or mode alone does not run it.
Handler and check run in /. Their environment has KVX_KEY, KVX_FILE and
KVX_CHECKSUM, the check's also KVX_STAGED, the new file's path; and no token.",
        note = "Consul's address is -s or CONSUL_HTTP_ADDR, as for Consul's own tools.
CONSUL_HTTP_TOKEN, _TOKEN_FILE, _AUTH, _SSL and _SSL_VERIFY, CONSUL_NAMESPACE
and CONSUL_PARTITION are respected. State is kept in --state-dir,
STATE_DIRECTORY, /var/lib/kvx (root), ~/.local/state/kvx, or, without a home,
/tmp/kvx-UID.",
        note = "A run takes at most 3 times --timeout plus 2 times --handler-timeout plus 30s
(180s), after --splay and --wait.",
        example = "{command_name} -k hosts -f /etc/hosts.consul -l 10 -c 644 -e 'pkill -HUP dnsmasq'
{command_name} -k hosts -f /etc/hosts.consul -- systemctl reload dnsmasq
{command_name} -k hosts -f - | head
consul watch -type=key -key=kvexpress/hosts/checksum -shell=false \\
  {command_name} -f hosts",
        error_code(0, "done, unchanged, stopped, held, locked, or no such key (by payload)"),
        error_code(1, "the handler failed; it is pending"),
        error_code(64, "invalid command line"),
        error_code(65, "a guard rejected the document, or stdin is not a payload"),
        error_code(66, "the key is not in Consul"),
        error_code(69, "Consul cannot be reached"),
        error_code(73, "the file, or its state, cannot be written"),
        error_code(74, "the payload cannot be read"),
        error_code(75, "try again: the pair is torn, another run is busy, or a signal came"),
        error_code(77, "Consul's ACLs denied it"),
        error_code(78, "invalid configuration: the environment, a file that it names, or the owner")
    )]
    pub struct KvxOutArgs {
        /// name of the document in Consul, such as hosts [default: the payload's]
        #[argh(option, short = 'k', arg_name = "key", from_str_fn(values::key))]
        key: Option<Key>,

        /// install the value at this whole path instead of a document: no checksum, prefix or stop
        #[argh(option, arg_name = "path", from_str_fn(values::value_path))]
        raw: Option<ValuePath>,

        /// file to install, or - for stdout
        #[argh(option, short = 'f', arg_name = "file", from_str_fn(values::destination))]
        file: PathBuf,

        /// folder of all keys in the KV store [default: kvexpress]
        #[argh(option, short = 'p', arg_name = "prefix", from_str_fn(values::prefix))]
        prefix: Option<Prefix>,

        /// minimum number of lines; 0 accepts an empty document [default: 10]
        #[argh(option, short = 'l', arg_name = "n", default = "10")]
        min_lines: u64,

        /// maximum size of the document, in bytes or with K, M [default: 16M]
        #[argh(option, arg_name = "size", default = "guard::LARGEST", from_str_fn(values::size))]
        max_size: usize,

        /// reject a document that is smaller than the installed file by more than this, in lines or bytes
        #[argh(option, arg_name = "percent", from_str_fn(values::percent))]
        max_shrink: Option<Percent>,

        /// ignore --max-shrink
        #[argh(switch)]
        force: bool,

        /// validate the new file with this command before installing it, such as 'visudo -cf {}'; {} is its path
        #[argh(option, arg_name = "command", from_str_fn(values::check))]
        check: Option<Check>,

        /// mode of the file, in octal [default: the old file's; 0640 for a new one]
        #[argh(option, short = 'c', arg_name = "mode", from_str_fn(values::mode))]
        chmod: Option<u32>,

        /// owner of the file: user, user:group or :group, by name or number [default: the old file's]
        #[argh(option, short = 'o', arg_name = "owner", from_str_fn(values::owner))]
        owner: Option<Attributes>,

        /// create missing directories above the file
        #[argh(switch)]
        mkdir: bool,

        /// write through the existing file: for one that is mounted by itself, or must keep its inode. Not atomic: a reader may see a half-written file, and a run that dies leaves one, which the next run completes
        #[argh(switch)]
        in_place: bool,

        /// handler: words and "quotes", no shell; or give it after --
        #[argh(option, short = 'e', arg_name = "command")]
        exec: Option<String>,

        /// limit for the handler: then TERM, then KILL [default: 30s]
        #[argh(option, arg_name = "duration", default = "Duration::from_secs(30)", from_str_fn(values::duration))]
        handler_timeout: Duration,

        /// install even if the key is stopped
        #[argh(switch)]
        ignore_stop: bool,

        /// install even if the file is locked on this node
        #[argh(switch)]
        ignore_lock: bool,

        /// run the handler even if nothing has changed
        #[argh(switch)]
        always_run: bool,

        /// wait up to this long first, so that nodes do not reload together; each host always waits the same share
        #[argh(option, arg_name = "duration", from_str_fn(values::duration))]
        splay: Option<Duration>,

        /// wait up to this long for a key that does not exist yet, and for Consul itself; for start-up scripts, without a payload
        #[argh(option, arg_name = "duration", from_str_fn(values::duration))]
        wait: Option<Duration>,

        /// read a watch's payload from stdin even if -k is given
        #[argh(switch)]
        payload: bool,

        /// directory for the state of installed files
        #[argh(option, arg_name = "dir", from_str_fn(values::path))]
        state_dir: Option<PathBuf>,

        /// read from any server, even without a leader; a document that may be older than the installed one is read from the leader
        #[argh(switch)]
        stale: bool,

        /// read from a leader that the other servers have confirmed
        #[argh(switch)]
        consistent: bool,

        /// limit for the payload, and then for all requests to Consul and the check [default: 30s]
        #[argh(option, arg_name = "duration", default = "Duration::from_secs(30)", from_str_fn(values::duration))]
        timeout: Duration,
    }
}
