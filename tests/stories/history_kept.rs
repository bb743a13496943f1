//! Which versions `--keep` keeps, on a real Consul: each can be restored byte for byte, the others are gone with their documents.

use crate::common::gate::{Act, Gate, Step};
use crate::common::moment::{Moment, Pair, go_on_at, in_hours};
use crate::common::{Place, Run, lines, sha256};

fn upload(place: &Place, document: impl AsRef<[u8]>, keep: &str) {
    place.kvx_in().args(["-l", "0", "--keep", keep]).stdin(document).run().expect(0).says(&["uploaded"]);
}

fn show(place: &Place, at: &str) -> Run {
    place.kvx("show").args(["-k", &place.key, "--at", at])
}

/// These documents, the oldest first, and nothing else are the versions of the key, and each is restored.
#[track_caller]
fn assert_kept(place: &Place, documents: &[impl AsRef<[u8]>]) {
    let moment = Moment::of(place);
    moment.assert_consistent("");
    let expected: Vec<String> = documents.iter().map(sha256).collect();
    assert_eq!(moment.versions(), expected);
    assert_eq!(moment.orphans(), [""; 0]);
    for (name, document) in moment.names().iter().zip(documents) {
        let shown = show(place, &name.time.to_string()).run().expect(0).is_silent().stdout;
        assert!(shown == document.as_ref(), "{name} is restored byte for byte");
    }
}

/// Not compressible, and too large for a transaction.
fn large(seed: u64) -> Vec<u8> {
    let mut state = seed;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(450_000).collect()
}

/// As kvexpress writes a pair.
fn overwrite(place: &Place, document: &str) {
    place.consul.put_pair(place.kv("").trim_end_matches('/'), document);
}

#[test]
fn of_twenty_uploads_the_newest_five_are_kept_and_the_last_one_of_an_earlier_hour() {
    let place = Place::new();
    go_on_at(&place, in_hours(2));
    let document = |n: usize| format!("version {n}\n{}", lines(20 + n));
    for n in 1..=20 {
        upload(&place, document(n), "5");
    }
    assert_kept(&place, &[16, 17, 18, 19, 20].map(document));
    for gone in (1..=15).map(|n| sha256(document(n))) {
        show(&place, &gone).run().expect(66).says(&["no version", &gone]);
    }
    // An hour later: the newest one of the hour before is kept as well.
    go_on_at(&place, in_hours(3));
    for n in 21..=27 {
        upload(&place, document(n), "5");
    }
    assert_kept(&place, &[20, 23, 24, 25, 26, 27].map(document));
}

#[test]
fn documents_that_come_back_are_stored_once_and_each_time_is_a_version() {
    let place = Place::new();
    go_on_at(&place, in_hours(2));
    let (a, b, c) = (lines(20), lines(30), lines(40));
    for document in [&a, &b, &a, &b] {
        upload(&place, document, "4");
    }
    assert_kept(&place, &[&a, &b, &a, &b]);
    let moment = Moment::of(&place);
    assert_eq!(moment.parts().len(), 2);
    let undone: Vec<Option<String>> =
        moment.records().iter().map(|record| record.undo.map(|undo| undo.to_string())).collect();
    assert_eq!(undone, [None, Some(sha256(&a)), Some(sha256(&b)), Some(sha256(&a))]);
    // A document goes with its last version, not before.
    upload(&place, &c, "3");
    assert_kept(&place, &[&a, &b, &c]);
    upload(&place, lines(50), "3");
    assert_kept(&place, &[&b, &c, &lines(50)]);
    show(&place, &sha256(&a)).run().expect(66);
    // Two that are the same, one behind the other, are one upload.
    place.kvx_in().args(["--keep", "3"]).stdin(lines(50)).run().expect(0).is_silent();
    assert_kept(&place, &[&b, &c, &lines(50)]);
}

#[test]
fn a_lower_limit_takes_three_uploads_from_seventy_versions_to_three() {
    let place = Place::new();
    go_on_at(&place, in_hours(2));
    let document = |n: usize| format!("version {n}\n");
    for n in 1..=70 {
        upload(&place, document(n), "70");
    }
    assert_kept(&place, &Vec::from_iter((1..=70).map(document)));
    let operations = |body: &[u8]| serde_json::from_slice::<Vec<serde_json::Value>>(body).map_or(0, |all| all.len());
    let gate = Gate::open(&place.consul.address);
    for (n, oldest) in [(71, 25), (72, 49), (73, 71)] {
        let kvx_in = place.kvx_in().args(["-l", "0", "--keep", "3", "-s", &gate.address]);
        kvx_in.stdin(document(n)).run().expect(0).says(&["uploaded"]);
        let writes: Vec<usize> = gate
            .requests()
            .iter()
            .filter(|request| request.step == Step::Write)
            .map(|request| operations(&request.body))
            .collect();
        // Consul 1.8.7 accepts 64 operations.
        assert!(writes.len() == 1 && writes[0] <= 60, "{writes:?}");
        assert_kept(&place, &Vec::from_iter((oldest..=n).map(document)));
    }
}

