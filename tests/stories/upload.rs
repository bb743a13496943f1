//! The story of `kvx-in`. Promise 2: data and checksum change together, and a torn pair is repaired. Promise 4: without
//! a change, nothing is done. Promise 5: bad input is one clear line, and nothing is lost.

use std::process::Stdio;

use crate::common::{self, Consul, Place, Run, lines, sha256, wait_for, whole_lines};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// What stands in Consul for the test's key, to assert that it stays.
fn state(place: &Place) -> [Option<serde_json::Value>; 2] {
    ["data", "checksum"].map(|part| place.consul.entry(&place.kv(part)))
}

#[test]
fn uploads_a_document_with_its_checksum_and_says_what_it_replaced() {
    let place = Place::new();
    let first = place.kvx_in().stdin(lines(600)).run().expect(0);
    first.says(&[&place.key, ": 600 lines, 2.2 KB, 4a0a1fde… uploaded, the first of this key"]);
    place.assert_pair_is_whole();
    place.kvx_in().stdin(lines(601)).run().expect(0).says(&["601 lines", "uploaded, in place of 4a0a1fde…"]);
    place.assert_pair_is_whole();
    assert_eq!(place.consul.text(&place.kv("data")), Some(lines(601)));
}

#[test]
fn an_unchanged_document_changes_nothing_and_is_not_worth_a_line() {
    let place = Place::new();
    place.upload(lines(20));
    let before = state(&place);
    place.kvx_in().stdin(lines(20)).run().expect(0).is_silent();
    place.kvx_in().arg("-v").stdin(lines(20)).run().expect(0).says(&["20 lines", "unchanged"]);
    assert_eq!(state(&place), before);
}

#[test]
fn quiet_says_nothing_but_errors() {
    let place = Place::new();
    place.kvx_in().arg("-q").stdin(lines(20)).run().expect(0).is_silent();
    place.assert_pair_is_whole();
    place.kvx_in().arg("-q").stdin("short\n").run().expect(65).says(&["has 1 line"]);
}

#[test]
fn the_document_comes_from_stdin_a_file_or_a_command() {
    let place = Place::new();
    let file = place.write("rendered", lines(11));
    place.kvx_in().arg("-f").arg(&file).run().expect(0).says(&["11 lines", "uploaded"]);
    place.kvx_in().args(["-f", "-"]).stdin(lines(12)).run().expect(0).says(&["12 lines", "uploaded"]);
    place.kvx_in().args(["--", "seq", "13"]).run().expect(0).says(&["13 lines", "uploaded"]);
    place.kvx_in().args(["--", "sh", "-c", "seq 14; exit 0"]).run().expect(0).says(&["14 lines", "uploaded"]);
    // The command has our stdin: it may be a filter.
    place.kvx_in().args(["--", "sort", "-n"]).stdin(lines(15)).run().expect(0).says(&["15 lines", "uploaded"]);
    place.assert_pair_is_whole();
}

#[test]
fn a_command_counts_only_if_it_succeeds() {
    let place = Place::new();
    place.upload(lines(20));
    let before = state(&place);
    let failing: [(&[&str], i32, &[&str]); 7] = [
        (&["sh", "-c", "seq 5000; exit 3"], 74, &["`sh` failed (exit status: 3)", "nothing was uploaded"]),
        (&["sh", "-c", "seq 50; kill -9 $$"], 74, &["failed (signal: 9", "nothing was uploaded"]),
        (&["./no-such-program"], 74, &["could not be run", "No such file"]),
        (&["sh", "-c", "seq 50; exec sleep 600"], 74, &["took longer than 1s", "--timeout"]),
        (&["yes"], 65, &["output of `yes`", "too large", "524288 bytes", "--max-size"]),
        (&["sh", "-c", "trap '' TERM; exec yes"], 65, &["too large", "--max-size"]),
        (&["sh", "-c", "seq 50; sleep 60 & exit 0"], 74, &["has exited, but a program that it started", "after 1s"]),
    ];
    for (command, status, says) in failing {
        let ran = place.kvx_in().args(["--timeout", "1s", "--"]).args(command).run().expect(status);
        ran.says(&[&place.key]).says(says);
        assert_eq!(state(&place), before, "{command:?}");
    }
}

