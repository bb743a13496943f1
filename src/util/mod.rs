//! Small tools that do not depend on kvx: text, time, paths, and access to files that other users may have created.

pub(crate) mod exposure;
pub(crate) mod open;
pub(crate) mod ownership;
pub(crate) mod path;
pub(crate) mod read;
pub(crate) mod strconv;
pub mod text;
pub(crate) mod time;
pub(crate) mod typed;
