//! Promises 5 and 6 on a bad network: one clear line, a distinct exit status, nothing lost, and no endless wait. After
//! every fault, the target is byte for byte unchanged, nothing is left next to it, no handler ran, and the pair in
//! Consul is intact.
//!
//! A gate in front of a real Consul produces the faults that a real Consul does not produce on request: answers that
//! are not HTTP or not Consul's (another server at that address, a proxy), overload and rate limits, and connections
//! that break or stall at a certain byte. Faults that a real Consul can produce are in bad_documents.rs and
//! stalled_agents.rs.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::survival::{each, in_all_ways, in_consul, in_time, kvx_in, kvx_out, large, short, survives};
use crate::common::gate::{Act, Gate, Request, Step, http};
use crate::common::{self, Consul, Place, Ran, SLACK, lines, sha256};

/// How often a request is made that meets a fault.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Tries {
    /// It is Consul's word, and final.
    One,
    /// It may pass: until the deadline.
    Many,
    /// It takes all the time there is.
    AllTheTime,
}

struct Fault {
    name: &'static str,
    act: Act,
    status: i32,
    tries: Tries,
    /// Cause, and then remedy.
    says: [&'static str; 2],
}

impl Fault {
    /// A lost answer to a write that was made: other tests' matter.
    fn lets_writes_through(&self) -> bool {
        matches!(self.act, Act::CutAnswer(_) | Act::CutAnswerBeforeItsLast(_))
    }
}

fn faults() -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut add = |name, act, status, tries, says| faults.push(Fault { name, act, status, tries, says });
    let every = Duration::from_millis(20);
    let is_it_up = "is the agent up? choose another with -s or CONSUL_HTTP_ADDR";
    let is_it_consul = "is it Consul's HTTP port";

    // What passes is tried again.
    let mut passing = |name, status_line: &str, body: &str, cause| {
        add(name, Act::Say(http(status_line, body)), 69, Tries::Many, [cause, is_it_up]);
    };
    passing("429 for ever", "429 Too Many Requests", "Your IP is issuing too many concurrent connections", "HTTP 429");
    passing("500 for ever", "500 Internal Server Error", "No cluster leader", "HTTP 500, \"No cluster leader\"");
    passing("500 without a word", "500 Internal Server Error", "", "HTTP 500");
    passing("502 of a proxy", "502 Bad Gateway", "<html>bad\ngateway</html>", "HTTP 502, \"<html>bad gateway</html>\"");
    passing(
        "503 for ever",
        "503 Service Unavailable",
        "rate limit exceeded, try again later",
        "HTTP 503, \"rate limit",
    );
    passing("504 of a proxy", "504 Gateway Timeout", "", "HTTP 504");

    // Consul's word is final.
    let mut last = |name, status_line: &str, body: &str, status, says| {
        add(name, Act::Say(http(status_line, body)), status, Tries::One, says);
    };
    last("400", "400 Bad Request", "Invalid query parameter", 78, ["HTTP 400, \"Invalid query parameter\"", "check"]);
    last("401 of a proxy", "401 Unauthorized", "", 77, ["HTTP 401", "CONSUL_HTTP_AUTH"]);
    last(
        "403",
        "403 Forbidden",
        "ACL not found",
        77,
        ["denies /v1/txn (HTTP 403, \"ACL not found\")", "CONSUL_HTTP_TOKEN"],
    );
    last("404", "404 Not Found", "404 page not found", 69, ["HTTP 404", is_it_consul]);
    last("405", "405 Method Not Allowed", "", 69, ["HTTP 405", is_it_consul]);
    last("409 that is not Consul's", "409 Conflict", "conflict", 69, ["HTTP 409", is_it_consul]);
    last("413", "413 Payload Too Large", "too large, max size: 524288", 65, ["HTTP 413, \"too large", "smaller"]);
    last("501", "501 Not Implemented", "", 69, ["HTTP 501", is_it_consul]);
    last("204", "204 No Content", "", 69, ["HTTP 204", is_it_consul]);
    last(
        "an error in many lines",
        "418 No",
        "a\r\n\tb\x1b[2Jc\u{7}\n",
        69,
        ["HTTP 418, \"a b\\x1b[2Jc\\x07\"", is_it_consul],
    );
    last("an error as long as a book", "418 No", &"word ".repeat(100_000), 69, ["HTTP 418", is_it_consul]);