#[test]
fn the_output_of_a_command_is_all_that_anybody_it_started_writes() {
    let place = Place::new();
    let late = "seq 10; (until test -e go; do sleep 0.01; done; seq 11 1000) & exit 0";
    let mut run = place.kvx_in().args(["--", "sh", "-c", late]);
    run.command.current_dir(place.path());
    let child = run.spawn();
    // Its first process has exited by now, or will: either way the rest belongs to it.
    place.write("go", "");
    common::Ran::from(child.wait_with_output().unwrap()).expect(0).says(&["1000 lines", "uploaded"]);
    // A daemon that does not hold the output is none of ours.
    place.kvx_in().args(["--", "sh", "-c", "seq 20; sleep 25 >&- 2>&- & exit 0"]).run().expect(0).says(&["20 lines"]);
}

#[test]
fn a_command_that_was_terminated_uploads_nothing_even_if_it_exits_with_0() {
    let place = Place::new();
    let script = "trap 'exit 0' TERM; seq 20; echo ready > ready; while :; do :; done";
    let mut run = place.kvx_in().args(["--", "sh", "-c", script]);
    run.command.current_dir(place.path());
    let child = run.spawn();
    wait_for("the command", 10, || place.path().join("ready").exists().then_some(()));
    kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).unwrap();
    common::Ran::from(child.wait_with_output().unwrap()).expect(74).says(&["was told to end (SIGTERM)"]);
    assert_eq!(place.consul.get(&place.kv("data")), None);
}

#[test]
fn input_that_cannot_be_read_is_74_and_nothing_is_uploaded() {
    let place = Place::new();
    place.upload(lines(20));
    let before = state(&place);
    place.kvx_in().args(["-f", "/nonexistent/file"]).run().expect(74).says(&["/nonexistent/file", "No such file"]);
    place.kvx_in().args(["-f", "/"]).run().expect(74).says(&["/", "Is a directory"]);
    let fifo = place.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let never_written = place.kvx_in().args(["--timeout", "300ms", "-f"]).arg(&fifo).run().expect(74);
    never_written.says(&["fifo", "has not ended within 300ms", "--timeout"]);
    assert_eq!(state(&place), before);
}

#[test]
fn a_stdin_that_never_closes_is_not_waited_for_for_ever() {
    let place = Place::new();
    let mut child = place.kvx_in().args(["--timeout", "300ms"]).spawn();
    let open = child.stdin.take();
    let ran = common::Ran::from(child.wait_with_output().unwrap());
    drop(open);
    ran.expect(74).says(&["stdin has not ended within 300ms", "--timeout"]);
    assert_eq!(place.consul.get(&place.kv("data")), None);
}

#[test]
fn an_empty_input_is_refused_with_the_likely_cause_unless_it_is_meant() {
    let place = Place::new();
    place.kvx_in().stdin("").run().expect(65).says(&["stdin was empty", "did you forget `< FILE`?", "-l 0"]);
    place.kvx_in().args(["-l", "1"]).stdin("").run().expect(65).says(&["stdin was empty"]);
    let file = place.write("empty", "");
    place.kvx_in().arg("-f").arg(file).run().expect(65).says(&["the document is empty", "minimum 10", "-l"]);
    assert_eq!(place.consul.get(&place.kv("data")), None);
    place.kvx_in().args(["-l", "0"]).stdin("").run().expect(0).says(&["0 lines, 0 B", "uploaded"]);
    place.assert_pair_is_whole();
}

