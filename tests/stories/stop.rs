//! `kvx stop` and `kvx resume`: a stop says who set it, when and why; after resuming, the documents that were uploaded
//! in the meantime are installed; a resume that fails halfway leaves the stop in place.

use std::collections::BTreeSet;
use std::fs;
use std::process::Child;

use super::operator::{Watch, assert_signed, installed, lock, unlock};
use crate::common::gate::{Act, Gate, Step};
use crate::common::{NO_AGENT, Place, Ran, Run, golden, lines, lock_of, sha256};
use serde_json::{Value, json};

/// As a person does it, behind sudo.
fn stop(place: &Place, reason: &str) -> Run {
    place.kvx("stop").args(["-k", &place.key, "-r", reason]).env("SUDO_USER", "anna")
}

fn resume(place: &Place) -> Run {
    place.kvx("resume").args(["-k", &place.key])
}

#[test]
fn a_stop_says_who_and_when_and_both_programs_respect_and_log_it() {
    let place = Place::new();
    place.upload(lines(20));
    let (folder, ran) = (place.folder(), stop(&place, "bad DNS since 14:00").run().expect(0));
    let value = place.consul.text(&place.kv("stop")).unwrap();
    assert_signed(&value, "bad DNS since 14:00", "");
    assert!(ran.out().is_empty());
    ran.says(&[&format!("{}: stopped: {value}\n", place.key)]);

    place.kvx_in().stdin(lines(21)).run().expect(0).says(&["stopped", &value]);
    place.kvx_out().run().expect(0).says(&["stopped", &value]);
    let payload = place.payload("checksum");
    place.kvx_out().payload(&payload).run().expect(0).says(&["stopped", &value]);
    place.kvx_out().payload(place.payload("")).run().expect(0).says(&["stopped", &value]);
    assert_eq!(place.document().unwrap(), lines(20).as_bytes());
    assert!(place.names().is_empty());

    resume(&place).run().expect(0).says(&["resumed", "fire", &sha256(lines(20))[..8], "it was stopped", &value]);
    assert!(place.consul.get(&place.kv("stop")).is_none());
    let (before, after): (Value, Value) = (from_json(&folder), from_json(&place.folder()));
    assert_eq!(before[1], after[1], "the data is as it was, its index too");
    assert_eq!(before[0]["Value"], after[0]["Value"]);
    place.kvx_out().run().expect(0).says(&["installed"]);
}

fn from_json(text: &[u8]) -> Value {
    serde_json::from_slice(text).unwrap()
}

#[test]
fn a_reason_is_one_line_whatever_was_typed() {
    let place = Place::new();
    place.upload(lines(20));
    stop(&place, " two\nlines\x1b[31m ").run().expect(0).says(&["stopped: two lines\\x1b[31m (by"]);
    assert_signed(&place.consul.text(&place.kv("stop")).unwrap(), "two lines\\x1b[31m", "");
    // As long as it may be: with its signature it is shown whole.
    let long = "é".repeat(200);
    stop(&place, &long).arg("--replace").run().expect(0);
    let value = place.consul.text(&place.kv("stop")).unwrap();
    assert_signed(&value, &long, "");
    place.kvx_out().run().expect(0).says(&[&value]);
}

#[test]
fn a_key_that_is_not_there_is_66_and_not_stopped_but_by_force() {
    let place = Place::new();
    stop(&place, "why").run().expect(66).says(&["kvx stop: ", &place.kv("checksum"), "nothing is stopped", "--force"]);
    assert!(place.folder().is_empty());
    stop(&place, "why").arg("--force").run().expect(0).says(&["stopped: why"]);
    assert!(place.consul.get(&place.kv("stop")).is_some());
    place.kvx_in().stdin(lines(20)).run().expect(0).says(&["stopped", "why"]);
    resume(&place).run().expect(0).says(&["resumed", "no document", "it was stopped: why"]);
    assert!(place.folder().is_empty());
}

