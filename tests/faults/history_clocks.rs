//! The order of versions by their times, where time is wrong: a snapshot of Consul is restored, or a clock is wrong.

use std::sync::Arc;
use std::time::Duration;

use crate::common::moment::Moment;
use crate::common::run::binary;
use crate::common::tools::has;
use crate::common::{Consul, Place, Ran, Run, lines, sha256};
use kvx::layout::record::Timestamp;

const AHEAD: &str = "is more than a day ahead of this machine's clock, and is ignored; check both clocks";
const HOUR: Duration = Duration::from_secs(3600);
const MILLISECOND: Duration = Duration::from_millis(1);

/// An upload by a machine whose clock is so far off.
fn upload_at(place: &Place, clock: &str, document: &str) -> Ran {
    let faketime = Run::new("/usr/bin/env", &place.consul.address).args(["faketime", "-f", clock]);
    faketime.arg(binary("kvx-in")).args(["-k", &place.key]).stdin(document).run().expect(0)
}

fn time_of_current(place: &Place) -> Timestamp {
    Moment::of(place).record().unwrap().time
}

#[track_caller]
fn assert_versions(place: &Place, documents: &[String]) {
    let moment = Moment::of(place);
    moment.assert_consistent("");
    assert_eq!(moment.versions(), documents.iter().map(sha256).collect::<Vec<_>>());
}

/// Each of these documents, the current one last, is restored by its distance.
#[track_caller]
fn assert_restored(place: &Place, documents: &[String]) {
    let shown = |arguments: &[&str]| place.kvx("show").args(["-k", &place.key]).args(arguments).run().expect(0);
    for (distance, document) in documents.iter().rev().enumerate() {
        let at = format!("-{distance}");
        let arguments = if distance == 0 { vec![] } else { vec!["--at", &*at] };
        assert_eq!(shown(&arguments).is_silent().out(), document, "-{distance}");
        assert_eq!(shown(&["--at", &sha256(document)]).is_silent().out(), document);
    }
}

fn rolled_back(place: &Place) -> Vec<u8> {
    let said = place.kvx("rollback").args(["-k", &place.key]).run().expect(0).stderr;
    assert!(said.contains("restored, in place of") && said.contains("held: "), "{said}");
    place.document().unwrap()
}

#[test]
fn after_a_restored_snapshot_versions_are_ordered_by_time() {
    let consul = Arc::new(Consul::server(""));
    let snapshot = consul.dir().join("snapshot").display().to_string();
    let place = Place::at(consul.clone());
    for n in [20, 21] {
        place.upload(lines(n));
    }
    assert!(consul.command(&["snapshot", "save", &snapshot]).status().unwrap().success());
    for n in [30, 31, 32] {
        place.upload(lines(n));
    }
    let (index, lost) = (consul.modify_index(&place.kv("checksum")), time_of_current(&place));
    assert!(consul.command(&["snapshot", "restore", &snapshot]).status().unwrap().success());
    assert!(consul.modify_index(&place.kv("checksum")) < index, "the index went back");
    assert_versions(&place, &[20, 21].map(lines));
    for n in [22, 23] {
        place.upload(lines(n));
    }
    assert_versions(&place, &[20, 21, 22, 23].map(lines));
    assert!(Moment::of(&place).names()[2].time > lost, "later than those that are lost");
    assert_restored(&place, &[20, 21, 22, 23].map(lines));
    assert_eq!(rolled_back(&place), lines(22).into_bytes());
}

