//! A guard against getting slower: instructions, which hardly vary, where times do.

use std::fmt::Write;
use std::path::PathBuf;

use super::callgrind::Instructions;
use super::common::{Consul, consul};
use super::machine::{find, said};
use super::progress;
use super::site::USUAL_SIZE;
use super::subject::Subject;

/// What is allowed more or less: see the measurements in instructions.txt.
const TOLERANCE: f64 = 0.02;
/// The least of these counts: what varies is only ever added.
const RUNS: usize = 3;

/// Whether the figures are about those that are checked in.
pub fn check() -> bool {
    let text = std::fs::read_to_string(file()).expect("instructions.txt");
    let mut holds = true;
    for (name, counted) in count() {
        let known = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
        let known =
            known.unwrap_or_else(|| panic!("{name} is not in instructions.txt; `make instructions-update` writes it"));
        let change = counted as f64 / known - 1.0;
        let verdict = match change {
            n if n > TOLERANCE => "SLOWER",
            n if n < -TOLERANCE => "faster: `make instructions-update` keeps it so",
            _ => "as before",
        };
        holds &= change <= TOLERANCE;
        println!("{name:<30} {counted:>9} {:>+7.2} %  {verdict}", change * 100.0);
    }
    if !holds && !text.contains(&versions()) {
        println!("They were counted with other versions. Here: {}", versions());
    }
    holds
}

/// Writes the figures of now.
pub fn update() {
    let mut text = String::from(
        "# Instructions of a run with 600 lines, without those of SHA-256, by callgrind. `make instructions` compares, and\n\
         # `make instructions-update` writes this. Figures of other versions may be others:\n",
    );
    let _ = writeln!(text, "# {}", versions());
    for (name, counted) in count() {
        let _ = writeln!(text, "{name:<30} {counted:>9}");
    }
    std::fs::write(file(), &text).expect("instructions.txt to be written");
    print!("{text}");
}

/// Which functions execute the most of them, by themselves.
pub fn top() {
    let consul = Consul::dev("");
    for story in stories(&consul) {
        let counted = Instructions::of(&story.next());
        println!("{}: {} instructions, {} of them for SHA-256", story.name, counted.total, counted.hashing);
        for (function, n) in counted.by_function.iter().take(12) {
            println!("{n:>9}  {function}");
        }
        println!();
    }
}

fn stories(consul: &Consul) -> [Subject<'_>; 4] {
    assert!(find("valgrind").is_some(), "valgrind is not installed (apt-get install valgrind)");
    [Subject::kvx_out_by_key, Subject::kvx_out_unchanged, Subject::kvx_in, Subject::kvx_in_unchanged]
        .map(|subject| subject(consul, USUAL_SIZE))
}

fn count() -> Vec<(&'static str, u64)> {
    let consul = Consul::dev("");
    let stories = stories(&consul);
    let counts = stories.iter().map(|story| {
        progress::say(format_args!("counting: {}", story.name));
        let runs = (0..RUNS).map(|_| Instructions::of(&story.next()).without_hashing());
        (story.name, runs.min().unwrap_or_default())
    });
    let counts = counts.collect();
    progress::clear();
    counts
}

fn versions() -> String {
    let consul = said(&consul::binary().to_string_lossy(), &["version"]);
    [said("rustc", &["--version"]), said("valgrind", &["--version"]), said("ldd", &["--version"]), consul].join(", ")
}

fn file() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "benches/instructions.txt"].iter().collect()
}