#[test]
fn a_stop_replaces_another_only_with_replace_and_says_so() {
    let place = Place::new();
    place.upload(lines(20));
    stop(&place, "first").run().expect(0);
    let first = place.consul.text(&place.kv("stop"));
    let refused = stop(&place, "second").run().expect(75);
    refused.says(&["kvx stop: ", &place.key, "it is stopped already: first (by anna on", "kvx resume", "--replace"]);
    assert_eq!(place.consul.text(&place.kv("stop")), first);
    let second = stop(&place, "second").arg("--replace").run().expect(0);
    second.says(&["stopped: second (by", "it was stopped before: first (by anna"]);
    assert_signed(&place.consul.text(&place.kv("stop")).unwrap(), "second", "");
    // An empty one is none.
    place.consul.put(&place.kv("stop"), "");
    let ran = stop(&place, "third").run().expect(0);
    assert!(!ran.stderr.contains("before"), "{}", ran.stderr);
}

#[test]
fn of_two_operators_who_stop_a_key_at_the_same_time_the_second_learns_it() {
    let place = Place::new();
    place.upload(lines(20));
    let reasons = ["one", "two", "three", "four", "five"];
    let start = |replace: &[&str]| -> Vec<Child> {
        reasons.iter().map(|reason| stop(&place, reason).args(replace).spawn()).collect()
    };
    // One stops it, and the others are told by whom.
    let ran = start(&[]).into_iter().map(|child| Ran::from(child.wait_with_output().unwrap()));
    let (done, refused): (Vec<Ran>, Vec<Ran>) = ran.partition(|ran| ran.status.success());
    assert_eq!((done.len(), refused.len()), (1, 4));
    let stands = place.consul.text(&place.kv("stop")).unwrap();
    assert!(done[0].stderr.contains(&stands));
    for ran in refused {
        ran.expect(75).says(&["it is stopped already: ", &stands]);
    }
    place.consul.delete(&place.kv("stop"));
    let running = start(&["--replace"]);
    let mut told = BTreeSet::new();
    for child in running {
        let ran = Ran::from(child.wait_with_output().unwrap()).expect(0);
        told.insert(ran.stderr.split_once("before: ").map(|(_, before)| before.trim().to_owned()));
    }
    told.insert(place.consul.text(&place.kv("stop")));
    // Each is told by exactly one other, or stands; and one has found nothing.
    let mut all: Vec<Option<String>> = told.into_iter().collect();
    assert_eq!(all.remove(0), None);
    let mut names: Vec<String> = all.into_iter().map(|text| text.unwrap().split(' ').next().unwrap().into()).collect();
    names.sort();
    let mut expected = reasons.map(str::to_owned);
    expected.sort();
    assert_eq!(names, expected);
}

/// Another writer changes a key just before the n-th write for which this is true.
fn gate_with_another_writer(
    place: &Place,
    when: fn(usize) -> bool,
    change: impl Fn(usize) + Send + Sync + 'static,
) -> Gate {
    Gate::to(&place.consul.address, move |request| {
        if request.step == Step::Write && when(request.nth) {
            change(request.nth);
        }
        Act::Pass
    })
}

#[test]
fn a_stop_that_another_operator_sets_meanwhile_is_not_lost() {
    let place = Place::new();
    place.upload(lines(20));
    let (consul, at) = (place.consul.clone(), place.kv("stop"));
    let gate = gate_with_another_writer(&place, |nth| nth == 1, move |_| consul.put(&at, "bob's"));
    stop(&place, "ours").args(["-s", &gate.address]).run().expect(75).says(&["it is stopped already: bob's"]);
    assert_eq!(place.consul.text(&place.kv("stop")).as_deref(), Some("bob's"));
    place.consul.delete(&place.kv("stop"));
    let (consul, at) = (place.consul.clone(), place.kv("stop"));
    let gate = gate_with_another_writer(&place, |nth| nth == 1, move |_| consul.put(&at, "bob's"));
    let ours = stop(&place, "ours").args(["-s", &gate.address, "--replace"]).run().expect(0);
    ours.says(&["ours (by", "stopped before: bob's"]);

    let (consul, at) = (place.consul.clone(), place.kv("stop"));
    let gate = gate_with_another_writer(&place, |_| true, move |nth| consul.put(&at, format!("{nth} times")));
    let ran = stop(&place, "ours").args(["-s", &gate.address, "--replace"]).run().expect(75);
    ran.says(&[&place.key, "other writers were faster", "run it again"]);
    assert_eq!(place.consul.text(&place.kv("stop")).as_deref(), Some("10 times"));
}

