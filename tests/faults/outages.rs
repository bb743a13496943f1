//! Promises 5 and 6 when a real Consul, network or resolver refuses or never answers. (Faults that these cannot produce
//! on request are in answers.rs, those of a cluster in cluster.rs.)

use std::io::Write;
use std::net::{TcpStream, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::common::{Consul, Place, Ran, SLACK, lines};
use serde_json::json;

#[test]
fn an_agent_that_has_too_many_connections_is_asked_again_until_it_has_fewer() {
    let config = json!({"limits": {"http_max_conns_per_client": 3}});
    let place = Place::at(Arc::new(Consul::dev(&config.to_string())));
    place.upload(lines(20));
    // All that are allowed, held open: each has asked something, so that the agent knows of it.
    let held: Vec<TcpStream> = (0..3)
        .map(|_| {
            let mut held = TcpStream::connect(&place.consul.address).unwrap();
            held.write_all(b"GET /v1/status/leader HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            std::io::Read::read(&mut held, &mut [0; 1024]).unwrap();
            held
        })
        .collect();
    let started = Instant::now();
    let refused = place.kvx_out().args(["--timeout", "1s", "-e", &place.handler()]).run().expect(69);
    refused.says(&[&place.key, "Consul at http://", "is the agent up?"]);
    assert!(started.elapsed() < Duration::from_secs(1) + SLACK);
    assert!(place.names().is_empty() && place.runs().is_empty());
    let mut patient = place.kvx_out().args(["--timeout", "30s", "-v"]).spawn();
    let mut said = std::io::BufReader::new(patient.stderr.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut said, &mut line).unwrap();
    assert!(line.contains("trying again"), "{line}");
    drop(held);
    assert!(patient.wait().unwrap().success());
    assert_eq!(place.content(), lines(20));
}

/// Consul limits rates from 1.16 on.
#[test]
fn a_rate_limit_is_waited_out() {
    let place = Place::new();
    if !place.consul.has_get_or_empty() {
        return;
    }
    let config = json!({"limits": {"request_limits": {"mode": "enforcing", "read_rate": 4, "write_rate": 2}}});
    let place = Place::at(Arc::new(Consul::dev(&config.to_string())));
    for n in 20..26 {
        // Each is a read and a write, and some more than that in a second.
        place.kvx_in().args(["--timeout", "30s"]).stdin(lines(n)).run().expect(0).says(&["uploaded"]);
    }
    assert_eq!(place.consul.text(&place.kv("data")), Some(lines(25)));
}

#[test]
fn a_resolver_that_never_answers_is_not_waited_for_for_ever() {
    let place = Place::new();
    let ip = Consul::free_ip();
    let Ok(silent) = UdpSocket::bind((ip.as_str(), 53)) else {
        return; // Only root may be a name server.
    };
    let resolv = place.write("resolv.conf", format!("nameserver {ip}\noptions timeout:30 attempts:5\n"));
    let nsswitch = place.write("nsswitch.conf", "hosts: dns\n");
    let run = place.kvx_out().args(["-s", "consul.example:8500", "--timeout", "1s", "-e", &place.handler()]);
    let mut unshare = Command::new("unshare");
    let mounts = "mount --bind $0 /etc/resolv.conf; mount --bind $1 /etc/nsswitch.conf; shift; exec \"$@\"";
    unshare.args(["--mount", "sh", "-ec", mounts]).arg(&resolv).arg(&nsswitch);
    unshare.arg(run.command.get_program()).args(run.command.get_args());
    let started = Instant::now();
    let ran = Ran::from(unshare.output().unwrap()).expect(69);
    ran.says(&[&place.key, "Consul at http://consul.example:8500", "no answer in time"]);
    assert!(started.elapsed() < Duration::from_secs(1) + SLACK, "{:?}", started.elapsed());
    assert!(place.names().is_empty() && place.runs().is_empty());
    silent.set_nonblocking(true).unwrap();
    assert!(silent.recv(&mut [0; 512]).is_ok(), "it was asked");
}
