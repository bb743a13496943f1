//! The command line of `kvx clean`.

use std::path::PathBuf;

use crate::cli::args::options::options;
use crate::cli::args::values;
use crate::operator::clean::CleanOrder;

options! {
    /// Remove what was left next to a file, and its state.
    #[argh(
        help_triggers("-h", "--help"),
        note = "That is FILE.compare, FILE.last and FILE.kvexpress, which kvexpress keeps, the
remains of a run that died, and the file's state: the next run installs the
file again if it differs, and runs the handler.",
        example = "{command_name} -f /etc/hosts.consul",
        error_code(0, "cleaned, or nothing was there"),
        error_code(64, "invalid command line"),
        error_code(73, "something cannot be removed, or there is no such directory"),
        error_code(74, "the state cannot be read"),
        error_code(75, "a run is busy with the file"),
        error_code(78, "invalid configuration: the environment")
    )]
    pub struct CleanArgs {
        /// the file, which is kept
        #[argh(option, short = 'f', arg_name = "file", from_str_fn(values::file))]
        file: PathBuf,

        /// also remove the file
        #[argh(switch)]
        remove_file: bool,

        /// directory for the state of installed files
        #[argh(option, arg_name = "dir", from_str_fn(values::path))]
        state_dir: Option<PathBuf>,
    }
}

impl CleanArgs {
    pub fn order(self) -> CleanOrder {
        CleanOrder { file: self.file, removes_file: self.remove_file, state_dir: self.state_dir }
    }
}
