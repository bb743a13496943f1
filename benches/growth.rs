//! Growth: what becomes of it when documents get larger, and nodes more.

use super::common::Consul;
use super::handler::Handler;
use super::nodes::Nodes;
use super::numbers::{median, percentile, ratio, short};
use super::plot::{Axis, Line, Plot};
use super::subject::{Subject, time};
use super::table::Table;
use super::{Counts, machine, progress, traced};

const KIB: usize = 1024;
/// The last is about as much as Consul takes in a transaction.
const SIZES: [usize; 6] = [KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, 383 * KIB];
const WATCHES: [usize; 5] = [10, 100, 500, 1000, 2000];
/// More of them say little more.
const CHANGES: usize = 2;

pub fn run(counts: &Counts) {
    documents(counts);
    nodes(counts);
}

fn documents(counts: &Counts) {
    let consul = Consul::dev("");
    let makes = [Subject::floor, Subject::kvx_out_by_key, Subject::kvx_out_by_folder, Subject::kvx_in];
    let names = makes.map(|make| make(&consul, KIB).name);
    let strace = machine::find("strace");
    let mut lines = names.map(|name| Line { name: name.to_owned(), points: Vec::new() });
    let head = [&[""], names.as_slice()].concat();
    let (mut times, mut ratios, mut memory) = (Table::new(&head), Table::new(&head), Table::new(&head));
    for size in SIZES {
        let subjects = makes.map(|make| make(&consul, size));
        let taken = time(&subjects, counts.rounds / 4);
        for (line, ms) in lines.iter_mut().zip(&taken) {
            line.points.push((size as f64 / KIB as f64, median(ms)));
        }
        let name = format!("{} KiB", size / KIB);
        times.row([name.clone()].into_iter().chain(taken.iter().map(|ms| short(median(ms)))));
        ratios.row([name.clone()].into_iter().chain(taken.iter().map(|ms| short(ratio(ms, &taken[0])))));
        if strace.is_some() {
            let peaks = subjects.iter().map(|subject| short(traced::peak_memory(&subject.next())));
            memory.row([name].into_iter().chain(peaks));
        }
    }
    progress::clear();
    println!(
        "Growth: a run with a changed document of this size; ms, medians of {} rounds.\n\n{times}",
        counts.rounds / 4
    );
    println!("The same to the floor.\n\n{ratios}");
    println!("Memory at most, MB.\n\n{memory}");
    let (x, y) = (Axis::logarithmic("KiB"), Axis::logarithmic("ms"));
    Plot { title: "One run, by the size of the document".into(), x, y, lines: lines.into() }.write("documents");
}

fn nodes(counts: &Counts) {
    println!("Growth: watches in one agent, a change of 600 lines: seconds until the files are renamed; CPU in ms for");
    println!("each; MB of the agent.\n");
    let handlers = [Handler::Floor, Handler::Key, Handler::Folder];
    let mut lines = handlers.map(|handler| Line { name: handler.name().to_owned(), points: Vec::new() });
    let mut table = Table::new(&["", "watches", "p50", "max", "max / watches, ms", "CPU / watches, ms", "memory"]);
    for n in WATCHES.into_iter().filter(|&n| n <= counts.most_watches) {
        for (handler, line) in handlers.into_iter().zip(&mut lines) {
            let mut nodes = Nodes::start(handler, n);
            let changes: Vec<_> = (0..CHANGES).map(|_| nodes.change()).collect();
            let median_of =
                |figure: &dyn Fn(&super::nodes::Change) -> f64| median(&changes.iter().map(figure).collect::<Vec<_>>());
            let reached = |percent| median_of(&|change| percentile(&change.arrivals, percent));
            let (most, each) = (reached(100.0), 1e3 / n as f64);
            line.points.push((n as f64, most));
            let figures = [reached(50.0), most, most * each, median_of(&|change| change.cpu) * each, nodes.memory()];
            table.row([handler.name().to_owned(), n.to_string()].into_iter().chain(figures.map(short)));
        }
    }
    progress::clear();
    println!("{table}");
    let (x, y) = (Axis::logarithmic("watches"), Axis::logarithmic("seconds until the last file is renamed"));
    Plot { title: "A change for many nodes".into(), x, y, lines: lines.into() }.write("watches");
}
