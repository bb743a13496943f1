//! `kvx hold` and `kvx release`: while a key is held, nodes keep one document, whatever is uploaded, by kvx or by kvexpress.

use crate::common::run::binary;
use crate::common::{Place, Ran, Run, lines, sha256};
use crate::stories::operator::{Watch, assert_signed};
use serde_json::Value;

/// As a person does it, behind sudo.
fn hold(place: &Place, reason: &str) -> Run {
    place.kvx("hold").args(["-k", &place.key, "-r", reason]).env("SUDO_USER", "anna")
}

fn release(place: &Place) -> Run {
    place.kvx("release").args(["-k", &place.key])
}

/// As kvexpress writes a pair, which knows no hold.
fn overwrite(place: &Place, document: &str) {
    place.consul.put(&place.kv("data"), document);
    place.consul.put(&place.kv("checksum"), sha256(document));
}

fn short(document: &str) -> String {
    sha256(document)[..8].to_owned()
}

fn value_of(place: &Place) -> Option<String> {
    place.consul.text(&place.kv("hold"))
}

/// A key that is held at `lines(20)`, which the node has.
fn held() -> Place {
    let place = Place::new();
    place.upload(lines(20));
    place.kvx_out().args(["-e", &place.handler()]).run().expect(0);
    hold(&place, "bad renderer").run().expect(0).says(&["held at ", &short(&lines(20)), "bad renderer (by anna on "]);
    place
}

/// The node still has the held document, and its handler has run for that only.
#[track_caller]
fn assert_kept(place: &Place) {
    assert_eq!((place.content(), place.runs().len()), (lines(20), 1));
}

#[test]
fn a_hold_says_who_and_when_and_both_programs_respect_and_log_it() {
    let place = held();
    let value = value_of(&place).unwrap();
    let reason = value.strip_prefix(&format!("{} ", sha256(lines(20)))).unwrap();
    assert_signed(reason, "bad renderer", "");
    let (folder, at) = (place.folder(), format!("held at {}", short(&lines(20))));
    place.kvx_in().stdin(lines(21)).run().expect(0).says(&[&at, "nothing uploaded", reason]);
    place.kvx_in().arg("--ignore-stop").stdin(lines(21)).run().expect(0).says(&[&at, "nothing uploaded"]);
    let ran = place.kvx_in().arg("-n").stdin(lines(21)).run().expect(0).says(&["would be uploaded, but is ", &at]);
    assert!(ran.out().contains("+21\n"), "{}", ran.out());
    let ran = place.kvx_in().args(["--log-format", "json"]).stdin(lines(21)).run().expect(0);
    let json: Value = serde_json::from_str(&ran.stderr).unwrap();
    assert_eq!((&json["result"], json["reason"].as_str()), (&Value::from("held"), Some(reason)));
    // The held document itself is not refused.
    place.kvx_in().stdin(lines(20)).run().expect(0).is_silent();
    assert_eq!(place.folder(), folder, "nothing is written");

    overwrite(&place, &lines(21));
    let out = || place.kvx_out().args(["-e", &place.handler()]);
    for arguments in [&[][..], &["--stale"], &["--consistent"], &["--ignore-stop"]] {
        out().args(arguments).run().expect(0).says(&[&at, "file left unchanged", reason]);
    }
    for watched in ["checksum", "data", ""] {
        out().payload(place.payload(watched)).run().expect(0).says(&[&at, "file left unchanged"]);
    }
    let ran = out().args(["--log-format", "json"]).run().expect(0);
    let json: Value = serde_json::from_str(&ran.stderr).unwrap();
    assert_eq!((&json["result"], json["reason"].as_str()), (&Value::from("held"), Some(reason)));
    assert_kept(&place);
    assert_eq!(place.state()["last_run"]["result"], "held");
}

