//! A connection to Consul that cannot be made is one clear line with cause and remedy; nothing is lost, and nothing
//! waits forever.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::transport::{Agent, Wants, Way};
use crate::common::certificates::{Ca, Pair};
use crate::common::{self, Consul, Place, Ran, SLACK, lines};
use serde_json::json;

#[test]
fn what_is_wrong_with_a_way_is_said_with_its_remedy_and_not_tried_again() {
    let agent = Agent::new(Wants::Certificate, false);
    let (ca, https) = (&agent.ca.file, format!("https://{}", agent.https));
    let other_ca = Ca::new(agent.dir.path(), "other-ca");
    let stranger = other_ca.issue("stranger", &["client.dc1.consul"]);
    let expired = agent.ca.issue_until("expired", &["client.dc1.consul"], 2020);
    let with = |pair: &Pair| {
        let way = Way::to("").flag("-s", &https).flag("--ca-file", ca);
        way.flag("--client-cert", &pair.certificate).flag("--client-key", &pair.key)
    };
    let plain_by_tls = format!("https://{}", agent.consul.address);
    let cases: [(&str, Way, i32, &[&str]); 8] = [
        (
            "an unknown CA",
            Way::to("").flag("-s", &https).flag("--ca-file", &other_ca.file),
            69,
            &["from a CA that is not trusted here", "--ca-file", "CONSUL_CACERT"],
        ),
        (
            "the system's CAs",
            Way::to("").flag("-s", &https).variable("SSL_CERT_FILE", &other_ca.file),
            69,
            &["from a CA that is not trusted"],
        ),
        (
            "another name",
            with(&agent.client).flag("--tls-server-name", "consul.example"),
            69,
            &["not valid for name \"consul.example\"", "server.dc1.consul", "--tls-server-name"],
        ),
        (
            "no client certificate",
            Way::to("").flag("-s", &https).flag("--ca-file", ca),
            78,
            &["requires a client certificate", "--client-cert", "CONSUL_CLIENT_KEY"],
        ),
        (
            "a client certificate of another CA",
            with(&stranger),
            78,
            &["does not accept our client certificate", "from its CA", "TLS alert"],
        ),
        (
            "a client certificate that has expired",
            with(&expired),
            78,
            &["does not accept our client certificate", "not expired"],
        ),
        (
            "plain http to a TLS port",
            Way::to("").flag("-s", &agent.https),
            78,
            &["speaks TLS there", "https://", "CONSUL_HTTP_SSL"],
        ),
        (
            "TLS to a plain port",
            Way::to("").flag("-s", &plain_by_tls).flag("--ca-file", ca),
            78,
            &["does not speak TLS", "http://", "CONSUL_HTTP_SSL"],
        ),
    ];
    for (name, way, status, says) in cases {
        let place = Place::at(agent.consul.clone());
        println!("{name}");
        let started = Instant::now();
        way.kvx_out(&place)
            .args(["-e", &place.handler()])
            .run()
            .expect(status)
            .says(&["kvx-out: ", &place.key])
            .says(says);
        way.kvx_in(&place).stdin(lines(20)).run().expect(status).says(&["kvx-in: ", &place.key]).says(says);
        assert!(started.elapsed() < SLACK, "{name}: it was tried again");
        assert!(place.names().is_empty() && place.runs().is_empty());
        assert_eq!(agent.consul.get(&place.kv("data")), None, "{name}");
    }
}

