//! Parses the mode of a file (`-c`) as kvexpress does.

use crate::util::strconv::integer;

/// Permission bits. kvexpress takes a number: `0644` and 420 are the same. A decimal number above 0o777 is read as octal without
/// its zero: 644 means 0644, not 0204, which kvexpress made of it. setuid, setgid and sticky are ignored, as in kvexpress.
pub fn mode(text: &str) -> Option<u32> {
    let number = u32::try_from(integer(text)?).ok()?;
    let is_decimal = !text.starts_with('0');
    let mode = if is_decimal && number > 0o777 { u32::from_str_radix(text, 8).ok()? } else { number };
    (mode <= 0o7777).then_some(mode & 0o777)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The modes of kvexpress 1.16, except 644 (it set 0204), 4755 (0201), and invalid ones (no file, status 0).
    #[test]
    fn modes_are_kvexpresss_except_decimals_meant_as_octal() {
        for (text, bits) in [
            ("00644", Some(0o644)),
            ("0644", Some(0o644)),
            ("0o644", Some(0o644)),
            ("420", Some(0o644)),
            ("416", Some(0o640)),
            ("511", Some(0o777)),
            ("0x1a4", Some(0o644)),
            ("04755", Some(0o755)),
            ("644", Some(0o644)),
            ("4755", Some(0o755)),
            ("888", None),
            ("0888", None),
            ("10644", None),
            ("010644", None),
            ("-1", None),
            ("u=rw", None),
        ] {
            assert_eq!(mode(text), bits, "{text}");
        }
    }
}
