//! Promise 4: without a change, nothing is done; a watch whose payload contains the document sends no request at all.
//! Every request is counted and compared, in front of a real Consul.

use crate::common::gate::{Gate, Request};
use crate::common::proxy::Counter;
use crate::common::{self, Place, Ran, lines, sha256};

/// Every request that is not about a large document is this one.
const TRANSACTION: &str = "PUT /v1/txn HTTP/1.1";

/// A read is one transaction; before Consul 1.14, one that it does not understand and one more.
fn read(place: &Place) -> usize {
    if place.consul.has_get_or_empty() { 1 } else { 2 }
}

/// Before Consul 1.14, an absent key is asked for once more, to tell absent from denied: data and checksum.
fn read_of_nothing(place: &Place) -> usize {
    if place.consul.has_get_or_empty() { 1 } else { 4 }
}

/// The names of the versions are read before each upload that changes something.
fn names(place: &Place) -> String {
    format!("GET /v1/kv/kvexpress/kvx/history/{}/?keys&consistent HTTP/1.1", place.key)
}

fn counter(place: &Place) -> Counter {
    Counter::to(&place.consul.address)
}

fn upload(place: &Place, counter: &Counter, document: &str) -> Ran {
    place.kvx_in().args(["-s", &counter.address]).stdin(document).run().expect(0)
}

fn download(place: &Place, counter: &Counter) -> Ran {
    place.kvx_out().args(["-s", &counter.address, "-e", &place.handler()]).run().expect(0)
}

fn fire(place: &Place, counter: &Counter, payload: &str) -> Ran {
    place.kvx_out().args(["-s", &counter.address, "-e", &place.handler()]).payload(payload).run().expect(0)
}

#[track_caller]
fn assert_transactions(counter: &Counter, n: usize) {
    assert_eq!(counter.requests(), vec![TRANSACTION; n]);
}

/// 450 KB: too large for a transaction, not too large for Consul.
fn large(seed: u32) -> String {
    (0..45_000).map(|line| format!("{:09}\n", line + seed)).collect()
}

#[test]
fn an_upload_of_a_first_document_reads_it_and_the_history_once_and_writes_once() {
    let place = Place::new();
    let counter = counter(&place);
    upload(&place, &counter, &lines(20));
    let requests = counter.requests();
    assert_eq!(requests.len(), read_of_nothing(&place) + 2, "{requests:?}");
    assert_eq!(requests[requests.len() - 2..], [names(&place).as_str(), TRANSACTION]);
    place.assert_pair_is_whole();
}

#[test]
fn an_upload_of_a_changed_document_reads_it_and_the_history_once_and_writes_once() {
    let place = Place::new();
    place.upload(lines(20));
    let counter = counter(&place);
    // The next versions, one whose document is in the history, one that kvexpress wrote in between, and a lower limit.
    for (document, keep) in [(21, "20"), (22, "20"), (20, "20"), (24, "20"), (25, "2")] {
        if document == 24 {
            place.consul.put_pair(&place.kv("")[..place.kv("").len() - 1], lines(23));
        }
        let names = names(&place);
        let run = place.kvx_in().args(["-s", &counter.address, "--keep", keep]);
        run.stdin(lines(document)).run().expect(0).says(&["uploaded"]);
        let mut expected = vec![TRANSACTION; read(&place)];
        expected.extend([names.as_str(), TRANSACTION]);
        assert_eq!(counter.requests(), expected);
        place.assert_pair_is_whole();
    }
}

#[test]
fn without_history_an_upload_reads_once_and_writes_once() {
    let place = Place::new();
    place.upload(lines(20));
    let counter = counter(&place);
    place.kvx_in().args(["-s", &counter.address, "--keep", "0"]).stdin(lines(21)).run().expect(0);
    assert_transactions(&counter, read(&place) + 1);
    place.assert_pair_is_whole();
}

#[test]
fn an_upload_of_an_unchanged_document_reads_once_and_writes_nothing() {
    let place = Place::new();
    place.upload(lines(20));
    let index = place.consul.modify_index(&place.kv("checksum"));
    let counter = counter(&place);
    upload(&place, &counter, &lines(20)).is_silent();
    assert_transactions(&counter, read(&place));
    assert_eq!(place.consul.modify_index(&place.kv("checksum")), index);
}

