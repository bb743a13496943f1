//! A run under callgrind: which function executes how many instructions.

use std::collections::HashMap;

use super::job::Job;

/// Callgrind emulates a CPU without SHA extensions, so hashing, which takes 18 us on most machines, would count for
/// more than everything else.
const HASHING: &str = "sha256";

pub struct Instructions {
    pub total: u64,
    /// Instructions for SHA-256.
    pub hashing: u64,
    /// Instructions by function, without those of the functions that it calls, most first.
    pub by_function: Vec<(String, u64)>,
}

impl Instructions {
    pub fn of(job: &Job) -> Instructions {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let out = format!("--callgrind-out-file={}", file.path().display());
        job.run_under(&["valgrind", "-q", "--tool=callgrind", "--compress-strings=no", "--compress-pos=no", &out]);
        Instructions::parse(&std::fs::read_to_string(file.path()).expect("callgrind's file"))
    }

    pub fn without_hashing(&self) -> u64 {
        self.total - self.hashing
    }

    fn parse(text: &str) -> Instructions {
        let mut counts: HashMap<&str, u64> = HashMap::new();
        let (mut function, mut lines) = ("", text.lines());
        while let Some(line) = lines.next() {
            if let Some(name) = line.strip_prefix("fn=") {
                function = name;
            } else if line.starts_with("calls=") {
                lines.next(); // The instructions of the called function.
            } else if let Some((position, count)) = line.split_once(' ')
                && position.parse::<u64>().is_ok()
            {
                *counts.entry(function).or_default() += count.parse::<u64>().unwrap_or(0);
            }
        }
        let total = counts.values().sum();
        let hashing = counts.iter().filter(|(name, _)| name.contains(HASHING)).map(|(_, count)| count).sum();
        let mut by_function: Vec<(String, u64)> = counts.into_iter().map(|(name, n)| (name.to_owned(), n)).collect();
        by_function.sort_by(|(a, m), (b, n)| n.cmp(m).then_with(|| a.cmp(b)));
        Instructions { total, hashing, by_function }
    }
}
