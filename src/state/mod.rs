//! What this node records of one file: which checksum is installed, and which handlers have run for it. The same small
//! file is the lock under which everything about that file is decided and done.
//!
//! Whatever is lost, at whatever moment, a missing or different state means that the handler is *pending*: one reload too
//! many, never one too few. So the state needs no fsync: a power loss makes an older one of it, and a restart of whatever
//! was to be reloaded. (But for `--in-place`: a file that is half of one must be known as such.)

mod access;
mod directory;
mod format;
mod inspect;
mod last_run;
mod machine;
mod record;
mod replay;
mod state_file;

pub use self::directory::{StateDirectory, directory};
pub use self::inspect::{RecordedState, all, is_there, path_of, read, sweep_abandoned, wait_for_runs};
pub use self::last_run::LastRun;
pub use self::record::{HandlerRecord, State};
pub use self::replay::to_be_kept;
pub use self::state_file::StateFile;
