//! A document in the form in which Consul stores it: as it is, or compressed. Pure.

use crate::consul::Value;
use crate::document::Verified;
use crate::encoding;
use crate::error::{Result, Status};

/// How to store a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As it is.
    Plain,
    /// `-z`: brotli under Flags 1, which kvexpress from 1.16 on reads.
    Compressed,
}

/// A document, and the value and the Flags out of which whoever reads them gets it back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored<'d> {
    document: &'d Verified,
    /// None where the document's own bytes are the value.
    encoded: Option<Vec<u8>>,
    flags: u64,
}

impl<'d> Stored<'d> {
    /// To be stored in this form.
    ///
    /// # Errors
    /// 65: it is so large that nobody would decode it.
    pub fn new(document: &'d Verified, form: Form) -> Result<Stored<'d>> {
        match form {
            Form::Plain => Ok(Stored { document, encoded: None, flags: 0 }),
            Form::Compressed => {
                let encoded = encoding::to_brotli(document.bytes());
                Stored::found(document, encoded, encoding::BROTLI).ok_or_else(|| {
                    Status::Refused.error("the document is so large that nobody would decode it again; split it")
                })
            }
        }
    }

    /// As somebody has stored it, to be stored elsewhere without a change; none where the value is not the document's.
    pub fn found(document: &'d Verified, value: Vec<u8>, flags: u64) -> Option<Stored<'d>> {
        let encoded = (value != document.bytes()).then_some(value);
        if let Some(value) = &encoded {
            Verified::decode(value.clone(), flags, document.checksum()).ok()?;
        }
        Some(Stored { document, encoded, flags })
    }

    /// The document.
    pub fn document(&self) -> &'d Verified {
        self.document
    }

    /// What is stored.
    pub fn value(&self) -> Value<'_> {
        Value { bytes: self.encoded.as_deref().unwrap_or(self.document.bytes()), flags: self.flags }
    }

    /// How large the value is, where it is not the document as it is.
    pub fn encoded(&self) -> Option<usize> {
        self.encoded.as_ref().map(Vec::len)
    }
}
