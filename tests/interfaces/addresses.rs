//! Which Consul a run uses: addresses, namespaces and datacenters, and the messages for invalid and nonexistent ones.

use super::acl::large;
use crate::common::gate::{Act, Gate, http};
use crate::common::{Place, Run, lines};

#[test]
fn an_address_may_have_a_scheme_a_path_and_a_slash_at_its_end() {
    let place = Place::new();
    // Behind a proxy that has Consul under a path of its own.
    let gate = Gate::to(&place.consul.address, |it| match it.target.strip_prefix("/consul/here") {
        Some(rest) if rest.starts_with("/v1/") => Act::PassAs(rest.to_owned()),
        _ => Act::Say(http("404 Not Found", "404 page not found")),
    });
    let address = &gate.address;
    for (n, address) in [
        format!("{address}/consul/here"),
        format!("{address}/consul/here/"),
        format!("http://{address}/consul/here"),
        format!("http://{address}/consul/here/"),
    ]
    .iter()
    .enumerate()
    {
        // By the variable, and by the flag.
        Run::new("kvx-in", address).args(["-k", &place.key]).stdin(lines(20 + n)).run().expect(0);
        let run = Run::new("kvx-out", "127.0.0.1:1").args(["-s", address, "-k", &place.key, "-f", "-"]);
        assert_eq!(run.run().expect(0).out(), lines(20 + n), "{address}");
    }
    gate.requests();
    for address in [format!("http://{}", place.consul.address), format!("http://{}/", place.consul.address)] {
        Run::new("kvx-in", &address).args(["-k", &place.key]).stdin(lines(20)).run().expect(0);
    }
    // The wrong path is told from a missing key.
    let run = Run::new("kvx-out", address).args(["-k", &place.key, "-f", "-"]);
    run.run().expect(69).says(&["kvx-out: ", &place.key, "Consul at", address, "HTTP 404", "the path in its address"]);
}

#[test]
fn what_cannot_be_understood_is_said_before_anybody_is_asked() {
    let place = Place::new();
    place.upload(lines(20));
    let before = place.consul.modify_index(&place.kv("data"));
    let gate = Gate::open(&place.consul.address);
    let at = gate.address.as_str();
    let addr = |address: &str| vec![("CONSUL_HTTP_ADDR".to_owned(), address.to_owned())];
    let with = |name: &str, value: &str| vec![("CONSUL_HTTP_ADDR".into(), at.to_owned()), (name.into(), value.into())];
    for (variables, says) in [
        (addr(&format!("ftp://{at}")), vec!["CONSUL_HTTP_ADDR", "ftp://", "scheme"]),
        (addr("unix://socket"), vec!["CONSUL_HTTP_ADDR", "unix://socket", "unix:///PATH"]),
        (addr("http://"), vec!["CONSUL_HTTP_ADDR", "HOST:PORT"]),
        (addr("http:///v1"), vec!["CONSUL_HTTP_ADDR", "HOST:PORT"]),
        (addr("not an address"), vec!["CONSUL_HTTP_ADDR", "not an address", "HOST:PORT"]),
        (addr("127.0.0.1:99999"), vec!["CONSUL_HTTP_ADDR", "127.0.0.1:99999", "HOST:PORT"]),
        (addr(&format!("{at}/?a=b")), vec!["CONSUL_HTTP_ADDR", "HOST:PORT"]),
        (with("CONSUL_HTTP_SSL", "yes"), vec!["CONSUL_HTTP_SSL", "\"yes\"", "true or false"]),
        (with("CONSUL_HTTP_SSL", "tRuE"), vec!["CONSUL_HTTP_SSL", "\"tRuE\"", "true or false"]),
        (with("CONSUL_HTTP_SSL_VERIFY", "no"), vec!["CONSUL_HTTP_SSL_VERIFY", "\"no\"", "true or false"]),
    ] {
        let environment = |run: Run| variables.iter().fold(run, |run, (name, value)| run.env(name, value));
        let says: Vec<&str> = [place.key.as_str()].into_iter().chain(says).collect();
        let limit = ["--timeout", "1s"];
        environment(place.kvx_in().args(limit).stdin(lines(30))).run().expect(78).says(&says);
        environment(place.kvx_out().args(limit).args(["-e", &place.handler()])).run().expect(78).says(&says);
    }
    assert_eq!(gate.connections(), 0);
    assert_eq!(place.consul.modify_index(&place.kv("data")), before);
    assert!(place.names().is_empty() && place.runs().is_empty());
    // What means nothing here does no harm: Consul Template sets these two for its commands, always.
    for value in ["0", "f", "F", "false", "FALSE", "False", ""] {
        let run = place.kvx_in().env("CONSUL_HTTP_SSL", value).env("CONSUL_HTTP_SSL_VERIFY", "true");
        run.stdin(lines(20)).run().expect(0).is_silent();
    }
}

#[test]
fn a_namespace_that_consul_does_not_know_is_never_taken_for_the_default_one() {
    let place = Place::new();
    place.upload(lines(20));
    let before = place.consul.modify_index(&place.kv("data"));
    // The Community Edition has neither: 400 for both; 1.8.7 has never heard of partitions, and ignores them.
    for (name, parameter) in [("CONSUL_NAMESPACE", "\"ns\""), ("CONSUL_PARTITION", "\"partition\"")] {
        if name == "CONSUL_PARTITION" && !place.consul.has_get_or_empty() {
            continue;
        }
        for document in [lines(30), large()] {
            let ran = place.kvx_in().env(name, "team").stdin(document).run();
            assert_eq!(place.consul.modify_index(&place.kv("data")), before, "{name}: {}", ran.stderr);
            let says = ["kvx-in: ", &place.key, "Invalid query parameter", parameter, "Enterprise", name];
            ran.expect(78).says(&says);
        }
        let ran = place.kvx_out().args(["-e", &place.handler()]).env(name, "team").run().expect(78);
        ran.says(&["kvx-out: ", &place.key, "Invalid query parameter", parameter, "Enterprise", name]);
        assert!(place.names().is_empty() && place.runs().is_empty(), "{name}");
    }
}

#[test]
fn a_datacenter_that_is_not_there_is_not_waited_for() {
    let place = Place::new();
    place.upload(lines(20));
    let before = place.consul.modify_index(&place.kv("data"));
    let says = ["Consul at", "No path to datacenter", "--dc"];
    let gate = Gate::open(&place.consul.address);
    let at = ["-s", gate.address.as_str(), "--dc", "nowhere"];
    for document in [lines(30), large()] {
        place
            .kvx_in()
            .args(at)
            .stdin(document)
            .run()
            .expect(69)
            .says(&["kvx-in: ", &place.key, says[0], says[1], says[2]]);
    }
    place.kvx_out().args(at).run().expect(69).says(&["kvx-out: ", &place.key, says[0], says[1], says[2]]);
    // Though it is a 500, it is not tried again.
    assert_eq!(gate.lines(), ["PUT /v1/txn?dc=nowhere"; 3]);
    assert_eq!(place.consul.modify_index(&place.kv("data")), before);
    assert!(place.names().is_empty());
    // The agent's own is fine.
    place.kvx_in().args(["--dc", "dc1"]).stdin(lines(30)).run().expect(0);
    place.kvx_out().args(["--dc", "dc1"]).run().expect(0);
    assert_eq!(place.content(), lines(30));
}
