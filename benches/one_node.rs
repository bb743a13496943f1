//! One node: the time from the start of an upload until the file is renamed.

use super::Counts;
use super::handler::Handler;
use super::nodes::Nodes;
use super::numbers::{percentile, ratio, short};
use super::progress;
use super::table::Table;

pub fn run(counts: &Counts) {
    let mut nodes: Vec<Nodes> = Handler::all().into_iter().map(|handler| Nodes::start(handler, 1)).collect();
    let mut taken = vec![Vec::new(); nodes.len()];
    for round in 1..=counts.changes {
        progress::say(format_args!("one node: change {round} of {}", counts.changes));
        for (node, taken) in nodes.iter_mut().zip(&mut taken) {
            taken.push(node.change().arrivals.first().map_or(f64::NAN, |seconds| seconds * 1e3));
        }
    }
    progress::clear();
    println!("One node: one watch, {} changes of 600 lines, by kvx-in, until the rename; ms.\n", counts.changes);
    let mut table = Table::new(&["", "p50", "p99", "to the floor"]);
    for (node, ms) in nodes.iter().zip(&taken) {
        let name = node.handler.name().to_owned();
        table.row([name, short(percentile(ms, 50.0)), short(percentile(ms, 99.0)), short(ratio(ms, &taken[0]))]);
    }
    println!("{table}");
}
