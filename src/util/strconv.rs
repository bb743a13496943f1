//! Parses values as Go does, since Consul's own client and kvexpress are written in Go. Pure.

/// `strconv.ParseBool`.
pub fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// `strconv.ParseInt`: decimal, or in another base after `0x`, `0o`, `0b` or `0`.
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
        return None; // `from_str_radix` would accept a second sign.
    }
    let number = i64::from_str_radix(digits, base).ok()?;
    Some(if negative { number.saturating_neg() } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_parsed_as_by_go() {
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
}
