//! `kvx unlock`: prints how to catch up, and with `--run` does it, with the command line that installed the file and no
//! other.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use super::operator::{installed, lock, unlock};
use crate::common::run::binary;
use crate::common::{self, Place, Ran, Run, lines, lock_of, sha256};
use serde_json::{Value, json};

#[test]
fn what_is_not_locked_is_not_unlocked_and_what_is_locked_by_hand_is() {
    let place = Place::new();
    let at = lock_of(&place);
    unlock(&place).run().expect(0).says(&["not locked", &at]);
    fs::write(place.visible_marker(), "by hand, bob\n").unwrap();
    unlock(&place).run().expect(0).says(&["unlocked; it was locked: by hand, bob", "hosts.locked"]);
    place.consul.put(&at, "kvexpress's");
    unlock(&place).run().expect(0).says(&["unlocked; it was locked: kvexpress's"]);
    place.consul.put(&at, "");
    unlock(&place).run().expect(0).says(&["not locked"]);
    assert!(place.consul.get(&at).is_none() && place.names().is_empty());
    // The directory alone is a marker.
    fs::create_dir(place.marker()).unwrap();
    unlock(&place).run().expect(0).says(&["unlocked; it was locked: no reason given", ".hosts.lock"]);
    assert!(place.names().is_empty());
    for marker in [place.marker(), place.visible_marker()] {
        fs::create_dir_all(marker.join("another program's")).unwrap();
        place.consul.put(&at, "why");
        unlock(&place).run().expect(73).says(&["it stays locked", marker.file_name().unwrap().to_str().unwrap()]);
        assert!(marker.join("another program's").is_dir());
        fs::remove_dir_all(&marker).unwrap();
    }
}

#[test]
fn an_unlock_says_how_to_catch_up_and_does_it_with_run() {
    let place = Place::new();
    place.upload(lines(20));
    place.kvx_out().args(["-e", &place.handler()]).run().expect(0);
    lock(&place, "why").run().expect(0);
    place.upload(lines(21));
    let ran = unlock(&place).run().expect(0);
    let said: Vec<&str> = ran.stderr.lines().collect();
    assert!(said.len() == 2 && said[1].contains("the next run installs what was missed"), "{said:?}");
    assert!(said[1].contains("kvx-out --state-dir") && said[1].contains(&place.key), "{}", said[1]);
    assert_eq!((place.content(), place.runs().len()), (lines(20), 1));

    lock(&place, "why").run().expect(0);
    let mut run = unlock(&place).arg("--run");
    run.command.current_dir(place.path()); // Wherever that is.
    let ran = run.run().expect(0);
    let said: Vec<&str> = ran.stderr.lines().collect();
    assert!(said[0].contains("unlocked") && said[1].contains("installed"), "{said:?}");
    assert_eq!((place.content(), place.runs().len()), (lines(21), 2));
}

#[test]
fn with_run_the_status_is_that_of_what_is_run() {
    let place = Place::new();
    place.upload(lines(20));
    let fails = format!("sh -c 'test ! -e {}'", place.path().join("fail").display());
    place.kvx_out().args(["-e", &fails]).run().expect(0);
    place.write("fail", "");
    place.upload(lines(21));
    let ran = unlock(&place).arg("--run").run().expect(1);
    assert!(ran.stderr.contains("not locked") && ran.stderr.contains("handler is pending"), "{}", ran.stderr);
    assert_eq!(place.content(), lines(21));
    place.upload("one line\n");
    unlock(&place).arg("--run").run().expect(65);
}

#[test]
fn with_run_nothing_is_run_that_another_user_may_have_written() {
    let place = Place::new();
    installed(&place, &lines(20));
    let state_file = place.state_file();
    let trap = place.path().join("trap");
    let refuses = |why: &str| {
        place.upload(lines(30));
        let ran = unlock(&place).arg("--run").run().expect(66);
        assert!(ran.stderr.contains("--run has nothing to run"), "{why}: {}", ran.stderr);
        assert_eq!(place.content(), lines(20), "{why}");
        assert!(!trap.exists(), "{why}");
    };
    for mode in [0o666, 0o660, 0o602] {
        fs::set_permissions(&state_file, Permissions::from_mode(mode)).unwrap();
        refuses("others may write it");
    }
    fs::set_permissions(&state_file, Permissions::from_mode(0o600)).unwrap();
    let whole = fs::read(&state_file).unwrap();
    // Whose state_file it is, root alone can give away.
    if nix::unistd::geteuid().is_root() {
        std::os::unix::fs::chown(&state_file, Some(65534), None).unwrap();
        refuses("somebody else's");
        std::os::unix::fs::chown(&state_file, Some(0), None).unwrap();
    }
    place.change_state(|state_file| {
        (state_file["path"], state_file["command"]) = ("/etc/passwd".into(), json!(["touch", trap.to_str().unwrap()]));
    });
    refuses("another file's");
    let elsewhere = place.write("elsewhere", &whole);
    fs::remove_file(&state_file).unwrap();
    symlink(&elsewhere, &state_file).unwrap();
    refuses("a link");
    fs::remove_file(&state_file).unwrap();
    refuses("nothing");
    fs::write(&state_file, "{}").unwrap();
    refuses("garbage");
    fs::write(&state_file, &whole).unwrap();
    unlock(&place).arg("--run").run().expect(0);
    assert_eq!(place.content(), lines(30));
}

