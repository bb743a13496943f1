//! Detects a slower run by its number of instructions, which hardly varies between runs, unlike time.

use std::fmt::Write;
use std::path::PathBuf;

use super::callgrind::Instructions;
use super::common::{Consul, consul};
use super::machine::{find, said};
use super::progress;
use super::site::USUAL_SIZE;
use super::subject::Subject;

/// The allowed increase. The variation between runs and between builds is 0.05 %.
const TOLERANCE: f64 = 0.01;
/// The number of runs. The minimum counts, because all variation only adds instructions.
const RUNS: usize = 3;

/// Compares with the checked-in figures.
pub fn check() -> Result<(), String> {
    let text = std::fs::read_to_string(file()).map_err(|cause| format!("{}: {cause}", file().display()))?;
    let mut slower = Vec::new();
    for (name, counted) in count()? {
        let known = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
        let known =
            known.ok_or_else(|| format!("instructions.txt has no {name}; `make instructions-update` writes it"))?;
        let change = counted as f64 / known - 1.0;
        println!("{name:<30} {counted:>9} {:>+7.2} %", change * 100.0);
        if change > TOLERANCE {
            slower.push(name);
        } else if change < -TOLERANCE {
            println!("It is faster: `make instructions-update` keeps it so.");
        }
    }
    if slower.is_empty() {
        return Ok(());
    }
    let here = versions();
    let perhaps = if text.contains(&here) { "" } else { ", perhaps because other versions were counted" };
    let slower = slower.join(" and of ");
    Err(format!(
        "More instructions than in benches/instructions.txt{perhaps}: of {slower}. Here: {here}. Find out why \
         (`make bench PARTS=where`), or, if it is worth it, run `make instructions-update`."
    ))
}

/// Writes the current figures.
pub fn update() -> Result<(), String> {
    let mut text = String::from(
        "# Instructions of a run with 600 lines, without those of SHA-256, by callgrind. `make instructions` compares, and\n\
         # `make instructions-update` writes this. Figures of other versions may be others:\n",
    );
    let _ = writeln!(text, "# {}", versions());
    for (name, counted) in count()? {
        let _ = writeln!(text, "{name:<30} {counted:>9}");
    }
    print!("{text}");
    std::fs::write(file(), &text).map_err(|cause| format!("{}: {cause}", file().display()))
}

/// Prints the functions that execute the most instructions, without those of the functions that they call.
pub fn print_where() {
    if find("valgrind").is_none() {
        return; // machine::print has reported that already.
    }
    println!("Where the instructions are: functions, without what they call.\n");
    let consul = Consul::dev("");
    for story in stories(&consul) {
        let counted = Instructions::of(&story.next());
        println!("{:>9}  {}; {} of them for SHA-256", counted.total, story.name, counted.hashing);
        for (function, n) in counted.by_function.iter().take(11) {
            println!("{n:>9}    {function}");
        }
        println!();
    }
}

fn stories(consul: &Consul) -> [Subject<'_>; 4] {
    [Subject::kvx_out_by_key, Subject::kvx_out_unchanged, Subject::kvx_in, Subject::kvx_in_unchanged]
        .map(|subject| subject(consul, USUAL_SIZE))
}

fn count() -> Result<Vec<(&'static str, u64)>, String> {
    find("valgrind").ok_or("valgrind is not installed (apt-get install valgrind)")?;
    let consul = Consul::dev("");
    let count = |story: Subject| {
        progress::say(format_args!("counting: {}", story.name));
        let runs = (0..RUNS).map(|_| Instructions::of(&story.next()).without_hashing());
        (story.name, runs.min().unwrap_or_default())
    };
    let counts = stories(&consul).map(count).to_vec();
    progress::clear();
    Ok(counts)
}

fn versions() -> String {
    let consul = said(&consul::binary().to_string_lossy(), &["version"]);
    [said("rustc", &["--version"]), said("valgrind", &["--version"]), said("ldd", &["--version"]), consul].join(", ")
}

fn file() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "benches/instructions.txt"].iter().collect()
}
