//! Running the programs under test.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread;

/// A run to be: no token, no address but the test's, no stdin unless it is said.
pub struct Run {
    pub command: Command,
    stdin: Option<Vec<u8>>,
}

/// A run that has ended.
#[derive(Debug)]
pub struct Ran {
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Run {
    pub fn new(program: &str, address: &str) -> Run {
        let mut command = Command::new(binary(program));
        let others = |name: &str| name.starts_with("CONSUL") || name.starts_with("DD_") || name == "STATE_DIRECTORY";
        for (name, _) in std::env::vars().filter(|(name, _)| others(name)) {
            command.env_remove(name);
        }
        command.env("CONSUL_HTTP_ADDR", address).env_remove("HTTP_PROXY").env_remove("http_proxy");
        Run { command, stdin: None }
    }

    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Run {
        self.command.arg(argument);
        self
    }

    pub fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Run {
        self.command.args(arguments);
        self
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Run {
        self.command.env(name, value);
        self
    }

    pub fn stdin(mut self, bytes: impl AsRef<[u8]>) -> Run {
        self.stdin = Some(bytes.as_ref().to_vec());
        self
    }

    /// As a watch's handler: with its payload, and its mark in the environment.
    pub fn payload(self, payload: impl AsRef<[u8]>) -> Run {
        self.stdin(payload).env("CONSUL_INDEX", "1")
    }

    /// Starts it, with stdin piped to it.
    pub fn spawn(mut self) -> Child {
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    pub fn run(mut self) -> Ran {
        let stdin = self.stdin.take();
        self.command.stdin(if stdin.is_some() { Stdio::piped() } else { Stdio::null() });
        let mut child = self.command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let writer = child.stdin.take().map(|mut pipe| {
            // It may end before it has read all: then the rest is lost, as in any pipeline.
            thread::spawn(move || drop(pipe.write_all(&stdin.unwrap_or_default())))
        });
        let output = child.wait_with_output().unwrap();
        if let Some(writer) = writer {
            writer.join().unwrap();
        }
        Ran::from(output)
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        Ran {
            status: output.status,
            stdout: output.stdout,
            stderr: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
        }
    }
}

impl Ran {
    /// The status is this one; what it said is shown if not.
    #[track_caller]
    pub fn expect(self, status: i32) -> Ran {
        assert_eq!(
            self.status.code(),
            Some(status),
            "status (signal {:?}); stderr:\n{}",
            self.status.signal(),
            self.stderr
        );
        self
    }

    /// stderr has all of these, in this order, and is one line.
    #[track_caller]
    pub fn says(self, parts: &[&str]) -> Ran {
        assert_eq!(self.stderr.lines().count(), 1, "one line on stderr, not:\n{}", self.stderr);
        let mut rest = self.stderr.as_str();
        for part in parts {
            match rest.find(part) {
                Some(at) => rest = &rest[at + part.len()..],
                None => panic!("no {part:?} (in this order) in:\n{}", self.stderr),
            }
        }
        self
    }

    /// Nothing on stderr.
    #[track_caller]
    pub fn is_silent(self) -> Ran {
        assert_eq!(self.stderr, "");
        self
    }

    pub fn out(&self) -> &str {
        std::str::from_utf8(&self.stdout).expect("stdout is UTF-8")
    }
}

/// One of ours, by its name; or whatever is at an absolute path.
pub fn binary(program: &str) -> PathBuf {
    match program {
        "kvx" => env!("CARGO_BIN_EXE_kvx").into(),
        "kvx-in" => env!("CARGO_BIN_EXE_kvx-in").into(),
        "kvx-out" => env!("CARGO_BIN_EXE_kvx-out").into(),
        path if path.starts_with('/') => path.into(),
        other => panic!("no program {other} of ours"),
    }
}

/// A copy of one of ours, where another user may run it. By `cp`: if this process had it open to write, a test that
/// starts a program at the same moment would pass that on, and the copy could not be run ("Text file busy").
pub fn copy_of(program: &str, to: &Path) {
    assert!(Command::new("cp").arg(binary(program)).arg(to).status().unwrap().success());
}

/// Writes a script that can be run. By another process, for the same reason as [`copy_of`].
pub fn script(path: &Path, text: &str) {
    let mut sh = Command::new("sh");
    sh.args(["-c", "mkdir -p \"${1%/*}\" && cat >\"$1\" && chmod 755 \"$1\"", "sh"]).arg(path).stdin(Stdio::piped());
    let mut child = sh.spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

/// PATH with our programs in front, for watches and pipelines.
pub fn path() -> OsString {
    let ours = binary("kvx-in").parent().unwrap().to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(std::iter::once(ours).chain(std::env::split_paths(&path))).unwrap()
}