#[test]
fn an_upload_to_a_stopped_key_reads_once_and_writes_nothing() {
    let place = Place::new();
    place.upload(lines(20));
    place.consul.put(&place.kv("stop"), "maintenance");
    let counter = counter(&place);
    upload(&place, &counter, &lines(21)).says(&["stopped", "maintenance"]);
    assert_transactions(&counter, read(&place));
    assert_eq!(place.consul.text(&place.kv("data")).unwrap(), lines(20));
}

#[test]
fn a_dry_run_reads_once_and_writes_nothing() {
    let place = Place::new();
    place.upload(lines(20));
    let counter = counter(&place);
    let ran = place.kvx_in().args(["-n", "-s", &counter.address]).stdin(lines(21)).run().expect(0);
    assert!(ran.out().contains("+21\n"), "{}", ran.out());
    assert_transactions(&counter, read(&place));
    assert_eq!(place.consul.text(&place.kv("data")).unwrap(), lines(20));
}

#[test]
fn a_refused_input_makes_no_request() {
    let place = Place::new();
    let counter = counter(&place);
    for (name, input) in [("short", lines(9)), ("empty", String::new()), ("too large", "x\n".repeat(300_000))] {
        place.kvx_in().args(["-s", &counter.address]).stdin(input).run().expect(65);
        assert!(counter.requests().is_empty(), "{name}");
    }
}

#[test]
fn an_upload_of_a_document_too_large_for_a_transaction_takes_six_requests_and_four_without_history() {
    let place = Place::new();
    place.upload(large(1));
    let counter = counter(&place);
    for (seed, keep) in [(2, "20"), (3, "0")] {
        let index = place.consul.modify_index(&place.kv("data"));
        let run = place.kvx_in().args(["-s", &counter.address, "--keep", keep]);
        run.stdin(large(seed)).run().expect(0).says(&["uploaded"]);
        let (names, sum) = (names(&place), sha256(large(seed)));
        let part = format!("PUT /v1/kv/kvexpress/kvx/parts/{}/{sum}?flags=1 HTTP/1.1", place.key);
        let put = format!("PUT /v1/kv/{}?cas={index} HTTP/1.1", place.kv("data"));
        // What is there; the history's names and its document; the data; the data again, for its index; the checksum.
        let mut expected = vec![TRANSACTION; read(&place)];
        expected.extend(if keep == "0" { vec![] } else { vec![names.as_str(), &part] });
        expected.push(&put);
        expected.extend(vec![TRANSACTION; read(&place)]);
        expected.push(TRANSACTION);
        assert_eq!(counter.requests(), expected);
        place.assert_pair_is_whole();
        assert_eq!(place.consul.text(&place.kv("checksum")).unwrap(), sum);
    }

    upload(&place, &counter, &large(3)).is_silent();
    assert_transactions(&counter, read(&place));
}

#[test]
fn a_download_of_a_changed_document_reads_once() {
    let place = Place::new();
    let counter = counter(&place);
    for n in [20, 21] {
        place.upload(lines(n));
        download(&place, &counter);
        assert_transactions(&counter, read(&place));
        assert_eq!(place.content(), lines(n));
    }
    assert_eq!(place.runs().len(), 2);
}

#[test]
fn a_download_of_a_large_document_reads_once() {
    let place = Place::new();
    place.upload(large(1));
    let counter = counter(&place);
    download(&place, &counter);
    assert_transactions(&counter, read(&place));
    assert_eq!(place.content(), large(1));
}

#[test]
fn a_download_without_a_payload_reads_once_even_if_nothing_has_changed() {
    let place = Place::new();
    place.upload(lines(20));
    let counter = counter(&place);
    download(&place, &counter);
    counter.requests();
    download(&place, &counter).is_silent();
    assert_transactions(&counter, read(&place));
    assert_eq!(place.runs().len(), 1);
}

#[test]
fn a_watch_that_fires_without_a_change_makes_no_request() {
    let place = Place::new();
    place.upload(lines(20));
    let counter = counter(&place);
    download(&place, &counter);
    counter.requests();
    for watched in ["checksum", "data", ""] {
        let payload = place.payload(watched);
        for round in 1..=2 {
            fire(&place, &counter, &payload).is_silent();
            assert!(counter.requests().is_empty(), "watch on {watched:?}, round {round}");
        }
    }
    assert_eq!(place.runs().len(), 1);
}

#[test]
fn a_watch_of_a_key_that_fires_after_a_change_reads_once() {
    let place = Place::new();
    let counter = counter(&place);
    for (n, watched) in [(20, "checksum"), (21, "checksum"), (22, "data")] {
        place.upload(lines(n));
        fire(&place, &counter, &place.payload(watched));
        assert_transactions(&counter, read(&place));
        assert_eq!(place.content(), lines(n));
    }
    assert_eq!(place.runs().len(), 3);
}

