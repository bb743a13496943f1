//! `kvx status`: shows the state of all files and keys; the exit status is 0 only if there is no problem. On a real
//! Consul.

use std::fs;
use std::os::unix::fs::symlink;

use crate::common::busy::Busy;
use crate::common::gate::{Act, Gate};
use crate::common::{Place, Ran, Run, lines, lock_of, sha256};
use serde_json::{Value, json};

pub fn status(place: &Place) -> Run {
    place.kvx("status").arg("--state-dir").arg(place.path().join("state"))
}

/// Of the place's key, in JSON.
pub fn of_key(place: &Place, exit: i32) -> Value {
    json(&status(place).args(["-k", &place.key, "--json"]).run().expect(exit).is_silent())
}

/// Of the place's file, in JSON.
pub fn of_file(place: &Place, exit: i32) -> Value {
    json(&status(place).arg("--json").arg("-f").arg(place.file()).run().expect(exit).is_silent())
}

pub fn json(ran: &Ran) -> Value {
    let value: Value = serde_json::from_str(ran.out()).unwrap();
    assert_eq!(value["well"], ran.status.success(), "{value:#}");
    value
}

pub fn short(document: &str) -> String {
    format!("{}…", &sha256(document)[..8])
}

/// Of a run whose handler failed.
pub const FAILED: &str = "last run now: 1, the handler `test -e /nowhere` failed (exit status: 1)";

