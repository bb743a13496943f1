//! How a document may be stored: as it is, brotli, or gzip in base64. Pure, and bounded: a small value may decode into a
//! very large one.

use std::io::Read;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// The Flags under which kvexpress from 1.16 on stores brotli.
pub const BROTLI: u64 = 1;

/// Decodes at most `limit` bytes; more, or what is not encoded so, is none.
pub type Decoder = fn(&[u8], usize) -> Option<Vec<u8>>;

/// Brotli, as kvexpress >= 1.16 writes with `-z`.
pub fn brotli(encoded: &[u8], limit: usize) -> Option<Vec<u8>> {
    bounded(brotli_decompressor::Decompressor::new(encoded, 4096), limit)
}

/// Gzip in base64, as older kvexpress writes with `-z`.
pub fn gzip_base64(encoded: &[u8], limit: usize) -> Option<Vec<u8>> {
    let gzip = BASE64_STANDARD.decode(encoded.trim_ascii()).ok()?;
    bounded(flate2::read::MultiGzDecoder::new(gzip.as_slice()), limit)
}

fn bounded(mut decoder: impl Read, limit: usize) -> Option<Vec<u8>> {
    let mut decoded = Vec::new();
    let one_more = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    decoder.by_ref().take(one_more).read_to_end(&mut decoded).ok()?;
    (decoded.len() <= limit).then_some(decoded)
}
