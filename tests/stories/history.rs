//! `kvx history`, `kvx show` and `kvx diff --from`: the versions of a key, as people look at them.

use serde_json::Value;

use crate::common::proxy::Counter;
use crate::common::run::path;
use crate::common::{NO_AGENT, Place, Ran, Run, golden, lines, sha256};

fn history(place: &Place) -> Run {
    place.kvx("history").args(["-k", &place.key])
}

fn show(place: &Place, at: &str) -> Run {
    place.kvx("show").args(["-k", &place.key, "--at", at])
}

fn diff(place: &Place, arguments: &[&str]) -> Run {
    place.kvx("diff").args(["-k", &place.key]).args(arguments)
}

/// What `kvx history --json` prints.
fn versions(place: &Place) -> Vec<Value> {
    of_json(&history(place).arg("--json").run().expect(0).is_silent())
}

fn of_json(ran: &Ran) -> Vec<Value> {
    serde_json::from_str(ran.out()).unwrap()
}

fn values<'a>(versions: &'a [Value], name: &str) -> Vec<&'a Value> {
    versions.iter().map(|version| &version[name]).collect()
}

/// The positions of the versions for which this is true.
fn which(versions: &[Value], name: &str) -> Vec<usize> {
    (0..versions.len()).filter(|at| versions[*at][name] == true).collect()
}

fn upload(place: &Place, document: impl AsRef<[u8]>, arguments: &[&str]) {
    place.kvx_in().args(["-l", "0"]).args(arguments).stdin(document).run().expect(0);
}

/// The path of the document of a version.
fn part(place: &Place, document: impl AsRef<[u8]>) -> String {
    format!("kvexpress/kvx/parts/{}/{}", place.key, sha256(document))
}

/// All that Consul has of the key, with its indexes.
fn everything(place: &Place) -> Vec<Vec<u8>> {
    let read = |path: String| place.consul.http("GET", &format!("/v1/kv/{path}?recurse"), b"").unwrap().1;
    let folders = ["history", "parts"].map(|folder| format!("kvexpress/kvx/{folder}/{}/", place.key));
    [place.kv("")].into_iter().chain(folders).map(read).collect()
}

#[test]
fn versions_are_listed_newest_first_with_the_current_one_marked() {
    let place = Place::new();
    upload(&place, lines(20), &["-m", "the first"]);
    upload(&place, lines(30), &[]);
    upload(&place, lines(20), &["-m", "bad DNS"]);
    upload(&place, lines(30), &["-z"]);
    let before = everything(&place);
    let table = history(&place).run().expect(0).is_silent();
    let rows: Vec<Vec<&str>> = table.out().lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["TIME", "CHECKSUM", "LINES", "SIZE", "BY", "NOTE"]);
    let (a, b) = (sha256(lines(20)), sha256(lines(30)));
    let shown = |checksum: &str| format!("{}…", &checksum[..8]);
    let column = |at: usize| rows[2..].iter().map(|row| row[at].to_owned()).collect::<Vec<_>>();
    assert_eq!((rows[1][0], rows[1][2], rows[1][3]), ("*", &*shown(&b), "30"), "the current one: {}", table.out());
    assert_eq!(
        (column(1), column(2)),
        (vec![shown(&a), shown(&b), shown(&a)], ["20", "30", "20"].map(str::to_owned).to_vec())
    );
    assert!(rows[2].join(" ").ends_with("bad DNS"), "{}", table.out());
    assert!(rows[4].join(" ").ends_with("the first"), "{}", table.out());

    let listed = versions(&place);
    assert_eq!(values(&listed, "checksum"), [&*b, &a, &b, &a]);
    assert_eq!(values(&listed, "lines"), [30, 20, 30, 20]);
    assert_eq!(values(&listed, "size"), [lines(30).len(), lines(20).len(), lines(30).len(), lines(20).len()]);
    assert_eq!(listed[0]["undo"], *a);
    assert_eq!((&listed[1]["note"], &listed[3]["undo"]), (&Value::from("bad DNS"), &Value::Null));
    assert_eq!((which(&listed, "current"), which(&listed, "rollback")), (vec![0], vec![]));
    assert!(values(&listed, "problem").iter().all(|problem| problem.is_null()));
    let mut times: Vec<&str> = listed.iter().map(|version| version["time"].as_str().unwrap()).collect();
    assert!(listed.iter().all(|version| version["by"].as_str().unwrap().contains('@')));
    assert!(times.iter().rev().is_sorted());

    let names = history(&place).arg("--names").run().expect(0).is_silent();
    times.extend([&b[..8], &a[..8]]);
    assert_eq!(names.out().lines().collect::<Vec<_>>(), times);
    for (at, name) in times.iter().enumerate() {
        let document = if [1, 3, 5].contains(&at) { lines(20) } else { lines(30) };
        assert_eq!(show(&place, name).run().expect(0).is_silent().out(), document, "{name}");
    }
    for (at, document) in [("-1", 20), ("-2", 30), ("-3", 20)] {
        assert_eq!(show(&place, at).run().expect(0).out(), lines(document), "{at}");
    }
    let none = show(&place, "-4").run().expect(66);
    assert_eq!(none.out(), "");
    none.says(&["kvx show: ", &place.key, "no version -4", "kvx history"]);
    assert_eq!(everything(&place), before, "nothing is written");
}

