//! Handlers and signals. Promise 3: after an installation, the handler runs. Promise 6: kvx never waits forever.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use crate::common::proxy::Counter;
use crate::common::{self, Place, Ran, Run, SLACK, lines, run, wait_for};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;

/// A shell script as the handler, which finds `ready` and `runs` in its working directory.
fn with_handler(place: &Place, script: &str) -> common::Run {
    let mut run = place.kvx_out().args(["--handler-timeout", "60s", "--", "sh", "-c", &there(place, script)]);
    run.command.current_dir(place.path());
    run
}

/// Handlers run in `/`.
fn there(place: &Place, script: &str) -> String {
    format!("cd {}; {script}", place.path().display())
}

/// In the background, or under nohup, INT or HUP are ignored; and this would be inherited.
fn with_signals(mut run: common::Run) -> common::Run {
    let mut env = Command::new("env");
    env.arg("--default-signal=TERM,INT,HUP").arg(run.command.get_program()).args(run.command.get_args());
    env.envs(run.command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    env.current_dir(run.command.get_current_dir().unwrap());
    run.command = env;
    run
}

#[test]
fn a_signal_is_passed_on_the_handler_waited_for_and_still_pending() {
    for (signal, number) in [(Signal::SIGTERM, 15), (Signal::SIGINT, 2), (Signal::SIGHUP, 1)] {
        let place = Place::new();
        place.upload(lines(20));
        // The one tidies up and says that all is well, the other is ended by it. Neither has surely reloaded anything.
        let name = signal.as_str().trim_start_matches("SIG");
        let tidy = format!("trap 'echo tidied >> runs; exit 0' {name}; : >ready; while :; do :; done");
        let cases =
            [(tidy.as_str(), "exit status: 0".into()), (": >ready; exec sleep 60", format!("signal: {number}"))];
        for (script, ended) in cases {
            let child = with_signals(with_handler(&place, script)).spawn();
            wait_for("the handler", 10, || std::fs::remove_file(place.path().join("ready")).ok());
            kill(Pid::from_raw(child.id() as i32), signal).unwrap();
            let ran = Ran::from(child.wait_with_output().unwrap()).expect(1);
            ran.says(&["was interrupted by ", signal.as_str(), " (", &ended, "pending"]);
        }
        assert_eq!((place.runs(), place.content()), (vec!["tidied".into()], lines(20)));
    }
}

#[test]
fn a_signal_that_is_ignored_stays_ignored_for_the_handler_too() {
    let place = Place::new();
    place.upload(lines(20));
    let script = ": >ready; until test -e go; do :; done; echo done >> runs";
    let out = format!(
        "trap '' HUP; exec kvx-out -k {} -f {} --state-dir {} -- sh -c '{}'",
        place.key,
        place.file().display(),
        place.path().join("state").display(),
        there(&place, script)
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
fn signals_that_the_parent_blocked_keep_nothing_waiting() {
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
        assert!(started.elapsed() < SLACK, "it waited for the daemon, or the time limit");
        ran
    });
    ran.join().unwrap().expect(0).says(&["handler ran"]);
}

#[test]
fn a_stderr_without_a_reader_is_not_waited_for() {
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
fn each_line_of_output_is_marked_and_what_we_say_is_a_line_of_its_own() {
    let place = Place::new();
    place.upload(lines(20));
    let slow_line = "printf 'a '; sleep 0.1; printf 'line\\n\\nan open'; printf ' end' >&2";
    let ran = with_handler(&place, slow_line).run().expect(0);
    let said: Vec<&str> = ran.stderr.lines().collect();
    assert_eq!(said[..3], ["handler: a line", "handler: ", "handler: an open end"]);
    assert!(said[3].starts_with(&place.key) && said.len() == 4, "{}", ran.stderr);
}

#[test]
fn of_very_much_output_the_beginning_and_the_end_are_logged_and_memory_stays_small() {
    let place = Place::new();
    place.upload(lines(20));
    // 100 MB, within an address space of half of that.
    let script = "yes 012345678 | head -n 10000000; echo the cause >&2; exit 3";
    let run = with_handler(&place, script);
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -v 50000; exec \"$@\"", "sh"]).arg(run.command.get_program());
    limited.args(run.command.get_args()).env("CONSUL_HTTP_ADDR", &place.consul.address).current_dir(place.path());
    let ran = Ran::from(limited.output().unwrap()).expect(1);
    assert!((64 * 1024..128 * 1024).contains(&ran.stderr.len()), "{} bytes", ran.stderr.len());
    let said: Vec<&str> = ran.stderr.lines().collect();
    let left_out = said.iter().position(|line| line.ends_with(" left out)")).unwrap();
    assert_eq!(said[left_out], "handler: (99.9 MB left out)");
    assert!(said[..left_out - 1].iter().all(|line| *line == "handler: 012345678"));
    // The end of it, and our line, fit into what an agent keeps.
    assert!(ran.stderr.len() - ran.stderr.rfind("(99.9 MB").unwrap() < 4096);
    let [.., cause, summary] = said[..] else { panic!("{said:?}") };
    assert_eq!(cause, "handler: the cause");
    assert!(summary.contains("failed (exit status: 3)"), "{summary}");
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
    let mut run = place.kvx_out().args(["--handler-timeout", "2s", "--", "sh", "-c", &there(&place, script)]);
    run.command.current_dir(place.path());
    run.run().expect(1).says(&["took longer than 2s and was stopped", "pending"]);
    let pid = std::fs::read_to_string(place.path().join("child")).unwrap().trim().to_owned();
    wait_for("its child to end", 5, || {
        let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        (state.is_empty() || state.contains(") Z ")).then_some(())
    });
}

