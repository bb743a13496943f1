//! `kvx rollback`: one command restores the document that the current one replaced, on all nodes, and keeps it there.

use crate::common::gate::{Act, Gate, Step};
use crate::common::{Place, Ran, Run, lines, sha256};
use crate::stories::operator::{Watch, assert_signed};

fn rollback(place: &Place) -> Run {
    place.kvx("rollback").args(["-k", &place.key]).env("SUDO_USER", "anna")
}

fn upload(place: &Place, document: &str) -> Ran {
    place.kvx_in().stdin(document).run().expect(0).says(&["uploaded"])
}

/// As kvexpress does, or one half of it.
fn overwrite(place: &Place, document: &str) {
    place.consul.put(&place.kv("data"), document);
    place.consul.put(&place.kv("checksum"), sha256(document));
}

fn release(place: &Place) {
    place.kvx("release").args(["-k", &place.key]).run().expect(0).says(&["released"]);
}

fn short(document: &str) -> String {
    sha256(document)[..8].to_owned()
}

fn hold_of(place: &Place) -> Option<String> {
    place.consul.text(&place.kv("hold"))
}

fn record_of(place: &Place) -> String {
    place.consul.text(&place.kv("record")).unwrap()
}

fn document_of(place: &Place) -> String {
    String::from_utf8(place.document().unwrap()).unwrap()
}

fn part(place: &Place, document: &str) -> String {
    format!("kvexpress/kvx/parts/{}/{}", place.key, sha256(document))
}

/// All that Consul has of the key, with its indexes.
fn everything(place: &Place) -> Vec<Vec<u8>> {
    let read = |path: String| place.consul.http("GET", &format!("/v1/kv/{path}?recurse"), b"").unwrap().1;
    let folders = ["history", "parts"].map(|folder| format!("kvexpress/kvx/{folder}/{}/", place.key));
    [place.kv("")].into_iter().chain(folders).map(read).collect()
}

fn large(first: u32) -> String {
    (first..first + 45_000).map(|line| format!("{line:09}\n")).collect()
}

/// A good document, and a bad one that replaced it.
fn bad() -> Place {
    let place = Place::new();
    upload(&place, &lines(20));
    upload(&place, &lines(21));
    place
}

#[test]
fn one_command_restores_the_document_before_and_keeps_it_against_every_uploader() {
    let place = bad();
    let watch = Watch::start(&place);
    watch.fired(1);
    assert_eq!(place.content(), lines(21));
    let ran = rollback(&place).args(["-m", "bad DNS"]).run().expect(0);
    let by = format!("in place of {}… by ", short(&lines(21)));
    let release_it = format!("held: nothing else is uploaded or installed until `kvx release -k {}`", place.key);
    ran.says(&["20 lines, ", &short(&lines(20)), "restored", &by, "@", &release_it]);
    assert_eq!(document_of(&place), lines(20));
    assert!(watch.fired(2)[1].contains("20 lines"), "the watch fires once");
    assert_eq!(place.content(), lines(20));
    let record = record_of(&place);
    assert!(record.contains(&format!("checksum {}\n", sha256(lines(20)))), "{record}");
    assert!(record.ends_with("note bad DNS\n") && !record.contains("\nundo "), "{record}");
    let hold = hold_of(&place).unwrap();
    let reason = hold.strip_prefix(&format!("{} ", sha256(lines(20)))).unwrap();
    assert_signed(reason, &format!("rolled back from {}…: bad DNS", short(&lines(21))), "");
    // The renderer, and kvexpress.
    for _ in 0..3 {
        place.kvx_in().stdin(lines(21)).run().expect(0).says(&["held at ", "nothing uploaded"]);
    }
    overwrite(&place, &lines(21));
    assert!(watch.fired(3)[2].contains("held at "));
    assert_eq!(place.content(), lines(20));
    let shown = place.kvx("history").args(["-k", &place.key]).run().expect(0);
    assert!(shown.out().contains("rollback: bad DNS"), "{}", shown.out());
}

#[test]
fn a_preview_shows_the_difference_and_changes_nothing() {
    let place = bad();
    let before = everything(&place);
    let ran = rollback(&place).args(["-n", "-m", "why"]).run().expect(0);
    assert!(ran.out().contains("-21\n") && ran.out().starts_with("--- "), "{}", ran.out());
    assert!(!ran.stderr.contains("held"), "{}", ran.stderr);
    ran.says(&["would be restored, in place of ", &short(&lines(21))]);
    assert_eq!(everything(&place), before);
}