#[test]
fn an_upload_with_a_condition_and_a_copy_say_by_their_status_that_the_key_is_held_or_stopped() {
    let place = held();
    let folder = place.folder();
    let expect = ["--expect".to_owned(), sha256(lines(20))];
    let run = || place.kvx_in().args(&expect).stdin(lines(21));
    run().run().expect(75).says(&["held at ", "nothing uploaded", "bad renderer", "`kvx release`", "--ignore-hold"]);
    let other = Place::at(place.consul.clone());
    other.upload(lines(30));
    let copy = |more: &[&str]| place.kvx("copy").args(["--from", &other.key, "--to", &place.key]).args(more).run();
    copy(&[]).expect(75).says(&["held at ", "nothing copied", "bad renderer", "--ignore-hold"]);
    assert_eq!(place.folder(), folder);
    release(&place).run().expect(0);
    place.consul.put(&place.kv("stop"), "maintenance");
    let folder = place.folder();
    run().run().expect(75).says(&["stopped", "nothing uploaded", "maintenance", "`kvx resume`", "--ignore-stop"]);
    assert_eq!(place.folder(), folder);
    place.kvx_in().stdin(lines(21)).run().expect(0).says(&["stopped, nothing uploaded"]);
    copy(&["--ignore-stop"]).expect(0).says(&["uploaded", "though stopped: maintenance"]);
}

#[test]
fn ignore_hold_uploads_the_corrected_document_and_moves_the_hold_to_it() {
    let place = held();
    let before = value_of(&place).unwrap();
    let preview = place.kvx_in().args(["--ignore-hold", "-n"]).stdin(lines(22)).run().expect(0);
    preview.says(&["would be uploaded, though held at ", "bad renderer"]);
    assert_eq!(value_of(&place).unwrap(), before);
    let ran = place.kvx_in().arg("--ignore-hold").stdin(lines(22)).run().expect(0);
    ran.says(&["uploaded, in place of", "though held at ", &short(&lines(20)), "bad renderer"]);
    assert_eq!(value_of(&place).unwrap(), before.replace(&sha256(lines(20)), &sha256(lines(22))));
    place.kvx_out().args(["-e", &place.handler()]).run().expect(0).says(&["installed"]);
    assert_eq!((place.content(), place.runs().len()), (lines(22), 2));
    place.kvx_in().stdin(lines(20)).run().expect(0).says(&["held at ", &short(&lines(22)), "nothing uploaded"]);
}

#[test]
fn what_kvexpress_writes_over_a_held_document_is_installed_nowhere_and_repaired_by_the_next_upload() {
    let place = held();
    overwrite(&place, &lines(25));
    // A node that was down, and one that has no file yet.
    let other = Place::at(place.consul.clone());
    let down = || Run::new("kvx-out", &place.consul.address).args(["-k", &place.key, "-f"]).arg(other.file());
    let down = || down().arg("--state-dir").arg(other.path().join("state"));
    down().run().expect(0).says(&["held at ", &short(&lines(20)), "file left unchanged"]);
    assert!(other.names().is_empty());
    // kvx, called kvexpress, respects the hold.
    let link = place.path().join("kvexpress");
    std::os::unix::fs::symlink(binary("kvx"), &link).unwrap();
    let input = place.write("input", lines(26));
    let kvexpress = |command: &str| {
        let run = Run::new(link.to_str().unwrap(), &place.consul.address).args([command, "-k", &place.key, "-s"]);
        run.arg(&place.consul.address).arg("-f")
    };
    kvexpress("in").arg(&input).run().expect(0).says(&["held at ", "nothing uploaded"]);
    kvexpress("out").arg(place.file()).run().expect(0).says(&["held at ", "file left unchanged"]);
    assert_kept(&place);
    place.kvx_in().stdin(lines(20)).run().expect(0).says(&["uploaded, in place of ", &short(&lines(25))]);
    place.kvx_out().args(["-e", &place.handler()]).run().expect(0).is_silent();
    down().run().expect(0).says(&["installed"]);
    assert_kept(&place);
    assert_eq!(other.content(), lines(20));
}

