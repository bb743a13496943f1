//! The command lines of `kvx`, one for each of its commands.

pub mod clean;
pub mod copy;
pub mod diff;
pub mod history;
pub mod hold;
pub mod list;
pub mod lock;
pub mod release;
pub mod resume;
pub mod rollback;
pub mod show;
pub mod status;
pub mod stop;
pub mod unlock;
