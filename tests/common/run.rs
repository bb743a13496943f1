//! Runs the programs under test.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread;

/// A run that is not started yet: without a token, with the test's address only, and with an empty stdin by default.
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

    /// The same, run as a watch's handler: with a payload, and with CONSUL_INDEX in the environment.
    pub fn payload(self, payload: impl AsRef<[u8]>) -> Run {
        self.stdin(payload).env("CONSUL_INDEX", "1")
    }

    /// Starts the run, with its stdin in a pipe.
    pub fn spawn(mut self) -> Child {
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    pub fn run(mut self) -> Ran {
        let stdin = self.stdin.take();
        self.command.stdin(if stdin.is_some() { Stdio::piped() } else { Stdio::null() });
        let mut child = self.command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let writer = child.stdin.take().map(|mut pipe| {
            // The error is ignored: the run may end before it has read everything, as in any pipeline.
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
    /// Asserts the exit status; prints stderr if it differs.
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

    /// Asserts that stderr is one line that contains all of these, in this order.
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

    /// Asserts that stderr is empty.
    #[track_caller]
    pub fn is_silent(self) -> Ran {
        assert_eq!(self.stderr, "");
        self
    }

    pub fn out(&self) -> &str {
        std::str::from_utf8(&self.stdout).expect("stdout is UTF-8")
    }
}

/// The path of a program of kvx by its name, or an absolute path unchanged.
pub fn binary(program: &str) -> PathBuf {
    match program {
        "kvx" => env!("CARGO_BIN_EXE_kvx").into(),
        "kvx-in" => env!("CARGO_BIN_EXE_kvx-in").into(),
        "kvx-out" => env!("CARGO_BIN_EXE_kvx-out").into(),
        path if path.starts_with('/') => path.into(),
        other => panic!("no program {other} of ours"),
    }
}

/// Copies a program of kvx to a place where another user can run it. `cp` does it: if this process had the copy open
/// for writing, a program that another test starts at that moment would inherit the descriptor, and the copy could not
/// be run ("Text file busy").
pub fn copy_of(program: &str, to: &Path) {
    assert!(Command::new("cp").arg(binary(program)).arg(to).status().unwrap().success());
}

/// Writes an executable script. Another process does it, for the same reason as in [`copy_of`].
pub fn script(path: &Path, text: &str) {
    let mut sh = Command::new("sh");
    sh.args(["-c", "mkdir -p \"${1%/*}\" && cat >\"$1\" && chmod 755 \"$1\"", "sh"]).arg(path).stdin(Stdio::piped());
    let mut child = sh.spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

/// PATH with kvx's programs in front, for watches and pipelines.
pub fn path() -> OsString {
    let ours = binary("kvx-in").parent().unwrap().to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(std::iter::once(ours).chain(std::env::split_paths(&path))).unwrap()
}
