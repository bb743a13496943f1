//! `-S`: a document whose lines come in no order, put into one, so that it is the same document each time. Pure.

/// The lines that are not empty, in the order of their bytes, joined by newlines, without one at the end: byte for byte
/// what kvexpress makes of them, and so of the same checksum.
pub fn sorted(document: &[u8]) -> Vec<u8> {
    let mut lines: Vec<&[u8]> = document.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).collect();
    lines.sort_unstable();
    lines.join(&b'\n')
}
