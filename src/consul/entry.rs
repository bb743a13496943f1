//! A key with its value, as Consul writes it in JSON, both in the results of a transaction and in the payload of a
//! watch.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

/// The state of a key in the KV store.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase")]
pub struct Entry {
    /// The full path, without a leading slash.
    pub key: String,
    /// 0 if a transaction's `get-or-empty` did not find the key.
    #[serde(default)]
    pub create_index: u64,
    /// The Raft index of the last change. It grows with each change, and decreases only when a snapshot is restored.
    pub modify_index: u64,
    /// A number that the writer chooses; in kvexpress, 1 means that the value is brotli.
    #[serde(default)]
    pub flags: u64,
    /// The value, decoded from base64. In JSON an empty value is `null`.
    #[serde(default, deserialize_with = "base64")]
    pub value: Vec<u8>,
}

/// A value to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value<'a> {
    /// The bytes of the value.
    pub bytes: &'a [u8],
    /// See [`Entry::flags`].
    pub flags: u64,
}

/// A value with Flags 0.
impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(bytes: &'a [u8]) -> Value<'a> {
        Value { bytes, flags: 0 }
    }
}

impl Entry {
    /// Whether value and Flags are equal to these.
    pub fn holds(&self, value: Value) -> bool {
        self.value == value.bytes && self.flags == value.flags
    }
}

/// Decodes base64 directly from the JSON text, without an intermediate copy.
fn base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    struct Base64;
    impl Visitor<'_> for Base64 {
        type Value = Vec<u8>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a value in base64, or null")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Vec<u8>, E> {
            BASE64_STANDARD.decode(text).map_err(|_| E::custom("a value that is not base64"))
        }

        fn visit_unit<E: Error>(self) -> Result<Vec<u8>, E> {
            Ok(Vec::new())
        }
    }
    deserializer.deserialize_any(Base64)
}
