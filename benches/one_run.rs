//! One run: the cost of each program by itself, with the usual document of 600 lines.

use std::path::Path;
use std::process::Command;

use super::callgrind::Instructions;
use super::common::Consul;
use super::common::proxy::Counter;
use super::numbers::{maybe, median, percentile, ratio, short};
use super::site::USUAL_SIZE;
use super::subject::{Subject, time};
use super::table::Table;
use super::{Counts, machine, progress, traced};

pub fn run(counts: &Counts) {
    let consul = Consul::dev("");
    let subjects = subjects(&consul);
    let taken = time(&subjects, counts.rounds);
    println!(
        "One run: a document of 600 lines (30 KB), unless another is said a changed one; {} rounds.\n",
        counts.rounds
    );
    let mut times = Table::new(&["", "ms", "p10", "p90", "to the floor", "to an empty program"]);
    for (subject, ms) in subjects.iter().zip(&taken) {
        let ratios = [ratio(ms, &taken[0]), ratio(ms, &taken[1])];
        let figures = [median(ms), percentile(ms, 10.0), percentile(ms, 90.0)].into_iter().chain(ratios).map(short);
        times.row([subject.name.to_owned()].into_iter().chain(figures));
    }
    println!("{times}");
    println!("What it takes: millions of instructions, without and with those for SHA-256 (callgrind's machine has no");
    println!("SHA extensions); bytes in both directions; MB of memory at most and of the program, stripped.\n");
    let mut costs =
        Table::new(&["", "instructions", "with SHA-256", "system calls", "requests", "bytes", "memory", "size"]);
    let counter = Counter::to(&consul.address);
    for subject in &subjects {
        progress::say(format_args!("what it takes: {}", subject.name));
        costs.row([subject.name.to_owned()].into_iter().chain(cost(subject, &counter)));
    }
    progress::clear();
    println!("{costs}");
}

/// The floor comes first, then the empty program.
fn subjects(consul: &Consul) -> Vec<Subject<'_>> {
    let mut subjects: Vec<Subject> = [
        Subject::floor,
        Subject::empty,
        Subject::kvx_out_by_key,
        Subject::kvx_out_by_folder,
        Subject::kvx_out_unchanged,
        Subject::kvx_out_asks,
        Subject::kvx_in,
        Subject::kvx_in_unchanged,
        Subject::consul_kv_get,
    ]
    .map(|subject| subject(consul, USUAL_SIZE))
    .into();
    subjects.extend(Subject::script(consul, USUAL_SIZE));
    match Subject::consul_template(consul, USUAL_SIZE) {
        Some(subject) => subjects.push(subject),
        None => println!("Consul Template is not installed: it is left out\n"),
    }
    subjects
}

fn cost(subject: &Subject, counter: &Counter) -> [String; 7] {
    let (valgrind, strace) = (machine::find("valgrind"), machine::find("strace"));
    let instructions = valgrind.filter(|_| subject.is_small).map(|_| Instructions::of(&subject.next()));
    let millions = |n: u64| n as f64 / 1e6;
    subject.next_at(&counter.address).run_under(&[]);
    [
        maybe(instructions.as_ref().map(|counted| millions(counted.without_hashing()))),
        maybe(instructions.as_ref().map(|counted| millions(counted.total))),
        strace.as_ref().map_or("-".into(), |_| traced::calls(&subject.next()).to_string()),
        counter.requests().len().to_string(),
        counter.bytes().to_string(),
        maybe(strace.map(|_| traced::peak_memory(&subject.next()))),
        maybe(subject.program.as_deref().map(size)),
    ]
}

/// The size of the program without its symbols, in MB.
fn size(program: &Path) -> f64 {
    let file = tempfile::NamedTempFile::new().expect("a file");
    // If strip fails, the size of the file itself is used.
    let stripped = Command::new("strip").arg("-o").arg(file.path()).arg(program).status();
    let measured = if stripped.is_ok_and(|status| status.success()) { file.path() } else { program };
    std::fs::metadata(measured).expect("a program").len() as f64 / 1e6
}
