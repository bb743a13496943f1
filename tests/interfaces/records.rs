//! The text of a record, which later versions of kvx, and people with `consul kv get`, read.

use std::time::Duration;

use crate::common::run::binary;
use crate::common::{Place, Run, lines, sha256};
use crate::properties::config;
use kvx::document::Checksum;
use kvx::layout::record::{LARGEST, LONGEST_NOTE, NotARecord, Record, Timestamp, note, time_after};
use proptest::option;
use proptest::prelude::*;
use serde_json::Value;

const EXAMPLE: &str = "kvx 1\nkey kvexpress/hosts\nchecksum 3f9a41c23f9a41c23f9a41c23f9a41c23f9a41c23f9a41c23f9a41c23f9a41c2\nsize 30600\ntime 2026-11-27T14:02:11.123Z\nby anna@web-1\nover 30m\nbrake 3\nundo 77aa0c1d77aa0c1d77aa0c1d77aa0c1d77aa0c1d77aa0c1d77aa0c1d77aa0c1d\nnote bad DNS: back to 13:58\n";

fn records() -> impl Strategy<Value = Record> {
    let checksum = || any::<[u8; 32]>().prop_map(Checksum::from_digest);
    let required = ("[a-z/]{1,40}", checksum(), any::<u64>(), 0u64..253_402_300_800_000, "[a-z0-9@.-]{1,40}");
    let optional = (
        option::of((1u64..86_400).prop_map(Duration::from_secs)),
        option::of(any::<u32>()),
        option::of(checksum()),
        option::of("[^\\p{C}]{1,100}").prop_map(|text| text.as_deref().and_then(note)),
    );
    (required, optional).prop_map(|((key, checksum, size, time, by), (over, brake, undo, note))| Record {
        time: Timestamp::from_millis(time),
        key,
        checksum,
        size,
        by,
        over,
        brake,
        undo,
        note,
    })
}

#[test]
fn the_example_is_a_record_in_its_only_form() {
    let record = Record::parse(EXAMPLE.as_bytes()).unwrap();
    assert_eq!(record.to_string(), EXAMPLE);
    assert_eq!((record.over, record.brake), (Some(Duration::from_secs(1_800)), Some(3)));
    assert_eq!(record.note.as_deref(), Some("bad DNS: back to 13:58"));
    let minimal: String = EXAMPLE.lines().take(6).map(|line| format!("{line}\n")).collect();
    assert_eq!(Record::parse(minimal.as_bytes()).unwrap().to_string(), minimal);
}

#[test]
fn what_is_not_in_this_form_is_malformed() {
    let lines = || EXAMPLE.lines().map(|line| line.to_owned() + "\n").collect::<Vec<String>>();
    let without = |name: &str| lines().into_iter().filter(|line| !line.starts_with(name)).collect::<String>();
    let changed = |from: &str, to: &str| EXAMPLE.replace(from, to);
    let mut cases: Vec<String> = ["key", "checksum", "size", "time", "by"].map(without).to_vec();
    for at in 1..10 {
        let (mut twice, mut swapped) = (lines(), lines());
        twice.insert(at, twice[at].clone());
        cases.push(twice.concat());
        if at < 9 {
            swapped.swap(at, at + 1);
            cases.push(swapped.concat());
        }
    }
    cases.extend([
        String::new(),
        "\n".into(),
        changed("kvx 1", "kvx one"),
        changed("kvx 1", "kvx "),
        changed("kvx 1\n", ""),
        EXAMPLE.trim_end().into(),
        format!("{EXAMPLE}\n"),
        changed("by anna", "\nby anna"),
        changed("anna", "an\x1bna"),
        changed("\n", "\r\n"),
        changed("30600", "030600"),
        changed("30600", "-1"),
        changed(".123Z", "Z"),
        changed("2026-11-27T14:02:11.123Z", "yesterday"),
        changed("30m", "1800s"),
        changed("3f9a41c2", "3F9A41C2"),
        changed("note bad DNS: back to 13:58", "note "),
        changed("note", "later line\nnote"),
        format!("{EXAMPLE}x {}\n", "x".repeat(LARGEST)),
    ]);
    for case in cases {
        assert!(matches!(Record::parse(case.as_bytes()), Err(NotARecord::Malformed(_))), "{case}");
    }
    assert!(matches!(Record::parse(b"kvx 1\nkey \xff\n"), Err(NotARecord::Malformed(_))));
}

