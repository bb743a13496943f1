//! Runs programs under strace: which system calls they make, and what happens after a fault at one of them.

use std::collections::HashMap;
use std::fmt;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::{Ran, Run};

/// The maximum duration of a run, in seconds: longer than every limit of the programs.
const LIMIT: u64 = 120;
const KILL: &str = "signal=KILL";
const INTERRUPTED: &str = "error=EINTR";
/// The calls that start another program.
const STARTS: [&str; 4] = ["clone", "clone3", "fork", "vfork"];

/// A fault at the `nth` call of this name.
#[derive(Clone, Debug)]
pub struct Fault {
    pub call: String,
    pub nth: usize,
    /// The fault in strace's syntax: `signal=KILL` before the call, or `error=EIO` instead of the call.
    pub what: &'static str,
    /// Whether all later calls of this name fail as well, as on a full disk.
    pub lasts: bool,
    /// Whether the program has started another program by then.
    pub late: bool,
}

impl Fault {
    pub fn kills(&self) -> bool {
        self.what == KILL
    }

    /// Whether the fault only means that the call has to be repeated.
    pub fn only_interrupts(&self) -> bool {
        self.what == INTERRUPTED
    }
}

/// The fault as strace's option.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:when={}{}", self.call, self.what, self.nth, if self.lasts { "+" } else { "" })
    }
}

/// A system call, as strace prints it.
#[derive(Clone, Debug)]
pub struct Call {
    pub name: String,
    pub line: String,
}

#[derive(Clone, Debug, PartialEq)]
pub enum End {
    Exited(i32),
    /// A signal killed it.
    Killed(String),
}

/// A traced run: the calls of the program itself, without its child processes.
#[derive(Debug)]
pub struct Trace {
    pub calls: Vec<Call>,
    pub end: End,
    pub stderr: String,
    /// The index of the first call that met the fault.
    pub at: Option<usize>,
    session: String,
}

impl Trace {
    /// Runs it under strace, which writes to `log`, in a session of its own. Waits for the program, but not for its
    /// child processes.
    pub fn of(run: Run, stdin: impl AsRef<[u8]>, options: &[&str], fault: Option<&Fault>, log: &Path) -> Trace {
        let mut command = Command::new("setsid");
        command.args(["timeout", "--signal=KILL", &LIMIT.to_string(), "strace", "-o"]).arg(log).args(options);
        command.args(fault.iter().flat_map(|fault| ["-e".into(), format!("inject={fault}")]));
        // cargo sets LD_LIBRARY_PATH for tests, which would make the loader search many directories.
        command.args(["-E", "LD_LIBRARY_PATH", "-E", "RUST_BACKTRACE"]);
        command.arg(run.command.get_program()).args(run.command.get_args());
        for (name, value) in run.command.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let started = Instant::now();
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let session = child.id().to_string();
        // The error is ignored: the run may end before it has read stdin.
        drop(child.stdin.take().unwrap().write_all(stdin.as_ref()));
        let stderr = Ran::from(child.wait_with_output().unwrap()).stderr;
        assert!(started.elapsed() < Duration::from_secs(LIMIT), "it does not end: {fault:?}, {stderr}");
        let text = String::from_utf8_lossy(&std::fs::read(log).unwrap()).into_owned();
        let calls: Vec<Call> = text.lines().filter_map(Call::parse).collect();
        let end = text.lines().last().and_then(End::parse).unwrap_or_else(|| panic!("no end: {stderr}\n{text}"));
        let at = match fault {
            Some(fault) if fault.kills() => (end == End::Killed("SIGKILL".into())).then(|| calls.len() - 1),
            _ => calls.iter().position(|call| call.line.ends_with("(INJECTED)")),
        };
        Trace { calls, end, stderr, at, session }
    }

    /// The faults that a run with these calls can meet: at each call a kill and errors, and errors at all calls from
    /// then on.
    pub fn faults(&self) -> Vec<Fault> {
        self.faults_from(0)
    }

    /// The same without the calls before kvx's own code. The loader's and those of Rust's standard library are the same for
    /// every command, and no request has been sent by then: `tests/faults/crash.rs` tries them.
    pub fn own_faults(&self) -> Vec<Fault> {
        self.faults_from(self.calls.iter().position(|call| call.name == OURS).expect("kvx's own code"))
    }

    /// The same from the call on whose line contains one of these. Where a large value is sent or received in many pieces,
    /// the first and the last of them are tried.
    pub fn faults_since(&self, parts: &[&str]) -> Vec<Fault> {
        let is_first = |call: &Call| parts.iter().any(|part| call.line.contains(part));
        self.faults_from(self.calls.iter().position(is_first).expect("such a call"))
    }

