//! A document in its stored form, plain or compressed. Pure.

use std::cell::OnceCell;

use crate::consul::Value;
use crate::document::encoding;
use crate::document::{LARGEST, Verified};
use crate::error::{Result, Status};
use crate::layout::pair::VerifiedPair;

/// The form in which a document is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// The bytes of the document.
    Plain,
    /// `-z`: brotli with Flags 1, which kvexpress can read from 1.16 on.
    Compressed,
}

/// A document with its stored value and Flags. It is compressed only when the value is needed, since compressing is
/// wasted if Consul has the document already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedDocument {
    document: Verified,
    flags: u64,
    /// `None` if the value is the document itself.
    encoded: OnceCell<Option<Vec<u8>>>,
}

impl EncodedDocument {
    /// A document to be stored in this form.
    ///
    /// # Errors
    /// 65 if the document is larger than a reader decodes.
    pub fn new(document: Verified, form: Encoding) -> Result<EncodedDocument> {
        match form {
            Encoding::Plain => Ok(EncodedDocument { document, flags: 0, encoded: OnceCell::from(None) }),
            Encoding::Compressed if document.bytes().len() > LARGEST => Err(Status::Refused.error(format!(
                "the document is larger than {LARGEST} bytes, the maximum with -z; split it, or omit -z"
            ))),
            Encoding::Compressed => Ok(EncodedDocument { document, flags: encoding::BROTLI, encoded: OnceCell::new() }),
        }
    }

    /// The document of a pair, to be stored elsewhere in the same form.
    pub fn of_pair(pair: VerifiedPair) -> EncodedDocument {
        let VerifiedPair { document, encoded, flags, .. } = pair;
        EncodedDocument { document, flags, encoded: OnceCell::from(encoded) }
    }

    /// The document.
    pub fn document(&self) -> &Verified {
        &self.document
    }

    /// The document.
    pub fn into_document(self) -> Verified {
        self.document
    }

    /// The value and the Flags to store.
    pub fn value(&self) -> Value<'_> {
        Value { bytes: self.encoded().unwrap_or(self.document.bytes()), flags: self.flags }
    }

    /// The value, if it is not the document itself.
    pub fn encoded(&self) -> Option<&[u8]> {
        self.encoded.get_or_init(|| Some(encoding::to_brotli(self.document.bytes()))).as_deref()
    }
}
