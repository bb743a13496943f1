//! A document from a URL (`-u`): redirects, sizes and times are limited, the server's answer is checked, and Consul's
//! token is never sent to it.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use super::inputs::{assert_compressed, state, to_nobody, web};
use crate::common::certificates::Ca;
use crate::common::gate::{Act, Gate, http};
use crate::common::secure::{Goodbye, secure};
use crate::common::{self, Place, Run, SLACK, lines};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

fn redirect(status: &str, to: &str) -> Act {
    Act::Say(
        format!("HTTP/1.1 {status}\r\nLocation: {to}\r\nConnection: close\r\nContent-Length: 5\r\n\r\nmoved").into(),
    )
}

#[test]
fn a_document_comes_from_a_url() {
    let place = Place::new();
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n1\n2\n3\r\n3\r\n\n4\n\r\n0\r\n\r\n";
    let server = web(move |path| match path {
        "/hosts?of=today" => Act::Say(http("200 OK", lines(600))),
        "/chunked" => Act::Say(chunked.into()),
        "/old" => Act::Say(b"HTTP/1.0 200 OK\r\nContent-Length: 10\r\n\r\n1\n2\n3\n4\n5\n".into()),
        "/empty" => Act::Say(http("200 OK", "")),
        path => panic!("{path}"),
    });
    let url = |path: &str| format!("http://{}{path}", server.address);
    let ran = place.kvx_in().args(["-u", &url("/hosts?of=today#part")]).run().expect(0);
    ran.says(&["600 lines", "uploaded, the first"]);
    assert_eq!(place.document().unwrap(), lines(600).as_bytes());
    let request = server.requests().remove(0);
    assert_eq!((request.method.as_str(), request.header("Host")), ("GET", Some(server.address.as_str())));
    for absent in ["Accept-Encoding", "Authorization", "X-Consul-Token", "If-None-Match", "Cookie"] {
        assert_eq!(request.header(absent), None, "{absent}");
    }
    place.kvx_in().args(["--url", &url("/hosts?of=today")]).run().expect(0).is_silent();
    place
        .kvx_in()
        .args(["-l", "1", "-z", "-S", "-u", &url("/chunked")])
        .run()
        .expect(0)
        .says(&["3 lines", "compressed"]);
    assert_compressed(&place, b"1\n2\n3\n4");
    place.kvx_in().args(["-l", "1", "-u", &url("/old")]).run().expect(0).says(&["5 lines"]);
    to_nobody(&place).args(["-u", &url("/empty")]).run().expect(65).says(&["the document is empty", "-l"]);
}

#[test]
fn no_credential_of_consul_is_sent_to_the_server_of_a_url() {
    let place = Place::new();
    let server = web(|_| Act::Say(http("200 OK", lines(20))));
    let proxy = web(|_| Act::Say(http("200 OK", lines(30))));
    let run = place.kvx_in().args(["-t", "11111111-secret", "-u", &format!("http://{}/", server.address)]);
    let proxied = ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];
    let run = proxied.iter().fold(run, |run, name| run.env(name, format!("http://{}", proxy.address)));
    run.env("CONSUL_HTTP_AUTH", "anna:hunter2").run().expect(0).says(&["20 lines", "uploaded"]);
    let requests = format!("{:?}", server.requests());
    assert!(!requests.is_empty() && !requests.contains("secret") && !requests.contains("uthorization"), "{requests}");
    assert_eq!(proxy.connections(), 0);
}

