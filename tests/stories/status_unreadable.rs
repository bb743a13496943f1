//! `kvx status` when something cannot be read: Consul is down, the state directory contains other files, a path is not
//! UTF-8. It reports that and shows the rest.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use super::status::{installed, of_file, of_key, status};
use crate::common::gate::{Act, Gate, http};
use crate::common::{NO_AGENT, Place, Run, lines, sha256};
use serde_json::{Value, json};

#[test]
fn a_directory_in_the_place_of_a_file_is_said_and_hides_nothing() {
    let place = Place::new();
    installed(&place, &lines(20));
    fs::remove_file(place.file()).unwrap();
    fs::create_dir(place.file()).unwrap();
    let overview = of_key(&place, 1);
    let problem = overview["files"][0]["problems"][0].as_str().unwrap();
    assert!(problem.contains("is a directory"), "{problem}");
    assert_eq!(overview["keys"][0]["checksum"], sha256(lines(20)).as_str());
}

#[test]
fn without_consul_a_file_is_not_said_to_be_well() {
    let place = Place::new();
    installed(&place, &lines(20));
    let ran = status(&place).args(["-s", "127.0.0.1:1", "--timeout", "100ms", "-f"]).arg(place.file()).run().expect(69);
    assert!(ran.out().contains("unchanged since it was installed; Consul was not asked"), "{}", ran.out());
}

#[test]
fn what_is_nowhere_is_66_and_what_is_not_ours_is_said() {
    let place = Place::new();
    let empty = status(&place).args(["-p", &place.key]).run().expect(66);
    assert_eq!(empty.out(), "");
    empty.says(&["kvx status: ", &format!("no key under {}/", place.key), "-p"]);
    let key = of_key(&place, 1);
    assert_eq!((&key["keys"][0]["checksum"], &key["files"]), (&json!(null), &json!([])));
    fs::write(place.file(), "somebody's\n").unwrap();
    let state = place.path().join("state");
    let not_ours = format!("not installed by kvx-out, according to {}", state.display());
    let overview = of_file(&place, 1);
    assert_eq!(overview["files"][0]["problems"], json!([not_ours]));
    assert_eq!(overview["files"][0]["checksum"], sha256("somebody's\n").as_str());
    fs::remove_file(place.file()).unwrap();
    assert_eq!(of_file(&place, 1)["files"][0]["problems"], json!(["missing", not_ours]));
    let nowhere = status(&place).args(["-f", "/nowhere/hosts"]).run().expect(1).is_silent();
    assert!(nowhere.out().contains("/nowhere/hosts  -    -"), "{}", nowhere.out());
}

#[test]
fn without_consul_the_files_are_shown() {
    let place = Place::new();
    installed(&place, &lines(20));
    let without = ["-s", NO_AGENT, "--timeout", "100ms", "--json"];
    let ran = status(&place).args(without).run().expect(69);
    let overview: Value = serde_json::from_str(ran.out()).unwrap();
    assert_eq!((&overview["well"], &overview["keys"], &overview["locks"]), (&json!(false), &json!([]), &json!([])));
    let file = &overview["files"][0];
    assert_eq!((&file["in_consul"], &file["problems"]), (&json!(null), &json!([])));
    ran.says(&["kvx status: Consul at", NO_AGENT]);
    fs::write(place.visible_marker(), "why\n").unwrap();
    fs::write(place.file(), "changed\n").unwrap();
    let ran = status(&place).args(without).run().expect(69);
    let overview: Value = serde_json::from_str(ran.out()).unwrap();
    let problems = overview["files"][0]["problems"].as_array().unwrap();
    assert!(problems[0].as_str().unwrap().starts_with("changed outside kvx-out"), "{problems:?}");
    assert!(problems[1].as_str().unwrap().starts_with("locked: why"), "{problems:?}");
}

