//! The input of kvx-in, and its options: sorted, compressed, uploaded although the key is stopped. Promise 5: bad input
//! is one clear line, and nothing is sent to Consul.

use crate::common::gate::{Act, Gate, Step, http};
use crate::common::{self, Consul, Place, Run, lines, sha256};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use kvx::document::encoding;

/// What nobody can compress: 6 bits in each byte.
fn noise(length: usize) -> Vec<u8> {
    let mut state: u64 = 88_172_645_463_325_252;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        BASE64_STANDARD.encode(state.to_le_bytes())
    };
    let mut text = String::new();
    while text.len() < length {
        text += &next()[..10];
    }
    text.truncate(length);
    text.into_bytes()
}

/// Value, Flags and index of a part of the test's key.
fn entry(place: &Place, part: &str) -> Option<(Vec<u8>, u64, u64)> {
    let entry = place.consul.entry(&place.kv(part))?;
    let value = BASE64_STANDARD.decode(entry["Value"].as_str().unwrap_or_default()).unwrap();
    Some((value, entry["Flags"].as_u64().unwrap(), entry["ModifyIndex"].as_u64().unwrap()))
}

pub fn state(place: &Place) -> [Option<(Vec<u8>, u64, u64)>; 2] {
    ["data", "checksum"].map(|part| entry(place, part))
}

/// The pair in Consul is this document, compressed; how large the value is.
pub fn assert_compressed(place: &Place, document: &[u8]) -> usize {
    let [data, checksum] = state(place).map(Option::unwrap);
    assert_eq!(data.1, 1, "Flags say that it is brotli");
    assert_eq!(encoding::brotli(&data.0, 64 << 20).as_deref(), Some(document));
    assert_eq!((String::from_utf8(checksum.0).unwrap(), checksum.1), (sha256(document), 0));
    data.0.len()
}

fn installed(place: &Place) -> Vec<u8> {
    place.kvx_out().args(["-l", "0"]).run().expect(0);
    std::fs::read(place.file()).unwrap()
}

/// To nobody: what is sent fails with 69, so what fails otherwise has sent nothing.
pub fn to_nobody(place: &Place) -> Run {
    Run::new("kvx-in", "127.0.0.1:1").args(["-k", &place.key, "--timeout", "3s"])
}

#[test]
fn sorted_lines_have_the_checksum_that_kvexpress_gives_them() {
    let place = Place::new();
    let ran = place.kvx_in().args(["-S", "-l", "1"]).stdin("b\n\n a\r\nB\n\nä\nb\n\n").run().expect(0);
    ran.says(&["4 lines", "uploaded"]);
    assert_eq!(place.document().unwrap(), " a\r\nB\nb\nb\nä".as_bytes());
    // kvexpress's own words for these are `sort.Strings` and `strings.Join`.
    assert_eq!(place.consul.text(&place.kv("checksum")).unwrap(), sha256(" a\r\nB\nb\nb\nä"));
    let before = state(&place);
    place.kvx_in().args(["--sorted", "-l", "1"]).stdin("ä\nb\nB\nb\n a\r").run().expect(0).is_silent();
    assert_eq!(state(&place), before);
    assert_eq!(installed(&place), " a\r\nB\nb\nb\nä".as_bytes());
}

#[test]
fn guards_see_what_is_sorted() {
    let place = Place::new();
    // Ten lines are nine newlines, as for kvexpress.
    to_nobody(&place).arg("-S").stdin(lines(10)).run().expect(65).says(&["has 9 lines", "-l"]);
    to_nobody(&place).arg("-S").stdin("\n".repeat(20)).run().expect(65).says(&["stdin was empty"]);
    place.kvx_in().arg("-S").stdin(lines(11)).run().expect(0).says(&["10 lines", "uploaded"]);
    let shrunk = place.kvx_in().args(["-S", "-l", "1", "--max-shrink", "50"]).stdin(lines(4)).run().expect(65);
    shrunk.says(&["shrink from 10 lines to 3"]);
}

#[test]
fn a_compressed_document_comes_out_as_it_was_and_says_how_small_it_is() {
    let place = Place::new();
    for (document, size) in [(lines(600), "2.2 KB"), (String::new(), "0 B"), ("x".into(), "1 B")] {
        let ran = place.kvx_in().args(["-z", "-l", "0"]).stdin(&document).run().expect(0);
        let stored = assert_compressed(&place, document.as_bytes());
        let stored = kvx::util::text::size(stored);
        ran.says(&[size, "uploaded, compressed to", &stored, ", "]);
        assert_eq!(installed(&place), document.as_bytes());
    }
    let binary: Vec<u8> = (0..=255).cycle().take(5000).collect();
    place.kvx_in().args(["--compress", "-l", "0"]).stdin(&binary).run().expect(0);
    assert_compressed(&place, &binary);
    assert_eq!(installed(&place), binary);
    // A keyprefix watch brings it, too.
    let payload = place.payload("");
    std::fs::remove_file(place.file()).unwrap();
    place.kvx_out().args(["-l", "0"]).payload(payload).run().expect(0).says(&["installed"]);
    assert_eq!(std::fs::read(place.file()).unwrap(), binary);
}

