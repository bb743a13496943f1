//! A node far from Consul's servers: the cost of a watch on the checksum, and of a watch on the folder, whose payload
//! contains the document.

use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::arrivals::Arrivals;
use super::common::Consul;
use super::handler::{Handler, Work, upload};
use super::numbers::{median, short};
use super::site::{USUAL_SIZE, directory, document};
use super::table::Table;
use super::{Counts, distance, progress};

const KEY: &str = "hosts";
const LIMIT: Duration = Duration::from_secs(30);

pub fn run(counts: &Counts) {
    println!("A node far from the servers: one watch, {} changes of 600 lines; milliseconds at the", changes(counts));
    println!("median from the start of the upload, which is near them, until the rename.\n");
    let mut table = Table::new(&["round trip", "key watch", "keyprefix watch"]);
    for round_trip in [0, 10, 50, 100] {
        let round_trip = Duration::from_millis(round_trip);
        let [key, folder] = [Handler::Key, Handler::Folder].map(|handler| {
            progress::say(format_args!("far: {round_trip:?}, {}", handler.name()));
            let mut node = Node::at(round_trip, handler);
            let taken: Vec<f64> = (0..changes(counts)).map(|_| node.change()).collect();
            short(median(&taken))
        });
        table.row([format!("{} ms", round_trip.as_millis()), key, folder]);
    }
    progress::clear();
    println!("{table}");
}

/// The number of changes. Each has to wait for the watch's next request.
fn changes(counts: &Counts) -> usize {
    counts.changes.min(20)
}

struct Node {
    round_trip: Duration,
    consul: Consul,
    dir: TempDir,
    arrivals: Arrivals,
    watch: Child,
    changes: u64,
}

impl Node {
    fn at(round_trip: Duration, handler: Handler) -> Node {
        let dir = directory();
        let out = dir.path().join("out");
        std::fs::create_dir(&out).expect("a directory");
        let (consul, arrivals) = (Consul::dev("{}"), Arrivals::at(&out));
        let address = distance::to(&consul.address, round_trip);
        consul.put_pair(&format!("kvexpress/{KEY}"), document(0, USUAL_SIZE));
        let (file, state_dir) = (out.join(KEY), dir.path().join("state"));
        let work = Work { address: &address, key: KEY, file: &file, state_dir: &state_dir };
        let what = match handler {
            Handler::Folder => ["-type=keyprefix".into(), format!("-prefix=kvexpress/{KEY}/")],
            _ => ["-type=key".into(), format!("-key=kvexpress/{KEY}/checksum")],
        };
        let mut watch = consul.command(&["watch", "-shell=false", &format!("-http-addr={address}")]);
        watch.args(what).args(handler.words(&work)).stdout(Stdio::null()).stderr(Stdio::null());
        let watch = watch.spawn().expect("consul watch");
        let node = Node { round_trip, consul, dir, arrivals, watch, changes: 0 };
        node.arrival(Instant::now());
        node
    }

    /// Uploads a document. Returns the milliseconds until the file was renamed.
    fn change(&mut self) -> f64 {
        // Wait until the handler has ended and the watch's next request has arrived.
        thread::sleep(self.round_trip + Duration::from_millis(100));
        self.changes += 1;
        let document = document(self.changes, USUAL_SIZE);
        let upload = upload(KEY, &document, &self.consul.address);
        let started = Instant::now();
        let child = upload.start(&[]);
        let seconds = self.arrival(started);
        upload.finish(child);
        let file = std::fs::read(self.dir.path().join("out").join(KEY)).expect("the file");
        assert!(file == document.as_bytes(), "another document");
        seconds * 1e3
    }

    fn arrival(&self, started: Instant) -> f64 {
        *self.arrivals.since(started, 1, || true, LIMIT).first().expect("the file")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.watch.kill());
        drop(self.watch.wait());
    }
}
