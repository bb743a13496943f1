//! A document in the form in which Consul stores it: as it is, or compressed. Pure.

use std::cell::OnceCell;

use crate::consul::Value;
use crate::document::encoding;
use crate::document::{LARGEST, Verified};
use crate::error::{Result, Status};
use crate::layout::pair::VerifiedPair;

/// How to store a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As it is.
    Plain,
    /// `-z`: brotli under Flags 1, which kvexpress from 1.16 on reads.
    Compressed,
}

/// A document, and the value and the Flags out of which whoever reads them gets it back. It is compressed once somebody
/// looks: what is in Consul already is not worth it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedDocument {
    document: Verified,
    flags: u64,
    /// None where the document's own bytes are the value.
    encoded: OnceCell<Option<Vec<u8>>>,
}

impl EncodedDocument {
    /// To be stored in this form.
    ///
    /// # Errors
    /// 65: it is so large that nobody would decode it.
    pub fn new(document: Verified, form: Encoding) -> Result<EncodedDocument> {
        match form {
            Encoding::Plain => Ok(EncodedDocument { document, flags: 0, encoded: OnceCell::from(None) }),
            Encoding::Compressed if document.bytes().len() > LARGEST => Err(Status::Refused.error(format!(
                "the document is larger than {LARGEST} bytes, which nobody would decode; split it, or leave -z out"
            ))),
            Encoding::Compressed => Ok(EncodedDocument { document, flags: encoding::BROTLI, encoded: OnceCell::new() }),
        }
    }

    /// The document of a pair as it is stored, to be stored elsewhere without a change.
    pub fn of_pair(pair: VerifiedPair) -> EncodedDocument {
        let VerifiedPair { document, encoded, flags, .. } = pair;
        EncodedDocument { document, flags, encoded: OnceCell::from(encoded) }
    }

    /// The document.
    pub fn document(&self) -> &Verified {
        &self.document
    }

    /// The document alone.
    pub fn into_document(self) -> Verified {
        self.document
    }

    /// What is stored.
    pub fn value(&self) -> Value<'_> {
        Value { bytes: self.encoded().unwrap_or(self.document.bytes()), flags: self.flags }
    }

    /// The value, where it is not the document as it is.
    pub fn encoded(&self) -> Option<&[u8]> {
        self.encoded.get_or_init(|| Some(encoding::to_brotli(self.document.bytes()))).as_deref()
    }
}
