//! Promise 5: bad input is one clear line and a distinct exit status. A name that is probably a mistake is rejected
//! before it is stored or created; and only names that kvx itself would write count as keys.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Stdio;

use crate::common::{self, NO_AGENT, Place, Run, lines, lock_of, sha256, wait_for};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// Sets keys as they are, which no path in a URL could name.
fn set(place: &Place, pairs: &[(&str, &str)]) {
    let operations: Vec<_> = pairs
        .iter()
        .map(|(key, value)| {
            serde_json::json!({ "KV": { "Verb": "set", "Key": key, "Value": BASE64_STANDARD.encode(value) } })
        })
        .collect();
    let body = serde_json::to_vec(&operations).unwrap();
    let (status, _) = place.consul.http("PUT", "/v1/txn", &body).unwrap();
    assert_eq!(status, 200);
}

#[test]
fn a_path_that_kvx_would_not_write_is_no_keys() {
    let place = Place::new();
    let (key, prefix) = (&place.key, "kvexpress");
    let (document, checksum) = (lines(20), sha256(lines(20)));
    for folder in [
        format!("{prefix}/{key}/"),
        format!("/{prefix}/{key}"),
        format!("{prefix}//{key}"),
        format!("/{prefix}//{key}/"),
    ] {
        let path = |part: &str| format!("{folder}/{part}");
        set(&place, &[(&path("data"), &document), (&path("checksum"), &checksum), (&path("stop"), "why")]);
        let tree = serde_json::json!([{ "KV": { "Verb": "get-tree", "Key": folder } }]).to_string();
        let (_, found) = place.consul.http("PUT", "/v1/txn", tree.as_bytes()).unwrap();
        let found: serde_json::Value = serde_json::from_slice(&found).unwrap();
        let entries: Vec<_> = found["Results"].as_array().unwrap().iter().map(|one| one["KV"].clone()).collect();
        assert_eq!(entries.len(), 3);
        // As a keyprefix watch on that folder brings it, and a key watch.
        for payload in [serde_json::to_string(&entries).unwrap(), entries[0].to_string(), entries[1].to_string()] {
            place.kvx_out_bare().payload(&payload).run().expect(64).says(&["does not name one key under kvexpress/"]);
            place.kvx_out().payload(&payload).run().expect(66).says(&["there is no", &place.kv("data")]);
            assert!(!place.file().exists());
        }
        let listed = place.kvx("list").run().expect(0).is_silent();
        assert!(!listed.out().contains(key.as_str()), "{}", listed.out());
        let status = place.kvx("status").args(["-k", key, "--state-dir"]).arg(place.path().join("state"));
        assert!(status.run().expect(1).out().contains("no document"));
        place.kvx("resume").args(["-k", key]).run().expect(0).says(&["not stopped"]);
    }
    // And a stop by such a name stops nothing.
    place.upload(&document);
    place.kvx_out().payload(place.payload("")).run().expect(0).says(&["installed"]);
    // A watch's own name may have a leading slash, as in kvexpress's announcement: Consul's answer has none.
    let named = format!("-key=/{}", place.kv("checksum"));
    let mut watch = place.consul.command(&["watch", "-type=key", &named, "-shell=false", "cat"]);
    let mut watch = watch.stdout(Stdio::piped()).spawn().unwrap();
    let mut payload = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(watch.stdout.take().unwrap()), &mut payload).unwrap();
    watch.kill().unwrap();
    watch.wait().unwrap();
    fs::remove_file(place.file()).unwrap();
    place.kvx_out_bare().payload(&payload).run().expect(0).says(&["installed"]);
}

