//! Where a token and a login come from, and where they do not go: Consul gets them, and they are never printed.

use std::path::PathBuf;

use super::acl::{Guarded, MASTER, UNKNOWN};
use crate::common::gate::{Act, Gate, http};
use crate::common::{Place, Ran, Run, lines, sha256};

#[test]
fn a_token_is_taken_from_a_flag_then_a_file_then_the_environment() {
    let guarded = Guarded::new();
    guarded.put_pair(&lines(20));
    let place = &guarded.place;
    let good = place.write("good", format!("  {MASTER}\n\n")).display().to_string();
    let bad = place.write("bad", UNKNOWN).display().to_string();
    let empty = place.write("empty", " \n").display().to_string();
    let missing = place.path().join("missing").display().to_string();
    type Case<'a> = (&'a str, Vec<&'a str>, Vec<(&'a str, &'a str)>, i32);
    let (token, file) = ("CONSUL_HTTP_TOKEN", "CONSUL_HTTP_TOKEN_FILE");
    let cases: Vec<Case> = vec![
        ("-t", vec!["-t", MASTER], vec![], 0),
        ("-t attached", vec!["-t00000000-aaaa-bbbb-cccc-0123456789ab"], vec![], 0),
        ("--token", vec!["--token", MASTER], vec![], 0),
        ("--token-file", vec!["--token-file", &good], vec![], 0),
        ("the variable", vec![], vec![(token, MASTER)], 0),
        ("the variable of a file", vec![], vec![(file, &good)], 0),
        ("-t beats both variables", vec!["-t", MASTER], vec![(token, UNKNOWN), (file, &bad)], 0),
        ("-t beats a missing file", vec!["-t", MASTER], vec![(file, &missing)], 0),
        ("--token-file beats both variables", vec!["--token-file", &good], vec![(token, UNKNOWN), (file, &bad)], 0),
        ("a file beats the token, for good", vec![], vec![(token, UNKNOWN), (file, &good)], 0),
        ("a file beats the token, for bad", vec![], vec![(token, MASTER), (file, &bad)], 77),
        ("an empty file falls back to the token", vec![], vec![(token, MASTER), (file, &empty)], 0),
        ("an empty --token-file", vec!["--token-file", &empty], vec![(token, MASTER)], 78),
        ("an empty file alone", vec![], vec![(file, &empty)], 78),
        ("empty variables", vec![], vec![(token, ""), (file, "")], 77),
        ("a missing file", vec![], vec![(token, MASTER), (file, &missing)], 78),
        ("a missing --token-file", vec!["--token-file", &missing], vec![(token, MASTER)], 78),
        ("a directory", vec!["--token-file", "/"], vec![(token, MASTER)], 78),
    ];
    let before = guarded.in_consul();
    for (name, arguments, variables, status) in cases {
        let environment = |run: Run| variables.iter().fold(run, |run, (name, value)| run.env(name, value));
        let gate = Gate::open(&guarded.consul.address);
        let out = Run::new("kvx-out", &gate.address).args(["-k", &place.key, "-f", "-"]).args(&arguments);
        let ran = environment(out).run();
        assert_eq!(ran.status.code(), Some(status), "{name}: {}", ran.stderr);
        assert_eq!(ran.out(), if status == 0 { lines(20) } else { String::new() }, "{name}");
        let up = Run::new("kvx-in", &gate.address).args(["-k", &place.key]).args(&arguments).stdin(lines(20));
        let ran = environment(up).run();
        assert_eq!(ran.status.code(), Some(status), "{name}: {}", ran.stderr);
        if status == 78 {
            let what = if arguments.is_empty() { file } else { "--token-file" };
            let (path, why) = match name {
                "a directory" => ("/", "must exist and be readable"),
                "an empty --token-file" | "an empty file alone" => (empty.as_str(), "is empty"),
                _ => (missing.as_str(), "must exist and be readable"),
            };
            ran.says(&["kvx-in: ", &place.key, what, path, why]);
            assert_eq!(gate.connections(), 0, "{name}: nobody is asked");
        }
    }
    assert_eq!(guarded.in_consul(), before);
}

