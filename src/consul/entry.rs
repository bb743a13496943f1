//! One key with its value, as Consul writes it in JSON: in a transaction's results and in a watch's payload alike.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

/// A key's state in the KV store.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase")]
pub struct Entry {
    /// Its whole path, without a leading slash.
    pub key: String,
    /// 0 where a transaction's `get-or-empty` found nothing.
    #[serde(default)]
    pub create_index: u64,
    /// The index of its last change. Grows, but for the restore of a snapshot.
    pub modify_index: u64,
    /// The writer's own number; kvexpress says with 1 that the value is brotli.
    #[serde(default)]
    pub flags: u64,
    /// Decoded. An empty value is `null` in JSON.
    #[serde(default, deserialize_with = "base64")]
    pub value: Vec<u8>,
}

/// What is stored under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value<'a> {
    /// The value itself.
    pub bytes: &'a [u8],
    /// The writer's own number; kvexpress says with 1 that the value is brotli.
    pub flags: u64,
}

/// Of no Flags.
impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(bytes: &'a [u8]) -> Value<'a> {
        Value { bytes, flags: 0 }
    }
}

impl Entry {
    /// Whether this is what it holds, Flags included.
    pub fn holds(&self, value: Value) -> bool {
        self.value == value.bytes && self.flags == value.flags
    }
}

/// Decodes straight from the JSON text, without a copy of it on the way.
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