#[test]
fn with_run_no_program_of_the_directory_that_one_is_in_is_run() {
    let place = Place::new();
    place.upload(lines(20));
    let reload = |directory: &str, says: &str| {
        let script = format!("#!/bin/sh\necho {says} >> {}\n", place.path().join("runs").display());
        common::run::script(&place.path().join(directory).join("reload"), &script);
    };
    reload("ours", "ours");
    reload("theirs", "theirs");
    // Neither at first nor again: a handler runs in the root directory, and is named by its whole path.
    let mut run = place.kvx_out().args(["-e", "./reload"]);
    run.command.current_dir(place.path().join("ours"));
    run.run().expect(64).says(&["-e names its program by a relative path", "full path"]);
    let mut run = place.kvx_out().args(["-e", "sh -c './reload'"]);
    run.command.current_dir(place.path().join("ours"));
    assert!(run.run().expect(1).stderr.contains("handler is pending"));
    let mut run = unlock(&place).arg("--run");
    run.command.current_dir(place.path().join("theirs"));
    assert!(run.run().expect(1).stderr.contains("handler is pending"));
    assert_eq!((place.content(), place.runs()), (lines(20), vec![]));
}

#[test]
fn no_command_line_is_recorded_that_has_a_token_or_depends_on_the_directory() {
    let token = "0123abcd-token-token-token-0123456789ab";
    let relative = |place: &Place, run: Run| {
        let mut run = run;
        run.command.current_dir(place.path().join("out"));
        run
    };
    let out = |place: &Place| Run::new("kvx-out", &place.consul.address).args(["-k", &place.key]);
    let state = |place: &Place| place.path().join("state").display().to_string();
    let file = |place: &Place| place.file().display().to_string();
    type Case<'a> = (&'a str, &'a dyn Fn(&Place) -> Ran);
    let cases: [Case; 6] = [
        ("-t", &|place| place.kvx_out().args(["-t", token]).run()),
        ("attached", &|place| place.kvx_out().arg(format!("-vt{token}")).run()),
        ("long", &|place| place.kvx_out().arg(format!("--token={token}")).run()),
        ("-f", &|place| relative(place, out(place).args(["-f", "hosts", "--state-dir", &state(place)])).run()),
        ("--state-dir", &|place| {
            relative(place, out(place).args(["-f", &file(place), "--state-dir", "../state"])).run()
        }),
        ("without -k", &|place| place.kvx_out_bare().payload(place.payload("checksum")).run()),
    ];
    for (what, install) in cases {
        let place = Place::new();
        place.upload(lines(20));
        install(&place).expect(0);
        let text = fs::read_to_string(place.state_file()).unwrap();
        assert_eq!(place.state()["checksum"], sha256(lines(20)).as_str(), "{what}");
        assert!(!text.contains("command") && !text.contains("token"), "{what}: {text}");
        unlock(&place).arg("--run").run().expect(66);
        // One by whole paths is.
        fs::remove_file(place.state_file()).unwrap();
        place.kvx_out().run().expect(0);
        assert_eq!(place.state()["command"][4], place.file().to_str().unwrap(), "{what}: {}", place.state());
    }
}