#[test]
fn a_consul_that_goes_away_while_the_files_are_looked_at_hides_nothing() {
    let place = Place::new();
    installed(&place, &lines(20));
    // From the question for the lock of this node's file on.
    let gate = Gate::to(&place.consul.address, |request| {
        let body = String::from_utf8_lossy(&request.body);
        if body.contains("/locks/") { Act::Say(http("403 Forbidden", "Permission denied")) } else { Act::Pass }
    });
    let ran = status(&place).args(["-s", &gate.address, "--json", "-f"]).arg(place.file()).run().expect(77);
    let overview: Value = serde_json::from_str(ran.out()).unwrap();
    assert_eq!(overview["keys"][0]["checksum"], sha256(lines(20)).as_str());
    assert_eq!((&overview["well"], &overview["files"][0]["problems"]), (&json!(false), &json!([])));
}

#[test]
fn what_lies_about_in_the_state_directory_does_not_matter() {
    let place = Place::new();
    installed(&place, &lines(20));
    let clean = of_key(&place, 0);
    let state = place.path().join("state");
    let state_file = fs::read(place.state_file()).unwrap();
    let hash = |n: u8| state.join(sha256([n]));
    for (name, text) in [("notes.txt", "garbage".as_bytes()), ("state_file.bak", &state_file), (".hidden", b"{}")] {
        fs::write(state.join(name), text).unwrap();
    }
    fs::write(hash(1), "garbage").unwrap();
    fs::write(hash(2), "").unwrap();
    fs::write(hash(3), &state_file).unwrap(); // A copy of another's.
    fs::write(hash(4), b"{\"path\": \"/x\xff\"}").unwrap();
    fs::create_dir(hash(5)).unwrap();
    symlink(hash(3), hash(6)).unwrap();
    symlink("/nowhere", hash(7)).unwrap();
    assert!(Command::new("mkfifo").arg(hash(8)).status().unwrap().success());
    fs::create_dir(state.join("directory")).unwrap();
    drop(std::os::unix::net::UnixListener::bind(state.join("socket")).unwrap());
    {
        use std::os::unix::ffi::OsStrExt;
        fs::write(state.join(std::ffi::OsStr::from_bytes(b"odd-\xff")), "").unwrap();
    }
    assert_eq!(of_key(&place, 0), clean);
    assert_eq!(of_file(&place, 0)["files"], clean["files"]);
    // A state directory that is a file, though, is an error.
    status(&place).arg("--state-dir=/dev/null").run().expect(64);
    place
        .kvx("status")
        .args(["--state-dir", "/dev/null"])
        .run()
        .expect(74)
        .says(&["the recorded state", "--state-dir"]);
    // One that is not there is not created.
    let nowhere = place.path().join("nowhere");
    place.kvx("status").args(["-k", &place.key, "--state-dir"]).arg(&nowhere).run().expect(0);
    assert!(!nowhere.exists());
}

#[test]
fn a_path_that_is_not_utf_8_is_no_panic() {
    use std::os::unix::ffi::OsStrExt;
    let place = Place::new();
    place.upload(lines(20));
    let odd = place.path().join(std::ffi::OsStr::from_bytes(b"odd-\xff"));
    fs::create_dir(&odd).unwrap();
    let link = place.path().join("link");
    symlink(&odd, &link).unwrap();
    let file = link.join("hosts");
    let run = |program: &str, command: &[&str]| {
        let run = Run::new(program, &place.consul.address).args(command).arg("-f").arg(&file);
        run.arg("--state-dir").arg(place.path().join("state"))
    };
    run("kvx-out", &["-k", &place.key]).run().expect(0);
    // The state_file does not have every byte of it: it is not found, but no harm is done.
    let ran = run("kvx", &["status"]).run();
    assert!([0, 1].contains(&ran.status.code().unwrap()), "{ran:?}");
    run("kvx", &["lock", "-r", "why"]).run().expect(0);
    place.upload(lines(21));
    run("kvx-out", &["-k", &place.key]).run().expect(0).says(&["locked", "why"]);
    run("kvx", &["unlock"]).run().expect(0);
    run("kvx", &["clean"]).run().expect(0);
}
