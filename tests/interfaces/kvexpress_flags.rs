//! Called kvexpress, kvx accepts kvexpress's flags and its config file, and reports the flags that do nothing.

use std::net::UdpSocket;
use std::process::Command;
use std::time::Duration;

use super::kvexpress::{bare, document, kvexpress, link, out, upload};
use crate::common::{NO_AGENT, Place, Ran, Run};

#[test]
fn a_config_file_beats_the_flags_and_must_make_sense() {
    let place = Place::new();
    place.upload(document());
    let file = place.write("good.yml", format!("---\n  consul_server: {}\n  token:\n", place.consul.address));
    let words = || bare(&place).args(["out", "-s", NO_AGENT, "-k", &place.key]).arg("-f").arg(place.file()).arg("-C");
    words().arg(file).run().expect(0).says(&["installed"]);
    std::fs::remove_file(place.file()).unwrap();
    let broken = place.write("bad.yml", "token: [s3cr3t");
    let ran = words().arg(broken).run().expect(78).says(&["-C", "bad.yml", "YAML"]);
    assert!(!ran.stderr.contains("s3cr3t"), "{}", ran.stderr);
    words().arg(place.path().join("none.yml")).run().expect(78).says(&["-C", "none.yml"]);
    assert_eq!(place.names(), [""; 0]);
}

/// kvexpress respected neither, without a word. (With this payload, nobody is asked.)
#[test]
fn an_ignored_flag_is_warned_of() {
    let place = Place::new();
    let nothing = |run: Run| run.args(["out", "-k", &place.key]).arg("-f").arg(place.file()).payload("null\n");
    let warned = nothing(bare(&place)).run().expect(0);
    let lines: Vec<&str> = warned.stderr.lines().collect();
    let [warning, told] = lines[..] else { panic!("two lines, not:\n{}", warned.stderr) };
    assert!(warning.contains("CONSUL_HTTP_ADDR is ignored") && warning.contains("localhost:8500"), "{warning}");
    assert!(told.contains("the key does not exist"), "{told}");
    for address in ["localhost:8500", "http://127.0.0.1:8500", ""] {
        let same = nothing(bare(&place).env("CONSUL_HTTP_ADDR", address));
        same.run().expect(0).says(&["the key does not exist"]);
    }
    nothing(bare(&place)).args(["-s", NO_AGENT]).run().expect(0).says(&["the key does not exist"]);

    let file = place.write("odd.yml", "server: elsewhere:1\ndatadog_host: x\nlength: 3\n");
    let odd = nothing(bare(&place)).args(["-s", NO_AGENT, "-C"]).arg(file).run().expect(0);
    let first = odd.stderr.lines().next().unwrap();
    assert!(first.contains("-C: unknown names are ignored: server, length; give them as flags"), "{first}");
    assert_eq!(odd.stderr.lines().count(), 2, "{}", odd.stderr);
    assert_eq!(place.names(), [""; 0]);
}

#[test]
fn more_is_logged_with_verbose_or_in_debug() {
    let place = Place::new();
    place.upload(document());
    out(&place).run().expect(0);
    out(&place).run().expect(0).is_silent();
    out(&place).env("KVEXPRESS_DEBUG", "").run().expect(0).is_silent();
    out(&place).env("KVEXPRESS_DEBUG", "1").run().expect(0).says(&["unchanged"]);
    // As kvexpress's own: on stdout, all of them, and nowhere else.
    for run in [out(&place).arg("--verbose"), out(&place).arg("--verbose").env("KVEXPRESS_DEBUG", "1")] {
        assert!(run.run().expect(0).is_silent().out().contains("unchanged"));
    }
    let short = out(&place).args(["--verbose", "-l", "13"]).arg("-f").arg(place.path().join("out/other")).run();
    let short = short.expect(65).is_silent();
    assert!(short.out().contains("kvexpress: ") && short.out().contains("12 lines"), "{}", short.out());
}

/// What scripts do, and kvexpress's own acceptance tests: `kvexpress out ... --verbose | grep REASON`.
#[test]
fn with_verbose_its_lines_go_through_a_pipe_and_a_reader_that_leaves_early_does_no_harm() {
    let place = Place::new();
    place.upload(document());
    kvexpress(&place, "stop").args(["-k", &place.key, "-r", "the disk is on fire"]).run().expect(0);
    let piped = |more: &str, then: &str| {
        let line = format!(
            "{{ {} out -s {} -k {} -f {} {more}; echo $? >&2; }} | {then}",
            link(&place).display(),
            place.consul.address,
            place.key,
            place.file().display()
        );
        let mut shell = Command::new("sh");
        shell.args(["-c", &line]).env("STATE_DIRECTORY", place.path().join("state")).env_remove("CONSUL_HTTP_ADDR");
        Ran::from(shell.output().unwrap())
    };
    let stopped = piped("--verbose", "grep -c 'the disk is on fire'").expect(0);
    assert_eq!((stopped.out(), stopped.stderr.as_str()), ("1\n", "0\n"));
    assert_eq!(place.names(), [""; 0]);
    // Without it, they are on stderr.
    assert!(piped("", "grep 'the disk is on fire'").expect(1).stderr.contains("the disk is on fire"));
    // A reader that has gone is no reason not to install.
    assert_eq!(piped("--ignore_stop --verbose", "exec true").expect(0).stderr, "0\n");
    assert_eq!(place.content(), document());
}

#[test]
fn metrics_go_where_the_flag_says() {
    let place = Place::new();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let address = socket.local_addr().unwrap().to_string();
    upload(&place, &document()).args(["-d", "true", "-D", &address]).run().expect(0);
    let mut datagram = [0; 4096];
    let length = socket.recv(&mut datagram).unwrap();
    let text = String::from_utf8_lossy(&datagram[..length]).into_owned();
    assert!(text.contains("kvexpress.in:1|c") && text.contains(&format!("key:{}", place.key)), "{text}");
}

#[test]
fn words_that_belong_to_no_flag_are_warned_of() {
    let place = Place::new();
    place.upload(document());
    let ran = out(&place).args(["-d=false", "true", "-z", "false", "-HUP"]).run().expect(64);
    assert!(!ran.stderr.contains("ignored"), "{}", ran.stderr);
    let ran = out(&place).args(["-z", "false", "dnsmasq", "true"]).run().expect(0);
    assert!(ran.stderr.starts_with("ignored 2 words"), "{}", ran.stderr);
    assert!(!out(&place).args(["-z", "true"]).run().expect(0).stderr.contains("ignored"));
}
