//! A state as it stands in its file: a line of JSON, and a line with the checksum of that. What follows is of an older
//! one, which was longer.
//!
//! So a new one is written over the old one: ext4 takes a file that is emptied and written again for one that is
//! replaced, and goes to the disk with it when it is closed. And a mixture of two, after a kill or a power loss, is none.

use super::State;
use crate::document::Checksum;

/// To be written.
pub(super) fn of(state: &State) -> Vec<u8> {
    let mut text = serde_json::to_vec(state).unwrap_or_default(); // Strings and numbers: it has nothing to fail at.
    let checksum = Checksum::of(&text);
    text.extend_from_slice(format!("\n{checksum}\n").as_bytes());
    text
}

/// What was written, if it is whole.
pub(super) fn read(text: &[u8]) -> Option<State> {
    let mut lines = text.split_inclusive(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\n"));
    let (state, checksum) = (lines.next()??, lines.next()??);
    let is_whole = Checksum::parse(checksum)? == Checksum::of(state);
    is_whole.then(|| serde_json::from_slice(state).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn state(command: &str) -> State {
        let state = State::new(Path::new("/etc/hosts"), "hosts", Checksum::of(b"a"), 7);
        State { command: vec![command.into()], ..state }
    }

    /// So much of the newer one had been written when the end came.
    fn over(older: &[u8], newer: &[u8], so_much: usize) -> Vec<u8> {
        newer.iter().take(so_much).chain(older.iter().skip(so_much)).copied().collect()
    }

    #[test]
    fn one_that_is_written_over_another_is_one_of_the_two_or_none() {
        let (long, short) = (state("a command\nthat is longer"), state("short"));
        for (older, newer) in [(&long, &short), (&short, &long), (&long, &state("another that is longer"))] {
            let (before, after) = (of(older), of(newer));
            for so_much in 0..after.len() {
                let read = read(&over(&before, &after, so_much));
                assert!(read.is_none() || read.as_ref() == Some(older), "{so_much}: {read:?}");
            }
            assert_eq!(read(&over(&before, &after, after.len())).as_ref(), Some(newer));
        }
    }

    #[test]
    fn what_is_not_whole_is_none() {
        let whole = of(&state("command"));
        for at in 0..whole.len() {
            assert_eq!(read(&over(&[], &whole, at)), None, "ends at {at}");
            let other = whole.iter().enumerate().map(|(n, byte)| byte ^ u8::from(n == at));
            assert_eq!(read(&other.collect::<Vec<_>>()), None, "another byte at {at}");
        }
    }
}
