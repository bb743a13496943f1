//! The command line of `kvx hold`.

use crate::cli::args::options::site_options;
use crate::cli::args::values;
use crate::layout::keys::Key;
use crate::layout::marker::Present;
use crate::operator::hold::HoldOrder;
use crate::operator::stop::Reason;

site_options! {
    /// Hold a key at its document: no other one is uploaded or installed.
    #[argh(
        help_triggers("-h", "--help"),
        note = "The checksum and the reason, with user, host and time, are stored in Consul as
PREFIX/KEY/hold, until kvx release. Nodes keep the held document, even if
kvexpress, which ignores holds, uploads another one. kvx-in refuses other
documents; with --ignore-hold it uploads one and moves the hold to it.",
        note = "How Consul is found: see kvx-in --help.",
        example = "{command_name} -k hosts -r 'until the renderer is fixed'",
        error_code(0, "held"),
        error_code(64, "invalid command line"),
        error_code(66, "there is no such key"),
        error_code(69, "Consul cannot be reached"),
        error_code(75, "it is held already, or torn, or other writers were faster every time"),
        error_code(77, "Consul's ACLs denied it"),
        error_code(78, "invalid configuration: the environment, or a file that it names")
    )]
    pub struct HoldArgs {
        /// name of the document in Consul, such as hosts
        #[argh(option, short = 'k', arg_name = "key", from_str_fn(values::key))]
        key: Key,

        /// why
        #[argh(option, short = 'r', arg_name = "text", from_str_fn(values::reason))]
        reason: String,

        /// replace an existing hold, of whichever document
        #[argh(switch)]
        replace: bool,
    }
}

impl HoldArgs {
    pub fn order(self) -> HoldOrder {
        let present = if self.replace { Present::Replace } else { Present::Keep };
        HoldOrder { site: self.site(), key: self.key, reason: Reason::ToSign(self.reason), present }
    }
}
