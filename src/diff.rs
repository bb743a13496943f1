//! What would change, as a unified diff: as `diff -u` writes it, for people and for patch(1).

use std::sync::mpsc::sync_channel;
use std::time::Duration;

use imara_diff::{Algorithm, Diff, Hunk, InternedInput, Token};

/// So many lines that are the same are shown around what is not.
const CONTEXT: u32 = 3;

/// From `old` to `new`, each with its name; empty where they are the same. Bytes that are no UTF-8 are shown as the replacement character.
///
/// What differs in many lines of few kinds can take long: after `limit`, all of the one is shown as replaced by all of the
/// other.
pub fn unified(old: (&[u8], &str), new: (&[u8], &str), limit: Duration) -> String {
    let ((old, old_name), (new, new_name)) = (old, new);
    if old == new {
        return String::new();
    }
    let (before, after) = (String::from_utf8_lossy(old).into_owned(), String::from_utf8_lossy(new).into_owned());
    let (done, result) = sync_channel(1);
    // Left alone when it takes too long: it ends with the process.
    drop(std::thread::Builder::new().spawn(move || done.send(hunks(&before, &after))));
    let hunks = result.recv_timeout(limit).unwrap_or_else(|_| replaced(old, new));
    let text = if hunks.is_empty() { "Binary documents differ\n".into() } else { hunks };
    format!("--- {old_name}\n+++ {new_name}\n{text}")
}

fn hunks(old: &str, new: &str) -> String {
    let input = InternedInput::new(old, new);
    // The crate's own printer counts the lines before the first hunk wrong (0.2.0).
    let mut diff = Diff::compute(Algorithm::Histogram, &input);
    diff.postprocess_lines(&input);
    let mut text = String::new();
    let mut near: Vec<Hunk> = Vec::new();
    for hunk in diff.hunks() {
        let apart = near.last().is_some_and(|last| hunk.before.start.saturating_sub(last.before.end) > 2 * CONTEXT);
        if apart {
            show(&near, &input, &mut text);
            near.clear();
        }
        near.push(hunk);
    }
    show(&near, &input, &mut text);
    text
}

/// All of it.
fn replaced(old: &[u8], new: &[u8]) -> String {
    let (old, new) = (String::from_utf8_lossy(old), String::from_utf8_lossy(new));
    let input = InternedInput::new(old.as_ref(), new.as_ref());
    let lines = |side: &[Token]| u32::try_from(side.len()).unwrap_or(u32::MAX);
    let mut text = String::new();
    show(&[Hunk { before: 0..lines(&input.before), after: 0..lines(&input.after) }], &input, &mut text);
    text
}

/// Hunks so near to each other that they share their context, under one header.
fn show(hunks: &[Hunk], input: &InternedInput<&str>, text: &mut String) {
    let (Some(first), Some(last)) = (hunks.first(), hunks.last()) else { return };
    let total = |lines: usize| u32::try_from(lines).unwrap_or(u32::MAX);
    let before = first.before.start.min(CONTEXT);
    let after = total(input.before.len()).saturating_sub(last.before.end).min(CONTEXT);
    let range = |start: u32, end: u32| {
        let (start, end) = (start.saturating_sub(before), end.saturating_add(after));
        match end.saturating_sub(start) {
            0 => format!("{start},0"), // Nothing, behind this line.
            1 => format!("{}", start.saturating_add(1)),
            lines => format!("{},{lines}", start.saturating_add(1)),
        }
    };
    let (old, new) = (range(first.before.start, last.before.end), range(first.after.start, last.after.end));
    text.push_str(&format!("@@ -{old} +{new} @@\n"));
    let mut at = first.before.start.saturating_sub(before);
    for hunk in hunks {
        lines(' ', &input.before, at, hunk.before.start, input, text);
        lines('-', &input.before, hunk.before.start, hunk.before.end, input, text);
        lines('+', &input.after, hunk.after.start, hunk.after.end, input, text);
        at = hunk.before.end;
    }
    lines(' ', &input.before, at, at.saturating_add(after), input, text);
}

fn lines(mark: char, side: &[Token], start: u32, end: u32, input: &InternedInput<&str>, text: &mut String) {
    for token in side.iter().take(end as usize).skip(start as usize) {
        let line = input.interner[*token]; // Of the same input: it is there.
        text.push(mark);
        text.push_str(line);
        if !line.ends_with('\n') {
            text.push_str("\n\\ No newline at end of file\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::unified;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn it_is_what_diff_prints() {
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
            assert_eq!(unified((old.as_bytes(), "f"), (new.as_bytes(), "g"), LONG), format!("{head}{hunks}"));
        }
    }

    #[test]
    fn what_takes_too_long_is_shown_as_replaced() {
        let (old, new) = ("a\nb\n".repeat(100_000), "b\na\n".repeat(100_000));
        let text = unified((old.as_bytes(), "f"), (new.as_bytes(), "g"), Duration::from_millis(50));
        assert!(text.contains("@@ -1,200000 +1,200000 @@\n-a\n-b\n"));
        assert!(text.ends_with("+b\n+a\n"));
    }

    #[test]
    fn bytes_that_are_no_text_differ_too() {
        let text = unified((b"caf\xe9\n", "f"), (b"caf\xe8\n", "g"), LONG);
        assert!(text.ends_with("Binary documents differ\n"), "{text}");
    }
}
