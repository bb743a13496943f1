//! What kvx costs on this machine, compared with the smallest program that could do its work. `make bench` runs all
//! parts:
//!
//! - `one-run`: each program by itself: time, memory, instructions, system calls, requests, bytes
//! - `one-node`: from an upload to a file on a node
//! - `fleet`: from an upload to the files of 1,188 nodes
//! - `growth`: larger documents, more nodes
//! - `far`: a node far from the servers, by each kind of watch
//! - `where`: which functions the instructions of a run are in
//!
//! With `quick`, all counts are small: it shows that the benchmarks work, not how fast kvx is. `instructions` compares
//! with instructions.txt, and `instructions-update` writes it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
#![allow(clippy::arithmetic_side_effects, clippy::print_stdout, clippy::print_stderr)]

mod arrivals;
mod callgrind;
#[path = "../tests/common/mod.rs"]
mod common;
mod distance;
mod far;
mod fleet;
mod growth;
mod handler;
mod instructions;
mod job;
mod machine;
mod nodes;
mod numbers;
mod one_node;
mod one_run;
mod processes;
mod progress;
mod site;
mod subject;
mod table;
mod traced;

use std::process::ExitCode;
use std::time::Instant;

/// How often each part measures, and how many nodes it has.
pub struct Counts {
    pub rounds: usize,
    pub changes: usize,
    pub nodes: usize,
    pub fleet_rounds: usize,
    pub most_watches: usize,
}

const FULL: Counts = Counts { rounds: 100, changes: 50, nodes: 1188, fleet_rounds: 3, most_watches: 2000 };
const QUICK: Counts = Counts { rounds: 8, changes: 3, nodes: 50, fleet_rounds: 2, most_watches: 100 };

type Part = (&'static str, fn(&Counts));

/// The parts of `make bench`, in order.
const PARTS: [Part; 6] = [
    ("one-run", one_run::run),
    ("one-node", one_node::run),
    ("fleet", fleet::run),
    ("growth", growth::run),
    ("far", far::run),
    ("where", |_| instructions::print_where()),
];

fn main() -> ExitCode {
    // cargo adds `--bench`.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let done = match words.first().map(String::as_str) {
        Some("instructions") => instructions::check(),
        Some("instructions-update") => instructions::update(),
        _ => measure(words),
    };
    if let Err(why) = &done {
        eprintln!("{why}");
    }
    ExitCode::from(u8::from(done.is_err()))
}

/// Runs all parts, or the parts with these names.
fn measure(words: Vec<String>) -> Result<(), String> {
    let (quick, chosen): (Vec<String>, Vec<String>) = words.into_iter().partition(|word| word == "quick");
    if let Some(unknown) = chosen.iter().find(|word| PARTS.iter().all(|(name, _)| name != word)) {
        return Err(format!("no part {unknown}; there are {}, and quick", PARTS.map(|(name, _)| name).join(", ")));
    }
    machine::print();
    let counts = if quick.is_empty() { FULL } else { QUICK };
    for (name, run) in PARTS.iter().filter(|(name, _)| chosen.is_empty() || chosen.iter().any(|word| word == name)) {
        let started = Instant::now();
        run(&counts);
        println!("({name} took {} s)\n", started.elapsed().as_secs());
    }
    Ok(())
}
