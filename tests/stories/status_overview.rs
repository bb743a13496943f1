//! `kvx status` of everything: the whole table and the whole JSON, for files and keys in every state.

use std::process::Command;

use super::status::{FAILED, now, short, status};
use crate::common::{self, Place, Run, golden, lines, sha256, stamp_of};
use serde_json::{Value, json};

/// Keys and files of one prefix, the place's key.
struct Scenario {
    place: Place,
    lock: String,
}

impl Scenario {
    fn at(&self, path: &str) -> String {
        format!("{}/{path}", self.place.key)
    }

    /// A document of each encoding, one that is torn, one that is stopped, a stop of nothing; a lock of another node's;
    /// files that are right, locked and behind.
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
        self.state_file(file)["time"].as_u64().unwrap()
    }

    fn state_file(&self, file: &str) -> Value {
        stamp_of(&self.place.path().join("state"), &self.file(file))
    }

    /// The command line that installed it.
    fn command(&self, file: &str, key: &str, more: &[&str]) -> Vec<String> {
        let (file, state) = (self.file(file), self.place.path().join("state").display().to_string());
        let words = ["kvx", "out", "-k", key, "-p", &self.place.key, "--state-dir", &state, "-f", &file];
        words.iter().chain(more).map(|&word| word.to_owned()).collect()
    }
}

#[test]
fn the_whole_overview_is_this() {
    let scenario = Scenario::new();
    let ran = scenario.run(&["status"]).run().expect(1).is_silent();
    let document = short(golden::DOCUMENT);
    let rows = [
        ["KEY", "CHECKSUM", "LINES", "SIZE", "STORED AS", "INDEX", "UPLOADED", "BY", "STATE"].map(str::to_owned),
        [
            "moving".into(),
            short(&lines(21)),
            "21".into(),
            "54 B".into(),
            "plain".into(),
            scenario.index("moving/checksum").to_string(),
            "-".into(),
            "-".into(),
            "ok".into(),
        ],
        ["not/there", "-", "-", "-", "-", "-", "-", "-", "no document; stopped: not yet"].map(str::to_owned),
        [
            "older".into(),
            document.clone(),
            "12".into(),
            "381 B".into(),
            format!("gzip, {} B", golden::GZIP_BASE64.len()),
            scenario.index("older/checksum").to_string(),
            "-".into(),
            "-".into(),
            "ok".into(),
        ],
        [
            "plain".into(),
            document.clone(),
            "12".into(),
            "381 B".into(),
            "plain".into(),
            scenario.index("plain/checksum").to_string(),
            "-".into(),
            "-".into(),
            "ok".into(),
        ],
        [
            "smaller".into(),
            document.clone(),
            "12".into(),
            "381 B".into(),
            format!("brotli, {} B", golden::brotli().len()),
            scenario.index("smaller/checksum").to_string(),
            "-".into(),
            "-".into(),
            "ok".into(),
        ],
        [
            "stopped".into(),
            short(&lines(20)),
            "20".into(),
            "51 B".into(),
            "plain".into(),
            scenario.index("stopped/checksum").to_string(),
            "-".into(),
            "-".into(),
            "stopped: bad DNS".into(),
        ],
        [
            "torn".into(),
            "-".into(),
            "-".into(),
            "-".into(),
            "-".into(),
            scenario.index("torn/data").to_string(),
            "-".into(),
            "-".into(),
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
            format!("behind: Consul has {}; pending: test -e /nowhere; {FAILED}", short(&lines(21))),
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
            "index": scenario.index(&format!("{key}/checksum")), "stop": stop, "hold": null, "torn": null, "denied": false,
            "uploaded": null, "by": null, "note": null,
        })
    };
    let document = golden::DOCUMENT;
    let file = |name: &str, key: &str, is: &str, there: &str, pending: &[&str], more: &[&str], problems: &[&str]| {
        json!({
            "file": scenario.file(name), "key": key, "checksum": sha256(is), "in_consul": sha256(there), "key_state": "ok",
            "since": scenario.since(name), "lock": null, "pending": pending, "busy": false,
            "command": scenario.command(name, key, more), "problems": problems,
            "last_run": scenario.state_file(name)["last_run"],
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
                "stored": null, "index": null, "stop": "not yet", "hold": null, "torn": null, "denied": false,
                "uploaded": null, "by": null, "note": null,
            },
            whole("older", document, "gzip", golden::GZIP_BASE64.len(), None),
            whole("plain", document, "plain", document.len(), None),
            whole("smaller", document, "brotli", golden::brotli().len(), None),
            whole("stopped", &lines(20), "plain", 51, Some("bad DNS")),
            {
                "prefix": prefix, "key": "torn", "checksum": null, "bytes": null, "lines": null, "encoding": null,
                "stored": 5, "index": scenario.index("torn/data"), "stop": null, "hold": null,
                "torn": "there is data without a checksum", "denied": false, "uploaded": null, "by": null, "note": null,
            },
        ],
        "locks": [{ "node": "elsewhere", "file": null, "hash": sha256("/etc/other"), "reason": "canary" }],
        "files": [
            file("a", "plain", document, document, &[], &[], &[]),
            file(
                "b", "moving", &lines(20), &lines(21), &["test -e /nowhere"], &["-e", "test -e /nowhere"],
                &[&behind, "pending: test -e /nowhere", FAILED],
            ),
        ],
    });
    assert_eq!(overview, expected, "{overview:#}");
    // Scripts may rely on the order, too.
    let text = scenario.run(&["status", "--json"]).run().expect(1).out().to_owned();
    assert!(text.starts_with("{\n  \"well\": false,\n  \"state_dir\": ") && text.ends_with("}\n"));
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