/// Names, and what is said of them.
const NAMES: [(&str, &str); 24] = [
    ("a\u{a0}b", "U+00A0"),
    ("a\u{200b}b", "U+200B"),
    ("a\u{ad}b", "U+00AD"),
    ("a\u{feff}b", "U+FEFF"),
    ("a\u{202e}b", "U+202E"),
    ("a\u{2028}b", "U+2028"),
    ("a\u{3000}b", "U+3000"),
    ("a\u{e0041}b", "U+E0041"),
    ("a\u{e000}b", "U+E000"),
    ("a\r", "CRLF"),
    ("a\tb", "\\t"),
    ("a\u{9b}b", "\\u{9b}"),
    (" a", "a blank at an end"),
    ("a ", "a blank at an end"),
    ("a/ b", "a blank at an end or next to a slash"),
    ("a/../b", "`..`"),
    ("a/./b", "`.`"),
    ("a//b", "an empty segment"),
    ("a%20b", "percent-decoded, as Consul reads it from 1.22 on, it has a blank"),
    ("a/%2e%2e/b", "percent-decoded, as Consul reads it from 1.22 on, it has an empty segment, `.` or `..`"),
    ("..%2F..%2Fetc%2Fpasswd", "percent-decoded"),
    ("a%252e%252e%252fb%25252F..", "percent-decoded"),
    ("a%0ab", "percent-decoded, as Consul reads it from 1.22 on, it has a control character (\\n)"),
    ("a%C2%A0b", "percent-decoded, as Consul reads it from 1.22 on, it has an invisible character (U+00A0)"),
];

#[test]
fn a_name_that_some_consul_would_not_find_again_is_refused_before_anything_is_sent() {
    let long = "x".repeat(1025);
    for (name, says) in NAMES.into_iter().chain([(long.as_str(), "1025 bytes, maximum 1024")]) {
        // -z, and more than a transaction carries, would take other ways.
        let runs = [
            ("kvx-in", vec!["-k", name]),
            ("kvx-in", vec!["-k", name, "-z"]),
            ("kvx-in", vec!["-k", "x", "-p", name]),
            ("kvx-out", vec!["-f", "/nowhere/x", "-k", name]),
            ("kvx", vec!["stop", "-r", "why", "-k", name]),
            ("kvx", vec!["copy", "--from", "x", "--to", name]),
            ("kvx", vec!["list", "-p", name]),
        ];
        for (program, arguments) in runs {
            Run::new(program, NO_AGENT).args(&arguments).stdin(lines(20)).run().expect(64).says(&[says, "see kvx"]);
        }
        let as_kvexpress = Run::new("kvx", NO_AGENT).args(["in", "-f", "/dev/null", "-k", name]);
        called_kvexpress(as_kvexpress).run().expect(64).says(&["kvexpress: ", says]);
        // What is only read may be encoded, as others have it.
        let raw = Run::new("kvx-out", NO_AGENT).args(["--timeout", "100ms", "-f", "-", "--raw", name]).run();
        raw.expect(if name.contains('%') { 69 } else { 64 });
    }
}

#[test]
fn ordinary_names_of_any_script_stay_names() {
    let place = Place::new();
    let names = [
        "höst",
        "日本/ホスト",
        "مضيف",
        "e\u{301}",
        "a b",
        "100%",
        "a%zz",
        "%2F",
        "a%2Fb",
        "a%252Fb",
        "%FF",
        "a?b#c&d=e+f",
        "a'b\"c\\d",
        "🦀",
        "..a",
        "a..b",
    ];
    for name in names {
        let key = format!("{}/{name}", place.key);
        Run::new("kvx-in", &place.consul.address)
            .args(["-k", &key])
            .stdin(lines(20))
            .run()
            .expect(0)
            .says(&["uploaded"]);
        let mut get = place.consul.command(&["kv", "get", &format!("kvexpress/{key}/data")]);
        let got = get.stdout(Stdio::piped()).output().unwrap();
        assert_eq!(String::from_utf8(got.stdout).unwrap().trim_end(), lines(20).trim_end(), "{name}");
    }
    let listed = place.kvx("list").run().expect(0);
    for name in names {
        assert!(listed.out().lines().any(|line| line == format!("{}/{name}", place.key)), "{name}");
    }
}

