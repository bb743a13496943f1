//! Sorting (`-S`): a source that prints its lines in random order gives the same document each time. Pure.

/// Sorts the lines by their bytes, without empty ones and without a final newline. The result is byte for byte that of
/// kvexpress, so it has the same checksum.
pub fn sorted(document: &[u8]) -> Vec<u8> {
    let mut lines: Vec<&[u8]> = document.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).collect();
    lines.sort_unstable();
    lines.join(&b'\n')
}