#[test]
fn guards_refuse_what_is_too_short_or_too_large() {
    let place = Place::new();
    // Lines are counted as kvexpress counts: newlines, or one where there is none.
    let cases: [(&str, String, Option<&str>); 7] = [
        ("10", lines(10), None),
        ("10", lines(9), Some("has 9 lines, minimum 10")),
        ("10", lines(10).trim_end().to_owned(), Some("has 9 lines")),
        ("1", "no newline".into(), None),
        ("2", "no newline".into(), Some("has 1 line,")),
        ("601", lines(600), Some("has 600 lines, minimum 601")),
        ("600", lines(600), None),
    ];
    for (least, document, refused) in cases {
        let ran = place.kvx_in().args(["-l", least]).stdin(&document).run();
        match refused {
            None => drop(ran.expect(0)),
            Some(why) => drop(ran.expect(65).says(&[&place.key, why, "-l"])),
        }
    }
    let before = state(&place);
    place.kvx_in().args(["--max-size", "1K"]).stdin(lines(600)).run().expect(65).says(&[
        "too large",
        "1024 bytes",
        "--max-size",
    ]);
    assert_eq!(state(&place), before);
    place.kvx_in().args(["--max-size", "1K"]).stdin("\n".repeat(1024)).run().expect(0);
}

#[test]
fn every_byte_arrives_as_it_was() {
    let place = Place::new();
    let every_byte: Vec<u8> = (0..=255).cycle().take(5000).collect();
    let documents: [&[u8]; 7] =
        [&every_byte, b"no final newline", b"\r\n\r\n", b"\n\n\n", b"\0", b"", "\u{feff}äöü €\n".as_bytes()];
    for document in documents {
        place.upload(document);
        assert_eq!(place.consul.get(&place.kv("data")).as_deref(), Some(document));
        place.assert_pair_is_whole();
        place.kvx_out().args(["-l", "0"]).run().expect(0);
        assert_eq!(std::fs::read(place.file()).unwrap(), document);
    }
}

#[test]
fn keys_and_prefixes_may_be_named_as_people_name_them() {
    let place = Place::new();
    let unique = &place.key;
    for name in
        ["with/slashes/in it", "blank s", "100%", "%2F", "héllo-日本", "a+b&c=d?e#f", "dots..and.dots", "~._-", "\"q\""]
    {
        let key = format!("{unique}/{name}");
        let document = lines(12) + name;
        let ours = |program| Run::new(program, &place.consul.address).args(["-k", &key]);
        ours("kvx-in").stdin(&document).run().expect(0).says(&[&key, "uploaded"]);
        assert_eq!(place.consul.text(&format!("kvexpress/{key}/data")).as_deref(), Some(&*document), "{name}");
        ours("kvx-in").stdin(&document).run().expect(0).is_silent();
        let out = place.kvx_out_bare().args(["-k", &key]).run().expect(0);
        out.says(&[&key, "installed"]);
        assert_eq!(place.content(), document);
        // A value so large that the key stands in a URL.
        let large = "x".repeat(400_000);
        ours("kvx-in").args(["-l", "0"]).stdin(&large).run().expect(0).says(&[&key, "uploaded"]);
        assert_eq!(place.consul.text(&format!("kvexpress/{key}/data")).as_deref(), Some(&*large), "{name}");
    }
    let elsewhere = format!("/infra/{unique}/");
    Run::new("kvx-in", &place.consul.address)
        .args(["-p", &elsewhere, "-k", "/hosts/"])
        .stdin(lines(10))
        .run()
        .expect(0);
    assert_eq!(place.consul.text(&format!("infra/{unique}/hosts/data")), Some(lines(10)));
}

#[test]
fn expect_replaces_only_the_document_that_is_expected() {
    let place = Place::new();
    let (first, second, third) = (lines(11), lines(12), lines(13));
    let expecting = |checksum: &str| place.kvx_in().args(["--expect", checksum]);
    expecting(&sha256(&first)).stdin(&second).run().expect(75).says(&["does not exist", "--expect"]);
    assert_eq!(state(&place), [None, None]);
    place.upload(&first);
    let before = state(&place);
    expecting(&sha256(&second)).stdin(&third).run().expect(75).says(&[
        "holds",
        &sha256(&first),
        "not",
        &sha256(&second),
    ]);
    assert_eq!(state(&place), before);
    expecting(&sha256(&first).to_uppercase()).stdin(&second).run().expect(0).says(&["uploaded, in place of"]);
    // Done already is done, whatever was there before.
    expecting(&sha256(&first)).stdin(&second).run().expect(0).is_silent();
    place.consul.put(&place.kv("data"), "edited by hand");
    expecting(&sha256(&second)).stdin(&third).run().expect(75).says(&["is torn"]);
    assert_eq!(place.consul.text(&place.kv("data")).as_deref(), Some("edited by hand"));
}

