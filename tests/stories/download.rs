//! The story of `kvx-out`. Promise 1: never a torn, short or unverified file. Promise 3: after an installation the
//! handler runs, and a pending handler is retried. Promise 4: without a change, nothing is done.

use std::os::unix::fs::{MetadataExt, symlink};

use crate::common::{self, Place, Run, SLACK, golden, lines, sha256};

/// Nothing was touched: the file as `content` says (none: not there), nothing beside it, no handler run.
#[track_caller]
pub fn assert_untouched(place: &Place, content: Option<&str>) {
    let names: &[&str] = if content.is_some() { &["hosts"] } else { &[] };
    assert_eq!(place.names(), names);
    assert_eq!(std::fs::read_to_string(place.file()).ok().as_deref(), content);
    assert!(place.runs().is_empty(), "a handler ran");
}

#[test]
fn installs_a_new_file_runs_the_handler_and_then_does_nothing() {
    let place = Place::new();
    place.upload(lines(600));
    let run = || place.kvx_out().args(["-e", &place.handler()]);
    let file = place.file().display().to_string();
    run().run().expect(0).says(&[
        &place.key,
        ": 600 lines, 2.2 KB, 4a0a1fde… installed in ",
        " ms as ",
        &file,
        ", handler ran in ",
    ]);
    assert_eq!((place.content(), place.mode(), place.names()), (lines(600), 0o640, vec!["hosts".into()]));
    assert_eq!(place.runs(), [format!("{} {}", place.key, sha256(lines(600)))]);
    let inode = std::fs::metadata(place.file()).unwrap().ino();
    run().run().expect(0).is_silent();
    run().arg("-v").run().expect(0).says(&[&place.key, &file, " unchanged, 4a0a1fde…"]);
    run().payload(place.payload("checksum")).run().expect(0).is_silent();
    assert_eq!(std::fs::metadata(place.file()).unwrap().ino(), inode);
    assert_eq!(place.runs().len(), 1);
}

#[test]
fn stopped_and_locked_are_meant_and_touch_nothing() {
    let place = Place::new();
    place.upload(lines(20));
    let lock = format!(
        "kvexpress/locks/{}/{}",
        sha256(place.file().to_str().unwrap()),
        nix::unistd::gethostname().unwrap().to_str().unwrap()
    );
    let run = || place.kvx_out().args(["-e", &place.handler()]);
    for (marker, says) in [(place.kv("stop"), "stopped"), (lock, "locked on this node")] {
        place.consul.put(&marker, "until Monday");
        run().run().expect(0).says(&[&place.key, says, "file left unchanged: until Monday", &marker]);
        run().payload(place.payload("checksum")).run().expect(0).says(&[says]);
        assert_untouched(&place, None);
        // What `echo | consul kv put` leaves: kvexpress respects it, too.
        place.consul.put(&marker, "\n");
        run().run().expect(0).says(&[says, "file left unchanged: no reason given", &marker]);
        assert_untouched(&place, None);
        place.consul.delete(&marker);
    }
    place.consul.put(&place.kv("stop"), "in the folder");
    run().payload(place.payload("")).run().expect(0).says(&["stopped", "in the folder"]);
    place.consul.put(&place.kv("stop"), "");
    let locked =
        place.write("out/hosts.locked", "To unlock '/x':\n\nsudo kvexpress unlock -f /x\n\nReason Locked: testing\n\n");
    for payload in [place.payload("checksum"), place.payload("")] {
        run().payload(payload).run().expect(0).says(&["locked on this node", "testing", "hosts.locked"]);
    }
    std::fs::remove_file(locked).unwrap();
    assert_untouched(&place, None);
    run().run().expect(0).says(&["installed"]);
    assert_eq!(place.runs().len(), 1);
}

#[test]
fn a_key_that_is_not_there_is_an_error_by_hand_but_not_by_payload() {
    let place = Place::new();
    place.kvx_out().run().expect(66).says(&[&place.key, "hosts", "there is no ", &place.kv("data"), "kvx-in", "-k"]);
    place.upload(lines(20));
    let payloads = ["checksum", "data", ""].map(|part| place.payload(part));
    for part in ["data", "checksum"] {
        place.consul.delete(&place.kv(part));
    }
    for payload in &payloads[..2] {
        place.kvx_out().payload(payload).run().expect(0).says(&["the key does not exist"]);
    }
    assert_untouched(&place, None);
}

