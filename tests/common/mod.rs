//! Real Consul agents and the programs under test. Each test has its own directory and its own keys.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
#![allow(clippy::arithmetic_side_effects, clippy::string_slice, clippy::wrong_self_convention)]

pub mod busy;
pub mod certificates;
pub mod consul;
pub mod dogstatsd;
pub mod gate;
pub mod golden;
pub mod help;
pub mod house;
pub mod mdoc;
pub mod moment;
pub mod page;
pub mod proxy;
pub mod run;
pub mod scenario;
pub mod secure;
pub mod servers;
pub mod strace;
pub mod tools;
pub mod users;

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

pub use consul::Consul;
pub use run::{Ran, Run};
use tempfile::TempDir;

/// An address where no agent listens. What is refused before anything is sent does not notice.
pub const NO_AGENT: &str = "127.0.0.1:1";

/// A test's own directory, key and agent.
pub struct Place {
    pub consul: Arc<Consul>,
    /// The key of this test.
    pub key: String,
    dir: TempDir,
}

impl Place {
    /// A place with the shared agent, which other tests use at the same time.
    pub fn new() -> Place {
        Place::at(Consul::shared())
    }

    pub fn at(consul: Arc<Consul>) -> Place {
        let dir = tempfile::Builder::new().prefix("kvx-test-").tempdir().unwrap();
        let key = dir.path().file_name().unwrap().to_str().unwrap().to_owned();
        std::fs::create_dir(dir.path().join("out")).unwrap();
        Place { consul, key, dir }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The installed file, which is alone in its directory.
    pub fn file(&self) -> PathBuf {
        self.path().join("out/hosts")
    }

    /// The marker of a locked file, a directory.
    pub fn marker(&self) -> PathBuf {
        self.path().join("out/.hosts.lock")
    }

    /// The text in the marker.
    pub fn marker_text(&self) -> String {
        std::fs::read_to_string(self.marker().join("reason")).unwrap()
    }

    /// kvexpress's marker of a locked file: `FILE.locked`.
    pub fn visible_marker(&self) -> PathBuf {
        self.path().join("out/hosts.locked")
    }

    /// The state file, which is the only file in the state directory.
    pub fn state_file(&self) -> PathBuf {
        let entries = std::fs::read_dir(self.path().join("state")).unwrap();
        let state_files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        assert_eq!(state_files.len(), 1, "{state_files:?}");
        state_files[0].clone()
    }

    pub fn state(&self) -> serde_json::Value {
        read_state(&self.state_file())
    }

    pub fn change_state(&self, change: impl FnOnce(&mut serde_json::Value)) {
        let mut state_file = self.state();
        change(&mut state_file);
        let text = state_file.to_string();
        std::fs::write(self.state_file(), format!("{text}\n{}\n", sha256(&text))).unwrap();
    }

    /// The content of the installed file.
    pub fn content(&self) -> String {
        String::from_utf8(std::fs::read(self.file()).expect("the managed file")).unwrap()
    }

    pub fn mode(&self) -> u32 {
        std::fs::metadata(self.file()).unwrap().mode() & 0o7777
    }

    /// The names in the directory of the installed file, including its own, to show that nothing is left behind.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.path().join("out"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// Writes a file in the test's directory, outside the directory of the installed file.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// The words of `-e` for a handler that appends a line to `runs`.
    pub fn handler(&self) -> String {
        format!("sh -c 'echo \"$KVX_KEY $KVX_CHECKSUM\" >> {}'", self.path().join("runs").display())
    }

    /// The lines that [`Place::handler`] wrote.
    pub fn runs(&self) -> Vec<String> {
        whole_lines(&self.path().join("runs"))
    }

    /// The path of a part of this test's key in the KV store.
    pub fn kv(&self, part: &str) -> String {
        format!("kvexpress/{}/{part}", self.key)
    }

    /// `kvx-in` for this test's key and agent.
    pub fn kvx_in(&self) -> Run {
        Run::new("kvx-in", &self.consul.address).args(["-k", &self.key])
    }

    /// `kvx-out` for this test's key, file, state directory and agent.
    pub fn kvx_out(&self) -> Run {
        self.kvx_out_bare().args(["-k", &self.key])
    }

    /// `kvx-out` without `-k`.
    pub fn kvx_out_bare(&self) -> Run {
        Run::new("kvx-out", &self.consul.address)
            .arg("--state-dir")
            .arg(self.path().join("state"))
            .arg("-f")
            .arg(self.file())
    }

    /// `kvx` with this command, for this test's agent.
    pub fn kvx(&self, command: &str) -> Run {
        Run::new("kvx", &self.consul.address).arg(command)
    }

    /// A command of `kvx` for this test's file and state directory.
    pub fn kvx_file(&self, command: &str) -> Run {
        self.kvx(command).arg("--state-dir").arg(self.path().join("state")).arg("-f").arg(self.file())
    }

    /// Uploads a document; panics if that fails.
    pub fn upload(&self, document: impl AsRef<[u8]>) -> Ran {
        self.kvx_in().args(["-l", "0"]).stdin(document).run().expect(0)
    }

    /// A snapshot of all entries of this test's key, as a watch on its folder would get them; empty if there are none.
    pub fn folder(&self) -> Vec<u8> {
        self.consul.http("GET", &format!("/v1/kv/{}?recurse", self.kv("")), b"").unwrap().1
    }

    /// The document in Consul, whose data and checksum must match. None if neither exists.
    pub fn document(&self) -> Option<Vec<u8>> {
        let folder = Some(self.folder()).filter(|folder| !folder.is_empty())?;
        let entries: Vec<serde_json::Value> = serde_json::from_slice(&folder).unwrap();
        let value = |part: &str| {
            let entry = entries.iter().find(|entry| entry["Key"] == self.kv(part).as_str());
            let value = entry.unwrap_or_else(|| panic!("no {part} in Consul"))["Value"].as_str().unwrap_or_default();
            base64::Engine::decode(&base64::prelude::BASE64_STANDARD, value).unwrap()
        };
        let data = value("data");
        assert_eq!(String::from_utf8(value("checksum")).unwrap(), sha256(&data), "the pair in Consul verifies");
        Some(data)
    }

    pub fn assert_pair_is_whole(&self) {
        assert!(self.document().is_some(), "a pair in Consul");
    }

    /// The payload that a watch on this part of the key would get now.
    pub fn payload(&self, part: &str) -> String {
        self.consul.watch_payload(&self.kv(part))
    }
}

/// Checks all cases, `at_once` of them at the same time, and panics with the names of those that fail.
pub fn each<C: Sync>(at_once: usize, cases: &[C], name: impl Fn(&C) -> String + Sync, check: impl Fn(&C) + Sync) {
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let started = Mutex::new(Vec::new()); // One case may use a server that another has started.
    thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::SeqCst)) {
                    if catch_unwind(AssertUnwindSafe(|| check(case))).is_err() {
                        failed.lock().unwrap().push(name(case));
                    }
                }
                started.lock().unwrap().push(servers::started_here());
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "these cases failed, as said above: {failed:#?}");
}