    /// Whether the call is between two pieces of the same large value.
    fn is_amid_pieces(&self, at: usize) -> bool {
        const PIECE: usize = 4096;
        let is_transfer = |call: &&Call| ["read", "recvfrom", "sendto"].contains(&call.name.as_str());
        let is_piece = |call: &Call| {
            let size = call.line.rsplit_once(" = ").and_then(|(_, size)| size.parse::<usize>().ok());
            is_transfer(&call) && size.is_some_and(|size| size >= PIECE)
        };
        let (before, call, after) = (&self.calls[..at], &self.calls[at], &self.calls[at + 1..]);
        let (before, after) = (before.iter().rev().find(is_transfer), after.iter().find(is_transfer));
        let around = before
            .zip(after)
            .is_some_and(|(before, after)| is_piece(before) && is_piece(after) && before.name == after.name);
        around && (!is_transfer(&call) || is_piece(call))
    }

    fn faults_from(&self, first: usize) -> Vec<Fault> {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        let mut faults = Vec::new();
        for (at, call) in self.calls.iter().enumerate() {
            let nth = *counts.entry(&call.name).and_modify(|n| *n += 1).or_insert(1);
            let late = STARTS.iter().any(|start| counts.contains_key(start));
            if at < first || first > 0 && self.is_amid_pieces(at) {
                continue;
            }
            let mut add = |what, lasts| faults.push(Fault { call: call.name.clone(), nth, what, lasts, late });
            if call.name != "execve" {
                add(KILL, false);
            }
            for error in call.errors() {
                add(error, false);
                if counts.contains_key(OURS) && *error != INTERRUPTED {
                    add(error, true);
                }
            }
        }
        faults
    }

    /// The call that met the fault.
    pub fn met(&self) -> &Call {
        &self.calls[self.at.expect("a fault that was met")]
    }

    /// Whether a call of this name was made up to the one that met the fault.
    fn had(&self, name: &str) -> bool {
        self.calls[..=self.at.expect("a fault that was met")].iter().any(|call| call.name == name)
    }

    /// Asserts that the run ended with a published status, and logged what it did or why it could not. That holds once
    /// kvx's own code runs. Before, the loader ends the process with 127, or with SIGSEGV if it has no memory for its
    /// message (its mmap). Then Rust's standard library aborts if it cannot poll stdin, stdout and stderr, ignore
    /// SIGPIPE (its first rt_sigaction), or make a stack for reporting a stack overflow (its mmap and mprotect, with a
    /// panic's message). After that, neither Rust nor libc ends the process: an allocator that gets no memory from brk
    /// uses mmap.
    pub fn assert_end_is_published(&self, fault: &Fault, case: &str) {
        let (call, by_loader, by_std) = (self.met(), !self.had("poll"), self.had("poll") && !self.had(OURS));
        assert!(!fault.only_interrupts() || !self.had(OURS) || self.end == End::Exited(0), "{case}");
        match &self.end {
            End::Exited(status @ (0 | 1 | 64..=78)) => {
                let line = self.stderr.lines().last().unwrap_or_default();
                let told = if *status == 0 { !line.is_empty() } else { line.starts_with("kvx") };
                assert!(told || self.is_mute(fault), "{case}");
            }
            End::Exited(127) => assert!(by_loader, "{case}"),
            End::Killed(signal) if signal == "SIGSEGV" => assert!(by_loader && call.name == "mmap", "{case}"),
            End::Killed(signal) if signal == "SIGABRT" => {
                let known = ["poll", "rt_sigaction", "mmap", "mprotect"].contains(&call.name.as_str());
                return assert!(by_std && known, "{case}");
            }
            _ => panic!("{case}"),
        }
        assert!(!self.stderr.contains("panicked"), "{case}");
    }

    /// Whether the fault prevents the run from writing to stderr.
    fn is_mute(&self, fault: &Fault) -> bool {
        // stderr is opened again for each line, and then has another descriptor.
        let again =
            |call: &Call| call.line.split_once("\"/proc/self/fd/2\"")?.1.rsplit_once(" = ").map(|(_, n)| n.to_owned());
        let mut number = "2".to_owned();
        let is_met = |call: &Call| {
            number = again(call).unwrap_or_else(|| number.clone());
            let of_stderr = [format!("write({number},"), "write(2,".into(), "poll([{fd=2,".into()];
            call.line.ends_with("(INJECTED)") && of_stderr.iter().any(|start| call.line.starts_with(start))
        };
        !fault.only_interrupts() && self.calls.iter().any(is_met)
    }

    /// The child processes that have not ended, from /proc. Killed processes and zombies do not count.
    pub fn left_running(&self) -> Vec<String> {
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let stats = processes.filter_map(|process| std::fs::read_to_string(process.path().join("stat")).ok());
        stats
            .filter(|stat| {
                // The fields of proc(5) from the state on. Checks PF_EXITING in the flags, and SIGKILL in the pending
                // signals.
                let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
                let has = |field: usize, bit: u64| fields[field].parse::<u64>().unwrap() & bit != 0;
                let ends = ["Z", "X"].contains(&fields[0]) || has(6, 4) || has(28, 1 << 8);
                fields[3] == self.session && !ends
            })
            .collect()
    }
}

