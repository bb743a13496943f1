//! Validates names and paths from the command line. Characters that are there by accident are rejected before a name is
//! stored that cannot be found again. Pure.

use std::path::{Path, PathBuf};

/// Rejects control characters, which are there by accident: a file is never meant to be named `hosts\r`.
///
/// # Errors
/// The text has a control character. The message shows it as an escape.
pub fn plain(text: &str) -> Result<&str, String> {
    match text.chars().find(|c| c.is_control()) {
        None => Ok(text),
        Some('\r') if text.ends_with('\r') => {
            Err(r"it ends with a carriage return (\r), as in a script with CRLF line endings; use LF".into())
        }
        Some(c) => Err(format!("it has a control character ({})", c.escape_debug())),
    }
}

/// Parses a path.
pub fn path(text: &str) -> Result<PathBuf, String> {
    plain(text).map(PathBuf::from)
}

/// Parses the destination of kvx-out (`-f`): a file, or `-` for stdout. A path such as `/dev/stdout` is rejected, since
/// kvx-out would replace it by a file instead of writing to the stream.
pub fn destination(text: &str) -> Result<PathBuf, String> {
    match path(text)? {
        path if is_stream(&path) => Err("it is a stream, not a file; kvx-out prints to stdout with -f -".into()),
        path => Ok(path),
    }
}

/// Whether the path names an open file of a process, or is in /proc, where no file can be replaced.
fn is_stream(path: &Path) -> bool {
    ["/dev/fd", "/dev/stdin", "/dev/stdout", "/dev/stderr", "/proc"].iter().any(|stream| path.starts_with(stream))
}

/// The first character that is not printable. Consul's API answers 400 for a path with such a character, so Consul's
/// own tools cannot read a key that a transaction has stored under it.
///
/// The rule is Go's: letters, marks, numbers, punctuation, symbols and the blank are printable. Other white space and
/// formatting, private or unassigned characters are not.
pub fn unprintable(text: &str) -> Option<char> {
    text.chars().find(|c| !is_printable(*c))
}

/// Uses the tables of the standard library, which follow the same rule.
fn is_printable(c: char) -> bool {
    match c {
        ' '..='~' => true,
        c if c.is_ascii() => false,
        // The preceding letter keeps `escape_debug` from escaping a combining mark.
        c => String::from_iter(['a', c]).escape_debug().count() == 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_rejected() {
        assert_eq!(plain("/etc/höst s\u{200e}"), Ok("/etc/höst s\u{200e}"));
        assert!(plain("hosts\r").is_err_and(|why| why.contains("CRLF")));
        for (text, shown) in
            [("a\rb", r"(\r)"), ("a\nb\r\n", r"(\n)"), ("\u{1b}[m", r"(\u{1b})"), ("\u{9b}", r"(\u{9b})")]
        {
            assert!(plain(text).is_err_and(|why| why.contains(shown)), "{text:?}");
        }
    }

    #[test]
    fn invisible_characters_are_not_printable() {
        let seen = "aZ 09~`'\"\\äßжλ日本한ا\u{301}\u{fe0f}€→🦀";
        assert_eq!(unprintable(seen), None);
        for c in "\t\n\r\u{7f}\u{85}\u{a0}\u{ad}\u{61c}\u{1680}\u{180e}\u{2003}\u{200b}\u{200d}\u{200e}\u{2028}\u{202e}\u{2060}\u{2066}\u{3000}\u{e000}\u{fdd0}\u{feff}\u{fff9}\u{e0041}\u{10ffff}".chars() {
            assert_eq!(unprintable(&format!("a{c}b")), Some(c));
        }
    }
}
