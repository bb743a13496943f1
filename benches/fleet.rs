//! The fleet: one agent with as many watches as kvexpress's announcement had nodes, and changes that reach all of them.

use super::handler::Handler;
use super::nodes::{Change, Nodes};
use super::numbers::{median, percentile, ratio, short};
use super::table::Table;
use super::{Counts, progress};

/// A fleet, and its measured changes.
pub struct Seen {
    pub nodes: Nodes,
    changes: Vec<Change>,
}

impl Seen {
    pub fn name(&self) -> String {
        self.nodes.handler.name().to_owned()
    }

    /// For each change, when this percentage of the nodes had the new file.
    pub fn reached(&self, percent: f64) -> Vec<f64> {
        self.changes.iter().map(|change| percentile(&change.arrivals, percent)).collect()
    }

    /// For each change, the CPU time of the agent and the handlers, in seconds.
    pub fn cpu(&self) -> Vec<f64> {
        self.changes.iter().map(|change| change.cpu.all()).collect()
    }

    /// For each change, the CPU time of the agent alone.
    fn agent_cpu(&self) -> Vec<f64> {
        self.changes.iter().map(|change| change.cpu.own).collect()
    }

    fn missing(&self) -> usize {
        self.changes.iter().map(|change| change.missing).sum()
    }
}

/// Measures a fleet of `n` nodes for each handler. The fleets take turns.
pub fn observe(handlers: &[Handler], n: usize, rounds: usize) -> Vec<Seen> {
    let start = |&handler| Seen { nodes: Nodes::start(handler, n), changes: Vec::new() };
    let mut fleets: Vec<Seen> = handlers.iter().map(start).collect();
    for round in 1..=rounds {
        for fleet in &mut fleets {
            progress::say(format_args!("{n} nodes: round {round} of {rounds}, {}", fleet.name()));
            fleet.changes.push(fleet.nodes.change());
        }
    }
    progress::clear();
    fleets
}

pub fn run(counts: &Counts) {
    let Counts { nodes: n, fleet_rounds: rounds, .. } = *counts;
    let fleets = observe(&Handler::all(), n, rounds);
    println!("The fleet: {n} watches in one agent, a change of 600 lines, from the start of its upload by kvx-in");
    println!(
        "until each file's rename; CPU of the agent and all handlers, and the agent's part of it; seconds, medians"
    );
    println!("of {rounds} rounds.\n");
    println!("{}", table(&fleets));
}

fn table(fleets: &[Seen]) -> Table {
    let head = ["", "p50", "p90", "p99", "max", "p99, to the floor", "CPU", "CPU, to the floor", "agent's", "missing"];
    let mut table = Table::new(&head);
    for fleet in fleets {
        let reached = [50.0, 90.0, 99.0, 100.0].map(|percent| median(&fleet.reached(percent)));
        let last = ratio(&fleet.reached(99.0), &fleets[0].reached(99.0));
        let cpu = [median(&fleet.cpu()), ratio(&fleet.cpu(), &fleets[0].cpu()), median(&fleet.agent_cpu())];
        let figures = reached.into_iter().chain([last]).chain(cpu).map(short);
        table.row([fleet.name()].into_iter().chain(figures).chain([fleet.missing().to_string()]));
    }
    table
}