#[test]
fn guards_refuse_what_is_too_short_or_too_large() {
    let place = Place::new();
    place.upload(lines(30));
    place.kvx_out().run().expect(0);
    let cases: [(&[&str], usize, &[&str]); 4] = [
        (&[], 3, &["has 3 lines, minimum 10", "-l"]),
        (&["-l", "100"], 40, &["has 40 lines, minimum 100"]),
        (&["--max-size", "100"], 100, &["the document is 292 B, maximum 100 bytes", "--max-size"]),
        (&[], 0, &["is empty", "-l"]),
    ];
    for (options, count, says) in cases {
        place.upload(lines(count));
        for payload in ["checksum", "data", ""].map(|part| place.payload(part)) {
            let ran = place.kvx_out().args(["-e", &place.handler()]).args(options).payload(payload).run().expect(65);
            ran.says(&[&place.key, place.file().to_str().unwrap()]).says(says);
            assert_untouched(&place, Some(&lines(30)));
        }
    }
    place.kvx_out().args(["-l", "0"]).run().expect(0).says(&["0 lines, 0 B", "installed"]);
    assert_eq!(place.content(), "");
}

#[test]
fn what_kvexpress_stored_compressed_is_read_without_an_option() {
    let stored: [(&[u8], u64); 4] = [
        (&golden::brotli(), 1),
        (golden::GZIP_BASE64.as_bytes(), 0),
        (golden::DOCUMENT.as_bytes(), 0),
        (golden::DOCUMENT.as_bytes(), 1), // Copied without its Flags being looked at: the checksum decides.
    ];
    for (data, flags) in stored {
        for part in ["checksum", "data", ""] {
            let place = Place::new();
            place.consul.put_flags(&place.kv("data"), data, flags);
            place.consul.put(&place.kv("checksum"), sha256(golden::DOCUMENT));
            place.kvx_out().payload(place.payload(part)).run().expect(0).says(&["12 lines", "installed"]);
            assert_eq!(place.content(), golden::DOCUMENT, "Flags {flags}");
        }
    }
}

#[test]
fn what_decodes_into_too_much_is_not_decoded() {
    let place = Place::new();
    place.consul.put_flags(&place.kv("data"), golden::bomb(), 1);
    place.consul.put(&place.kv("checksum"), golden::BOMB_CHECKSUM);
    place.kvx_out().args(["-l", "0", "--timeout", "3s"]).run().expect(75).says(&["torn"]);
    assert_untouched(&place, None);
}

#[test]
fn handlers_are_words_without_a_shell_or_an_exact_argv() {
    let place = Place::new();
    let runs = place.path().join("runs");
    let script = "printf '<%s>' \"$@\" >> \"$OUT\"; echo >> \"$OUT\"";
    let run = |count| {
        place.upload(lines(count));
        place.kvx_out().env("OUT", &runs)
    };
    run(20)
        .args(["-e", &format!("sh -c {} x 'two words' \"and \\\"quotes\\\"\" '$HOME' *", shell_words::quote(script))])
        .run()
        .expect(0);
    run(21).args(["--", "sh", "-c", script, "x", "-e", "", "two  words", "--", "$HOME"]).run().expect(0);
    assert_eq!(place.runs(), ["<two words><and \"quotes\"><$HOME><*>", "<-e><><two  words><--><$HOME>"]);
    run(22).args(["-e", "no-such-program --flag"]).run().expect(1).says(&[
        "`no-such-program --flag`",
        "could not be run",
        "No such file",
    ]);
    run(23).args(["--", "/"]).run().expect(1).says(&["could not be run", "Permission denied"]);
    assert_eq!(place.content(), lines(23));
}

