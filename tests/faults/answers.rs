//! Promise 5: bad input, bad network: one clear line, a distinct exit status, and nothing lost; and promise 6: it never
//! waits for ever. Whatever happens, the target stays byte for byte what it was, nothing is left beside it, no handler
//! runs, and the pair in Consul is whole.
//!
//! A real Consul shows what it can be made to show: torn pairs, an agent that is killed, stopped or not there. The rest
//! is done by a gate in front of a real Consul, since no Consul does it when asked: what is no HTTP or none of Consul's
//! (another server at that address, a proxy on the way), overload and rate limits (not to be had on demand), and
//! connections that break or stall at a certain byte.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::process::Child;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::gate::{Act, Gate, Request, Step, http};
use crate::common::{self, Consul, Place, Ran, Run, SLACK, lines, sha256, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Of the runs that are to fail.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Checks all cases, many at a time: they mostly wait.
fn each<C: Sync>(cases: &[C], name: impl Fn(&C) -> String + Sync, check: impl Fn(&C) + Sync) {
    common::each(24, cases, name, check);
}

/// A run that is to fail: it ends within its time.
#[track_caller]
fn in_time(run: Run) -> Ran {
    let started = Instant::now();
    let ran = run.args(["--timeout", &humantime::format_duration(TIMEOUT).to_string()]).run();
    let took = started.elapsed();
    assert!(took < TIMEOUT + SLACK, "{took:?} with --timeout {TIMEOUT:?}: {}", ran.stderr);
    ran
}

/// All there is to see of the managed file and its surroundings.
#[derive(Debug, PartialEq)]
struct Sight {
    /// Bytes, inode, mode, times of change (of the inode too: not even touched).
    file: Option<(Vec<u8>, u64, u32, [i64; 4])>,
    beside: Vec<String>,
    runs: Vec<String>,
}

fn look(place: &Place) -> Sight {
    let file = std::fs::metadata(place.file()).ok().map(|is| {
        let bytes = std::fs::read(place.file()).unwrap();
        (bytes, is.ino(), is.mode(), [is.mtime(), is.mtime_nsec(), is.ctime(), is.ctime_nsec()])
    });
    Sight { file, beside: place.beside(), runs: place.runs() }
}

/// All of a key in Consul, indexes included.
fn in_consul(place: &Place) -> Vec<u8> {
    place.consul.http("GET", &format!("/v1/kv/{}?recurse", place.kv("")), b"").unwrap().1
}

/// `kvx-out` with a handler, by way of this address.
fn kvx_out(place: &Place, address: &str) -> Run {
    place.kvx_out().args(["-s", address, "-e", &place.handler()])
}

/// `kvx-in` by way of this address.
fn kvx_in(place: &Place, address: &str) -> Run {
    place.kvx_in().args(["-s", address])
}

/// How `kvx-out` is run.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    /// There is no file yet.
    First,
    /// An older document is installed.
    Again,
    /// The same, by a watch that says that there is a newer one.
    Fired,
    /// To stdout.
    Printed,
}

/// Runs `kvx-out` into a fault, in one of its ways. A newer document waits in Consul, unless `fault` does away with it.
/// Nothing may happen to the file; and once the fault is over (`mend`), the same command installs and reloads, once.
fn survives(
    way: Way,
    consul: &Arc<Consul>,
    fault: impl Fn(&Place) -> String,
    mend: impl Fn(&Place),
    failed: impl Fn(&Place, Ran),
) {
    let place = Place::at(consul.clone());
    let folder = format!("kvexpress/{}", place.key);
    if matches!(way, Way::Again | Way::Fired) {
        consul.put_pair(&folder, lines(20));
        kvx_out(&place, &consul.address).run().expect(0);
        assert_eq!((place.content(), place.runs().len()), (lines(20), 1));
    }
    consul.put_pair(&folder, lines(30));
    // What a watch would bring, without starting one for each of hundreds of cases.
    let payload = (way == Way::Fired).then(|| consul.entry(&place.kv("checksum")).unwrap().to_string());
    let address = fault(&place);
    let before = look(&place);
    let run = match way {
        Way::Printed => Run::new("kvx-out", &address).args(["-k", &place.key, "-f", "-"]),
        _ => kvx_out(&place, &address),
    };
    let ran = in_time(payload.iter().fold(run.args(["--max-size", "64K"]), |run, payload| run.payload(payload)));
    assert_eq!(ran.out(), "", "nothing unverified on stdout");
    assert_eq!(look(&place), before);
    assert!(ran.stderr.starts_with("kvx-out: ") && ran.stderr.contains(&place.key), "{}", ran.stderr);
    if way != Way::Printed {
        assert!(ran.stderr.contains(place.file().to_str().unwrap()), "the file is named: {}", ran.stderr);
    }
    failed(&place, ran);

    mend(&place);
    let runs = place.runs().len();
    kvx_out(&place, &consul.address).run().expect(0);
    assert_eq!((place.content(), place.runs().len()), (lines(30), runs + 1), "afterwards");
    assert_eq!(place.beside(), ["hosts"]);
}