#[test]
fn without_a_version_the_current_document_is_shown() {
    let place = Place::new();
    let current = || place.kvx("show").args(["-k", &place.key]);
    let nothing = current().run().expect(66);
    assert_eq!(nothing.out(), "");
    nothing.says(&["kvx show: ", &place.kv("data"), "upload it with kvx-in"]);
    let binary: Vec<u8> = (0..=255).cycle().take(3000).collect();
    for document in [golden::DOCUMENT.as_bytes(), b"", b"\xff\x00\x1b[2J no newline", &binary] {
        for arguments in [&["-z"][..], &[]] {
            upload(&place, document, arguments);
            assert_eq!(current().run().expect(0).is_silent().stdout, document);
        }
    }
    // Each of them is in the history, byte for byte, and compared as bytes.
    for document in [golden::DOCUMENT.as_bytes(), b"", b"\xff\x00\x1b[2J no newline", &binary] {
        assert_eq!(show(&place, &sha256(document)[..8]).run().expect(0).is_silent().stdout, document);
    }
    let difference = diff(&place, &["--from", &sha256("")[..8], "--to", &sha256(b"\xff\x00\x1b[2J no newline")[..8]]);
    assert!(
        difference.run().expect(1).stdout.ends_with(b"+\xff\x00\x1b[2J no newline\n\\ No newline at end of file\n")
    );
    place.consul.put(&place.kv("data"), "half");
    let torn = current().run().expect(75);
    assert_eq!(torn.out(), "");
    torn.says(&["torn", "kvx-in"]);
    place.consul.put(&place.kv("stop"), "why");
    show(&place, &sha256("")[..8]).run().expect(0).is_silent();
}