#[test]
fn a_watch_of_a_folder_that_fires_after_a_change_makes_no_request() {
    let place = Place::new();
    let counter = counter(&place);
    // The first installation, then newer ones over it.
    for n in [20, 21, 22] {
        place.upload(lines(n));
        fire(&place, &counter, &place.payload("")).says(&[&format!("{n} lines"), "installed"]);
        assert!(counter.requests().is_empty(), "{n} lines");
        assert_eq!(place.content(), lines(n));
    }
    assert_eq!(place.runs().len(), 3);
}

/// As kvexpress leaves it, or as an agent sees it whose token cannot read the record: it may not see a hold either.
#[test]
fn a_watch_of_a_folder_without_a_record_reads_once() {
    let place = Place::new();
    let counter = counter(&place);
    for document in [lines(20), lines(21)] {
        place.consul.put(&place.kv("data"), &document);
        place.consul.put(&place.kv("checksum"), sha256(&document));
        if document == lines(21) {
            place.consul.put(&place.kv("record"), "kvx 1\nof nothing\n");
        }
        fire(&place, &counter, &place.payload("")).says(&["installed"]);
        assert_transactions(&counter, read(&place));
        assert_eq!(place.content(), document);
    }
}

#[test]
fn a_watch_of_a_folder_that_fires_for_a_document_too_large_for_a_transaction_makes_no_request() {
    let place = Place::new();
    place.upload(large(1));
    let counter = counter(&place);
    fire(&place, &counter, &place.payload(""));
    assert!(counter.requests().is_empty());
    assert_eq!(place.content(), large(1));
}

#[test]
fn a_watch_of_a_folder_that_fires_late_with_an_older_document_reads_once_and_installs_nothing() {
    let place = Place::new();
    let counter = counter(&place);
    place.upload(lines(20));
    let late = place.payload("");
    place.upload(lines(21));
    fire(&place, &counter, &place.payload(""));
    assert!(counter.requests().is_empty());
    fire(&place, &counter, &late).is_silent();
    assert_transactions(&counter, read(&place));
    assert_eq!(place.content(), lines(21));
    assert_eq!(place.runs().len(), 1);
}

#[test]
fn a_watch_of_a_folder_whose_key_is_stopped_makes_no_request() {
    let place = Place::new();
    place.upload(lines(20));
    place.consul.put(&place.kv("stop"), "maintenance");
    let counter = counter(&place);
    fire(&place, &counter, &place.payload("")).says(&["stopped", "maintenance"]);
    assert!(counter.requests().is_empty());
    assert!(place.names().is_empty());
    assert!(place.runs().is_empty());
}

#[test]
fn a_watch_that_fires_for_nothing_makes_no_request() {
    let place = Place::new();
    let counter = counter(&place);
    for watched in ["checksum", ""] {
        let payload = place.payload(watched);
        assert_eq!(payload.trim(), "null");
        fire(&place, &counter, &payload).says(&["the key does not exist"]);
        assert!(counter.requests().is_empty(), "watch on {watched:?}");
    }
    assert!(place.names().is_empty());
}

#[test]
fn a_watch_that_fires_while_a_handler_is_pending_reads_once() {
    let place = Place::new();
    place.upload(lines(20));
    let counter = counter(&place);
    place.kvx_out().args(["-s", &counter.address]).run().expect(0); // Without the handler, which is pending now.
    counter.requests();
    fire(&place, &counter, &place.payload("checksum")).says(&["pending"]);
    assert_transactions(&counter, read(&place));
    assert_eq!(place.runs().len(), 1);
    fire(&place, &counter, &place.payload("checksum")).is_silent();
    assert!(counter.requests().is_empty());
}

#[test]
fn a_stopped_or_locked_download_reads_once_and_a_file_locked_on_the_node_not_at_all() {
    let place = Place::new();
    place.upload(lines(20));
    let counter = counter(&place);

    place.consul.put(&place.kv("stop"), "maintenance");
    download(&place, &counter).says(&["stopped", "maintenance"]);
    assert_transactions(&counter, read(&place));
    place.consul.delete(&place.kv("stop"));

    let hostname = nix::unistd::gethostname().unwrap().into_string().unwrap();
    let lock = format!("kvexpress/locks/{}/{hostname}", sha256(place.file().to_str().unwrap()));
    place.consul.put(&lock, "debugging");
    download(&place, &counter).says(&["locked", "debugging"]);
    assert_transactions(&counter, read(&place));
    place.consul.delete(&lock);

    place.write("out/hosts.locked", "Locked.\nReason Locked: by hand\n");
    download(&place, &counter).says(&["locked", "by hand"]);
    assert!(counter.requests().is_empty());

    assert_eq!(place.names(), ["hosts.locked"]);
    assert!(place.runs().is_empty());
}

