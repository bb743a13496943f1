//! A recorded state is trusted only if no other user and no other machine can have written it, and it says how the last
//! run ended. On a real Consul, with real other users.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

use crate::common::gate::Gate;
use crate::common::users::{ALICE, BOB, as_user, can, directory_of, has_namespace, on_machine};
use crate::common::{self, Place, Run, lines, wait_for};
use serde_json::{Value, json};

/// Nothing listens there.
const NOWHERE: &str = "127.0.0.1:1";

/// `kvx status` of the place's file and key, in JSON.
fn status(place: &Place, exit: i32) -> Value {
    let ran = place.kvx_file("status").args(["-k", &place.key, "--json"]).run().expect(exit);
    serde_json::from_str(ran.out()).unwrap()
}

fn problems(place: &Place) -> Vec<String> {
    let problems = status(place, 1)["files"][0]["problems"].clone();
    serde_json::from_value(problems).unwrap()
}

/// One of them begins so.
#[track_caller]
fn assert_problem(place: &Place, with: &[&str]) {
    let problems = problems(place);
    assert!(problems.iter().any(|problem| with.iter().all(|part| problem.contains(part))), "{with:?} in {problems:?}");
}

#[test]
fn a_state_file_that_another_user_can_move_about_is_not_believed_and_its_command_neither_run_nor_shown() {
    if !can("state files moved by another user") {
        return;
    }
    for below in [".", "below", "below/and/below"] {
        let place = Place::new();
        place.upload(lines(20));
        place.kvx_out().args(["-e", &place.handler()]).run().expect(0);
        place.kvx_file("lock").args(["-r", "why"]).run().expect(0);
        let hers = place.path().join("hers");
        directory_of(ALICE, &hers, 0o755);
        let state = hers.join(below);
        fs::create_dir_all(&state).unwrap();
        fs::rename(place.state_file(), state.join(place.state_file().file_name().unwrap())).unwrap();
        let kvx = |command: &str| place.kvx(command).arg("-f").arg(place.file()).arg("--state-dir").arg(&state);
        place.upload(lines(21));
        kvx("unlock").arg("--run").run().expect(66);
        kvx("lock").args(["-r", "again"]).run().expect(0);
        let shown = kvx("unlock").run().expect(0).stderr;
        assert!(!shown.contains("kvx-out"), "{shown}");
        let shown = kvx("status").run().expect(1);
        assert!(
            !shown.out().contains("installed by") && shown.out().contains("its state is ignored"),
            "{}",
            shown.out()
        );
        assert_eq!((place.content(), place.runs().len()), (lines(20), 1), "nothing has run");
        // Nor is anything recorded there, or done without a record.
        let out = Run::new("kvx-out", &place.consul.address).args(["-k", &place.key]).arg("-f").arg(place.file());
        let out = out.arg("--state-dir").arg(&state).args(["-e", &place.handler()]).run().expect(73);
        out.says(&["cannot be kept in", "other users can change", hers.to_str().unwrap(), "--state-dir"]);
        assert_eq!((place.content(), place.runs().len()), (lines(20), 1), "{below}");
    }
}

#[test]
fn a_state_directory_that_others_can_write_is_refused_and_a_sticky_one_is_not() {
    if !can("directories of other users") {
        return;
    }
    for (mode, owner, exit) in [(0o777, 0, 73), (0o770, 0, 73), (0o700, ALICE, 73), (0o1777, 0, 0), (0o755, 0, 0)] {
        let place = Place::new();
        place.upload(lines(20));
        let above = place.path().join("above");
        directory_of(owner, &above, mode);
        let run = Run::new("kvx-out", &place.consul.address).args(["-k", &place.key]).arg("-f").arg(place.file());
        run.arg("--state-dir").arg(above.join("state")).run().expect(exit);
        assert_eq!(place.file().exists(), exit == 0, "{mode:o} of {owner}");
        assert_eq!(above.join("state").exists(), exit == 0, "{mode:o} of {owner}: nothing is left there");
    }
}

#[test]
fn a_link_to_the_state_directory_is_followed_if_it_is_ours() {
    if !can("links of other users") {
        return;
    }
    for (owner, exit) in [(0, 0), (ALICE, 73)] {
        let place = Place::new();
        place.upload(lines(20));
        fs::create_dir(place.path().join("real")).unwrap();
        let link = place.path().join("state");
        symlink("real", &link).unwrap();
        std::os::unix::fs::lchown(&link, Some(owner), None).unwrap();
        place.kvx_out().run().expect(exit);
    }
}