#[test]
fn a_handler_that_takes_too_long_is_ended_with_all_it_started() {
    let place = Place::new();
    place.upload(lines(20));
    let script = "sleep 4321 & echo $! > \"$OUT\"; sleep 4321";
    let slow = place.kvx_out().env("OUT", place.path().join("pid")).args([
        "--handler-timeout",
        "2s",
        "--",
        "sh",
        "-c",
        script,
    ]);
    slow.run().expect(1).says(&["took longer than 2s", "--handler-timeout", "pending"]);
    let pid: i32 = std::fs::read_to_string(place.path().join("pid")).unwrap().trim().parse().unwrap();
    common::wait_for("the handler's child to end", 5, || {
        // A zombie is dead: who adopted it may be slow to notice.
        let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        (state.is_empty() || state.contains(") Z ")).then_some(())
    });
}

#[test]
fn a_daemon_that_the_handler_leaves_behind_is_not_waited_for() {
    let place = Place::new();
    place.upload(lines(20));
    let started = std::time::Instant::now();
    let ran = place
        .kvx_out()
        .args(["--", "sh", "-c", "echo to stderr >&2; echo to stdout; sleep 25 & exit 0"])
        .run()
        .expect(0);
    assert!(started.elapsed() < SLACK, "it waited for the daemon");
    assert_eq!(ran.out(), "", "a handler's output goes to stderr");
    let said: Vec<&str> = ran.stderr.lines().collect();
    assert_eq!(said[..2], ["handler: to stderr", "handler: to stdout"]);
    assert!(said[2].contains("installed"), "the summary comes last");
}

#[test]
fn to_stdout_goes_the_whole_document_or_nothing() {
    let place = Place::new();
    let run = || Run::new("kvx-out", &place.consul.address).args(["-k", &place.key, "-f", "-"]);
    run().run().expect(66);
    place.upload(lines(20));
    let ran = run().run().expect(0).is_silent();
    assert_eq!(ran.out(), lines(20));
    let ran = run().args(["-l", "21"]).run().expect(65).says(&["has 20 lines"]);
    assert_eq!(ran.out(), "");
    // A stop forbids to install, not to look: a pipeline gets no empty input with a status of 0.
    place.consul.put(&place.kv("stop"), "until Monday");
    let ran = run().run().expect(0).says(&["20 lines", "though the key is stopped: until Monday"]);
    assert_eq!(ran.out(), lines(20));
    run().args(["-e", "true"]).run().expect(64).says(&["-f -", "handler"]);
    assert_untouched(&place, None);
}

#[test]
fn what_a_killed_run_left_is_taken_away_by_the_next() {
    let place = Place::new();
    place.upload(lines(20));
    place.write("out/.hosts.kvx~", "half a document");
    place.kvx_out().run().expect(0).says(&["installed"]);
    assert_eq!((place.content(), place.names()), (lines(20), vec!["hosts".into()]));
    // A link there is not followed.
    let victim = place.write("victim", "untouched");
    symlink(&victim, place.path().join("out/.hosts.kvx~")).unwrap();
    place.upload(lines(21));
    place.kvx_out().run().expect(0).says(&["installed"]);
    assert_eq!((place.content(), std::fs::read_to_string(victim).unwrap()), (lines(21), "untouched".into()));
}

#[test]
fn a_file_that_another_run_is_busy_with_is_waited_for_but_not_for_ever() {
    let place = Place::new();
    place.upload(lines(20));
    place.kvx_out().run().expect(0);
    let state_file = std::fs::read_dir(place.path().join("state")).unwrap().next().unwrap().unwrap().path();
    let busy = std::fs::File::open(state_file).unwrap();
    busy.lock().unwrap();
    place.upload(lines(21));
    let impatient = place.kvx_out().args(["--timeout", "200ms", "--handler-timeout", "100ms"]).run().expect(75);
    impatient.says(&[&place.key, "another run has been busy", "300ms"]);
    assert_untouched(&place, Some(&lines(20)));
    let mut patient = place.kvx_out().arg("-v").spawn();
    let mut said = std::io::BufReader::new(patient.stderr.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut said, &mut line).unwrap();
    assert!(line.contains("another run is busy with it; waiting"), "{line}");
    busy.unlock().unwrap();
    assert!(patient.wait().unwrap().success());
    assert_eq!(place.content(), lines(21));
}

