//! The state that this node records of an installed file: which checksum is installed, and which handlers have run for
//! it. The state file is also the lock that a run holds while it works on the installed file.
//!
//! A missing or different state means that the handler is *pending*. So a lost state leads to one reload too many,
//! never to one too few, and the state needs no fsync: a power loss restores an older state, and it restarts the
//! service that was to be reloaded anyway. The exception is `--in-place`, where the state must say that the file may be
//! half written.

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
pub use self::inspect::{RecordedState, all, exists, path_of, read, sweep_abandoned, wait_for_runs};
pub use self::last_run::LastRun;
pub use self::record::{HandlerRecord, State};
pub use self::replay::replayable;
pub use self::state_file::StateFile;