/// What is recorded says that the handler has run: but who has written that?
#[test]
fn a_state_file_of_another_user_or_open_to_others_counts_as_lost() {
    if !can("state files of other users") {
        return;
    }
    for (owner, mode) in [(ALICE, 0o600), (0, 0o666), (0, 0o620)] {
        let place = Place::new();
        place.upload(lines(20));
        let run = || place.kvx_out().args(["-e", &place.handler()]).run().expect(0);
        run();
        run();
        assert_eq!(place.runs().len(), 1);
        chown(place.state_file(), Some(owner), None).unwrap();
        fs::set_permissions(place.state_file(), PermissionsExt::from_mode(mode)).unwrap();
        assert_problem(&place, &["its state is ignored"]);
        run();
        assert_eq!(place.runs().len(), 2, "{owner} {mode:o}");
        status(&place, 0);
        run();
        assert_eq!(place.runs().len(), 2, "{owner} {mode:o}: from now on it is ours");
    }
}

/// A home in a directory that everyone can write: another user may have been there first.
#[test]
fn what_another_user_has_put_into_a_home_is_not_believed() {
    if !can("homes of other users") {
        return;
    }
    let place = Place::new();
    place.upload(lines(20));
    let (home, out) = (place.path().join("home"), place.path().join("bobs"));
    directory_of(0, &home, 0o1777);
    directory_of(BOB, &out, 0o755);
    let runs = out.join("runs");
    let (file, handler) = (out.join("hosts"), format!("sh -c 'echo ran >> {}'", runs.display()));
    let kvx_out = || {
        let run = as_user(&place, BOB, "kvx-out").args(["-k", &place.key, "-e", &handler]).arg("-f").arg(&file);
        run.env("HOME", &home).run().expect(0)
    };
    let ran = || fs::read_to_string(&runs).map_or(0, |runs| runs.lines().count());
    kvx_out();
    kvx_out();
    assert_eq!(ran(), 1, "a home in a sticky directory will do");
    // As if alice had created it, before he came.
    for path in [".local", ".local/state", ".local/state/kvx"] {
        chown(home.join(path), Some(ALICE), None).unwrap();
        fs::set_permissions(home.join(path), PermissionsExt::from_mode(0o777)).unwrap();
    }
    kvx_out();
    assert_eq!(ran(), 2, "its word that the handler has run is not taken");
    kvx_out();
    assert_eq!(ran(), 2, "from now on, his own is");
    fs::remove_dir_all(format!("/tmp/kvx-{BOB}")).unwrap();
}

#[test]
fn to_look_creates_nothing() {
    if !can("a user without a home") {
        return;
    }
    const CAROL: u32 = 54_203;
    let place = Place::new();
    place.upload(lines(20));
    for words in [&["status", "-k"][..], &["status", "--json", "-k"]] {
        let run = as_user(&place, CAROL, "kvx").args(words).arg(&place.key);
        let mut run = run;
        run.command.env_remove("HOME").env_remove("XDG_STATE_HOME");
        run.run().expect(0);
    }
    assert!(!Path::new(&format!("/tmp/kvx-{CAROL}")).exists());
    place.kvx_file("status").run().expect(1);
    assert!(!place.path().join("state").exists());
}

/// A home on NFS, a volume of two containers: one state directory, and files of the same path that are local.
#[test]
fn what_another_machine_has_done_says_nothing_about_this_one() {
    if !(can("other machines") && has_namespace("--uts", "another hostname")) {
        return;
    }
    let place = Place::new();
    place.upload(lines(20));
    let good = place.path().join("good");
    let handler = format!("test -e {}", good.display());
    let run = |machine: &str| on_machine(machine, place.kvx_out().args(["-e", &handler]));
    fs::write(&good, "").unwrap();
    run("a").expect(0);
    fs::remove_file(&good).unwrap();
    for _ in 0..3 {
        run("b").expect(1);
        run("a").expect(0).is_silent();
    }
    let status = |machine: &str| on_machine(machine, place.kvx_file("status")).status.code();
    assert_eq!((status("a"), status("b")), (Some(0), Some(1)), "each sees its own");
    let shown = on_machine("b", place.kvx("status").arg("--state-dir").arg(place.path().join("state")).arg("--json"));
    let files: Value = serde_json::from_str(shown.out()).unwrap();
    assert_eq!(files["files"].as_array().unwrap().len(), 1, "{files:#}");
    fs::write(&good, "").unwrap();
    let reloaded = run("b").expect(0).stderr;
    assert!(reloaded.contains("ran in"), "{reloaded}");
}

