//! An agent with many watches on one key, each with a file of its own: many nodes, on one machine.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::arrivals::Arrivals;
use super::common::Consul;
use super::handler::{Handler, Work, program};
use super::job::Job;
use super::site::{USUAL_SIZE, directory, document};
use super::{processes, progress};

const KEY: &str = "hosts";
/// For a change to reach all: no more than this, whatever happens.
const LIMIT: Duration = Duration::from_secs(60);

pub struct Nodes {
    pub handler: Handler,
    consul: Consul,
    n: usize,
    dir: TempDir,
    arrivals: Arrivals,
    changes: u64,
}

/// What became of a change.
pub struct Change {
    /// From the start of the upload until a node's file was renamed, in seconds, in order.
    pub arrivals: Vec<f64>,
    /// Of the agent and all handlers, in seconds, until all had ended.
    pub cpu: f64,
    /// Nodes that did not have the new document then.
    pub missing: usize,
}

impl Nodes {
    /// With the first document on all of them, and nothing under way.
    pub fn start(handler: Handler, n: usize) -> Nodes {
        progress::say(format_args!("{}: an agent with {n} watches", handler.name()));
        let dir = directory();
        std::fs::create_dir(dir.path().join("out")).expect("a directory");
        // Each watch is a connection of the agent to itself.
        let limits = json!({ "http_max_conns_per_client": n + 200 });
        let consul = Consul::dev(&json!({ "limits": limits }).to_string());
        let arrivals = Arrivals::at(&dir.path().join("out"));
        let mut nodes = Nodes { handler, consul, n, dir, arrivals, changes: 0 };
        let document = nodes.next_document();
        nodes.consul.put_pair(&format!("kvexpress/{KEY}"), document);
        nodes.consul.configure(&json!({ "limits": limits, "watches": nodes.watches() }).to_string());
        let started = Instant::now();
        nodes.consul.reload();
        let seen = nodes.arrivals.since(started, n, LIMIT).len();
        assert_eq!(seen, n, "files that a watch brought; the agent says:\n{}", nodes.consul.log());
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

    /// Uploads another document, and watches it arrive.
    pub fn change(&mut self) -> Change {
        let words = [program("kvx-in"), "-k", KEY, "-s", &self.consul.address].map(str::to_owned);
        let document = self.next_document();
        let upload = Job::new(words.to_vec()).stdin(document.as_str());
        self.arrivals.forget();
        let cpu = processes::cpu(self.consul.pid());
        let started = Instant::now();
        let child = upload.start(&[]);
        let arrivals = self.arrivals.since(started, self.n, LIMIT);
        upload.finish(child);
        self.settle();
        let cpu = processes::cpu(self.consul.pid()) - cpu;
        let has_it = |&node: &usize| std::fs::read(self.file(node)).is_ok_and(|file| file == document.as_bytes());
        let missing = self.n - (0..self.n).filter(has_it).count();
        Change { arrivals, cpu, missing }
    }

    /// Until the agent has ended all handlers, which do a little more than rename a file.
    fn settle(&self) {
        let idle = || processes::children(self.consul.pid()).is_empty();
        let started = Instant::now();
        // Twice: between two handlers of a watch there is a moment without any.
        while !(idle() && {
            thread::sleep(Duration::from_millis(20));
            idle()
        }) {
            assert!(started.elapsed() < LIMIT, "handlers do not end");
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn len(&self) -> usize {
        self.n
    }

    /// What the agent takes, in MB.
    pub fn memory(&self) -> f64 {
        processes::megabytes(self.consul.pid(), "VmRSS").expect("the agent")
    }
}