#[test]
fn a_document_that_kvexpress_wrote_comes_first_until_an_upload_saves_it() {
    let place = Place::new();
    upload(&place, lines(20), &[]);
    upload(&place, lines(30), &[]);
    place.consul.put(&place.kv("data"), lines(25));
    place.consul.put(&place.kv("checksum"), sha256(lines(25)));
    let table = history(&place).run().expect(0).is_silent();
    let first = table.out().lines().nth(1).unwrap();
    assert!(first.starts_with("*  -") && first.ends_with("  (not in the history)"), "{}", table.out());
    let listed = versions(&place);
    assert_eq!(
        (values(&listed, "lines"), which(&listed, "current")),
        (vec![&25.into(), &30.into(), &20.into()], vec![0])
    );
    assert_eq!((&listed[0]["time"], &listed[0]["by"]), (&Value::Null, &Value::Null));
    assert_eq!(show(&place, "-1").run().expect(0).out(), lines(30), "what kvexpress has replaced");
    let header = diff(&place, &["--from", "-1"]).run().expect(1);
    assert!(header.out().contains(&format!("(in Consul, {}…)\n", &sha256(lines(25))[..8])), "{}", header.out());
    show(&place, &sha256(lines(25))[..8]).run().expect(66).says(&["no version", &sha256(lines(25))[..8]]);

    upload(&place, lines(40), &[]);
    let listed = versions(&place);
    assert_eq!(values(&listed, "lines"), [40, 25, 30, 20]);
    assert_eq!((&listed[1]["by"], which(&listed, "current")), (&"unknown".into(), vec![0]));
    assert_eq!(
        which(&listed, "rollback"),
        Vec::<usize>::new(),
        "kvexpress's is none, though it does not say what it replaced"
    );
    assert_eq!(show(&place, "-1").run().expect(0).out(), lines(25));

    // An upload without history has a record, but no version.
    upload(&place, lines(50), &["--keep", "0", "-m", "in a hurry"]);
    let listed = versions(&place);
    assert_eq!(
        (values(&listed, "lines"), which(&listed, "current")),
        ([50, 40, 25, 30, 20].map(Value::from).iter().collect(), vec![0])
    );
    assert_eq!((&listed[0]["note"], listed[0]["time"].is_string()), (&"in a hurry".into(), true));
    // A document that an older version has, too, is none of the versions: it has replaced the newest one.
    place.consul.put(&place.kv("data"), lines(25));
    place.consul.put(&place.kv("checksum"), sha256(lines(25)));
    let listed = versions(&place);
    assert_eq!(
        (values(&listed, "lines"), which(&listed, "current")),
        ([25, 40, 25, 30, 20].map(Value::from).iter().collect(), vec![0])
    );
    assert_eq!(show(&place, "-1").run().expect(0).out(), lines(40));
    // And none is current without a document.
    place.consul.delete(&place.kv("data"));
    place.consul.delete(&place.kv("checksum"));
    let ran = history(&place).arg("--json").run().expect(0).says(&["none of its versions is current"]);
    assert_eq!(which(&of_json(&ran), "current"), Vec::<usize>::new());
    assert_eq!(show(&place, "-1").run().expect(0).out(), lines(40));
}

#[test]
fn a_rollback_is_shown_as_one() {
    let place = Place::new();
    upload(&place, lines(20), &[]);
    upload(&place, lines(30), &[]);
    upload(&place, lines(20), &["-m", "bad DNS"]);
    let folder = format!("kvexpress/kvx/history/{}/", place.key);
    let entry = format!("{folder}{}-{}", versions(&place)[0]["time"].as_str().unwrap(), sha256(lines(20)));
    let record = place.consul.text(&entry).unwrap();
    let without: String =
        record.lines().filter(|line| !line.starts_with("undo ")).map(|line| format!("{line}\n")).collect();
    // Signatures follow the record, after an empty line.
    for record in [without.clone(), format!("{without}\n-----BEGIN SSH SIGNATURE-----\n")] {
        place.consul.put(&entry, record);
        let listed = versions(&place);
        assert_eq!((which(&listed, "rollback"), &listed[0]["undo"]), (vec![0], &Value::Null));
        let table = history(&place).run().expect(0).is_silent();
        assert!(table.out().lines().nth(1).unwrap().ends_with("  rollback: bad DNS"), "{}", table.out());
        assert_eq!(table.out().matches("rollback").count(), 1);
    }
    // What is not a record describes nothing, but its document can still be read.
    for (record, says) in [("kvx 2\n", "(its record needs a newer kvx)"), ("kvx 1\n", "(its record is malformed)")] {
        place.consul.put(&entry, record);
        let table = history(&place).run().expect(0).is_silent();
        let row: Vec<&str> = table.out().lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!((row[3..7].join(" "), row[7..].join(" ")), ("20 51 B -".into(), says.to_owned()), "{}", table.out());
        assert_eq!((&versions(&place)[0]["by"], &versions(&place)[0]["rollback"]), (&Value::Null, &false.into()));
        assert_eq!(show(&place, &sha256(lines(20))[..8]).run().expect(0).out(), lines(20));
    }
}

