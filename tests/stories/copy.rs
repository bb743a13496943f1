//! `kvx copy`: copies the stored document to another key, with value, Flags and checksum together, or not at all.

use crate::common::proxy::Counter;
use crate::common::{Place, Run, golden, lines, sha256};

/// `kvx copy`, from this test's key to another of its own.
fn copy(place: &Place) -> Run {
    Run::new("kvx", &place.consul.address).args(["copy", "--from", &place.key, "--to", &to(place)])
}

fn to(place: &Place) -> String {
    format!("{}-before", place.key)
}

/// Where a part of the copy is in the KV store.
fn there(place: &Place, part: &str) -> String {
    format!("kvexpress/{}/{part}", to(place))
}

#[track_caller]
fn assert_no_copy(place: &Place) {
    for part in ["data", "checksum"] {
        assert_eq!(place.consul.get(&there(place, part)), None, "{part} of a copy");
    }
}

#[test]
fn it_goes_as_it_is_stored_whatever_the_encoding() {
    for (value, flags) in [
        (golden::DOCUMENT.as_bytes().to_vec(), 0),
        (golden::brotli(), 1),
        (golden::GZIP_BASE64.as_bytes().to_vec(), 0),
        (golden::DOCUMENT.as_bytes().to_vec(), 42),
    ] {
        let place = Place::new();
        place.consul.put_flags(&place.kv("data"), &value, flags);
        place.consul.put(&place.kv("checksum"), sha256(golden::DOCUMENT));
        let says = [&*place.key, " -> ", &to(&place), "12 lines", "uploaded", "the first of this key"];
        copy(&place).run().expect(0).says(&says);
        let data = place.consul.entry(&there(&place, "data")).unwrap();
        assert_eq!(place.consul.get(&there(&place, "data")), Some(value));
        assert_eq!(data["Flags"], flags);
        assert_eq!(place.consul.text(&there(&place, "checksum")), Some(sha256(golden::DOCUMENT)));
        let checksum = place.consul.modify_index(&there(&place, "checksum"));
        assert_eq!(data["ModifyIndex"], checksum, "in one transaction");
        copy(&place).run().expect(0).is_silent();
        copy(&place).arg("-v").run().expect(0).says(&["unchanged"]);
        assert_eq!(place.consul.modify_index(&there(&place, "checksum")), checksum, "nothing was sent");
        let read = Run::new("kvx-out", &place.consul.address).args(["-k", &to(&place), "-f", "-"]).run().expect(0);
        assert_eq!(read.out(), golden::DOCUMENT);
    }
}

#[test]
fn it_replaces_what_is_there_and_says_what() {
    let place = Place::new();
    place.upload(lines(20));
    place.consul.put_pair(&format!("kvexpress/{}", to(&place)), lines(5));
    copy(&place).run().expect(0).says(&["20 lines", "in place of ", &sha256(lines(5))[..8]]);
    assert_eq!(place.consul.text(&there(&place, "data")), Some(lines(20)));
    assert_eq!(place.document(), Some(lines(20).into_bytes()), "the first is what it was");
}

#[test]
fn a_large_one_goes_in_two_steps() {
    let place = Place::new();
    let large = "x".repeat(99) + "\n";
    let large = large.repeat(4500);
    place.upload(&large);
    copy(&place).run().expect(0).says(&["4500 lines", "uploaded"]);
    assert_eq!(place.consul.text(&there(&place, "data")), Some(large.clone()));
    assert_eq!(place.consul.text(&there(&place, "checksum")), Some(sha256(&large)));
}

#[test]
fn what_is_no_document_is_not_copied() {
    let place = Place::new();
    copy(&place).run().expect(66).says(&["kvx copy: ", &place.key, "there is no ", &place.kv("data")]);
    assert_no_copy(&place);
    place.consul.put(&place.kv("data"), lines(20));
    place.consul.put(&place.kv("checksum"), sha256(lines(21)));
    copy(&place).run().expect(75).says(&["torn", "upload the document again"]);
    assert_no_copy(&place);
}

#[test]
fn a_stopped_key_gets_no_copy_but_may_be_copied() {
    let place = Place::new();
    place.upload(lines(20));
    place.consul.put(&place.kv("stop"), "the first");
    place.consul.put(&there(&place, "stop"), "the second");
    copy(&place).run().expect(75).says(&["stopped, nothing copied", "the second", "--ignore-stop"]);
    assert_no_copy(&place);
    copy(&place).arg("--ignore-stop").run().expect(0).says(&["uploaded", "the second"]);
    assert_eq!(place.consul.text(&there(&place, "stop")).as_deref(), Some("the second"), "it stays stopped");
    place.consul.delete(&there(&place, "data"));
    place.consul.delete(&there(&place, "checksum"));
    place.consul.delete(&there(&place, "stop"));
    copy(&place).run().expect(0).says(&["uploaded"]);
    assert_eq!(place.consul.get(&there(&place, "stop")), None, "a stop is not copied");
}

#[test]
fn a_key_is_not_copied_to_itself_and_consul_is_not_asked() {
    let place = Place::new();
    let counter = Counter::to(&place.consul.address);
    for to in [&place.key, &format!("/{}/", place.key)] {
        let run = Run::new("kvx", &counter.address).args(["copy", "--from", &place.key, "--to", to]).run();
        run.expect(64).says(&["same key", "see kvx copy --help"]);
    }
    assert!(counter.requests().is_empty());
}

#[test]
fn no_agent_there_is_69() {
    let run = Run::new("kvx", "127.0.0.1:1").args(["copy", "--from", "a", "--to", "b", "--timeout", "300ms"]).run();
    run.expect(69).says(&["a -> b", "127.0.0.1:1"]);
}