#[test]
fn a_token_goes_in_its_header_and_a_login_in_another() {
    let place = Place::new();
    let gate = Gate::open(&place.consul.address);
    for (auth, header) in [
        ("aladdin:open sesame", "Basic YWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        ("user:with:colons", "Basic dXNlcjp3aXRoOmNvbG9ucw=="),
        ("user", "Basic dXNlcjo="),
    ] {
        let run = Run::new("kvx-in", &gate.address).args(["-k", &place.key]).env("CONSUL_HTTP_AUTH", auth);
        run.stdin(lines(20)).run().expect(0);
        let run = Run::new("kvx-out", &gate.address).args(["-k", &place.key, "-f", "-"]);
        run.env("CONSUL_HTTP_AUTH", auth).env("CONSUL_HTTP_TOKEN", "").run().expect(0);
        let requests = gate.requests();
        assert!(requests.len() >= 2);
        for request in requests {
            assert_eq!(request.header("Authorization"), Some(header));
            assert_eq!(request.header("X-Consul-Token"), None);
        }
    }
    let run = Run::new("kvx-in", &gate.address).args(["-k", &place.key, "-t", "a token of 1.3"]);
    run.stdin(lines(20)).run();
    for request in gate.requests() {
        assert_eq!(request.header("Authorization"), None);
        assert_eq!(request.header("X-Consul-Token"), Some("a token of 1.3"));
    }
}

const SECRET: &str = "5ec7e75e-c7e7-5ec7-e75e-c7e75ec7e75e";

const PASSWORD: &str = "open-sesame-42";

#[track_caller]
fn assert_tells_no_secret(name: &str, ran: &Ran) {
    let basic = "Ym9iOm9wZW4tc2VzYW1lLTQy"; // bob:open-sesame-42
    for secret in [SECRET, PASSWORD, basic] {
        assert!(!ran.stderr.contains(secret), "{name}: {}", ran.stderr);
        assert!(!ran.out().contains(secret), "{name}: {}", ran.out());
    }
    assert_eq!(ran.stderr.lines().filter(|line| line.contains("panicked")).count(), 0, "{name}: {}", ran.stderr);
}

#[test]
fn a_token_is_never_shown() {
    let guarded = Guarded::new();
    guarded.put_pair(&lines(20));
    let place = &guarded.place;
    let nobody = "127.0.0.1:1"; // No port that was free a moment ago: another test may have it by now.
    let passing = Gate::to(&guarded.consul.address, |it| {
        if it.nth == 1 { Act::Say(http("500 Internal Server Error", "No cluster leader")) } else { Act::Pass }
    });
    let secrets = |run: Run| run.env("CONSUL_HTTP_TOKEN", SECRET).env("CONSUL_HTTP_AUTH", format!("bob:{PASSWORD}"));
    let token_file = place.write("token", SECRET).display().to_string();
    for (name, arguments, status) in [
        ("unknown to Consul", vec!["-s", &guarded.consul.address], 77),
        ("tried again", vec!["-s", &passing.address], 77),
        ("nobody there", vec!["-s", nobody], 69),
        ("a flag", vec!["-t", SECRET], 77),
        ("an attached flag", vec!["-t5ec7e75e-c7e7-5ec7-e75e-c7e75ec7e75e", "-s", nobody], 69),
        ("a file", vec!["--token-file", &token_file, "-s", nobody], 69),
        ("a token with a newline", vec!["-t", "5ec7e75e-c7e7-5ec7-e75e-c7e75ec7e75e\nX: y"], 78),
        ("an unknown option", vec!["-t", SECRET, "--bogus"], 64),
        ("twice", vec!["-t", SECRET, "-t", SECRET], 64),
        ("a misspelt option", vec!["--tokn=5ec7e75e-c7e7-5ec7-e75e-c7e75ec7e75e"], 64),
        ("credentials in the address", vec!["-s", "http://bob:open-sesame-42@127.0.0.1:1"], 78),
        ("credentials in a TLS address", vec!["-s", "https://bob:open-sesame-42@127.0.0.1:1"], 78),
        ("help", vec!["-t", SECRET, "--help"], 0),
    ] {
        for verbose in [vec![], vec!["-v"]] {
            // Only where nobody answers is it waited for to its end.
            let timeout = ["--timeout", if status == 69 { "500ms" } else { "20s" }];
            let out = place.kvx_out().args(timeout).args(&verbose).args(&arguments);
            let up = place.kvx_in().args(timeout).args(&verbose).args(&arguments).stdin(lines(30));
            for run in [secrets(out), secrets(up)] {
                let ran = run.run();
                assert_eq!(ran.status.code(), Some(status), "{name}: {}", ran.stderr);
                assert_tells_no_secret(name, &ran);
            }
        }
    }
    guarded.assert_untouched();
    // Nor when all goes well.
    for run in [place.kvx_in().stdin(lines(30)), place.kvx_out()] {
        let ran = run.args(["-v", "-t", MASTER]).run().expect(0);
        assert!(!ran.stderr.contains(MASTER), "{}", ran.stderr);
    }
    let state = std::fs::read_dir(place.path().join("state")).unwrap();
    for file in state.map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap()) {
        assert!(!file.contains(MASTER), "{file}");
    }
}

