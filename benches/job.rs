//! A command line that is run repeatedly, always in the same environment.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// A command line and its stdin.
pub struct Job {
    words: Vec<String>,
    stdin: Option<Vec<u8>>,
    fired: bool,
}

impl Job {
    pub fn new(words: Vec<String>) -> Job {
        Job { words, stdin: None, fired: false }
    }

    pub fn stdin(self, bytes: impl Into<Vec<u8>>) -> Job {
        Job { stdin: Some(bytes.into()), ..self }
    }

    /// The same, run as a watch's handler with this payload.
    pub fn payload(self, payload: impl Into<Vec<u8>>) -> Job {
        Job { fired: true, ..self.stdin(payload) }
    }

    /// The same, run as a timer runs it: without a payload.
    pub fn by_itself(self) -> Job {
        Job { stdin: None, fired: false, ..self }
    }

    /// Starts it, under another program if `under` has words, and writes all of its stdin.
    pub fn start(&self, under: &[&str]) -> Child {
        let mut words = under.iter().copied().chain(self.words.iter().map(String::as_str));
        let mut command = Command::new(words.next().expect("a program"));
        // cargo sets LD_LIBRARY_PATH, which would make the loader search many directories.
        command.args(words).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        if self.fired {
            command.env("CONSUL_INDEX", "1");
        }
        command.stdin(if self.stdin.is_some() { Stdio::piped() } else { Stdio::null() });
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("a program to run");
        if let (Some(mut pipe), Some(bytes)) = (child.stdin.take(), &self.stdin) {
            // The error is ignored: some programs do not read stdin.
            drop(pipe.write_all(bytes));
        }
        child
    }

    /// Waits for its end; panics if it failed.
    pub fn finish(&self, child: Child) {
        let output = child.wait_with_output().expect("its output");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{:?}: {}\n{said}", self.words, output.status);
    }

    pub fn run_under(&self, under: &[&str]) {
        self.finish(self.start(under));
    }

    /// The duration of a run, in milliseconds.
    pub fn time(&self) -> f64 {
        let started = Instant::now();
        self.run_under(&[]);
        started.elapsed().as_secs_f64() * 1e3
    }
}
