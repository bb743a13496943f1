//! A document: its bytes with their checksum, what they must be like, and how they may be encoded. Pure: no I/O. The only maker
//! of [`Verified`].

mod checksum;
pub mod diff;
pub mod encoding;
pub mod guard;
mod size;
pub mod sorted;
mod verified;

pub use self::checksum::Checksum;
pub use self::size::Size;
pub use self::verified::{LARGEST, Verified};
