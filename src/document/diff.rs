//! Unified diffs in the format of `diff -u`, which patch(1) can apply.

use std::sync::mpsc::sync_channel;
use std::time::Duration;

use imara_diff::{Algorithm, Diff, Hunk, InternedInput, Token};

use crate::util::text::size;

/// The number of unchanged lines around a change.
const CONTEXT: u32 = 3;

/// The maximum size of both documents together, in bytes. Larger documents are not compared: a hundred bytes in Consul
/// can decode into 64 MB of empty lines, and a line needs more memory here than its text.
const LARGEST: usize = 8 * 1024 * 1024;

/// The limits of a comparison.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The time. After that, the diff replaces all lines: a comparison of many lines with few different texts can take
    /// very long.
    pub time: Duration,
    /// The approximate size of the diff, in bytes. The rest is omitted.
    pub text: usize,
}

/// The diff from `old` to `new`, each given with its name; empty if they are equal. Lines are compared and shown as
/// bytes, so any encoding works.
pub fn unified(old: (&[u8], &str), new: (&[u8], &str), limits: Limits) -> Vec<u8> {
    let ((old, old_name), (new, new_name)) = (old, new);
    if old == new {
        return Vec::new();
    }
    let mut text = format!("--- {old_name}\n+++ {new_name}\n").into_bytes();
    if old.len().saturating_add(new.len()) > LARGEST {
        let (old, new) = (size(old.len()), size(new.len()));
        text.extend(format!("Documents differ (too large to show: {old} and {new})\n").into_bytes());
        return text;
    }
    let (before, after) = (old.to_vec(), new.to_vec());
    let (sender, result) = sync_channel(1);
    // A comparison cannot be cancelled. After the limit, the thread is left running until the process ends.
    drop(std::thread::Builder::new().spawn(move || sender.send(hunks(&before, &after, limits.text))));
    text.extend(result.recv_timeout(limits.time).unwrap_or_else(|_| replace_all(old, new, limits.text)));
    text
}

fn hunks(old: &[u8], new: &[u8], limit: usize) -> Vec<u8> {
    let input = InternedInput::new(old, new);
    // imara-diff 0.2.0 has a printer, but it counts the lines before the first hunk wrong.
    let mut diff = Diff::compute(Algorithm::Histogram, &input);
    diff.postprocess_lines(&input);
    let mut text = Text { bytes: Vec::new(), limit };
    let mut group: Vec<Hunk> = Vec::new();
    for hunk in diff.hunks() {
        let is_apart = group.last().is_some_and(|last| hunk.before.start.saturating_sub(last.before.end) > 2 * CONTEXT);
        if is_apart {
            print_group(&group, &input, &mut text);
            group.clear();
        }
        if text.is_full() {
            break;
        }
        group.push(hunk);
    }
    print_group(&group, &input, &mut text);
    text.bytes
}

/// A diff that replaces all lines.
fn replace_all(old: &[u8], new: &[u8], limit: usize) -> Vec<u8> {
    let input = InternedInput::new(old, new);
    let lines = |side: &[Token]| u32::try_from(side.len()).unwrap_or(u32::MAX);
    let mut text = Text { bytes: Vec::new(), limit };
    print_group(&[Hunk { before: 0..lines(&input.before), after: 0..lines(&input.after) }], &input, &mut text);
    text.bytes
}

/// The diff so far.
struct Text {
    bytes: Vec<u8>,
    limit: usize,
}

impl Text {
    fn is_full(&self) -> bool {
        self.bytes.len() >= self.limit
    }
}

/// Prints hunks that share their context under one header.
fn print_group(hunks: &[Hunk], input: &InternedInput<&[u8]>, text: &mut Text) {
    let (Some(first), Some(last)) = (hunks.first(), hunks.last()) else { return };
    let total = |lines: usize| u32::try_from(lines).unwrap_or(u32::MAX);
    let before = first.before.start.min(CONTEXT);
    let after = total(input.before.len()).saturating_sub(last.before.end).min(CONTEXT);
    let range = |start: u32, end: u32| {
        let (start, end) = (start.saturating_sub(before), end.saturating_add(after));
        match end.saturating_sub(start) {
            0 => format!("{start},0"), // An empty range is given by the line before it.
            1 => format!("{}", start.saturating_add(1)),
            lines => format!("{},{lines}", start.saturating_add(1)),
        }
    };
    let (old, new) = (range(first.before.start, last.before.end), range(first.after.start, last.after.end));
    text.bytes.extend(format!("@@ -{old} +{new} @@\n").into_bytes());
    let mut at = first.before.start.saturating_sub(before);
    for hunk in hunks {
        print_lines(b' ', &input.before, at, hunk.before.start, input, text);
        print_lines(b'-', &input.before, hunk.before.start, hunk.before.end, input, text);
        print_lines(b'+', &input.after, hunk.after.start, hunk.after.end, input, text);
        at = hunk.before.end;
    }
    print_lines(b' ', &input.before, at, at.saturating_add(after), input, text);
}

