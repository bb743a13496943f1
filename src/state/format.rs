//! The format of a state file: a line of JSON, and a line with the checksum of the first line. Anything after that is
//! left over from an older, longer state.
//!
//! A new state is written over the old one, without truncating the file: ext4 treats a file that is truncated and
//! rewritten as replaced, and writes it to disk when it is closed. After a kill or a power loss, the checksum shows
//! that a file is a mixture of two states; such a file counts as no state.

use super::State;
use crate::document::Checksum;

/// The content of the state file.
pub(super) fn serialize(state: &State) -> Vec<u8> {
    let mut text = serde_json::to_vec(state).unwrap_or_default(); // Strings and numbers always serialize.
    let checksum = Checksum::of(&text);
    text.extend_from_slice(format!("\n{checksum}\n").as_bytes());
    text
}

/// The state in the content of a state file, if its checksum matches.
pub(super) fn parse(text: &[u8]) -> Option<State> {
    let mut lines = text.split_inclusive(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\n"));
    let (state, checksum) = (lines.next()??, lines.next()??);
    let is_intact = Checksum::parse(checksum)? == Checksum::of(state);
    is_intact.then(|| serde_json::from_slice(state).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn state(command: &str) -> State {
        let state = State::new(Path::new("/etc/hosts"), "hosts", Checksum::of(b"a"), 7);
        State { command: vec![command.into()], ..state }
    }

    /// The content of the file if only the first `written` bytes of the newer state were written.
    fn overwritten(older: &[u8], newer: &[u8], written: usize) -> Vec<u8> {
        newer.iter().take(written).chain(older.iter().skip(written)).copied().collect()
    }

    #[test]
    fn a_state_written_over_another_is_one_of_the_two_or_none() {
        let (long, short) = (state("a command\nthat is longer"), state("short"));
        for (older, newer) in [(&long, &short), (&short, &long), (&long, &state("another that is longer"))] {
            let (before, after) = (serialize(older), serialize(newer));
            for written in 0..after.len() {
                let read = parse(&overwritten(&before, &after, written));
                assert!(read.is_none() || read.as_ref() == Some(older), "{written}: {read:?}");
            }
            assert_eq!(parse(&overwritten(&before, &after, after.len())).as_ref(), Some(newer));
        }
    }

    #[test]
    fn a_truncated_or_changed_state_is_ignored() {
        let intact = serialize(&state("command"));
        for at in 0..intact.len() {
            assert_eq!(parse(&overwritten(&[], &intact, at)), None, "ends at {at}");
            let changed = intact.iter().enumerate().map(|(n, byte)| byte ^ u8::from(n == at));
            assert_eq!(parse(&changed.collect::<Vec<_>>()), None, "another byte at {at}");
        }
    }
}
