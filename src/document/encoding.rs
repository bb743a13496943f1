//! How a document may be stored: as it is, brotli, or gzip in base64. Pure, and bounded: a small value may decode into a
//! very large one.

use std::io::Read;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use brotli::enc::BrotliEncoderParams;

/// The Flags under which kvexpress from 1.16 on stores brotli.
pub const BROTLI: u64 = 1;

/// Decodes at most `limit` bytes; more, or what is not encoded so, is none.
pub type Decoder = fn(&[u8], usize) -> Option<Vec<u8>>;

/// So much is compressed as well as it can be, as kvexpress does: half a second at most. It takes two more for each
/// megabyte, where a tenth is lost by not trying.
const THOROUGHLY: usize = 512 * 1024;

/// As brotli.
pub fn to_brotli(bytes: &[u8]) -> Vec<u8> {
    let quality = if bytes.len() <= THOROUGHLY { 11 } else { 9 };
    let params = BrotliEncoderParams { quality, size_hint: bytes.len(), ..BrotliEncoderParams::default() };
    let mut encoded = Vec::new();
    match brotli::BrotliCompress(&mut &*bytes, &mut encoded, &params) {
        Ok(_) => encoded,
        Err(_) => Vec::new(), // Memory has nothing to fail at; and nothing decodes to no document.
    }
}

/// Brotli, as kvexpress >= 1.16 writes with `-z`.
pub fn brotli(encoded: &[u8], limit: usize) -> Option<Vec<u8>> {
    bounded(brotli::Decompressor::new(encoded, 4096), limit)
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
