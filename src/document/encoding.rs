//! The encodings of a stored document: brotli, or gzip in base64. Pure. Decoders have a limit, since a small value can
//! decode into a very large one.

use std::io::Read;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use brotli::enc::BrotliEncoderParams;

/// The Flags with which kvexpress stores brotli from 1.16 on.
pub const BROTLI: u64 = 1;

/// Decodes a value into at most `limit` bytes; `None` if the result is larger or the value is not in this encoding.
pub type Decoder = fn(&[u8], usize) -> Option<Vec<u8>>;

/// The largest document that is compressed with the highest quality, as kvexpress does; that takes at most half a
/// second. Each megabyte would take two more seconds; the lower quality costs only a tenth in size.
const MAX_BEST_QUALITY: usize = 512 * 1024;

/// Compresses with brotli.
pub fn to_brotli(bytes: &[u8]) -> Vec<u8> {
    let quality = if bytes.len() <= MAX_BEST_QUALITY { 11 } else { 9 };
    compress(bytes, BrotliEncoderParams { quality, ..BrotliEncoderParams::default() })
}

/// Compresses with brotli, in about 1 ms for 30 KB: lines of /etc/hosts become 7.4 KB. (The next quality takes 1.5 ms for 5.8 KB,
/// and with the largest window 2.6 ms: initializing its memory costs more than compressing.)
pub fn to_brotli_quickly(bytes: &[u8]) -> Vec<u8> {
    let bits = usize::BITS.saturating_sub(bytes.len().leading_zeros());
    let lgwin = i32::try_from(bits).unwrap_or(i32::MAX).clamp(16, 22);
    compress(bytes, BrotliEncoderParams { quality: 1, lgwin, ..BrotliEncoderParams::default() })
}

fn compress(bytes: &[u8], params: BrotliEncoderParams) -> Vec<u8> {
    let params = BrotliEncoderParams { size_hint: bytes.len(), ..params };
    let mut encoded = Vec::new();
    match brotli::BrotliCompress(&mut &*bytes, &mut encoded, &params) {
        Ok(_) => encoded,
        Err(_) => Vec::new(), // Writing to memory cannot fail. An empty value would not decode to any document.
    }
}

/// Decodes brotli, which kvexpress writes with `-z` from 1.16 on.
pub fn brotli(encoded: &[u8], limit: usize) -> Option<Vec<u8>> {
    bounded(brotli::Decompressor::new(encoded, 4096), limit)
}

/// Decodes gzip in base64, which older versions of kvexpress write with `-z`.
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