#[test]
fn what_a_link_has_left_behind_is_not_missing_and_goes_with_its_directory() {
    let place = Place::new();
    place.upload(lines(20));
    let release = |name: &str| {
        fs::create_dir(place.path().join(name)).unwrap();
        let current = place.path().join("current");
        drop(fs::remove_file(&current));
        symlink(name, &current).unwrap();
        let run = Run::new("kvx-out", &place.consul.address).args(["-k", &place.key]);
        run.arg("--state-dir").arg(place.path().join("state")).arg("-f").arg(current.join("app.conf")).run().expect(0);
    };
    let states = || fs::read_dir(place.path().join("state")).unwrap().count();
    let status =
        || place.kvx("status").arg("--state-dir").arg(place.path().join("state")).args(["-k", &place.key]).run();
    release("one");
    release("two");
    place.upload(lines(21));
    status().expect(1);
    release("three");
    let shown = status().expect(0);
    assert!(shown.out().contains("three/app.conf") && !shown.out().contains("two/app.conf"), "{}", shown.out());
    assert_eq!(states(), 3, "both may come back");
    fs::remove_dir_all(place.path().join("one")).unwrap();
    status().expect(0);
    release("four");
    assert_eq!(states(), 3, "what was recorded of the first is gone");
    status().expect(0);
}

#[test]
fn another_mode_or_owner_than_was_asked_for_is_drift() {
    let place = Place::new();
    place.upload(lines(20));
    let run = || place.kvx_out().args(["-c", "644"]).run().expect(0);
    run();
    status(&place, 0);
    fs::set_permissions(place.file(), PermissionsExt::from_mode(0o666)).unwrap();
    assert_problem(&place, &["mode 0666 instead of 0644"]);
    run();
    status(&place, 0);
    // What was not asked for is the administrator's.
    place.kvx_out().run().expect(0);
    fs::set_permissions(place.file(), PermissionsExt::from_mode(0o600)).unwrap();
    status(&place, 0);
    if can("files given to other users") {
        place.kvx_out().args(["-o", &ALICE.to_string()]).run().expect(0);
        status(&place, 0);
        chown(place.file(), Some(BOB), Some(BOB)).unwrap();
        assert_problem(&place, &[&format!("user {BOB} instead of {ALICE}")]);
        assert!(!problems(&place)[0].contains("group"), "which was not asked for");
    }
}

/// A check for monitoring: what ought to be there, whether or not anything is recorded.
#[test]
fn a_file_with_its_key_is_checked_though_nothing_was_ever_installed() {
    let place = Place::new();
    assert_eq!(status(&place, 1)["files"][0]["problems"][0], "missing");
    place.upload(lines(3));
    status(&place, 1);
    place.kvx_out().run().expect(65);
    assert_problem(&place, &["last run", "65, ", "3 lines"]);
    assert_eq!(status(&place, 1)["files"][0]["last_run"]["status"], 65);
    assert!(!place.file().exists());
    place.kvx_out().args(["-l", "1"]).run().expect(0);
    let well = status(&place, 0);
    assert_eq!(well["files"][0]["last_run"]["result"], "installed");
    // From another key than the one that was meant.
    place.consul.put_pair("kvexpress/another-key", lines(20));
    let ran = place.kvx_file("status").args(["-k", "another-key", "--json"]).run().expect(1);
    assert!(ran.out().contains(&format!("installed from {}, not from another-key", place.key)), "{}", ran.out());
}