#[test]
fn a_document_that_is_torn_is_repaired_by_the_held_one_only() {
    let place = held();
    place.consul.put(&place.kv("data"), "torn\n");
    place.kvx_in().stdin(lines(21)).run().expect(0).says(&["held at ", "nothing uploaded"]);
    // A node that has the held document waits for nothing; one that has not waits for a pair that matches.
    let started = std::time::Instant::now();
    place.kvx_out().run().expect(0).says(&["held at ", "file left unchanged"]);
    assert!(started.elapsed() < std::time::Duration::from_secs(20), "it waited for its --timeout");
    let other = Place::at(place.consul.clone());
    let out = Run::new("kvx-out", &place.consul.address).args(["-k", &place.key, "-f"]).arg(other.file());
    let out = out.arg("--state-dir").arg(other.path().join("state")).args(["--timeout", "1s"]);
    out.run().expect(75).says(&["torn"]);
    assert!(other.names().is_empty());
    release(&place).run().expect(75).says(&["its pair is torn", "kvx rollback", "--force"]);
    hold(&place, "why").arg("--replace").run().expect(75).says(&["torn"]);
    place.kvx_in().stdin(lines(20)).run().expect(0).says(&["uploaded, in place of a torn pair"]);
    place.assert_pair_is_whole();
    place.kvx_out().args(["-e", &place.handler()]).run().expect(0).is_silent();
    assert_kept(&place);
}

#[test]
fn a_key_is_released_only_if_consul_has_the_held_document_or_by_force() {
    let place = held();
    place.kvx_in().args(["--ignore-hold", "-m", "why"]).stdin(lines(21)).run().expect(0);
    place.kvx_in().args(["--ignore-hold"]).stdin(lines(20)).run().expect(0);
    // An upload that ignores the hold, but not its entry: as one that raced with `kvx hold` would be.
    let value = value_of(&place).unwrap();
    place.consul.delete(&place.kv("hold"));
    place.upload(lines(23));
    place.consul.put(&place.kv("hold"), &value);
    let refused = release(&place).run().expect(75);
    refused.says(&["held at ", &short(&lines(20)), "Consul has ", &short(&lines(23)), "uploaded by ", "@", "--force"]);
    assert_eq!(value_of(&place).unwrap(), value);
    place.consul.put(&place.kv("data"), "torn\n");
    release(&place).run().expect(75).says(&["its pair is torn", "--force"]);
    place.upload(lines(20));
    place.consul.put(&place.kv("stop"), "maintenance");
    release(&place).run().expect(0).says(&[
        "released, its watches fire for ",
        &short(&lines(20)),
        "it was held at ",
        "bad renderer",
        "still stopped: maintenance",
    ]);
    assert_eq!(value_of(&place), None);
    release(&place).run().expect(0).says(&["not held", "nothing to release", "still stopped: maintenance"]);
    place.kvx("resume").args(["-k", &place.key]).run().expect(0);

    let place = held();
    overwrite(&place, &lines(24));
    place.consul.put(&place.kv("stop"), "maintenance");
    place.kvx("resume").args(["-k", &place.key]).run().expect(0).says(&["resumed", "still held at ", "bad renderer"]);
    assert!(value_of(&place).is_some(), "a resumption lifts no hold");
    release(&place).arg("--force").run().expect(0).says(&["released, its watches fire for ", &short(&lines(24))]);
    place.kvx_out().args(["-e", &place.handler()]).run().expect(0).says(&["installed"]);
    assert_eq!((place.content(), place.runs().len()), (lines(24), 2));
}

