//! Untrusted servers and data: no answer, listener or stored value misdirects a request, reveals a secret, or uses more
//! time or memory than the limits allow.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::common::dogstatsd::Daemon;
use crate::common::gate::{Act, Gate, http};
use crate::common::run::copy_of;
use crate::common::users::can;
use crate::common::{self, Place, Ran, Run, lines, sha256};
use kvx::document::encoding;
use kvx::util::text;

/// What clears a line and writes another, in all the ways that a terminal may obey or a reader be led astray by.
pub const FORGED: &str = "a\x1b[2K\rall is well\u{9b}1A\x07\x7f\u{202e}x\u{2028}y";

#[track_caller]
pub fn assert_safe(shown: &str) {
    let unsafe_one = shown.chars().find(|c| text::is_unsafe(*c) && !matches!(c, '\n' | '\t'));
    assert_eq!(unsafe_one, None, "{}", shown.escape_debug());
}

// Who is asked.

/// Where `localhost` is `::1` first.
fn with_own_hosts(place: &Place) -> Option<Run> {
    let hosts = place.write("hosts", "::1 localhost\n127.0.0.1 localhost\n");
    let script = format!("mount --bind {} /etc/hosts && exec \"$@\"", hosts.display());
    if !Command::new("unshare").args(["-m", "true"]).status().is_ok_and(|status| status.success()) {
        common::skipped("no mount namespaces");
        return None;
    }
    Some(Run::new("/usr/bin/unshare", "").args(["-m", "sh", "-c", &script, "sh"]))
}

#[test]
fn localhost_is_not_the_other_loopback_address() {
    let place = Place::new();
    let Ok(listener) = TcpListener::bind("[::1]:0") else {
        common::skipped("no IPv6 here");
        return;
    };
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let gate = Gate::at(&format!("127.0.0.1:{port}"), &place.consul.address, |_| Act::Pass);
    let token = "5ec7e75e-c7e7-5ec7-e75e-c7e75ec7aaaa";
    place.upload(lines(20));
    for host in ["localhost", "LOCALHOST", "localhost."] {
        let Some(run) = with_own_hosts(&place) else { return };
        let out = run.arg(common::run::binary("kvx-out")).args(["-k", &place.key, "-f", "-", "-t", token]);
        let ran = out.args(["-s", &format!("{host}:{port}"), "--timeout", "5s"]).run();
        assert_eq!(ran.status.code(), Some(0), "{}", ran.stderr);
        assert!(gate.requests().iter().any(|request| request.header("X-Consul-Token") == Some(token)));
    }
    let link = place.path().join("kvexpress");
    symlink(common::run::binary("kvx"), &link).unwrap();
    let run = with_own_hosts(&place).unwrap().arg(&link).args(["out", "-k", &place.key, "-f"]).arg(place.file());
    run.args(["-t", token, "-s", &format!("localhost:{port}")]).run().expect(0);
    // A URL, too.
    let run = with_own_hosts(&place).unwrap().arg(common::run::binary("kvx-in")).args(["-k", &place.key, "-l", "0"]);
    let url = format!("http://localhost:{port}/v1/kv/{}?raw", place.kv("data"));
    run.args(["-u", &url, "-s", &place.consul.address]).run().expect(0);
    assert!(gate.requests().len() >= 2);
    assert!(listener.accept().is_err(), "whoever listens on [::1] is not even connected to");
}

/// An address of this machine that is neither loopback nor of its link.
fn elsewhere() -> Option<Ipv4Addr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.254:9").ok()?; // Nothing is sent.
    match socket.local_addr().ok()?.ip() {
        std::net::IpAddr::V4(ip) if !ip.is_loopback() && !ip.is_link_local() => Some(ip),
        _ => None,
    }
}