#[test]
fn the_second_person_on_call_does_not_restore_the_bad_document() {
    let place = bad();
    rollback(&place).run().expect(0);
    let before = everything(&place);
    rollback(&place).run().expect(64).says(&["restored by a rollback", "--to", "kvx history"]);
    release(&place);
    rollback(&place).run().expect(64).says(&["restored by a rollback", "--to"]);
    assert_eq!(document_of(&place), lines(20));
    assert_ne!(everything(&place), before, "only the hold is gone");
    // Named, it is restored; and naming the current one again changes nothing but the hold.
    rollback(&place).args(["--to", &short(&lines(21))]).run().expect(0).says(&["21 lines", "restored"]);
    assert_eq!(document_of(&place), lines(21));
    let before = everything(&place);
    rollback(&place).args(["--to", &short(&lines(21))]).run().expect(0).says(&["is the current document"]);
    assert_eq!(everything(&place), before);
    let alone = Place::new();
    upload(&alone, &lines(20));
    rollback(&alone).run().expect(64).says(&["is the first one"]);
    let empty = Place::new();
    rollback(&empty).run().expect(66).says(&["no history"]);
    assert!(everything(&empty).iter().all(Vec::is_empty));
}

#[test]
fn what_kvexpress_wrote_in_between_is_what_is_restored() {
    let place = bad();
    overwrite(&place, &lines(20));
    upload(&place, &lines(22));
    rollback(&place).run().expect(0).says(&["20 lines", "restored", &short(&lines(22))]);
    assert_eq!(document_of(&place), lines(20));
    // A document that only kvexpress has uploaded is saved by the next kvx-in.
    let place = bad();
    overwrite(&place, &lines(30));
    upload(&place, &lines(22));
    rollback(&place).run().expect(0).says(&["30 lines", "restored"]);
    // The current document is kvexpress's: the newest other version is restored.
    let place = bad();
    overwrite(&place, &lines(30));
    rollback(&place).run().expect(0).says(&["21 lines", "restored"]);
    let place = bad();
    overwrite(&place, &lines(21));
    place.consul.delete(&place.kv("record"));
    rollback(&place).run().expect(0).says(&["20 lines", "restored"]);
}

#[test]
fn of_a_large_document_that_died_half_uploaded_the_one_that_nodes_have_is_restored() {
    let place = bad();
    place.kvx_out().run().expect(0);
    place.consul.put(&place.kv("data"), large(0));
    rollback(&place).run().expect(0).says(&["21 lines", "restored, in place of a torn pair"]);
    assert_eq!(document_of(&place), lines(21));
    place.kvx_out().run().expect(0).is_silent();
}

#[test]
fn a_large_document_is_restored_in_two_steps_and_held_before_the_first() {
    let place = Place::new();
    upload(&place, &large(0));
    upload(&place, &large(1));
    let (consul, hold) = (place.consul.clone(), place.kv("hold"));
    let gate = Gate::to(&place.consul.address, move |request| {
        if request.method == "PUT" && request.target.contains("/data?cas") {
            assert!(consul.text(&hold).is_some(), "the hold comes first");
        }
        Act::Pass
    });
    rollback(&place).args(["-s", &gate.address]).run().expect(0).says(&["restored", "held"]);
    assert_eq!(document_of(&place), large(0));
    assert!(hold_of(&place).unwrap().starts_with(&sha256(large(0))));
    assert!(gate.lines().iter().any(|line| line.contains("/data?cas")));
}

#[test]
fn a_large_document_whose_rollback_died_between_its_steps_is_restored_by_the_next_one() {
    let place = Place::new();
    upload(&place, &large(0));
    upload(&place, &lines(21));
    // It has set its hold and the data, but not the checksum.
    let hold = format!("{} rolled back", sha256(large(0)));
    place.consul.put(&place.kv("hold"), &hold);
    place.consul.put(&place.kv("data"), large(0));
    let ran = rollback(&place).run().expect(0);
    ran.says(&["45000 lines", "restored, in place of a torn pair", "held: nothing else"]);
    assert_eq!((document_of(&place), hold_of(&place)), (large(0), Some(hold)));
    rollback(&place).run().expect(64).says(&["restored by a rollback"]);
}

