//! An agent with many watches on one key, each with its own file: it simulates many nodes on one machine.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::arrivals::Arrivals;
use super::common::Consul;
use super::handler::{Handler, Work, upload};
use super::processes::Cpu;
use super::site::{USUAL_SIZE, directory, document};
use super::{processes, progress};

const KEY: &str = "hosts";
/// The time limit for a change to reach all nodes.
const LIMIT: Duration = Duration::from_secs(120);

pub struct Nodes {
    pub handler: Handler,
    consul: Consul,
    n: usize,
    dir: TempDir,
    arrivals: Arrivals,
    changes: u64,
}

/// The measurements of a change.
pub struct Change {
    /// For each node, the seconds from the start of the upload until its file was renamed, in order.
    pub arrivals: Vec<f64>,
    /// The CPU time of the agent and all handlers, until all handlers ended.
    pub cpu: Cpu,
    /// The number of nodes that did not have the new document at that time.
    pub missing: usize,
}

impl Nodes {
    /// Starts the agent. All nodes have the first document, and no handler runs any more.
    pub fn start(handler: Handler, n: usize) -> Nodes {
        progress::say(format_args!("{}: an agent with {n} watches", handler.name()));
        let dir = directory();
        std::fs::create_dir(dir.path().join("out")).expect("a directory");
        // Each watch is a connection of the agent to itself. The handlers have connections as well, some of them
        // closing.
        let limits = json!({ "http_max_conns_per_client": 4 * n + 200 });
        let consul = Consul::dev(&json!({ "limits": limits }).to_string());
        let arrivals = Arrivals::at(&dir.path().join("out"));
        let mut nodes = Nodes { handler, consul, n, dir, arrivals, changes: 0 };
        let document = nodes.next_document();
        nodes.consul.put_pair(&format!("kvexpress/{KEY}"), document);
        nodes.consul.configure(&json!({ "limits": limits, "watches": nodes.watches() }).to_string());
        let started = Instant::now();
        nodes.consul.reload();
        nodes.arrivals(started);
        nodes.settle();
        nodes
    }

    fn watches(&self) -> Vec<Value> {
        let state_dir = self.dir.path().join("state");
        let watch = |node| {
            let file = self.file(node);
            self.handler.watch(&Work { address: &self.consul.address, key: KEY, file: &file, state_dir: &state_dir })
        };
        (0..self.n).map(watch).collect()
    }

    fn file(&self, node: usize) -> PathBuf {
        self.dir.path().join(format!("out/{node}"))
    }

    fn next_document(&mut self) -> String {
        self.changes += 1;
        document(self.changes, USUAL_SIZE)
    }

    /// Uploads another document and measures its arrival.
    pub fn change(&mut self) -> Change {
        let document = self.next_document();
        let upload = upload(KEY, &document, &self.consul.address);
        self.arrivals.forget();
        let before = Cpu::of(self.consul.pid());
        let started = Instant::now();
        let child = upload.start(&[]);
        let arrivals = self.arrivals(started);
        upload.finish(child);
        self.settle();
        let cpu = Cpu::of(self.consul.pid()).since(before);
        let has_it = |&node: &usize| std::fs::read(self.file(node)).is_ok_and(|file| file == document.as_bytes());
        let missing = self.n - (0..self.n).filter(has_it).count();
        Change { arrivals, cpu, missing }
    }

    fn arrivals(&self, started: Instant) -> Vec<f64> {
        self.arrivals.since(started, self.n, || self.is_busy(), LIMIT)
    }

    /// Whether handlers are running.
    fn is_busy(&self) -> bool {
        !processes::children(self.consul.pid()).is_empty()
    }

    /// Waits until all handlers have ended: they do some work after the rename.
    fn settle(&self) {
        let started = Instant::now();
        let mut idle = 0;
        // Twice, because no handler runs for a moment between two handlers of a watch.
        while idle < 2 {
            assert!(started.elapsed() < LIMIT, "handlers do not end");
            thread::sleep(Duration::from_millis(20));
            idle = if self.is_busy() { 0 } else { idle + 1 };
        }
    }

    /// The memory of the agent, in MB.
    pub fn memory(&self) -> f64 {
        processes::megabytes(self.consul.pid(), "VmRSS").expect("the agent")
    }
}
