//! Promise 3: what arrived is reloaded. Promise 6: it never waits for ever. Handlers, and the signals around them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
#![allow(clippy::arithmetic_side_effects, clippy::string_slice)]

mod common;

use std::process::{Command, Stdio};

use common::{Place, Ran, lines, run, wait_for};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;

/// A shell script as the handler, which finds `ready` and `runs` in its working directory.
fn with_handler(place: &Place, script: &str) -> common::Run {
    let mut run = place.kvx_out().args(["--handler-timeout", "20s", "--", "sh", "-c", script]);
    run.command.current_dir(place.path());
    run
}

#[test]
fn a_signal_is_passed_on_and_the_handler_waited_for() {
    for (signal, number) in [(Signal::SIGTERM, 15), (Signal::SIGINT, 2), (Signal::SIGHUP, 1)] {
        let place = Place::new();
        place.upload(lines(20));
        let name = signal.as_str().trim_start_matches("SIG");
        // The one tidies up and succeeds, the other is ended by it.
        let tidy = format!("trap 'echo tidied >> runs; exit 0' {name}; touch ready; while :; do :; done");
        let child = with_handler(&place, &tidy).spawn();
        wait_for("the handler", 10, || place.path().join("ready").exists().then_some(()));
        kill(Pid::from_raw(child.id() as i32), signal).unwrap();
        Ran::from(child.wait_with_output().unwrap()).expect(0).says(&["installed", "handler ran"]);
        assert_eq!(place.runs(), ["tidied"]);

        std::fs::remove_file(place.path().join("ready")).unwrap();
        let child = with_handler(&place, "touch ready; exec sleep 60").spawn();
        wait_for("the handler", 10, || place.path().join("ready").exists().then_some(()));
        kill(Pid::from_raw(child.id() as i32), signal).unwrap();
        let ended = Ran::from(child.wait_with_output().unwrap()).expect(1);
        ended.says(&["failed (signal: ", &number.to_string(), "owed"]);
    }
}

#[test]
fn a_signal_that_is_ignored_stays_ignored_for_the_handler_too() {
    let place = Place::new();
    place.upload(lines(20));
    let script = "touch ready; until test -e go; do :; done; echo done >> runs";
    let out = format!(
        "trap '' HUP; exec kvx-out -k {} -f {} --state-dir {} -- sh -c '{script}'",
        place.key,
        place.file().display(),
        place.path().join("state").display()
    );
    let mut sh = Command::new("sh");
    sh.args(["-c", &out]).env("PATH", run::path()).env("CONSUL_HTTP_ADDR", &place.consul.address);
    let child = sh.current_dir(place.path()).stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("the handler", 10, || place.path().join("ready").exists().then_some(()));
    kill(Pid::from_raw(child.id() as i32), Signal::SIGHUP).unwrap();
    place.write("go", "");
    Ran::from(child.wait_with_output().unwrap()).expect(0);
    assert_eq!(place.runs(), ["done"]);
}

#[test]
fn signals_that_were_blocked_by_whoever_started_it_keep_nothing_waiting() {
    let place = Place::new();
    place.upload(lines(20));
    // A daemon keeps the output open, so that only the end of the handler itself can be what is noticed.
    let run = with_handler(&place, "sleep 30 & echo done >> runs");
    let ran = std::thread::spawn(move || {
        let mut blocked = SigSet::empty();
        blocked.add(Signal::SIGCHLD);
        blocked.add(Signal::SIGTERM);
        blocked.thread_block().unwrap(); // Of this thread; what it starts inherits it.
        let started = std::time::Instant::now();
        let ran = run.run();
        assert!(started.elapsed().as_secs() < 15, "it waited for the time limit");
        ran
    });
    ran.join().unwrap().expect(0).says(&["handler ran"]);
}

#[test]
fn a_stderr_that_nobody_reads_is_not_waited_for() {
    let place = Place::new();
    place.upload(lines(20));
    let (reader, writer) = std::io::pipe().unwrap();
    let mut run = with_handler(&place, "yes | head -c 1000000; echo done >> runs");
    let mut child = run.command.stdin(Stdio::null()).stderr(writer).spawn().unwrap();
    drop(run);
    assert!(child.wait().unwrap().success());
    assert_eq!(place.runs(), ["done"]);
    drop(reader);
}

#[test]
fn a_stderr_that_is_read_slowly_does_not_keep_a_handler_alive() {
    let place = Place::new();
    place.upload(lines(20));
    let mut run = place.kvx_out().args(["--handler-timeout", "500ms", "--", "yes"]);
    let mut child = run.command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while std::io::Read::read(&mut stderr, &mut buffer).is_ok_and(|n| n > 0) {
            std::thread::sleep(std::time::Duration::from_millis(200)); // That is what is tried here.
        }
    });
    let status = wait_for("kvx-out to end", 15, || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(1));
    reader.join().unwrap();
}

#[test]
fn no_output_is_lost_and_memory_stays_small_however_much_it_is() {
    let place = Place::new();
    place.upload(lines(20));
    let mut run = with_handler(&place, "yes 0123456789 | head -n 1000000; echo end >&2");
    let mut child = run.command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut stderr, &mut text).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(text.lines().filter(|line| *line == "0123456789").count(), 1_000_000);
    assert!(text.lines().last().unwrap().contains("installed"), "the summary comes last");
}

#[test]
fn nothing_of_ours_is_open_in_the_handler() {
    let place = Place::new();
    place.upload(lines(20));
    with_handler(&place, "ls -l /proc/self/fd > open; cat /proc/self/status > status").run().expect(0);
    let open = std::fs::read_to_string(place.path().join("open")).unwrap();
    assert!(!open.contains("state/") && !open.contains("out/") && !open.contains("socket:"), "{open}");
    let status = std::fs::read_to_string(place.path().join("status")).unwrap();
    assert!(status.contains("SigBlk:\t0000000000000000"), "no signal is blocked in it:\n{status}");
}

#[test]
fn a_handler_that_ignores_term_is_killed_with_what_it_started() {
    let place = Place::new();
    place.upload(lines(20));
    let script = "trap '' TERM; sleep 4321 & echo $! > child; while :; do sleep 1; done";
    let mut run = place.kvx_out().args(["--handler-timeout", "200ms", "--", "sh", "-c", script]);
    run.command.current_dir(place.path());
    run.run().expect(1).says(&["took longer than 200ms and was stopped", "owed"]);
    let pid = std::fs::read_to_string(place.path().join("child")).unwrap().trim().to_owned();
    wait_for("its child to end", 5, || {
        let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        (state.is_empty() || state.contains(") Z ")).then_some(())
    });
}