/// Each case in each way.
fn in_all_ways<C>(cases: Vec<C>) -> Vec<(Arc<C>, Way)> {
    let cases = cases.into_iter().map(Arc::new);
    cases.flat_map(|case| ALL.map(|way| (case.clone(), way))).collect()
}

const ALL: [Way; 4] = [Way::First, Way::Again, Way::Fired, Way::Printed];

// Faults on the way: by a gate.

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
    let is_it_up = "is the agent up? -s or CONSUL_HTTP_ADDR names another";
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
        let says = ["HTTP 200, but not an answer of Consul's", is_it_consul];
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
            // An older Consul is asked more, to which some of the faults are answers; and a lost answer may be a success.
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
            assert!(place.beside().is_empty() && place.runs().is_empty());
            place.upload(lines(20));
            kvx_out(&place, &consul.address).args(["--wait", "20s"]).run().expect(0).says(&["installed"]);
        },
    );
}

/// As messages show a checksum.
fn short(document: impl AsRef<[u8]>) -> String {
    format!("{}…", &sha256(document)[..8])
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
    // A token must not go where Consul's answers, or somebody on the way, send it.
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
    assert!(place.beside().is_empty() && place.runs().is_empty());
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

// Lost answers: Consul does what is asked, and nobody hears of it.

struct Lost {
    name: &'static str,
    /// Data and checksum in Consul before.
    before: (Option<String>, Option<String>),
    upload: String,
    /// Of the writes that it takes, the answer to this one is lost.
    write: usize,
    replaced: String,
    expect: Option<String>,
}

/// 450 KB: too large for a transaction.
fn large(seed: u32) -> String {
    (0..45_000).map(|line| format!("{:09}\n", line + seed)).collect()
}

fn lost_answers() -> Vec<Lost> {
    let mut cases = Vec::new();
    let whole = |document: String| (Some(document.clone()), Some(sha256(document)));
    let mut add = |name, before, upload: &String, write, replaced: String, expect| {
        cases.push(Lost { name, before, upload: upload.clone(), write, replaced, expect });
    };
    let (old, new, old_large, new_large) = (lines(20), lines(30), large(1), large(2));
    let first = || "the first of this key".to_owned();
    let torn = || "in place of a torn pair".to_owned();
    let instead = |document: &String| format!("in place of {}", short(document));
    add("the first", (None, None), &new, 1, first(), None);
    add("in place of another", whole(old.clone()), &new, 1, instead(&old), None);
    add("torn", (Some("torn\n".into()), Some(sha256(&old))), &new, 1, torn(), None);
    add("torn, with our checksum", (Some("torn\n".into()), Some(sha256(&new))), &new, 1, torn(), None);
    add("torn, with our data", (Some(new.clone()), None), &new, 1, torn(), None);
    add("a checksum alone", (None, Some(sha256(&new))), &new, 1, torn(), None);
    add("--expect", whole(old.clone()), &new, 1, instead(&old), Some(sha256(&old)));
    for write in [1, 2] {
        add("large, the first", (None, None), &new_large, write, first(), None);
        add("large, in place of another", whole(old_large.clone()), &new_large, write, instead(&old_large), None);
        add("large, in place of a small one", whole(old.clone()), &new_large, write, instead(&old), None);
        add("large, torn", (Some("torn\n".into()), Some(sha256(&new_large))), &new_large, write, torn(), None);
        let expect = Some(sha256(&old_large));
        add("large, --expect", whole(old_large.clone()), &new_large, write, instead(&old_large), expect);
    }
    add("large, torn, with our data", (Some(new_large.clone()), None), &new_large, 1, torn(), None);
    add("small, in place of a large one", whole(old_large.clone()), &new, 1, instead(&old_large), None);
    cases
}

fn put(place: &Place, pair: &(Option<String>, Option<String>)) {
    for (part, value) in [("data", &pair.0), ("checksum", &pair.1)] {
        if let Some(value) = value {
            place.consul.put(&place.kv(part), value);
        }
    }
}

#[test]
fn an_upload_whose_answer_is_lost_reports_what_really_became_of_it() {
    let consul = Consul::shared();
    each(
        &lost_answers(),
        |lost| format!("{}, write {}", lost.name, lost.write),
        |lost| {
            for (how, act) in [
                ("no answer", Act::CutAnswer(0)),
                ("half a first line", Act::CutAnswer(9)),
                ("all but the last byte", Act::CutAnswerBeforeItsLast(1)),
            ] {
                let place = Place::at(consul.clone());
                put(&place, &lost.before);
                let write = lost.write;
                let lose = move |it: &Request| it.step == Step::Write && it.nth == write;
                let gate = Gate::to(&consul.address, move |it| if lose(it) { act.clone() } else { Act::Pass });
                let run =
                    lost.expect.iter().fold(kvx_in(&place, &gate.address), |run, sum| run.args(["--expect", sum]));
                let ran = run.stdin(&lost.upload).run();
                assert!(gate.requests().iter().any(lose), "{how}: an answer was lost");
                let ran = ran.expect(0);
                assert!(ran.stderr.contains(&format!("uploaded, {}", lost.replaced)), "{how}: {}", ran.stderr);
                ran.says(&[]);
                place.assert_pair_is_whole();
                assert_eq!(place.consul.text(&place.kv("data")).unwrap(), lost.upload, "{how}");
                // Made once: the checksum was changed together with its data, or after it, and never again. (And it
                // was changed, even where it was ours before: a watch on it must fire.)
                let (data, checksum) =
                    (place.consul.modify_index(&place.kv("data")), place.consul.modify_index(&place.kv("checksum")));
                let in_two_steps = lost.upload.len() > 400_000 || lost.before.0.as_ref() == Some(&lost.upload);
                assert!(if in_two_steps { data < checksum } else { data == checksum }, "{how}: {data} {checksum}");
            }
        },
    );
}

#[test]
fn an_upload_all_of_whose_answers_are_lost_ends_in_time_and_leaves_a_whole_pair() {
    let place = Place::new();
    place.upload(lines(20));
    let gate = Gate::to(&place.consul.address, |it| if it.step == Step::Write { Act::CutAnswer(0) } else { Act::Pass });
    let ran = in_time(kvx_in(&place, &gate.address).stdin(lines(30))).expect(69);
    ran.says(&["kvx-in: ", &place.key, "Consul at", &gate.address]);
    place.assert_pair_is_whole();
    assert_eq!(place.consul.text(&place.kv("data")).unwrap(), lines(30), "it was made");
    // The next run finds out.
    kvx_in(&place, &place.consul.address).stdin(lines(30)).run().expect(0).is_silent();
}

#[test]
fn somebody_elses_upload_after_a_lost_answer_is_not_reported_as_ours() {
    let place = Place::new();
    place.upload(lines(20));
    let (consul, folder) = (place.consul.clone(), format!("kvexpress/{}", place.key));
    let gate = Gate::to(&place.consul.address, move |it| {
        if it.step == Step::Write && it.nth == 1 {
            // Never made; and before it is tried again, somebody else uploads something.
            consul.put_pair(&folder, lines(25));
            return Act::Say(Vec::new());
        }
        Act::Pass
    });
    let ran = kvx_in(&place, &gate.address).stdin(lines(30)).run().expect(0);
    ran.says(&["30 lines", "uploaded, in place of", &short(lines(25))]);
    place.assert_pair_is_whole();
}

#[test]
fn a_request_cut_anywhere_on_its_way_to_consul_changes_nothing_and_is_made_again() {
    let consul = Consul::shared();
    let cases: Vec<usize> = (0..560).step_by(23).collect();
    each(
        &cases,
        |at| format!("after {at} bytes"),
        |&at| {
            let place = Place::at(consul.clone());
            place.upload(lines(20));
            let gate = Gate::to(&consul.address, move |it| if it.nth == 1 { Act::CutRequest(at) } else { Act::Pass });
            let ran = kvx_in(&place, &gate.address).stdin(lines(30)).run().expect(0);
            ran.says(&["uploaded, in place of", &short(lines(20))]);
            place.assert_pair_is_whole();
            assert_eq!(place.consul.text(&place.kv("data")).unwrap(), lines(30));
        },
    );
}

#[test]
fn an_answer_cut_anywhere_is_never_installed_and_is_asked_for_again() {
    let consul = Consul::shared();
    // Its last bytes too. (Before Consul 1.14, the first answer is that the verb is unknown: not the one to be cut.)
    let (from_start, from_end) = ((0..900).step_by(31), [1, 2, 3, 10, 100]);
    let cases: Vec<Act> =
        from_start.map(Act::CutAnswer).chain(from_end.into_iter().map(Act::CutAnswerBeforeItsLast)).collect();
    let verb: &[u8] = if consul.has_get_or_empty() { b"get-or-empty" } else { b"get-tree" };
    let brings_it = move |it: &Request| it.body.windows(verb.len()).any(|word| word == verb);
    each(
        &cases,
        |act| format!("{act:?}"),
        |act| {
            let place = Place::at(consul.clone());
            place.upload(lines(30));
            let (cut, times) = (act.clone(), AtomicUsize::new(0));
            let gate = Gate::to(&consul.address, move |it| {
                if brings_it(it) && times.fetch_add(1, Ordering::SeqCst) == 0 { cut.clone() } else { Act::Pass }
            });
            kvx_out(&place, &gate.address).run().expect(0).says(&["30 lines", "installed"]);
            assert_eq!(gate.requests().iter().filter(|it| brings_it(it)).count(), 2);
            assert_eq!((place.content(), place.runs().len()), (lines(30), 1));
            // And for ever: not even a part of it.
            let cut = act.clone();
            let gate = Gate::to(&consul.address, move |it| if brings_it(it) { cut.clone() } else { Act::Pass });
            place.upload(lines(40));
            let before = look(&place);
            let run = kvx_out(&place, &gate.address).args(["--timeout", "200ms"]);
            run.run().expect(69).says(&[&place.key, "Consul at"]);
            assert_eq!(look(&place), before);
        },
    );
}

#[test]
fn a_race_that_is_always_lost_ends_with_try_again() {
    let place = Place::new();
    place.upload(lines(20));
    let before = in_consul(&place);
    let stale = r#"{"Results":null,"Errors":[{"OpIndex":1,"What":"failed to set key \"k\", index is stale"}]}"#;
    let gate = Gate::to(&place.consul.address, move |it| match it.step {
        Step::Read => Act::Pass,
        Step::Write => Act::Say(http("409 Conflict", stale)),
    });
    let ran = kvx_in(&place, &gate.address).stdin(lines(30)).run().expect(75);
    ran.says(&["kvx-in: ", &place.key, "index is stale", "run it again"]);
    let requests = gate.requests();
    let writes: Vec<usize> = (0..requests.len()).filter(|&at| requests[at].step == Step::Write).collect();
    assert!(writes.len() > 2, "somebody else was faster, so it tries again");
    assert!(writes.windows(2).all(|pair| pair[1] > pair[0] + 1), "but never without reading again");
    assert_eq!(in_consul(&place), before);
}

// Faults of what is in Consul: a real one holds it.

struct Content {
    name: &'static str,
    data: Option<(Vec<u8>, u64)>,
    checksum: Option<String>,
    status: i32,
    says: [&'static str; 2],
}

fn contents() -> Vec<Content> {
    let document = lines(30);
    let whole = Some(sha256(&document));
    let raw = |bytes: &[u8]| Some((bytes.to_vec(), 0));
    let torn = |name, data, checksum, why| Content {
        name,
        data,
        checksum,
        status: 75,
        says: [why, "upload the document again with kvx-in"],
    };
    let no_match = "its data does not have its checksum";
    let mut cases = vec![
        torn("a wrong checksum", raw(document.as_bytes()), Some(sha256("other")), no_match),
        torn("data without its last byte", raw(&document.as_bytes()[..document.len() - 1]), whole.clone(), no_match),
        torn("data with a byte too many", raw(format!("{document}\n").as_bytes()), whole.clone(), no_match),
        torn("half of the data", raw(&document.as_bytes()[..document.len() / 2]), whole.clone(), no_match),
        torn("empty data", raw(b""), whole.clone(), no_match),
        torn("a flipped bit", raw(document.replacen('1', "0", 1).as_bytes()), whole.clone(), no_match),
        torn("brotli that is none", Some((vec![0xce, 0xb2, 0xcf, 0x81], 1)), whole.clone(), no_match),
        torn("base64 that is no gzip", raw(b"SGVsbG8gd29ybGQ="), whole.clone(), no_match),
        torn("an empty checksum", raw(document.as_bytes()), Some(String::new()), "no SHA-256"),
        torn("a checksum that is none", raw(document.as_bytes()), Some("0123abcd".into()), "no SHA-256"),
        torn(
            "a checksum without its last digit",
            raw(document.as_bytes()),
            Some(sha256(&document)[..63].into()),
            "no SHA-256",
        ),
        torn("data alone", raw(document.as_bytes()), None, "data without a checksum"),
        torn("a checksum alone", None, whole, "a checksum without data"),
    ];
    let mut refused = |name, document: String, says| {
        let (data, checksum) = (Some((document.clone().into_bytes(), 0)), Some(sha256(document)));
        cases.push(Content { name, data, checksum, status: 65, says });
    };
    refused("a short file", lines(9), ["has 9 lines, at least 10", "lower -l"]);
    refused("an empty file", String::new(), ["is empty, at least 10", "lower -l"]);
    refused("a file larger than allowed", lines(14_000), ["at most 65536 bytes", "--max-size"]);
    refused("an answer larger than allowed", large(1), ["larger than", "--max-size"]);
    cases
}

#[test]
fn kvx_out_installs_nothing_that_is_torn_short_or_too_large() {
    let consul = Consul::shared();
    each(
        &in_all_ways(contents()),
        |(case, way)| format!("{}, {way:?}", case.name),
        |(case, way)| {
            let spoil = |place: &Place| {
                for (part, value) in [
                    ("data", case.data.clone()),
                    ("checksum", case.checksum.clone().map(|checksum| (checksum.into_bytes(), 0))),
                ] {
                    match value {
                        Some((bytes, flags)) => consul.put_flags(&place.kv(part), bytes, flags),
                        None => consul.delete(&place.kv(part)),
                    }
                }
                consul.address.clone()
            };
            let failed = |place: &Place, ran: Ran| {
                let path = place.kv("data");
                let mut says = vec!["kvx-out: ", place.key.as_str(), case.says[0], case.says[1]];
                if case.status == 75 {
                    assert!(ran.stderr.contains(&path), "{}", ran.stderr);
                    says.insert(2, "torn");
                }
                ran.expect(case.status).says(&says);
            };
            // And kvx-in mends it.
            let mend = |place: &Place| {
                let ran = place.kvx_in().stdin(lines(30)).run().expect(0);
                ran.says(&["uploaded, in place of", if case.status == 75 { "a torn pair" } else { "…" }]);
                place.assert_pair_is_whole();
            };
            survives(*way, &consul, spoil, mend, failed);
        },
    );
}

#[test]
fn kvx_out_installs_nothing_of_a_folder_payload_that_is_torn_or_short() {
    let consul = Consul::shared();
    let cases: Vec<Content> =
        contents().into_iter().filter(|case| case.name != "an answer larger than allowed").collect();
    each(
        &cases,
        |case| case.name.to_owned(),
        |case| {
            let place = Place::at(consul.clone());
            place.upload(lines(20));
            kvx_out(&place, &consul.address).run().expect(0);
            for (part, value) in
                [("data", case.data.clone()), ("checksum", case.checksum.clone().map(|sum| (sum.into_bytes(), 0)))]
            {
                match value {
                    Some((bytes, flags)) => consul.put_flags(&place.kv(part), bytes, flags),
                    None => consul.delete(&place.kv(part)),
                }
            }
            let before = look(&place);
            let run = kvx_out(&place, &consul.address).args(["--max-size", "64K"]).payload(place.payload(""));
            in_time(run).expect(case.status).says(&["kvx-out: ", &place.key, case.says[0], case.says[1]]);
            assert_eq!(look(&place), before);
        },
    );
}

#[test]
fn kvx_out_of_a_key_that_is_not_there_leaves_the_file() {
    let consul = Consul::shared();
    let delete = |place: &Place| {
        consul.delete(&place.kv("data"));
        consul.delete(&place.kv("checksum"));
        consul.address.clone()
    };
    let failed = |place: &Place, ran: Ran| {
        let path = place.kv("data");
        ran.expect(66).says(&[
            "kvx-out: ",
            &place.key,
            "there is no",
            &path,
            "upload it with kvx-in, or check -k and -p",
        ]);
    };
    let mend = |place: &Place| drop(place.upload(lines(30)));
    // A payload says of itself whether there is something: another matter, and no failure.
    for way in [Way::First, Way::Again, Way::Printed] {
        survives(way, &consul, delete, mend, failed);
    }
}

#[test]
fn a_payload_that_is_garbage_leaves_the_file() {
    let place = Place::new();
    place.upload(lines(20));
    kvx_out(&place, &place.consul.address).run().expect(0);
    let before = look(&place);
    place.upload(lines(30));
    for (payload, status) in [
        ("garbage", 65),
        ("{", 65),
        ("[", 65),
        ("42", 65),
        (r#"{"Key":"kvexpress/x/data"}"#, 65),
        (r#"{"Key":"kvexpress/x/data","ModifyIndex":1,"Value":"%%"}"#, 65),
        (r#"{"Key":"elsewhere/x/data","ModifyIndex":1,"Value":"YQ=="}"#, 64),
        (r#"{"Key":"kvexpress/x","ModifyIndex":1,"Value":"YQ=="}"#, 64),
        ("[]", 64),
    ] {
        // Without -k, the payload must name the key.
        let run = place.kvx_out_bare().args(["-e", &place.handler()]).payload(payload);
        in_time(run).expect(status).says(&["kvx-out: ", "payload", "-k"]);
        assert_eq!(look(&place), before, "{payload}");
    }
    // A watch that never ends what it writes: with a key, a payload is asked for too if CONSUL_INDEX is set.
    let started = Instant::now();
    let run = kvx_out(&place, &place.consul.address).env("CONSUL_INDEX", "1").args(["--timeout", "1s"]);
    let mut child = run.spawn();
    let stdin = child.stdin.take(); // kept open
    let ran = Ran::from(child.wait_with_output().unwrap()).expect(74);
    assert!(started.elapsed() < TIMEOUT + SLACK);
    drop(stdin);
    ran.says(&["kvx-out: ", "payload on stdin has not ended within 1s"]);
    assert_eq!(look(&place), before);
}

#[test]
fn kvx_in_sends_nothing_of_an_input_that_is_bad() {
    let consul = Consul::shared();
    struct Input {
        name: &'static str,
        arguments: &'static [&'static str],
        stdin: String,
        status: i32,
        says: &'static [&'static str],
    }
    let bad = |name, arguments, stdin, status, says| Input { name, arguments, stdin, status, says };
    let cases = [
        bad("empty", &[], String::new(), 65, &["stdin was empty", "< FILE", "-l 0"]),
        bad("short", &[], lines(9), 65, &["has 9 lines, at least 10 are wanted", "lower -l"]),
        bad("no line ends", &[], "x".repeat(5_000), 65, &["has 1 line, at least 10 are wanted", "lower -l"]),
        bad("too large", &[], "xxxx\n".repeat(200_000), 65, &["at most 524288 bytes", "--max-size"]),
        bad("larger than asked", &["--max-size=100"], lines(100), 65, &["at most 100 bytes", "--max-size"]),
        bad(
            "no such file",
            &["-f", "/nonexistent"],
            String::new(),
            74,
            &["/nonexistent", "No such file", "name a file"],
        ),
        bad("a directory", &["-f", "/"], String::new(), 74, &["/", "directory"]),
        bad("a command that fails", &["--", "false"], String::new(), 74, &["false", "exit status: 1", "nothing was"]),
        bad("no such command", &["--", "/nonexistent"], String::new(), 74, &["/nonexistent", "No such file"]),
        bad(
            "a command that dies halfway",
            &["--", "sh", "-c", "seq 1000; kill -KILL $$"],
            String::new(),
            74,
            &["sh", "signal: 9", "nothing was uploaded"],
        ),
        bad(
            "a command that never ends",
            &["--", "sh", "-c", "seq 1000; exec sleep 60"],
            String::new(),
            74,
            &["sh", "took longer than 3s", "--timeout"],
        ),
    ];
    each(
        &cases,
        |case| case.name.to_owned(),
        |case| {
            let place = Place::at(consul.clone());
            place.upload(lines(20));
            let before = in_consul(&place);
            let gate = Gate::open(&consul.address);
            let run = kvx_in(&place, &gate.address).args(["--timeout", "3s"]).args(case.arguments).stdin(&case.stdin);
            let started = Instant::now();
            let ran = run.run();
            assert!(started.elapsed() < TIMEOUT + SLACK, "{}", ran.stderr);
            assert_eq!(in_consul(&place), before);
            let ran = ran.expect(case.status);
            let says: Vec<&str> = ["kvx-in: ", &place.key].into_iter().chain(case.says.iter().copied()).collect();
            ran.says(&says);
            assert!(gate.requests().iter().all(|request| request.step == Step::Read), "nothing was written");
        },
    );
    // Larger than Consul takes, and let through: not by way of the gate, since Consul answers before it has read it all.
    let place = Place::new();
    place.upload(lines(20));
    let before = in_consul(&place);
    let run = kvx_in(&place, &consul.address).args(["--max-size", "2M"]).stdin("xxxx\n".repeat(200_000));
    // It has to get there, and its answer back: that is not what is to be quick.
    run.run().expect(65).says(&["kvx-in: ", &place.key, "too large", "413", "make the document smaller"]);
    assert_eq!(in_consul(&place), before);
    // stdin that never ends.
    let place = Place::new();
    let gate = Gate::open(&consul.address);
    let started = Instant::now();
    let mut child = kvx_in(&place, &gate.address).args(["--timeout", "1s"]).spawn();
    let stdin = child.stdin.take();
    let ran = Ran::from(child.wait_with_output().unwrap()).expect(74);
    assert!(started.elapsed() < TIMEOUT + SLACK);
    drop(stdin);
    ran.says(&["kvx-in: ", &place.key, "stdin has not ended within 1s", "--timeout"]);
    assert_eq!(gate.connections(), 0);
}

// Faults of the agent: a real one, which is killed, stopped and started.

#[test]
fn nobody_listens() {
    let consul = Consul::shared();
    // At an address of this test alone: a port that was free a moment ago, another one may have by now.
    let address = format!("{}:1", Consul::free_ip());
    let failed = |place: &Place, ran: Ran| {
        let says = ["kvx-out: ", &place.key, "Consul at http://", &address, "refused", "is the agent up?", "-s"];
        ran.expect(69).says(&says);
    };
    each(&ALL, |way| format!("{way:?}"), |&way| survives(way, &consul, |_| address.clone(), |_| {}, failed));
    let place = Place::new();
    place.upload(lines(20));
    let before = in_consul(&place);
    let ran = in_time(kvx_in(&place, &address).stdin(lines(30))).expect(69);
    ran.says(&["kvx-in: ", &place.key, "Consul at http://", &address, "refused", "is the agent up?", "-s"]);
    assert_eq!(in_consul(&place), before);
}

/// Stops a process, and waits until all of its threads have stopped: one may be answering a request just now.
fn stall_all_of(agent: Pid) {
    kill(agent, Signal::SIGSTOP).unwrap();
    wait_for("all threads to stop", 10, || {
        let mut threads = std::fs::read_dir(format!("/proc/{agent}/task")).unwrap().flatten();
        let stopped = threads.all(|thread| {
            // One that has ended meanwhile has stopped, too.
            let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or(") T ".into());
            stat.contains(") T ")
        });
        stopped.then_some(())
    });
}

#[test]
fn an_agent_that_stalls_is_not_waited_for_for_ever() {
    let consul = Arc::new(Consul::dev(""));
    let agent = Pid::from_raw(consul.pid().try_into().unwrap());
    let stall = |_: &Place| {
        // Its sockets still take connections and requests; nobody reads them.
        stall_all_of(agent);
        consul.address.clone()
    };
    let failed = |place: &Place, ran: Ran| {
        ran.expect(69).says(&["kvx-out: ", &place.key, "Consul at", "no answer in time", "is the agent up?"]);
    };
    for way in ALL {
        survives(way, &consul, stall, |_| kill(agent, Signal::SIGCONT).unwrap(), failed);
    }
    let place = Place::at(consul.clone());
    place.upload(lines(20));
    let before = in_consul(&place);
    stall_all_of(agent);
    let ran = in_time(kvx_in(&place, &consul.address).stdin(lines(30)));
    kill(agent, Signal::SIGCONT).unwrap();
    ran.expect(69).says(&["kvx-in: ", &place.key, "Consul at", "no answer in time", "is the agent up?"]);
    assert_eq!(in_consul(&place), before, "only its read was under way");
}

#[test]
fn an_agent_that_stalls_between_read_and_write_leaves_a_whole_pair() {
    let consul = Arc::new(Consul::dev(""));
    let agent = Pid::from_raw(consul.pid().try_into().unwrap());
    let place = Place::at(consul.clone());
    place.upload(lines(20));
    let gate = Gate::to(&consul.address, move |it| {
        if it.step == Step::Write && it.nth == 1 {
            stall_all_of(agent);
        }
        Act::Pass
    });
    let ran = in_time(kvx_in(&place, &gate.address).stdin(lines(30)));
    kill(agent, Signal::SIGCONT).unwrap();
    ran.expect(69).says(&["kvx-in: ", &place.key, "Consul at", "no answer in time"]);
    let entries: Vec<serde_json::Value> = serde_json::from_slice(&in_consul(&place)).unwrap();
    assert_eq!(entries[0]["ModifyIndex"], entries[1]["ModifyIndex"], "changed together, if at all");
    // It may still be made, or not: the next run finds out.
    kvx_in(&place, &consul.address).stdin(lines(30)).run().expect(0);
    place.assert_pair_is_whole();
    assert_eq!(place.consul.text(&place.kv("data")).unwrap(), lines(30));
}

/// Waits for the line that says that it is trying again; what it says afterwards is read too.
fn await_second_try(child: &mut Child) -> thread::JoinHandle<String> {
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    assert!(line.contains("trying again"), "{line}");
    thread::spawn(move || {
        let mut rest = String::new();
        stderr.read_to_string(&mut rest).unwrap();
        rest
    })
}

#[test]
fn an_agent_that_is_killed_and_comes_back_is_waited_for() {
    let consul = Arc::new(Consul::server(""));
    let place = Place::at(consul.clone());
    place.upload(lines(20));
    kvx_out(&place, &consul.address).run().expect(0);

    // Killed between the read and the write: nothing is written, and then it is.
    let (killed, back) = (consul.clone(), Arc::new(Mutex::new(None)));
    let to_come = back.clone();
    let gate = Gate::to(&consul.address, move |it| {
        if it.step == Step::Write && it.nth == 1 {
            killed.down();
            let restarted = killed.clone();
            *to_come.lock().unwrap() = Some(thread::spawn(move || restarted.up()));
        }
        Act::Pass
    });
    let ran = kvx_in(&place, &gate.address).stdin(lines(30)).run().expect(0);
    ran.says(&["30 lines", "uploaded, in place of", &short(lines(20))]);
    back.lock().unwrap().take().expect("a restart").join().unwrap();
    place.assert_pair_is_whole();

    // Down: runs that were started meanwhile end well once it is up, and runs without such patience end at once.
    consul.down();
    let before = look(&place);
    let says = [place.key.as_str(), "Consul at", "refused", "is the agent up?"];
    in_time(kvx_out(&place, &consul.address)).expect(69).says(&says);
    in_time(kvx_in(&place, &consul.address).stdin(lines(40))).expect(69).says(&says);
    assert_eq!(look(&place), before);
    let mut out = kvx_out(&place, &consul.address).arg("-v").spawn();
    let out_says = await_second_try(&mut out);
    assert_eq!(look(&place), before);
    consul.up();
    assert!(out.wait().unwrap().success());
    let said = out_says.join().unwrap();
    assert!(said.lines().last().unwrap().contains("30 lines"), "the last line says what was done: {said}");
    assert_eq!((place.content(), place.runs().len(), place.beside()), (lines(30), 2, vec!["hosts".to_owned()]));
    place.assert_pair_is_whole();
}
