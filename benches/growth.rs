//! Growth: how the cost changes with larger documents and with more nodes.

use super::common::Consul;
use super::fleet::observe;
use super::handler::Handler;
use super::numbers::{median, ratio, short};
use super::subject::{Subject, time};
use super::table::Table;
use super::{Counts, machine, progress, traced};

const KIB: usize = 1024;
/// The last size is about the maximum of a Consul transaction.
const SIZES: [usize; 6] = [KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, 383 * KIB];
const WATCHES: [usize; 5] = [10, 100, 500, 1000, 2000];

pub fn run(counts: &Counts) {
    documents(counts);
    nodes(counts);
}

fn documents(counts: &Counts) {
    let consul = Consul::dev("");
    let makes = [Subject::floor, Subject::kvx_out_by_key, Subject::kvx_out_by_folder, Subject::kvx_in];
    let names = makes.map(|make| make(&consul, KIB).name);
    let (rounds, strace) = (counts.rounds / 4, machine::find("strace"));
    let mut points = names.map(|_| Vec::new());
    let head = [&[""], names.as_slice()].concat();
    let (mut times, mut ratios, mut memory) = (Table::new(&head), Table::new(&head), Table::new(&head));
    for size in SIZES {
        let subjects = makes.map(|make| make(&consul, size));
        let taken = time(&subjects, rounds);
        for (points, ms) in points.iter_mut().zip(&taken) {
            points.push((size as f64 / KIB as f64, median(ms)));
        }
        let name = format!("{} KiB", size / KIB);
        times.row([name.clone()].into_iter().chain(taken.iter().map(|ms| short(median(ms)))));
        ratios.row([name.clone()].into_iter().chain(taken.iter().map(|ms| short(ratio(ms, &taken[0])))));
        if strace.is_some() {
            let peaks = subjects.iter().map(|subject| short(traced::peak_memory(&subject.next())));
            memory.row([name].into_iter().chain(peaks));
        }
    }
    times
        .row(["us for each KiB more".into()].into_iter().chain(points.iter().map(|points| short(slope(points) * 1e3))));
    progress::clear();
    println!("Growth: a run with a changed document of this size; ms, medians of {rounds} rounds.\n\n{times}");
    println!("The same to the floor.\n\n{ratios}");
    if strace.is_some() {
        println!("Memory at most, MB.\n\n{memory}");
    }
}

/// The slope from the first point to the last.
fn slope(points: &[(f64, f64)]) -> f64 {
    let (Some((x, y)), Some((far_x, far_y))) = (points.first(), points.last()) else { return f64::NAN };
    (far_y - y) / (far_x - x)
}

fn nodes(counts: &Counts) {
    println!("Growth: watches in one agent, a change of 600 lines: seconds until half of the files, and until all,");
    println!("are renamed; CPU of the agent and all handlers, in ms for each watch; MB of the agent.\n");
    let handlers = [Handler::Floor, Handler::Key, Handler::Folder];
    let head = ["", "watches", "p50", "max", "max, to the floor", "CPU for each", "CPU, to the floor", "memory"];
    let mut table = Table::new(&head);
    for n in WATCHES.into_iter().filter(|&n| n <= counts.most_watches) {
        let rounds = (1000 / n).clamp(2, 20); // So that each takes about the same time.
        let fleets = observe(&handlers, n, rounds);
        let (floor_last, floor_cpu) = (fleets[0].reached(100.0), fleets[0].cpu());
        for fleet in &fleets {
            let (last, cpu) = (fleet.reached(100.0), fleet.cpu());
            let times = [median(&fleet.reached(50.0)), median(&last), ratio(&last, &floor_last)];
            let costs = [median(&cpu) * 1e3 / n as f64, ratio(&cpu, &floor_cpu), fleet.nodes.memory()];
            table.row([fleet.name(), n.to_string()].into_iter().chain(times.into_iter().chain(costs).map(short)));
        }
    }
    println!("{table}");
}