/// The first system call of kvx's own code, which reads the process id for its random seed. Earlier calls are the
/// loader's and, from poll on, those of Rust's standard library.
const OURS: &str = "getpid";

impl Call {
    fn parse(line: &str) -> Option<Call> {
        let (name, _) = line.split_once('(')?;
        let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        is_name.then(|| Call { name: name.to_owned(), line: line.to_owned() })
    }

    /// The errors that are injected instead of the call; none for calls that do not return.
    fn errors(&self) -> &'static [&'static str] {
        match self.name.as_str() {
            "execve" | "exit_group" | "rt_sigreturn" => &[],
            "mkdir" | "mkdirat" | "rename" | "renameat" | "link" | "symlink" => {
                &["error=EIO", "error=EACCES", "error=ENOSPC"]
            }
            "openat2" => &["error=ENOSYS", "error=EACCES"], // Older kernels do not have openat2.
            "openat" if self.line.contains("O_CREAT") => &["error=EIO", "error=EACCES", "error=ENOSPC"],
            "write" if self.line.starts_with("write(2,") => &["error=EIO", INTERRUPTED],
            "write" | "pwrite64" | "ftruncate" | "fallocate" | "fsync" | "fdatasync" => &["error=EIO", "error=ENOSPC"],
            "openat" | "access" | "newfstatat" | "statx" | "readlink" | "readlinkat" | "getcwd" => {
                &["error=EIO", "error=EACCES"]
            }
            "unlink" | "unlinkat" | "rmdir" | "fchown" | "chown" | "fchmod" | "chmod" => &["error=EIO", "error=EACCES"],
            // No EINTR for files: a signal does not interrupt reading them, and libc would not repeat the call.
            "read" if !self.line.starts_with("read(0,") => &["error=EIO"],
            "poll" | "read" | "recvfrom" | "sendto" | "wait4" => &["error=EIO", INTERRUPTED],
            "mmap" | "mremap" | "mprotect" | "munmap" => &["error=ENOMEM"],
            "brk" => &["retval=0"], // brk has no errors: it returns the current break.
            name if STARTS.contains(&name) => &["error=EAGAIN"],
            _ => &["error=EIO"],
        }
    }
}

impl End {
    fn parse(line: &str) -> Option<End> {
        let line = line.strip_prefix("+++ ")?.strip_suffix(" +++")?;
        match line.strip_prefix("exited with ") {
            Some(status) => status.parse().ok().map(End::Exited),
            None => line.strip_prefix("killed by ")?.split(' ').next().map(|signal| End::Killed(signal.to_owned())),
        }
    }
}

/// The numbers of faults that were met and were not met.
#[derive(Default)]
pub struct Met {
    kills: AtomicUsize,
    errors: AtomicUsize,
    missed: AtomicUsize,
}

impl Met {
    /// Counts a fault. If it was met, the run has ended as it may: the case, for messages. Otherwise the run has done its work.
    #[track_caller]
    pub fn case(&self, fault: &Fault, trace: &Trace) -> Option<String> {
        self.count(fault, trace);
        if trace.at.is_none() {
            assert_eq!(trace.end, End::Exited(0), "without a fault: {}", trace.stderr);
            return None;
        }
        let case = format!("{fault}, {}\n{:?}, {:?}", trace.met().line, trace.end, trace.stderr);
        if !fault.kills() {
            trace.assert_end_is_published(fault, &case);
        }
        Some(case)
    }

    pub fn count(&self, fault: &Fault, trace: &Trace) {
        let counter = match trace.at {
            None => &self.missed,
            Some(_) if fault.kills() => &self.kills,
            Some(_) => &self.errors,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Prints the numbers, and panics if fewer than `at_least` faults were met.
    #[allow(clippy::print_stdout, reason = "seen with --nocapture")]
    pub fn tell(&self, scenario: &str, at_least: usize) {
        let [kills, errors, missed] = [&self.kills, &self.errors, &self.missed].map(|n| n.load(Ordering::Relaxed));
        println!("{scenario}: {kills} kills and {errors} errors met, {missed} not reached");
        assert!(kills + errors >= at_least, "{scenario}: only {kills} + {errors} faults were met");
    }
}

/// Panics if strace is missing, and says what to do.
pub fn needed() {
    let found = Command::new("strace").arg("--version").stdout(Stdio::null()).status();
    assert!(found.is_ok_and(|status| status.success()), "strace is not on PATH: install it (apt-get install strace)");
}
