//! `kvx status`: it shows how everything is, and its exit status is 0 only if all is well. On a real Consul.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::common::busy::Busy;
use crate::common::gate::{Act, Gate, http};
use crate::common::{self, Place, Ran, Run, golden, lines, lock_of, sha256, stamp_of};
use serde_json::{Value, json};

/// Nobody is there.
const NOBODY: &str = "127.0.0.1:1";

fn hostname() -> String {
    nix::unistd::gethostname().unwrap().into_string().unwrap()
}

fn status(place: &Place) -> Run {
    place.kvx("status").arg("--state-dir").arg(place.path().join("state"))
}

/// Of the place's key, in JSON.
fn of_key(place: &Place, exit: i32) -> Value {
    json(&status(place).args(["-k", &place.key, "--json"]).run().expect(exit).is_silent())
}

/// Of the place's file, in JSON.
fn of_file(place: &Place, exit: i32) -> Value {
    json(&status(place).arg("--json").arg("-f").arg(place.file()).run().expect(exit).is_silent())
}

fn json(ran: &Ran) -> Value {
    let value: Value = serde_json::from_str(ran.out()).unwrap();
    assert_eq!(value["well"], ran.status.success(), "{value:#}");
    value
}

fn short(document: &str) -> String {
    format!("{}…", &sha256(document)[..8])
}

/// Of a run whose handler failed.
const FAILED: &str = "last run now: 1, the handler `test -e /nowhere` failed (exit status: 1)";

