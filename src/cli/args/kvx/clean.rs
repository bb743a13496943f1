//! The command line of `kvx clean`.

use std::path::PathBuf;

use crate::cli::args::options::options;
use crate::cli::args::values;
use crate::operator::clean::CleanOrder;

options! {
    /// Take away what was left beside a file, and what is recorded of it.
    #[argh(
        help_triggers("-h", "--help"),
        note = "That is FILE.compare, FILE.last and FILE.kvexpress, which kvexpress keeps,
what a run that died has left, and the file's state: the next run installs it
anew if it differs, and reloads.",
        example = "{command_name} -f /etc/hosts.consul",
        error_code(0, "cleaned, or nothing was there"),
        error_code(64, "the command line makes no sense"),
        error_code(73, "something cannot be removed, or there is no such directory"),
        error_code(74, "what is recorded cannot be read"),
        error_code(75, "a run is busy with the file"),
        error_code(78, "the environment makes no sense")
    )]
    pub struct CleanArgs {
        /// the file, which itself stays
        #[argh(option, short = 'f', arg_name = "file", from_str_fn(values::file))]
        file: PathBuf,

        /// remove the file, too
        #[argh(switch)]
        remove_file: bool,

        /// directory for what is recorded of installed files
        #[argh(option, arg_name = "dir", from_str_fn(values::path))]
        state_dir: Option<PathBuf>,
    }
}

impl CleanArgs {
    /// The order.
    pub fn order(self) -> CleanOrder {
        CleanOrder { file: self.file, removes_file: self.remove_file, state_dir: self.state_dir }
    }
}