fn redirect(to: String) -> Act {
    Act::Say(format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").into())
}

#[test]
fn a_server_elsewhere_does_not_lead_back_to_this_machine() {
    let Some(ip) = elsewhere() else {
        common::skipped("no address but loopback");
        return;
    };
    let place = Place::new();
    let near = Gate::to("", |_| Act::Say(http("200 OK", lines(20))));
    let port = near.address.rsplit_once(':').unwrap().1.to_owned();
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let far = Gate::at(&format!("{ip}:0"), "", move |request| {
        counted.fetch_add(1, Ordering::SeqCst);
        match request.target.split_once("?to=") {
            Some((_, to)) => redirect(to.to_owned()),
            None => Act::Say(http("200 OK", lines(20))),
        }
    });
    let up = |url: &str| place.kvx_in().args(["-u", url, "--timeout", "5s"]).run();
    for to in [
        format!("http://127.0.0.1:{port}/v1/kv/x?raw"),
        format!("http://localhost:{port}/"),
        format!("http://127.9.9.9:{port}/"),
        format!("http://0.0.0.0:{port}/"),
        format!("http://2130706433:{port}/"),
        format!("http://[::1]:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        format!("http://[::ffff:7f00:1]:{port}/"),
        "http://169.254.169.254/latest/meta-data/".into(),
        "http://[fe80::1]/".into(),
    ] {
        let ran = up(&format!("http://{}/?to={to}", far.address)).expect(74);
        ran.says(&[
            &place.key,
            &far.address,
            "redirected to http://",
            "redirects to ",
            "an address of this machine",
            "give the final URL",
        ]);
        assert_eq!((near.connections(), place.document()), (0, None), "{to}");
        // Nor by a server here that leads there.
        let by_far = format!("http://{}/?to={to}", far.address);
        let start = Gate::to("", move |_| redirect(by_far.clone()));
        up(&format!("http://{}/", start.address)).expect(74).says(&["redirects to "]);
        assert_eq!((near.connections(), place.document()), (0, None), "{to}");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 20);
    // Elsewhere, and from here to there.
    up(&format!("http://{0}/?to=http://{0}/", far.address)).expect(0);
    let there = format!("http://{}/", far.address);
    let start = Gate::to("", move |_| redirect(there.clone()));
    place.kvx_in().args(["-u", &format!("http://{}/", start.address)]).run().expect(0).is_silent();
    assert_eq!(near.connections(), 0);
}

#[test]
fn where_no_thread_can_be_started_there_is_a_line_and_no_panic() {
    if !can("what only root can set up") {
        return;
    }
    let place = Place::new();
    std::fs::set_permissions(place.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let limited = |program: &str| {
        let ours = place.path().join(program);
        if !ours.exists() {
            copy_of(program, &ours);
        }
        let run = Run::new("/usr/bin/setpriv", "consul.invalid:8500");
        let run = run.args(["--reuid", "4243", "--regid", "4243", "--clear-groups", "prlimit", "--nproc=1:1"]);
        run.arg(&ours).args(["-k", &place.key, "--timeout", "300ms"])
    };
    let says = ["consul.invalid", "cannot be looked up", "no thread can be started", "ulimit -u"];
    let ran = limited("kvx-out").args(["-f", "-"]).run().expect(69).says(&says);
    assert!(!ran.stderr.contains("is the agent up"), "{}", ran.stderr);
    let url = limited("kvx-in").args(["-u", "http://consul.invalid/"]).run().expect(74);
    url.says(&says);
    // Metrics are lost, and nothing else; a difference is made in another way.
    place.upload(lines(20));
    let run = limited("kvx-in").args(["-v", "-s", &place.consul.address, "--dogstatsd=dsd.invalid:1", "--events"]);
    let ran = run.stdin(lines(21)).run().expect(0);
    assert!(ran.stderr.contains("metrics not sent to dogstatsd") && ran.stderr.contains("no thread"), "{}", ran.stderr);
    assert_eq!(place.document().unwrap(), lines(21).as_bytes());
}

// What a server may say.

const SECRET: &str = "5ec7e75e-c7e7-5ec7-e75e-c7e75ec7aaaa";

const LOGIN: &str = "bob:open-sesame-42";

#[test]
fn a_secret_is_not_shown_in_whatever_letters_it_is_repeated() {
    let place = Place::new();
    place.upload(lines(20));
    let basic = "Ym9iOm9wZW4tc2VzYW1lLTQy";
    let echoes = [
        SECRET.to_uppercase(),
        SECRET.replace('-', "%2D"),
        SECRET.replace('-', "%252d"),
        SECRET.replace('-', ""),
        format!("{} {}", &SECRET[..12], &SECRET[12..]),
        SECRET[20..].to_owned(),
        basic.to_lowercase(),
        "Open-Sesame".to_owned(),
    ];
    for echo in echoes {
        for status in ["400 Bad Request", "403 Forbidden", "418 No", "409 Conflict"] {
            let body = match status {
                "409 Conflict" => format!(r#"{{"Results":null,"Errors":[{{"OpIndex":0,"What":"you said {echo}"}}]}}"#),
                _ => format!("you said {echo}"),
            };
            let gate = Gate::to("", move |_| Act::Say(http(status, &body)));
            let run = Run::new("kvx-out", &gate.address).args(["-v", "-k", &place.key, "-f", "-", "-t", SECRET]);
            let ran = run.env("CONSUL_HTTP_AUTH", LOGIN).run();
            assert!(!ran.stderr.contains(&echo) && !ran.stderr.contains("you said"), "{echo}: {}", ran.stderr);
            assert!(matches!(ran.status.code(), Some(69 | 77 | 78)), "{echo}: {}", ran.stderr);
        }
    }
    for status in ["401 Unauthorized", "407 Proxy Authentication Required"] {
        let gate = Gate::to("", move |_| Act::Say(http(status, "come back with hunter2")));
        let ran = Run::new("kvx-out", &gate.address).args(["-k", &place.key, "-f", "-"]).run();
        assert!(!ran.stderr.contains("hunter2") && ran.status.code() != Some(0), "{}", ran.stderr);
    }
    // What is no secret is shown.
    let gate = Gate::to("", |_| Act::Say(http("400 Bad Request", format!("a b{FORGED}"))));
    let ran = Run::new("kvx-out", &gate.address).args(["-k", &place.key, "-f", "-", "-t", SECRET]).run().expect(78);
    let ran = ran.says(&["\"a ba\\x1b[2K", "all is well"]);
    assert_safe(&ran.stderr);
}

// What is configured.

#[test]
fn a_token_file_that_holds_no_token_is_not_taken_for_none() {
    let place = Place::new();
    place.upload(lines(20));
    let gate = Gate::open(&place.consul.address);
    let out = |file: &Path| {
        Run::new("kvx-out", &gate.address).args(["-k", &place.key, "-f", "-", "--token-file"]).arg(file).run()
    };
    let marked = |bytes: &[u8]| [bytes, SECRET.as_bytes()].concat();
    let utf16: Vec<u8> = [0xff, 0xfe].into_iter().chain(SECRET.bytes().flat_map(|byte| [byte, 0])).collect();
    for (name, bytes, encoding) in [("utf8", marked(b"\xef\xbb\xbf"), "UTF-8"), ("utf16", utf16, "UTF-16")] {
        let file = place.write(name, bytes);
        out(&file).expect(78).says(&["--token-file: ", name, "byte order mark", encoding, "save it"]);
        let run = Run::new("kvx-out", &gate.address).args(["-k", &place.key, "-f", "-"]);
        run.env("CONSUL_HTTP_TOKEN_FILE", &file).run().expect(78).says(&["CONSUL_HTTP_TOKEN_FILE: ", encoding]);
    }
    let empty = place.write("empty", " \n");
    out(&empty).expect(78).says(&["--token-file: ", "empty is empty", "write the token into it"]);
    let variable =
        || Run::new("kvx-out", &gate.address).args(["-k", &place.key, "-f", "-"]).env("CONSUL_HTTP_TOKEN_FILE", &empty);
    variable().run().expect(78).says(&["CONSUL_HTTP_TOKEN_FILE: ", "is empty", "CONSUL_HTTP_TOKEN is not set"]);
    assert_eq!(gate.connections(), 0, "nobody is asked");
    variable().env("CONSUL_HTTP_TOKEN", SECRET).run();
    assert!(gate.requests().iter().all(|request| request.header("X-Consul-Token") == Some(SECRET)));
}

#[test]
fn an_impossible_address_is_rejected_and_the_port_is_always_shown() {
    let place = Place::new();
    let out =
        |address: &str| Run::new("kvx-out", address).args(["-k", &place.key, "-f", "-", "--timeout", "300ms"]).run();
    for (address, remedy) in [
        ("::1:8500", "without brackets; write [::1]:8500"),
        ("fc00::2:8501", "write [fc00::2]:8501"),
        ("[fe80::1%eth0]:8500", "has a zone (%eth0), which is not supported"),
        ("127.0.0.1:8500\r", "carriage return"),
        (" 127.0.0.1:8500", "blank"),
    ] {
        out(address).expect(78).says(&["CONSUL_HTTP_ADDR: ", remedy]);
    }
    for (address, asked) in
        [("localhost", "Consul at http://localhost:80: "), ("https://127.0.0.1", "Consul at https://127.0.0.1:443: ")]
    {
        out(address).expect(69).says(&[asked]);
    }
}

#[test]
fn a_remedy_names_nothing_that_the_program_does_not_have() {
    let place = Place::new();
    place.upload(lines(20));
    let missing = place.kvx("diff").args(["-k", &place.key, "/missing"]).run().expect(74);
    let missing = missing.says(&["/missing", "name a file that this user may read"]);
    assert!(!missing.stderr.contains("give -f"), "{}", missing.stderr);
    let large = place.path().join("large");
    std::fs::File::create(&large).unwrap().set_len((64 << 20) + 1).unwrap();
    let large =
        place.kvx("diff").args(["-k", &place.key]).arg(&large).run().expect(65).says(&["larger than any document"]);
    assert!(!large.stderr.contains("--max-size"), "{}", large.stderr);

    let link = place.path().join("kvexpress");
    symlink(common::run::binary("kvx"), &link).unwrap();
    let kvexpress = |arguments: &[&str]| Run::new(link.to_str().unwrap(), "").args(arguments).run();
    let file = place.file().display().to_string();
    let down = kvexpress(&["out", "-k", "x", "-f", &file, "-s", "127.0.0.1:1"]).expect(69);
    let down = down.says(&["is the agent up? choose another with -s"]);
    let refused = Gate::to("", |_| Act::Say(http("403 Forbidden", "Permission denied")));
    let denied =
        kvexpress(&["out", "-k", "x", "-f", &file, "-s", &refused.address]).expect(77).says(&["CONSUL_HTTP_TOKEN"]);
    let wrong = Gate::to("", |_| Act::Say(http("400 Bad Request", "no")));
    let wrong =
        kvexpress(&["out", "-k", "x", "-f", &file, "-s", &wrong.address]).expect(78).says(&["CONSUL_NAMESPACE and"]);
    let input = place.path().join("input");
    std::fs::write(&input, vec![b'\n'; (16 << 20) + 1]).unwrap();
    let input = kvexpress(&["in", "-k", "x", "-f", input.to_str().unwrap(), "-s", &place.consul.address]).expect(65);
    let input = input.says(&["too large", "-z"]);
    for ran in [down, denied, wrong, input] {
        let foreign = ["CONSUL_HTTP_ADDR", "--token-file", "--dc", "--max-size"];
        assert!(!foreign.iter().any(|word| ran.stderr.contains(word)), "{}", ran.stderr);
    }
}

// What it may cost.

/// A hundred bytes that decode into 64 MB of empty lines.
fn bomb(place: &Place) {
    let document = vec![b'\n'; 64 << 20];
    place.consul.put_flags(&place.kv("data"), encoding::to_brotli(&document), 1);
    place.consul.put(&place.kv("checksum"), sha256(&document));
}

/// Within so many megabytes of memory.
fn within(megabytes: usize, run: Run, stdin: Option<&Path>) -> Ran {
    let mut limited = Command::new("sh");
    let script = format!("ulimit -v {}; exec \"$@\"", megabytes * 1024);
    limited.args(["-c", &script, "sh"]).arg(run.command.get_program()).args(run.command.get_args());
    for (name, value) in run.command.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    let stdin = stdin.map_or_else(Stdio::null, |path| std::fs::File::open(path).unwrap().into());
    Ran::from(limited.stdin(stdin).output().unwrap())
}

#[test]
fn a_document_that_is_very_much_larger_than_it_is_stored_costs_no_more_than_itself() {
    let (place, daemon) = (Place::new(), Daemon::udp());
    bomb(&place);
    let new = place.write("new", lines(20));
    let diff = place.kvx("diff").args(["-k", &place.key]).arg(&new);
    let ran = within(220, diff, None).expect(1);
    assert!(ran.out().ends_with("\nDocuments differ (too large to show: 67.1 MB and 51 B)\n"), "{}", ran.out());
    let dry = place.kvx_in().args(["-n", "-f"]).arg(&new);
    let ran = within(220, dry, None).expect(0);
    assert!(ran.out().ends_with("(too large to show: 67.1 MB and 51 B)\n"), "{}", ran.out());
    let up = place.kvx_in().args(["--events", &daemon.option(), "-f"]).arg(&new);
    within(220, up, None).expect(0).says(&["20 lines", "uploaded"]);
    let event = daemon.received().events.remove(0);
    assert_eq!(event.text, "Documents differ (too large to show: 67.1 MB and 51 B)\n");
    assert_eq!(place.document().unwrap(), lines(20).as_bytes());
}

#[test]
fn a_textfile_is_not_read_through_a_link_a_fifo_or_a_device() {
    let place = Place::new();
    let dir = place.path().join("textfiles");
    std::fs::create_dir(&dir).unwrap();
    let run = || place.kvx_in().arg("--metrics-textfile").arg(&dir).stdin(lines(20)).run().expect(0);
    run();
    let entry = std::fs::read_dir(&dir).unwrap().next().unwrap().unwrap();
    let (file, theirs) = (entry.path(), place.write("theirs", "kvx_handler_pending{} 7\n"));
    for make in ["ln -s {theirs} {file}", "mkfifo {file}", "ln -s /dev/zero {file}", "ln -s {fifo} {file}"] {
        let make = make.replace("{theirs}", theirs.to_str().unwrap()).replace("{file}", file.to_str().unwrap());
        let fifo = place.path().join("fifo");
        let make = format!("rm -f {0} {1}; mkfifo {1}; {make}", file.display(), fifo.display())
            .replace("{fifo}", fifo.to_str().unwrap());
        assert!(Command::new("sh").args(["-c", &make]).status().unwrap().success());
        run().is_silent();
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains("result=\"unchanged\"} 1\n") && !text.contains("pending"), "{text}");
        assert!(std::fs::symlink_metadata(&file).unwrap().is_file(), "it is replaced");
        assert_eq!(std::fs::read_to_string(&theirs).unwrap(), "kvx_handler_pending{} 7\n");
    }
}

/// A wrong clock, as after a dead battery: neither people nor TLS can be told a time from before 1970.
#[test]
fn a_clock_from_before_1970_is_no_panic() {
    let place = Place::new();
    place.upload(lines(20));
    if !Command::new("faketime").arg("--version").output().is_ok_and(|ran| ran.status.success()) {
        common::skipped("there is no faketime; tests/tools/need gets it");
        return;
    }
    let long_ago = |run: Run| {
        let mut faked = Run::new("/usr/bin/faketime", &place.consul.address);
        faked = faked.args(["-f", "@1960-01-01 00:00:00"]).arg(run.command.get_program());
        faked.args(run.command.get_args().map(std::ffi::OsStr::to_owned).collect::<Vec<_>>()).run()
    };
    long_ago(place.kvx_out()).expect(0);
    long_ago(place.kvx("stop").args(["-k", &place.key, "-r", "why"])).expect(0).says(&["stopped: why", "unknown"]);
    long_ago(place.kvx_file("status").arg("--json")).expect(1);
    long_ago(place.kvx_out().args(["--log-format", "json", "-s", "https://127.0.0.1:1", "--timeout", "100ms"]))
        .expect(69);
    long_ago(
        place.kvx_in().args(["-s", &format!("https://{}", place.consul.address), "--timeout", "100ms"]).stdin("x"),
    );
    assert_eq!(place.content(), lines(20));
}