/// sudo passes the path on by which a user has typed the program's name, if the program is one that the user may run.
#[test]
fn the_program_is_recorded_by_its_name_and_run_again_from_where_kvx_is() {
    let place = Place::new();
    place.upload(lines(20));
    let (link, trap) = (place.path().join("bin/kvx-out"), place.path().join("trap"));
    fs::create_dir(place.path().join("bin")).unwrap();
    symlink(binary("kvx-out"), &link).unwrap();
    let relative = format!("cd {} && exec ./kvx-out \"$@\"", place.path().join("bin").display());
    for (nth, script) in [format!("exec {} \"$@\"", link.display()), relative].iter().enumerate() {
        let mut sh = Command::new("sh");
        sh.args(["-c", script, "sh", "-k", &place.key, "-f"]).arg(place.file());
        sh.arg("--state-dir").arg(place.path().join("state")).env("CONSUL_HTTP_ADDR", &place.consul.address);
        assert!(sh.output().unwrap().status.success());
        assert_eq!(place.state()["command"][0], "kvx-out");
        // Now another program is there, and in the path.
        fs::rename(&link, place.path().join("aside")).unwrap();
        common::run::script(&link, &format!("#!/bin/sh\ntouch {}\n", trap.display()));
        place.upload(lines(21 + nth));
        let run = unlock(&place).arg("--run").env("PATH", place.path().join("bin"));
        assert!(run.run().expect(0).stderr.contains("installed"));
        assert!(place.content() == lines(21 + nth) && !trap.exists());
        fs::remove_file(&link).unwrap();
        fs::rename(place.path().join("aside"), &link).unwrap();
    }
}

#[test]
fn a_very_long_command_line_is_not_recorded_and_costs_no_reload() {
    let place = Place::new();
    place.upload(lines(20));
    let handler = format!("sh -c 'echo x >> {} # {}'", place.path().join("runs").display(), "y".repeat(70_000));
    for _ in 0..2 {
        place.kvx_out().args(["-e", &handler]).run().expect(0);
    }
    assert_eq!(place.runs().len(), 1);
    assert!(fs::metadata(place.state_file()).unwrap().len() < 2000);
}

/// script(1) runs a program at a terminal of its own.
#[test]
fn a_run_at_a_terminal_does_not_replace_the_watchs_command_line() {
    let place = Place::new();
    installed(&place, &lines(20));
    let before = place.state()["command"].clone();
    place.upload(lines(21));
    let words: Vec<_> = place
        .kvx_out()
        .args(["-e", &place.handler(), "-v", "-l", "1"])
        .command
        .get_args()
        .map(|word| word.to_str().unwrap().to_owned())
        .collect();
    let line = format!("kvx-out {}", shell_words::join(words));
    let mut script = Command::new("script");
    script.args(["-qefc", &line, "/dev/null"]).env("PATH", common::run::path());
    assert!(script.env("CONSUL_HTTP_ADDR", &place.consul.address).output().unwrap().status.success());
    assert_eq!((place.content(), &place.state()["command"]), (lines(21), &before));
}

#[test]
fn what_is_run_again_is_what_ran_last_though_nothing_had_changed() {
    let place = Place::new();
    place.upload(lines(20));
    let ran = place.path().join("ran");
    let handler = |word: &str| format!("sh -c 'echo {word} >> {}'", ran.display());
    let out = |words: &[&str], handler: &str| place.kvx_out().args(words).args(["-e", handler]);
    let recorded = || {
        let state = place.path().join("state");
        let ran = place.kvx("status").arg("--json").arg("--state-dir").arg(state).arg("-f").arg(place.file()).run();
        let overview: Value = serde_json::from_str(ran.out()).unwrap();
        overview["files"][0]["command"].as_array().unwrap().iter().map(|word| word.as_str().unwrap().into()).collect()
    };
    let says = |words: Vec<String>, word: &str| words.iter().any(|is| is == word);
    out(&["-c", "644"], &handler("old")).run().expect(0);
    // Other words, the same document.
    out(&["-c", "600"], &handler("new")).run().expect(0);
    assert!(says(recorded(), "600") && says(recorded(), &handler("new")));
    // By a payload that changes nothing, not even a request.
    let payload = place.payload("checksum");
    out(&["-c", "600", "-l", "7"], &handler("new")).payload(payload).run().expect(0).is_silent();
    assert!(says(recorded(), "7"));
    // An operator who looks by hand leaves the handler out; that does not take it away.
    place.kvx_out().run().expect(0).is_silent();
    assert!(says(recorded(), &handler("new")));
    lock(&place, "why").run().expect(0);
    place.upload(lines(21));
    unlock(&place).arg("--run").run().expect(0);
    assert_eq!((place.content(), place.mode()), (lines(21), 0o600));
    assert_eq!(fs::read_to_string(&ran).unwrap(), "old\nnew\nnew\n");
}