fn print_lines(sign: u8, side: &[Token], start: u32, end: u32, input: &InternedInput<&[u8]>, text: &mut Text) {
    for token in side.iter().take(end as usize).skip(start as usize) {
        if text.is_full() {
            return;
        }
        let line = input.interner[*token]; // The token comes from this input, so the index exists.
        text.bytes.push(sign);
        let room = text.limit.saturating_sub(text.bytes.len());
        text.bytes.extend_from_slice(line.get(..room).unwrap_or(line));
        if line.len() <= room && !line.ends_with(b"\n") {
            text.bytes.extend_from_slice(b"\n\\ No newline at end of file\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{LARGEST, Limits, unified};

    fn within(time: Duration, text: usize, old: impl AsRef<[u8]>, new: impl AsRef<[u8]>) -> String {
        let text = unified((old.as_ref(), "f"), (new.as_ref(), "g"), Limits { time, text });
        text.into_iter().map(char::from).collect() // One character per byte.
    }

    fn of(old: impl AsRef<[u8]>, new: impl AsRef<[u8]>) -> String {
        within(Duration::from_secs(60), usize::MAX, old, new)
    }

    #[test]
    fn the_format_is_that_of_diff() {
        let many: String = (1..=20).map(|n| format!("{n}\n")).collect();
        let cases: [(&str, &str, &str); 8] = [
            ("a\n", "a\n", ""),
            ("", "", ""),
            ("", "a\nb\n", "@@ -0,0 +1,2 @@\n+a\n+b\n"),
            ("a\nb\n", "", "@@ -1,2 +0,0 @@\n-a\n-b\n"),
            ("a\n", "b\n", "@@ -1 +1 @@\n-a\n+b\n"),
            ("a\nb", "a\nb\n", "@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+b\n"),
            (&many, &many.replace("5\n6\n", "5\nx\n6\n"), "@@ -3,6 +3,7 @@\n 3\n 4\n 5\n+x\n 6\n 7\n 8\n"),
            (
                &many,
                &many.replace("\n2\n", "\n").replace("\n19\n", "\ny\n"),
                "@@ -1,5 +1,4 @@\n 1\n-2\n 3\n 4\n 5\n@@ -16,5 +15,5 @@\n 16\n 17\n 18\n-19\n+y\n 20\n",
            ),
        ];
        for (old, new, hunks) in cases {
            let head = if hunks.is_empty() { "" } else { "--- f\n+++ g\n" };
            assert_eq!(of(old, new), format!("{head}{hunks}"));
        }
    }

    #[test]
    fn after_the_time_limit_all_lines_are_replaced() {
        let (old, new) = ("a\nb\n".repeat(100_000), "b\na\n".repeat(100_000));
        let text = within(Duration::from_millis(50), usize::MAX, &old, &new);
        assert!(text.contains("@@ -1,200000 +1,200000 @@\n-a\n-b\n"));
        assert!(text.ends_with("+b\n+a\n"));
    }

    #[test]
    fn lines_that_are_not_utf8_are_compared() {
        let text = of(b"caf\xe9\nthe same\xff\n", b"caf\xe8\nthe same\xff\n");
        assert!(text.ends_with("@@ -1,2 +1,2 @@\n-caf\u{e9}\n+caf\u{e8}\n the same\u{ff}\n"), "{text}");
    }

    #[test]
    fn too_large_documents_are_not_compared_and_the_diff_is_limited() {
        let (old, new) = ("\n".repeat(LARGEST - 1), "a\n");
        assert_eq!(of(&old, new), "--- f\n+++ g\nDocuments differ (too large to show: 8.3 MB and 2 B)\n");
        assert_eq!(of(&old, &old), "");
        for time in [60_000, 0] {
            let text = within(Duration::from_millis(time), 1000, "\n".repeat(100_000), new);
            assert!(text.contains("\n@@ -1,100000 +1 @@\n-\n") && text.len() < 1100, "{}", text.len());
        }
        assert!(within(Duration::from_secs(60), 1000, "x".repeat(1_000_000), "y\n").len() < 1100);
        let (old, new) = ("1\n2\n3\n4\n5\n6\n7\n8\n".repeat(10_000), "1\n2\n3\n4\n5\n6\n7\n9\n".repeat(10_000));
        assert!(within(Duration::from_secs(60), 1000, old, new).len() < 1100);
    }
}