/// The answer to the first write is lost.
fn forgetful_gate(place: &Place) -> Gate {
    Gate::to(&place.consul.address, |request| match request.step {
        Step::Write if request.nth == 1 => Act::CutAnswer(0),
        _ => Act::Pass,
    })
}

#[test]
fn an_answer_that_is_lost_does_not_change_the_message() {
    let place = Place::new();
    installed(&place, &lines(20));
    place.consul.put(&place.kv("stop"), "bob's");
    let through = |run: Run| {
        let gate = forgetful_gate(&place);
        run.args(["-s", &gate.address]).run().expect(0)
    };
    through(stop(&place, "ours").arg("--replace")).says(&["stopped: ours (by", "it was stopped before: bob's\n"]);
    through(resume(&place)).says(&["resumed, its watches fire", "it was stopped: ours (by"]);
    assert!(place.consul.get(&place.kv("stop")).is_none());
    place.consul.put(&lock_of(&place), "bob's");
    through(lock(&place, "ours").arg("--replace"))
        .says(&["locked on this node: ours (", "it was locked before: bob's\n"]);
    fs::remove_dir_all(place.marker()).unwrap(); // It would tell the same.
    let ran = through(unlock(&place));
    assert!(ran.stderr.contains("unlocked; it was locked: ours ("), "{}", ran.stderr);
    assert!(place.consul.get(&lock_of(&place)).is_none());
    place.assert_pair_is_whole();
}

#[test]
fn without_consul_nothing_is_reported_as_stopped_or_resumed() {
    for (command, more) in [("stop", ["-r", "why"].as_slice()), ("resume", &[])] {
        let run = Run::new("kvx", NO_AGENT).args([command, "-k", "x", "--timeout", "100ms"]).args(more);
        run.run().expect(69).says(&[&format!("kvx {command}: x: Consul at http://{NO_AGENT}: "), "is the agent up"]);
    }
}

#[test]
fn what_was_uploaded_behind_a_stop_arrives_by_the_watch_once_it_is_resumed() {
    let place = Place::new();
    place.upload(lines(20));
    let watch = Watch::start(&place);
    assert!(watch.fired(1)[0].contains("installed"));
    stop(&place, "why").run().expect(0);
    // By hand, in one transaction: kvx-in would respect the stop.
    let encode = |text: &str| base64::Engine::encode(&base64::prelude::BASE64_STANDARD, text);
    let set = |part: &str, value: &str| json!({"KV": {"Verb": "set", "Key": place.kv(part), "Value": encode(value)}});
    let transaction = json!([set("data", &lines(21)), set("checksum", &sha256(lines(21)))]).to_string();
    assert_eq!(place.consul.http("PUT", "/v1/txn", transaction.as_bytes()).unwrap().0, 200);
    assert!(watch.fired(2)[1].contains("stopped"));
    assert_eq!(place.content(), lines(20));

    let before = (place.consul.entry(&place.kv("data")), place.consul.entry(&place.kv("checksum")).unwrap());
    resume(&place).run().expect(0).says(&["resumed"]);
    assert!(watch.fired(3)[2].contains("installed"));
    assert_eq!(place.content(), lines(21));
    let after = (place.consul.entry(&place.kv("data")), place.consul.entry(&place.kv("checksum")).unwrap());
    assert_eq!(before.0, after.0);
    for same in ["Value", "Flags"] {
        assert_eq!(before.1[same], after.1[same]);
    }

    // What is not stopped fires nothing: the next change is the next that the watch sees.
    resume(&place).run().expect(0).says(&["not stopped"]);
    place.upload(lines(22));
    let fired = watch.fired(4);
    assert!(fired[3].contains("installed") && fired.len() == 4, "{fired:?}");
}

#[test]
fn what_is_not_stopped_is_not_touched() {
    let place = Place::new();
    resume(&place).run().expect(0).says(&[&place.key, "not stopped, nothing to resume"]);
    assert!(place.folder().is_empty());
    place.upload(lines(20));
    for stop in [None, Some("")] {
        stop.inspect(|stop| place.consul.put(&place.kv("stop"), stop));
        let folder = place.folder();
        resume(&place).run().expect(0).says(&["not stopped, nothing to resume"]);
        assert_eq!(place.folder(), folder, "indexes included");
    }
    // As for kvexpress, one with nothing to be seen in it is a stop.
    place.consul.put(&place.kv("stop"), " \n");
    resume(&place).run().expect(0).says(&["resumed", "it was stopped: no reason given"]);
}

