//! The command line of `kvx rollback`.

use crate::cli::args::options::site_options;
use crate::cli::args::values;
use crate::layout::keys::Key;
use crate::layout::version::VersionQuery;
use crate::upload::Mode;
use crate::upload::rollback::RollbackOrder;

site_options! {
    /// Restore an earlier document on all nodes, and hold the key at it.
    #[argh(
        help_triggers("-h", "--help"),
        note = "By default it is the document that the current one replaced; or the held one,
if the key is held at another. After a rollback, or if the current document is
the first one, --to is required.
A version is the start of its checksum (4 digits or more) or of its time, as
kvx history prints them, or -1, -2, ...: so many before the current one.",
        note = "The key is held in the same transaction: no uploader replaces the restored
document until kvx release. Guards of a node still apply.",
        note = "How Consul is found: see kvx-in --help.",
        example = "{command_name} -k hosts -m 'bad DNS'
{command_name} -k hosts -n --to 77aa0c1d",
        error_code(0, "restored, or the current document"),
        error_code(64, "invalid command line, an ambiguous version, or --to is required"),
        error_code(65, "the version's document is damaged, or the key's record needs a newer kvx"),
        error_code(66, "there is no such version"),
        error_code(69, "Consul cannot be reached"),
        error_code(75, "it is stopped; --no-hold: held at another one; another writer was faster"),
        error_code(77, "Consul's ACLs denied it"),
        error_code(78, "invalid configuration: the environment, or a file that it names")
    )]
    pub struct RollbackArgs {
        /// name of the document in Consul, such as hosts
        #[argh(option, short = 'k', arg_name = "key", from_str_fn(values::key))]
        key: Key,

        /// the version to restore [default: the document that the current one replaced]
        #[argh(option, arg_name = "version", from_str_fn(values::version))]
        to: Option<VersionQuery>,

        /// why: kept with the document, and in the hold
        #[argh(option, short = 'm', arg_name = "text", from_str_fn(values::note))]
        note: Option<String>,

        /// do not hold the key: the next upload replaces the document
        #[argh(switch)]
        no_hold: bool,

        /// also resume a stopped key
        #[argh(switch)]
        resume: bool,

        /// show the difference to the document in Consul and change nothing
        #[argh(switch, short = 'n')]
        dry_run: bool,
    }
}

impl RollbackArgs {
    pub fn order(self) -> RollbackOrder {
        RollbackOrder {
            site: self.site(),
            key: self.key,
            to: self.to,
            note: self.note,
            holds: !self.no_hold,
            resumes: self.resume,
            mode: if self.dry_run { Mode::DryRun } else { Mode::Upload },
        }
    }
}