#[test]
fn a_download_to_stdout_reads_once() {
    let place = Place::new();
    place.upload(lines(20));
    let counter = counter(&place);
    let ran = common::Run::new("kvx-out", &counter.address).args(["-k", &place.key, "-f", "-"]).run().expect(0);
    assert_eq!(ran.out(), lines(20));
    assert_transactions(&counter, read(&place));
}

#[test]
fn every_upload_carries_its_length_and_none_is_chunked() {
    let place = Place::new();
    let gate = Gate::open(&place.consul.address);
    let upload = |document: &str| {
        place.kvx_in().args(["-s", &gate.address]).stdin(document).run().expect(0);
    };
    upload(&lines(20)); // the first
    upload(&lines(21)); // a change
    upload(&lines(21)); // none
    upload(&large(1)); // in two steps
    place.consul.put(&place.kv("data"), "torn\n");
    upload(&large(1)); // with its checksum there already
    place.kvx_out().args(["-s", &gate.address]).run().expect(0);
    let requests = gate.requests();
    assert!(requests.len() >= 10, "{}", requests.len());
    for request in requests {
        assert_eq!(request.header("Transfer-Encoding"), None, "{request:?}");
        assert_eq!(request.header("Content-Encoding"), None, "Consul would store it as it is: {request:?}");
        let length = request.header("Content-Length").map(|length| length.parse::<usize>().unwrap());
        match request.method.as_str() {
            "PUT" => assert_eq!(length, Some(request.body.len()), "{request:?}"),
            // The names of the versions; the other reads are so only before Consul 1.14.
            "GET" => {
                let is_of_history = request.target.contains("/kvx/history/");
                assert!((is_of_history || !place.consul.has_get_or_empty()) && request.body.is_empty(), "{request:?}");
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!(place.content(), large(1));
}

#[test]
fn one_run_uses_one_connection() {
    let place = Place::new();
    place.upload(lines(20));
    // The gate closes each connection after its answer, so a counter that does not.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (target, connections) = (place.consul.address.clone(), std::sync::Arc::new(std::sync::Mutex::new(0)));
    let counted = connections.clone();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            *counted.lock().unwrap() += 1;
            let server = std::net::TcpStream::connect(&target).unwrap();
            let (mut up, mut down) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut up, &mut down));
            let (mut up, mut down) = (client, server);
            std::thread::spawn(move || std::io::copy(&mut down, &mut up));
        }
    });
    place.kvx_in().args(["-s", &address]).stdin(lines(21)).run().expect(0);
    assert_eq!(*connections.lock().unwrap(), 1);
}

#[test]
fn requests_name_the_key_percent_encoded_and_the_datacenter() {
    let place = Place::new();
    let gate = Gate::open(&place.consul.address);
    let key = format!("{}/a b?c%é", place.key);
    let kvx_in = |document: &str| {
        let run = common::Run::new("kvx-in", &gate.address).args(["-k", &key, "-p", "/my/files/", "--dc", "dc1"]);
        run.stdin(document).run().expect(0)
    };
    kvx_in(&large(1));
    let requests = gate.requests();
    let is_put = |request: &&Request| request.target.starts_with("/v1/kv/") && request.method == "PUT";
    let puts: Vec<_> = requests.iter().filter(is_put).map(|request| request.target.as_str()).collect();
    let name = format!("{}/a%20b%3Fc%25%C3%A9", place.key);
    let part = format!("/v1/kv/my/files/kvx/parts/{name}/{}?flags=1&dc=dc1", sha256(large(1)));
    assert_eq!(puts, [part, format!("/v1/kv/my/files/{name}/data?cas=0&dc=dc1")]);
    for request in requests.iter().filter(|request| !request.target.starts_with("/v1/kv/")) {
        assert_eq!(request.target, "/v1/txn?dc=dc1");
    }
    assert_eq!(place.consul.text(&format!("my/files/{key}/checksum")).unwrap(), sha256(large(1)));
}