/// The path of the lock of a place's file in the KV store.
pub fn lock_of(place: &Place) -> String {
    let host = nix::unistd::gethostname().unwrap().into_string().unwrap();
    format!("kvexpress/locks/{}/{host}", sha256(place.file().to_str().unwrap()))
}

/// `n` lines: `1`, `2`, ...
pub fn lines(n: usize) -> String {
    (1..=n).map(|line| format!("{line}\n")).collect()
}

/// The state that this state directory records of the file at this path (canonical).
pub fn stamp_of(state: &Path, file: &str) -> serde_json::Value {
    let entries = std::fs::read_dir(state).unwrap();
    let state_files = entries.map(|entry| read_state(&entry.unwrap().path()));
    state_files
        .into_iter()
        .find(|state_file| state_file["path"] == file)
        .unwrap_or_else(|| panic!("nothing is recorded of {file}"))
}

/// The state file of this machine, in this state directory, of the file at this path (canonical).
pub fn stamp_at(state: &Path, file: &str) -> PathBuf {
    let machine = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let host = nix::unistd::gethostname().unwrap().into_string().unwrap();
    state.join(sha256(format!("{} {host}\0{file}", machine.trim())))
}

/// The state in a state file: its first line.
pub fn read_state(at: &Path) -> serde_json::Value {
    let text = std::fs::read_to_string(at).unwrap();
    serde_json::from_str(text.lines().next().unwrap()).unwrap()
}

/// The complete lines of a file that another process may be writing. Empty if there is no such file.
pub fn whole_lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let whole = text.rsplit_once('\n').map(|(whole, _)| whole.split('\n').map(str::to_owned).collect());
    whole.unwrap_or_default()
}

/// The checksum, in lower-case hex.
pub fn sha256(bytes: impl AsRef<[u8]>) -> String {
    kvx::document::Checksum::of(bytes.as_ref()).to_string()
}

/// The factor by which limits on waiting are longer than an idle machine needs. Such a limit detects that something
/// never ends; it does not test the speed of the machine, or the load on it.
const BUSY: u64 = 6;

/// The time that a run may take in addition to its limit. Only that it ends is promised, so this is generous. But it is
/// less than the default limit of 30 s, so that a test notices an ignored limit.
pub const SLACK: Duration = Duration::from_secs(20);

/// Reports that this test is skipped, and why. It is printed even though the output of a passing test is captured.
pub fn skipped(why: &str) {
    let thread = thread::current();
    let _ = writeln!(std::io::stderr(), "SKIPPED {}: {why}", thread.name().unwrap_or("a test"));
}

/// Waits for another process; panics after `seconds` times [`BUSY`].
pub fn wait_for<T>(what: &str, seconds: u64, mut look: impl FnMut() -> Option<T>) -> T {
    let (started, limit) = (Instant::now(), seconds * BUSY);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < Duration::from_secs(limit), "waited {limit} s for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