#[test]
fn what_is_there_in_whatever_form_is_unchanged() {
    let forms: [&[&str]; 2] = [&[], &["-z"]];
    for form in forms {
        let place = Place::new();
        place.kvx_in().args(form).stdin(lines(600)).run().expect(0);
        let before = state(&place);
        for again in forms {
            place.kvx_in().args(again).stdin(lines(600)).run().expect(0).is_silent();
            let dry = place.kvx_in().arg("-n").args(again).stdin(lines(600)).run().expect(0).says(&["unchanged"]);
            assert_eq!(dry.out(), "");
        }
        assert_eq!(state(&place), before);
        // In the other form, the next document: Flags change with the data.
        let other = forms[usize::from(form.is_empty())];
        place.kvx_in().args(other).stdin(lines(601)).run().expect(0).says(&["in place of 4a0a1fde…"]);
        assert_eq!(entry(&place, "data").unwrap().1, other.len() as u64);
        assert_eq!(installed(&place), lines(601).as_bytes());
    }
}

#[test]
fn a_dry_run_shows_the_difference_of_the_documents_whatever_their_form() {
    let place = Place::new();
    place.kvx_in().arg("-z").stdin(lines(20)).run().expect(0);
    let before = state(&place);
    let plain = place.kvx_in().arg("-n").stdin(lines(21)).run().expect(0);
    let compressed = place.kvx_in().args(["-n", "-z"]).stdin(lines(21)).run().expect(0);
    assert!(plain.out().ends_with(" 20\n+21\n"), "{}", plain.out());
    assert_eq!(plain.out(), compressed.out());
    // Of half an upload, too: what it would be is compared, not how it is stored.
    place.consul.put(&place.kv("checksum"), sha256("other"));
    let torn = place.kvx_in().args(["-n", "-z"]).stdin(lines(21)).run().expect(0);
    assert_eq!(plain.out(), torn.out());
    assert_eq!(state(&place)[0], before[0]);
}

#[test]
fn torn_pairs_are_repaired_compressed_and_their_watches_fire() {
    // One that a transaction carries, and one that takes two steps.
    for document in [lines(600).into_bytes(), noise(570_000)] {
        let ours = {
            let place = Place::new();
            place.kvx_in().args(["-z", "-l", "0"]).stdin(&document).run().expect(0);
            let stored = assert_compressed(&place, &document);
            assert_eq!(stored > 400_000, document.len() > 400_000, "{stored}");
            entry(&place, "data").unwrap().0
        };
        let cases: [(&str, &[u8], u64, Option<String>); 6] = [
            ("nothing of ours", b"theirs", 0, Some(sha256("else"))),
            ("our data, not its checksum", &ours, 1, Some(sha256("theirs"))),
            ("our data alone", &ours, 1, None),
            ("our data, other Flags", &ours, 0, Some(sha256(&document))),
            ("our checksum, not its data", b"theirs", 1, Some(sha256(&document))),
            ("our data as it is, and no checksum", &document[..1000], 0, None),
        ];
        for (name, data, flags, checksum) in cases {
            let place = Place::new();
            place.consul.put_flags(&place.kv("data"), data, flags);
            if let Some(checksum) = checksum {
                place.consul.put(&place.kv("checksum"), checksum);
            }
            let before = entry(&place, "checksum").map(|(.., index)| index);
            let ran = place.kvx_in().args(["-z", "-l", "0"]).stdin(&document).run().expect(0);
            ran.says(&["uploaded, compressed to", "in place of a torn pair"]);
            assert_compressed(&place, &document);
            assert!(before < entry(&place, "checksum").map(|(.., index)| index), "{name}: no watch would fire");
            place.kvx_in().args(["-z", "-l", "0"]).stdin(&document).run().expect(0).is_silent();
        }
    }
}

#[test]
fn expect_holds_for_what_a_run_that_died_has_left_compressed() {
    let document = noise(570_000);
    let place = Place::new();
    place.kvx_in().args(["-z", "-l", "0"]).stdin(&document).run().expect(0);
    place.consul.put(&place.kv("checksum"), sha256("before"));
    let before = state(&place);
    let run = |form: &[&str]| {
        let expect = ["-l", "0", "--max-size", "1M", "--expect", &sha256("before")];
        place.kvx_in().args(form).args(expect).stdin(&document).run()
    };
    run(&[]).expect(75).says(&["is torn", "--expect"]);
    assert_eq!(state(&place), before);
    run(&["-z"]).expect(0).says(&["in place of a torn pair"]);
    assert_compressed(&place, &document);
}