/// As if no time had passed since the last run.
pub fn now(text: &str) -> String {
    let mut parts = text.split("last run ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| format!("{text}last run now{}", &part[part.find(" ago").unwrap() + " ago".len()..]))
}

/// Installs, and runs a handler.
pub fn installed(place: &Place, document: &str) {
    place.upload(document);
    place.kvx_out().args(["-e", "true"]).run().expect(0);
}

#[test]
fn all_is_well_with_status_0() {
    let place = Place::new();
    installed(&place, &lines(20));
    assert_eq!(of_key(&place, 0)["files"].as_array().unwrap().len(), 1);
    let overview = of_file(&place, 0);
    assert_eq!((&overview["keys"][0]["key"], &overview["files"][0]["problems"]), (&json!(place.key), &json!([])));
    let ran = status(&place).arg("-f").arg(place.file()).run().expect(0).is_silent();
    assert_eq!(ran.out().matches(" ok\n").count(), 2, "{}", ran.out());
    assert!(!ran.out().contains("installed by"), "nothing is to be done");
    // A document of no handler, of another prefix, and a value without a checksum are well, too.
    let more = |words: &[&str], file: &str| {
        let run =
            Run::new("kvx-out", &place.consul.address).args(words).arg("-f").arg(place.path().join("out").join(file));
        run.arg("--state-dir").arg(place.path().join("state")).run().expect(0);
        let run = status(&place).arg("--json").arg("-f").arg(place.path().join("out").join(file));
        json(&run.run().expect(0).is_silent())
    };
    place.consul.put_pair(&format!("{}/x", place.key), lines(30));
    let other = more(&["-k", "x", "-p", &place.key], "other");
    assert_eq!(other["keys"], json!([]), "it is of another prefix");
    assert_eq!(other["files"][0]["in_consul"], sha256(lines(30)).as_str());
    place.consul.put(&format!("{}/raw", place.key), lines(40));
    let raw = more(&["--raw", &format!("{}/raw", place.key)], "raw");
    assert_eq!(raw["files"][0]["key"], format!("{}/raw", place.key).as_str());
    assert_eq!(raw["files"][0]["in_consul"], sha256(lines(40)).as_str());
}

/// What is done to a file that is right, and what is said of it then.
type Case<'a> = (&'a str, &'a dyn Fn(&Place), Vec<String>);

#[test]
fn what_is_not_well_is_said_with_status_1() {
    let long_ago = |place: &Place| place.change_state(|state_file| state_file["unfinished"] = true.into());
    let cases: [Case; 12] = [
        ("behind", &|place| drop(place.upload(lines(21))), vec![format!("behind: Consul has {}", short(&lines(21)))]),
        (
            "changed",
            &|place| fs::write(place.file(), "by hand\n").unwrap(),
            vec![format!("changed outside kvx-out: {} was installed", short(&lines(20)))],
        ),
        (
            "changed, and behind",
            &|place| {
                fs::write(place.file(), "by hand\n").unwrap();
                place.upload(lines(21));
            },
            vec![format!("changed outside kvx-out: {} was installed", short(&lines(20)))],
        ),
        (
            "put there by hand",
            &|place| {
                place.upload(lines(21));
                fs::write(place.file(), lines(21)).unwrap();
            },
            vec!["the same document as in Consul, but not installed by kvx-out: its handlers are pending".into()],
        ),
        ("missing", &|place| fs::remove_file(place.file()).unwrap(), vec!["missing".into()]),
        (
            "missing with its directory",
            &|place| fs::remove_dir_all(place.path().join("out")).unwrap(),
            vec!["missing".into()],
        ),
        (
            "pending",
            &|place| drop(place.kvx_out().args(["-e", "test -e /nowhere"]).run().expect(1)),
            vec!["pending: test -e /nowhere".into(), FAILED.into()],
        ),
        (
            "pending, of two",
            &|place| {
                for failing in ["false", "test -e /nowhere"] {
                    place.kvx_out().args(["-e", failing]).run().expect(1);
                }
                place.kvx_out().args(["-e", "true"]).run().expect(0);
            },
            vec!["pending: false".into(), "pending: test -e /nowhere".into()],
        ),
        ("unfinished", &long_ago, vec!["unfinished: a run was interrupted while it installed the file".into()]),
        (
            "the key is gone",
            &|place| place.consul.delete(&format!("{}?recurse", place.kv(""))),
            vec!["its key is not in Consul".into()],
        ),
        ("torn", &|place| place.consul.put(&place.kv("data"), "torn"), vec!["its key is torn".into()]),
        ("stopped", &|place| place.consul.put(&place.kv("stop"), "why"), vec![]),
    ];
    for (case, change, problems) in cases {
        let place = Place::new();
        installed(&place, &lines(20));
        of_file(&place, 0);
        match case {
            "the key is gone" => ["data", "checksum"].iter().for_each(|part| place.consul.delete(&place.kv(part))),
            _ => change(&place),
        }
        let same_time = |overview: Value| -> Value { serde_json::from_str(&now(&overview.to_string())).unwrap() };
        let overview = same_time(of_file(&place, 1));
        assert_eq!(overview["files"][0]["problems"], json!(problems), "{case}: {overview:#}");
        assert_eq!(same_time(of_key(&place, 1))["files"], overview["files"], "{case}");
        let shown = status(&place).arg("-f").arg(place.file()).run().expect(1).is_silent();
        assert!(now(shown.out()).contains(&problems.join("; ")), "{case}: {}", shown.out());
    }
}

#[test]
fn a_file_that_is_being_installed_is_busy_and_not_wrong() {
    for what in ["-e", "--check"] {
        let place = Place::new();
        installed(&place, &lines(20));
        place.upload(lines(21));
        let busy = Busy::start(&place, what);
        let overview = of_file(&place, 0);
        assert_eq!((&overview["files"][0]["busy"], &overview["files"][0]["problems"]), (&json!(true), &json!([])));
        let shown = status(&place).arg("-f").arg(place.file()).run().expect(0).is_silent();
        assert!(shown.out().contains("busy: a run is in progress"), "{}", shown.out());
        place.consul.put(&lock_of(&place), "why");
        let overview = of_file(&place, 1);
        assert_eq!(overview["files"][0]["problems"], json!(["locked: why"]));
        place.consul.delete(&lock_of(&place));
        busy.let_go().expect(0);
        // A run without a handler leaves that of the one before pending.
        let (exit, pending) = if what == "-e" { (0, json!([])) } else { (1, json!(["true"])) };
        let overview = of_file(&place, exit);
        assert_eq!((&overview["files"][0]["busy"], &overview["files"][0]["pending"]), (&json!(false), &pending));
    }
}

#[test]
fn a_run_that_ends_while_status_looks_is_not_a_foreign_change() {
    let place = Place::new();
    installed(&place, &lines(20));
    // After the keys were asked for, an operator uploads, and it is installed.
    let folder = format!("kvexpress/{}", place.key);
    let (consul, out) = (place.consul.clone(), place.kvx_out().command);
    let words: Vec<_> = out.get_args().map(ToOwned::to_owned).collect();
    let gate = Gate::to(&place.consul.address, move |request| {
        if request.target.contains("locks") && request.nth > 1 {
            consul.put_pair(&folder, lines(21));
            Run::new("kvx-out", &consul.address).args(&words).args(["-e", "true"]).run().expect(0);
        }
        Act::Pass
    });
    let ran = status(&place).args(["-s", &gate.address, "--json", "-f"]).arg(place.file()).run().expect(0).is_silent();
    assert_eq!(json(&ran)["files"][0]["problems"], json!([]), "{}", ran.out());
    assert_eq!(place.content(), lines(21), "it was installed meanwhile");
}

#[test]
fn a_file_is_found_by_a_link_and_locked_by_its_name() {
    let place = Place::new();
    place.upload(lines(20));
    let link = place.path().join("link");
    symlink(place.file(), &link).unwrap();
    let out = Run::new("kvx-out", &place.consul.address).args(["-k", &place.key, "-f"]).arg(&link);
    out.arg("--state-dir").arg(place.path().join("state")).run().expect(0);
    let of = |file: &std::path::Path, exit| {
        json(&status(&place).arg("--json").arg("-f").arg(file).run().expect(exit).is_silent())["files"][0].clone()
    };
    assert_eq!(of(&link, 0), of(&place.file(), 0));
    assert_eq!(of(&link, 0)["file"], place.file().to_str().unwrap());
    let lock = place.kvx("lock").arg("--state-dir").arg(place.path().join("state")).arg("-f").arg(&link);
    lock.args(["-r", "why"]).run().expect(0);
    assert!(place.path().join(".link.lock").exists());
    assert!(of(&place.file(), 1)["lock"].as_str().unwrap().starts_with("why"));
    // By another name, it is locked as kvx-out is given it: another lock it would not respect.
    let by = |what: &str, file: &std::path::Path| {
        place.kvx(what).arg("--state-dir").arg(place.path().join("state")).arg("-f").arg(file).run().expect(0)
    };
    by("unlock", &place.file());
    assert!(!place.path().join(".link.lock").exists());
    by("lock", &place.file());
    assert!(place.path().join(".link.lock").exists() && !place.marker().exists());
    place.upload(lines(21));
    let out = Run::new("kvx-out", &place.consul.address).args(["-k", &place.key, "-f"]).arg(&link);
    out.arg("--state-dir").arg(place.path().join("state")).run().expect(0).says(&["locked on this node"]);
    assert_eq!(place.content(), lines(20));
}

#[test]
fn an_install_by_hand_without_the_handler_is_not_reloaded_and_not_ok() {
    let place = Place::new();
    place.upload(lines(20));
    let watch = || place.kvx_out().args(["-e", &place.handler()]);
    watch().run().expect(0);
    place.upload(lines(21));
    place.kvx_out().run().expect(0).says(&["installed"]);
    let file = of_file(&place, 1)["files"][0].clone();
    assert_eq!(file["pending"][0].as_str().map(|words| words.starts_with("sh -c")), Some(true), "{file}");
    assert_eq!(place.runs().len(), 1);
    // Who runs it as the watch does, pays.
    watch().run().expect(0).says(&["the pending handler ran"]);
    assert_eq!((&of_file(&place, 0)["files"][0]["pending"], place.runs().len()), (&json!([]), 2));
    // One that is another by now is not pending for a document that came later.
    place.kvx_out().args(["-e", "true"]).run().expect(0);
    place.upload(lines(22));
    place.kvx_out().args(["-e", "true"]).run().expect(0);
    assert_eq!(of_file(&place, 0)["files"][0]["pending"], json!([]));
}

#[test]
fn a_pending_handler_that_no_command_line_has_any_more_is_logged_with_a_remedy() {
    let place = Place::new();
    place.upload(lines(20));
    place.kvx_out().args(["-e", "no-such-program -HUP 'a b'"]).run().expect(1);
    let shown = || status(&place).arg("-f").arg(place.file()).run().expect(1).out().to_owned();
    assert!(!shown().contains("kvx clean"), "{}", shown());
    place.kvx_out().args(["-e", "true"]).run().expect(0);
    let hint =
        "`no-such-program -HUP 'a b'` is pending for another command line; if that no longer exists, `kvx clean -f";
    assert!(shown().contains(hint), "{}", shown());
    place.kvx_file("clean").run().expect(0);
    place.kvx_out().args(["-e", "true"]).run().expect(0);
    of_file(&place, 0);
}

#[test]
fn a_key_that_was_renamed_is_the_files_from_the_next_run_on_and_nothing_is_reloaded() {
    let place = Place::new();
    let handler = place.handler();
    let out = |key: &str| place.kvx_out_bare().args(["-k", key, "-e", &handler]).run().expect(0);
    place.upload(lines(20));
    out(&place.key);
    let renamed = format!("{}-new", place.key);
    place.consul.put_pair(&format!("kvexpress/{renamed}"), lines(20));
    out(&renamed).is_silent();
    for part in ["data", "checksum"] {
        place.consul.delete(&place.kv(part));
    }
    let overview = of_file(&place, 0);
    assert_eq!(overview["files"][0]["key"], renamed.as_str());
    assert!(overview["files"][0]["command"].to_string().contains(&renamed));
    assert_eq!(place.runs().len(), 1);
}

#[test]
fn a_handler_that_failed_and_was_removed_stays_pending_until_the_document_changes_or_clean() {
    let pending = |place: &Place, exit| of_file(place, exit)["files"][0]["pending"].clone();
    let place = Place::new();
    place.upload(lines(20));
    place.kvx_out().args(["-e", "false"]).run().expect(1);
    place.kvx_out().args(["-e", "true"]).run().expect(0);
    assert_eq!(pending(&place, 1), json!(["false"]));
    place.upload(lines(21));
    place.kvx_out().args(["-e", "true"]).run().expect(0);
    assert_eq!(pending(&place, 0), json!([]));
    place.kvx_out().args(["-e", "false"]).run().expect(1);
    place.kvx_file("clean").run().expect(0);
    place.kvx_out().args(["-e", "true"]).run().expect(0);
    assert_eq!(pending(&place, 0), json!([]));
}