#[test]
fn the_history_of_a_key_in_the_folder_of_another_is_neither_counted_nor_removed() {
    let outer = Place::new();
    let mut inner = Place::at(outer.consul.clone());
    inner.key = format!("{}/b", outer.key);
    // The versions of the inner one are newer, all of them.
    go_on_at(&outer, in_hours(2));
    go_on_at(&inner, in_hours(3));
    for n in 1..=6 {
        upload(&outer, lines(n), "2");
        upload(&inner, lines(n + 3), "3");
    }
    let inner_before = Moment::of(&inner);
    assert_kept(&inner, &[7, 8, 9].map(lines));
    // What the outer one removes, the inner one has, too.
    for n in [7, 8, 9, 10, 11] {
        upload(&outer, lines(n), "2");
    }
    let outer_versions = Moment::of(&outer).versions();
    assert_eq!(outer_versions, [10, 11].map(|n| sha256(lines(n))));
    assert_eq!(Moment::of(&inner), inner_before, "nothing is removed or written there");
    outer.kvx("rollback").args(["-k", &outer.key]).run().expect(0).says(&["10 lines", "restored"]);
    assert_eq!(Moment::of(&inner), inner_before);
    assert!(inner_before.held().is_none());
    upload(&inner, lines(12), "2");
    assert_eq!(Moment::of(&outer).versions(), [10, 11, 10].map(|n| sha256(lines(n))));
    assert_kept(&inner, &[9, 12].map(lines));
}

#[test]
fn without_history_the_existing_one_is_left_alone_and_the_next_upload_saves_what_is_missing() {
    let place = Place::new();
    go_on_at(&place, in_hours(2));
    upload(&place, lines(20), "2");
    upload(&place, lines(21), "2");
    let (names, parts) = (Moment::of(&place).names(), Moment::of(&place).parts());
    let gate = Gate::to(&place.consul.address, |request| {
        assert!(!String::from_utf8_lossy(&request.body).contains("/kvx/") && !request.target.contains("/kvx/"));
        Act::Pass
    });
    for n in 22..27 {
        let ran = place.kvx_in().args(["--keep", "0", "-s", &gate.address]).stdin(lines(n)).run();
        ran.expect(0).says(&["uploaded"]);
    }
    assert_eq!((Moment::of(&place).names(), Moment::of(&place).parts()), (names.clone(), parts));
    assert_eq!(Moment::of(&place).pair(), Pair::Whole(lines(26).into_bytes()));
    // The last of them, with its own record; those between are lost, as asked for.
    let record = Moment::of(&place).record().unwrap();
    upload(&place, lines(27), "4");
    assert_kept(&place, &[20, 21, 26, 27].map(lines));
    let moment = Moment::of(&place);
    assert_eq!((moment.names()[..2].to_vec(), &moment.records()[2]), (names, &record));
}

#[test]
fn what_kvexpress_wrote_in_between_is_saved_by_the_next_upload_as_by_unknown() {
    let place = Place::new();
    go_on_at(&place, in_hours(2));
    upload(&place, lines(20), "5");
    upload(&place, lines(21), "5");
    let before = Moment::of(&place).names();
    overwrite(&place, &lines(30));
    overwrite(&place, &lines(31));
    assert_eq!(Moment::of(&place).names(), before, "kvexpress keeps no history");
    upload(&place, lines(22), "5");
    assert_kept(&place, &[20, 21, 31, 22].map(lines));
    let moment = Moment::of(&place);
    let (theirs, ours) = (&moment.records()[2], &moment.records()[3]);
    assert_eq!((theirs.by.as_str(), theirs.undo, theirs.note.as_ref()), ("unknown", None, None));
    assert_eq!(theirs.size, lines(31).len() as u64);
    assert!(theirs.time > before[1].time && theirs.time < ours.time, "just before the upload that saves it");
    assert_ne!(ours.by, "unknown");
    assert_eq!(ours.undo.map(|undo| undo.to_string()), Some(sha256(lines(31))));
    // What is the newest version already is not saved again.
    overwrite(&place, &lines(22));
    upload(&place, lines(23), "5");
    assert_kept(&place, &[20, 21, 31, 22, 23].map(lines));
}

#[test]
fn a_document_that_takes_two_steps_is_kept_and_removed_like_others() {
    let place = Place::new();
    go_on_at(&place, in_hours(2));
    let gate = Gate::open(&place.consul.address);
    for seed in 1..=4 {
        let kvx_in = place.kvx_in().args(["-l", "0", "--keep", "3", "-s", &gate.address]);
        kvx_in.stdin(large(seed)).run().expect(0).says(&["uploaded"]);
        let steps = gate.lines().iter().filter(|line| line.contains("/data?cas")).count();
        assert_eq!(steps, 1, "it takes two steps");
    }
    assert_kept(&place, &[2, 3, 4].map(large));
    assert_eq!(Moment::of(&place).pair(), Pair::Whole(large(4)));
    show(&place, &sha256(large(1))).run().expect(66);
    // A small one removes it in one step, and saves what kvexpress wrote: a large one again.
    place.consul.put_pair(place.kv("").trim_end_matches('/'), large(9));
    upload(&place, lines(20), "2");
    assert_kept(&place, &[large(9), lines(20).into_bytes()]);
}
