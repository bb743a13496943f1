//! The fleet: as many watches as kvexpress's announcement had nodes, in one agent, and one change for all.

use super::Counts;
use super::handler::Handler;
use super::nodes::{Change, Nodes};
use super::numbers::{median, percentile, ratio, short};
use super::plot::{Axis, Line, Plot};
use super::progress;
use super::table::Table;

/// A fleet, and what it has been through.
struct Seen {
    nodes: Nodes,
    changes: Vec<Change>,
}

impl Seen {
    /// Of each change.
    fn each(&self, figure: impl Fn(&Change) -> f64) -> Vec<f64> {
        self.changes.iter().map(figure).collect()
    }

    /// When so many had the new file.
    fn reached(&self, percent: f64) -> Vec<f64> {
        self.each(|change| percentile(&change.arrivals, percent))
    }

    fn cpu(&self) -> Vec<f64> {
        self.each(|change| change.cpu)
    }
}

pub fn run(counts: &Counts) {
    let Counts { nodes: n, fleet_rounds: rounds, .. } = *counts;
    let start = |handler| Seen { nodes: Nodes::start(handler, n), changes: Vec::new() };
    let mut fleets: Vec<Seen> = Handler::all().into_iter().map(start).collect();
    for round in 1..=rounds {
        for fleet in &mut fleets {
            progress::say(format_args!("the fleet: round {round} of {rounds}, {}", fleet.nodes.handler.name()));
            fleet.changes.push(fleet.nodes.change());
        }
    }
    progress::clear();
    println!(
        "The fleet: {n} watches in one agent, a change of 600 lines, from the start of its upload by kvx-in until"
    );
    println!("each file's rename; CPU of the agent and all handlers; seconds, medians of {rounds} rounds.\n");
    println!("{}", table(&fleets));
    plot(&fleets).write("fleet");
}

fn table(fleets: &[Seen]) -> Table {
    let mut table =
        Table::new(&["", "p50", "p90", "p99", "max", "CPU", "p99, to the floor", "CPU, to the floor", "missing"]);
    for fleet in fleets {
        let reached = [50.0, 90.0, 99.0, 100.0].map(|percent| median(&fleet.reached(percent)));
        let ratios = [ratio(&fleet.reached(99.0), &fleets[0].reached(99.0)), ratio(&fleet.cpu(), &fleets[0].cpu())];
        let figures = reached.into_iter().chain([median(&fleet.cpu())]).chain(ratios).map(short);
        let missing: usize = fleet.changes.iter().map(|change| change.missing).sum();
        table.row([fleet.nodes.handler.name().to_owned()].into_iter().chain(figures).chain([missing.to_string()]));
    }
    table
}

/// How many nodes have the new file, after how long: of all rounds.
fn plot(fleets: &[Seen]) -> Plot {
    let line = |fleet: &Seen| {
        let points = (0..=100).map(|percent| (median(&fleet.reached(f64::from(percent))), f64::from(percent)));
        Line { name: fleet.nodes.handler.name().to_owned(), points: points.collect() }
    };
    Plot {
        title: format!("{} nodes, one change", fleets[0].nodes.len()),
        x: Axis::logarithmic("seconds since the start of the upload"),
        y: Axis::linear("% of the nodes have the new file"),
        lines: fleets.iter().map(line).collect(),
    }
}
