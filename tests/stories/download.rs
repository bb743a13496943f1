//! Promise 1: never a torn, short or unverified file. Promise 3: what arrived is reloaded, and what is owed is paid.
//! Promise 4: nothing changed means nothing done. The story of `kvx-out`.

use std::os::unix::fs::{DirBuilderExt, MetadataExt, symlink};

use crate::common::{self, Place, Ran, Run, SLACK, golden, lines, read_stamp, sha256};

/// Nothing was touched: the file as `content` says (none: not there), nothing beside it, no handler run.
#[track_caller]
fn assert_untouched(place: &Place, content: Option<&str>) {
    let names: &[&str] = if content.is_some() { &["hosts"] } else { &[] };
    assert_eq!(place.beside(), names);
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
    assert_eq!((place.content(), place.mode(), place.beside()), (lines(600), 0o640, vec!["hosts".into()]));
    assert_eq!(place.runs(), [format!("{} {}", place.key, sha256(lines(600)))]);
    let inode = std::fs::metadata(place.file()).unwrap().ino();
    run().run().expect(0).is_silent();
    run().arg("-v").run().expect(0).says(&[&place.key, &file, " unchanged, 4a0a1fde…"]);
    run().payload(place.payload("checksum")).run().expect(0).is_silent();
    assert_eq!(std::fs::metadata(place.file()).unwrap().ino(), inode);
    assert_eq!(place.runs().len(), 1);
}

#[test]
fn every_kind_of_payload_brings_the_new_document() {
    let place = Place::new();
    for (round, part) in ["checksum", "data", ""].into_iter().cycle().take(6).enumerate() {
        let document = lines(20 + round);
        place.upload(&document);
        let payload = place.payload(part);
        // The payload names the key, unless -k does.
        let run = if round < 3 { place.kvx_out_bare() } else { place.kvx_out() };
        let round = run.payload(payload).run().expect(0);
        round.says(&[&place.key, "installed"]);
        assert_eq!(place.content(), document);
    }
}

#[test]
fn a_payload_is_read_when_a_watch_or_an_option_says_so_or_no_key_is_given() {
    let place = Place::new();
    place.upload(lines(20));
    let other = r#"{"Key":"kvexpress/other/checksum","ModifyIndex":1,"Value":null}"#;
    // Without -k and without CONSUL_INDEX.
    place.kvx_out_bare().stdin(place.payload("checksum")).run().expect(0).says(&[&place.key, "installed"]);
    // With --payload: null means that there is nothing to do.
    place.kvx_out().arg("--payload").stdin("null\n").run().expect(0).says(&["nothing there"]);
    // With -k alone it is not read: null means nothing.
    place.kvx_out().stdin("null\n").run().expect(0).is_silent();
    // With -k, what is another key's means only that something happened.
    place.upload(lines(21));
    place.kvx_out().payload(other).run().expect(0).says(&["21 lines", "installed"]);
}

#[test]
fn null_touches_nothing_and_is_no_failure() {
    let place = Place::new();
    place.upload(lines(20));
    place.kvx_out_bare().payload("null\n").run().expect(0).says(&["nothing there"]);
    place.kvx_out().payload("null\n").run().expect(0).says(&[&place.key, "nothing there", "stays as it is"]);
    assert_untouched(&place, None);
}

#[test]
fn with_a_key_any_other_stdin_only_means_that_something_happened() {
    let place = Place::new();
    let event = r#"[{"ID":"b5","Name":"deploy","Payload":null,"NodeFilter":"","Version":1,"LTime":4}]"#;
    let foreign = r#"[{"Key":"elsewhere/x","ModifyIndex":3,"Value":"eA=="}]"#;
    for (round, stdin) in
        ["", "\n", event, foreign, "no json", "{\"half\":", "[]", "{}", "[null]", "7"].into_iter().enumerate()
    {
        place.upload(lines(30 + round));
        place.kvx_out().payload(stdin).run().expect(0).says(&["installed"]);
        assert_eq!(place.content(), lines(30 + round), "{stdin}");
    }
}