#[test]
fn a_dry_run_shows_the_difference_and_sends_nothing() {
    let place = Place::new();
    let first = place.kvx_in().arg("-n").stdin(lines(12)).run().expect(0);
    assert!(first.out().contains("+12\n") && !first.out().contains("\n-"), "{}", first.out());
    assert_eq!(state(&place), [None, None]);
    place.upload(lines(12));
    let before = state(&place);
    let changed = place.kvx_in().arg("--dry-run").stdin(lines(12).replace("7\n", "seven\n")).run().expect(0);
    let data = place.kv("data");
    assert_eq!(
        changed.out(),
        format!(
            "--- {data} (in Consul)\n+++ {data} (to upload)\n@@ -4,7 +4,7 @@\n 4\n 5\n 6\n-7\n+seven\n 8\n 9\n 10\n"
        )
    );
    changed.says(&["would be uploaded"]);
    let unchanged = place.kvx_in().arg("-n").stdin(lines(12)).run().expect(0).says(&["unchanged"]);
    assert_eq!(unchanged.out(), "");
    place.consul.put(&place.kv("stop"), "until Monday");
    let stopped = place.kvx_in().arg("-n").stdin(lines(13)).run().expect(0);
    assert!(stopped.out().ends_with("+13\n"));
    stopped.says(&["would be uploaded, but is stopped: until Monday", &place.kv("stop")]);
    place.consul.delete(&place.kv("stop"));
    place.kvx_in().arg("-n").stdin(lines(2)).run().expect(65);
    // What cannot be shown is an error; a reader that has seen enough is none.
    let full = |stdout: &str| {
        let run = format!("seq 30 | kvx-in -q -n -k {} {stdout}", place.key);
        let mut sh = std::process::Command::new("sh");
        sh.args(["-c", &run]).env("PATH", common::run::path()).env("CONSUL_HTTP_ADDR", &place.consul.address);
        sh.output().unwrap().status.code()
    };
    assert_eq!((full("> /dev/full"), full("| true")), (Some(73), Some(0)));
    assert_eq!(state(&place), before);
}

#[test]
fn the_difference_of_two_files_that_have_nothing_in_common_is_shown_too() {
    let place = Place::new();
    // Quadratic, this would take minutes.
    let scattered =
        |seed: u64| -> String { (0..60_000u64).map(|n| format!("{}\n", (n * 7_919 + seed) % 99_991)).collect() };
    place.upload(scattered(1));
    let ran = place.kvx_in().arg("-n").stdin(scattered(50_000)).run().expect(0);
    assert!(ran.out().lines().count() > 1000);
}

#[test]
fn a_stopped_key_is_left_alone_and_that_is_no_failure() {
    let place = Place::new();
    place.upload(lines(20));
    place.consul.put(&place.kv("stop"), "migration\nuntil Monday");
    let before = state(&place);
    let stopped = place.kvx_in().stdin(lines(21)).run().expect(0);
    stopped.says(&["stopped, nothing uploaded: migration until Monday", &place.kv("stop")]);
    place.kvx_in().stdin(lines(20)).run().expect(0).is_silent();
    assert_eq!(state(&place), before);
    // An empty one means not stopped, as for kvexpress.
    place.consul.put(&place.kv("stop"), "");
    place.kvx_in().stdin(lines(21)).run().expect(0).says(&["uploaded"]);
}