#[test]
fn what_a_killed_run_left_goes_even_if_there_is_nothing_to_do() {
    let place = Place::new();
    place.upload(lines(20));
    place.kvx_out().run().expect(0);
    place.write("out/.hosts.kvx~", "half");
    place.kvx_out().payload(place.payload("checksum")).run().expect(0).is_silent();
    assert_eq!(place.names(), ["hosts"]);
}

#[test]
fn a_lock_that_is_taken_away_while_it_is_waited_for_is_worth_nothing() {
    let place = Place::new();
    place.upload(lines(20));
    place.kvx_out().run().expect(0);
    let state_file = std::fs::read_dir(place.path().join("state")).unwrap().next().unwrap().unwrap().path();
    let busy = std::fs::File::open(&state_file).unwrap();
    busy.lock().unwrap();
    place.upload(lines(21));
    let mut patient = place.kvx_out().arg("-v").spawn();
    let mut said = std::io::BufReader::new(patient.stderr.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut said, &mut line).unwrap();
    std::fs::remove_file(&state_file).unwrap();
    busy.unlock().unwrap();
    assert!(patient.wait().unwrap().success());
    // It took the lock of a new one, and records in that.
    assert!(std::fs::read_to_string(&state_file).unwrap().contains(&sha256(lines(21))));
}

#[test]
fn a_marker_next_to_the_file_counts_unless_it_certainly_does_not_exist() {
    let place = Place::new();
    place.upload(lines(20));
    let marker = place.visible_marker();
    // What cannot be read may be a lock: nothing is installed, and it is no success.
    let unreadable = |says: &str| {
        place.kvx_out().run().expect(73).says(&["hosts: its lock cannot be read", says]);
        assert!(!place.file().exists());
    };
    std::fs::create_dir(&marker).unwrap();
    unreadable("hosts.locked is not a regular file; move it away");
    std::fs::remove_dir(&marker).unwrap();
    symlink("hosts.locked", &marker).unwrap();
    unreadable("symbolic links");
    std::fs::remove_file(&marker).unwrap();
    // A FIFO would keep a reader waiting for ever.
    nix::unistd::mkfifo(&marker, nix::sys::stat::Mode::S_IRWXU).unwrap();
    unreadable("hosts.locked is not a regular file");
    std::fs::remove_file(&marker).unwrap();
    std::fs::write(&marker, "").unwrap();
    place.kvx_out().run().expect(0).says(&["locked on this node", "no reason given", "hosts.locked"]);
    std::fs::write(&marker, "Reason Locked: \u{1b}[31mred ".to_owned() + &"x".repeat(300_000)).unwrap();
    let long = place.kvx_out().run().expect(0).says(&["locked on this node", "red xxx"]);
    assert!(long.stderr.len() < 1000 && !long.stderr.contains('\u{1b}'));
    place.consul.put(&place.kv("stop"), "y".repeat(100_000));
    std::fs::remove_file(&marker).unwrap();
    assert!(place.kvx_out().run().expect(0).says(&["stopped"]).stderr.len() < 1000);
}

#[test]
fn one_message_is_one_line_whatever_stands_in_it() {
    let place = Place::new();
    place.upload(lines(20));
    place.kvx_out().args(["--", "sh", "-c", "exit 3\n"]).run().expect(1).says(&["failed"]);
    place.kvx_out().args(["--", "a\nb\u{1b}[31m"]).run().expect(1).says(&["could not be run"]);
}

#[test]
fn a_reader_of_stdout_may_leave_early() {
    let place = Place::new();
    let document = lines(50_000);
    place.upload(&document);
    let script = format!("kvx-out -k {} -f - | head -n 1", place.key);
    let mut sh = std::process::Command::new("sh");
    sh.args(["-c", &script]).env("PATH", common::run::path()).env("CONSUL_HTTP_ADDR", &place.consul.address);
    let output = sh.output().unwrap();
    assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (b"1\n".as_slice(), b"".as_slice()));
}