#[test]
fn a_token_is_not_shown_even_if_the_server_repeats_it() {
    let place = Place::new();
    // As a debugging proxy does, or an error page that shows the request.
    let gate = Gate::to(&place.consul.address, |it| {
        let token = it.header("X-Consul-Token").unwrap();
        let auth = it.header("Authorization").unwrap();
        Act::Say(http("400 Bad Request", format!("you sent X-Consul-Token: {token} and Authorization: {auth}")))
    });
    let run = Run::new("kvx-in", &gate.address).args(["-v", "-k", &place.key, "-t", SECRET]).stdin(lines(20));
    let ran = run.env("CONSUL_HTTP_AUTH", format!("bob:{PASSWORD}")).run().expect(78);
    assert_tells_no_secret("in Consul's words", &ran);
}

#[test]
fn a_handler_finds_its_variables_in_its_environment_and_no_credentials() {
    let place = Place::new();
    place.upload(lines(20));
    let seen = place.path().join("env");
    let words = format!("sh -c 'env > {}'", seen.display());
    let by_flag: Vec<String> = vec!["-e".into(), words];
    let by_argv: Vec<String> =
        ["--", "sh", "-c"].map(str::to_owned).into_iter().chain([format!("env > {}", seen.display())]).collect();
    let token_file = place.write("token", SECRET);
    for (n, handler) in [by_flag, by_argv].into_iter().enumerate() {
        place.upload(lines(30 + n));
        let run = place.kvx_out().env("CONSUL_HTTP_TOKEN_FILE", &token_file).env("CONSUL_HTTP_TOKEN", SECRET);
        let run = run.env("CONSUL_HTTP_AUTH", format!("bob:{PASSWORD}")).env("KEPT", "yes").args(&handler);
        // A token that Consul does not know is no harm where there are no ACLs.
        let ran = run.payload(place.payload("checksum")).run().expect(0);
        assert_tells_no_secret("handler", &ran);
        let environment = std::fs::read_to_string(&seen).unwrap();
        let value = |name: &str| environment.lines().find_map(|line| line.strip_prefix(&format!("{name}=")));
        for name in ["CONSUL_HTTP_TOKEN", "CONSUL_HTTP_TOKEN_FILE", "CONSUL_HTTP_AUTH", "CONSUL_INDEX"] {
            assert_eq!(value(name), None, "{name}");
        }
        assert!(!environment.contains(SECRET) && !environment.contains(PASSWORD), "{environment}");
        assert_eq!(value("KVX_KEY"), Some(place.key.as_str()));
        assert_eq!(value("KVX_FILE").map(PathBuf::from), Some(place.file().canonicalize().unwrap()));
        assert_eq!(value("KVX_CHECKSUM"), Some(sha256(lines(30 + n)).as_str()));
        // The rest of its environment is there, the address too.
        assert_eq!(value("KEPT"), Some("yes"));
        assert_eq!(value("CONSUL_HTTP_ADDR"), Some(place.consul.address.as_str()));
        std::fs::remove_file(&seen).unwrap();
    }
}