#[test]
fn each_failure_is_recorded_with_its_status_and_gone_with_the_next_run_that_is_well() {
    let place = Place::new();
    place.upload(lines(20));
    place.kvx_out().run().expect(0);
    place.upload(lines(21));
    let no_directory = place.path().join("out").join("none/hosts");
    let cases: [(&[&str], i32, &str); 6] = [
        (&["-s", NOWHERE, "--timeout", "100ms"], 69, "Consul at"),
        (&["-l", "100"], 65, "has 21 lines"),
        (&["--check", "test -d {}"], 65, "test -d"),
        (&["-o", "no-such-user"], 78, "no-such-user"),
        (&["-e", "false"], 1, "`false` failed"),
        (&["--raw", "kvexpress/nothing/there", "--wait", "50ms"], 66, "within 50ms"),
    ];
    for (words, exit, line) in cases {
        let run = if words[0] == "--raw" { place.kvx_out_bare() } else { place.kvx_out() };
        run.args(words).run().expect(exit);
        let last_run = place.state()["last_run"].clone();
        assert_eq!(last_run["status"], exit, "{words:?}: {last_run}");
        assert!(last_run["line"].as_str().unwrap().contains(line), "{words:?}: {last_run}");
        assert_problem(&place, &["last run", &format!(" ago: {exit}, "), line]);
    }
    place.kvx_out().args(["-e", "true"]).run().expect(0);
    place.kvx_out().args(["-e", "false", "-c", "600"]).run().expect(1);
    place.kvx("clean").arg("--state-dir").arg(place.path().join("state")).arg("-f").arg(place.file()).run().expect(0);
    place.kvx_out().args(["-e", "true"]).run().expect(0);
    status(&place, 0);
    // Of a file that has not even a directory.
    let run = |words: &[&str]| {
        let run = Run::new("kvx-out", &place.consul.address).args(["-k", &place.key]).arg("-f").arg(&no_directory);
        run.arg("--state-dir").arg(place.path().join("state")).args(words).run()
    };
    run(&[]).expect(73);
    let shown =
        place.kvx("status").arg("--state-dir").arg(place.path().join("state")).arg("-f").arg(&no_directory).run();
    let shown = shown.expect(1);
    assert!(shown.out().contains("missing; last run") && shown.out().contains("73, the directory"), "{}", shown.out());
    run(&["--mkdir"]).expect(0);
    let state = place.path().join("state");
    let state_files: Vec<Value> =
        fs::read_dir(state).unwrap().map(|at| common::read_state(&at.unwrap().path())).collect();
    assert!(state_files.iter().all(|state_file| state_file["last_run"]["status"] == 0), "{state_files:#?}");
}

/// Promise 4.
#[test]
fn a_run_that_finds_nothing_to_do_writes_nothing_unless_the_one_before_failed() {
    let place = Place::new();
    place.upload(lines(20));
    place.kvx_out().run().expect(0);
    let (at, payload) = (place.state_file(), place.payload("checksum"));
    let content = || fs::read(&at).unwrap();
    let before = content();
    place.kvx_out().run().expect(0);
    let seen = content();
    place.kvx_out().run().expect(0);
    place.kvx_out().payload(&payload).run().expect(0);
    assert_eq!((content() == seen, seen == before), (true, true));
    place.kvx_out().args(["-s", NOWHERE, "--timeout", "50ms"]).run().expect(69);
    place.kvx_out().payload(&payload).run().expect(0);
    assert_eq!(place.state()["last_run"]["result"], "unchanged");
    let again = content();
    place.kvx_out().payload(&payload).run().expect(0);
    assert_eq!(content(), again);
    place.consul.put(&place.kv("stop"), "why");
    place.kvx_out().run().expect(0);
    assert_eq!(place.state()["last_run"]["result"], "stopped");
    place.consul.delete(&place.kv("stop"));
    place.kvx_out().run().expect(0);
    assert_eq!(place.state()["last_run"]["result"], "unchanged");
}

/// Without Consul, a person is shown the files of this node after seconds, a script after --timeout.
#[test]
fn a_person_at_a_terminal_is_not_kept_waiting_for_consul() {
    let place = Place::new();
    place.upload(lines(20));
    place.kvx_out().run().expect(0);
    let kvx = common::run::binary("kvx").display().to_string();
    let shown = |more: &str| {
        let state = place.path().join("state").display().to_string();
        let command = format!("{kvx} status -s {NOWHERE} --state-dir {state} -k {} {more}", place.key);
        Run::new("/usr/bin/script", "").args(["-qec", &command, "/dev/null"]).run().expect(69).out().to_owned()
    };
    let text = shown("");
    let (table, after) = text.split_once(" times in ").unwrap();
    assert!(table.contains(place.file().to_str().unwrap()), "{text}");
    assert!(after.starts_with("4s)") || after.starts_with("5s)"), "{text}");
    let text = shown("--timeout 300ms");
    assert!(!text.contains("4s)") && text.contains(place.file().to_str().unwrap()), "{text}");
}

#[test]
fn a_state_file_from_after_the_year_9999_is_no_panic() {
    let place = Place::new();
    place.upload(lines(20));
    place.kvx_out().run().expect(0);
    for time in [253_402_300_800_u64, u64::MAX] {
        place.change_state(|state_file| {
            state_file["time"] = json!(time);
            state_file["last_run"] = json!({"time": time, "status": 65, "result": "failed", "line": "why"});
        });
        let shown = place.kvx_file("status").run().expect(1);
        assert!(shown.out().contains(&place.key), "{}", shown.out());
        status(&place, 1);
    }
}

