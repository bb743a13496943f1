//! `--log-format json`: every line is one object, in every case, and none contains a document.

use crate::common::{self, Place, Ran, Run, lines, lock_of, sha256};
use serde_json::{Value, json};

/// What was said: each line an object with what all have.
#[track_caller]
fn objects(ran: &Ran) -> Vec<Value> {
    assert!(ran.stderr.is_empty() || ran.stderr.ends_with('\n'), "{:?}", ran.stderr);
    let object = |line: &str| {
        let object: Value = serde_json::from_str(line).unwrap_or_else(|wrong| panic!("{wrong}: {line}"));
        let text = |name: &str| object[name].as_str().unwrap_or_else(|| panic!("no {name}: {line}")).to_owned();
        let time = humantime::parse_rfc3339(&text("time")).expect(line);
        assert!(text("time").len() == "2026-01-01T00:00:00.000Z".len(), "{line}");
        assert!(time.elapsed().is_ok_and(|ago| ago.as_secs() < 600), "{line}");
        assert!(["error", "warn", "info", "debug"].contains(&text("level").as_str()), "{line}");
        assert!(text("program").starts_with("kvx-"), "{line}");
        text("message");
        object
    };
    ran.stderr.lines().map(object).collect()
}

/// Of the last line: what a table of runs would have.
#[track_caller]
fn last(ran: &Ran) -> Value {
    let mut last = objects(ran).pop().expect("a line");
    assert!(last["duration_ms"].is_u64() && last["retries"].is_u64(), "{last}");
    let fields = last.as_object_mut().unwrap();
    for varying in ["time", "message", "duration_ms", "retries"] {
        fields.remove(varying);
    }
    last
}

fn json(run: Run) -> Run {
    run.args(["--log-format", "json"])
}

#[test]
fn the_last_line_of_an_upload_says_what_came_of_it() {
    let place = Place::new();
    let key = place.key.as_str();
    let run = |document: &str, more: &[&str], status: i32| {
        last(&json(place.kvx_in()).args(more).stdin(document).run().expect(status))
    };
    let of = |level: &str, status: u8, result: &str| json!({"level": level, "program": "kvx-in", "direction": "in", "key": key, "status": status, "result": result});
    let with = |mut object: Value, document: &str| {
        object["checksum"] = sha256(document).into();
        object["bytes"] = document.len().into();
        object["lines"] = document.lines().count().into();
        object
    };
    let document = lines(20);
    assert_eq!(run(&document, &[], 0), with(of("info", 0, "uploaded"), &document));
    assert_eq!(run(&document, &["-v"], 0), with(of("info", 0, "unchanged"), &document));
    assert_eq!(run(&lines(30), &["-n"], 0), with(of("info", 0, "would_upload"), &lines(30)));
    assert_eq!(run(&lines(2), &[], 65), of("error", 65, "too_short"));
    assert_eq!(run(&lines(2), &["--timeout", "100ms", "-s", "127.0.0.1:1", "-l1"], 69), of("error", 69, "failed"));
    let file = place.write("rendered", lines(22));
    let mut expected = with(of("info", 0, "uploaded"), &lines(22));
    expected["file"] = file.to_str().unwrap().into();
    assert_eq!(run("", &["-f", file.to_str().unwrap()], 0), expected);
    place.consul.put(&place.kv("stop"), "bad DNS, anna");
    let mut stopped = of("info", 0, "stopped");
    stopped["reason"] = format!("bad DNS, anna ({})", place.kv("stop")).into();
    assert_eq!(run(&document, &[], 0), stopped);
    json(place.kvx_in()).arg("-q").stdin(&document).run().expect(0).is_silent();
    place.consul.delete(&place.kv("stop"));
    json(place.kvx_in()).stdin(lines(22)).run().expect(0).is_silent(); // Unchanged is no news.
}

