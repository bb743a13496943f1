//! Guards: limits that a document must meet to be uploaded or installed. Pure.

use crate::document::{Size, Verified};
use crate::error::{Error, Kind, Result, Status};
use crate::util::text::size;

/// The default maximum size of a document to install, in bytes (`--max-size`).
pub const LARGEST: usize = 16 * 1024 * 1024;

/// The default maximum size of a value to upload, in bytes (`--max-size`). It is Consul's default limit
/// (`kv_max_value_size`).
pub const LARGEST_VALUE: usize = 512 * 1024;

/// The limits of a document.
#[derive(Clone, Copy, Debug)]
pub struct Guards {
    /// `-l`: the minimum number of lines.
    pub min_lines: u64,
    /// `--max-size`: the maximum size in bytes.
    pub max_size: usize,
    /// `--max-shrink`: the maximum decrease from the previous document, in lines and in bytes. `None` without a limit,
    /// as with `--force` or 100.
    pub max_shrink: Option<Percent>,
}

/// A percentage from 0 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percent(u8);

impl Percent {
    /// A percentage; `None` above 100.
    pub fn new(percent: u8) -> Option<Percent> {
        (percent <= 100).then_some(Percent(percent))
    }

    /// Whether it limits anything, which 100 % does not.
    pub fn is_a_limit(self) -> bool {
        self.0 < 100
    }
}

impl Guards {
    /// Checks the size and the number of lines.
    ///
    /// # Errors
    /// 65 if the document is rejected.
    pub fn check(&self, document: &Verified) -> Result<()> {
        let length = document.bytes().len();
        if length > self.max_size {
            return Err(too_large(&size(length), self.max_size));
        }
        let lines = document.size().lines();
        if lines < self.min_lines {
            let has = match lines {
                0 => "is empty: 0 lines".into(),
                1 => format!("{} has 1 line", document.checksum().short()),
                n => format!("{} has {n} lines", document.checksum().short()),
            };
            let rejected = Status::Refused
                .error(format!("the document {has}, minimum {}; if that is intended, lower -l", self.min_lines));
            return Err(rejected.counted_as(Kind::TooShort));
        }
        Ok(())
    }

    /// Checks the decrease in size from the previous document.
    ///
    /// # Errors
    /// 65 if the document is rejected.
    pub fn check_shrinkage(&self, document: &Verified, before: Size) -> Result<()> {
        let Some(Percent(max)) = self.max_shrink else { return Ok(()) };
        let now = document.size();
        for (unit, before, now) in [("lines", before.lines(), now.lines()), ("bytes", before.bytes(), now.bytes())] {
            let decrease = u128::from(before.saturating_sub(now)).saturating_mul(100);
            if decrease > u128::from(before).saturating_mul(max.into()) {
                return Err(Status::Refused.error(format!(
                    "the document {} would shrink from {before} {unit} to {now}, by more than {max} % (--max-shrink); if that is intended, accept it once with --force",
                    document.checksum().short()
                )));
            }
        }
        Ok(())
    }
}

/// The error for a document of more than `max` bytes; `actual` is its size, or "too large" if that is unknown.
pub fn too_large(actual: &str, max: usize) -> Error {
    Status::Refused
        .error(format!("the document is {actual}, maximum {max} bytes; if that is intended, raise --max-size"))
}