/// As if no time had passed since the last run.
fn now(text: &str) -> String {
    let mut parts = text.split("last run ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| format!("{text}last run now{}", &part[part.find(" ago").unwrap() + " ago".len()..]))
}

/// Installs, and runs a handler.
fn installed(place: &Place, document: &str) {
    place.upload(document);
    place.kvx_out().args(["-e", "true"]).run().expect(0);
}

/// Keys and files of one prefix, the place's key.
struct Scenario {
    place: Place,
    lock: String,
}

impl Scenario {
    fn at(&self, path: &str) -> String {
        format!("{}/{path}", self.place.key)
    }

    /// A document of each encoding, one that is torn, one that is stopped, a stop of nothing; a lock of another node's; files
    /// that are right, locked and behind.
    fn new() -> Scenario {
        let place = Place::new();
        let lock = format!("{}/locks/{}/elsewhere", place.key, sha256("/etc/other"));
        let scenario = Scenario { place, lock };
        let (consul, at) = (scenario.place.consul.clone(), |path: &str| scenario.at(path));
        let document = golden::DOCUMENT;
        for (key, value, flags) in [
            ("plain", document.as_bytes().to_vec(), 0),
            ("smaller", golden::brotli(), 1),
            ("older", golden::GZIP_BASE64.as_bytes().to_vec(), 0),
        ] {
            consul.put_flags(&at(&format!("{key}/data")), value, flags);
            consul.put(&at(&format!("{key}/checksum")), sha256(document));
        }
        consul.put(&at("torn/data"), "half\n");
        consul.put_pair(&at("stopped"), lines(20));
        consul.put(&at("stopped/stop"), "bad DNS");
        consul.put(&at("not/there/stop"), "not yet");
        consul.put(&scenario.lock, "canary");
        scenario.install("a", "plain", &[]);
        consul.put_pair(&at("moving"), lines(20));
        scenario.install("b", "moving", &["-e", "test -e /nowhere"]);
        consul.put_pair(&at("moving"), lines(21));
        scenario
    }

    fn install(&self, file: &str, key: &str, more: &[&str]) {
        let ran = self.run(&["out", "-k", key]).arg("-f").arg(self.file(file)).args(more).run();
        ran.expect(if more.is_empty() { 0 } else { 1 });
    }

    fn file(&self, name: &str) -> String {
        self.place.path().join("out").join(name).display().to_string()
    }

    fn run(&self, words: &[&str]) -> Run {
        let run = Run::new("kvx", &self.place.consul.address).args(words).args(["-p", &self.place.key]);
        run.arg("--state-dir").arg(self.place.path().join("state"))
    }

    fn index(&self, path: &str) -> u64 {
        self.place.consul.modify_index(&self.at(path))
    }

    /// When a file was installed, in seconds since 1970.
    fn since(&self, file: &str) -> u64 {
        self.stamp(file)["time"].as_u64().unwrap()
    }

    fn stamp(&self, file: &str) -> Value {
        stamp_of(&self.place.path().join("state"), &self.file(file))
    }

    /// The command line that installed it.
    fn command(&self, file: &str, key: &str, more: &[&str]) -> Vec<String> {
        let program = common::run::binary("kvx").display().to_string();
        let (file, state) = (self.file(file), self.place.path().join("state").display().to_string());
        let words = [&program, "out", "-k", key, "-p", &self.place.key, "--state-dir", &state, "-f", &file];
        words.iter().chain(more).map(|&word| word.to_owned()).collect()
    }
}

#[test]
fn the_whole_overview_is_this() {
    let scenario = Scenario::new();
    let ran = scenario.run(&["status"]).run().expect(1).is_silent();
    let document = short(golden::DOCUMENT);
    let rows = [
        ["KEY", "CHECKSUM", "LINES", "SIZE", "STORED AS", "INDEX", "STATE"].map(str::to_owned),
        [
            "moving".into(),
            short(&lines(21)),
            "21".into(),
            "54 B".into(),
            "plain".into(),
            scenario.index("moving/checksum").to_string(),
            "ok".into(),
        ],
        ["not/there", "-", "-", "-", "-", "-", "not there; stopped: not yet"].map(str::to_owned),
        [
            "older".into(),
            document.clone(),
            "12".into(),
            "381 B".into(),
            format!("gzip, {} B", golden::GZIP_BASE64.len()),
            scenario.index("older/checksum").to_string(),
            "ok".into(),
        ],
        [
            "plain".into(),
            document.clone(),
            "12".into(),
            "381 B".into(),
            "plain".into(),
            scenario.index("plain/checksum").to_string(),
            "ok".into(),
        ],
        [
            "smaller".into(),
            document.clone(),
            "12".into(),
            "381 B".into(),
            format!("brotli, {} B", golden::brotli().len()),
            scenario.index("smaller/checksum").to_string(),
            "ok".into(),
        ],
        [
            "stopped".into(),
            short(&lines(20)),
            "20".into(),
            "51 B".into(),
            "plain".into(),
            scenario.index("stopped/checksum").to_string(),
            "stopped: bad DNS".into(),
        ],
        [
            "torn".into(),
            "-".into(),
            "-".into(),
            "-".into(),
            "-".into(),
            scenario.index("torn/data").to_string(),
            "torn: there is data without a checksum; upload it again with kvx-in".into(),
        ],
    ];
    let keys = table(&rows);
    let locks = table(&[
        ["LOCKED ON", "FILE", "REASON"].map(str::to_owned),
        ["elsewhere".into(), format!("(SHA-256 {}…)", &sha256("/etc/other")[..8]), "canary".into()],
    ]);
    let time = |file: &str| {
        let since = std::time::UNIX_EPOCH + std::time::Duration::from_secs(scenario.since(file));
        humantime::format_rfc3339_seconds(since).to_string()
    };
    let files = table(&[
        ["FILE", "KEY", "CHECKSUM", "SINCE", "STATE"].map(str::to_owned),
        [scenario.file("a"), "plain".into(), document, time("a"), "ok".into()],
        [
            scenario.file("b"),
            "moving".into(),
            short(&lines(20)),
            time("b"),
            format!("behind: Consul has {}; owed: test -e /nowhere; {FAILED}", short(&lines(21))),
        ],
    ]);
    let words = scenario.command("b", "moving", &["-e", "test -e /nowhere"]);
    let remedy = format!("{}: installed by `{}`\n", scenario.file("b"), shell_words::join(words));
    assert_eq!(now(ran.out()), [keys, locks, files, remedy].join("\n"));
}

/// Columns of two blanks between them, with nothing behind the last.
fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let widths: Vec<usize> =
        (0..N).map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap()).collect();
    let line = |row: &[String; N]| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