#[test]
fn a_torn_pair_is_repaired_and_its_watches_fire() {
    let ours = lines(20);
    let theirs = lines(30);
    let cases: [(&str, Option<&str>, Option<String>); 7] = [
        ("data of another upload", Some(&theirs), Some(sha256("something else"))),
        ("our data, not its checksum", Some(&ours), Some(sha256(&theirs))),
        ("our checksum, not its data", Some(&theirs), Some(sha256(&ours))),
        ("our data alone", Some(&ours), None),
        ("our checksum alone", None, Some(sha256(&ours))),
        ("a checksum that is none", Some(&ours), Some("not a checksum".into())),
        ("an empty checksum", Some(&ours), Some(String::new())),
    ];
    for (name, data, checksum) in cases {
        let place = Place::new();
        let put = |part, value: Option<&str>| {
            if let Some(value) = value {
                place.consul.put(&place.kv(part), value);
            }
        };
        put("data", data);
        put("checksum", checksum.as_deref());
        let before = place.consul.entry(&place.kv("checksum")).map(|entry| entry["ModifyIndex"].as_u64().unwrap());
        place.kvx_in().stdin(&ours).run().expect(0).says(&["uploaded, in place of a torn pair"]);
        place.assert_pair_is_whole();
        assert_eq!(place.consul.text(&place.kv("data")).as_deref(), Some(&*ours), "{name}");
        let after = place.consul.modify_index(&place.kv("checksum"));
        assert!(before.is_none_or(|before| before < after), "{name}: a watch on the checksum would not have fired");
    }
}

#[test]
fn a_watch_wakes_up_when_a_torn_pair_gets_the_checksum_it_had() {
    let place = Place::new();
    place.consul.put(&place.kv("data"), "torn");
    place.consul.put(&place.kv("checksum"), sha256(lines(20)));
    let fired = place.path().join("fired");
    let script = format!("cat >> {}", fired.display());
    let key = format!("-key={}", place.kv("checksum"));
    let mut watch = place.consul.command(&["watch", "-type=key", &key, &script]);
    let mut watch = watch.stdin(Stdio::null()).spawn().unwrap();
    let fires = || whole_lines(&fired).len();
    wait_for("the first fire", 10, || (fires() == 1).then_some(()));
    place.kvx_in().stdin(lines(20)).run().expect(0);
    wait_for("the second fire", 10, || (fires() == 2).then_some(()));
    watch.kill().unwrap();
    watch.wait().unwrap();
}

#[test]
fn documents_at_and_around_every_limit_arrive_whole() {
    let place = Place::new();
    // A transaction's JSON body may have 524,288 bytes, and so may a value.
    for size in [390_000, 392_900, 393_000, 393_100, 393_216, 400_000, 524_287, 524_288] {
        let document = document(size, 'a');
        let ran = place.kvx_in().args(["-l", "0"]).stdin(&document).run().expect(0);
        ran.says(&[&place.key, "uploaded"]);
        assert_eq!(place.consul.text(&place.kv("data")), Some(document.clone()), "{size}");
        place.assert_pair_is_whole();
        place.kvx_in().args(["-l", "0"]).stdin(&document).run().expect(0).is_silent();
        place.kvx_out().args(["-l", "0"]).run().expect(0);
        assert_eq!(place.content(), document, "{size}");
    }
    let before = state(&place);
    // Nobody is at this address: it is refused before anything is sent.
    let nobody = Run::new("kvx-in", "127.0.0.1:1").args(["-k", &place.key, "-l", "0"]);
    nobody.stdin(document(524_289, 'b')).run().expect(65).says(&["too large", "524288 bytes", "--max-size"]);
    // Who allows more is told by Consul.
    let too_large = place.kvx_in().args(["-l", "0", "--max-size", "1M"]).stdin(document(524_289, 'b')).run().expect(65);
    too_large.says(&["too large for Consul", "HTTP 413", "kv_max_value_size"]);
    assert_eq!(state(&place), before);
}

fn document(size: usize, letter: char) -> String {
    letter.to_string().repeat(size - 1) + "\n"
}