#[test]
fn the_last_line_of_a_download_says_what_came_of_it() {
    let place = Place::new();
    let file = place.file();
    let run = |more: &[&str], status: i32| last(&json(place.kvx_out()).args(more).run().expect(status));
    let of = |level: &str, status: u8, result: &str| {
        json!({"level": level, "program": "kvx-out", "direction": "out", "key": place.key, "file": file.to_str().unwrap(),
            "status": status, "result": result})
    };
    let with = |mut object: Value, handler: &str| {
        object["checksum"] = sha256(lines(20)).into();
        object["handler"] = handler.into();
        if object["result"] != "unchanged" {
            object["bytes"] = lines(20).len().into();
            object["lines"] = 20.into();
        }
        object
    };
    assert_eq!(run(&[], 66), of("error", 66, "failed"));
    place.upload(lines(20));
    assert_eq!(run(&["-e", "false"], 1), with(of("error", 1, "handler_failed"), "pending"));
    assert_eq!(run(&["-e", "true"], 0), with(of("info", 0, "reloaded"), "ran"));
    assert_eq!(run(&["-e", "true", "-v"], 0), with(of("info", 0, "unchanged"), "not_due"));
    assert_eq!(run(&["-c", "600"], 0), with(of("info", 0, "restored"), "not_due"));
    std::fs::remove_file(&file).unwrap();
    assert_eq!(run(&["-e", "true", "--always-run"], 0), with(of("info", 0, "installed"), "ran"));
    assert_eq!(run(&["-l", "30"], 65), of("error", 65, "too_short"));
    place.consul.put(&lock_of(&place), "canary, carol");
    let mut locked = of("info", 0, "locked");
    locked["reason"] = format!("canary, carol ({})", lock_of(&place)).into();
    assert_eq!(run(&[], 0), locked);
    place.consul.delete(&lock_of(&place));
    place.consul.put(&place.kv("data"), "torn\n");
    assert_eq!(run(&["--timeout", "3s"], 75), of("error", 75, "torn"));
    let nothing = last(&json(place.kvx_out_bare()).payload("null\n").run().expect(0));
    let mut expected = of("info", 0, "nothing");
    expected.as_object_mut().unwrap().remove("key");
    assert_eq!(nothing, expected);
}

#[test]
fn a_command_line_that_makes_no_sense_is_an_object_too() {
    let ran = Run::new("kvx", "127.0.0.1:1").args(["no-command", "--log-format=json"]).run().expect(64);
    let error: Value = serde_json::from_str(&ran.stderr).unwrap();
    assert!(error["program"] == "kvx" && error["message"].as_str().unwrap().contains("no-command"), "{error}");
    for program in ["kvx-in", "kvx-out"] {
        for words in [
            &["--log-format", "json"][..],
            &["--nonsense", "--log-format=json"],
            &["-k", "a\nb", "--log-format", "json"],
            &["--log-format=json", "-k", "x", "-f", "y", "-e", "a", "--", "b"],
        ] {
            let ran = Run::new(program, "127.0.0.1:1").args(words).run().expect(64);
            let [error] = &objects(&ran)[..] else { panic!("one line: {}", ran.stderr) };
            assert_eq!(error["level"], "error");
            assert!(error["message"].as_str().unwrap().ends_with(&format!("; see {program} --help")), "{error}");
        }
        let ran = Run::new(program, "127.0.0.1:1").args(["-k", "x", "--log-format", "xml"]).run().expect(64);
        ran.says(&["--log-format", "text or json"]);
    }
}

#[test]
fn details_and_warnings_have_their_levels() {
    let place = Place::new();
    let ran = json(place.kvx_in()).args(["-v", "-s", "127.0.0.1:1", "--timeout", "500ms"]).stdin(lines(20)).run();
    let objects = objects(&ran.expect(69));
    assert!(objects[0]["level"] == "debug" && objects[0]["message"].as_str().unwrap().contains("trying again"));
    assert!(objects.last().unwrap()["retries"].as_u64().unwrap() >= 1);
    place.upload(lines(20));
    let warned = json(place.kvx_out()).args(["--metrics-textfile", "/proc"]).run().expect(0);
    let levels: Vec<_> = self::objects(&warned).iter().map(|object| object["level"].clone()).collect();
    assert_eq!(levels, ["info", "warn"]);
}