#[test]
fn a_resumption_carries_what_is_there_as_it_is() {
    let (whole, compressed) = (sha256(golden::DOCUMENT), golden::brotli());
    let upper = whole.to_uppercase() + "\n";
    // Data with its Flags, and checksum: whole, by hand, torn, half.
    type Half<'a> = Option<(&'a [u8], u64)>;
    let cases: [(Half, Option<&str>); 5] = [
        (Some((&compressed, 1)), Some(&whole)),
        (Some((golden::DOCUMENT.as_bytes(), 0)), Some(&upper)),
        (Some((b"torn", 0)), Some(&whole)),
        (Some((b"half", 0)), None),
        (None, Some("no checksum at all")),
    ];
    for (data, checksum) in cases {
        let place = Place::new();
        data.inspect(|(data, flags)| place.consul.put_flags(&place.kv("data"), data, *flags));
        checksum.inspect(|checksum| place.consul.put_flags(&place.kv("checksum"), checksum, 7));
        place.consul.put(&place.kv("stop"), "why");
        let before = place.consul.entry(&place.kv("data"));
        resume(&place).run().expect(0).says(&["resumed", "it was stopped: why"]);
        assert_eq!(place.consul.entry(&place.kv("data")), before);
        assert_eq!(place.consul.text(&place.kv("checksum")).as_deref(), checksum);
        let flags = place.consul.entry(&place.kv("checksum")).map(|entry| entry["Flags"].clone());
        assert_eq!(flags, checksum.map(|_| json!(7)));
        assert!(place.consul.get(&place.kv("stop")).is_none());
    }
}

#[test]
fn an_upload_and_another_stop_at_the_same_moment_are_seen_by_a_resumption() {
    let place = Place::new();
    place.upload(lines(20));
    place.consul.put(&place.kv("stop"), "first");
    let (consul, key) = (place.consul.clone(), format!("kvexpress/{}", place.key));
    let gate = gate_with_another_writer(
        &place,
        |nth| nth <= 2,
        move |nth| match nth {
            1 => consul.put_pair(&key, lines(21)),
            _ => consul.put(&format!("{key}/stop"), "second"),
        },
    );
    let ran = resume(&place).args(["-s", &gate.address]).run().expect(0);
    ran.says(&["fire for", &sha256(lines(21))[..8], "it was stopped: second"]);
    assert_eq!(place.document().unwrap(), lines(21).as_bytes());
    assert!(place.consul.get(&place.kv("stop")).is_none());
}

#[test]
fn a_stop_is_ignored_on_demand_however_a_run_is_started() {
    let place = Place::new();
    let mut n = 20;
    for part in [None, Some("checksum"), Some("")] {
        n += 1;
        place.consul.put_pair(&format!("kvexpress/{}", place.key), lines(n));
        place.consul.put(&place.kv("stop"), "why");
        let run = |run: Run| match part {
            Some(part) => run.payload(place.payload(part)).run().expect(0),
            None => run.run().expect(0),
        };
        run(place.kvx_out()).says(&["stopped", "why"]);
        run(place.kvx_out().arg("--ignore-lock")).says(&["stopped", "why"]);
        run(place.kvx_out().arg("--ignore-stop")).says(&["installed"]);
        assert_eq!(place.content(), lines(n));
        assert!(place.consul.get(&place.kv("stop")).is_some());
    }
    // A lock is another matter, and so is a pair that is torn.
    lock(&place, "canary").run().expect(0);
    place.consul.put_pair(&format!("kvexpress/{}", place.key), lines(5));
    place.kvx_out().arg("--ignore-stop").run().expect(0).says(&["locked", "canary"]);
    place.consul.put(&place.kv("data"), "torn");
    let torn = place.kvx_out().args(["--ignore-stop", "--ignore-lock", "--timeout", "3s"]).run().expect(75);
    torn.says(&["torn"]);
    // Who ignores the lock alone need not wait for what is stopped.
    place.kvx_out().arg("--ignore-lock").run().expect(0).says(&["stopped", "why"]);
    assert_eq!(place.content(), lines(23));
}
