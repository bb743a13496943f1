//! The mode of a file, as kvexpress takes it.

use crate::util::strconv::integer;

/// Permission bits. kvexpress takes a number: `0644` and 420 are the same. A decimal that is more than all bits is octal
/// without its zero: nobody meant the 0204 that kvexpress made of 644. setuid, setgid and sticky it never set either.
pub fn mode(text: &str) -> Option<u32> {
    let number = u32::try_from(integer(text)?).ok()?;
    let is_decimal = !text.starts_with('0');
    let mode = if is_decimal && number > 0o777 { u32::from_str_radix(text, 8).ok()? } else { number };
    (mode <= 0o7777).then_some(mode & 0o777)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What kvexpress 1.16 gave the file, but for 644 (0204), 4755 (0201) and what is none (no file, status 0).
    #[test]
    fn modes_are_kvexpresss_or_what_was_meant() {
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