#[test]
fn a_large_document_that_compresses_well_goes_where_it_could_not_go_plain() {
    let place = Place::new();
    let document = lines(450_000);
    assert!(document.len() > 3_000_000);
    to_nobody(&place).stdin(&document).run().expect(65).says(&["too large", "524288 bytes", "-z"]);
    // A build for tests compresses slowly, and on a busy machine more so.
    let upload = || place.kvx_in().args(["-z", "--timeout", "5m"]).stdin(&document).run().expect(0);
    upload().says(&["450000 lines, 3.0 MB", "uploaded, compressed to", "KB, the first of this key"]);
    assert!(assert_compressed(&place, document.as_bytes()) <= 512 * 1024);
    upload().is_silent();
    place.kvx_out().run().expect(0).says(&["450000 lines", "installed"]);
    assert_eq!(place.content(), document);
}

#[test]
fn what_is_too_large_even_compressed_is_refused_and_nothing_is_sent() {
    let place = Place::new();
    let gate = Gate::open(&place.consul.address);
    let compressed = || place.kvx_in().args(["-s", &gate.address, "-z", "-l", "0"]);
    let large = noise(800_000);
    let ran = compressed().stdin(&large).run().expect(65);
    ran.says(&[&place.key, "KB even compressed", "524288 bytes", "kv_max_value_size", "--max-size"]);
    compressed().arg("-n").stdin(&large).run().expect(65).says(&["even compressed"]);
    let small = compressed().args(["--max-size", "1K"]).stdin(noise(2000)).run().expect(65);
    small.says(&["1.5 KB even compressed", "1024 bytes"]);
    assert!(gate.requests().iter().all(|request| request.step == Step::Read));
    assert_eq!(state(&place), [None, None]);
    // What kvx-out would not install.
    let too_much = vec![b'\n'; (16 << 20) + 1];
    let ran = to_nobody(&place).arg("-z").stdin(&too_much).run().expect(65);
    ran.says(&["too large", "16777216 bytes", "--max-size"]);
    let most = &too_much[1..];
    place.kvx_in().arg("-z").stdin(most).run().expect(0).says(&["16.7 MB", "compressed to"]);
    assert_eq!(installed(&place), most);
    place.kvx_in().args(["-z", "--max-size", "17M"]).stdin(&too_much).run().expect(0).says(&["uploaded"]);
    // Consul's answer decides: its limit may be configured lower.
    let config = r#"{ "limits": { "kv_max_value_size": 100000 } }"#;
    let strict = Place::at(std::sync::Arc::new(Consul::dev(config)));
    let ran = strict.kvx_in().args(["-z", "-l", "0"]).stdin(noise(300_000)).run();
    assert_ne!(ran.status.code(), Some(0), "{}", ran.stderr);
    assert_eq!(state(&strict), [None, None]);
}

#[test]
fn a_stopped_key_is_uploaded_if_that_is_wanted_and_the_line_says_so() {
    let place = Place::new();
    place.upload(lines(20));
    place.consul.put(&place.kv("stop"), "until Monday");
    let before = state(&place);
    place.kvx_in().stdin(lines(21)).run().expect(0).says(&["stopped, nothing uploaded: until Monday"]);
    let dry = place.kvx_in().args(["-n", "--ignore-stop"]).stdin(lines(21)).run().expect(0);
    dry.says(&["21 lines", "would be uploaded, though stopped: until Monday", &place.kv("stop")]);
    // The guards still count.
    place.kvx_in().args(["--ignore-stop", "-l", "1", "--max-shrink", "50"]).stdin(lines(5)).run().expect(65);
    assert_eq!(state(&place), before);
    let ran = place.kvx_in().arg("--ignore-stop").stdin(lines(21)).run().expect(0);
    ran.says(&["21 lines", "uploaded, in place of", ", though stopped: until Monday", &place.kv("stop")]);
    assert_eq!(place.document().unwrap(), lines(21).as_bytes());
    place.kvx_in().arg("--ignore-stop").stdin(lines(21)).run().expect(0).is_silent();
    place.consul.delete(&place.kv("stop"));
    let ran = place.kvx_in().arg("--ignore-stop").stdin(lines(22)).run().expect(0);
    assert!(!ran.stderr.contains("stopped"), "{}", ran.stderr);
}