#[test]
fn a_handler_is_always_run_if_it_is_to_be_and_a_failure_of_it_is_pending() {
    let place = Place::new();
    place.upload(lines(20));
    let script = "echo $KVX_CHECKSUM >> runs; test ! -e down";
    let run = || with_handler(&place, script);
    let always = || {
        let mut run = place.kvx_out().args([
            "--handler-timeout",
            "20s",
            "--always-run",
            "--",
            "sh",
            "-c",
            &there(&place, script),
        ]);
        run.command.current_dir(place.path());
        run
    };
    always().run().expect(0).says(&["installed", "handler ran"]);
    always().run().expect(0).says(&["unchanged, handler ran in"]);
    always().payload(place.payload("checksum")).run().expect(0).says(&["unchanged, handler ran in"]);
    run().run().expect(0).is_silent();
    assert_eq!(place.runs().len(), 3);
    place.write("down", "");
    always().run().expect(1).says(&["failed", "pending"]);
    std::fs::remove_file(place.path().join("down")).unwrap();
    run().run().expect(0).says(&["unchanged, the pending handler ran"]);
    run().run().expect(0).is_silent();
    assert_eq!(place.runs().len(), 5);
    // What is stopped is left alone, the handler included.
    place.consul.put(&place.kv("stop"), "until Monday");
    always().run().expect(0).says(&["stopped"]);
    assert_eq!(place.runs().len(), 5);
    place.kvx_out().arg("--always-run").run().expect(64).says(&["--always-run without a handler"]);
}

#[test]
fn a_splay_is_always_the_same_for_a_host_and_a_key_and_comes_first() {
    let place = Place::new();
    let said = || {
        place.upload(lines(20 + place.runs().len()));
        let started = std::time::Instant::now();
        let run = place.kvx_out().args(["--splay", "400ms", "-v", "-e", &place.handler()]);
        let ran = run.payload(place.payload("checksum")).run().expect(0);
        let waited = ran.stderr.lines().next().unwrap().to_owned();
        let said = waited.strip_prefix(&format!("{}: waiting ", place.key)).unwrap();
        let said = said.strip_suffix(" (of 400ms, --splay)").unwrap();
        let share = humantime::parse_duration(said).unwrap();
        assert!(share <= std::time::Duration::from_millis(400) && started.elapsed() >= share);
        assert!(ran.stderr.lines().last().unwrap().contains("installed"), "{}", ran.stderr);
        waited
    };
    assert_eq!(said(), said());
    // Where there is nothing to do, nobody waits.
    place.kvx_out().args(["--splay", "24h"]).payload("null").run().expect(0).says(&["the key does not exist"]);
}

#[test]
fn what_a_splay_has_let_grow_old_is_asked_for_again() {
    let place = Place::new();
    place.upload(lines(20));
    let counter = Counter::to(&place.consul.address);
    let run = || place.kvx_out().args(["-s", &counter.address]).payload(place.payload(""));
    run().run().expect(0).says(&["installed"]);
    assert!(counter.requests().is_empty(), "the payload brings all of it");
    place.upload(lines(21));
    let run = run().args(["--splay", "1ms"]);
    // An operator stops it after it has fired.
    place.consul.put(&place.kv("stop"), "bad DNS");
    run.run().expect(0).says(&["stopped", "bad DNS"]);
    assert!(!counter.requests().is_empty());
    assert_eq!(place.content(), lines(20));
}

/// A file that is to be run, with this content and mode.
fn program(place: &Place, name: &str, content: impl AsRef<[u8]>, mode: u32) -> String {
    let path = place.write(name, content);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path.display().to_string()
}

