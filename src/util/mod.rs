//! Small tools that know nothing of kvx: text, time, paths, and files that other users may have put there.

pub mod open;
pub mod ownership;
pub mod path;
pub mod read;
pub mod strconv;
pub mod text;
pub mod time;
pub mod typed;
