//! The command line of `kvx-out`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use argh::{ArgsInfo, FromArgs};

use super::values;
use crate::consul::{Flags, Key, Prefix};
use crate::download::{Destination, Order, Stdin};
use crate::error::{Result, Status};
use crate::guard::Guards;
use crate::handler::Handler;
use crate::install::Attributes;
use crate::world::{Voice, World};

/// Install a file from Consul's KV store, verified; run a handler if it changed.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    help_triggers("-h", "--help"),
    note = "As the handler of a Consul watch it reads the watch's payload from stdin: of a
`key` watch on PREFIX/KEY/checksum, or of a `keyprefix` watch on PREFIX/KEY/.
stdin is read when CONSUL_INDEX is set (watches set it), without -k, or with
--payload; otherwise it is left alone.",
    note = "The handler runs after a new file is in place. If it fails, or never ran, it
is owed: the next run runs it again. It finds KVX_KEY, KVX_FILE and
KVX_CHECKSUM in its environment, and no token.",
    note = "Consul is found by -s, or by CONSUL_HTTP_ADDR, as Consul's own tools do;
CONSUL_HTTP_TOKEN, CONSUL_HTTP_TOKEN_FILE, CONSUL_HTTP_AUTH, CONSUL_NAMESPACE
and CONSUL_PARTITION are heeded. What is installed is remembered in
--state-dir, STATE_DIRECTORY, /var/lib/kvx (root) or ~/.local/state/kvx.",
    note = "A run ends within 3 times --timeout, 2 times --handler-timeout and 6s (156s).",
    example = "{command_name} -k hosts -f /etc/hosts.consul -l 10 -c 644 -e 'pkill -HUP dnsmasq'
{command_name} -k hosts -f /etc/hosts.consul -- systemctl reload dnsmasq
{command_name} -k hosts -f - | head
consul watch -type=key -key=kvexpress/hosts/checksum {command_name} -f hosts",
    error_code(0, "done, unchanged, stopped, locked, or nothing there (by payload)"),
    error_code(1, "the handler failed; it stays owed"),
    error_code(64, "the command line makes no sense"),
    error_code(65, "a guard refused the document, or the payload is none"),
    error_code(66, "the key is not in Consul"),
    error_code(69, "Consul cannot be reached"),
    error_code(73, "the file, or what is remembered of it, cannot be written"),
    error_code(74, "the payload cannot be read"),
    error_code(75, "try again: the pair is torn, or another run is busy with the file"),
    error_code(77, "Consul's ACLs deny it"),
    error_code(78, "the environment, the token file or the owner makes no sense")
)]
pub struct Options {
    /// name of the document in Consul, such as hosts (the one that the payload names)
    #[argh(option, short = 'k', arg_name = "key", from_str_fn(values::key))]
    key: Option<Key>,

    /// file to install, or - for stdout
    #[argh(option, short = 'f', arg_name = "file")]
    file: PathBuf,

    /// folder of all keys in the KV store (kvexpress)
    #[argh(option, short = 'p', arg_name = "prefix", from_str_fn(values::prefix))]
    prefix: Option<Prefix>,

    /// refuse a document of fewer lines (10); 0 lets an empty one through
    #[argh(option, short = 'l', arg_name = "n", default = "10")]
    min_lines: u64,

    /// refuse a larger document, in bytes or with K, M (16M)
    #[argh(option, arg_name = "size", default = "16 * 1024 * 1024", from_str_fn(values::size))]
    max_size: usize,

    /// mode of the file, in octal (the old file's; 0640 for a new one)
    #[argh(option, short = 'c', arg_name = "mode", from_str_fn(values::mode))]
    chmod: Option<u32>,

    /// owner of the file: user, user:group or :group, by name or number (the old file's)
    #[argh(option, short = 'o', arg_name = "owner", from_str_fn(values::owner))]
    owner: Option<Attributes>,