#[test]
fn there_is_one_input_only() {
    let place = Place::new();
    let url = "http://127.0.0.1:1/";
    for several in [&["-f", "/etc/hosts", "-u", url][..], &["-u", url, "--", "true"], &["-f", "-", "-u", url]] {
        let ran = to_nobody(&place).args(several).run().expect(64);
        ran.says(&["give one of -f, -u and a command behind --, not several", "--help"]);
    }
    for wrong in ["ftp://host/", "host/path", "/path", "http://", "http://:80/", "http://h:99999/", "http://a b/", ""] {
        to_nobody(&place).args(["-u", wrong]).run().expect(64).says(&["it is not a URL", "http://HOST/PATH", "--help"]);
    }
    for secret in
        ["ftp://anna:hunter2@host/", "http://anna:hunter2@", "//anna:hunter2@host", "http://a:hunter2  x@host/"]
    {
        for way in [&["-u", secret][..], &[secret], &["--timeout", secret], &[&format!("-u{secret}")]] {
            let ran = to_nobody(&place).args(way).run().expect(64);
            assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
        }
    }
    let option = "--dogstatsd=anna:hunter2@host:1";
    let ran = to_nobody(&place).arg(option).run().expect(64).says(&["--dogstatsd", "write host:port"]);
    assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
    // Without its scheme, or with a query that lets in whoever knows it.
    for secret in ["anna:hunter2@host/page", "htp://host/page?key=hunter2", "ftp://host/page?key=hunter2"] {
        for way in [&["-u", secret][..], &["--url", secret], &[&format!("--url={secret}")], &[&format!("-zu{secret}")]]
        {
            let ran = to_nobody(&place).args(way).run().expect(64).says(&["it is not a URL"]);
            assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
        }
    }
}

/// A web server: what a path says.
pub fn web(answer: impl Fn(&str) -> Act + Send + Sync + 'static) -> Gate {
    Gate::to("", move |request| answer(&request.target))
}

#[test]
fn what_is_unchanged_is_not_even_compressed() {
    let config = r#"{ "limits": { "kv_max_value_size": 2000000, "txn_max_req_len": 1000000 } }"#;
    let place = Place::at(std::sync::Arc::new(Consul::dev(config)));
    let document = noise(800_000);
    place.kvx_in().args(["-l", "0", "--max-size", "1M"]).stdin(&document).run().expect(0);
    // Compressed, it would be too large.
    place.kvx_in().args(["-l", "0", "-z"]).stdin(&document).run().expect(0).is_silent();
    place.consul.put(&place.kv("stop"), "until Monday");
    place.kvx_in().args(["-l", "0", "-z"]).stdin(noise(800_001)).run().expect(0).says(&["stopped, nothing uploaded"]);
}

#[test]
fn a_compressed_upload_whose_answer_is_lost_takes_effect_once() {
    for (document, writes) in [(lines(600).into_bytes(), 1), (noise(570_000), 2)] {
        for lost in 1..=writes {
            let place = Place::new();
            place.upload(lines(20));
            let gate = Gate::to(&place.consul.address, move |request| {
                if request.step == Step::Write && request.nth == lost { Act::CutAnswer(0) } else { Act::Pass }
            });
            let ran = place.kvx_in().args(["-s", &gate.address, "-z", "-l", "0"]).stdin(&document).run().expect(0);
            ran.says(&["uploaded, compressed to", "in place of", &sha256(lines(20))[..8]]);
            assert_compressed(&place, &document);
            let seen = gate.requests().iter().filter(|request| request.step == Step::Write).count();
            assert!(seen > writes, "{lost} of {writes}: {seen}");
        }
    }
}

#[test]
fn logs_have_the_size_of_what_is_stored() {
    let place = Place::new();
    let ran = place.kvx_in().args(["-z", "--log-format", "json"]).stdin(lines(600)).run().expect(0);
    let stored = assert_compressed(&place, lines(600).as_bytes());
    let line: serde_json::Value = serde_json::from_str(ran.stderr.trim()).unwrap();
    assert_eq!((line["bytes"].as_u64(), line["lines"].as_u64()), (Some(stored as u64), Some(600)));
}

#[test]
fn kvexpresss_own_words_sort_compress_and_read_from_a_url() {
    let place = Place::new();
    let server = web(|path| match path {
        "/bans" => Act::Say(http("200 OK", lines(20))),
        path => panic!("{path}"),
    });
    let link = place.path().join("kvexpress");
    std::os::unix::fs::symlink(common::run::binary("kvx"), &link).unwrap();
    let url = format!("http://{}/bans", server.address);
    let kvexpress = || Run::new(link.to_str().unwrap(), "127.0.0.1:1").args(["in", "-s", &place.consul.address]);
    kvexpress().args(["-k", &place.key, "-S", "-z", "-u", &url]).run().expect(0);
    let mut sorted: Vec<String> = (1..=20).map(|line: u32| line.to_string()).collect();
    sorted.sort();
    assert_compressed(&place, sorted.join("\n").as_bytes());
    kvexpress().args(["-k", &place.key, "-u", "no url"]).run().expect(64).says(&["-u", "it is not a URL"]);
}
