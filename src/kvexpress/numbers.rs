//! Numbers as Go reads them.

/// Decimal, or in another base behind `0x`, `0o`, `0b` or `0`.
pub fn integer(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix(['-', '+']) {
        Some(digits) => (text.starts_with('-'), digits),
        None => (false, text),
    };
    let (base, digits) = match digits.get(..2).unwrap_or_default() {
        "0x" | "0X" => (16, digits.get(2..)?),
        "0o" | "0O" => (8, digits.get(2..)?),
        "0b" | "0B" => (2, digits.get(2..)?),
        _ if digits.starts_with('0') => (8, digits),
        _ => (10, digits),
    };
    if !digits.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None; // A second sign.
    }
    let number = i64::from_str_radix(digits, base).ok()?;
    Some(if negative { number.saturating_neg() } else { number })
}

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

    #[test]
    fn integers_are_gos() {
        for (text, number) in [
            ("10", Some(10)),
            ("-1", Some(-1)),
            ("+3", Some(3)),
            ("0", Some(0)),
            ("012", Some(10)),
            ("00644", Some(420)),
            ("0o644", Some(420)),
            ("0x1a4", Some(420)),
            ("0X1A4", Some(420)),
            ("0b110100100", Some(420)),
            ("", None),
            ("-", None),
            ("--1", None),
            ("0x", None),
            ("0x-1", None),
            ("08", None),
            ("1e1", None),
            ("ten", None),
            ("10é", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(integer(text), number, "{text}");
        }
    }

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
