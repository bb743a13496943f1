//! Makes text safe to print. All text from documents, keys, paths, servers and child processes is escaped here before
//! it goes to a terminal or a text log, so that it can neither move the cursor nor imitate kvx's own lines. Pure.

use std::borrow::Cow;

/// The maximum length of foreign text within a line, in characters.
const MAX_EXCERPT: usize = 300;

/// Text as one line: a newline or tab becomes a blank, and characters that a terminal would interpret or hide become
/// escapes such as `\x1b`.
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, |c| matches!(c, '\n' | '\t').then_some(' '))
}

/// Text as several lines: like [`line()`], but newlines and tabs stay.
pub fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| matches!(c, '\n' | '\t').then_some(c))
}

/// Bytes as several lines: like [`lines()`], but a byte that is not UTF-8 is shown as `\xe9`, so that different bytes
/// look different.
pub fn lines_of(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(&lines(chunk.valid()));
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
    }
    text
}

/// The number of bytes at the end that begin a UTF-8 character without completing it.
pub fn incomplete(bytes: &[u8]) -> usize {
    let last = bytes.utf8_chunks().last().map_or(&[][..], |chunk| chunk.invalid());
    std::str::from_utf8(last).err().filter(|wrong| wrong.error_len().is_none()).map_or(0, |_| last.len())
}

/// JSON with unsafe characters as escapes: a parser reads the same values, and a terminal has nothing to interpret.
/// This is necessary since serializers escape C0 only.
pub fn json(json: &str) -> Cow<'_, str> {
    let is_unsafe = |c: char| is_unsafe(c) && c != '\n'; // A newline separates values. Within one it is escaped.
    if !json.contains(is_unsafe) {
        return json.into();
    }
    let mut safe = String::with_capacity(json.len().saturating_add(16));
    for c in json.chars() {
        match is_unsafe(c) {
            true => {
                c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| safe.push_str(&format!("\\u{unit:04x}")));
            }
            false => safe.push(c),
        }
    }
    safe.into()
}

/// Foreign text as part of a line: escaped, trimmed, and at most 300 characters.
pub fn excerpt(text: &str) -> String {
    line(text.trim()).chars().take(MAX_EXCERPT).collect()
}

/// Foreign text as a cell of a table: escaped, with runs of blanks as one blank, and at most 64 characters. It cannot look
/// like several cells, or push the other columns away.
pub fn cell(text: &str) -> String {
    const MAX: usize = 64;
    let line = line(text);
    let words: String = line.split_whitespace().collect::<Vec<_>>().join(" ");
    match words.chars().count() > MAX {
        true => words.chars().take(MAX.saturating_sub(1)).chain(['…']).collect(),
        false => words,
    }
}

/// Text quoted as one word of a command line that an operator can copy: a shell reads back exactly `text`.
pub fn quoted(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return shell_words::quote(text);
    }
    // bash, zsh and ksh read $'...'. The escapes are UTF-8 bytes, since \u depends on the shell's locale.
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

/// Words as a command line that an operator can copy.
pub fn command(words: &[String]) -> String {
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

/// Whether a terminal would interpret the character, show the text around it in another order or on another line, or not
/// show it at all: C0, DEL, C1, bidi controls, line and paragraph separators, and what Unicode lists as
/// `Default_Ignorable_Code_Point` or as interlinear annotation.
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{3164}'
        )
        || matches!(c, '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}')
        || matches!(c, '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// A size for messages: `512 B`, `30.6 KB`, `1.2 MB`. A KB has 1000 bytes.
pub fn size(bytes: usize) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{}.{} KB", bytes / 1_000, bytes / 100 % 10),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10),
    }
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
    fn control_characters_are_escaped() {
        assert_eq!(
            line("a\x1b[2K\rall is well\n\u{9b}b\u{202e}c\x7f"),
            "a\\x1b[2K\\rall is well \\x9bb\\u{202e}c\\x7f"
        );
        assert_eq!(lines("a\tb\nc\u{2028}d"), "a\tb\nc\\u{2028}d");
        assert_eq!(lines_of(b"caf\xe9\tna\xc3\xafve\n\x1b\xc3"), "caf\\xe9\tnaïve\n\\x1b\\xc3");
        assert_eq!(json("{\n  \"a\": \"\u{9b}\u{7f}\u{202e}ä\"\n}\n"), "{\n  \"a\": \"\\u009b\\u007f\\u202eä\"\n}\n");
        assert_eq!(line("ad\u{ad}min\u{200b}\u{e0041}"), "ad\\xadmin\\u{200b}\\u{e0041}");
        assert_eq!(json("\"\u{e0041}\u{feff}\""), "\"\\udb40\\udc41\\ufeff\"");
        assert_eq!(["a\u{e4}", "ä\u{2028}"].map(|text| incomplete(text.as_bytes())), [0, 0]);
        let cut = |n: usize| incomplete("a\u{1f600}".as_bytes().get(..n).unwrap_or_default());
        assert_eq!([1, 2, 3, 4, 5].map(cut), [0, 1, 2, 3, 0]);
        assert_eq!(incomplete(b"\xff"), 0);
        assert_eq!(excerpt("  höste\t日本 \n"), "höste 日本");
        assert_eq!(quoted("/etc/a b"), "'/etc/a b'");
        assert_eq!(quoted("/etc/it's\x1b\u{2028}"), "$'/etc/it\\'s\\x1b\\xe2\\x80\\xa8'");
    }

    proptest! {
        #[test]
        fn no_unsafe_character_remains(text in any::<String>()) {
            prop_assert!(!line(&text).contains(is_unsafe));
            prop_assert!(!quoted(&text).contains(is_unsafe));
            prop_assert!(!lines(&text).contains(|c| is_unsafe(c) && !matches!(c, '\n' | '\t')));
            prop_assert!(excerpt(&text).chars().count() <= MAX_EXCERPT);
        }

        #[test]
        fn different_bytes_look_different(bytes in any::<Vec<u8>>(), text in any::<String>()) {
            let shown = lines_of(&bytes);
            prop_assert!(!shown.contains(|c| is_unsafe(c) && !matches!(c, '\n' | '\t')));
            prop_assert!(shown.len() <= bytes.len().saturating_mul(4) && incomplete(&bytes) < 4);
            prop_assert_eq!(lines_of(text.as_bytes()), lines(&text));
        }

        #[test]
        fn json_keeps_its_value_and_becomes_safe(text in any::<String>(), odd in "[\u{7f}-\u{9f}\u{2028}-\u{202e}]*") {
            let value = serde_json::Value::from(text + &odd);
            let written = serde_json::to_string(&value).unwrap_or_default();
            let safe = json(&written);
            prop_assert!(!safe.contains(is_unsafe));
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&safe).ok(), Some(value));
        }

        #[test]
        fn a_shell_reads_back_what_was_quoted(text in "[ -~äÿ\t\u{2028}\u{1}\u{7f}\u{9b}]*") {
            let echoed = std::process::Command::new("bash").args(["-c", &format!("printf %s {}", quoted(&text))]).output();
            prop_assert_eq!(echoed.map(|echoed| echoed.stdout).unwrap_or_default(), text.as_bytes());
        }
    }
}
