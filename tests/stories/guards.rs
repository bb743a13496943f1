//! `--check` and `--max-shrink`, which a document must pass before it is uploaded or installed. A rejected document
//! changes nothing. (Lines and sizes are in `download.rs` and `upload.rs`.)

use std::os::unix::fs::MetadataExt;
use std::time::Instant;

use crate::common::{self, Place, Ran, Run, SLACK, lines, sha256, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A place with 30 lines installed, their handler paid, and 40 uploaded since.
fn place() -> Place {
    let place = Place::new();
    place.upload(lines(30));
    place.kvx_out().args(["-e", &place.handler()]).run().expect(0);
    place.upload(lines(40));
    place
}

/// A run of `kvx-out` with a handler and a check. Checks run in `/`: scripts find the place as `$PLACE`.
fn with_check(place: &Place, check: &str) -> Run {
    let mut run = place.kvx_out().args(["-e", &place.handler(), "--check", check]);
    run.command.env("PLACE", place.path());
    run
}

/// The old document, alone; no handler has run for another; and going back to it owes nothing, so nothing is forgotten.
#[track_caller]
fn assert_untouched(place: &Place) {
    assert_eq!((place.content(), place.names()), (lines(30), vec!["hosts".into()]));
    place.upload(lines(30));
    place.kvx_out().args(["-e", &place.handler()]).run().expect(0).is_silent();
    assert_eq!(place.runs().len(), 1);
    place.upload(lines(40));
}

/// The line that it ends with, after what the check has said.
fn last_line(ran: &Ran) -> &str {
    ran.stderr.lines().last().unwrap_or_default()
}

#[test]
fn a_check_sees_the_whole_new_file_before_anybody_else_does() {
    let place = place();
    let script = "sha256sum < \"$1\"; stat -c %a \"$1\"; dirname \"$1\"; wc -l < \"$KVX_FILE\"; \
                  echo \"$KVX_KEY $KVX_CHECKSUM ${CONSUL_HTTP_TOKEN-none} ${CONSUL_INDEX-none} $2\"; ls -A \"$PLACE/out\"; wc -c";
    let check = format!("sh -c {} - {{}} --file={{}}", shell_words::quote(script));
    let run = with_check(&place, &check).args(["-c", "604", "-v"]).env("CONSUL_HTTP_TOKEN", "secret");
    let ran = run.payload(place.payload("checksum")).run().expect(0);
    let checksum = sha256(lines(40));
    let directory = place.path().join("out/.hosts.kvx~/check").display().to_string();
    let staged = format!("{directory}/hosts");
    let said = [
        format!("check: {checksum}  -"),
        "check: 604".into(),
        format!("check: {directory}"),
        "check: 30".into(),
        format!("check: {} {checksum} none none --file={staged}", place.key),
        "check: .hosts.kvx~".into(),
        "check: hosts".into(),
        "check: 0".into(),
    ];
    let lines_said: Vec<&str> = ran.stderr.lines().collect();
    assert_eq!(lines_said[..8], said);
    assert!(lines_said[8].contains("40 lines") && lines_said[8].contains("installed") && lines_said.len() == 9);
    assert_eq!((place.content(), place.names(), place.runs().len()), (lines(40), vec!["hosts".into()], 2));
    // What is in place already is not checked again.
    with_check(&place, "false {}").run().expect(0).is_silent();
}

#[test]
fn what_a_check_refuses_is_not_installed() {
    let place = place();
    let refused = |check: &str, says: &[&str]| {
        for payload in [None, Some("checksum"), Some("")] {
            let run = with_check(&place, check);
            let ran = match payload {
                Some(part) => run.payload(place.payload(part)).run(),
                None => run.run(),
            };
            let ran = ran.expect(65);
            let line = last_line(&ran);
            assert!(line.contains(&place.key) && says.iter().all(|part| line.contains(part)), "{}", ran.stderr);
            assert_untouched(&place);
        }
    };
    refused("false {}", &["the check `false ", "rejected the document (exit status: 1)", "file left unchanged"]);
    refused("sh -c 'kill -SEGV $$' {}", &["rejected the document", "signal: 11"]);
    refused("no-such-check {}", &["could not be run", "No such file", "it is not in PATH", "give its full path"]);
    let changed = "the check changed the new file";
    refused("sh -c 'echo more >> \"$1\"' - {}", &[changed]);
    refused("sh -c 'cp \"$1\" $PLACE/x && mv $PLACE/x \"$1\"' - {}", &[changed]);
    refused("rm {}", &[changed]);
    refused("chmod 666 {}", &[changed]);
}

#[test]
fn a_check_that_takes_too_long_is_ended_with_all_it_started() {
    let place = place();
    let script = "sleep 4321 & echo $! > $PLACE/child; sleep 4321";
    let check = format!("sh -c {} {{}}", shell_words::quote(script));
    let started = Instant::now();
    let ran = with_check(&place, &check).args(["--timeout", "3s"]).run().expect(65);
    ran.says(&["did not end within the time limit of the run (3s)", "--timeout"]);
    assert!(started.elapsed() < SLACK);
    let child = common::whole_lines(&place.path().join("child")).concat();
    wait_for("its child to end", 5, || {
        let state = std::fs::read_to_string(format!("/proc/{}/stat", child.trim())).unwrap_or_default();
        (state.is_empty() || state.contains(") Z ")).then_some(())
    });
    assert_untouched(&place);
}

#[test]
fn a_run_that_is_terminated_during_its_check_installs_nothing() {
    let place = place();
    // It says that all is well, but was told to end: nobody knows what it would have found.
    let script = "trap 'exit 0' TERM; touch $PLACE/ready; while :; do :; done";
    let child = with_check(&place, &format!("sh -c {} {{}}", shell_words::quote(script))).spawn();
    wait_for("the check", 10, || place.path().join("ready").exists().then_some(()));
    kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).unwrap();
    let ran = Ran::from(child.wait_with_output().unwrap()).expect(75);
    ran.says(&["interrupted by SIGTERM during the check", "file left unchanged", "run it again"]);
    assert_untouched(&place);
}