#[test]
fn a_clock_that_is_less_than_a_day_ahead_is_continued_also_after_a_restored_snapshot() {
    if !has("faketime") {
        return;
    }
    let consul = Arc::new(Consul::server(""));
    let snapshot = consul.dir().join("snapshot").display().to_string();
    let place = Place::at(consul.clone());
    place.upload(lines(20));
    let begun = Timestamp::now();
    upload_at(&place, "+23h", &lines(21)).says(&["uploaded"]);
    let ahead = time_of_current(&place);
    assert!(ahead >= begun.plus(23 * HOUR) && ahead <= Timestamp::now().plus(23 * HOUR), "{ahead}");
    assert!(consul.command(&["snapshot", "save", &snapshot]).status().unwrap().success());
    // Before, and after the snapshot is restored.
    for _ in 0..2 {
        for (n, after) in [(22, 1), (23, 2)] {
            place.upload(lines(n)).says(&["uploaded"]);
            assert_eq!(time_of_current(&place), ahead.plus(after * MILLISECOND));
        }
        assert_versions(&place, &[20, 21, 22, 23].map(lines));
        assert_restored(&place, &[20, 21, 22, 23].map(lines));
        assert!(consul.command(&["snapshot", "restore", &snapshot]).status().unwrap().success());
        assert_versions(&place, &[20, 21].map(lines));
    }
    // What kvexpress wrote is saved between them.
    place.consul.put_pair(place.kv("").trim_end_matches('/'), lines(30));
    place.upload(lines(24)).says(&["uploaded"]);
    let times: Vec<Timestamp> = Moment::of(&place).names().iter().map(|name| name.time).collect();
    assert_eq!(times[1..], [0, 1, 2].map(|after| ahead.plus(after * MILLISECOND)));
    assert_restored(&place, &[20, 21, 30, 24].map(lines));
    assert_eq!(rolled_back(&place), lines(30).into_bytes());
    assert_eq!(time_of_current(&place), ahead.plus(3 * MILLISECOND), "a rollback continues it, too");
}

#[test]
fn a_clock_that_is_more_than_a_day_ahead_is_ignored_with_a_warning_and_what_it_uploaded_is_restored() {
    if !has("faketime") {
        return;
    }
    let place = Place::new();
    place.upload(lines(20));
    upload_at(&place, "+49h", &lines(21)).says(&["uploaded"]);
    let ahead = time_of_current(&place);
    assert!(ahead > Timestamp::now().plus(48 * HOUR), "{ahead}");
    let begun = Timestamp::now();
    let said = place.kvx_in().stdin(lines(22)).run().expect(0).stderr;
    assert!(said.contains(&format!("{ahead}, {AHEAD}")) && said.contains("uploaded"), "{said}");
    let time = time_of_current(&place);
    assert!(time >= begun && time <= Timestamp::now().plus(MILLISECOND), "{time}");
    assert_restored(&place, &[20, 21, 22].map(lines));
    assert_eq!(rolled_back(&place), lines(21).into_bytes(), "what the document replaced");
    place.kvx("release").args(["-k", &place.key]).run().expect(0);
    // The wrong one is the first to go.
    place.kvx_in().args(["--keep", "4"]).stdin(lines(23)).run().expect(0);
    let moment = Moment::of(&place);
    moment.assert_consistent("");
    assert!(moment.names().iter().all(|name| name.time < ahead), "{:#?}", moment.names());
    place.kvx_in().stdin(lines(24)).run().expect(0).says(&["uploaded"]);
}

#[test]
fn a_clock_in_the_past_continues_and_one_more_than_a_day_behind_is_warned_of() {
    if !has("faketime") {
        return;
    }
    let place = Place::new();
    place.upload(lines(20));
    let newest = time_of_current(&place);
    upload_at(&place, "-23h", &lines(21)).says(&["uploaded"]);
    assert_eq!(time_of_current(&place), newest.plus(MILLISECOND));
    let said = upload_at(&place, "-49h", &lines(22)).stderr;
    assert!(said.contains(AHEAD) && said.contains("uploaded"), "{said}");
    assert!(time_of_current(&place) < newest, "its own time");
    // The document is there, and the next upload by a right clock is the newest again.
    assert_eq!(place.document().unwrap(), lines(22).into_bytes());
    place.upload(lines(23)).says(&["uploaded"]);
    assert!(time_of_current(&place) > newest);
    for n in 20..=23 {
        let shown = place.kvx("show").args(["-k", &place.key, "--at", &sha256(lines(n))]).run().expect(0);
        assert_eq!(shown.out(), lines(n));
    }
    assert_eq!(Moment::of(&place).versions().last(), Some(&sha256(lines(23))));
    assert_eq!(rolled_back(&place), lines(22).into_bytes(), "what the document replaced");
}