#[test]
fn a_server_whose_certificate_has_expired_is_not_believed() {
    let dir = tempfile::Builder::new().prefix("kvx-tls-").tempdir().unwrap();
    let ip = Consul::free_ip();
    let ca = Ca::new(dir.path(), "ca");
    let server = ca.issue_until("server", &[&ip], 2020);
    let config = json!({
        "ports": {"https": 8501, "grpc": -1},
        "ca_file": ca.file, "cert_file": server.certificate, "key_file": server.key,
    });
    let place = Place::at(Arc::new(Consul::dev_at(&ip, &config.to_string())));
    let way = Way::to("").flag("-s", format!("https://{ip}:8501")).flag("--ca-file", &ca.file);
    way.kvx_out(&place).run().expect(69).says(&["certificate expired", "renew", "clock"]);
    let unverified = way.variable("CONSUL_HTTP_SSL_VERIFY", "0");
    Way { warns: true, ..unverified.clone() }.said(unverified.kvx_out(&place).run()).expect(66);
    // Nothing but errors is wanted: then no warning either.
    unverified.kvx_in(&place).arg("-q").stdin(lines(20)).run().expect(0).is_silent();
}

#[test]
fn files_that_make_no_sense_are_78_before_anybody_is_asked() {
    let dir = tempfile::Builder::new().prefix("kvx-tls-").tempdir().unwrap();
    let place = Place::new();
    let ca = Ca::new(dir.path(), "ca");
    let (one, two) = (ca.issue("one", &["one"]), ca.issue("two", &["two"]));
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let (empty, garbage) = (file("empty", ""), file("garbage", "-----BEGIN CERTIFICATE-----\n???\n"));
    let none = file("none", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let locked = file("locked", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n");
    let bad_directory = dir.path().join("bad");
    std::fs::create_dir(&bad_directory).unwrap();
    std::fs::write(bad_directory.join("notes"), "no certificate").unwrap();
    let way = || Way::to("").flag("-s", "https://127.0.0.1:1");
    let trusting = || way().flag("--ca-file", &ca.file);
    let cases: [(Way, &[&str]); 13] = [
        (way().flag("--ca-file", "/nowhere"), &["--ca-file", "/nowhere", "No such file"]),
        (way().variable("CONSUL_CACERT", "/nowhere"), &["CONSUL_CACERT", "/nowhere"]),
        (way().variable("CONSUL_CAPATH", "/nowhere"), &["CONSUL_CAPATH", "/nowhere"]),
        (way().variable("CONSUL_CAPATH", &bad_directory), &["CONSUL_CAPATH", "notes", "no certificate"]),
        (way().flag("--ca-file", &empty), &["--ca-file", "has no certificate in PEM"]),
        (way().flag("--ca-file", &garbage), &["--ca-file", "has no certificate in PEM"]),
        (way().flag("--ca-file", &none), &["--ca-file", "has no valid certificate"]),
        (
            way().variable("SSL_CERT_FILE", &empty).variable("SSL_CERT_DIR", &bad_directory),
            &["there is no CA certificate", "--ca-file", "ca-certificates"],
        ),
        (trusting().flag("--client-cert", &one.certificate), &["no key", "--client-key", "CONSUL_CLIENT_KEY"]),
        (trusting().variable("CONSUL_CLIENT_KEY", &one.key), &["no certificate", "--client-cert"]),
        (
            trusting().flag("--client-cert", &one.certificate).flag("--client-key", &two.key),
            &["do not match", "one pair"],
        ),
        (
            trusting().flag("--client-cert", &one.certificate).flag("--client-key", &locked),
            &["--client-key", "no private key", "password"],
        ),
        (
            trusting().flag("--tls-server-name", "no name"),
            &["--tls-server-name", "no name", "not the name of a server"],
        ),
    ];
    for (way, says) in cases {
        way.kvx_out(&place).run().expect(78).says(&[&place.key]).says(says);
        way.kvx_in(&place).stdin(lines(20)).run().expect(78).says(says);
    }
    assert!(place.names().is_empty());
}

#[test]
fn a_socket_that_is_not_there_or_does_not_answer_is_not_waited_for_for_ever() {
    let place = Place::new();
    let (missing, silent, full) =
        (place.path().join("missing"), place.path().join("silent"), place.path().join("full"));
    let _silent = UnixListener::bind(&silent).unwrap();
    let _full = UnixListener::bind(&full).unwrap();
    // Nobody accepts: the queue is full at some time.
    let mut waiting = Vec::new();
    let fill = nix::sys::socket::socket;
    loop {
        use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect};
        let socket = fill(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_NONBLOCK, None).unwrap();
        let connected = connect(std::os::fd::AsRawFd::as_raw_fd(&socket), &UnixAddr::new(&full).unwrap());
        waiting.push(socket);
        if connected.is_err() {
            break;
        }
    }
    let nobody = place.write("nobody@home", "");
    let cases: [(&Path, &[&str]); 4] = [
        (&missing, &["unix:///", "missing", "No such file", "is the agent up?"]),
        (&nobody, &["Connection refused", "is the agent up?"]),
        (&silent, &["no answer in time"]),
        (&full, &["its queue is full"]),
    ];
    for (socket, says) in cases {
        let way = Way::to("").flag("-s", format!("unix://{}", socket.display())).flag("--timeout", "1s");
        let started = Instant::now();
        way.kvx_out(&place).run().expect(69).says(&[&place.key]).says(says);
        assert!(started.elapsed() < Duration::from_secs(1) + SLACK, "{}", socket.display());
    }
    let way = Way::to("").flag("-s", "unix://relative/path");
    way.kvx_out(&place).run().expect(78).says(&["-s", "unix:///PATH"]);
    let way = Way::to("").flag("-s", format!("unix:///{}", "long/".repeat(30)));
    way.kvx_out(&place).run().expect(78).says(&["-s", "too long for a socket's path"]);
    assert!(place.names().is_empty());
}

#[test]
fn a_socket_needs_no_resolver() {
    let agent = Agent::new(Wants::NoCertificate, false);
    let place = Place::at(agent.consul.clone());
    place.upload(lines(20));
    let empty = place.write("empty", "");
    let run = Way::to("").flag("-s", format!("unix://{}", agent.socket.display())).kvx_out(&place);
    let log = place.path().join("calls");
    let mut unshare = std::process::Command::new("unshare");
    let hidden = "mount --bind $0 /etc/hosts; mount --bind $0 /etc/resolv.conf; exec \"$@\"";
    unshare.args(["--mount", "--map-root-user", "sh", "-ec", hidden]).arg(&empty);
    unshare.args(["strace", "-f", "-e", "trace=connect,clone,clone3", "-o"]).arg(&log);
    Ran::from(unshare.arg(run.command.get_program()).args(run.command.get_args()).output().unwrap()).expect(0);
    let calls = std::fs::read_to_string(log).unwrap();
    let calls: Vec<&str> = calls.lines().filter(|call| call.contains("connect(") || call.contains("clone")).collect();
    assert!(!calls.is_empty() && calls.iter().all(|call| call.contains("consul.sock")), "{calls:#?}");
}

#[test]
fn a_refusal_that_comes_while_we_still_write_is_heard_all_the_same() {
    let agent = Agent::new(Wants::Certificate, false);
    let place = Place::at(agent.consul.clone());
    let way = Way::to("").flag("-s", format!("https://{}", agent.https)).flag("--ca-file", &agent.ca.file);
    let run = way.kvx_out(&place).args(["--timeout", "3s"]);
    // The server has refused and gone before we write: as on a busy node.
    let mut strace = std::process::Command::new("strace");
    strace.args(["-o", "/dev/null", "-e", "trace=sendto", "-e", "inject=sendto:delay_enter=30000:when=3+"]);
    let ran = Ran::from(strace.arg(run.command.get_program()).args(run.command.get_args()).output().unwrap());
    ran.expect(78).says(&["requires a client certificate", "TLS alert"]);
}

#[test]
fn files_that_never_end_are_not_waited_for_for_ever_and_pipes_are_read() {
    let dir = tempfile::Builder::new().prefix("kvx-tls-").tempdir().unwrap();
    let agent = Agent::new(Wants::NoCertificate, false);
    let place = Place::at(agent.consul.clone());
    let fifo = dir.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let https = || Way::to("").flag("-s", format!("https://{}", agent.https));
    let never_end = [
        https().flag("--ca-file", &fifo),
        https().variable("CONSUL_CAPATH", dir.path()),
        https().flag("--token-file", &fifo),
    ];
    common::each(
        3,
        &never_end,
        |way| way.flags.join(" "),
        |way| {
            let started = Instant::now();
            way.kvx_in(&place).stdin(lines(20)).run().expect(78).says(&["has not ended within 5s"]);
            assert!(started.elapsed() < Duration::from_secs(5) + SLACK);
        },
    );
    // A block that is none among good ones does no harm, as for Consul's client; nor does a pipe.
    let mixed = dir.path().join("mixed.pem");
    let none = "text\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    std::fs::write(&mixed, format!("{none}{}{none}", std::fs::read_to_string(&agent.ca.file).unwrap())).unwrap();
    https().flag("--ca-file", &mixed).kvx_in(&place).stdin(lines(20)).run().expect(0).says(&["uploaded"]);
    let run = https().kvx_out(&place);
    let mut bash = std::process::Command::new("bash");
    bash.args(["-c", "exec \"$@\" --ca-file <(cat \"$0\")"]).arg(&mixed).arg(run.command.get_program());
    Ran::from(bash.args(run.command.get_args()).output().unwrap()).expect(0).says(&["installed"]);
}

#[test]
fn a_server_that_stalls_or_breaks_off_in_its_handshake_is_not_waited_for_for_ever() {
    let dir = tempfile::Builder::new().prefix("kvx-tls-").tempdir().unwrap();
    let ca = Ca::new(dir.path(), "ca");
    let place = Place::new();
    // What is written once the client has said hello; then it goes away, or stays silent.
    let cases: [(&[u8], bool, i32, &str); 5] = [
        (b"", true, 69, "no answer in time"),
        (b"", false, 69, "trying again"),
        (b"\x16\x03\x03\x00\x7a", true, 69, "no answer in time"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", false, 78, "does not speak TLS"),
        (b"\x15\x03\x03\x00\x02\x02\x28", false, 78, "TLS 1.2 or newer"),
    ];
    for (bytes, stays, status, says) in cases {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("https://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let mut open = Vec::new();
            for mut client in listener.incoming().flatten() {
                let _ = client.read(&mut [0; 4096]);
                let _ = client.write_all(bytes);
                if stays {
                    open.push(client);
                }
            }
        });
        let way = Way::to("").flag("-s", address).flag("--ca-file", &ca.file).flag("--timeout", "1s");
        let started = Instant::now();
        let ran = way.kvx_out(&place).args(["-v", "-e", &place.handler()]).run().expect(status);
        assert!(ran.stderr.contains(says), "{says}: {}", ran.stderr);
        assert!(started.elapsed() < Duration::from_secs(1) + SLACK, "{says}: {:?}", started.elapsed());
    }
    assert!(place.names().is_empty() && place.runs().is_empty());
}

#[test]
fn a_key_that_others_may_not_read_is_named() {
    if !nix::unistd::geteuid().is_root() {
        return; // Only root can become another user.
    }
    let dir = tempfile::Builder::new().prefix("kvx-tls-").tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let ca = Ca::new(dir.path(), "ca");
    let pair = ca.issue("client", &["client"]);
    std::fs::set_permissions(&pair.key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let place = Place::new();
    let program = dir.path().join("kvx-in");
    common::run::copy_of("kvx-in", &program);
    let mut run = std::process::Command::new(program);
    std::os::unix::process::CommandExt::uid(&mut run, 65534);
    run.args(["-k", &place.key, "-s", "https://127.0.0.1:1", "--ca-file"]).arg(&ca.file).arg("--client-cert");
    run.arg(&pair.certificate).arg("--client-key").arg(&pair.key).args(["--", "seq", "20"]).current_dir("/");
    let ran = Ran::from(run.output().unwrap()).expect(78);
    ran.says(&["--client-key", "client-key.pem", "Permission denied", "readable by this user"]);
}
