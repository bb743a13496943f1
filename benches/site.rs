//! A key on an agent, two documents that alternate, and a file.

use std::cell::Cell;
use std::path::PathBuf;

use kvx::document::Checksum;
use serde_json::Value;
use tempfile::TempDir;

use super::common::Consul;
use super::handler::{Handler, Work, upload};
use super::job::Job;

/// 600 lines, as in kvexpress's announcement.
pub const USUAL_SIZE: usize = 600 * LINE;
const LINE: usize = 51;

pub struct Site<'a> {
    consul: &'a Consul,
    pub key: String,
    dir: TempDir,
    documents: [String; 2],
    turn: Cell<usize>,
}

impl<'a> Site<'a> {
    /// A site with its own key and a document in Consul, but no file.
    pub fn new(consul: &'a Consul, size: usize) -> Site<'a> {
        let dir = directory();
        std::fs::create_dir(dir.path().join("out")).expect("a directory");
        let documents = [document(1, size), document(2, size)];
        let key = dir.path().to_str().and_then(|path| path.rsplit('-').next()).expect("UTF-8").to_owned();
        let site = Site { consul, key, dir, documents, turn: Cell::new(1) };
        site.publish();
        site
    }

    /// Writes the other document to Consul.
    pub fn publish(&self) {
        self.turn.set(1 - self.turn.get());
        let (folder, document) = (format!("kvexpress/{}", self.key), self.published());
        self.consul.put_pair(&folder, document);
        // As kvx-in leaves it: without a record, the document of a payload does not count.
        let (checksum, size) = (Checksum::of(document.as_bytes()), document.len());
        let record = format!(
            "kvx 1\nkey {folder}\nchecksum {checksum}\nsize {size}\ntime 2026-11-27T14:02:11.123Z\nby bench@here\n"
        );
        self.consul.put(&format!("{folder}/record"), record);
    }

    /// The document that is in Consul.
    pub fn published(&self) -> &str {
        &self.documents[self.turn.get()]
    }

    /// The document that is not in Consul.
    pub fn other(&self) -> &str {
        &self.documents[1 - self.turn.get()]
    }

    pub fn file(&self) -> PathBuf {
        self.dir.path().join("out/hosts")
    }

    /// Writes another file, which the run reads.
    pub fn write(&self, name: &str, content: &str) -> String {
        let path = self.dir.path().join(name);
        std::fs::write(&path, content).expect("a file");
        path.to_str().expect("UTF-8").to_owned()
    }

    pub fn address(&self) -> &str {
        &self.consul.address
    }

    /// A handler, with the payload of its watch.
    pub fn install(&self, handler: Handler, address: &str) -> Job {
        let (file, state_dir) = (self.file(), self.dir.path().join("state"));
        let words = handler.words(&Work { address, key: &self.key, file: &file, state_dir: &state_dir });
        let path = match handler {
            Handler::Folder => format!("/v1/kv/kvexpress/{}/?recurse", self.key),
            _ => format!("/v1/kv/kvexpress/{}/checksum", self.key),
        };
        let (_, answer) = self.consul.http("GET", &path, b"").expect("an answer");
        let answer: Value = serde_json::from_slice(&answer).expect("JSON");
        let payload = if handler == Handler::Folder { &answer } else { &answer[0] };
        Job::new(words).payload(format!("{payload}\n"))
    }

    /// kvx-in, which uploads this document.
    pub fn upload(&self, document: &str, address: &str) -> Job {
        upload(&self.key, document, address)
    }
}

/// A directory on the disk of the build directory, because fsync costs nothing in a /tmp in memory. All paths have the
/// same length, because each character costs some instructions.
pub fn directory() -> TempDir {
    const LENGTH: usize = 120;
    let base = env!("CARGO_TARGET_TMPDIR");
    let prefix = format!("{:-<width$}", "bench-", width = LENGTH.saturating_sub(base.len()));
    tempfile::Builder::new().prefix(&prefix).tempdir_in(base).expect("a directory")
}

/// Lines of a hosts file. The same seed makes the same lines.
pub fn document(seed: u64, size: usize) -> String {
    let mut random = fastrand::Rng::with_seed(seed);
    let line = |n| {
        let [a, b, c] = std::array::from_fn(|_| random.u8(..));
        format!("{:<50}\n", format!("10.{a}.{b}.{c} node-{n:05} {:012x}.example.com", random.u64(..1 << 48)))
    };
    (0..size.div_ceil(LINE)).map(line).collect()
}