#[test]
fn a_key_in_the_folder_of_another_has_its_own_history() {
    let place = Place::new();
    let inner = format!("{}/b", place.key);
    let of_inner = |command: &str| place.kvx(command).args(["-k", &inner]);
    place.kvx("in").args(["-k", &inner, "-l", "0"]).stdin(lines(5)).run().expect(0);
    let nothing = history(&place).run().expect(66);
    assert_eq!(nothing.out(), "");
    nothing.says(&["kvx history: ", &place.key, "no history in kvexpress/kvx/history/", "kvx-in", "--keep 0"]);
    upload(&place, lines(20), &[]);
    upload(&place, lines(30), &[]);
    assert_eq!(values(&versions(&place), "lines"), [30, 20]);
    assert_eq!(values(&of_json(&of_inner("history").arg("--json").run().expect(0)), "lines"), [5]);
    show(&place, &sha256(lines(5))[..8]).run().expect(66);
    of_inner("show").args(["--at", &sha256(lines(20))[..8]]).run().expect(66);
    assert_eq!(of_inner("show").args(["--at", &sha256(lines(5))[..8]]).run().expect(0).out(), lines(5));
    history(&place).args(["-p", "elsewhere"]).run().expect(66).says(&["elsewhere/kvx/history/"]);
    assert_eq!(history(&place).args(["-p", "elsewhere", "--names"]).run().expect(0).is_silent().out(), "");
}

#[test]
fn what_cannot_be_restored_is_said_and_the_rest_is_shown() {
    let place = Place::new();
    for document in [20, 30, 40] {
        upload(&place, lines(document), &[]);
    }
    place.consul.delete(&part(&place, lines(20)));
    place.consul.put(&part(&place, lines(30)), "damaged");
    let before = everything(&place);
    let table = history(&place).run().expect(1).is_silent();
    let rows: Vec<&str> = table.out().lines().collect();
    let words = |at: usize| rows[at].split_whitespace().collect::<Vec<_>>();
    assert_eq!((words(1)[3], words(2)[2], words(3)[2]), ("40", "damaged", "missing"), "{}", table.out());
    assert_eq!((words(2)[3], words(3)[3]), ("81", "51"), "the size is that of the record: {}", table.out());
    let listed = of_json(&history(&place).arg("--json").run().expect(1).is_silent());
    assert_eq!(values(&listed, "lines"), [&40.into(), &Value::Null, &Value::Null]);
    assert_eq!(values(&listed, "problem"), [&Value::Null, &"damaged".into(), &"missing".into()]);

    let names = [sha256(lines(20)), sha256(lines(30)), sha256(lines(40))];
    let [missing, damaged, fine] = names.each_ref().map(|name| &name[..8]);
    for (ran, path) in [
        (show(&place, missing).run().expect(66), part(&place, lines(20))),
        (diff(&place, &["--from", missing]).run().expect(66), part(&place, lines(20))),
        (diff(&place, &["--from", fine, "--to", "-2"]).run().expect(66), part(&place, lines(20))),
        (show(&place, "-1").run().expect(65), part(&place, lines(30))),
        (diff(&place, &["--from", damaged, "--to", fine]).run().expect(65), part(&place, lines(30))),
    ] {
        assert_eq!(ran.out(), "");
        ran.says(&[&place.key, &path, "choose another version"]);
    }
    assert_eq!(show(&place, fine).run().expect(0).out(), lines(40));
    assert_eq!(everything(&place), before, "nothing is written, and nothing removed");
}