#[test]
fn names_that_are_in_consul_and_not_valid_any_more_do_not_hide_the_others() {
    let place = Place::new();
    let prefix = &place.key;
    let odd: Vec<String> = NAMES.iter().map(|(name, _)| format!("{prefix}/{name}/data")).collect();
    let odd: Vec<(&str, &str)> = odd.iter().map(|path| (path.as_str(), "x")).collect();
    set(&place, &odd);
    place.consul.put_pair(&format!("{prefix}/hosts"), lines(20));
    assert_eq!(place.kvx("list").args(["-p", prefix]).run().expect(0).is_silent().out(), "hosts\n");
    let status = place.kvx("status").args(["-p", prefix, "--state-dir"]).arg(place.path().join("state"));
    let shown = status.run().expect(0).is_silent();
    assert_eq!(shown.out().lines().filter(|line| line.ends_with("ok")).count(), 1, "{}", shown.out());
    let payload = place.consul.watch_payload(&format!("{prefix}/"));
    place.kvx_out_bare().args(["-p", prefix, "-k", "hosts"]).payload(payload).run().expect(0).says(&["installed"]);
}

fn called_kvexpress(mut run: Run) -> Run {
    std::os::unix::process::CommandExt::arg0(&mut run.command, "kvexpress");
    run
}

#[test]
fn a_control_character_in_a_path_or_name_is_refused_and_nothing_is_created() {
    let place = Place::new();
    place.upload(lines(20));
    let out = place.path().join("out");
    let key = place.key.as_str();
    let out_of = |option: &'static str| vec!["out", "-k", key, "-f", "hosts", option];
    let cases = [
        ("kvx", vec!["out", "-k", key, "-f"]),
        ("kvx", out_of("--state-dir")),
        ("kvx", out_of("--token-file")),
        ("kvx", out_of("--ca-file")),
        ("kvx", out_of("--client-cert")),
        ("kvx", out_of("--client-key")),
        ("kvx", out_of("--tls-server-name")),
        ("kvx", out_of("--metrics-textfile")),
        ("kvx", out_of("--dogstatsd=unix://")),
        ("kvx", out_of("--dc")),
        ("kvx", out_of("-s")),
        ("kvx", out_of("-o")),
        ("kvx", vec!["in", "-k", key, "-f"]),
        ("kvx", vec!["lock", "-f"]),
        ("kvx", vec!["unlock", "-f"]),
        ("kvx", vec!["clean", "-f"]),
        ("kvx", vec!["clean", "-f", "hosts", "--state-dir"]),
        ("kvx", vec!["status", "-f"]),
        ("kvx", vec!["diff", "-k", key]),
        ("kvexpress", vec!["out", "-k", key, "-f"]),
        ("kvexpress", vec!["raw", "-k", key, "-f"]),
        ("kvexpress", vec!["in", "-k", key, "-f"]),
        ("kvexpress", vec!["lock", "-f"]),
        ("kvexpress", vec!["unlock", "-f"]),
        ("kvexpress", vec!["clean", "-f"]),
        ("kvexpress", vec!["out", "-k", key, "-f", "/nowhere/hosts", "-C"]),
        ("kvexpress", vec!["out", "-k", key, "-f", "/nowhere/hosts", "-s"]),
        ("kvexpress", vec!["out", "-k", key, "-f", "/nowhere/hosts", "-o"]),
    ];
    for (end, says) in [("x\r", "CRLF"), ("x\ny", "\\n"), ("x\ty", "\\t"), ("x\u{1b}[2K", "\\u{1b}")] {
        for (program, arguments) in &cases {
            let path = out.join(end);
            let mut run = Run::new("kvx", &place.consul.address);
            if *program == "kvexpress" {
                run = called_kvexpress(run);
            }
            let (option, others) = arguments.split_last().unwrap();
            run = run.args(others);
            run = match option.ends_with("://") {
                true => run.arg(format!("{option}{}", path.display())),
                false => run.arg(option).arg(&path),
            };
            run.command.current_dir(&out);
            let ran = run.run().expect(64);
            assert!(!ran.stderr.contains(['\r', '\t', '\u{1b}']), "{:?}", ran.stderr);
            ran.says(&[says]);
            assert!(place.names().is_empty(), "{arguments:?}: {:?}", place.names());
        }
    }
    assert!(place.consul.get(&lock_of(&place)).is_none());
    let config = place.write("kvexpress.yaml", format!("consul_server: \"{}\\r\"\n", place.consul.address));
    let run = Run::new("kvx", NO_AGENT).args(["out", "-k", key, "-f"]).arg(place.file()).arg("-C").arg(&config);
    called_kvexpress(run).run().expect(78).says(&["kvexpress.yaml", "consul_server", "CRLF"]);
}