#[test]
fn a_stop_is_lifted_only_if_that_is_asked_for_and_a_hold_is_moved() {
    let place = bad();
    place.consul.put(&place.kv("stop"), "maintenance");
    let before = everything(&place);
    rollback(&place).run().expect(75).says(&["it is stopped: maintenance", "`kvx resume`", "--resume"]);
    assert_eq!(everything(&place), before);
    rollback(&place).arg("--resume").run().expect(0).says(&[
        "restored",
        "resumed, it was stopped: maintenance",
        "held",
    ]);
    assert!(place.consul.get(&place.kv("stop")).is_none());
    place.kvx_out().run().expect(0).says(&["20 lines", "installed"]);
    // Another rollback moves the hold; without one, a hold elsewhere is in the way.
    let to = |version: &str| rollback(&place).args(["--to", version]);
    let before = everything(&place);
    to(&short(&lines(21))).arg("--no-hold").run().expect(75).says(&["it is held at ", "kvx release", "--no-hold"]);
    assert_eq!(everything(&place), before);
    to(&short(&lines(21))).run().expect(0).says(&["restored", "it was held at ", &short(&lines(20)), "rolled back"]);
    assert!(hold_of(&place).unwrap().starts_with(&sha256(lines(21))));
    // A hold that is not one is no obstacle in an emergency.
    place.consul.put(&place.kv("hold"), "nonsense");
    to(&short(&lines(20))).run().expect(0).says(&["restored", "it was held at nonsense"]);
    // The current document, stopped: its watches fire.
    place.consul.put(&place.kv("stop"), "maintenance");
    let index = place.consul.modify_index(&place.kv("checksum"));
    to(&short(&lines(20))).arg("--resume").run().expect(0).says(&["is the current document", "resumed"]);
    assert_ne!(place.consul.modify_index(&place.kv("checksum")), index);
    release(&place);
    to(&short(&lines(21))).arg("--no-hold").run().expect(0).says(&["restored"]);
    assert_eq!(hold_of(&place), None);
    upload(&place, &lines(23));
}

#[test]
fn a_document_that_is_gone_or_damaged_is_not_restored() {
    let place = bad();
    place.consul.put(&part(&place, &lines(20)), "damaged\n");
    let before = everything(&place);
    rollback(&place).run().expect(65).says(&[&part(&place, &lines(20)), "does not match its checksum"]);
    assert_eq!(everything(&place), before);
    place.consul.delete(&part(&place, &lines(20)));
    let before = everything(&place);
    rollback(&place).run().expect(66).says(&["there is no ", &part(&place, &lines(20)), "kvx history"]);
    assert_eq!(everything(&place), before);
    // Deleted in the moment between: nothing is restored either.
    let place = bad();
    let (consul, at) = (place.consul.clone(), part(&place, &lines(20)));
    let gate = Gate::to(&place.consul.address, move |request| {
        if request.step == Step::Write {
            consul.delete(&at);
        }
        Act::Pass
    });
    let ran = rollback(&place).args(["-s", &gate.address]).run().expect(75);
    ran.says(&["nothing is restored", "doesn't exist", "Consul has ", &short(&lines(21))]);
    assert_eq!((document_of(&place), hold_of(&place)), (lines(21), None));
}

#[test]
fn a_rollback_that_loses_the_race_restores_nothing_and_names_the_winner() {
    let place = bad();
    let kvx_in = place.kvx_in().stdin(lines(25));
    let winner = std::sync::Mutex::new(Some(kvx_in));
    let gate = Gate::to(&place.consul.address, move |request| {
        if request.step == Step::Write {
            winner.lock().unwrap().take().map(|run| run.run().expect(0));
        }
        Act::Pass
    });
    let ran = rollback(&place).args(["-s", &gate.address]).run().expect(75);
    ran.says(&["another writer was faster, nothing is restored", "Consul has ", &short(&lines(25)), " by ", "@"]);
    assert_eq!((document_of(&place), hold_of(&place)), (lines(25), None));
}

#[test]
fn a_rollback_whose_answer_is_lost_knows_that_it_was_done() {
    let place = bad();
    let gate = Gate::to(&place.consul.address, |request| match request.step {
        Step::Write if request.nth == 1 => Act::CutAnswer(0),
        _ => Act::Pass,
    });
    rollback(&place).args(["-s", &gate.address]).run().expect(0).says(&["restored", "held"]);
    assert_eq!(document_of(&place), lines(20));
    assert!(hold_of(&place).unwrap().starts_with(&sha256(lines(20))));
    let shown = place.kvx("history").args(["-k", &place.key]).run().expect(0);
    assert_eq!(shown.out().matches("rollback").count(), 1, "{}", shown.out());
}

