//! Documents: bytes with their checksum, guards, encodings and diffs. Pure: no I/O. Only this module makes a
//! [`Verified`].

mod checksum;
pub(crate) mod diff;
pub mod encoding;
pub mod guard;
mod size;
pub mod sorted;
mod verified;

pub use self::checksum::Checksum;
pub use self::size::Size;
pub use self::verified::{LARGEST, Verified};