#[test]
fn what_a_check_leaves_behind_cannot_change_the_file_after_its_verdict() {
    let place = place();
    let script = "exec 3>>\"$1\"; (trap '' TERM; until test -e $PLACE/go; do sleep 0.01; done; echo evil >&3) & echo $! > $PLACE/child";
    with_check(&place, &format!("sh -c {} - {{}}", shell_words::quote(script))).run().expect(0).says(&["installed"]);
    place.write("go", "");
    let child = common::whole_lines(&place.path().join("child")).concat();
    wait_for("its child to end", 5, || {
        let state = std::fs::read_to_string(format!("/proc/{}/stat", child.trim())).unwrap_or_default();
        (state.is_empty() || state.contains(") Z ")).then_some(())
    });
    assert_eq!(place.content(), lines(40));
}

/// A local user may have named a directory above the file.
#[test]
fn a_path_that_looks_like_a_script_runs_nothing() {
    let place = Place::new();
    place.upload(lines(20));
    let pwned = place.path().join("pwned");
    let directory = place.path().join("x;touch ${PLACE}").join("pwned;");
    std::fs::create_dir_all(&directory).unwrap();
    let file = directory.join("it's a \"file\"");
    let run = |check: &str| {
        let mut run = Run::new("kvx-out", &place.consul.address).args(["-k", &place.key, "--check", check]);
        run = run.arg("--state-dir").arg(place.path().join("state")).arg("-f").arg(&file).env("PLACE", &pwned);
        run.command.current_dir(place.path());
        run.run()
    };
    for check in ["sh -c 'test -s {}'", "bash -ec 'cat \"{}\"'", "sh -c {}", "env A=b sh -e -c {}", "su -c{} root"] {
        let ran = run(check).expect(64);
        ran.says(&["--check", "inside a script", "sh -c 'test -s \"$1\"' sh {}", "see kvx-out --help"]);
        assert!(!file.exists());
    }
    for check in [
        "test -s {}",
        "sh -c 'test -s \"$1\"' sh {}",
        "sh -c 'test -s \"$KVX_STAGED\"'",
        "awk '{{}} END {exit NR!=20}' {}",
    ] {
        run(check).expect(0).says(&["installed"]);
        std::fs::remove_file(&file).unwrap();
    }
    assert!(!pwned.exists() && std::fs::read_dir(place.path()).unwrap().count() == 3);
}

#[test]
fn a_check_that_makes_no_sense_is_64() {
    let place = place();
    for (check, says) in [("true", "does not name {}"), ("'{}", "quote"), ("", "names no program"), ("{}", "{}")] {
        place.kvx_out().args(["--check", check]).run().expect(64).says(&["--check", says, "--help"]);
    }
    let stdout = Run::new("kvx-out", &place.consul.address).args(["-k", &place.key, "-f", "-"]);
    stdout.args(["--check", "cat {}"]).run().expect(64).says(&["with -f - there is no file for --check"]);
    assert_untouched(&place);
}

