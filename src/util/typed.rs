//! Names and paths that a person or a script has typed. What nobody types on purpose is refused, before it is stored where it
//! cannot be found again. Pure.

use std::path::{Path, PathBuf};

/// A control character is an accident: a file named `hosts\r` is not the one that was meant.
///
/// # Errors
/// It has one. The reason shows it as an escape.
pub fn plain(text: &str) -> Result<&str, String> {
    match text.chars().find(|c| c.is_control()) {
        None => Ok(text),
        Some('\r') if text.ends_with('\r') => {
            Err(r"it ends with a carriage return (\r), as in a script with CRLF line endings; use LF".into())
        }
        Some(c) => Err(format!("it has a control character ({})", c.escape_debug())),
    }
}

/// A path of any kind.
pub fn path(text: &str) -> Result<PathBuf, String> {
    plain(text).map(PathBuf::from)
}

/// `-f` of kvx-out: a file, or `-`. A stream by another name would be replaced by a file, not written to.
pub fn destination(text: &str) -> Result<PathBuf, String> {
    match path(text)? {
        path if is_stream(&path) => Err("it is a stream, not a file; kvx-out prints to stdout with -f -".into()),
        path => Ok(path),
    }
}

/// Whether it is a name for what a process has open. (Of /proc, nothing can be replaced.)
fn is_stream(path: &Path) -> bool {
    ["/dev/fd", "/dev/stdin", "/dev/stdout", "/dev/stderr", "/proc"].iter().any(|stream| path.starts_with(stream))
}

/// A character that is not printable: Consul's API answers 400 for a path that has one, so that what a transaction has stored
/// under it is out of reach for Consul's own tools. None where there is none.
///
/// By Go's rule: letters, marks, numbers, punctuation, symbols and the blank are printable, and no other white space, formatting,
/// private or unassigned character.
pub fn unprintable(text: &str) -> Option<char> {
    text.chars().find(|c| !is_printable(*c))
}

/// By the standard library's own tables, which have the same rule.
fn is_printable(c: char) -> bool {
    match c {
        ' '..='~' => true,
        c if c.is_ascii() => false,
        // Behind another, so that a combining mark counts as one.
        c => String::from_iter(['a', c]).escape_debug().count() == 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_types_on_purpose_is_named() {
        assert_eq!(plain("/etc/höst s\u{200e}"), Ok("/etc/höst s\u{200e}"));
        assert!(plain("hosts\r").is_err_and(|why| why.contains("CRLF")));
        for (text, shown) in
            [("a\rb", r"(\r)"), ("a\nb\r\n", r"(\n)"), ("\u{1b}[m", r"(\u{1b})"), ("\u{9b}", r"(\u{9b})")]
        {
            assert!(plain(text).is_err_and(|why| why.contains(shown)), "{text:?}");
        }
    }

    #[test]
    fn what_cannot_be_seen_is_not_printable() {
        let seen = "aZ 09~`'\"\\äßжλ日本한ا\u{301}\u{fe0f}€→🦀";
        assert_eq!(unprintable(seen), None);
        for c in "\t\n\r\u{7f}\u{85}\u{a0}\u{ad}\u{61c}\u{1680}\u{180e}\u{2003}\u{200b}\u{200d}\u{200e}\u{2028}\u{202e}\u{2060}\u{2066}\u{3000}\u{e000}\u{fdd0}\u{feff}\u{fff9}\u{e0041}\u{10ffff}".chars() {
            assert_eq!(unprintable(&format!("a{c}b")), Some(c));
        }
    }
}