#[test]
fn a_large_document_repairs_a_torn_pair_too() {
    let ours = document(450_000, 'a');
    for (name, data, checksum) in [
        ("nothing of ours", "theirs".to_owned(), sha256("else")),
        ("died after its first step", ours.clone(), sha256("theirs")),
        ("our checksum", "theirs".to_owned(), sha256(&ours)),
    ] {
        let place = Place::new();
        place.consul.put(&place.kv("data"), data);
        place.consul.put(&place.kv("checksum"), checksum);
        let before = place.consul.modify_index(&place.kv("checksum"));
        place.kvx_in().args(["-l", "0"]).stdin(&ours).run().expect(0).says(&["uploaded, in place of a torn pair"]);
        place.assert_pair_is_whole();
        assert!(place.consul.modify_index(&place.kv("checksum")) > before, "{name}: no watch would fire");
    }
}

#[test]
fn where_consul_stores_more_more_may_be_uploaded() {
    let config = r#"{ "limits": { "kv_max_value_size": 2000000, "txn_max_req_len": 1000000 } }"#;
    let place = Place::at(std::sync::Arc::new(Consul::dev(config)));
    let document = document(1_500_000, 'x');
    place.kvx_in().args(["-l", "0"]).stdin(&document).run().expect(65);
    place.kvx_in().args(["-l", "0", "--max-size", "2M"]).stdin(&document).run().expect(0).says(&["1.5 MB", "uploaded"]);
    place.assert_pair_is_whole();
    place.kvx_out().args(["-l", "0"]).run().expect(0).says(&["1.5 MB", "installed"]);
    assert_eq!(place.content(), document);
}

#[test]
fn what_kvexpress_stored_compressed_is_known_again_and_replaced_as_it_is() {
    let place = Place::new();
    place.consul.put_flags(&place.kv("data"), common::golden::brotli(), 1);
    place.consul.put(&place.kv("checksum"), sha256(common::golden::DOCUMENT));
    place.kvx_in().stdin(common::golden::DOCUMENT).run().expect(0).is_silent();
    place
        .kvx_in()
        .stdin(lines(20))
        .run()
        .expect(0)
        .says(&["uploaded, in place of", &sha256(common::golden::DOCUMENT)[..8]]);
    assert_eq!(place.consul.entry(&place.kv("data")).unwrap()["Flags"], 0);
    place.assert_pair_is_whole();
}

#[test]
fn flags_that_others_have_set_stay_until_the_document_changes() {
    let place = Place::new();
    let flags = || ["data", "checksum"].map(|part| place.consul.entry(&place.kv(part)).unwrap()["Flags"].as_u64());
    place.consul.put_flags(&place.kv("data"), lines(20), 42);
    place.consul.put_flags(&place.kv("checksum"), sha256(lines(20)), 7);
    place.kvx_in().arg("-v").stdin(lines(20)).run().expect(0).says(&["unchanged"]);
    place.kvx_out().run().expect(0).says(&["20 lines", "installed"]);
    assert_eq!(flags(), [Some(42), Some(7)]);
    place.kvx_in().stdin(lines(21)).run().expect(0);
    assert_eq!(flags(), [Some(0), Some(0)]);
    place.kvx_in().arg("-z").stdin(lines(22)).run().expect(0);
    assert_eq!(flags(), [Some(1), Some(0)]);
}

#[test]
fn a_last_line_without_a_line_feed_counts_only_if_it_is_the_only_one() {
    let place = Place::new();
    for (document, says) in
        [("a", "1 line,"), ("a\n", "1 line,"), ("a\nb", "1 line,"), ("a\nb\n", "2 lines,"), ("", "0 lines,")]
    {
        place.kvx_in().args(["-l", "0"]).stdin(document).run().expect(0).says(&[says, "uploaded"]);
        let lines = document.lines().count().min(2).to_string();
        if document != "a\nb" {
            place.kvx_in().args(["-l", &lines, "-v"]).stdin(document).run().expect(0).says(&["unchanged"]);
        }
    }
    place.kvx_in().args(["-l", "2"]).stdin("a\nb").run().expect(65).says(&["has 1 line, minimum 2"]);
}