#[test]
fn the_whole_json_is_this() {
    let scenario = Scenario::new();
    let ran = scenario.run(&["status", "--json"]).run().expect(1).is_silent();
    let overview: Value = serde_json::from_str(&now(ran.out())).unwrap();
    let prefix = &scenario.place.key;
    let whole = |key: &str, document: &str, encoding: &str, stored: usize, stop: Option<&str>| {
        json!({
            "prefix": prefix, "key": key, "checksum": sha256(document), "bytes": document.len(),
            "lines": document.lines().count(), "encoding": encoding, "stored": stored,
            "index": scenario.index(&format!("{key}/checksum")), "stop": stop, "torn": null, "denied": false,
        })
    };
    let document = golden::DOCUMENT;
    let file = |name: &str, key: &str, is: &str, there: &str, owed: &[&str], more: &[&str], problems: &[&str]| {
        json!({
            "file": scenario.file(name), "key": key, "checksum": sha256(is), "in_consul": sha256(there), "key_state": "ok",
            "since": scenario.since(name), "lock": null, "owed": owed, "busy": false,
            "command": scenario.command(name, key, more), "problems": problems,
            "last_run": scenario.stamp(name)["last_run"],
        })
    };
    let behind = format!("behind: Consul has {}", short(&lines(21)));
    let expected = json!({
        "well": false,
        "state_dir": scenario.place.path().join("state").display().to_string(),
        "keys": [
            whole("moving", &lines(21), "plain", 54, None),
            {
                "prefix": prefix, "key": "not/there", "checksum": null, "bytes": null, "lines": null, "encoding": null,
                "stored": null, "index": null, "stop": "not yet", "torn": null, "denied": false,
            },
            whole("older", document, "gzip", golden::GZIP_BASE64.len(), None),
            whole("plain", document, "plain", document.len(), None),
            whole("smaller", document, "brotli", golden::brotli().len(), None),
            whole("stopped", &lines(20), "plain", 51, Some("bad DNS")),
            {
                "prefix": prefix, "key": "torn", "checksum": null, "bytes": null, "lines": null, "encoding": null,
                "stored": 5, "index": scenario.index("torn/data"), "stop": null,
                "torn": "there is data without a checksum", "denied": false,
            },
        ],
        "locks": [{ "node": "elsewhere", "file": null, "hash": sha256("/etc/other"), "reason": "canary" }],
        "files": [
            file("a", "plain", document, document, &[], &[], &[]),
            file(
                "b", "moving", &lines(20), &lines(21), &["test -e /nowhere"], &["-e", "test -e /nowhere"],
                &[&behind, "owed: test -e /nowhere", FAILED],
            ),
        ],
    });
    assert_eq!(overview, expected, "{overview:#}");
    // Scripts may rely on the order, too.
    let text = scenario.run(&["status", "--json"]).run().expect(1).out().to_owned();
    assert!(text.starts_with("{\n  \"well\": false,\n  \"state_dir\": ") && text.ends_with("}\n"));
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
    let long_ago = |place: &Place| place.change_stamp(|stamp| stamp["unfinished"] = true.into());
    let cases: [Case; 12] = [
        ("behind", &|place| drop(place.upload(lines(21))), vec![format!("behind: Consul has {}", short(&lines(21)))]),
        (
            "changed",
            &|place| fs::write(place.file(), "by hand\n").unwrap(),
            vec![format!("changed by somebody else: {} was installed", short(&lines(20)))],
        ),
        (
            "changed, and behind",
            &|place| {
                fs::write(place.file(), "by hand\n").unwrap();
                place.upload(lines(21));
            },
            vec![format!("changed by somebody else: {} was installed", short(&lines(20)))],
        ),
        (
            "put there by hand",
            &|place| {
                place.upload(lines(21));
                fs::write(place.file(), lines(21)).unwrap();
            },
            vec!["as in Consul, but put there by somebody else: its handlers are owed".into()],
        ),
        ("missing", &|place| fs::remove_file(place.file()).unwrap(), vec!["missing".into()]),
        (
            "missing with its directory",
            &|place| fs::remove_dir_all(place.path().join("out")).unwrap(),
            vec!["missing".into()],
        ),
        (
            "owed",
            &|place| drop(place.kvx_out().args(["-e", "test -e /nowhere"]).run().expect(1)),
            vec!["owed: test -e /nowhere".into(), FAILED.into()],
        ),
        (
            "owed, of two",
            &|place| {
                for failing in ["false", "test -e /nowhere"] {
                    place.kvx_out().args(["-e", failing]).run().expect(1);
                }
                place.kvx_out().args(["-e", "true"]).run().expect(0);
            },
            vec!["owed: false".into(), "owed: test -e /nowhere".into()],
        ),
        ("unfinished", &long_ago, vec!["a run that died has left it unfinished".into()]),
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
fn each_mark_of_a_lock_is_shown() {
    let place = Place::new();
    installed(&place, &lines(20));
    let problems = |place: &Place| {
        let overview = of_file(place, 1);
        assert_eq!(
            overview["files"][0]["problems"][0],
            format!("locked: {}", overview["files"][0]["lock"].as_str().unwrap())
        );
        overview
    };
    fs::write(place.visible_mark(), "Reason Locked: beside\n").unwrap();
    let overview = problems(&place);
    assert_eq!(overview["locks"], json!([]));
    assert!(overview["files"][0]["lock"].as_str().unwrap().starts_with("beside ("));
    // What cannot be read is not hidden, and does not hide the rest.
    fs::remove_file(place.visible_mark()).unwrap();
    symlink("nowhere", place.visible_mark()).unwrap();
    assert!(problems(&place)["files"][0]["lock"].as_str().unwrap().starts_with("its lock cannot be read"));
    fs::remove_file(place.visible_mark()).unwrap();
    place.consul.put(&lock_of(&place), "in Consul");
    let overview = problems(&place);
    assert_eq!(overview["files"][0]["lock"], "in Consul");
    let lock = &overview["locks"][0];
    assert_eq!((&lock["node"], &lock["file"]), (&json!(hostname()), &json!(place.file())));
    // Of a file of which nothing is remembered.
    fs::remove_file(place.stamp_file()).unwrap();
    let overview = of_file(&place, 1);
    assert_eq!(overview["files"][0]["lock"], "in Consul");
    place.consul.put(&lock_of(&place), "");
    assert_eq!(of_file(&place, 1)["files"][0]["lock"], json!(null));
}

#[test]
fn a_file_of_another_prefix_is_locked_under_that_one() {
    let place = Place::new();
    let prefix = &place.key;
    place.consul.put_pair(&format!("{prefix}/x"), lines(20));
    place.kvx_out_bare().args(["-k", "x", "-p", prefix]).run().expect(0);
    of_file(&place, 0);
    place.kvx_file("lock").args(["-p", prefix, "-r", "why"]).run().expect(0);
    fs::remove_dir_all(place.mark()).unwrap();
    let overview = of_file(&place, 1);
    assert!(overview["files"][0]["lock"].as_str().unwrap().starts_with("why ("), "{overview:#}");
}

#[test]
fn locks_of_other_files_are_left_out_where_one_is_wanted() {
    let place = Place::new();
    let prefix = &place.key;
    let run = |words: &[&str], file: &str| {
        let run = Run::new("kvx", &place.consul.address).args(words).args(["-p", prefix]);
        run.arg("--state-dir").arg(place.path().join("state")).arg("-f").arg(place.path().join("out").join(file))
    };
    for key in ["a", "b"] {
        place.consul.put_pair(&format!("{prefix}/{key}"), lines(20));
        run(&["out", "-k", key], key).run().expect(0);
    }
    run(&["lock", "-r", "why"], "a").run().expect(0);
    let lock = |hash: &str, node: &str| place.consul.put(&format!("{prefix}/locks/{hash}/{node}"), "elsewhere");
    lock(&sha256(place.path().join("out/a").to_str().unwrap()), "other-node");
    lock(&sha256("/etc/unknown"), "other-node");
    lock("no-hash", "other-node");
    lock(&sha256("/etc/nobody"), "");
    place.consul.put(&format!("{prefix}/locks/stray"), "stray");
    let nodes = |words: &[&str], exit| {
        let run = Run::new("kvx", &place.consul.address).args(["status", "--json", "-p", prefix]).args(words);
        let overview = json(&run.arg("--state-dir").arg(place.path().join("state")).run().expect(exit).is_silent());
        let locks = overview["locks"].as_array().unwrap();
        let name = |lock: &Value| format!("{} {}", lock["node"].as_str().unwrap(), !lock["file"].is_null());
        let mut names: Vec<String> = locks.iter().map(name).collect();
        names.sort();
        names
    };
    let (here, there, unknown) =
        (format!("{} true", hostname()), "other-node true".to_owned(), "other-node false".to_owned());
    let mut all = vec![here.clone(), there.clone(), unknown.clone()];
    all.sort();
    let mut of_a = vec![here, there];
    of_a.sort();
    assert_eq!(nodes(&[], 1), all);
    assert_eq!(nodes(&["-f", place.path().join("out/a").to_str().unwrap()], 1), of_a);
    assert_eq!(nodes(&["-f", place.path().join("out/b").to_str().unwrap()], 0), [""; 0]);
    assert_eq!(nodes(&["-k", "a"], 1), of_a);
    assert_eq!(nodes(&["-k", "b"], 0), [""; 0]);
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
        assert!(shown.out().contains("busy: a run is at it"), "{}", shown.out());
        place.consul.put(&lock_of(&place), "why");
        let overview = of_file(&place, 1);
        assert_eq!(overview["files"][0]["problems"], json!(["locked: why"]));
        place.consul.delete(&lock_of(&place));
        busy.let_go().expect(0);
        // A run without a handler leaves that of the one before owed.
        let (exit, owed) = if what == "-e" { (0, json!([])) } else { (1, json!(["true"])) };
        let overview = of_file(&place, exit);
        assert_eq!((&overview["files"][0]["busy"], &overview["files"][0]["owed"]), (&json!(false), &owed));
    }
}

#[test]
fn a_run_that_ends_while_status_looks_is_no_change_by_somebody_else() {
    let place = Place::new();
    installed(&place, &lines(20));
    // After the keys were asked for, somebody uploads, and it is installed.
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
    // By another name, it is locked as kvx-out is given it: another lock it would not heed.
    let by = |what: &str, file: &std::path::Path| {
        place.kvx(what).arg("--state-dir").arg(place.path().join("state")).arg("-f").arg(file).run().expect(0)
    };
    by("unlock", &place.file());
    assert!(!place.path().join(".link.lock").exists());
    by("lock", &place.file());
    assert!(place.path().join(".link.lock").exists() && !place.mark().exists());
    place.upload(lines(21));
    let out = Run::new("kvx-out", &place.consul.address).args(["-k", &place.key, "-f"]).arg(&link);
    out.arg("--state-dir").arg(place.path().join("state")).run().expect(0).says(&["locked on this node"]);
    assert_eq!(place.content(), lines(20));
}

#[test]
fn what_somebody_installs_by_hand_without_the_handler_is_not_reloaded_and_not_well() {
    let place = Place::new();
    place.upload(lines(20));
    let watch = || place.kvx_out().args(["-e", &place.handler()]);
    watch().run().expect(0);
    place.upload(lines(21));
    place.kvx_out().run().expect(0).says(&["installed"]);
    let file = of_file(&place, 1)["files"][0].clone();
    assert_eq!(file["owed"][0].as_str().map(|words| words.starts_with("sh -c")), Some(true), "{file}");
    assert_eq!(place.runs().len(), 1);
    // Who runs it as the watch does, pays.
    watch().run().expect(0).says(&["the handler that was owed ran"]);
    assert_eq!((&of_file(&place, 0)["files"][0]["owed"], place.runs().len()), (&json!([]), 2));
    // One that is another by now is not owed for a document that came later.
    place.kvx_out().args(["-e", "true"]).run().expect(0);
    place.upload(lines(22));
    place.kvx_out().args(["-e", "true"]).run().expect(0);
    assert_eq!(of_file(&place, 0)["files"][0]["owed"], json!([]));
}

#[test]
fn a_handler_that_no_command_line_has_any_more_is_told_of_with_its_remedy() {
    let place = Place::new();
    place.upload(lines(20));
    place.kvx_out().args(["-e", "no-such-program -HUP 'a b'"]).run().expect(1);
    let shown = || status(&place).arg("-f").arg(place.file()).run().expect(1).out().to_owned();
    assert!(!shown().contains("kvx clean"), "{}", shown());
    place.kvx_out().args(["-e", "true"]).run().expect(0);
    let hint = "`no-such-program -HUP 'a b'` is owed by another command line; if that is no more, `kvx clean -f";
    assert!(shown().contains(hint), "{}", shown());
    place.kvx_file("clean").run().expect(0);
    place.kvx_out().args(["-e", "true"]).run().expect(0);
    of_file(&place, 0);
}

#[test]
fn without_consul_a_file_is_not_said_to_be_well() {
    let place = Place::new();
    installed(&place, &lines(20));
    let ran = status(&place).args(["-s", "127.0.0.1:1", "--timeout", "100ms", "-f"]).arg(place.file()).run().expect(69);
    assert!(ran.out().contains("as it was installed; Consul was not asked"), "{}", ran.out());
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
    let not_ours = format!("not installed by kvx-out, as far as is remembered in {}", state.display());
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
    let without = ["-s", NOBODY, "--timeout", "100ms", "--json"];
    let ran = status(&place).args(without).run().expect(69);
    let overview: Value = serde_json::from_str(ran.out()).unwrap();
    assert_eq!((&overview["well"], &overview["keys"], &overview["locks"]), (&json!(false), &json!([]), &json!([])));
    let file = &overview["files"][0];
    assert_eq!((&file["in_consul"], &file["problems"]), (&json!(null), &json!([])));
    ran.says(&["kvx status: Consul at", NOBODY]);
    fs::write(place.visible_mark(), "why\n").unwrap();
    fs::write(place.file(), "changed\n").unwrap();
    let ran = status(&place).args(without).run().expect(69);
    let overview: Value = serde_json::from_str(ran.out()).unwrap();
    let problems = overview["files"][0]["problems"].as_array().unwrap();
    assert!(problems[0].as_str().unwrap().starts_with("changed by somebody else"), "{problems:?}");
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
    let stamp = fs::read(place.stamp_file()).unwrap();
    let hash = |n: u8| state.join(sha256([n]));
    for (name, text) in [("notes.txt", "garbage".as_bytes()), ("stamp.bak", &stamp), (".hidden", b"{}")] {
        fs::write(state.join(name), text).unwrap();
    }
    fs::write(hash(1), "garbage").unwrap();
    fs::write(hash(2), "").unwrap();
    fs::write(hash(3), &stamp).unwrap(); // A copy of another's.
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
        .says(&["what is remembered", "--state-dir"]);
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
    // The stamp does not have every byte of it: it is not found, but no harm is done.
    let ran = run("kvx", &["status"]).run();
    assert!([0, 1].contains(&ran.status.code().unwrap()), "{ran:?}");
    run("kvx", &["lock", "-r", "why"]).run().expect(0);
    place.upload(lines(21));
    run("kvx-out", &["-k", &place.key]).run().expect(0).says(&["locked", "why"]);
    run("kvx", &["unlock"]).run().expect(0);
    run("kvx", &["clean"]).run().expect(0);
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
fn a_handler_that_failed_and_was_taken_out_is_owed_until_the_document_changes_or_clean() {
    let owed = |place: &Place, exit| of_file(place, exit)["files"][0]["owed"].clone();
    let place = Place::new();
    place.upload(lines(20));
    place.kvx_out().args(["-e", "false"]).run().expect(1);
    place.kvx_out().args(["-e", "true"]).run().expect(0);
    assert_eq!(owed(&place, 1), json!(["false"]));
    place.upload(lines(21));
    place.kvx_out().args(["-e", "true"]).run().expect(0);
    assert_eq!(owed(&place, 0), json!([]));
    place.kvx_out().args(["-e", "false"]).run().expect(1);
    place.kvx_file("clean").run().expect(0);
    place.kvx_out().args(["-e", "true"]).run().expect(0);
    assert_eq!(owed(&place, 0), json!([]));
}

#[test]
fn long_reasons_and_odd_names_leave_the_table_in_one_piece() {
    let place = Place::new();
    let prefix = &place.key;
    place.consul.put_pair(&format!("{prefix}/with blank…"), lines(20));
    place.consul.put(&format!("{prefix}/with blank…/stop"), format!("{}\n\x1b[31m", "x".repeat(5000)));
    let lock = format!("{prefix}/locks/{}", sha256("/etc/x"));
    // Consul refuses such a name in a path, but not in a transaction.
    let set = json!([{"KV": {"Verb": "set", "Key": format!("{lock}/evil\x1b[31m\nnode"), "Value": "d2h5"}}]);
    assert_eq!(place.consul.http("PUT", "/v1/txn", set.to_string().as_bytes()).unwrap().0, 200);
    let shown = status(&place).args(["-p", prefix]).run().expect(1).is_silent();
    assert_eq!(shown.out().lines().count(), 7, "{}", shown.out());
    assert!(!shown.out().contains('\x1b'), "{}", shown.out());
    assert!(shown.out().lines().all(|line| line.chars().count() < 450 && line.trim_end() == line));
    // Of a table that is cut off by its reader, nothing is said.
    let path = common::run::path();
    let script = format!("kvx status -p {prefix} --state-dir /nowhere | true");
    let mut sh = Command::new("sh");
    sh.args(["-c", &script]).env("PATH", path).env("CONSUL_HTTP_ADDR", &place.consul.address);
    assert_eq!(sh.output().unwrap().stderr, b"");
}