#[test]
fn unknown_lines_at_the_end_are_ignored_and_another_number_is_a_newer_kvx() {
    let more = format!("{EXAMPLE}later x\nand more\nand more\nword\n");
    assert_eq!(Record::parse(more.as_bytes()).unwrap().to_string(), EXAMPLE);
    for version in ["kvx 2", "kvx 0", "kvx 11", "kvx 01"] {
        let newer = EXAMPLE.replace("kvx 1", version);
        assert_eq!(Record::parse(newer.as_bytes()), Err(NotARecord::Newer));
    }
    assert_eq!(Record::parse(b"kvx 2\n\xff\n\n"), Err(NotARecord::Newer));
}

#[test]
fn a_note_is_one_line() {
    assert_eq!(note(" a\nb\t\x1b[31m ").as_deref(), Some("a b \\x1b[31m"));
    assert_eq!(note(" \n "), None);
    assert_eq!(note(&"x".repeat(9_999)).unwrap().len(), LONGEST_NOTE);
}

#[test]
fn a_version_is_later_than_all_that_are_known_but_for_those_of_a_wrong_clock() {
    const DAY: u64 = 24 * 60 * 60 * 1000;
    let after = |now: u64, known: &[u64]| {
        let known = known.iter().map(|millis| Timestamp::from_millis(*millis));
        let (time, ignored) = time_after(Timestamp::from_millis(now), known);
        (time, ignored.is_some())
    };
    let at = Timestamp::from_millis;
    assert_eq!(after(5, &[]), (at(5), false));
    assert_eq!(after(5, &[1, 4]), (at(5), false));
    assert_eq!(after(5, &[5, 3]), (at(6), false));
    assert_eq!(after(5, &[9, DAY + 5]), (at(DAY + 6), false));
    assert_eq!(after(5, &[9, DAY + 6]), (at(10), true));
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_printed_record_is_read_as_it_was(record in records()) {
        prop_assert_eq!(Record::parse(record.to_string().as_bytes()), Ok(record));
    }

    #[test]
    fn no_bytes_are_too_odd(bytes in any::<Vec<u8>>(), at in any::<prop::sample::Index>()) {
        let _ = Record::parse(&bytes);
        let mut damaged = EXAMPLE.as_bytes().to_vec();
        let at = at.index(damaged.len());
        damaged.splice(at..at + 1, bytes);
        if let Ok(record) = Record::parse(&damaged) {
            prop_assert_eq!(Record::parse(record.to_string().as_bytes()), Ok(record));
        }
    }
}

/// The record of a key.
fn record_of(place: &Place) -> Record {
    Record::parse(&place.consul.get(&place.kv("record")).expect("a record")).unwrap()
}

fn status(place: &Place) -> Value {
    let run =
        place.kvx("status").args(["--json", "-k", &place.key, "--state-dir"]).arg(place.path().join("state")).run();
    serde_json::from_str::<Value>(run.out()).unwrap()["keys"][0].clone()
}

#[test]
fn each_upload_says_who_when_why_and_what_it_replaced() {
    let place = Place::new();
    let begun = Timestamp::now();
    place.kvx_in().args(["-m", " first\n\u{1b}one "]).stdin(lines(20)).run().expect(0);
    let first = record_of(&place);
    assert_eq!((first.key.as_str(), first.size), (format!("kvexpress/{}", place.key).as_str(), lines(20).len() as u64));
    assert_eq!(first.checksum, Checksum::of(lines(20).as_bytes()));
    assert_eq!((first.undo, first.note.as_deref()), (None, Some("first \\x1bone")));
    assert!(first.time >= begun && first.time <= Timestamp::now());
    let user = nix::unistd::User::from_uid(nix::unistd::getuid()).unwrap().unwrap().name;
    assert_eq!(first.by, format!("{user}@{}", nix::unistd::gethostname().unwrap().to_str().unwrap()));
    let shown = status(&place);
    assert_eq!((&shown["uploaded"], &shown["by"]), (&first.time.to_string().into(), &first.by.as_str().into()));
    assert_eq!(shown["note"], "first \\x1bone");
    // Unchanged: it stays. Changed: another one, in the same change of Consul as the pair.
    place.kvx_in().args(["-m", "unchanged"]).stdin(lines(20)).run().expect(0).is_silent();
    assert_eq!(record_of(&place), first);
    place.kvx_in().args(["-z"]).stdin(lines(21)).run().expect(0);
    let second = record_of(&place);
    assert_eq!((second.undo, second.note.as_ref()), (Some(first.checksum), None));
    assert!(second.time > first.time && second.checksum == Checksum::of(lines(21).as_bytes()));
    let indexes = ["data", "checksum", "record"].map(|part| place.consul.modify_index(&place.kv(part)));
    assert!(indexes.iter().all(|index| *index == indexes[0]), "{indexes:?}");
    // A copy has its own.
    let copy = format!("{}-2", place.key);
    place.kvx("copy").args(["--from", &place.key, "--to", &copy, "-m", "canary"]).run().expect(0);
    let copied = Record::parse(&place.consul.get(&format!("kvexpress/{copy}/record")).unwrap()).unwrap();
    assert_eq!((copied.key, copied.undo, copied.note.as_deref()), (format!("kvexpress/{copy}"), None, Some("canary")));
}

