//! The command line of `kvx clean`.

use std::path::PathBuf;

use crate::cli::args::options::site_options;
use crate::cli::args::values;
use crate::error::{Result, Status};
use crate::layout::keys::Key;
use crate::layout::site::Site;
use crate::operator::clean::CleanOrder;

site_options! {
    /// Remove what was left next to a file, and its state; or in a key's history.
    #[argh(
        help_triggers("-h", "--help"),
        note = "Next to a file: FILE.compare, FILE.last and FILE.kvexpress, which kvexpress
keeps, the remains of a run that died, and the file's state: the next run
installs the file again if it differs, and runs the handler.",
        note = "In a key's history: documents that no version has. An upload leaves them that
dies between two steps. It may run while others upload.",
        example = "{command_name} -f /etc/hosts.consul
{command_name} -k hosts",
        error_code(0, "cleaned, or nothing was there"),
        error_code(64, "invalid command line"),
        error_code(69, "-k: Consul cannot be reached"),
        error_code(73, "something cannot be removed, or there is no such directory"),
        error_code(74, "the state cannot be read"),
        error_code(75, "a run is busy with the file; -k: uploads were faster every time"),
        error_code(77, "-k: Consul's ACLs denied it"),
        error_code(78, "invalid configuration: the environment, or a file that it names")
    )]
    pub struct CleanArgs {
        /// the file, which is kept
        #[argh(option, short = 'f', arg_name = "file", from_str_fn(values::file))]
        file: Option<PathBuf>,

        /// also remove the file
        #[argh(switch)]
        remove_file: bool,

        /// directory for the state of installed files
        #[argh(option, arg_name = "dir", from_str_fn(values::path))]
        state_dir: Option<PathBuf>,

        /// the key whose history to clean
        #[argh(option, short = 'k', arg_name = "key", from_str_fn(values::key))]
        key: Option<Key>,
    }
}

/// What to clean.
pub enum ToClean {
    /// `-f`.
    File(CleanOrder),
    /// `-k`.
    History(Key, Site),
}

impl CleanArgs {
    /// The order, if the options fit together.
    ///
    /// # Errors
    /// 64.
    pub fn order(self) -> Result<ToClean> {
        let site = self.site();
        match (self.file, self.key) {
            (Some(file), None) => {
                Ok(ToClean::File(CleanOrder { file, removes_file: self.remove_file, state_dir: self.state_dir }))
            }
            (None, Some(key)) if !self.remove_file && self.state_dir.is_none() => Ok(ToClean::History(key, site)),
            (None, Some(_)) => Err(Status::Usage.error("--remove-file and --state-dir are for -f, not for -k")),
            (None, None) => Err(Status::Usage.error("name a file with -f, or a key with -k")),
            (Some(_), Some(_)) => Err(Status::Usage.error("give -f or -k, not both")),
        }
    }
}