#[test]
fn a_document_that_shrinks_too_much_is_not_installed() {
    let place = Place::new();
    let run = || place.kvx_out().args(["-l", "1", "-e", &place.handler(), "--max-shrink", "50%"]);
    place.upload(lines(100));
    run().run().expect(0).says(&["installed"]); // There was nothing before.
    place.upload(lines(49));
    for payload in ["checksum", ""] {
        let ran = run().payload(place.payload(payload)).run().expect(65);
        ran.says(&[&place.key, "would shrink from 100 lines to 49, by more than 50 %", "--max-shrink", "--force"]);
    }
    // As many lines, but hardly anything in them.
    place.upload("\n".repeat(100));
    run().run().expect(65).says(&["would shrink from 292 bytes to 100"]);
    assert_eq!((place.content(), place.names(), place.runs().len()), (lines(100), vec!["hosts".into()], 1));
    // Half of it is just not too much, more of it anyway.
    for document in [lines(1000), lines(1000)[..2_000].replace("99", "9\n9"), "\n".repeat(3000)] {
        place.upload(&document);
        run().run().expect(0).says(&["installed"]);
        assert_eq!(place.content(), document);
    }
    place.upload("1\n");
    run().run().expect(65);
    run().arg("--force").run().expect(0).says(&["1 line", "installed"]);
    // The file itself counts, not what is recorded: whoever emptied it let everything in.
    std::fs::write(place.file(), "").unwrap();
    run().run().expect(0).says(&["installed"]);
    std::fs::write(place.file(), lines(1000)).unwrap();
    run().run().expect(65).says(&["would shrink from 1000 lines to 1"]);
    for (percent, status) in [("0", 65), ("99", 65), ("100", 0)] {
        place.kvx_out().args(["-l", "1", "--max-shrink", percent]).run().expect(status);
    }
    // What no document can be as large as is not read to its end.
    std::fs::File::options().write(true).open(place.file()).unwrap().set_len(300 << 30).unwrap();
    let started = Instant::now();
    run().run().expect(65).says(&["would shrink from 322122547200 bytes to 2"]);
    assert!(started.elapsed() < SLACK);
}

#[test]
fn a_document_that_shrinks_too_much_is_not_uploaded() {
    let place = Place::new();
    let run = |document: &str| place.kvx_in().args(["-l", "1", "--max-shrink", "20"]).stdin(document);
    run(&lines(100)).run().expect(0).says(&["the first of this key"]);
    run(&lines(79)).run().expect(65).says(&[
        &place.key,
        "would shrink from 100 lines to 79, by more than 20 %",
        "--force",
    ]);
    run(&lines(79)).arg("-n").run().expect(65).says(&["would shrink"]);
    assert_eq!(place.consul.text(&place.kv("data")).unwrap(), lines(100));
    place.assert_pair_is_whole();
    run(&lines(79)).args(["-n", "--force"]).run().expect(0);
    run(&lines(100)).run().expect(0).is_silent();
    run(&lines(90)).run().expect(0).says(&["uploaded"]);
    run(&lines(10)).arg("--force").run().expect(0).says(&["uploaded"]);
    assert_eq!(place.consul.text(&place.kv("data")).unwrap(), lines(10));
    // Of a torn pair, its data counts.
    place.consul.put(&place.kv("data"), lines(1000));
    run(&lines(11)).run().expect(65).says(&["would shrink from 1000 lines to 11"]);
    run(&lines(990)).run().expect(0).says(&["in place of a torn pair"]);
    // A stopped key is left alone, and says so: that comes first.
    place.consul.put(&place.kv("stop"), "until Monday");
    run(&lines(1)).run().expect(0).says(&["stopped"]);
}

#[test]
fn a_share_that_is_none_is_64() {
    let place = Place::new();
    for program in [place.kvx_in(), place.kvx_out()] {
        for percent in ["101", "-1", "half", "", "%", "50 %", "1.5"] {
            let mut run = Run::new("kvx-in", &place.consul.address);
            run.command = std::process::Command::new(program.command.get_program());
            let run = run.args(program.command.get_args()).args([&format!("--max-shrink={percent}")]);
            run.run().expect(64).says(&["--max-shrink", "percentage from 0 to 100"]);
        }
    }
}

#[test]
fn an_empty_document_needs_to_be_let_through_on_both_sides() {
    let place = Place::new();
    place.kvx_in().stdin("").run().expect(65);
    place.kvx_in().args(["-l", "0"]).stdin("").run().expect(0);
    place.kvx_out().run().expect(65).says(&["is empty", "-l"]);
    assert!(place.names().is_empty());
    place.kvx_out().args(["-l", "0"]).run().expect(0).says(&["0 lines, 0 B"]);
    assert_eq!(std::fs::metadata(place.file()).unwrap().size(), 0);
}