#[test]
fn uploads_that_remove_versions_meanwhile_make_none_look_lost() {
    let place = Place::new();
    upload(&place, lines(1), &[]);
    std::thread::scope(|scope| {
        let uploads = scope.spawn(|| (2..60).for_each(|document| upload(&place, lines(document), &["--keep", "2"])));
        let mut looks = 0;
        while !uploads.is_finished() {
            let listed = versions(&place);
            assert_eq!(which(&listed, "current").len(), 1, "{listed:#?}");
            let times: Vec<&str> = listed.iter().filter_map(|version| version["time"].as_str()).collect();
            assert!(times.len() == listed.len() && times.is_sorted_by(|newer, older| newer > older), "{times:?}");
            looks += 1;
        }
        assert!(looks > 2, "{looks}");
    });
    assert_eq!(values(&versions(&place), "lines"), [59, 58]);
}

#[test]
fn versions_are_compared_like_files() {
    let place = Place::new();
    upload(&place, "one\ntwo\n", &[]);
    upload(&place, "one\n2\n", &[]);
    upload(&place, "one\n2\nthree\n", &[]);
    let listed = versions(&place);
    let name = |at: usize| {
        let [time, checksum] = ["time", "checksum"].map(|name| listed[at][name].as_str().unwrap());
        format!("{time}, {}…", &checksum[..8])
    };
    let data = place.kv("data");
    let ran = diff(&place, &["--from", "-2"]).run().expect(1).is_silent();
    let hunk = "@@ -1,2 +1,3 @@\n one\n-two\n+2\n+three\n";
    assert_eq!(ran.out(), format!("--- {data} ({})\n+++ {data} (in Consul, {})\n{hunk}", name(2), name(0)));
    let ran = diff(&place, &["--from=-2", "--to=-1"]).run().expect(1).is_silent();
    assert_eq!(
        ran.out(),
        format!("--- {data} ({})\n+++ {data} ({})\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n", name(2), name(1))
    );
    let same = sha256("one\n2\nthree\n");
    assert_eq!(diff(&place, &["--from", &same]).run().expect(0).is_silent().out(), "");
    assert_eq!(diff(&place, &["--from", "-1", "--to", "-1"]).run().expect(0).is_silent().out(), "");
    diff(&place, &["--from", "-9"]).run().expect(66).says(&["no version -9"]);
    // Without a current document, versions can still be compared.
    place.consul.delete(&place.kv("data"));
    place.consul.delete(&place.kv("checksum"));
    diff(&place, &["--from", &same]).run().expect(66).says(&[&data]);
    diff(&place, &["--from", &same, "--to", &sha256("one\n2\n")[..8]]).run().expect(1).is_silent();
}

