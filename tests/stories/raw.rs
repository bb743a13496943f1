//! `kvx raw` and `kvx-out --raw`: any value in Consul, unchanged and without a checksum.

use std::fs::{self, File};

use super::operator::{Watch, lock, unlock};
use crate::common::proxy::Counter;
use crate::common::run::binary;
use crate::common::{Place, Run, golden, lines, sha256};

fn raw(place: &Place) -> Run {
    place.kvx_out_bare().args(["--raw", &raw_path(place)])
}

fn raw_path(place: &Place) -> String {
    format!("service/{}/config", place.key)
}

#[test]
fn a_raw_value_is_installed_as_it_is() {
    let place = Place::new();
    let at = raw_path(&place);
    raw(&place).run().expect(66).says(&[&at, "there is no", &at, "--raw"]);
    assert!(place.names().is_empty());
    // Whatever its Flags say, and though it is gzip in base64.
    for (value, flags) in [(lines(20), 0), (lines(21), 1), (golden::GZIP_BASE64.to_owned() + "\n", 0)] {
        place.consul.put_flags(&at, &value, flags);
        let handler = place.handler();
        raw(&place).args(["-l", "1", "-e", &handler]).run().expect(0).says(&[&at, "installed", "handler ran"]);
        assert_eq!(place.content(), value);
        raw(&place).args(["-l", "1", "-e", &handler]).run().expect(0).is_silent();
        assert_eq!(place.runs().last().unwrap(), &format!("{at} {}", sha256(&value)));
    }
    assert_eq!(place.runs().len(), 3);
    raw(&place).args(["-l", "99"]).run().expect(65).says(&[&at, "minimum 99"]);
    let slashed = format!("/{at}/");
    place.kvx_out_bare().args(["--raw", &slashed, "-l", "1"]).run().expect(0).is_silent();
    // An empty value is a document, of which the guards decide.
    place.consul.put(&at, "");
    raw(&place).run().expect(65).says(&["is empty"]);
    raw(&place).args(["-l", "0"]).run().expect(0).says(&["installed"]);
    assert_eq!(place.content(), "");
}

#[test]
fn a_raw_value_respects_a_lock_and_no_stop() {
    let place = Place::new();
    let at = raw_path(&place);
    place.consul.put(&at, lines(20));
    place.consul.put(&format!("{at}/stop"), "no stop of ours");
    place.consul.put(&format!("kvexpress/{at}/stop"), "no stop of ours");
    raw(&place).run().expect(0).says(&["installed"]);
    lock(&place, "canary").run().expect(0);
    place.consul.put(&at, lines(21));
    raw(&place).run().expect(0).says(&["locked", "canary"]);
    fs::remove_dir_all(place.marker()).unwrap();
    raw(&place).run().expect(0).says(&["locked", "canary"]);
    raw(&place).arg("--ignore-lock").run().expect(0).says(&["installed"]);
    assert_eq!(place.content(), lines(21));
}

#[test]
fn a_raw_value_is_printed_with_a_dash() {
    let place = Place::new();
    place.consul.put(&raw_path(&place), lines(20));
    let out = Run::new("kvx-out", &place.consul.address).args(["--raw", &raw_path(&place), "-f", "-"]);
    assert_eq!(out.run().expect(0).is_silent().out(), lines(20));
    let out = Run::new("kvx-out", &place.consul.address).args(["--raw", "service/none", "-f", "-"]);
    assert_eq!(out.run().expect(66).says(&["service/none"]).out(), "");
}

#[test]
fn a_watch_on_a_value_installs_it_and_what_is_the_same_costs_no_request() {
    let place = Place::new();
    let at = raw_path(&place);
    place.consul.put(&at, lines(20));
    let counter = Counter::to(&place.consul.address);
    let fire = |payload: &str| raw(&place).args(["-s", &counter.address]).payload(payload).run().expect(0);
    let payload = place.consul.watch_payload(&at);
    fire(&payload).says(&["installed"]);
    assert!(!counter.requests().is_empty());
    fire(&payload).is_silent();
    assert!(counter.requests().is_empty());
    // Of another key, it says only that something has happened.
    place.consul.put(&format!("{at}2"), lines(30));
    fire(&place.consul.watch_payload(&format!("{at}2"))).is_silent();
    assert!(!counter.requests().is_empty());
    // An old payload brings nothing back.
    place.consul.put(&at, lines(21));
    fire(&place.consul.watch_payload(&at)).says(&["installed"]);
    fire(&payload).is_silent();
    assert_eq!(place.content(), lines(21));
    place.consul.delete(&at);
    fire(&payload).says(&["the key does not exist"]);
    fire("null").says(&["the key does not exist"]);
    assert_eq!(place.content(), lines(21));
}

#[test]
fn a_real_watch_on_a_value_brings_it() {
    let place = Place::new();
    let at = raw_path(&place);
    let mut command = place.consul.command(&["watch", "-type=key", &format!("-key={at}"), "-shell=false"]);
    command.arg(binary("kvx")).args(["raw", "-k", &at, "-f"]).arg(place.file());
    let log = place.path().join("watch.log");
    command.arg("--state-dir").arg(place.path().join("state")).stderr(File::create(&log).unwrap());
    let watch = Watch(command.spawn().unwrap(), log);
    assert!(watch.fired(1)[0].contains("the key does not exist"));
    for n in [20, 21] {
        place.consul.put(&at, lines(n));
        assert!(watch.fired(n - 18)[n - 19].contains("installed"));
        assert_eq!(place.content(), lines(n));
    }
}

#[test]
fn kvx_raw_is_the_same_in_other_words() {
    let place = Place::new();
    let at = raw_path(&place);
    let mut n = 20;
    for spelling in [
        vec!["-k".into(), at.clone()],
        vec![format!("-k{at}")],
        vec![format!("-vk={at}")],
        vec![format!("--key={at}")],
        vec!["--raw".into(), at.clone()],
    ] {
        n += 1;
        place.consul.put(&at, lines(n));
        place.kvx_file("raw").args(spelling).run().expect(0).says(&[&format!("{at}: {n} lines"), "installed"]);
        assert_eq!(place.content(), lines(n));
    }
    // What stands behind -- is the handler's.
    place.consul.put(&at, lines(99));
    let seen = place.path().join("seen");
    let handler = ["--", "sh", "-c", "echo \"$@\" > \"$0\"", seen.to_str().unwrap(), "-k", "--help", "--key=x"];
    place.kvx_file("raw").args(["-k", &at]).args(handler).run().expect(0).says(&["handler ran"]);
    assert_eq!(fs::read_to_string(&seen).unwrap(), "-k --help --key=x\n");
    place.kvx_file("raw").args(["-k", &at, "-e", "-k"]).run().expect(1);
    place.kvx_file("raw").args(["-k", "a", "--raw", "b"]).run().expect(64).says(&["-k or --raw, not both"]);
    place.kvx_file("raw").payload("null").run().expect(64).says(&["-k is missing"]);
    // And again, by what is recorded.
    place.kvx_file("raw").args(["-k", &at, "-e", "true"]).run().expect(0);
    place.consul.put(&at, lines(22));
    unlock(&place).arg("--run").run().expect(0);
    assert_eq!(place.content(), lines(22));
}
