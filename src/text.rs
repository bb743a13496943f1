//! Text for people. Whatever a document, a key, a path, a peer or a child process contributed to it, it passes through here on
//! its way to a terminal or a text log, so that it can neither move the cursor nor pose as lines of ours. Pure.

use std::borrow::Cow;

/// The longest text of others that becomes part of a line, in characters.
const LONGEST: usize = 300;

/// As one line: a newline or tab becomes a blank, and what a terminal would obey or hide is shown as an escape, such as `\x1b`.
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, |c| matches!(c, '\n' | '\t').then_some(' '))
}

/// The same over several lines: newlines and tabs stay.
pub fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| matches!(c, '\n' | '\t').then_some(c))
}

/// What someone wrote, as part of a line of ours: trimmed, and at most 300 characters.
pub fn excerpt(text: &str) -> String {
    line(text.trim()).chars().take(LONGEST).collect()
}

/// As one word of a command line that a person may copy: what a shell reads back is `text`, whatever it contains.
pub fn quoted(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return shell_words::quote(text);
    }
    // In $'...', which bash, zsh and ksh read. UTF-8 bytes, since \u depends on the shell's locale.
    let mut quoted = String::from("$'");
    for c in text.chars() {
        match c {
            '\'' | '\\' => quoted.extend(['\\', c]),
            c if is_unsafe(c) => {
                c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| quoted.push_str(&format!("\\x{byte:02x}")))
            }
            c => quoted.push(c),
        }
    }
    quoted.push('\'');
    quoted.into()
}

/// Whether a terminal would obey it, or show the text around it in another order or on another line: C0, DEL and C1, bidi
/// controls, line and paragraph separators.
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn escaped(text: &str, keep: impl Fn(char) -> Option<char>) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return text.into();
    }
    let mut safe = String::with_capacity(text.len().saturating_add(16));
    for c in text.chars() {
        match (keep(c), c) {
            (Some(kept), _) => safe.push(kept),
            (None, '\r') => safe.push_str("\\r"),
            (None, c) if !is_unsafe(c) => safe.push(c),
            (None, c) if c <= '\u{ff}' => safe.push_str(&format!("\\x{:02x}", u32::from(c))),
            (None, c) => safe.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
        }
    }
    safe.into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown() {
        assert_eq!(
            line("a\x1b[2K\rall is well\n\u{9b}b\u{202e}c\x7f"),
            "a\\x1b[2K\\rall is well \\x9bb\\u{202e}c\\x7f"
        );
        assert_eq!(lines("a\tb\nc\u{2028}d"), "a\tb\nc\\u{2028}d");
        assert_eq!(excerpt("  höste\t日本 \n"), "höste 日本");
        assert_eq!(quoted("/etc/a b"), "'/etc/a b'");
        assert_eq!(quoted("/etc/it's\x1b\u{2028}"), "$'/etc/it\\'s\\x1b\\xe2\\x80\\xa8'");
    }

    proptest! {
        #[test]
        fn nothing_unsafe_is_left(text in any::<String>()) {
            prop_assert!(!line(&text).contains(is_unsafe));
            prop_assert!(!quoted(&text).contains(is_unsafe));
            prop_assert!(!lines(&text).contains(|c| is_unsafe(c) && !matches!(c, '\n' | '\t')));
            prop_assert!(excerpt(&text).chars().count() <= LONGEST);
        }

        #[test]
        fn a_shell_reads_back_what_was_quoted(text in "[ -~äÿ\t\u{2028}\u{1}\u{7f}\u{9b}]*") {
            let echoed = std::process::Command::new("bash").args(["-c", &format!("printf %s {}", quoted(&text))]).output();
            prop_assert_eq!(echoed.map(|echoed| echoed.stdout).unwrap_or_default(), text.as_bytes());
        }
    }
}