/// What handlers and checks say, in a shell's words, becomes these messages.
#[test]
fn what_other_programs_say_becomes_objects() {
    let place = Place::new();
    place.upload(lines(20));
    let said = |option: &[&str], script: &str| {
        let _ = std::fs::remove_file(place.file());
        let run = json(place.kvx_out()).args(option);
        let run = if option.is_empty() { run.args(["--always-run", "--", "sh", "-c", script]) } else { run };
        let ran = run.run().expect(0);
        let mut objects = objects(&ran);
        let last = objects.pop().unwrap();
        assert!(last["result"] == "installed" && last["source"].is_null(), "{last}");
        let source = if option.is_empty() { "handler" } else { "check" };
        assert!(objects.iter().all(|object| object["source"] == source), "{}", ran.stderr);
        let messages = objects.iter().map(|object| object["message"].as_str().unwrap().to_owned());
        (messages.collect::<Vec<_>>(), ran.stderr.len())
    };
    let handler = |script: &str| said(&[], script);
    assert_eq!(handler("echo one; echo two >&2").0, ["one", "two"]);
    assert_eq!(handler("printf 'no end'").0, ["no end"]);
    assert_eq!(handler("printf 'in '; sleep 0.1; echo pieces").0, ["in pieces"]);
    assert_eq!(
        handler("echo '\"quoted\\\\ }'; echo; printf '\\033[1m\\t\\001\\n'").0,
        ["\"quoted\\ }", "", "\u{1b}[1m\t\u{1}"]
    );
    assert_eq!(handler("printf 'caf\\351\\n\\303'").0, ["caf\u{fffd}", "\u{fffd}"]);
    assert_eq!(said(&["--check", "sh -c 'echo fine' {}"], "").0, ["fine"]);

    // Never-ending lines, and endless ones: only the beginning and the end, with what is between counted.
    let (long, bytes) = handler("head -c 1000000 /dev/zero | tr '\\0' x; echo the end");
    assert!(bytes < 100 * 1024, "{bytes}");
    assert!(long.iter().all(|message| message.len() <= 4096));
    assert!(long.iter().any(|message| message.contains("KB left out")) && long.last().unwrap().ends_with("the end"));
    for script in ["yes '' | head -n 100000; echo the end", "yes | head -n 100000; echo the end"] {
        let (many, bytes) = handler(script);
        assert!(bytes < 100 * 1024, "{bytes}");
        assert!(many.iter().any(|message| message.contains("KB left out")) && many.last().unwrap() == "the end");
    }
    let (binary, bytes) = handler("head -c 300000 /dev/zero");
    assert!(bytes < 500 * 1024 && binary.iter().any(|message| message.contains("KB left out")), "{bytes}");
}

#[test]
fn no_document_is_in_a_log() {
    let place = Place::new();
    let secret = "s3cret-of-the-document";
    let document = format!("{secret}\n").repeat(20);
    let mut said = String::new();
    let mut hear = |run: Run, status: i32| said.push_str(&json(run).arg("-v").run().expect(status).stderr);
    hear(place.kvx_in().stdin(&document), 0);
    hear(place.kvx_in().stdin(&document), 0);
    hear(place.kvx_in().args(["-l", "99"]).stdin(&document), 65);
    hear(place.kvx_in().stdin("other\n".repeat(30)), 0);
    hear(place.kvx_in().args(["-n"]).stdin(&document), 0);
    hear(place.kvx_in().stdin(&document), 0);
    hear(place.kvx_out().args(["-l", "99"]), 65);
    hear(place.kvx_out().args(["-e", "false"]), 1);
    hear(place.kvx_out().args(["-e", "true"]), 0);
    hear(place.kvx_out().payload(place.folder()), 0);
    hear(Run::new("kvx-out", &place.consul.address).args(["-k", &place.key, "-f", "-"]), 0);
    place.consul.put(&place.kv("checksum"), sha256("x"));
    hear(place.kvx_out().args(["--timeout", "3s"]), 75);
    assert!(said.lines().count() >= 12 && !said.contains(secret), "{said}");
    let encoded = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, secret);
    assert!(!said.contains(&encoded[..16]), "{said}");
}

/// A reader that does not read, or has gone, is no failure; nor does it hold up the run.
#[test]
fn a_closed_stderr_is_no_failure() {
    let place = Place::new();
    place.upload(lines(20));
    let state = place.path().join("state");
    let (state, file) = (state.display(), place.file());
    let script = format!(
        "kvx-out --log-format json --state-dir {state} -f {} -k {} -e 'echo to nobody' 2>&-",
        file.display(),
        place.key
    );
    let mut sh = std::process::Command::new("sh");
    sh.args(["-c", &script]).env("PATH", common::run::path()).env("CONSUL_HTTP_ADDR", &place.consul.address);
    assert!(sh.status().unwrap().success());
    assert_eq!(place.content(), lines(20));
}