#[test]
fn many_keys_are_read_at_once() {
    let place = Place::new();
    let keys = 50;
    for key in 0..keys {
        place.consul.put_pair(&format!("{}/key-{key}", place.key), lines(20));
    }
    let gate = Gate::open(&place.consul.address);
    let run = place.kvx("status").args(["-s", &gate.address, "-p", &place.key, "--json"]);
    let ran = run.arg("--state-dir").arg(place.path().join("state")).run().expect(0);
    let overview: Value = serde_json::from_str(ran.out()).unwrap();
    assert_eq!(overview["keys"].as_array().unwrap().len(), keys);
    let requests = gate.lines();
    let reads = requests.iter().filter(|line| line.contains("/v1/txn")).count();
    let each = if place.consul.has_get_or_empty() { 1 } else { 2 };
    // Of 64 operations at most, five for a key.
    assert_eq!(reads, 5 * each, "{requests:?}");
}

#[test]
fn a_run_that_fails_after_it_had_waited_for_another_says_so() {
    let place = Place::new();
    place.upload(lines(20));
    let started = place.path().join("started");
    let slow = format!("sh -c 'touch {}; sleep 2.2'", started.display());
    let first = place.kvx_out().args(["-e", &slow]).spawn();
    wait_for("the first run's handler", 30, || started.exists().then_some(()));
    place.consul.put(&place.kv("data"), "torn");
    let second = place.kvx_out().args(["--timeout", "300ms"]).run().expect(75);
    second.says(&["torn", "(for 300ms)", "before that, it had waited", "for another run of this file"]);
    assert!(first.wait_with_output().unwrap().status.success());
}

/// The sticky bit keeps others from replacing a file, not from moving one of root's there, which may contain a command.
#[test]
fn in_a_directory_that_others_can_write_no_state_is_kept_though_it_is_sticky() {
    for mode in [0o1777, 0o1770] {
        let place = Place::new();
        place.upload(lines(20));
        let state = place.path().join("state");
        fs::create_dir(&state).unwrap();
        fs::set_permissions(&state, PermissionsExt::from_mode(mode)).unwrap();
        place.kvx_out().run().expect(73).says(&[
            "cannot be kept in",
            "other users can change",
            state.to_str().unwrap(),
        ]);
        assert!(fs::read_dir(&state).unwrap().count() == 0 && !place.file().exists(), "{mode:o}");
    }
}

/// Root's link leads by way of hers: she decides where to, and when.
#[test]
fn by_a_link_that_leads_through_a_directory_of_hers_no_state_is_kept() {
    if !can("links of other users") {
        return;
    }
    let place = Place::new();
    place.upload(lines(20));
    let (hers, own) = (place.path().join("hers"), place.path().join("own"));
    directory_of(ALICE, &hers, 0o755);
    directory_of(0, &own, 0o700);
    symlink(&own, hers.join("link")).unwrap();
    std::os::unix::fs::lchown(hers.join("link"), Some(ALICE), None).unwrap();
    symlink(hers.join("link"), place.path().join("state")).unwrap();
    place.kvx_out().run().expect(73).says(&["cannot be kept in", "other users can change", hers.to_str().unwrap()]);
    assert!(fs::read_dir(&own).unwrap().count() == 0 && !place.file().exists());
}

/// One of this user's, in a directory of hers, another user can move into one that both can write.
#[test]
fn by_a_link_in_a_directory_of_all_no_state_is_kept() {
    let place = Place::new();
    place.upload(lines(20));
    let (open, own) = (place.path().join("open"), place.path().join("own"));
    fs::create_dir(&open).unwrap();
    fs::create_dir(&own).unwrap();
    let run = || {
        let run = Run::new("kvx-out", &place.consul.address).args(["-k", &place.key, "-f"]).arg(place.file());
        run.arg("--state-dir").arg(open.join("link")).run()
    };
    std::os::unix::fs::symlink(&own, open.join("link")).unwrap();
    run().expect(0).says(&["installed"]);
    place.upload(lines(21));
    for mode in [0o1777, 0o1775] {
        fs::set_permissions(&open, fs::Permissions::from_mode(mode)).unwrap();
        run().expect(73).says(&["the state of the file cannot be kept in", "other users can change", "open/link"]);
        assert_eq!((place.content(), fs::read_dir(&own).unwrap().count()), (lines(20), 1), "{mode:o}");
    }
}
