//! kvx as the first process of a container, where signals have no default actions: TERM, INT and HUP end it as anywhere
//! else.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::busy::Busy;
use crate::common::{self, NO_AGENT, Place, Run, lines, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const SIGNALS: [(Signal, i32); 3] = [(Signal::SIGTERM, 143), (Signal::SIGINT, 130), (Signal::SIGHUP, 129)];

/// A run that is the init process of its own PID namespace.
struct Init {
    unshare: Child,
    stderr: BufReader<ChildStderr>,
    pid: Pid,
}

impl Init {
    fn start(run: Run) -> Init {
        let mut command = Command::new("unshare");
        command.args(["--fork", "--pid", "--mount-proc", "--kill-child", "env", "--default-signal=TERM,INT,HUP"]);
        command.arg(run.command.get_program()).args(run.command.get_args());
        for (name, value) in run.command.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut unshare = command.spawn().unwrap();
        let stderr = BufReader::new(unshare.stderr.take().unwrap());
        let children = format!("/proc/{0}/task/{0}/children", unshare.id());
        let pid = wait_for("the init process", 20, || std::fs::read_to_string(&children).unwrap().trim().parse().ok());
        Init { unshare, stderr, pid: Pid::from_raw(pid) }
    }

    /// Until it has said this.
    fn says(mut self, what: &str) -> Init {
        let mut line = String::new();
        while !line.contains(what) {
            line.clear();
            assert!(self.stderr.read_line(&mut line).unwrap() > 0, "it ended without saying {what:?}");
        }
        self
    }

    /// Until it sleeps in this system call.
    fn sleeps_in(self, call: &str) -> Init {
        let at = format!("/proc/{}/syscall", self.pid);
        wait_for("its system call", 20, || std::fs::read_to_string(&at).unwrap().starts_with(call).then_some(()));
        self
    }

    #[track_caller]
    fn ends_at_once(mut self, signal: Signal, status: i32) -> String {
        let told = Instant::now();
        kill(self.pid, signal).unwrap();
        let ended = wait_for("its end", 10, || self.unshare.try_wait().unwrap());
        assert_eq!(ended.code(), Some(status), "{signal}");
        assert!(told.elapsed() < Duration::from_secs(1), "{:?} for {signal}", told.elapsed());
        let mut said = String::new();
        self.stderr.read_to_string(&mut said).unwrap();
        said
    }
}

fn can_be_init() -> bool {
    let tried =
        Command::new("unshare").args(["--fork", "--pid", "--mount-proc", "true"]).stderr(Stdio::null()).status();
    let can = tried.is_ok_and(|status| status.success());
    if !can {
        common::skipped("no PID namespace can be made here");
    }
    can
}

#[test]
fn a_wait_for_a_key_ends() {
    if !can_be_init() {
        return;
    }
    let place = Place::new();
    for (signal, status) in SIGNALS {
        let run = place.kvx_out().args(["--wait", "60s", "-v", "-e", &place.handler()]);
        Init::start(run).says("is not in Consul yet").ends_at_once(signal, status);
    }
    assert!(place.names().is_empty() && place.runs().is_empty());
}

#[test]
fn a_wait_for_consul_ends_also_after_a_program_was_run() {
    if !can_be_init() {
        return;
    }
    let place = Place::new();
    for (signal, status) in SIGNALS {
        let out = place.kvx_out().args(["-s", NO_AGENT, "-v"]);
        Init::start(out).says("trying again").ends_at_once(signal, status);
        let upload = place.kvx_in().args(["-s", NO_AGENT, "-v", "--", "seq", "20"]);
        Init::start(upload).says("trying again").ends_at_once(signal, status);
    }
    assert!(place.names().is_empty());
}

/// The number of poll(2): its name is not told.
#[cfg(target_arch = "x86_64")]
#[test]
fn a_wait_for_stdin_ends() {
    if !can_be_init() {
        return;
    }
    let place = Place::new();
    for (signal, status) in SIGNALS {
        Init::start(place.kvx_in()).sleeps_in("7 ").ends_at_once(signal, status);
        Init::start(place.kvx_out().arg("--payload")).sleeps_in("7 ").ends_at_once(signal, status);
    }
    assert!(place.folder().is_empty() && place.names().is_empty());
}

#[test]
fn a_wait_for_the_files_lock_ends() {
    if !can_be_init() {
        return;
    }
    let place = Place::new();
    place.upload(lines(20));
    let busy = Busy::start(&place, "-e");
    for (signal, status) in SIGNALS {
        Init::start(place.kvx_out().arg("-v")).says("another run is busy with it").ends_at_once(signal, status);
    }
    busy.let_go().expect(0);
}

#[test]
fn a_handler_gets_the_signal_and_is_waited_for() {
    if !can_be_init() {
        return;
    }
    let place = Place::new();
    place.upload(lines(20));
    for (signal, _) in SIGNALS {
        let name = signal.as_str().trim_start_matches("SIG");
        let script = format!("trap 'echo tidied; exit 0' {name}; echo ready; while :; do :; done");
        let run = place.kvx_out().args(["--", "sh", "-c", &script]);
        let said = Init::start(run).says("handler: ready").ends_at_once(signal, 1);
        assert!(said.contains("handler: tidied") && said.contains("was interrupted by "), "{said}");
    }
    assert_eq!(place.content(), lines(20));
}