#[test]
fn why_a_program_cannot_be_run_is_said_and_the_remedy_fits() {
    let place = Place::new();
    place.upload(lines(20));
    let dir = place.path().display();
    std::os::unix::fs::symlink("/nonexistent", place.path().join("dangling")).unwrap();
    let cases = [
        (
            program(&place, "no-interpreter", "#! /opt/none/sh -e\n", 0o755),
            "the interpreter /opt/none/sh, which does not exist",
        ),
        (
            program(&place, "from-windows", "#!/bin/sh\r\necho\r\n", 0o755),
            "carriage return, as on Windows; remove it: sed -i 's/\\r$//' /",
        ),
        (program(&place, "no-line", "echo x\n", 0o755), "does not name an interpreter; begin it with #!/bin/sh"),
        (program(&place, "empty", "", 0o755), "does not name an interpreter; begin it with #!/bin/sh"),
        (program(&place, "not-executable", "#!/bin/sh\n", 0o644), "this user cannot execute /"),
        (program(&place, "odd", "#!/\x1b[31m\u{202e}/x\n", 0o755), "the interpreter /\\x1b[31m\\u{202e}/x, which"),
        (program(&place, "elf", b"\x7fELF is no program", 0o755), "for another machine, or damaged"),
        (format!("{dir}/dangling"), "it is a link to a file that does not exist"),
        (format!("{dir}"), "it is a directory; name a program in it"),
        (format!("{dir}/no-line/x"), "a part of its path is not a directory"),
        (format!("{dir}/nothing"), "there is no such file; install it, or correct the path"),
        ("no-such-program".into(), "it is not in PATH; install it, or give its full path"),
    ];
    for (program, says) in &cases {
        place.kvx_out().args(["--", program]).run().expect(1).says(&["could not be run: ", "; ", says, "pending"]);
        place.kvx_in().args(["--", program]).run().expect(74).says(&["could not be run: ", "; ", says, "nothing was"]);
    }
    // Checks, and kvx unlock --run, by the same words.
    place.upload(lines(21));
    for (program, says) in &cases {
        place
            .kvx_out()
            .args(["--check", &format!("{program} {{}}")])
            .run()
            .expect(65)
            .says(&["could not be run: ", says]);
    }
    assert_eq!(place.content(), lines(20));
    // kvx has been installed without kvx-out, which has installed the file.
    let place = Place::new();
    place.upload(lines(20));
    place.kvx_out().run().expect(0);
    let kvx = place.path().join("kvx");
    common::run::copy_of("kvx", &kvx);
    let run = Run::new(kvx.to_str().unwrap(), &place.consul.address).args(["unlock", "--run", "--state-dir"]);
    let ran = run.arg(place.path().join("state")).arg("-f").arg(place.file()).run().expect(1);
    assert!(
        ran.stderr.contains("could not be run: ") && ran.stderr.contains("there is no such file"),
        "{}",
        ran.stderr
    );
}

#[test]
fn limits_of_the_system_are_named_where_a_program_cannot_be_run() {
    if !nix::unistd::geteuid().is_root() {
        common::skipped("only root can become another user");
        return;
    }
    let place = Place::new();
    place.upload(lines(20));
    let kvx_out = place.path().join("kvx-out");
    common::run::copy_of("kvx-out", &kvx_out);
    std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    for directory in ["out", "state"] {
        std::fs::create_dir_all(place.path().join(directory)).unwrap();
        std::os::unix::fs::chown(place.path().join(directory), Some(4242), Some(4242)).unwrap();
    }
    let as_another = |limits: &[&str]| {
        let mut run = Run::new("/usr/bin/setpriv", &place.consul.address);
        run = run.args(["--reuid", "4242", "--regid", "4242", "--clear-groups", "prlimit"]).args(limits).arg(&kvx_out);
        run = run.args(["-k", &place.key, "-f"]).arg(place.file()).arg("--state-dir").arg(place.path().join("state"));
        run.args(["-e", "true"])
    };
    as_another(&["--nproc=1"]).run().expect(1).says(&[
        "could not be run",
        "limit of processes",
        "ulimit -u",
        "pending",
    ]);
    as_another(&["--nofile=7"]).run().expect(1).says(&[
        "could not be run",
        "limit of open files",
        "ulimit -n",
        "pending",
    ]);
    as_another(&[]).run().expect(0).says(&["pending handler ran"]);
    assert_eq!(place.content(), lines(20));
    // A file system that no program is run from.
    let script = format!(
        "mount -t tmpfs -o noexec tmpfs {0}/out && printf '#!/bin/sh\n' >{0}/out/x && chmod 755 {0}/out/x && exec \"$@\"",
        place.path().display()
    );
    let mut unshare = Run::new("/usr/bin/unshare", &place.consul.address);
    unshare = unshare.args(["--mount", "sh", "-c", &script, "sh"]).arg(common::run::binary("kvx-out"));
    unshare = unshare.args(["-k", &place.key, "-f"]).arg(place.path().join("hosts")).arg("--state-dir");
    let ran = unshare.arg(place.path().join("state2")).arg("--").arg(place.path().join("out/x")).run();
    ran.expect(1).says(&["could not be run", "mounted with noexec", "pending"]);
}

#[test]
fn a_program_that_is_being_replaced_is_run_once_it_is_complete() {
    let place = Place::new();
    place.upload(lines(20));
    let handler = program(&place, "handler", "#!/bin/sh\n", 0o755);
    let open = std::fs::File::options().append(true).open(&handler).unwrap();
    place
        .kvx_out()
        .args(["--", &handler])
        .run()
        .expect(1)
        .says(&["another process has it open for writing", "pending"]);
    place.upload(lines(21));
    let child = place.kvx_out().args(["--", &handler]).spawn();
    wait_for("the file", 20, || (place.content() == lines(21)).then_some(())); // The handler is next.
    drop(open);
    Ran::from(child.wait_with_output().unwrap()).expect(0).says(&["installed", "handler ran"]);
}