#[test]
fn redirects_are_followed_to_the_document() {
    let place = Place::new();
    let server = web(|path| match path {
        "/301" => redirect("301 Moved Permanently", "/deep/er/302?x=1"),
        "/deep/er/302?x=1" => redirect("302 Found", "../303"),
        "/deep/303" => redirect("303 See Other", "307#there"),
        "/deep/307" => redirect("307 Temporary Redirect", "?query"),
        "/deep/307?query" => redirect("308 Permanent Redirect", "/a/./b/../hosts"),
        "/a/hosts" => Act::Say(http("200 OK", lines(20))),
        path => match path.trim_start_matches("/down/").parse() {
            Ok(0) => Act::Say(http("200 OK", lines(21))),
            Ok(left) => redirect("302 Found", &format!("/down/{}", left - 1u32)),
            Err(_) => panic!("{path}"),
        },
    });
    let url = |path: &str| format!("http://{}{path}", server.address);
    place.kvx_in().args(["-u", &url("/301")]).run().expect(0).says(&["20 lines", "uploaded"]);
    assert_eq!(server.requests().len(), 6);
    place.kvx_in().args(["-u", &url("/down/10")]).run().expect(0).says(&["21 lines", "uploaded"]);
    assert_eq!(server.requests().len(), 11);
    to_nobody(&place).args(["-u", &url("/down/11")]).run().expect(74).says(&["/down/11", "more than 10 times"]);
}

