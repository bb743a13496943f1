//! `kvx clean -k`: documents that no version has are removed from the history, and no other ones, whatever is uploaded meanwhile.

use crate::common::gate::{Act, Gate};
use crate::common::{Place, Run, lines, sha256};

fn clean(place: &Place) -> Run {
    place.kvx("clean").args(["-k", &place.key])
}

fn part(place: &Place, document: &str) -> String {
    format!("kvexpress/kvx/parts/{}/{}", place.key, sha256(document))
}

/// A document that an upload has left that died before its second step.
fn orphan(place: &Place, document: &str) -> String {
    place.consul.put(&part(place, document), document);
    part(place, document)
}

fn exists(place: &Place, path: &str) -> bool {
    place.consul.get(path).is_some()
}

fn assert_restorable(place: &Place, document: &str) {
    let shown = place.kvx("show").args(["-k", &place.key, "--at", &sha256(document)]).run().expect(0);
    assert_eq!(shown.out(), document);
}

#[test]
fn documents_that_no_version_has_are_removed_and_no_others() {
    let place = Place::new();
    for document in [lines(20), lines(21), lines(20)] {
        place.upload(document);
    }
    clean(&place).run().expect(0).is_silent();
    clean(&place).arg("-v").run().expect(0).says(&["removed nothing from the history"]);
    let nested = format!("kvexpress/kvx/parts/{}/more/{}", place.key, sha256(lines(9)));
    let by_hand = format!("kvexpress/kvx/parts/{}/notes", place.key);
    place.consul.put(&nested, lines(9));
    place.consul.put(&by_hand, "not ours");
    let orphans: Vec<String> = (100..170).map(|n| orphan(&place, &lines(n))).collect();
    clean(&place).run().expect(0).says(&["removed 70 documents that no version has from the history"]);
    assert!(orphans.iter().all(|path| !exists(&place, path)));
    assert!(exists(&place, &nested) && exists(&place, &by_hand));
    [lines(20), lines(21)].iter().for_each(|document| assert_restorable(&place, document));
    place.assert_pair_is_whole();
}

#[test]
fn of_a_key_without_a_document_too() {
    let place = Place::new();
    let path = orphan(&place, &lines(20));
    clean(&place).run().expect(0).says(&["removed 1 document that no version has from the history"]);
    assert!(!exists(&place, &path) && place.folder().is_empty());
}

#[test]
fn an_upload_at_the_same_moment_keeps_its_document() {
    for is_new in [true, false] {
        let place = Place::new();
        if !is_new {
            place.upload(lines(20));
        }
        let path = orphan(&place, &lines(21));
        let other = orphan(&place, &lines(22));
        let upload = std::sync::Mutex::new(Some(place.kvx_in().stdin(lines(21))));
        // Between what the collector has read and what it writes.
        let gate = Gate::to(&place.consul.address, move |request| {
            if request.body.windows(10).any(|part| part == b"\"delete\",\"".as_slice()) {
                upload.lock().unwrap().take().map(|run| run.run().expect(0));
            }
            Act::Pass
        });
        clean(&place).args(["-s", &gate.address]).run().expect(0).says(&["removed 1 document"]);
        assert!(exists(&place, &path) && !exists(&place, &other));
        assert_restorable(&place, &lines(21));
    }
}

#[test]
fn an_upload_whose_document_is_removed_before_its_second_step_writes_it_again() {
    let place = Place::new();
    let large = |first: u32| -> String { (first..first + 45_000).map(|line| format!("{line:09}\n")).collect() };
    place.upload(large(0));
    let collector = std::sync::Mutex::new(Some(clean(&place)));
    let gate = Gate::to(&place.consul.address, move |request| {
        if request.method == "PUT" && request.target.contains("/data?cas") {
            collector.lock().unwrap().take().map(|run| run.run().expect(0).says(&["removed 1 document"]));
        }
        Act::Pass
    });
    place.kvx_in().args(["-s", &gate.address]).stdin(large(1)).run().expect(0).says(&["uploaded"]);
    assert_restorable(&place, &large(1));
    assert_restorable(&place, &large(0));
    place.assert_pair_is_whole();
}

#[test]
fn a_file_or_a_key_is_named_and_not_both() {
    let place = Place::new();
    let run = |arguments: &[&str]| place.kvx("clean").args(arguments).run().expect(64);
    run(&[]).says(&["-f", "-k"]);
    run(&["-f", "/x", "-k", "y"]).says(&["-f or -k"]);
    run(&["-k", "y", "--remove-file"]).says(&["--remove-file"]);
}