#[test]
fn without_a_key_a_payload_that_names_none_is_refused() {
    let place = Place::new();
    let two = r#"[{"Key":"kvexpress/a/data","ModifyIndex":3,"Value":null},{"Key":"kvexpress/b/data","ModifyIndex":3,"Value":null}]"#;
    let cases = [
        ("", 65),
        ("no json", 65),
        ("{\"half\":", 65),
        (r#"[{"ID":"b5","Name":"deploy"}]"#, 65),
        (r#"{"Key":"kvexpress/x/checksum","ModifyIndex":"no number"}"#, 65),
        ("[]", 64),
        (r#"{"Key":"elsewhere/hosts/checksum","ModifyIndex":3,"Value":null}"#, 64),
        (r#"{"Key":"kvexpress/hosts","ModifyIndex":3,"Value":null}"#, 64),
        (r#"{"Key":"kvexpress/hosts/other","ModifyIndex":3,"Value":null}"#, 64),
        (r#"{"Key":"kvexpress/locks/x/data","ModifyIndex":3,"Value":null}"#, 64),
        (two, 64),
    ];
    for (payload, status) in cases {
        place.kvx_out_bare().payload(payload).run().expect(status).says(&["payload", "-k"]);
        assert_untouched(&place, None);
    }
}

#[test]
fn a_keyprefix_watch_on_a_folder_of_keys_brings_the_outer_key() {
    let place = Place::new();
    place.upload(lines(20));
    let inner = format!("{}/nginx", place.key);
    Run::new("kvx-in", &place.consul.address).args(["-k", &inner]).stdin(lines(99)).run().expect(0);
    place.kvx_out_bare().payload(place.payload("")).run().expect(0).says(&[&place.key, ": 20 lines"]);
    assert_eq!(place.content(), lines(20));
}

#[test]
fn another_prefix_is_split_off_too() {
    let place = Place::new();
    let prefix = format!("infra/{}", place.key);
    Run::new("kvx-in", &place.consul.address).args(["-p", &prefix, "-k", "web/app"]).stdin(lines(20)).run().expect(0);
    let payload = place.consul.watch_payload(&format!("{prefix}/web/app/checksum"));
    place.kvx_out_bare().payload(&payload).run().expect(64).says(&["kvexpress/", "-p"]);
    place
        .kvx_out_bare()
        .args(["-p", &format!("/{prefix}")])
        .payload(&payload)
        .run()
        .expect(0)
        .says(&["web/app: 20 lines"]);
}

#[test]
fn a_stdin_that_never_closes_hangs_nobody() {
    let place = Place::new();
    place.upload(lines(20));
    let with_open_stdin = |run: Run| {
        let mut child = run.spawn();
        let open = child.stdin.take();
        let ran = Ran::from(child.wait_with_output().unwrap());
        drop(open);
        ran
    };
    with_open_stdin(place.kvx_out()).expect(0).says(&["installed"]);
    for run in [place.kvx_out().arg("--payload"), place.kvx_out_bare(), place.kvx_out().env("CONSUL_INDEX", "7")] {
        with_open_stdin(run.args(["--timeout", "300ms"]))
            .expect(74)
            .says(&["payload on stdin has not ended within 300ms"]);
    }
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
    for (mark, says) in [(place.kv("stop"), "stopped"), (lock, "locked on this node")] {
        place.consul.put(&mark, "until Monday");
        run().run().expect(0).says(&[&place.key, says, "stays as it is: until Monday", &mark]);
        run().payload(place.payload("checksum")).run().expect(0).says(&[says]);
        assert_untouched(&place, None);
        // What `echo | consul kv put` leaves: kvexpress heeds it, too.
        place.consul.put(&mark, "\n");
        run().run().expect(0).says(&[says, "stays as it is: no reason given", &mark]);
        assert_untouched(&place, None);
        place.consul.delete(&mark);
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
        place.kvx_out().payload(payload).run().expect(0).says(&["nothing there"]);
    }
    assert_untouched(&place, None);
}

#[test]
fn guards_refuse_what_is_too_short_or_too_large() {
    let place = Place::new();
    place.upload(lines(30));
    place.kvx_out().run().expect(0);
    let cases: [(&[&str], usize, &[&str]); 4] = [
        (&[], 3, &["has 3 lines, at least 10 are wanted", "-l"]),
        (&["-l", "100"], 40, &["has 40 lines, at least 100"]),
        (&["--max-size", "100"], 100, &["the document is 292 B, at most 100 bytes", "--max-size"]),
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
fn what_kvexpress_stored_compressed_is_read_without_being_told() {
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
fn a_handler_that_failed_or_never_ran_is_owed_until_it_succeeds() {
    let place = Place::new();
    place.upload(lines(20));
    let allowed = place.path().join("allowed");
    let handler = format!(
        "sh -c 'test -e {} && echo \"$KVX_FILE\" >> {}'",
        allowed.display(),
        place.path().join("runs").display()
    );
    let run = || place.kvx_out().args(["-e", &handler]);
    run().run().expect(1).says(&[
        &place.key,
        place.file().to_str().unwrap(),
        "the handler `sh -c ",
        "failed (exit status: 1)",
        "20 lines",
        "in place",
        "owed",
    ]);
    assert_eq!(place.content(), lines(20));
    run().payload(place.payload("checksum")).run().expect(1);
    run().payload(place.payload("")).run().expect(1);
    place.write("allowed", "");
    run().payload(place.payload("checksum")).run().expect(0).says(&["unchanged, the handler that was owed ran"]);
    run().run().expect(0).is_silent();
    assert_eq!(place.runs(), [place.file().display().to_string()]);
}

#[test]
fn each_handler_of_a_file_is_owed_by_itself() {
    let place = Place::new();
    place.upload(lines(20));
    let other = format!("sh -c 'echo other >> {}'", place.path().join("runs").display());
    place.kvx_out().args(["-e", &place.handler()]).run().expect(0).says(&["installed"]);
    place.kvx_out().args(["-e", &other]).run().expect(0).says(&["owed"]);
    for handler in [&place.handler(), &other] {
        place.kvx_out().args(["-e", handler]).run().expect(0).is_silent();
    }
    assert_eq!(place.runs().len(), 2);
    // A run without a handler owes and pays nothing, but what it installs is owed to both.
    place.upload(lines(21));
    place.kvx_out().run().expect(0).says(&["installed"]);
    for handler in [&place.handler(), &other] {
        place.kvx_out().args(["-e", handler]).run().expect(0).says(&["owed"]);
    }
    assert_eq!(place.runs().len(), 4);
}

#[test]
fn going_back_to_the_document_before_is_a_change_too() {
    let place = Place::new();
    let run = || place.kvx_out().args(["-e", &place.handler()]);
    place.upload(lines(20));
    run().run().expect(0);
    // The next one is installed, but its handler is never run: as if kvx-out had been killed in between.
    place.upload(lines(21));
    place.kvx_out().run().expect(0);
    place.upload(lines(20));
    run().run().expect(0).says(&["installed", "handler ran"]);
    // Changed by hand and put right again: who reads the file may have read the other.
    std::fs::write(place.file(), "by hand").unwrap();
    run().run().expect(0).says(&["installed", "handler ran"]);
    assert_eq!(place.runs().len(), 3);
}

#[test]
fn a_lost_or_broken_stamp_is_one_reload_too_many_never_one_too_few() {
    let place = Place::new();
    place.upload(lines(20));
    let run = || place.kvx_out().args(["-e", &place.handler()]);
    run().run().expect(0);
    let stamp = std::fs::read_dir(place.path().join("state")).unwrap().next().unwrap().unwrap().path();
    let whole = std::fs::read(&stamp).unwrap();
    // The line alone, as it was once; and one that says other than was written.
    let line = &whole[..whole.iter().position(|&byte| byte == b'\n').unwrap()];
    let other = String::from_utf8_lossy(&whole).replacen("hosts", "Hosts", 1);
    let broken: [&[u8]; 7] = [b"", &whole[..whole.len() / 2], b"\0\0\0\0\0", b"{}", b"garbage", line, other.as_bytes()];
    for (round, broken) in broken.into_iter().enumerate() {
        std::fs::write(&stamp, broken).unwrap();
        run().payload(place.payload("checksum")).run().expect(0).says(&["owed"]);
        assert_eq!(place.runs().len(), 2 + round);
    }
    std::fs::remove_file(&stamp).unwrap();
    run().run().expect(0).says(&["owed"]);
    run().run().expect(0).is_silent();
    // Behind it, there may be more of a longer one.
    std::fs::write(&stamp, [whole.as_slice(), &whole[7..], &[0; 300_000]].concat()).unwrap();
    run().run().expect(0).is_silent();
}

#[test]
fn whatever_lies_in_the_place_of_a_stamp_is_not_waited_for() {
    let place = Place::new();
    place.upload(lines(20));
    place.kvx_out().run().expect(0);
    let stamp = place.stamp_file();
    std::fs::remove_file(&stamp).unwrap();
    nix::unistd::mkfifo(&stamp, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let handler = place.handler();
    place.kvx_out().args(["-e", &handler]).run().expect(0).says(&["owed", "ran in"]);
    place.kvx_out().args(["-e", &handler]).run().expect(0).is_silent();
    std::fs::remove_file(&stamp).unwrap();
    std::fs::create_dir(&stamp).unwrap();
    place.kvx_out().run().expect(73).says(&["the state of the file cannot be kept", "directory"]);
}

#[test]
fn a_command_line_is_remembered_whatever_stands_in_it() {
    let place = Place::new();
    place.upload(lines(20));
    // JSON takes six characters for each of these.
    let handler = ["--", "true", &"\u{1}".repeat(15_000)];
    place.kvx_out().args(handler).run().expect(0).says(&["handler ran"]);
    place.kvx_out().args(handler).run().expect(0).is_silent();
    assert!(std::fs::metadata(place.stamp_file()).unwrap().len() > 90_000);
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
    slow.run().expect(1).says(&["took longer than 2s", "--handler-timeout", "owed"]);
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
    assert_eq!((place.content(), place.beside()), (lines(20), vec!["hosts".into()]));
    // Somebody's link there is not followed.
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
    let stamp = std::fs::read_dir(place.path().join("state")).unwrap().next().unwrap().unwrap().path();
    let busy = std::fs::File::open(stamp).unwrap();
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
fn state_that_cannot_be_kept_is_an_error_before_anything_is_done() {
    let place = Place::new();
    place.upload(lines(20));
    let file = place.write("no-directory", "");
    for state in [file.clone(), file.join("below")] {
        let run = Run::new("kvx-out", &place.consul.address).args(["-k", &place.key, "-f"]).arg(place.file());
        run.arg("--state-dir").arg(&state).run().expect(73).says(&[
            &place.key,
            "no-directory",
            "Not a directory",
            "--state-dir",
        ]);
    }
    assert_untouched(&place, None);
}

#[test]
fn the_state_directory_is_systemds_or_the_users() {
    let place = Place::new();
    place.upload(lines(20));
    let run = || Run::new("kvx-out", &place.consul.address).args(["-k", &place.key, "-f"]).arg(place.file());
    let systemd = place.path().join("systemd");
    run().env("STATE_DIRECTORY", format!("{}:/elsewhere", systemd.display())).run().expect(0);
    let entry = std::fs::read_dir(&systemd).unwrap().next().unwrap().unwrap();
    assert_eq!(entry.metadata().unwrap().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(&systemd).unwrap().mode() & 0o777, 0o700);
    let stamp = read_stamp(&entry.path());
    assert_eq!(stamp["path"], place.file().to_str().unwrap());
    assert_eq!((&stamp["key"], &stamp["checksum"]), (&place.key.as_str().into(), &sha256(lines(20)).into()));
    assert_eq!(stamp["index"], place.consul.modify_index(&place.kv("checksum")));
}

#[test]
fn runs_that_do_not_share_a_state_directory_do_not_tear_each_others_file() {
    let place = Place::new();
    place.upload(lines(20));
    // Another run is just writing its file: it holds the lock of its directory.
    let directory = place.path().join("out/.hosts.kvx~");
    std::fs::DirBuilder::new().mode(0o700).create(&directory).unwrap();
    let temporary = place.write("out/.hosts.kvx~/new", "half");
    let theirs = std::fs::File::open(&directory).unwrap();
    theirs.lock().unwrap();
    place.kvx_out().args(["-e", &place.handler()]).run().expect(75).says(&[&place.key, "another run", "run it again"]);
    assert_eq!(std::fs::read_to_string(&temporary).unwrap(), "half", "it was taken from under the other's hands");
    assert_eq!((place.beside(), place.runs().len()), (vec![".hosts.kvx~".into()], 0));
    drop(theirs);
    place.kvx_out().args(["-e", &place.handler()]).run().expect(0).says(&["installed"]);
    assert_eq!((place.beside(), place.content()), (vec!["hosts".into()], lines(20)));
}

#[test]
fn what_a_killed_run_left_goes_even_if_there_is_nothing_to_do() {
    let place = Place::new();
    place.upload(lines(20));
    place.kvx_out().run().expect(0);
    place.write("out/.hosts.kvx~", "half");
    place.kvx_out().payload(place.payload("checksum")).run().expect(0).is_silent();
    assert_eq!(place.beside(), ["hosts"]);
}

#[test]
fn a_lock_that_is_taken_away_while_it_is_waited_for_is_worth_nothing() {
    let place = Place::new();
    place.upload(lines(20));
    place.kvx_out().run().expect(0);
    let stamp = std::fs::read_dir(place.path().join("state")).unwrap().next().unwrap().unwrap().path();
    let busy = std::fs::File::open(&stamp).unwrap();
    busy.lock().unwrap();
    place.upload(lines(21));
    let mut patient = place.kvx_out().arg("-v").spawn();
    let mut said = std::io::BufReader::new(patient.stderr.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut said, &mut line).unwrap();
    std::fs::remove_file(&stamp).unwrap();
    busy.unlock().unwrap();
    assert!(patient.wait().unwrap().success());
    // It took the lock of a new one, and remembers in that.
    assert!(std::fs::read_to_string(&stamp).unwrap().contains(&sha256(lines(21))));
}

#[test]
fn a_lock_beside_the_file_counts_unless_there_is_surely_none() {
    let place = Place::new();
    place.upload(lines(20));
    let mark = place.visible_mark();
    // What cannot be read may be a lock: nothing is installed, and it is no success.
    let unreadable = |says: &str| {
        place.kvx_out().run().expect(73).says(&["hosts: its lock cannot be read", says]);
        assert!(!place.file().exists());
    };
    std::fs::create_dir(&mark).unwrap();
    unreadable("hosts.locked is not a regular file; move it away");
    std::fs::remove_dir(&mark).unwrap();
    symlink("hosts.locked", &mark).unwrap();
    unreadable("symbolic links");
    std::fs::remove_file(&mark).unwrap();
    // A FIFO would keep a reader waiting for ever.
    nix::unistd::mkfifo(&mark, nix::sys::stat::Mode::S_IRWXU).unwrap();
    unreadable("hosts.locked is not a regular file");
    std::fs::remove_file(&mark).unwrap();
    std::fs::write(&mark, "").unwrap();
    place.kvx_out().run().expect(0).says(&["locked on this node", "no reason given", "hosts.locked"]);
    std::fs::write(&mark, "Reason Locked: \u{1b}[31mred ".to_owned() + &"x".repeat(300_000)).unwrap();
    let long = place.kvx_out().run().expect(0).says(&["locked on this node", "red xxx"]);
    assert!(long.stderr.len() < 1000 && !long.stderr.contains('\u{1b}'));
    place.consul.put(&place.kv("stop"), "y".repeat(100_000));
    std::fs::remove_file(&mark).unwrap();
    assert!(place.kvx_out().run().expect(0).says(&["stopped"]).stderr.len() < 1000);
}

#[test]
fn a_folder_that_may_be_another_keys_names_no_key() {
    let place = Place::new();
    let inner = format!("{}/nginx", place.key);
    Run::new("kvx-in", &place.consul.address).args(["-k", &inner]).stdin(lines(99)).run().expect(0);
    // A watch on the outer folder, in which nothing else is yet.
    let payload = place.payload("");
    place.kvx_out_bare().payload(&payload).run().expect(64).says(&["does not name one key", "-k"]);
    place.kvx_out().payload(&payload).run().expect(66).says(&["there is no", &place.kv("data")]);
    assert_untouched(&place, None);
    place.kvx_out_bare().args(["-k", &inner]).payload(&payload).run().expect(0).says(&["99 lines", "installed"]);
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
