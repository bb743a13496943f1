//! Metrics and events for dogstatsd, with the names and tags of kvexpress's dashboards. A dogstatsd that does not
//! listen does not affect the run.

use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::common::dogstatsd::{Daemon, Tags};
use crate::common::{Consul, Place, Ran, Run, SLACK, lines, lock_of, wait_for};

fn hostname() -> String {
    nix::unistd::gethostname().unwrap().into_string().unwrap()
}

fn tags(pairs: &[(&str, &str)]) -> Tags {
    pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

#[test]
fn what_becomes_of_an_upload_is_counted_as_kvexpress_counts() {
    let (place, daemon) = (Place::new(), Daemon::udp());
    let run = |document: String, more: &[&str]| place.kvx_in().arg(daemon.option()).args(more).stdin(document).run();
    let told = |document: String, more: &[&str], status: i32| {
        run(document, more).expect(status);
        daemon.received()
    };

    let uploaded = told(lines(20), &[], 0);
    assert_eq!(
        uploaded.short(),
        ["in:1|c complete", "bytes:51|g complete", "lines:20|g complete", "time:?|g complete"]
    );
    assert_eq!((uploaded.datagrams, uploaded.events.len()), (1, 0));
    let host = hostname();
    let expected = tags(&[("key", &place.key), ("host", &host), ("direction", "in"), ("location", "complete")]);
    for metric in uploaded.metrics {
        assert_eq!(metric.tags, expected, "{}", metric.name);
    }
    assert_eq!(told(lines(20), &[], 0).short(), ["time:?|g file_checksums_match"]);
    assert_eq!(told(lines(30), &["-n"], 0).datagrams, 0);
    let short = ["not_long_enough:1|c not_long_enough", "time:?|g not_long_enough"];
    assert_eq!(told(lines(3), &[], 65).short(), short);
    assert_eq!(told("".into(), &[], 65).short(), short);
    assert_eq!(told(lines(12), &["--max-shrink", "10"], 65).short(), ["panic:1|c refused"]);
    assert_eq!(told(lines(30), &["--", "false"], 74).short(), ["panic:1|c read_input"]);
    // Bytes are those in Consul.
    let compressed = told(lines(5000), &["-z"], 0);
    let stored = place.consul.get(&place.kv("data")).unwrap().len();
    assert!(stored < lines(5000).len());
    assert_eq!(compressed.short()[1..3], [format!("bytes:{stored}|g complete"), "lines:5000|g complete".into()]);
    place.consul.put(&place.kv("stop"), "bad DNS, anna");
    assert_eq!(told(lines(30), &[], 0).short(), ["time:?|g stop_key"]);
}

#[test]
fn what_becomes_of_a_download_is_counted_as_kvexpress_counts() {
    let (place, daemon) = (Place::new(), Daemon::udp());
    let told = |run: Run, status: i32| {
        run.arg(daemon.option()).run().expect(status);
        daemon.received()
    };
    let handler = place.handler();

    assert_eq!(told(place.kvx_out(), 66).short(), ["panic:1|c no_such_key"]);
    assert_eq!(told(place.kvx_out().payload("null\n"), 0).short(), ["time:?|g nothing"]);
    place.upload(lines(20));
    let installed = told(place.kvx_out().args(["-e", "false"]), 1);
    assert_eq!(installed.short(), ["out:1|c complete", "panic:1|c handler"]);
    let host = hostname();
    let expected = tags(&[("key", &place.key), ("host", &host), ("direction", "out"), ("location", "complete")]);
    assert_eq!(installed.metrics[0].tags, expected);
    assert_eq!(told(place.kvx_out().args(["-e", "false"]), 1).short(), ["panic:1|c handler"]);
    let raw = Run::new("kvx-out", &place.consul.address).args(["--raw", &place.kv("data"), "-e", "false", "-f"]);
    let raw = raw.arg(place.path().join("raw")).arg("--state-dir").arg(place.path().join("raw-state"));
    assert_eq!(told(raw, 1).short(), ["raw:1|c complete", "panic:1|c handler"]);
    assert_eq!(told(place.kvx_out().args(["-e", &handler]), 0).short(), ["time:?|g complete"]);
    assert_eq!(told(place.kvx_out().args(["-e", &handler]), 0).short(), ["time:?|g file_checksums_match"]);
    assert_eq!(told(place.kvx_out().args(["-c", "600"]), 0).short(), ["time:?|g complete"]);
    place.upload(lines(21));
    assert_eq!(told(place.kvx_out(), 0).short(), ["out:1|c complete", "time:?|g complete"]);
    assert_eq!(told(place.kvx_out().args(["-l", "30"]), 65).short()[0], "not_long_enough:1|c not_long_enough");
    let printed = Run::new("kvx-out", &place.consul.address).args(["-k", &place.key, "-f", "-"]);
    assert_eq!(told(printed, 0).short(), ["time:?|g complete"]);

    // kvexpress tells of a locked file by its path.
    place.consul.put(&lock_of(&place), "canary, carol");
    let locked = told(place.kvx_out(), 0);
    assert_eq!(locked.short(), ["locked:1|c complete", "time:?|g lock_key"]);
    assert!(locked.metrics.iter().all(|metric| metric.tags["key"] == place.file().to_str().unwrap()));
    place.consul.delete(&lock_of(&place));
    place.consul.put(&place.kv("stop"), "bad DNS, anna");
    assert_eq!(told(place.kvx_out(), 0).short(), ["time:?|g stop_key"]);
    place.consul.delete(&place.kv("stop"));
    place.consul.put(&place.kv("data"), "torn\n");
    let torn = told(place.kvx_out().args(["--timeout", "3s"]), 75);
    assert_eq!(torn.short(), ["checksum_mismatch:1|c checksum_mismatch", "time:?|g checksum_mismatch"]);
    let unwritable = Run::new("kvx-out", &place.consul.address).args(["-k", &place.key, "--state-dir", "/proc/none"]);
    let unwritable = unwritable.arg("-f").arg(place.file());
    assert_eq!(told(unwritable, 73).short(), ["panic:1|c write_file"]);
}

/// `kvx`, of the operator.
#[test]
fn what_an_operator_does_is_counted_and_an_event() {
    let (place, daemon) = (Place::new(), Daemon::udp());
    place.upload(lines(20));
    let told = |words: &[&str], status: i32| {
        let run = Run::new("kvx", &place.consul.address).args(words).arg(daemon.option());
        run.run().expect(status);
        daemon.received()
    };
    let (key, file, host) = (place.key.as_str(), place.file().to_str().unwrap().to_owned(), hostname());
    let told_of = |subject: &str, direction: &str, location: &str| {
        tags(&[("key", subject), ("host", &host), ("direction", direction), ("location", location)])
    };
    let state = place.path().join("state").to_str().unwrap().to_owned();

    let to = format!("{key}-copy");
    let copied = told(&["copy", "--from", key, "--to", &to, "--events"], 0);
    let counted = ["in:1|c complete", "bytes:51|g complete", "lines:20|g complete", "time:?|g complete"];
    assert_eq!(
        (copied.short(), &copied.metrics[0].tags),
        (counted.map(str::to_owned).into(), &told_of(&to, "copy", "complete"))
    );
    let event = &copied.events[0];
    let title = format!("Copy: {key} to {to}");
    assert_eq!(
        (event.title.as_str(), event.text.as_str(), event.alert.as_str()),
        (title.as_str(), title.as_str(), "info")
    );
    let mut expected = told_of(&to, "copy", "complete");
    expected.extend(tags(&[("kvexpress", "success"), ("keyFrom", key)]));
    assert!(event.tags == expected && event.group == to, "{event:?}");
    let again = told(&["copy", "--from", key, "--to", &to, "--events"], 0);
    assert_eq!((again.short(), again.events.len()), (vec!["time:?|g file_checksums_match".into()], 0));

    let stopped = told(&["stop", "-k", key, "-r", "bad DNS", "--events"], 0);
    assert_eq!(stopped.short(), ["time:?|g complete"]);
    assert_eq!(stopped.metrics[0].tags, told_of(key, "stop", "complete"));
    let event = &stopped.events[0];
    let stop = place.kv("stop");
    assert_eq!((event.title.as_str(), event.alert.as_str()), (format!("Set Stop Key: {stop}").as_str(), "warning"));
    let mut expected = told_of(&stop, "stop", "stop_key_save");
    expected.insert("kvexpress".into(), "stop_set".into());
    assert!(event.text.contains("bad DNS") && event.tags == expected && event.group == key, "{event:?}");
    assert_eq!(told(&["stop", "-k", "no-such-key", "-r", "x"], 66).short(), ["panic:1|c no_such_key"]);

    let locked = told(&["lock", "-f", &file, "-r", "canary", "--state-dir", &state, "--events"], 0);
    assert_eq!(locked.short(), ["lock:1|c complete"]);
    assert_eq!(locked.metrics[0].tags, told_of(&lock_of(&place), "lock", "complete"));
    let event = &locked.events[0];
    assert_eq!(event.title, format!("Locked: {file} on {host}"));
    assert!(event.text.contains("canary") && event.alert == "warning", "{event:?}");

    let unlocked = told(&["unlock", "-f", &file, "--state-dir", &state], 0);
    assert_eq!((unlocked.short(), unlocked.events.len()), (vec!["unlock:1|c complete".into()], 0));
    assert_eq!(unlocked.metrics[0].tags, told_of(&lock_of(&place), "unlock", "complete"));
    let down = told(&["unlock", "-f", &file, "-s", "127.0.0.1:1", "--timeout", "1s"], 69);
    assert_eq!(down.short().last().unwrap(), "consul_error:1|c delete");

    place.consul.put(&place.kv("any"), lines(12));
    let path = place.kv("any");
    let raw = Run::new("kvx", &place.consul.address).args(["raw", "-k", &path, "-f", &file, "--state-dir", &state]);
    raw.arg(daemon.option()).run().expect(0);
    let raw = daemon.received();
    assert_eq!(raw.short(), ["raw:1|c complete", "time:?|g complete"]);
    assert_eq!(raw.metrics[0].tags, told_of(&path, "raw", "complete"));
}

#[test]
fn a_consul_that_is_down_is_counted_by_how_often_it_was_asked() {
    let (place, daemon) = (Place::new(), Daemon::udp());
    let nobody = "127.0.0.1:1";
    let out = place.kvx_out().args(["-s", nobody, "--timeout", "1s"]).arg(daemon.option());
    let inn = place.kvx_in().args(["-s", nobody, "--timeout", "1s"]).arg(daemon.option()).stdin(lines(20));
    for (run, direction, location) in [(out, "out", "get"), (inn, "in", "set")] {
        run.run().expect(69).says(&["(tried "]);
        let received = daemon.received();
        let [panic, reconnect, error] = &received.metrics[..] else { panic!("{received:?}") };
        assert_eq!((panic.name.as_str(), panic.tags["location"].as_str()), ("kvexpress.panic", "no_more_retries"));
        assert!(reconnect.name == "kvexpress.consul_reconnect" && reconnect.value >= 1, "{reconnect:?}");
        assert_eq!(reconnect.tags, tags(&[("host", &hostname()), ("direction", direction)]));
        assert_eq!((error.name.as_str(), error.tags["location"].as_str()), ("kvexpress.consul_error", location));
    }
}

#[test]
fn events_are_of_uploads_short_documents_and_stops() {
    let (place, daemon) = (Place::new(), Daemon::udp());
    let key = place.key.as_str();
    let event = |document: String, status: i32| {
        place.kvx_in().arg(daemon.option()).arg("--events").stdin(document).run().expect(status);
        let mut received = daemon.received();
        assert!(received.events.len() < 2);
        received.events.pop()
    };
    let (data, stop, host) = (place.kv("data"), place.kv("stop"), hostname());
    let told = |subject: &str, location: &str, marker: &str| {
        tags(&[("key", subject), ("host", &host), ("direction", "in"), ("location", location), ("kvexpress", marker)])
    };

    place.upload(lines(20));
    let updated = event(lines(20).replace("\n7\n", "\nseven\n"), 0).unwrap();
    assert_eq!(updated.title, format!("Updated: {data}"));
    assert_eq!(updated.text, "@@ -4,7 +4,7 @@\n 4\n 5\n 6\n-7\n+seven\n 8\n 9\n 10\n");
    assert_eq!((updated.alert.as_str(), updated.group.as_str()), ("info", key));
    assert_eq!(updated.tags, told(&data, "complete", "success"));
    assert_eq!(event(lines(20).replace("\n7\n", "\nseven\n"), 0), None);

    let short = event("secret\n".into(), 65).unwrap();
    assert_eq!(short.title, format!("Not long enough: {key}. Stopping."));
    assert!(short.text.contains("has 1 line") && !short.text.contains("secret"), "{}", short.text);
    assert_eq!((short.alert.as_str(), short.tags), ("error", told(key, "not_long_enough", "length")));

    place.consul.put(&stop, "bad DNS, anna");
    let stopped = event(lines(30), 0).unwrap();
    assert_eq!(stopped.title, format!("Stop key is present: {stop}. Stopping."));
    assert_eq!((stopped.text.as_str(), stopped.alert.as_str()), (format!("bad DNS, anna ({stop})").as_str(), "error"));
    assert_eq!(stopped.tags, told(&stop, "stop_key_present", "stop"));
    place.consul.delete(&stop);

    // Large differences end where Datadog would cut them; what takes long to compare is not compared.
    let all: String = (0..20_000).map(|n| format!("ü{n}\n")).collect();
    let large = event(all, 0).unwrap();
    assert!((3000..=4000).contains(&large.text.chars().count()), "{}", large.text.len());
    place.assert_pair_is_whole();

    let refused = place.kvx_in().arg("--events").stdin(lines(20)).run().expect(64);
    refused.says(&["--events", "--dogstatsd"]);
}

#[test]
fn hostile_words_stay_where_they_are() {
    let (place, daemon) = (Place::new(), Daemon::udp());
    let key = format!("{}/a|b,c#d@e:f \"ü\" {}", place.key, "long".repeat(80));
    let run = Run::new("kvx-in", &place.consul.address).args(["-k", &key, "--events", &daemon.option()]);
    run.args(["--metrics-prefix", "site.conf_1"]).stdin(lines(20)).run().expect(0);
    let received = daemon.received();
    assert_eq!((received.metrics.len(), received.events.len()), (4, 1));
    assert_eq!(received.metrics[0].name, "site.conf_1.in");
    assert!(received.metrics[0].tags["key"].starts_with(&format!("{}/a_b_c_d_e:f \"ü\" long", place.key)));
    for wrong in ["", "1a", "a b", "a|b", "ü"] {
        place.kvx_in().args(["--metrics-prefix", wrong]).stdin("").run().expect(64).says(&["--metrics-prefix"]);
    }
}

#[test]
fn a_daemon_is_found_as_datadogs_own_clients_find_it() {
    let place = Place::new();
    let socket = place.path().join("dsd.socket");
    let (udp, unix) = (Daemon::udp(), Daemon::unix(&socket));
    let port = udp.address.rsplit_once(':').unwrap().1.to_owned();
    place.upload(lines(20));
    // Given alone, it never eats the next word.
    let run = || Run::new("kvx-in", &place.consul.address).args(["--dogstatsd", "-k", &place.key]).stdin(lines(20));
    let url = format!("udp://{}", udp.address);
    let path = socket.to_str().unwrap();
    let cases: [(Run, &Daemon); 9] = [
        (run().env("DD_DOGSTATSD_URL", &url), &udp),
        (run().env("DD_DOGSTATSD_URL", &unix.address), &unix),
        (run().env("DD_DOGSTATSD_URL", &unix.address).env("DD_AGENT_HOST", "no-such-host.invalid"), &unix),
        (run().env("DD_AGENT_HOST", "127.0.0.1").env("DD_DOGSTATSD_PORT", &port), &udp),
        (run().env("DD_DOGSTATSD_URL", "").env("DD_DOGSTATSD_PORT", &port), &udp),
        (place.kvx_in().arg(format!("--dogstatsd={path}")).stdin(lines(20)), &unix),
        (place.kvx_in().arg(format!("--dogstatsd=localhost:{port}")).stdin(lines(20)), &udp),
        (place.kvx_in().arg(format!("--dogstatsd={url}")).env("DD_DOGSTATSD_URL", "wrong").stdin(lines(20)), &udp),
        (place.kvx_in().arg(unix.option()).stdin(lines(20)), &unix),
    ];
    for (number, (run, daemon)) in cases.into_iter().enumerate() {
        run.run().expect(0).is_silent();
        assert_eq!(daemon.received().short(), ["time:?|g file_checksums_match"], "case {number}");
    }
    assert_eq!((udp.received().datagrams, unix.received().datagrams), (0, 0));
    for wrong in ["http://x", "host:port", "unix://relative"] {
        let ran = place.kvx_in().arg(format!("--dogstatsd={wrong}")).stdin(lines(20)).run().expect(64);
        ran.says(&["--dogstatsd", "host:port"]);
    }
}

/// Runs that install, each with another `--dogstatsd`: same status, same words, same file.
#[test]
fn a_daemon_that_is_not_there_or_does_not_listen_costs_nothing() {
    let place = Place::new();
    let nobody = format!("{}:1", Consul::free_ip()); // An address of this test alone.
    let full = place.path().join("full.socket");
    let _reader = UnixDatagram::bind(&full).unwrap();
    // Until a new sender gets nothing in: the first may have come to its own limit, where the reader's (max_dgram_qlen)
    // is systemd's 512 and not the kernel's 10.
    let fills = || {
        let filler = UnixDatagram::unbound().unwrap();
        filler.set_nonblocking(true).unwrap();
        std::iter::repeat_with(|| filler.send_to(&[b'x'; 1000], &full)).take_while(Result::is_ok).count() > 0
    };
    while fills() {}
    let closed = place.path().join("closed.socket");
    drop(UnixDatagram::bind(&closed).unwrap());
    let cases = [
        (nobody.clone(), None), // Nobody hears the refusal.
        ("no-such-host.invalid:8125".into(), Some("no-such-host.invalid")),
        (full.display().to_string(), Some("temporarily unavailable")),
        (closed.display().to_string(), Some("refused")),
        (place.path().join("missing.socket").display().to_string(), Some("No such file")),
        ("/".into(), Some("refused")),
        ("255.255.255.255".into(), Some("ermission denied")),
    ];
    for (number, (address, complaint)) in cases.iter().enumerate() {
        let document = lines(20 + number);
        place.upload(&document);
        let started = Instant::now();
        let run = || place.kvx_out().arg(format!("--dogstatsd={address}")).args(["-e", "echo reloaded"]);
        let mut child = run().spawn();
        wait_for("the run", 20, || child.try_wait().unwrap());
        let ran = Ran::from(child.wait_with_output().unwrap()).expect(0);
        assert!(started.elapsed() < SLACK, "{address}: {:?}", started.elapsed());
        let said: Vec<&str> = ran.stderr.lines().collect();
        assert!(
            said.len() == 2 && said[0] == "handler: reloaded" && said[1].contains("installed"),
            "{address}: {said:?}"
        );
        assert_eq!(place.content(), document);
        let verbose = run().arg("-v").run().expect(0);
        let complained = verbose.stderr.lines().find(|line| line.contains("metrics not sent to dogstatsd"));
        match complaint {
            None => assert_eq!(complained, None),
            Some(why) => assert!(complained.is_some_and(|line| line.contains(why)), "{address}: {}", verbose.stderr),
        }
    }
}

#[test]
fn a_resolver_that_never_answers_is_left_alone() {
    let place = Place::new();
    place.upload(lines(20));
    let ip = Consul::free_ip();
    let Ok(silent) = UdpSocket::bind((ip.as_str(), 53)) else {
        return; // Only root may be a name server.
    };
    let resolv = place.write("resolv.conf", format!("nameserver {ip}\noptions timeout:30 attempts:5\n"));
    let nsswitch = place.write("nsswitch.conf", "hosts: dns\n");
    let run = place.kvx_out().args(["--dogstatsd=dogstatsd.example:8125", "-s", &place.consul.address]);
    let mounts = "mount --bind $0 /etc/resolv.conf; mount --bind $1 /etc/nsswitch.conf; shift; exec \"$@\"";
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "sh", "-ec", mounts]).arg(&resolv).arg(&nsswitch);
    unshare.arg(run.command.get_program()).args(run.command.get_args());
    let started = Instant::now();
    Ran::from(unshare.output().unwrap()).expect(0).says(&[&place.key, "installed"]);
    assert!(started.elapsed() < SLACK, "{:?}", started.elapsed());
    silent.set_nonblocking(true).unwrap();
    assert!(silent.recv(&mut [0; 512]).is_ok(), "it was asked");
}

/// The files for node_exporter, by their names.
pub fn textfiles(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// The value of a series in the only file there is.
pub fn value(directory: &Path, series: &str) -> Option<String> {
    let [file] = &textfiles(directory)[..] else { panic!("not one file in {}", directory.display()) };
    let text = std::fs::read_to_string(file).unwrap();
    let line = text.lines().find(|line| line.starts_with(&format!("{series}{{")))?;
    Some(line.rsplit_once(' ').unwrap().1.to_owned())
}
