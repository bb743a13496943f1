//! A command line to be run, again and again, in an environment that is always the same.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// What is run, and what it reads.
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

    /// As a watch's handler.
    pub fn payload(self, payload: impl Into<Vec<u8>>) -> Job {
        Job { fired: true, ..self.stdin(payload) }
    }

    /// As a timer runs it.
    pub fn by_itself(self) -> Job {
        Job { stdin: None, fired: false, ..self }
    }

    /// Starts it under another program (whose words come first), or by itself, and has it read all of its stdin.
    pub fn start(&self, under: &[&str]) -> Child {
        let mut words = under.iter().copied().chain(self.words.iter().map(String::as_str));
        let mut command = Command::new(words.next().expect("a program"));
        // What cargo sets would have the loader look for libraries in many places.
        command.args(words).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        if self.fired {
            command.env("CONSUL_INDEX", "1");
        }
        command.stdin(if self.stdin.is_some() { Stdio::piped() } else { Stdio::null() });
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("a program to run");
        if let (Some(mut pipe), Some(bytes)) = (child.stdin.take(), &self.stdin) {
            // Some do not read it.
            drop(pipe.write_all(bytes));
        }
        child
    }

    /// Waits for its end, which is to be a good one.
    pub fn finish(&self, child: Child) {
        let output = child.wait_with_output().expect("its output");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{:?}: {}\n{said}", self.words, output.status);
    }

    pub fn run_under(&self, under: &[&str]) {
        self.finish(self.start(under));
    }

    /// How long it takes, in milliseconds.
    pub fn time(&self) -> f64 {
        let started = Instant::now();
        self.run_under(&[]);
        started.elapsed().as_secs_f64() * 1e3
    }
}
