//! The dogstatsd protocol. Characters that would end a tag too early are replaced. No I/O.

use crate::util::text::is_unsafe;

/// The number of characters of a tag that Datadog keeps.
const MAX_TAG: usize = 200;
/// The number of characters of an event's text that Datadog keeps.
const MAX_TEXT: usize = 4000;
/// The number of bytes of a datagram that Datadog's agent reads.
const MAX_EVENT: usize = 8192;

/// `#name:value,name:value`
#[derive(Clone, Debug, Default)]
pub(super) struct Tags(String);

impl Tags {
    pub fn and(mut self, name: &str, value: &str) -> Tags {
        self.0.push_str(if self.0.is_empty() { "#" } else { "," });
        let tag = name.chars().chain([':']).chain(value.chars());
        self.0.extend(tag.take(MAX_TAG).map(|c| if is_reserved(c) { '_' } else { c }));
        self
    }
}

fn is_reserved(c: char) -> bool {
    is_unsafe(c) || matches!(c, '|' | ',' | '#' | '@')
}

/// A counter (`c`).
pub(super) fn count(name: &str, times: u64, tags: &Tags) -> String {
    format!("{name}:{times}|c|{}", tags.0)
}

/// A gauge (`g`).
pub(super) fn gauge(name: &str, value: u128, tags: &Tags) -> String {
    format!("{name}:{value}|g|{}", tags.0)
}

/// The alert type of an event in Datadog.
#[derive(Clone, Copy, Debug)]
pub(super) enum Alert {
    Error,
    Warning,
    Info,
}

/// An event (`_e{..}`). Datadog aggregates events with the same `group`.
pub(super) fn event(title: &str, text: &str, group: &str, alert: Alert, tags: &Tags) -> String {
    let alert = match alert {
        Alert::Error => "error",
        Alert::Warning => "warning",
        Alert::Info => "info",
    };
    let title: String = title.chars().take(MAX_TAG).map(|c| if is_unsafe(c) { ' ' } else { c }).collect();
    let group: String = group.chars().map(|c| if is_reserved(c) { '_' } else { c }).take(100).collect();
    let rest = format!("|k:{group}|t:{alert}|{}", tags.0);
    let room = MAX_EVENT.saturating_sub(title.len()).saturating_sub(rest.len()).saturating_sub(32);
    let mut escaped = String::new();
    for c in text.chars().take(MAX_TEXT) {
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

/// Packs lines into datagrams of at most this size.
pub(super) fn pack(lines: &[String], max_bytes: usize) -> Vec<String> {
    let mut datagrams: Vec<String> = Vec::new();
    for line in lines {
        match datagrams.last_mut() {
            Some(last) if last.len().saturating_add(line.len()) < max_bytes => {
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
    fn lines_of_the_protocol() {
        let tags = Tags::default().and("key", "a|b,c#d\n").and("host", "node-1");
        assert_eq!(count("kvexpress.out", 1, &tags), "kvexpress.out:1|c|#key:a_b_c_d_,host:node-1");
        assert_eq!(gauge("kvexpress.time", 34, &tags), "kvexpress.time:34|g|#key:a_b_c_d_,host:node-1");
        let event = event("Updated: ü", "-1\n+2\n", "a|b", Alert::Info, &Tags::default().and("key", "k"));
        assert_eq!(event, "_e{11,8}:Updated: ü|-1\\n+2\\n|k:a_b|t:info|#key:k");
    }

    proptest! {
        #[test]
        fn any_event_is_one_line_and_contains_its_lengths(
            title in any::<String>(), text in any::<String>(), times in 1..3000usize, value in any::<String>(),
        ) {
            let tags = Tags::default().and("key", &value.repeat(100));
            let event = event(&title.repeat(20), &text.repeat(times), &value, Alert::Error, &tags);
            prop_assert!(event.len() <= MAX_EVENT && !event.contains('\n'));
            let (lengths, rest) = event.strip_prefix("_e{").and_then(|event| event.split_once("}:")).unwrap_or_default();
            let (title, text) = lengths.split_once(',').unwrap_or_default();
            let (title, text): (usize, usize) = (title.parse().unwrap_or(0), text.parse().unwrap_or(0));
            prop_assert_eq!(rest.as_bytes().get(title), Some(&b'|'));
            prop_assert!(rest.get(title.saturating_add(1)..).and_then(|rest| rest.get(text..)).is_some_and(|rest| rest.starts_with("|k:")));
        }

        #[test]
        fn nothing_is_lost_in_packing_and_no_datagram_is_too_large(lines in prop::collection::vec("[a-z]{1,60}", 0..30)) {
            let datagrams = pack(&lines, 100);
            prop_assert!(datagrams.iter().all(|datagram| datagram.len() <= 100));
            let unpacked: Vec<&str> = datagrams.iter().flat_map(|datagram| datagram.lines()).collect();
            prop_assert_eq!(unpacked, lines);
        }
    }
}
