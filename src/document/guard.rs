//! Tests that a document must pass before it is let through, on the way in and on the way out. Pure.

use crate::document::{Size, Verified};
use crate::error::{Error, Kind, Result, Status};
use crate::util::text::size;

/// No larger a document is let through unless `--max-size` says so.
pub const LARGEST: usize = 16 * 1024 * 1024;

/// No larger a value is stored unless `--max-size` says so: Consul's own limit (`kv_max_value_size`).
pub const LARGEST_VALUE: usize = 512 * 1024;

/// What a document must be like.
#[derive(Clone, Copy, Debug)]
pub struct Guards {
    /// `-l`: at least so many lines.
    pub min_lines: u64,
    /// `--max-size`: at most so many bytes.
    pub max_size: usize,
    /// `--max-shrink`: how much smaller than the one before, in lines or in bytes. None where anything goes: as with
    /// `--force`, and with 100.
    pub max_shrink: Option<Percent>,
}

/// A share, of 0 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percent(u8);

impl Percent {
    /// None where it is more than all.
    pub fn new(percent: u8) -> Option<Percent> {
        (percent <= 100).then_some(Percent(percent))
    }

    /// Whether it is less than all.
    pub fn is_a_limit(self) -> bool {
        self.0 < 100
    }
}

impl Guards {
    /// Lets it through, or says why not.
    ///
    /// # Errors
    /// 65.
    pub fn check(&self, document: &Verified) -> Result<()> {
        let length = document.bytes().len();
        if length > self.max_size {
            return Err(too_large(&size(length), self.max_size));
        }
        let lines = document.size().lines();
        if lines < self.min_lines {
            let has = match lines {
                0 => "is empty".into(),
                1 => format!("{} has 1 line", document.checksum().short()),
                n => format!("{} has {n} lines", document.checksum().short()),
            };
            let refused = Status::Refused.error(format!(
                "the document {has}, at least {} are wanted; if it is meant to be so short, lower -l",
                self.min_lines
            ));
            return Err(refused.counted_as(Kind::TooShort));
        }
        Ok(())
    }

    /// Lets it through in place of a document of that size, or says why not.
    ///
    /// # Errors
    /// 65.
    pub fn check_shrinkage(&self, document: &Verified, before: Size) -> Result<()> {
        let Some(Percent(most)) = self.max_shrink else { return Ok(()) };
        let now = document.size();
        for (unit, before, now) in [("lines", before.lines(), now.lines()), ("bytes", before.bytes(), now.bytes())] {
            let gone = u128::from(before.saturating_sub(now)).saturating_mul(100);
            if gone > u128::from(before).saturating_mul(most.into()) {
                return Err(Status::Refused.error(format!(
                    "the document {} would shrink from {before} {unit} to {now}, by more than {most} % (--max-shrink); if it is meant to, let it through once with --force",
                    document.checksum().short()
                )));
            }
        }
        Ok(())
    }
}

/// A document of more than `most` bytes.
pub fn too_large(is: &str, most: usize) -> Error {
    Status::Refused.error(format!(
        "the document is {is}, at most {most} bytes are allowed; if it is meant to be so large, raise --max-size"
    ))
}