#[test]
fn an_invalid_or_ambiguous_name_is_64_and_asks_as_little_as_possible() {
    let place = Place::new();
    for document in [20, 30, 40] {
        upload(&place, lines(document), &[]);
    }
    let counter = Counter::to(&place.consul.address);
    let at_counter = |command: &str| Run::new("kvx", &counter.address).args([command, "-k", &place.key]);
    for name in ["3f9", "yesterday", "-0", "", "--2", "2026-1x"] {
        let ran = at_counter("show").args(["--at", name]).run().expect(64);
        ran.says(&["--at", "4 or more digits of a checksum", "-1, -2", "see kvx show --help"]);
    }
    for (arguments, says) in [
        (&["--from", "-1", "/dev/null"][..], "leave out --from and --to"),
        (&["--to", "-1", "/dev/null"], "leave out --from and --to"),
        (&["--to", "-1"], "--to needs --from"),
        (&[], "name a file, or a version with --from"),
    ] {
        at_counter("diff").args(arguments).run().expect(64).says(&[says, "see kvx diff --help"]);
    }
    at_counter("history").args(["--json", "--names"]).run().expect(64).says(&["exclude each other"]);
    assert!(counter.requests().is_empty(), "Consul was asked: {:?}", counter.requests());

    let listed = versions(&place);
    let candidate = |at: usize| {
        let [time, checksum] = ["time", "checksum"].map(|name| listed[at][name].as_str().unwrap());
        format!("{time} {}…", &checksum[..8])
    };
    let day = &listed[0]["time"].as_str().unwrap()[..5];
    let [newest, middle, oldest] = [0, 1, 2].map(candidate);
    for ran in [
        show(&place, day).run(),
        diff(&place, &["--from", day]).run(),
        diff(&place, &["--from", "-1", "--to", day]).run(),
    ] {
        let ran = ran.expect(64);
        assert_eq!(ran.out(), "");
        ran.says(&[&place.key, day, &newest, " or ", &middle, " or ", &oldest, "write more of it"]);
    }
    // Which of them begin alike is not for a test to choose: the names are put there.
    let alike = ["3f9a41c2", "3f9a77aa"].map(|start| format!("{start}{}", "0".repeat(56)));
    for (minute, checksum) in alike.iter().enumerate() {
        let path = format!("kvexpress/kvx/history/{}/2020-01-01T00:0{minute}:00.000Z-{checksum}", place.key);
        place.consul.put(&path, "kvx 1\n");
    }
    let candidates = ["2020-01-01T00:01:00.000Z 3f9a77aa…", "2020-01-01T00:00:00.000Z 3f9a41c2…"];
    show(&place, "3f9a").run().expect(64).says(&["3f9a could be ", candidates[0], " or ", candidates[1]]);
    show(&place, "3F9A7").run().expect(66).says(&["there is no ", &alike[1]]);
    show(&place, "2020-01-01T00:01").run().expect(66).says(&["there is no ", &alike[1]]);
}

#[test]
fn large_documents_are_kept_and_shown() {
    let place = Place::new();
    // Not compressible: it takes two steps to store.
    let large = |seed: u64| -> Vec<u8> {
        let mut state = seed;
        std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state.to_be_bytes()[0]
        })
        .take(400_000)
        .collect()
    };
    for seed in 1..=4 {
        upload(&place, large(seed), &[]);
    }
    upload(&place, lines(20), &[]);
    let listed = versions(&place);
    assert_eq!(values(&listed, "size")[1..], [400_000; 4]);
    for (at, seed) in [("-1", 4), ("-2", 3), ("-3", 2), ("-4", 1)] {
        assert!(show(&place, at).run().expect(0).is_silent().stdout == large(seed), "{at}");
    }
}

#[test]
fn no_agent_there_is_69_and_a_terminal_gets_no_control_characters() {
    let place = Place::new();
    for command in ["history", "show"] {
        let ran = place.kvx(command).args(["-k", &place.key, "-s", NO_AGENT, "--timeout", "100ms"]).run().expect(69);
        ran.says(&[&format!("kvx {command}: "), &place.key, NO_AGENT]);
    }
    upload(&place, "a\x1b[2Jb\n", &["-m", "NOTE"]);
    // kvx-in writes no control characters into a record, but others can.
    let time = versions(&place)[0]["time"].as_str().unwrap().to_owned();
    let entry = format!("kvexpress/kvx/history/{}/{time}-{}", place.key, sha256("a\x1b[2Jb\n"));
    let record = place.consul.text(&entry).unwrap();
    place.consul.put(&entry, record.replace("by ", "by e\u{ad}").replace("NOTE", "c\u{202e}d"));
    let at_a_terminal = |command: &str| {
        let command = format!("kvx {command} -k {}", place.key);
        let mut script = std::process::Command::new("script");
        script.args(["-qefc", &command, "/dev/null"]).env("PATH", path());
        let output = script.env("CONSUL_HTTP_ADDR", &place.consul.address).stdin(std::process::Stdio::null()).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    assert_eq!(at_a_terminal("show"), "a\\x1b[2Jb\r\n");
    let table = at_a_terminal("history");
    assert!(table.contains("  e\\xad") && table.ends_with("  c\\u{202e}d\r\n"), "{table}");
    assert!(history(&place).arg("--json").run().expect(0).out().contains("c\\u202ed\""));
}