    /// handler: words and "quotes", no shell; or give it behind --
    #[argh(option, short = 'e', arg_name = "command")]
    exec: Option<String>,

    /// give up on the handler after so long (30s): TERM, then KILL
    #[argh(option, arg_name = "duration", default = "Duration::from_secs(30)", from_str_fn(values::duration))]
    handler_timeout: Duration,

    /// read a watch's payload from stdin, though -k is given
    #[argh(switch)]
    payload: bool,

    /// directory for what is remembered of installed files
    #[argh(option, arg_name = "dir")]
    state_dir: Option<PathBuf>,

    /// address of Consul (127.0.0.1:8500)
    #[argh(option, short = 's', arg_name = "address")]
    server: Option<String>,

    /// datacenter (the agent's own)
    #[argh(option, arg_name = "name")]
    dc: Option<String>,

    /// file with the ACL token
    #[argh(option, arg_name = "file")]
    token_file: Option<PathBuf>,

    /// the ACL token itself; everybody on this machine can see it in ps: use --token-file or the environment instead
    #[argh(option, short = 't', arg_name = "token")]
    token: Option<String>,

    /// give up on the payload, and then on Consul, after so long (30s)
    #[argh(option, arg_name = "duration", default = "Duration::from_secs(30)", from_str_fn(values::duration))]
    timeout: Duration,

    /// also say what was not done
    #[argh(switch, short = 'v')]
    verbose: bool,

    /// say nothing but errors
    #[argh(switch, short = 'q')]
    quiet: bool,

    /// print the version
    #[argh(switch)]
    #[allow(dead_code, reason = "seen to before parsing: it needs no other option")]
    version: bool,
}

impl Options {
    /// How much to tell.
    pub fn voice(&self) -> Voice {
        super::voice(self.verbose, self.quiet)
    }

    /// The order, and whether it makes sense. `command` is what stands behind `--`.
    ///
    /// # Errors
    /// 64.
    pub fn order(self, command: Option<Vec<OsString>>, world: &World) -> Result<Order> {
        let usage = |what: &str| Status::Usage.error(format!("{what}; see kvx-out --help"));
        let to = match self.file {
            file if file.as_os_str() == "-" => Destination::Stdout,
            file => Destination::File(file),
        };
        let argv = match (self.exec, command) {
            (Some(_), Some(_)) => return Err(usage("give the handler with -e or behind --, not both")),
            (Some(words), None) => match shell_words::split(&words) {
                Ok(argv) if !argv.is_empty() => argv.into_iter().map(OsString::from).collect(),
                Ok(_) => return Err(usage("-e names no program")),
                Err(_) => return Err(usage("-e has a quote that does not end")),
            },
            (None, command) => command.unwrap_or_default(),
        };
        let for_a_file = [
            (!argv.is_empty(), "a handler"),
            (self.chmod.is_some(), "-c"),
            (self.owner.is_some(), "-o"),
            (self.state_dir.is_some(), "--state-dir"),
        ];
        if let (Destination::Stdout, Some((_, what))) = (&to, for_a_file.iter().find(|(given, _)| *given)) {
            return Err(usage(&format!("with -f - there is no file for {what}")));
        }
        let by_watch = self.payload
            || self.key.is_none()
            || (world.variable)("CONSUL_INDEX").is_some_and(|index| !index.is_empty());
        Ok(Order {
            key: self.key,
            prefix: self.prefix.unwrap_or_default(),
            to,
            guards: Guards { min_lines: self.min_lines, max_size: self.max_size },
            attributes: Attributes { mode: self.chmod, ..self.owner.unwrap_or_default() },
            handler: Handler::new(argv, self.handler_timeout),
            stdin: if by_watch { Stdin::Payload } else { Stdin::Untouched },
            state_dir: self.state_dir,
            timeout: self.timeout,
            patience: self.timeout.saturating_add(self.handler_timeout),
            consul: Flags { address: self.server, token: self.token, token_file: self.token_file, datacenter: self.dc },
        })
    }
}
