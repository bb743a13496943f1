//! Promises 1 and 5: a torn, short, large, missing or garbage document, in Consul, a payload or the input, is one clear
//! line and a distinct exit status, and changes nothing.

use std::time::Instant;

use super::survival::{TIMEOUT, Way, each, in_all_ways, in_consul, in_time, kvx_in, kvx_out, large, look, survives};
use crate::common::gate::{Gate, Step};
use crate::common::{Consul, Place, Ran, SLACK, lines, sha256};

struct Content {
    name: &'static str,
    data: Option<(Vec<u8>, u64)>,
    checksum: Option<String>,
    status: i32,
    says: [&'static str; 2],
}

fn contents() -> Vec<Content> {
    let document = lines(30);
    let whole = Some(sha256(&document));
    let raw = |bytes: &[u8]| Some((bytes.to_vec(), 0));
    let torn = |name, data, checksum, why| Content {
        name,
        data,
        checksum,
        status: 75,
        says: [why, "upload the document again with kvx-in"],
    };
    let no_match = "its data does not match its checksum";
    let mut cases = vec![
        torn("a wrong checksum", raw(document.as_bytes()), Some(sha256("other")), no_match),
        torn("data without its last byte", raw(&document.as_bytes()[..document.len() - 1]), whole.clone(), no_match),
        torn("data with a byte too many", raw(format!("{document}\n").as_bytes()), whole.clone(), no_match),
        torn("half of the data", raw(&document.as_bytes()[..document.len() / 2]), whole.clone(), no_match),
        torn("empty data", raw(b""), whole.clone(), no_match),
        torn("a flipped bit", raw(document.replacen('1', "0", 1).as_bytes()), whole.clone(), no_match),
        torn("brotli that is none", Some((vec![0xce, 0xb2, 0xcf, 0x81], 1)), whole.clone(), no_match),
        torn("base64 that is no gzip", raw(b"SGVsbG8gd29ybGQ="), whole.clone(), no_match),
        torn("an empty checksum", raw(document.as_bytes()), Some(String::new()), "not a SHA-256"),
        torn("a checksum that is none", raw(document.as_bytes()), Some("0123abcd".into()), "not a SHA-256"),
        torn(
            "a checksum without its last digit",
            raw(document.as_bytes()),
            Some(sha256(&document)[..63].into()),
            "not a SHA-256",
        ),
        torn("data alone", raw(document.as_bytes()), None, "data without a checksum"),
        torn("a checksum alone", None, whole, "a checksum without data"),
    ];
    let mut refused = |name, document: String, says| {
        let (data, checksum) = (Some((document.clone().into_bytes(), 0)), Some(sha256(document)));
        cases.push(Content { name, data, checksum, status: 65, says });
    };
    refused("a short file", lines(9), ["has 9 lines, minimum 10", "lower -l"]);
    refused("an empty file", String::new(), ["is empty: 0 lines, minimum 10", "lower -l"]);
    refused("a file larger than allowed", lines(14_000), ["maximum 65536 bytes", "--max-size"]);
    refused("an answer larger than allowed", large(1), ["larger than", "--max-size"]);
    cases
}

#[test]
fn kvx_out_installs_nothing_that_is_torn_short_or_too_large() {
    let consul = Consul::shared();
    each(
        &in_all_ways(contents()),
        |(case, way)| format!("{}, {way:?}", case.name),
        |(case, way)| {
            let spoil = |place: &Place| {
                for (part, value) in [
                    ("data", case.data.clone()),
                    ("checksum", case.checksum.clone().map(|checksum| (checksum.into_bytes(), 0))),
                ] {
                    match value {
                        Some((bytes, flags)) => consul.put_flags(&place.kv(part), bytes, flags),
                        None => consul.delete(&place.kv(part)),
                    }
                }
                consul.address.clone()
            };
            let failed = |place: &Place, ran: Ran| {
                let path = place.kv("data");
                let mut says = vec!["kvx-out: ", place.key.as_str(), case.says[0], case.says[1]];
                if case.status == 75 {
                    assert!(ran.stderr.contains(&path), "{}", ran.stderr);
                    says.insert(2, "torn");
                }
                ran.expect(case.status).says(&says);
            };
            // And kvx-in repairs it.
            let mend = |place: &Place| {
                let ran = place.kvx_in().stdin(lines(30)).run().expect(0);
                ran.says(&["uploaded, in place of", if case.status == 75 { "a torn pair" } else { "…" }]);
                place.assert_pair_is_whole();
            };
            survives(*way, &consul, spoil, mend, failed);
        },
    );
}

#[test]
fn kvx_out_installs_nothing_of_a_folder_payload_that_is_torn_or_short() {
    let consul = Consul::shared();
    let cases: Vec<Content> =
        contents().into_iter().filter(|case| case.name != "an answer larger than allowed").collect();
    each(
        &cases,
        |case| case.name.to_owned(),
        |case| {
            let place = Place::at(consul.clone());
            place.upload(lines(20));
            kvx_out(&place, &consul.address).run().expect(0);
            for (part, value) in
                [("data", case.data.clone()), ("checksum", case.checksum.clone().map(|sum| (sum.into_bytes(), 0)))]
            {
                match value {
                    Some((bytes, flags)) => consul.put_flags(&place.kv(part), bytes, flags),
                    None => consul.delete(&place.kv(part)),
                }
            }
            let before = look(&place);
            let run = kvx_out(&place, &consul.address).args(["--max-size", "64K"]).payload(place.payload(""));
            in_time(run).expect(case.status).says(&["kvx-out: ", &place.key, case.says[0], case.says[1]]);
            assert_eq!(look(&place), before);
        },
    );
}

#[test]
fn kvx_out_of_a_key_that_is_not_there_leaves_the_file() {
    let consul = Consul::shared();
    let delete = |place: &Place| {
        consul.delete(&place.kv("data"));
        consul.delete(&place.kv("checksum"));
        consul.address.clone()
    };
    let failed = |place: &Place, ran: Ran| {
        let path = place.kv("data");
        ran.expect(66).says(&[
            "kvx-out: ",
            &place.key,
            "there is no",
            &path,
            "upload it with kvx-in, or check -k and -p",
        ]);
    };
    let mend = |place: &Place| drop(place.upload(lines(30)));
    // A payload says of itself whether there is something: another matter, and no failure.
    for way in [Way::First, Way::Again, Way::Printed] {
        survives(way, &consul, delete, mend, failed);
    }
}

#[test]
fn a_payload_that_is_garbage_leaves_the_file() {
    let place = Place::new();
    place.upload(lines(20));
    kvx_out(&place, &place.consul.address).run().expect(0);
    let before = look(&place);
    place.upload(lines(30));
    for (payload, status) in [
        ("garbage", 65),
        ("{", 65),
        ("[", 65),
        ("42", 65),
        (r#"{"Key":"kvexpress/x/data"}"#, 65),
        (r#"{"Key":"kvexpress/x/data","ModifyIndex":1,"Value":"%%"}"#, 65),
        (r#"{"Key":"elsewhere/x/data","ModifyIndex":1,"Value":"YQ=="}"#, 64),
        (r#"{"Key":"kvexpress/x","ModifyIndex":1,"Value":"YQ=="}"#, 64),
        ("[]", 64),
    ] {
        // Without -k, the payload must name the key.
        let run = place.kvx_out_bare().args(["-e", &place.handler()]).payload(payload);
        in_time(run).expect(status).says(&["kvx-out: ", "payload", "-k"]);
        assert_eq!(look(&place), before, "{payload}");
    }
    // A watch that never ends what it writes: with a key, a payload is asked for too if CONSUL_INDEX is set.
    let started = Instant::now();
    let run = kvx_out(&place, &place.consul.address).env("CONSUL_INDEX", "1").args(["--timeout", "1s"]);
    let mut child = run.spawn();
    let stdin = child.stdin.take(); // kept open
    let ran = Ran::from(child.wait_with_output().unwrap()).expect(74);
    assert!(started.elapsed() < TIMEOUT + SLACK);
    drop(stdin);
    ran.says(&["kvx-out: ", "payload on stdin has not ended within 1s"]);
    assert_eq!(look(&place), before);
}

#[test]
fn kvx_in_sends_nothing_of_an_input_that_is_bad() {
    let consul = Consul::shared();
    struct Input {
        name: &'static str,
        arguments: &'static [&'static str],
        stdin: String,
        status: i32,
        says: &'static [&'static str],
    }
    let bad = |name, arguments, stdin, status, says| Input { name, arguments, stdin, status, says };
    let cases = [
        bad("empty", &[], String::new(), 65, &["stdin was empty", "< FILE", "-l 0"]),
        bad("short", &[], lines(9), 65, &["has 9 lines, minimum 10", "lower -l"]),
        bad("no line ends", &[], "x".repeat(5_000), 65, &["has 1 line, minimum 10", "lower -l"]),
        bad("too large", &[], "xxxx\n".repeat(200_000), 65, &["maximum 524288 bytes", "--max-size"]),
        bad("larger than asked", &["--max-size=100"], lines(100), 65, &["maximum 100 bytes", "--max-size"]),
        bad(
            "no such file",
            &["-f", "/nonexistent"],
            String::new(),
            74,
            &["/nonexistent", "No such file", "name a file"],
        ),
        bad("a directory", &["-f", "/"], String::new(), 74, &["/", "directory"]),
        bad("a command that fails", &["--", "false"], String::new(), 74, &["false", "exit status: 1", "nothing was"]),
        bad("no such command", &["--", "/nonexistent"], String::new(), 74, &["/nonexistent", "No such file"]),
        bad(
            "a command that dies halfway",
            &["--", "sh", "-c", "seq 1000; kill -KILL $$"],
            String::new(),
            74,
            &["sh", "signal: 9", "nothing was uploaded"],
        ),
        bad(
            "a command that never ends",
            &["--", "sh", "-c", "seq 1000; exec sleep 60"],
            String::new(),
            74,
            &["sh", "took longer than 3s", "--timeout"],
        ),
    ];
    each(
        &cases,
        |case| case.name.to_owned(),
        |case| {
            let place = Place::at(consul.clone());
            place.upload(lines(20));
            let before = in_consul(&place);
            let gate = Gate::open(&consul.address);
            let run = kvx_in(&place, &gate.address).args(["--timeout", "3s"]).args(case.arguments).stdin(&case.stdin);
            let started = Instant::now();
            let ran = run.run();
            assert!(started.elapsed() < TIMEOUT + SLACK, "{}", ran.stderr);
            assert_eq!(in_consul(&place), before);
            let ran = ran.expect(case.status);
            let says: Vec<&str> = ["kvx-in: ", &place.key].into_iter().chain(case.says.iter().copied()).collect();
            ran.says(&says);
            assert!(gate.requests().iter().all(|request| request.step == Step::Read), "nothing was written");
        },
    );
    // Larger than Consul takes, and let through: not by way of the gate, since Consul answers before it has read it
    // all.
    let place = Place::new();
    place.upload(lines(20));
    let before = in_consul(&place);
    let run = kvx_in(&place, &consul.address).args(["--max-size", "2M"]).stdin("xxxx\n".repeat(200_000));
    // It has to get there, and its answer back: that is not what is to be quick.
    run.run().expect(65).says(&["kvx-in: ", &place.key, "too large", "413", "make the document smaller"]);
    assert_eq!(in_consul(&place), before);
    // stdin that never ends.
    let place = Place::new();
    let gate = Gate::open(&consul.address);
    let started = Instant::now();
    let mut child = kvx_in(&place, &gate.address).args(["--timeout", "1s"]).spawn();
    let stdin = child.stdin.take();
    let ran = Ran::from(child.wait_with_output().unwrap()).expect(74);
    assert!(started.elapsed() < TIMEOUT + SLACK);
    drop(stdin);
    ran.says(&["kvx-in: ", &place.key, "stdin has not ended within 1s", "--timeout"]);
    assert_eq!(gate.connections(), 0);
}