#[test]
fn what_a_descriptor_points_to_is_not_replaced() {
    let place = Place::new();
    place.upload(lines(20));
    let log = place.write("app.log", "the log\n");
    let streams = ["/dev/stdout", "/dev/stderr", "/dev//stdout", "/dev/fd/1", "/proc/self/fd/1", "/proc/1/fd/2"];
    for (command, stream) in ["out", "raw", "lock", "unlock", "clean"].into_iter().flat_map(|c| streams.map(|s| (c, s)))
    {
        let key: &[&str] = if matches!(command, "out" | "raw") { &["-k", &place.key] } else { &[] };
        for called in [|run| run, called_kvexpress] {
            let mut run: Run =
                called(Run::new("kvx", &place.consul.address).arg(command).args(key).args(["-f", stream]));
            let appended = fs::OpenOptions::new().append(true).open(&log).unwrap();
            let output =
                run.command.stdout(appended).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(64), "{command} {stream}: {said}");
            assert!(said.contains("it is a stream, not a file; kvx-out prints to stdout with -f -"), "{said}");
            assert_eq!(fs::read_to_string(&log).unwrap(), "the log\n");
        }
    }
    // What is read may be one: the shell's <(...) is.
    let piped = Run::new("kvx-in", &place.consul.address).args(["-k", &place.key, "-f", "/dev/stdin"]).stdin(lines(30));
    piped.run().expect(0).says(&["30 lines"]);
    symlink("/dev/stdin", place.path().join("in")).unwrap();
}

#[test]
fn words_that_consul_watch_has_split_are_hinted_at() {
    let place = Place::new();
    place.upload(lines(20));
    let watch = |arguments: &[&str]| {
        let log = place.path().join("log");
        let mut watch = place.consul.command(&["watch", "-type=key", &format!("-key={}", place.kv("checksum"))]);
        watch.args(arguments).env("PATH", common::run::path());
        watch.stdout(Stdio::null()).stderr(fs::File::create(&log).unwrap());
        let mut watch = watch.spawn().unwrap();
        let said = wait_for("the handler", 20, || {
            let said = fs::read_to_string(&log).unwrap();
            let line = said.lines().find(|line| line.starts_with("kvx-out: ") || line.contains("installed"));
            line.filter(|_| said.ends_with('\n')).map(str::to_owned)
        });
        watch.kill().unwrap();
        watch.wait().unwrap();
        said
    };
    let (file, state) = (place.file(), place.path().join("state"));
    let command =
        |handler| ["kvx-out", "-f", file.to_str().unwrap(), "--state-dir", state.to_str().unwrap(), "-e", handler];
    for handler in ["echo two words", "pkill -HUP nobody-has-this", "pkill -f nobody-has-this"] {
        let said = watch(&command(handler));
        assert!(said.contains("if `consul watch` runs this, give it -shell=false"), "{said}");
        assert!(!file.exists());
    }
    let said = watch(&[["-shell=false"].as_slice(), &command("echo two words")].concat());
    assert!(said.contains("installed") && said.contains("handler ran"), "{said}");
    // By hand, nobody has split anything; and under a watch, not everything is a word too many.
    let by_hand = Run::new("kvx-out", NO_AGENT).args(["-f", "x", "-e", "two", "words"]).run().expect(64);
    assert!(!by_hand.stderr.contains("consul watch"), "{}", by_hand.stderr);
    let missing = Run::new("kvx-out", NO_AGENT).env("CONSUL_INDEX", "1").run().expect(64);
    assert!(!missing.stderr.contains("consul watch"), "{}", missing.stderr);
}