#[test]
fn a_release_fires_the_watches_once() {
    let place = Place::new();
    place.upload(lines(20));
    let watch = Watch::start(&place);
    watch.fired(1);
    hold(&place, "why").run().expect(0);
    overwrite(&place, &lines(21));
    assert!(watch.fired(2)[1].contains("held at "), "the watch fires for what kvexpress writes");
    assert_eq!(place.content(), lines(20));
    release(&place).arg("--force").run().expect(0);
    assert!(watch.fired(3)[2].contains("installed"));
    // Another upload is the next one that fires.
    place.upload(lines(22));
    assert!(watch.fired(4)[3].contains("22 lines"));
    assert_eq!(watch.fired(4).len(), 4);
}

#[test]
fn what_is_not_a_hold_is_65_and_changes_nothing() {
    let place = held();
    for nonsense in ["nonsense", "3f9a why", &format!("{}why", sha256(lines(20)))] {
        place.consul.put(&place.kv("hold"), nonsense);
        let is_refused = |ran: Ran| ran.expect(65).says(&[&place.kv("hold"), "is not a hold", "kvx release --force"]);
        is_refused(place.kvx_in().stdin(lines(21)).run());
        is_refused(place.kvx_in().arg("--ignore-hold").stdin(lines(21)).run());
        is_refused(release(&place).run());
        assert_eq!(place.document().unwrap(), lines(20).as_bytes());
        overwrite(&place, &lines(21));
        is_refused(place.kvx_out().args(["-e", &place.handler()]).run());
        is_refused(place.kvx_out().args(["-e", &place.handler()]).payload(place.payload("")).run());
        overwrite(&place, &lines(20));
        assert_eq!(value_of(&place).as_deref(), Some(nonsense));
        assert_kept(&place);
    }
    release(&place).arg("--force").run().expect(0).says(&["released", "it was held at "]);
    // An empty one does not count, as an empty stop does not.
    place.consul.put(&place.kv("hold"), "");
    place.kvx_in().stdin(lines(21)).run().expect(0).says(&["uploaded"]);
    // One set by hand, without a reason, counts.
    place.consul.put(&place.kv("hold"), format!("{}\n", sha256(lines(21))));
    place.kvx_in().stdin(lines(22)).run().expect(0).says(&["held at ", "no reason given"]);
}

#[test]
fn a_key_that_has_no_document_is_not_held_and_a_second_hold_needs_replace() {
    let place = Place::new();
    hold(&place, "why").run().expect(66).says(&["there is no ", &place.kv("data")]);
    assert!(place.folder().is_empty());
    place.upload(lines(20));
    hold(&place, "first").run().expect(0);
    let first = value_of(&place).unwrap();
    hold(&place, "second").run().expect(75).says(&["held already at ", "first (by anna", "--replace"]);
    assert_eq!(value_of(&place).unwrap(), first);
    hold(&place, "second").arg("--replace").run().expect(0).says(&["second (by anna", "held before at ", "first (by"]);
}

#[test]
fn the_status_shows_a_hold_with_its_age() {
    let place = held();
    let status = |more: &[&str]| {
        let state = place.path().join("state");
        place.kvx("status").args(["-k", &place.key, "--state-dir"]).arg(state).args(more).run().expect(1)
    };
    let shown = status(&[]);
    assert!(shown.out().contains(&format!("held at {}…, ", short(&lines(20)))), "{}", shown.out());
    assert!(shown.out().contains("s ago: bad renderer (by anna"), "{}", shown.out());
    overwrite(&place, &lines(21));
    let json: Value = serde_json::from_str(status(&["--json"]).out()).unwrap();
    let key = &json["keys"][0];
    assert_eq!(key["hold"]["checksum"], sha256(lines(20)));
    assert!(key["hold"]["reason"].as_str().unwrap().starts_with("bad renderer (by anna"));
    assert!(humantime::parse_rfc3339(key["hold"]["since"].as_str().unwrap()).is_ok());
    assert_eq!(key["checksum"], sha256(lines(21)));
    // The file has the document that it is to have.
    assert_eq!(json["files"][0]["problems"], serde_json::json!([]));
    assert_eq!(json["files"][0]["in_consul"], sha256(lines(20)));
}