#[test]
fn a_much_smaller_document_is_restored_with_a_warning_and_in_the_form_of_the_one_before() {
    let place = Place::new();
    upload(&place, &lines(20));
    place.kvx_in().arg("-z").stdin(lines(500)).run().expect(0);
    let ran = rollback(&place).run().expect(0);
    ran.says(&["restored", "it is 97 % smaller: a node with a lower --max-shrink rejects it"]);
    assert_eq!(place.consul.entry(&place.kv("data")).unwrap()["Flags"], 1, "as nodes can read it");
    place.kvx_out().run().expect(0);
    assert_eq!(place.content(), lines(20));
    release(&place);
    upload(&place, &lines(21));
    let ran = rollback(&place).args(["--to", "-1"]).run().expect(0);
    assert!(!ran.stderr.contains("smaller"), "{}", ran.stderr);
    assert_eq!(place.consul.entry(&place.kv("data")).unwrap()["Flags"], 0);
}

#[test]
fn a_large_rollback_that_was_interrupted_is_completed_and_not_turned_round() {
    // After its first step: killed, or the answer to that step lost and nothing else to be had of Consul.
    let place = Place::new();
    upload(&place, &large(0));
    upload(&place, &large(1));
    place
        .consul
        .put(&place.kv("hold"), format!("{} rolled back (by anna on web-1, 2026-11-28T10:00:00Z)", sha256(large(0))));
    place.consul.put(&place.kv("data"), large(0));
    let ran = rollback(&place).run().expect(0);
    ran.says(&["restored, in place of a torn pair", "kvx release"]);
    assert_eq!(document_of(&place), large(0));
    assert!(hold_of(&place).unwrap().starts_with(&sha256(large(0))));
    // Without a hold.
    let place = Place::new();
    upload(&place, &large(0));
    upload(&place, &large(1));
    place.consul.put(&place.kv("data"), large(0));
    rollback(&place).arg("--no-hold").run().expect(0).says(&["restored, in place of a torn pair"]);
    assert_eq!((document_of(&place), hold_of(&place)), (large(0), None));
    // The answer to the first step is lost: it is not another writer.
    let place = Place::new();
    upload(&place, &large(0));
    upload(&place, &large(1));
    for lost in ["/data?cas", "/v1/txn"] {
        let gate = Gate::to(&place.consul.address, move |request| match request.step {
            Step::Write if request.nth == if lost == "/v1/txn" { 2 } else { 3 } => Act::CutAnswer(0),
            _ => Act::Pass,
        });
        let ran = rollback(&place).args(["-s", &gate.address, "--to", "-1"]).run().expect(0);
        ran.says(&["restored"]);
        place.kvx("release").args(["-k", &place.key]).run().expect(0);
    }
}

#[test]
fn a_repair_of_the_held_document_leaves_the_second_person_nothing_to_restore() {
    let place = bad();
    rollback(&place).run().expect(0);
    overwrite(&place, &lines(21));
    place.kvx("release").args(["-k", &place.key]).run().expect(75).says(&["held at ", "kvx rollback", "--force"]);
    // By a rollback, which takes the held document: not the newest other one.
    rollback(&place).run().expect(0).says(&["20 lines", "restored", &short(&lines(21))]);
    assert_eq!(document_of(&place), lines(20));
    overwrite(&place, &lines(21));
    // By the renderer's own upload.
    upload(&place, &lines(20));
    rollback(&place).run().expect(64).says(&["--to"]);
    assert_eq!(document_of(&place), lines(20));
    // A corrected document replaces what the nodes have, the held one.
    overwrite(&place, &lines(21));
    place.kvx_in().arg("--ignore-hold").stdin(lines(22)).run().expect(0);
    assert!(record_of(&place).contains(&format!("undo {}\n", sha256(lines(20)))), "{}", record_of(&place));
}

#[test]
fn a_rollback_removes_no_version() {
    let place = Place::new();
    for n in 20..60 {
        place.kvx_in().args(["--keep", "100"]).stdin(lines(n)).run().expect(0);
    }
    rollback(&place).run().expect(0);
    let listed = place.kvx("history").args(["-k", &place.key]).run().expect(0);
    assert_eq!(listed.out().lines().count(), 1 + 41, "{}", listed.out());
    rollback(&place).args(["--to", &short(&lines(20))]).run().expect(0).says(&["20 lines", "restored"]);
}

