//! `--wait`: for start-up scripts that run before the first upload, or before Consul is up.

use std::io::{BufRead, BufReader, Read};
use std::process::Child;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::common::gate::{Act, Gate};
use crate::common::{Consul, Place, Run, SLACK, lines};
use serde_json::json;

/// A run that waits, and has said so.
fn waiting(run: Run, says: &str) -> (Child, BufReader<std::process::ChildStderr>) {
    let mut child = run.args(["--wait", "60s", "-v"]).spawn();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    assert!(line.contains(says), "{line}");
    (child, stderr)
}

fn ends_well((mut child, mut stderr): (Child, BufReader<std::process::ChildStderr>)) -> String {
    let mut said = String::new();
    stderr.read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success(), "{said}");
    said
}

#[test]
fn a_key_that_is_not_there_yet_is_waited_for() {
    let place = Place::new();
    let run = place.kvx_out().args(["-e", &place.handler()]);
    let child = waiting(run, "checksum is not in Consul yet; waiting 1m");
    // Half a pair, as an old kvexpress writes it first, is not there yet.
    place.consul.put(&place.kv("data"), lines(20));
    assert!(place.names().is_empty());
    place.upload(lines(20));
    let said = ends_well(child);
    assert!(said.contains("20 lines") && said.contains("installed"), "{said}");
    assert_eq!((place.content(), place.runs().len()), (lines(20), 1));
}

#[test]
fn stdout_waits_too() {
    let place = Place::new();
    let run = Run::new("kvx-out", &place.consul.address).args(["-k", &place.key, "-f", "-"]);
    let (mut child, stderr) = waiting(run, "is not in Consul yet");
    place.upload(lines(20));
    let mut out = String::new();
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    assert_eq!(out, lines(20));
    ends_well((child, stderr));
}

#[test]
fn a_key_that_never_comes_is_66_after_that_time_and_not_before() {
    let place = Place::new();
    let gate = Gate::open(&place.consul.address);
    let started = Instant::now();
    let run = place.kvx_out().args(["-s", &gate.address, "--wait", "1s", "-e", &place.handler()]);
    run.run().expect(66).says(&[
        &place.key,
        "there was no ",
        &place.kv("checksum"),
        "within 1s (--wait)",
        "kvx-in",
        "-k",
    ]);
    let took = started.elapsed();
    assert!((Duration::from_millis(800)..SLACK).contains(&took), "{took:?}");
    // It waited in Consul, and did not ask again and again.
    assert!(gate.connections() <= 4, "{} connections", gate.connections());
    assert!(place.names().is_empty() && place.runs().is_empty());
}

#[test]
fn a_key_that_is_there_costs_one_request_more() {
    let place = Place::new();
    place.upload(lines(20));
    let gate = Gate::open(&place.consul.address);
    let run = || place.kvx_out().args(["-s", &gate.address, "--wait", "60s"]);
    run().run().expect(0).says(&["installed"]);
    let requests = gate.lines();
    assert!(requests[0].starts_with(&format!("GET /v1/kv/{}?raw&index=0", place.kv("checksum"))), "{requests:?}");
    assert!(requests[1..].iter().all(|request| request == "PUT /v1/txn"), "{requests:?}");
    // By a payload nothing is waited for: it comes when something is there.
    run().payload("null").run().expect(0).says(&["the key does not exist"]);
    run().payload(place.payload("checksum")).run().expect(0).is_silent();
    assert!(gate.requests().is_empty());
}

#[test]
fn consul_itself_is_waited_for() {
    let place = Place::at(Arc::new(Consul::server("")));
    place.consul.down();
    let child = waiting(place.kvx_out().args(["--timeout", "20s"]), "trying again");
    place.consul.up();
    place.upload(lines(20));
    assert!(ends_well(child).contains("installed"));
    place.consul.down();
    let started = Instant::now();
    place.kvx_out().args(["--wait", "300ms"]).run().expect(69).says(&["Connection refused", "-s"]);
    assert!(started.elapsed() < SLACK);
}

#[test]
fn what_is_denied_is_not_waited_for() {
    let config = json!({"acl": {"enabled": true, "default_policy": "deny"}, "primary_datacenter": "dc1"});
    let place = Place::at(Arc::new(Consul::dev(&config.to_string())));
    let started = Instant::now();
    place.kvx_out().args(["--wait", "60s"]).run().expect(77).says(&[&place.key, "denies", "CONSUL_HTTP_TOKEN"]);
    assert!(started.elapsed() < SLACK);
}

#[test]
fn behind_a_proxy_that_removes_the_index_it_polls_ever_more_rarely_and_says_so_once() {
    let place = Place::new();
    let gate =
        Gate::to(&place.consul.address, |_| Act::Say(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec()));
    let ran = place.kvx_out().args(["-s", &gate.address, "--wait", "3s", "-v"]).run().expect(66);
    assert!(gate.connections() < 25, "{} requests in 3 s", gate.connections());
    assert_eq!(ran.stderr.matches("is not in Consul yet").count(), 1, "{}", ran.stderr);
}