    // What another server may say.
    for (name, body) in [
        ("nothing, with 200", ""),
        ("a page", "<html><h1>It works!</h1></html>"),
        ("JSON cut short", r#"{"Results":[{"KV":{"Key":"kvexpress/"#),
        ("a number in JSON", "42"),
        ("null", "null"),
        ("a string in JSON", "\"ok\""),
        ("a list in JSON", "[]"),
        ("an object in JSON", "{}"),
        ("somebody else's JSON", r#"{"status":"ok","results":[]}"#),
        ("an entry without an index", r#"{"Results":[{"KV":{"Key":"kvexpress/x/data"}}],"Errors":null}"#),
        (
            "an entry that is not base64",
            r#"{"Results":[{"KV":{"Key":"a","ModifyIndex":1,"Value":"%%"}}],"Errors":null}"#,
        ),
        ("an index below zero", r#"{"Results":[{"KV":{"Key":"a","ModifyIndex":-1,"Value":"YQ=="}}],"Errors":null}"#),
        ("a result that is no entry", r#"{"Results":[{"Node":{"Node":"a"}}],"Errors":null}"#),
    ] {
        let says = ["HTTP 200, but not an answer from Consul", is_it_consul];
        add(name, Act::Say(http("200 OK", body)), 69, Tries::One, says);
    }

    // What is no HTTP.
    for (name, bytes) in [
        ("garbage", b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n".to_vec()),
        ("binary garbage", vec![0x15, 3, 1, 0, 2, 2, 0x16, 0, 0xff, 0xfe, b'\r', b'\n', b'\r', b'\n']),
        ("a line without an end", vec![b'x'; 200_000]),
        ("a header without a colon", b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n".to_vec()),
        ("a length that is no number", b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n".to_vec()),
        ("headers without an end", [b"HTTP/1.1 200 OK\r\n".to_vec(), b"X-More: and more\r\n".repeat(50_000)].concat()),
    ] {
        add(name, Act::Say(bytes), 69, Tries::Many, ["does not speak HTTP", is_it_up]);
    }
    for (name, size) in [("a chunk whose size is no number", "many"), ("a chunk of negative size", "-1")] {
        let answer = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{size}\r\n{{}}\r\n0\r\n\r\n");
        add(name, Act::Say(answer.into_bytes()), 69, Tries::Many, ["Consul at http://", is_it_up]);
    }

    // Connections that break.
    add("closed without an answer", Act::Say(Vec::new()), 69, Tries::Many, ["Consul at http://", is_it_up]);
    for (name, at) in [("closed in the first line", 5), ("closed in the headers", 40), ("closed in the body", 600)] {
        add(name, Act::CutAnswer(at), 69, Tries::Many, ["Consul at http://", is_it_up]);
    }
    let one_less = Act::CutAnswerBeforeItsLast(1);
    add("closed before the last byte", one_less, 69, Tries::Many, ["Consul at http://", is_it_up]);
    let short = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"Results\":[".to_vec();
    add("a length that is not kept", Act::Say(short), 69, Tries::Many, ["Consul at http://", is_it_up]);
    let short = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"Res\r\n".to_vec();
    add("chunks without a last one", Act::Say(short), 69, Tries::Many, ["Consul at http://", is_it_up]);

    // What never ends.
    let mut endless = |name, act, status, says| add(name, act, status, Tries::AllTheTime, says);
    let (too_slow, chunked) = (["no answer in time", is_it_up], "Transfer-Encoding: chunked");
    let text = |text: &str| text.as_bytes().to_vec();
    endless("never an answer", Act::SayAndHang(Vec::new()), 69, too_slow);
    endless("half a first line", Act::SayAndHang(text("HTTP/1.")), 69, too_slow);
    endless(
        "headers, and then nothing",
        Act::SayAndHang(text("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")),
        69,
        too_slow,
    );
    let head = text(&format!("HTTP/1.1 200 OK\r\n{chunked}\r\n\r\n"));
    endless("a body that never ends", Act::Drip(head, text("1\r\n \r\n"), every), 69, too_slow);
    let head = text("HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n");
    endless("a body byte by byte", Act::Drip(head, text(" "), every), 69, too_slow);
    let head = text("HTTP/1.1 200 OK\r\n\r\n{");
    endless("a body until the end of the connection", Act::Drip(head, text(" "), every), 69, too_slow);
    endless("headers byte by byte", Act::Drip(text("HTTP/1.1 200 OK\r\nX-Slow: "), text("x"), every), 69, too_slow);
    endless("header after header", Act::Drip(text("HTTP/1.1 200 OK\r\n"), text("X-Slow: x\r\n"), every), 69, too_slow);
    let again = text("HTTP/1.1 100 Continue\r\n\r\n");
    endless("`continue` for ever", Act::Drip(Vec::new(), again, every), 69, ["Consul at http://", is_it_up]);
    let head = text(&format!("HTTP/1.1 500 Internal Server Error\r\n{chunked}\r\n\r\n"));
    endless("a 500 that never ends", Act::Drip(head, text("1\r\nx\r\n"), every), 69, ["HTTP 500", is_it_up]);
    let head = text(&format!("HTTP/1.1 403 Forbidden\r\n{chunked}\r\n\r\n"));
    endless("a 403 that never ends", Act::Drip(head, text("1\r\nx\r\n"), every), 77, ["HTTP 403", "CONSUL_HTTP_TOKEN"]);
    faults
}

fn check_tries(fault: &Fault, step: Step, requests: &[Request]) {
    let tries = requests.iter().filter(|request| request.step == step).count();
    match fault.tries {
        Tries::Many => assert!(tries > 1, "{}: tried again, not {tries} times", fault.name),
        Tries::One | Tries::AllTheTime => assert_eq!(tries, 1, "{}: not tried again", fault.name),
    }
}

#[test]
fn kvx_out_survives_whatever_comes_instead_of_an_answer() {
    let consul = Consul::shared();
    each(
        &in_all_ways(faults()),
        |(fault, way)| format!("{}, {way:?}", fault.name),
        |(fault, way)| {
            let act = fault.act.clone();
            let gate = Gate::to(&consul.address, move |_| act.clone());
            let failed = |place: &Place, ran: Ran| {
                ran.expect(fault.status).says(&["kvx-out: ", &place.key, fault.says[0], fault.says[1]]);
                check_tries(fault, Step::Read, &gate.requests());
            };
            survives(*way, &consul, |_| gate.address.clone(), |_| {}, failed);
        },
    );
}

#[test]
fn kvx_in_survives_whatever_comes_instead_of_an_answer_to_its_read_and_to_its_write() {
    let consul = Consul::shared();
    let cases: Vec<(Step, Fault)> = [Step::Read, Step::Write]
        .into_iter()
        .flat_map(|step| faults().into_iter().map(move |fault| (step, fault)))
        .filter(|(step, fault)| *step == Step::Read || !fault.lets_writes_through())
        .collect();
    each(
        &cases,
        |(step, fault)| format!("{step:?}: {}", fault.name),
        |(step, fault)| {
            let (act, at) = (fault.act.clone(), *step);
            let gate = Gate::to(&consul.address, move |it| if it.step == at { act.clone() } else { Act::Pass });
            let place = Place::at(consul.clone());
            place.upload(lines(20));
            let before = in_consul(&place);
            let ran = in_time(kvx_in(&place, &gate.address).stdin(lines(30)));
            assert_eq!(in_consul(&place), before, "{}", ran.stderr);
            ran.expect(fault.status).says(&["kvx-in: ", &place.key, fault.says[0], fault.says[1]]);
            check_tries(fault, *step, &gate.requests());
            // Afterwards, nothing is in the way.
            kvx_in(&place, &consul.address).stdin(lines(30)).run().expect(0).says(&["in place of", &short(lines(20))]);
            place.assert_pair_is_whole();
        },
    );
}

/// The stories of `kvx-in` with more to them.
#[derive(Clone, Copy, Debug)]
enum Upload {
    /// A document that no transaction can carry: read, PUT the data, read it again, change the checksum.
    Large,
    /// A torn pair: read, change.
    Repair,
    /// A torn pair whose checksum is right already: the same, in other words.
    Finish,
}

#[test]
fn kvx_in_survives_whatever_comes_from_any_of_its_requests_on() {
    let consul = Consul::shared();
    // With the number of their requests.
    let uploads = [(Upload::Large, 4), (Upload::Repair, 2), (Upload::Finish, 2)];
    let positions = uploads.into_iter().flat_map(|(upload, requests)| (1..=requests).map(move |nth| (upload, nth)));
    let cases: Vec<(Upload, usize, Fault)> =
        positions.flat_map(|(upload, nth)| faults().into_iter().map(move |fault| (upload, nth, fault))).collect();
    common::each(
        12,
        &cases,
        |(upload, nth, fault)| format!("{upload:?}, from request {nth} on: {}", fault.name),
        |(upload, nth, fault)| {
            let place = Place::at(consul.clone());
            let new = if matches!(upload, Upload::Large) { large(7) } else { lines(30) };
            match upload {
                Upload::Large => drop(place.upload(lines(20))),
                Upload::Repair | Upload::Finish => {
                    place.consul.put(&place.kv("data"), lines(20));
                    let checksum = if matches!(upload, Upload::Finish) { sha256(&new) } else { sha256("else") };
                    place.consul.put(&place.kv("checksum"), checksum);
                }
            }
            let (act, from, seen) = (fault.act.clone(), *nth, AtomicUsize::new(0));
            let gate = Gate::to(&consul.address, move |_| {
                if seen.fetch_add(1, Ordering::SeqCst) + 1 >= from { act.clone() } else { Act::Pass }
            });
            let ran = in_time(kvx_in(&place, &gate.address).stdin(&new));
            let status = ran.status.code().unwrap();
            // An older Consul is asked more, to which some of the faults are answers; and a lost answer may be a
            // success.
            let other = !place.consul.has_get_or_empty() || fault.lets_writes_through();
            let slow = status == 69 && ran.stderr.contains("no answer in time"); // Of a busy machine.
            let meant = status == fault.status || slow || (other && [0, 65, 66, 69, 75, 77, 78].contains(&status));
            let reached = slow || gate.requests().len() >= *nth;
            assert!(reached && meant, "{status}: {}", ran.stderr);
            assert!(ran.stderr.contains(&place.key), "{}", ran.stderr);
            // Nobody can have got a document that is neither.
            let out = place.kvx_out().args(["--timeout", "300ms"]).run();
            let installed = std::fs::read_to_string(place.file()).ok();
            let whole = [None, Some(lines(20)), Some(new.clone())].contains(&installed);
            assert!(whole && matches!(out.status.code(), Some(0 | 69 | 75)), "{:?}", out.stderr);
            // Afterwards, nothing is in the way.
            kvx_in(&place, &consul.address).stdin(&new).run().expect(0);
            place.assert_pair_is_whole();
            assert_eq!(place.consul.text(&place.kv("data")).as_ref(), Some(&new));
        },
    );
}

#[test]
fn kvx_out_that_waits_survives_whatever_comes_instead_of_an_answer() {
    let consul = Consul::shared();
    each(
        &faults(),
        |fault| fault.name.to_owned(),
        |fault| {
            let place = Place::at(consul.clone());
            let act = fault.act.clone();
            let gate = Gate::to(&consul.address, move |_| act.clone());
            let started = Instant::now();
            let ran = kvx_out(&place, &gate.address).args(["--wait", "1s"]).run();
            assert!(started.elapsed() < Duration::from_secs(2) + SLACK, "{:?}: {}", started.elapsed(), ran.stderr);
            // To this request, 404 means that the key is not there.
            let status = ran.status.code().unwrap();
            assert!(status == fault.status || [65, 66, 69].contains(&status), "{status}: {}", ran.stderr);
            assert!(ran.stderr.contains(&place.key), "{}", ran.stderr);
            assert!(place.names().is_empty() && place.runs().is_empty());
            place.upload(lines(20));
            kvx_out(&place, &consul.address).args(["--wait", "20s"]).run().expect(0).says(&["installed"]);
        },
    );
}

#[test]
fn what_passes_is_tried_again_until_it_has_passed() {
    let consul = Consul::shared();
    let is_for_a_while = |fault: &Fault| fault.tries == Tries::Many && !fault.lets_writes_through();
    let cases: Vec<Fault> = faults().into_iter().filter(is_for_a_while).collect();
    each(
        &cases,
        |fault| fault.name.to_owned(),
        |fault| {
            let place = Place::at(consul.clone());
            place.upload(lines(20));
            let gate = || {
                let act = fault.act.clone();
                Gate::to(&consul.address, move |it| if it.nth <= 2 { act.clone() } else { Act::Pass })
            };
            let (upload, download) = (gate(), gate());
            let ran = kvx_in(&place, &upload.address).stdin(lines(30)).run().expect(0);
            ran.says(&["30 lines", "uploaded, in place of", &short(lines(20))]);
            place.assert_pair_is_whole();
            let requests = upload.requests();
            let writes = requests.iter().filter(|request| request.step == Step::Write).count();
            assert_eq!(writes, 3, "two in vain, and one more");
            kvx_out(&place, &download.address).run().expect(0).says(&["30 lines", "installed"]);
            assert_eq!((place.content(), place.runs().len()), (lines(30), 1));
        },
    );
}

#[test]
fn a_redirect_is_not_followed() {
    let place = Place::new();
    place.upload(lines(20));
    let before = in_consul(&place);
    // A token must not go where Consul's answers, or a process on the way, send it.
    for status in
        ["301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"]
    {
        let elsewhere = Gate::open(&place.consul.address);
        let answer =
            format!("HTTP/1.1 {status}\r\nLocation: http://{}/v1/txn\r\nContent-Length: 0\r\n\r\n", elsewhere.address);
        let gate = Gate::to(&place.consul.address, move |_| Act::Say(answer.clone().into_bytes()));
        let code = &status[..3];
        let says = [place.key.as_str(), "HTTP", code, "is it Consul's HTTP port"];
        in_time(kvx_in(&place, &gate.address).args(["-t", "secret"]).stdin(lines(30))).expect(69).says(&says);
        in_time(kvx_out(&place, &gate.address).args(["-t", "secret"])).expect(69).says(&says);
        assert_eq!(gate.connections(), 2);
        assert_eq!(elsewhere.connections(), 0);
    }
    assert_eq!(in_consul(&place), before);
    assert!(place.names().is_empty() && place.runs().is_empty());
}

#[test]
fn an_answer_larger_than_allowed_is_not_read_to_its_end() {
    let consul = Consul::shared();
    each(
        &in_all_ways(vec!["Transfer-Encoding: chunked", "Content-Length: 1000000000000", "X-Until: the end"]),
        |(header, way)| format!("{header}, {way:?}"),
        |(header, way)| {
            let head = format!("HTTP/1.1 200 OK\r\n{header}\r\n\r\n").into_bytes();
            let is_chunked = header.ends_with("chunked");
            let (size, end): (&[u8], &[u8]) = if is_chunked { (b"10000\r\n", b"\r\n") } else { (b"", b"") };
            let body = [size, &[b' '; 0x10000], end].concat();
            let gate = Gate::to(&consul.address, move |_| Act::Drip(head.clone(), body.clone(), Duration::ZERO));
            let failed = |place: &Place, ran: Ran| {
                ran.expect(65).says(&["kvx-out: ", &place.key, "answer is larger than", "bytes", "--max-size"]);
                assert_eq!(gate.requests().len(), 1, "not asked for again");
            };
            survives(*way, &consul, |_| gate.address.clone(), |_| {}, failed);
        },
    );
}

#[test]
fn an_answer_larger_than_kvx_in_allows_is_not_read_to_its_end() {
    let place = Place::new();
    place.upload(lines(20));
    let before = in_consul(&place);
    let (head, body) = (b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b' '; 0x100000]);
    let gate = Gate::to(&place.consul.address, move |_| Act::Drip(head.clone(), body.clone(), Duration::ZERO));
    let ran = kvx_in(&place, &gate.address).args(["--timeout", "20s"]).stdin(lines(30)).run().expect(65);
    // Its --max-size is about the document that goes up, and changes nothing here: no remedy.
    assert!(!ran.stderr.contains("--max-size"), "{}", ran.stderr);
    ran.says(&["kvx-in: ", &place.key, "answer is larger than"]);
    assert_eq!(gate.requests().len(), 1);
    assert_eq!(in_consul(&place), before);
}