#[test]
fn a_large_rollback_that_consul_refuses_leaves_no_hold() {
    let place = Place::new();
    upload(&place, &large(0));
    upload(&place, &lines(20));
    let before = hold_of(&place);
    let gate = Gate::to(&place.consul.address, |request| match request.method.as_str() {
        "PUT" if request.target.contains("/data?cas") => {
            Act::Say(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 17\r\n\r\nPermission denied".to_vec())
        }
        _ => Act::Pass,
    });
    rollback(&place).args(["-s", &gate.address]).run().expect(77).says(&["Consul denies"]);
    assert_eq!((hold_of(&place), document_of(&place)), (before, lines(20)));
    place.consul.put(&place.kv("hold"), format!("{} why", sha256(lines(20))));
    place.kvx_in().args(["-s", &gate.address, "--ignore-hold"]).stdin(large(1)).run().expect(77);
    assert_eq!(hold_of(&place).unwrap(), format!("{} why", sha256(lines(20))));
}

#[test]
fn a_document_that_fits_only_compressed_is_restored_compressed() {
    let place = Place::new();
    let document: String = "a line that compresses well\n".repeat(40_000);
    place.kvx_in().arg("-z").stdin(&document).run().expect(0);
    upload(&place, &lines(20));
    rollback(&place).run().expect(0).says(&["40000 lines", "restored"]);
    place.kvx_out().run().expect(0);
    assert_eq!(place.content(), document);
}

#[test]
fn a_version_of_a_clock_that_is_ahead_can_be_restored() {
    let place = bad();
    // As an uploader leaves it whose clock is a week ahead: its record, its version, its document.
    let ahead = "2099-01-01T00:00:00.000Z";
    let key = format!("kvexpress/{}", place.key);
    let record = format!("kvx 1\nkey {key}\nchecksum {0}\nsize 81\ntime {ahead}\nby x@y\n", sha256(lines(30)));
    let entry = format!("kvexpress/kvx/history/{}/{ahead}-{}", place.key, sha256(lines(30)));
    place.consul.put(&entry, &record);
    place.consul.put(&part(&place, &lines(30)), lines(30));
    let ran = rollback(&place).args(["--to", &short(&lines(30))]).run().expect(0);
    assert!(ran.stderr.contains("is more than a day ahead of this machine's clock"), "{}", ran.stderr);
    assert!(ran.stderr.contains("30 lines") && ran.stderr.contains(" restored, "), "{}", ran.stderr);
    assert_eq!(document_of(&place), lines(30));
}

#[test]
fn an_upload_that_repairs_its_own_document_replaces_what_it_replaced_before() {
    let place = bad();
    let undo = format!("undo {}\n", sha256(lines(20)));
    assert!(record_of(&place).contains(&undo));
    place.consul.put(&place.kv("data"), "edited by hand\n");
    upload(&place, &lines(21));
    assert!(record_of(&place).contains(&undo), "{}", record_of(&place));
    // Without a checksum, or without the key, it is the newest version.
    place.consul.delete(&place.kv("checksum"));
    upload(&place, &lines(22));
    assert!(record_of(&place).contains(&format!("undo {}\n", sha256(lines(21)))), "{}", record_of(&place));
    for part in ["data", "checksum", "record"] {
        place.consul.delete(&place.kv(part));
    }
    upload(&place, &lines(23));
    assert!(record_of(&place).contains(&format!("undo {}\n", sha256(lines(22)))), "{}", record_of(&place));
    rollback(&place).run().expect(0).says(&["22 lines", "restored"]);
}

#[test]
fn an_upload_that_is_between_its_two_steps_is_waited_for() {
    let place = bad();
    place.consul.put(&place.kv("data"), large(0));
    let (consul, checksum) = (place.consul.clone(), place.kv("checksum"));
    let gate = Gate::to(&place.consul.address, move |request| {
        if request.step == Step::Read && request.nth > 2 {
            consul.put(&checksum, sha256(large(0)));
        }
        Act::Pass
    });
    // Then the current document is kvexpress's, without a record: the newest version is restored.
    rollback(&place).args(["-s", &gate.address]).run().expect(0).says(&[
        "21 lines",
        "restored, in place of ",
        &short(&large(0)),
    ]);
}