#[test]
fn what_is_no_document_is_said_and_nothing_is_uploaded() {
    let place = Place::new();
    let server = web(|path| match path {
        "/404" => Act::Say(http("404 Not Found", lines(20))),
        "/401" => Act::Say(http("401 Unauthorized", lines(20))),
        "/500" => Act::Say(http("500 Internal Server Error", lines(20))),
        "/204" => Act::Say(http("204 No Content", "")),
        "/206" => Act::Say(http("206 Partial Content", lines(20))),
        "/304" => Act::Say(http("304 Not Modified", "")),
        "/300" => redirect("300 Multiple Choices", "/ok"),
        "/nowhere" => Act::Say(http("302 Found", lines(20))),
        "/loop" => redirect("302 Found", "loop"),
        "/ftp" => redirect("302 Found", "ftp://anna:hunter2@host/"),
        "/bad" => redirect("302 Found", "http://[/"),
        "/gzip" => Act::Say(
            "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 20\r\n\r\n1\n2\n3\n4\n5\n6\n7\n8\n9\n0\n"
                .into(),
        ),
        "/large" => Act::Say(http("200 OK", "\n".repeat(600_000))),
        "/endless" => Act::Drip(
            b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n".into(),
            b"\n".repeat(100_000),
            Duration::ZERO,
        ),
        "/cut" => Act::Say([&b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"[..], lines(20).as_bytes()].concat()),
        "/cut-chunks" => Act::Say(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n1\n2\n3\n4\n5\n6\n7\n8\n9\n0\n\r\n".into(),
        ),
        "/to-the-end" => Act::Say([&b"HTTP/1.1 200 OK\r\n\r\n"[..], lines(20).as_bytes()].concat()),
        "/old-chunks" => {
            Act::Say([&b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"[..], lines(20).as_bytes()].concat())
        }
        "/closed" => Act::Say(Vec::new()),
        "/ssh" => Act::Say(b"SSH-2.0-OpenSSH_9.2\r\n".into()),
        "/stalled" => Act::SayAndHang(Vec::new()),
        "/stalled-later" => {
            Act::SayAndHang([&b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"[..], lines(20).as_bytes()].concat())
        }
        "/trickle" => Act::Drip(
            b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n".into(),
            b"1\n".into(),
            Duration::from_millis(20),
        ),
        "/trickled-head" => Act::Drip(b"HTTP/1.1 200 OK\r\n".into(), b"X-A: b\r\n".into(), Duration::from_millis(20)),
        path => panic!("{path}"),
    });
    let cases: &[(&str, i32, &[&str])] = &[
        ("404", 74, &["answers HTTP 404 Not Found", "instead of 200", "is the URL right?"]),
        ("401", 74, &["answers HTTP 401", "user:password@"]),
        ("500", 74, &["answers HTTP 500", "run it again"]),
        ("204", 74, &["answers HTTP 204"]),
        ("206", 74, &["answers HTTP 206"]),
        ("304", 74, &["answers HTTP 304"]),
        ("300", 74, &["answers HTTP 300"]),
        ("nowhere", 74, &["answers HTTP 302"]),
        ("loop", 74, &["redirects more than 10 times"]),
        ("ftp", 74, &["it redirects to a URL that is not http or https"]),
        ("bad", 74, &["it redirects to a URL that is not http or https"]),
        ("gzip", 74, &["compressed (gzip)", "curl --compressed"]),
        ("large", 65, &["too large", "524288 bytes", "-z"]),
        ("endless", 65, &["too large", "524288 bytes"]),
        ("cut", 74, &["the connection broke before its end"]),
        ("cut-chunks", 74, &["the connection broke before its end"]),
        ("to-the-end", 74, &["sends no Content-Length"]),
        ("old-chunks", 74, &["sends no Content-Length"]),
        ("closed", 74, &["the connection broke before its end"]),
        ("ssh", 74, &["does not speak HTTP"]),
        ("stalled", 74, &["has not ended within 3s", "--timeout"]),
        ("stalled-later", 74, &["has not ended within 3s"]),
        ("trickle", 74, &["has not ended within 3s"]),
        ("trickled-head", 74, &["cannot be read"]),
    ];
    let address = &server.address;
    common::each(
        8,
        cases,
        |(path, ..)| (*path).to_owned(),
        |(path, status, says)| {
            let started = Instant::now();
            let ran =
                to_nobody(&place).args(["-u", &format!("http://anna:hunter2@{address}/{path}")]).run().expect(*status);
            assert!(!ran.stderr.contains("hunter2") && !ran.stderr.contains("anna"), "{}", ran.stderr);
            ran.says(&["kvx-in: ", &place.key, ": ", &format!("http://{address}/{path}")]).says(says);
            assert!(started.elapsed() < Duration::from_secs(3) + SLACK, "{path}: {:?}", started.elapsed());
        },
    );
    to_nobody(&place)
        .args(["-u", "http://127.0.0.1:1/x?secret"])
        .run()
        .expect(74)
        .says(&["127.0.0.1:1/x cannot", "refused"]);
    let unknown = to_nobody(&place).args(["-u", "http://no-such-host.invalid/x"]).run().expect(74);
    unknown.says(&["no-such-host.invalid/x cannot be read"]);
}

#[test]
fn a_login_goes_to_its_own_server_and_nowhere_else() {
    let place = Place::new();
    let other = web(|path| match path {
        "/back" => redirect("302 Found", "/end"),
        "/end" => Act::Say(http("200 OK", lines(20))),
        path => panic!("{path}"),
    });
    let there = other.address.clone();
    let server = web(move |path| match path {
        "/here" => redirect("302 Found", "/away"),
        "/away" => redirect("302 Found", &format!("http://{there}/back")),
        "/other-login" => redirect("302 Found", &format!("http://otto:geheim@{there}/end")),
        "/page" => Act::Say(http("403 Forbidden", "")),
        path => panic!("{path}"),
    });
    let logins = |gate: &Gate| -> Vec<Option<String>> {
        let decoded = |text: &str| String::from_utf8(BASE64_STANDARD.decode(&text["Basic ".len()..]).unwrap()).unwrap();
        gate.requests().iter().map(|request| request.header("Authorization").map(decoded)).collect()
    };
    let anna = Some("anna:hunter@2:x".to_owned());
    let url = |path: &str| format!("http://anna:hunter%402:x@{}{path}", server.address);
    place.kvx_in().args(["-v", "-u", &url("/here")]).run().expect(0).says(&["20 lines", "uploaded"]);
    assert_eq!((logins(&server), logins(&other)), (vec![anna.clone(), anna.clone()], vec![None, None]));
    place.kvx_in().args(["-u", &url("/other-login")]).run().expect(0);
    assert_eq!((logins(&server), logins(&other)), (vec![anna], vec![Some("otto:geheim".to_owned())]));
    place.kvx_in().args(["-u", &format!("http://token@{}/other-login", server.address)]).run().expect(0);
    assert_eq!(logins(&server), vec![Some("token:".to_owned())]);
    let denied = to_nobody(&place).args(["-u", &url("/page?secret")]).run();
    assert!(!denied.stderr.contains("hunter") && !denied.stderr.contains("secret"), "{}", denied.stderr);
}

/// A server that takes whatever is said for bad HTTP.
fn no_tls() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let _ = client.read(&mut [0; 4096]);
            let _ = client.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    address
}

#[test]
fn https_is_of_the_systems_cas_and_never_led_back_to_http() {
    let place = Place::new();
    let ca = Ca::new(place.path(), "ca");
    let other_ca = Ca::new(place.path(), "other-ca");
    let plain = web(|_| Act::Say(http("200 OK", lines(20))));
    let address = plain.address.clone();
    let server = web(move |path| match path {
        "/hosts" => Act::Say(http("200 OK", lines(21))),
        "/beside" => redirect("302 Found", "hosts"),
        "/cut" => Act::Say([&b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"[..], lines(22).as_bytes()].concat()),
        "/down" => redirect("302 Found", &format!("http://{address}/?secret")),
        path => panic!("{path}"),
    });
    let listen = |name: &str, of: &[&str], year, goodbye| {
        let pair = ca.issue_until(name, of, year);
        format!("https://{}", secure(&server.address, &pair, goodbye))
    };
    let good = listen("good", &["127.0.0.1"], 2100, Goodbye::Said);
    let cut = listen("cut", &["127.0.0.1"], 2100, Goodbye::Unsaid);
    let expired = listen("expired", &["127.0.0.1"], 2020, Goodbye::Said);
    let named = listen("named", &["intranet.example"], 2100, Goodbye::Said);
    let up = {
        let good = good.clone();
        web(move |_| redirect("302 Found", &format!("{good}/beside")))
    };
    let trusting = |run: Run, ca: &Ca| run.env("SSL_CERT_FILE", &ca.file).env("SSL_CERT_DIR", "/nowhere");
    let uploaded = |url: &str| trusting(place.kvx_in(), &ca).args(["-u", url]).run().expect(0);
    uploaded(&format!("{good}/hosts")).says(&["21 lines", "uploaded"]);
    uploaded(&format!("{good}/beside")).is_silent();
    uploaded(&format!("http://{}/", up.address)).is_silent();
    // It is all there, however rudely its server goes.
    uploaded(&format!("{cut}/hosts")).is_silent();

    let before = state(&place);
    let asked = plain.connections();
    let wrong: [(&str, &Ca, &[&str]); 7] = [
        (&format!("{good}/down"), &ca, &["/down cannot be read: it redirects from https to http"]),
        (&format!("{good}/hosts"), &other_ca, &["from a CA that is not trusted here", "SSL_CERT_FILE"]),
        (&format!("{expired}/hosts"), &ca, &["certificate expired", "clock"]),
        (&format!("{named}/hosts"), &ca, &["not valid for name \"127.0.0.1\"", "intranet.example"]),
        (&format!("{cut}/cut"), &ca, &["the connection broke before its end"]),
        (&good.replace("https", "http"), &ca, &["cannot be read", "http"]),
        (&format!("https://{}/", no_tls()), &ca, &["does not speak TLS", "http://"]),
    ];
    for (url, trusted, says) in wrong {
        let ran = trusting(to_nobody(&place), trusted).args(["-u", url]).run().expect(74).says(says);
        assert!(!ran.stderr.contains("secret"));
    }
    assert_eq!(plain.connections(), asked);
    // What says whom to trust as Consul says nothing of others.
    let consuls = trusting(to_nobody(&place), &other_ca).arg("--ca-file").arg(&ca.file);
    let consuls = consuls.env("CONSUL_CACERT", &ca.file).env("CONSUL_HTTP_SSL_VERIFY", "false");
    consuls.args(["-u", &format!("{good}/hosts")]).run().expect(74).says(&["from a CA that is not trusted here"]);
    let none = to_nobody(&place).env("SSL_CERT_FILE", "/nowhere").env("SSL_CERT_DIR", "/nowhere");
    none.args(["-u", &format!("{good}/hosts")])
        .run()
        .expect(78)
        .says(&["there is no CA certificate", "ca-certificates"]);
    assert_eq!(state(&place), before);
}
