//! What a datagram looks like. Whatever would end a tag too early is replaced. Pure.

use crate::util::text::is_unsafe;

/// Of a tag, Datadog keeps so many characters.
const LONGEST_TAG: usize = 200;
/// Of an event's text, it keeps so many.
const LONGEST_TEXT: usize = 4000;
/// The most that its agent reads of a datagram.
const LARGEST_EVENT: usize = 8192;

/// `#name:value,name:value`
#[derive(Clone, Debug, Default)]
pub(super) struct Tags(String);

impl Tags {
    pub fn and(mut self, name: &str, value: &str) -> Tags {
        self.0.push_str(if self.0.is_empty() { "#" } else { "," });
        let tag = name.chars().chain([':']).chain(value.chars());
        self.0.extend(tag.take(LONGEST_TAG).map(|c| if is_of_the_wire(c) { '_' } else { c }));
        self
    }
}

fn is_of_the_wire(c: char) -> bool {
    is_unsafe(c) || matches!(c, '|' | ',' | '#' | '@')
}

/// `c`: so many times.
pub(super) fn count(name: &str, times: u64, tags: &Tags) -> String {
    format!("{name}:{times}|c|{}", tags.0)
}

/// `g`: so much.
pub(super) fn gauge(name: &str, value: u128, tags: &Tags) -> String {
    format!("{name}:{value}|g|{}", tags.0)
}

/// How an event looks in Datadog.
#[derive(Clone, Copy, Debug)]
pub(super) enum Alert {
    Error,
    Warning,
    Info,
}

/// `_e{..}`: of those with the same `group`, Datadog makes one.
pub(super) fn event(title: &str, text: &str, group: &str, alert: Alert, tags: &Tags) -> String {
    let alert = match alert {
        Alert::Error => "error",
        Alert::Warning => "warning",
        Alert::Info => "info",
    };
    let title: String = title.chars().take(LONGEST_TAG).map(|c| if is_unsafe(c) { ' ' } else { c }).collect();
    let group: String = group.chars().map(|c| if is_of_the_wire(c) { '_' } else { c }).take(100).collect();
    let rest = format!("|k:{group}|t:{alert}|{}", tags.0);
    let room = LARGEST_EVENT.saturating_sub(title.len()).saturating_sub(rest.len()).saturating_sub(32);
    let mut escaped = String::new();
    for c in text.chars().take(LONGEST_TEXT) {
        let before = escaped.len();
        match c {
            '\n' => escaped.push_str("\\n"),
            c if is_unsafe(c) && c != '\t' => escaped.push(' '),
            c => escaped.push(c),
        }
        if escaped.len() > room {
            escaped.truncate(before);
            break;
        }
    }
    format!("_e{{{},{}}}:{title}|{escaped}{rest}", title.len(), escaped.len())
}

/// Lines together, as many as go into a datagram of that size.
pub(super) fn packed(lines: &[String], most: usize) -> Vec<String> {
    let mut datagrams: Vec<String> = Vec::new();
    for line in lines {
        match datagrams.last_mut() {
            Some(last) if last.len().saturating_add(line.len()) < most => {
                last.push('\n');
                last.push_str(line);
            }
            _ => datagrams.push(line.clone()),
        }
    }
    datagrams
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn they_look_like_this() {
        let tags = Tags::default().and("key", "a|b,c#d\n").and("host", "node-1");
        assert_eq!(count("kvexpress.out", 1, &tags), "kvexpress.out:1|c|#key:a_b_c_d_,host:node-1");
        assert_eq!(gauge("kvexpress.time", 34, &tags), "kvexpress.time:34|g|#key:a_b_c_d_,host:node-1");
        let event = event("Updated: ü", "-1\n+2\n", "a|b", Alert::Info, &Tags::default().and("key", "k"));
        assert_eq!(event, "_e{11,8}:Updated: ü|-1\\n+2\\n|k:a_b|t:info|#key:k");
    }

    proptest! {
        #[test]
        fn whatever_the_words_an_event_is_one_line_and_says_how_long_it_is(
            title in any::<String>(), text in any::<String>(), times in 1..3000usize, value in any::<String>(),
        ) {
            let tags = Tags::default().and("key", &value.repeat(100));
            let event = event(&title.repeat(20), &text.repeat(times), &value, Alert::Error, &tags);
            prop_assert!(event.len() <= LARGEST_EVENT && !event.contains('\n'));
            let (lengths, rest) = event.strip_prefix("_e{").and_then(|event| event.split_once("}:")).unwrap_or_default();
            let (title, text) = lengths.split_once(',').unwrap_or_default();
            let (title, text): (usize, usize) = (title.parse().unwrap_or(0), text.parse().unwrap_or(0));
            prop_assert_eq!(rest.as_bytes().get(title), Some(&b'|'));
            prop_assert!(rest.get(title.saturating_add(1)..).and_then(|rest| rest.get(text..)).is_some_and(|rest| rest.starts_with("|k:")));
        }

        #[test]
        fn nothing_is_lost_in_packing_and_no_datagram_is_too_large(lines in prop::collection::vec("[a-z]{1,60}", 0..30)) {
            let datagrams = packed(&lines, 100);
            prop_assert!(datagrams.iter().all(|datagram| datagram.len() <= 100));
            let unpacked: Vec<&str> = datagrams.iter().flat_map(|datagram| datagram.lines()).collect();
            prop_assert_eq!(unpacked, lines);
        }
    }
}
