//! Tests that a document must pass before it is let through, on the way in and on the way out. Pure.

use crate::document::{Verified, size};
use crate::error::{Error, Result, Status};

/// What a document must be like.
#[derive(Clone, Copy, Debug)]
pub struct Guards {
    /// `-l`: at least so many lines.
    pub min_lines: u64,
    /// `--max-size`: at most so many bytes.
    pub max_size: usize,
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
        let lines = document.lines();
        if lines < self.min_lines {
            let has = match lines {
                0 => "is empty".into(),
                1 => "has 1 line".into(),
                n => format!("has {n} lines"),
            };
            return Err(Status::Refused.error(format!(
                "the document {has}, at least {} are wanted; if it is meant to be so short, lower -l",
                self.min_lines
            )));
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
