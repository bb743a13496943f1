//! Small tools that do not depend on kvx: text, time, paths, and access to files that other users may have created.

pub mod open;
pub mod ownership;
pub mod path;
pub mod read;
pub mod strconv;
pub mod text;
pub mod time;
pub mod typed;