#[test]
fn kvexpress_writes_none_and_what_it_leaves_behind_describes_nothing() {
    let place = Place::new();
    place.upload(lines(20));
    let stale = record_of(&place);
    let link = place.path().join("kvexpress");
    std::os::unix::fs::symlink(binary("kvx"), &link).unwrap();
    let input = place.write("input", lines(21));
    let run = Run::new(link.to_str().unwrap(), &place.consul.address).args(["in", "-k", &place.key, "-s"]);
    run.arg(&place.consul.address).arg("-f").arg(&input).run().expect(0);
    assert_eq!((record_of(&place), place.consul.text(&place.kv("data"))), (stale.clone(), Some(lines(21))));
    let shown = status(&place);
    assert_eq!(
        (&shown["checksum"], &shown["uploaded"], &shown["by"]),
        (&sha256(lines(21)).into(), &Value::Null, &Value::Null)
    );
    // The next upload by kvx is later than that, too.
    place.upload(lines(22));
    assert!(record_of(&place).time > stale.time);
    assert_eq!(record_of(&place).undo, Some(Checksum::of(lines(21).as_bytes())));
}

#[test]
fn a_record_that_cannot_be_read_is_replaced_with_a_warning_and_a_newer_one_is_respected() {
    let place = Place::new();
    place.upload(lines(20));
    place.consul.put(&place.kv("record"), "kvx 1\nnonsense\u{1b}\n");
    let ran = place.kvx_in().stdin(lines(21)).run().expect(0);
    let warning = format!("{} is ignored and replaced", place.kv("record"));
    assert!(ran.stderr.contains(&warning) && ran.stderr.contains("uploaded"), "{}", ran.stderr);
    assert_eq!(record_of(&place).checksum, Checksum::of(lines(21).as_bytes()));
    place.consul.put(&place.kv("record"), "kvx 2\nanything\n");
    let before = place.folder();
    place.kvx_in().stdin(lines(22)).run().expect(65).says(&[&place.kv("record"), "needs a newer kvx"]);
    assert_eq!(place.folder(), before);
    place.kvx_in().stdin(lines(21)).run().expect(0).is_silent();
    // Of a clock that is a week ahead: said, and not continued. Of one that is an hour ahead: continued.
    for (ahead, is_continued) in [(7 * 24, false), (1, true)] {
        let theirs = Timestamp::now().plus(Duration::from_secs(ahead * 60 * 60));
        let record = Record { time: theirs, ..example() };
        place.consul.put(&place.kv("record"), record.to_string());
        let ran = place.kvx_in().stdin(lines(30 + ahead as usize)).run().expect(0);
        assert_eq!(
            ran.stderr.contains("is more than a day ahead of this machine's clock"),
            !is_continued,
            "{}",
            ran.stderr
        );
        let time = record_of(&place).time;
        assert!(if is_continued { time == theirs.plus(Duration::from_millis(1)) } else { time <= Timestamp::now() });
    }
}

fn example() -> Record {
    Record::parse(EXAMPLE.as_bytes()).unwrap()
}

#[test]
fn the_longest_record_is_still_one() {
    let place = Place::new();
    let (prefix, key) = ("p".repeat(1024), format!("{}{}", place.key, "k".repeat(1024 - place.key.len())));
    let note = "🦀".repeat(600);
    Run::new("kvx-in", &place.consul.address)
        .args(["-k", &key, "-p", &prefix, "-m", &note])
        .stdin(lines(20))
        .run()
        .expect(0);
    let record = place.consul.text(&format!("{prefix}/{key}/record")).unwrap();
    let parsed = Record::parse(record.as_bytes()).unwrap();
    assert_eq!(parsed.note.unwrap(), "🦀".repeat(250));
}
