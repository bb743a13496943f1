//! Promise 5: bad permissions and a bad environment: one clear line, a distinct exit status, and nothing lost. On real
//! agents whose ACLs deny everything that is not allowed. And the token is seen by Consul and by nobody else.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, Weak};
use std::time::Instant;

use crate::common::gate::{Act, Gate, http};
use crate::common::{Consul, Place, Ran, Run, SLACK, lines, sha256, wait_for};
use serde_json::{Value, json};

const MASTER: &str = "00000000-aaaa-bbbb-cccc-0123456789ab";
/// A token that no Consul knows.
const UNKNOWN: &str = "99999999-dddd-eeee-ffff-9876543210fe";
/// What to do about a denial.
const REMEDY: [&str; 3] = ["the token needs more rights", "CONSUL_HTTP_TOKEN", "--token-file"];

/// A place on an agent with ACLs, whose document is looked at and put there with the master token.
struct Guarded {
    place: Place,
    consul: Arc<Consul>,
}

/// What a token may do with what belongs to a key.
#[derive(Clone, Copy)]
struct Rights {
    data: &'static str,
    checksum: &'static str,
    stop: &'static str,
    locks: &'static str,
}

impl Rights {
    const READ: Rights = Rights { data: "read", checksum: "read", stop: "read", locks: "read" };
}

impl Guarded {
    fn new() -> Guarded {
        static SHARED: Mutex<Weak<Consul>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let consul = shared.upgrade().unwrap_or_else(|| {
            // "master" is what 1.20.6 calls "initial_management": it takes both.
            let config = json!({"acl": {"enabled": true, "default_policy": "deny", "tokens": {"master": MASTER}}});
            let consul = Arc::new(Consul::dev(&config.to_string()));
            wait_for("ACLs", 20, || {
                let (status, _) = consul.http_as(Some(MASTER), "GET", "/v1/acl/tokens", b"").ok()?;
                (status == 200).then_some(())
            });
            *shared = Arc::downgrade(&consul);
            consul
        });
        Guarded { place: Place::at(consul.clone()), consul }
    }

    fn api(&self, method: &str, path: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
        let (status, answer) = self.consul.http_as(Some(MASTER), method, path, body.as_ref()).unwrap();
        assert!(status == 200 || (status == 404 && method == "GET"), "{status}: {}", String::from_utf8_lossy(&answer));
        answer
    }

    /// A new token with these rules.
    fn token(&self, rules: &str) -> String {
        static MADE: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let name = format!("policy-{}", MADE.fetch_add(1, std::sync::atomic::Ordering::SeqCst));
        self.api("PUT", "/v1/acl/policy", json!({"Name": name, "Rules": rules}).to_string());
        let answer = self.api("PUT", "/v1/acl/token", json!({"Policies": [{"Name": name}]}).to_string());
        let token: Value = serde_json::from_slice(&answer).unwrap();
        token["SecretID"].as_str().unwrap().to_owned()
    }

    fn token_with(&self, rights: Rights) -> String {
        let Rights { data, checksum, stop, locks } = rights;
        let key = |part: &str, policy: &str| format!("key \"{}\" {{ policy = \"{policy}\" }}\n", self.place.kv(part));
        let locks = format!("key_prefix \"kvexpress/locks/\" {{ policy = \"{locks}\" }}\n");
        self.token(&[key("data", data), key("checksum", checksum), key("stop", stop), locks].concat())
    }

    /// Rules for this key's folder, and for the locks.
    fn rules(&self, folder: &str, locks: &str) -> String {
        let folder = format!("key_prefix \"{}\" {{ policy = \"{folder}\" }}\n", self.place.kv(""));
        format!("{folder}key_prefix \"kvexpress/locks/\" {{ policy = \"{locks}\" }}\n")
    }

    fn put(&self, part: &str, value: impl AsRef<[u8]>) {
        self.api("PUT", &format!("/v1/kv/{}", self.place.kv(part)), value);
    }

    fn put_pair(&self, document: &str) {
        self.put("data", document);
        self.put("checksum", sha256(document));
    }

    /// All of the key, indexes included.
    fn in_consul(&self) -> Vec<u8> {
        self.api("GET", &format!("/v1/kv/{}?recurse", self.place.kv("")), b"")
    }

    fn text(&self, part: &str) -> String {
        String::from_utf8(self.api("GET", &format!("/v1/kv/{}?raw", self.place.kv(part)), b"")).unwrap()
    }

    fn kvx_in(&self, token: &str) -> Run {
        self.place.kvx_in().env("CONSUL_HTTP_TOKEN", token)
    }

    fn kvx_out(&self, token: &str) -> Run {
        self.place.kvx_out().env("CONSUL_HTTP_TOKEN", token).args(["-e", &self.place.handler()])
    }

    /// A token of one of the examples, for this key instead of `hosts`.
    fn token_of(&self, example: &str) -> String {
        self.token(&example.replace("kvexpress/hosts/", &self.place.kv("")))
    }

    /// A command of `kvx`, about this key.
    fn kvx(&self, token: &str, command: &str) -> Run {
        self.place.kvx(command).args(["-k", &self.place.key]).env("CONSUL_HTTP_TOKEN", token)
    }

    /// A command of `kvx`, about this file.
    fn kvx_file(&self, token: &str, command: &str) -> Run {
        self.place.kvx_file(command).env("CONSUL_HTTP_TOKEN", token)
    }

    /// Nothing of a denied `kvx-out` is to be seen.
    #[track_caller]
    fn assert_untouched(&self) {
        assert!(self.place.beside().is_empty(), "{:?}", self.place.beside());
        assert!(self.place.runs().is_empty());
    }

    fn lock(&self) -> String {
        let hostname = nix::unistd::gethostname().unwrap().into_string().unwrap();
        format!("kvexpress/locks/{}/{hostname}", sha256(self.place.file().to_str().unwrap()))
    }
}

/// 450 KB: too large for a transaction.
fn large() -> String {
    (0..45_000).map(|line| format!("{line:09}\n")).collect()
}

#[test]
fn reading_the_keys_folder_and_the_locks_suffices_for_kvx_out() {
    let guarded = Guarded::new();
    let token = guarded.token(&guarded.rules("read", "read"));
    for document in [lines(20), lines(30), large()] {
        guarded.put_pair(&document);
        guarded.kvx_out(&token).run().expect(0).says(&["installed"]);
        assert_eq!(guarded.place.content(), document);
    }
    assert_eq!(guarded.place.runs().len(), 3);
    // And its stop and its lock are heeded.
    guarded.put_pair(&lines(40));
    guarded.put("stop", "maintenance");
    guarded.kvx_out(&token).run().expect(0).says(&["stopped", "maintenance"]);
    guarded.put("stop", "");
    guarded.api("PUT", &format!("/v1/kv/{}", guarded.lock()), "debugging");
    guarded.kvx_out(&token).run().expect(0).says(&["locked", "debugging"]);
    assert_eq!(guarded.place.content(), large());
    assert_eq!(guarded.place.runs().len(), 3);
}

#[test]
fn reading_exactly_its_four_keys_suffices_for_kvx_out() {
    let guarded = Guarded::new();
    let token = guarded.token_with(Rights::READ);
    guarded.put_pair(&lines(20));
    guarded.kvx_out(&token).run().expect(0).says(&["installed"]);
    assert_eq!(guarded.place.content(), lines(20));
}

#[test]
fn reading_the_keys_folder_suffices_for_kvx_out_to_stdout() {
    let guarded = Guarded::new();
    let token = guarded.token(&guarded.rules("read", "deny"));
    guarded.put_pair(&lines(20));
    let run = Run::new("kvx-out", &guarded.consul.address).args(["-k", &guarded.place.key, "-f", "-"]);
    assert_eq!(run.env("CONSUL_HTTP_TOKEN", &token).run().expect(0).out(), lines(20));
}

#[test]
fn a_key_that_may_be_read_and_is_not_there_is_not_called_denied() {
    let guarded = Guarded::new();
    let token = guarded.token(&guarded.rules("read", "read"));
    guarded.kvx_out(&token).run().expect(66).says(&["there is no", &guarded.place.kv("data")]);
    guarded.assert_untouched();
}

#[test]
fn writing_the_keys_folder_suffices_for_kvx_in() {
    let guarded = Guarded::new();
    let token = guarded.token(&guarded.rules("write", "deny"));
    // The first, another, one too large for a transaction, one over a torn pair of its checksum.
    for document in [lines(20), lines(30), large(), lines(40)] {
        if document == lines(40) {
            guarded.put("data", "torn\n");
            guarded.put("checksum", sha256(&document));
        }
        guarded.kvx_in(&token).stdin(&document).run().expect(0).says(&["uploaded"]);
        assert_eq!((guarded.text("data"), guarded.text("checksum")), (document.clone(), sha256(&document)));
        guarded.kvx_in(&token).stdin(&document).run().expect(0).is_silent();
    }
}

#[test]
fn reading_the_keys_folder_suffices_for_kvx_in_to_see_that_nothing_has_changed_and_for_a_dry_run() {
    let guarded = Guarded::new();
    let token = guarded.token(&guarded.rules("read", "deny"));
    guarded.put_pair(&lines(20));
    let before = guarded.in_consul();
    guarded.kvx_in(&token).stdin(lines(20)).run().expect(0).is_silent();
    let ran = guarded.kvx_in(&token).arg("-n").stdin(lines(21)).run().expect(0);
    assert!(ran.out().contains("+21\n"), "{}", ran.out());
    assert_eq!(guarded.in_consul(), before);
}

#[test]
fn a_denied_write_changes_nothing_and_says_what_is_denied() {
    let guarded = Guarded::new();
    // A large document over a small one, a small one over a large one: a PUT and a transaction are denied.
    for (before, upload) in [(lines(20), lines(30)), (lines(20), large()), (large(), lines(30))] {
        guarded.put_pair(&before);
        for (name, rights) in [
            ("all", Rights::READ),
            ("data", Rights { checksum: "write", ..Rights::READ }),
            ("checksum", Rights { data: "write", ..Rights::READ }),
        ] {
            if name == "checksum" && upload.len() > 400_000 {
                continue; // In two steps: the data is written before the checksum is denied. See below.
            }
            let token = guarded.token_with(rights);
            let held = guarded.in_consul();
            let ran = guarded.kvx_in(&token).stdin(&upload).run().expect(77);
            assert_eq!(guarded.in_consul(), held, "{name}: nothing is written");
            let folder = guarded.place.kv("");
            assert!(ran.stderr.contains(&folder), "{name}: what is denied is named: {}", ran.stderr);
            let key = guarded.place.key.as_str();
            ran.says(&["kvx-in: ", key, "Consul denies ", "ermission denied", REMEDY[0], REMEDY[1], REMEDY[2]]);
        }
    }
}

#[test]
fn a_large_document_whose_checksum_may_not_be_written_leaves_a_torn_pair_that_nobody_installs() {
    let guarded = Guarded::new();
    guarded.put_pair(&lines(20));
    guarded.kvx_out(MASTER).run().expect(0);
    let token = guarded.token_with(Rights { data: "write", ..Rights::READ });
    guarded.kvx_in(&token).stdin(large()).run().expect(77).says(&["Consul denies ", REMEDY[0]]);
    guarded.kvx_out(MASTER).args(["--timeout", "3s"]).run().expect(75).says(&["torn"]);
    assert_eq!((guarded.place.content(), guarded.place.runs().len()), (lines(20), 1));
    // Whoever may, mends it.
    guarded.kvx_in(MASTER).stdin(large()).run().expect(0).says(&["uploaded, in place of a torn pair"]);
    guarded.kvx_out(MASTER).run().expect(0);
    assert_eq!((guarded.place.content(), guarded.place.runs().len()), (large(), 2));
}

#[test]
fn a_denied_read_of_the_document_is_denied_and_not_taken_for_its_absence() {
    let guarded = Guarded::new();
    let key = guarded.place.key.clone();
    for exists in [false, true] {
        if exists {
            guarded.put_pair(&lines(20));
        }
        let before = guarded.in_consul();
        for (part, rights) in [
            ("data", Rights { data: "deny", ..Rights::READ }),
            ("checksum", Rights { checksum: "deny", ..Rights::READ }),
        ] {
            let token = guarded.token_with(rights);
            let ran = guarded.kvx_out(&token).run().expect(77);
            assert!(ran.stderr.contains(&guarded.place.kv(part)), "{part} (exists: {exists}) is named: {}", ran.stderr);
            ran.says(&["kvx-out: ", &key, "Consul denies ", REMEDY[0], REMEDY[1], REMEDY[2]]);
            let ran = guarded.kvx_in(&token).stdin(lines(30)).run().expect(77);
            assert!(ran.stderr.contains(&guarded.place.kv(part)), "{part} (exists: {exists}) is named: {}", ran.stderr);
            ran.says(&["kvx-in: ", &key, "Consul denies ", REMEDY[0], REMEDY[1], REMEDY[2]]);
        }
        assert_eq!(guarded.in_consul(), before);
    }
    guarded.assert_untouched();
}

#[test]
fn a_denied_stop_or_lock_is_denied_where_consul_tells_and_looks_absent_before_1_14() {
    for denied in ["stop", "lock"] {
        let guarded = Guarded::new();
        guarded.put_pair(&lines(20));
        let (path, rights) = if denied == "stop" {
            (guarded.place.kv("stop"), Rights { stop: "deny", ..Rights::READ })
        } else {
            (guarded.lock(), Rights { locks: "deny", ..Rights::READ })
        };
        let token = guarded.token_with(rights);
        // Whether it is there or not: it may not be read.
        for mark in ["", "maintenance"] {
            guarded.api("PUT", &format!("/v1/kv/{path}"), mark);
            let ran = guarded.kvx_out(&token).run();
            if guarded.consul.has_get_or_empty() {
                ran.expect(77).says(&["kvx-out: ", &guarded.place.key, "Consul denies ", &path, REMEDY[0], REMEDY[1]]);
                guarded.assert_untouched();
            } else {
                ran.expect(0);
                assert_eq!(guarded.place.content(), lines(20));
            }
        }
        if denied == "stop" {
            let token = guarded.token_with(Rights { data: "write", checksum: "write", ..rights });
            let before = guarded.in_consul();
            let ran = guarded.kvx_in(&token).stdin(lines(30)).run();
            if guarded.consul.has_get_or_empty() {
                ran.expect(77).says(&["kvx-in: ", &guarded.place.key, "Consul denies ", &path, REMEDY[0], REMEDY[1]]);
                assert_eq!(guarded.in_consul(), before);
            } else {
                ran.expect(0).says(&["uploaded"]);
            }
        }
    }
}

#[test]
fn no_token_an_unknown_one_and_one_without_rights_are_denied() {
    let guarded = Guarded::new();
    guarded.put_pair(&lines(20));
    let before = guarded.in_consul();
    let powerless = guarded.token("key_prefix \"elsewhere/\" { policy = \"write\" }");
    // Consul says so of an unknown one; of the others, what may not be read.
    let data = guarded.place.kv("data");
    for (name, token, says, who, remedy) in [
        ("none", "", data.as_str(), "without a token", REMEDY[0]),
        ("unknown", UNKNOWN, "ACL not found", "with the token of CONSUL_HTTP_TOKEN", "does not know it"),
        ("powerless", &powerless, &data, "with the token of CONSUL_HTTP_TOKEN", REMEDY[0]),
    ] {
        let started = Instant::now();
        let key = guarded.place.key.as_str();
        let says = [key, "Consul denies ", says, who, remedy, REMEDY[1], REMEDY[2]];
        guarded.kvx_out(token).run().expect(77).says(&says);
        guarded.kvx_in(token).stdin(lines(30)).run().expect(77).says(&says);
        assert!(started.elapsed() < SLACK, "{name}: a denial is not tried again");
    }
    assert_eq!(guarded.in_consul(), before);
    guarded.assert_untouched();
}

#[test]
fn a_denial_leaves_an_installed_file_and_its_handler_alone_whatever_woke_it() {
    let guarded = Guarded::new();
    guarded.put_pair(&lines(20));
    guarded.kvx_out(MASTER).run().expect(0);
    let inode = || std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(guarded.place.file()).unwrap());
    let before = inode();
    guarded.put_pair(&lines(30));
    let payload = |token: &str| {
        let watched = format!("-key={}", guarded.place.kv("checksum"));
        let mut watch = guarded.consul.command(&["watch", "-type=key", &watched]);
        let output = watch.env("CONSUL_HTTP_TOKEN", token).stdout(Stdio::piped()).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    guarded.kvx_out(UNKNOWN).run().expect(77);
    guarded.kvx_out(UNKNOWN).payload(payload(MASTER)).run().expect(77);
    // What an agent's `keyprefix` watch without rights writes.
    guarded.kvx_out(UNKNOWN).payload("null").run().expect(0).says(&["nothing there", "not to be read"]);
    assert_eq!((guarded.place.content(), inode(), guarded.place.runs().len()), (lines(20), before, 1));
    assert_eq!(guarded.place.beside(), ["hosts"]);
}

// The token: where it comes from.

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
                "a directory" => ("/", "must be there and readable"),
                "an empty --token-file" | "an empty file alone" => (empty.as_str(), "is empty"),
                _ => (missing.as_str(), "must be there and readable"),
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

// The token: where it does not go.

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

// The rest of the environment.

#[test]
fn an_address_may_have_a_scheme_a_path_and_a_slash_at_its_end() {
    let place = Place::new();
    // Behind a proxy that has Consul under a path of its own.
    let gate = Gate::to(&place.consul.address, |it| match it.target.strip_prefix("/consul/here") {
        Some(rest) if rest.starts_with("/v1/") => Act::PassAs(rest.to_owned()),
        _ => Act::Say(http("404 Not Found", "404 page not found")),
    });
    let address = &gate.address;
    for (n, address) in [
        format!("{address}/consul/here"),
        format!("{address}/consul/here/"),
        format!("http://{address}/consul/here"),
        format!("http://{address}/consul/here/"),
    ]
    .iter()
    .enumerate()
    {
        // By the variable, and by the flag.
        Run::new("kvx-in", address).args(["-k", &place.key]).stdin(lines(20 + n)).run().expect(0);
        let run = Run::new("kvx-out", "127.0.0.1:1").args(["-s", address, "-k", &place.key, "-f", "-"]);
        assert_eq!(run.run().expect(0).out(), lines(20 + n), "{address}");
    }
    gate.requests();
    for address in [format!("http://{}", place.consul.address), format!("http://{}/", place.consul.address)] {
        Run::new("kvx-in", &address).args(["-k", &place.key]).stdin(lines(20)).run().expect(0);
    }
    // The wrong path is told from a missing key.
    let run = Run::new("kvx-out", address).args(["-k", &place.key, "-f", "-"]);
    run.run().expect(69).says(&["kvx-out: ", &place.key, "Consul at", address, "HTTP 404", "the path in its address"]);
}

#[test]
fn what_cannot_be_understood_is_said_before_anybody_is_asked() {
    let place = Place::new();
    place.upload(lines(20));
    let before = place.consul.modify_index(&place.kv("data"));
    let gate = Gate::open(&place.consul.address);
    let at = gate.address.as_str();
    let addr = |address: &str| vec![("CONSUL_HTTP_ADDR".to_owned(), address.to_owned())];
    let with = |name: &str, value: &str| vec![("CONSUL_HTTP_ADDR".into(), at.to_owned()), (name.into(), value.into())];
    for (variables, says) in [
        (addr(&format!("ftp://{at}")), vec!["CONSUL_HTTP_ADDR", "ftp://", "scheme"]),
        (addr("unix://socket"), vec!["CONSUL_HTTP_ADDR", "unix://socket", "unix:///PATH"]),
        (addr("http://"), vec!["CONSUL_HTTP_ADDR", "HOST:PORT"]),
        (addr("http:///v1"), vec!["CONSUL_HTTP_ADDR", "HOST:PORT"]),
        (addr("not an address"), vec!["CONSUL_HTTP_ADDR", "not an address", "HOST:PORT"]),
        (addr("127.0.0.1:99999"), vec!["CONSUL_HTTP_ADDR", "127.0.0.1:99999", "HOST:PORT"]),
        (addr(&format!("{at}/?a=b")), vec!["CONSUL_HTTP_ADDR", "HOST:PORT"]),
        (with("CONSUL_HTTP_SSL", "yes"), vec!["CONSUL_HTTP_SSL", "\"yes\"", "true or false"]),
        (with("CONSUL_HTTP_SSL", "tRuE"), vec!["CONSUL_HTTP_SSL", "\"tRuE\"", "true or false"]),
        (with("CONSUL_HTTP_SSL_VERIFY", "no"), vec!["CONSUL_HTTP_SSL_VERIFY", "\"no\"", "true or false"]),
    ] {
        let environment = |run: Run| variables.iter().fold(run, |run, (name, value)| run.env(name, value));
        let says: Vec<&str> = [place.key.as_str()].into_iter().chain(says).collect();
        let limit = ["--timeout", "1s"];
        environment(place.kvx_in().args(limit).stdin(lines(30))).run().expect(78).says(&says);
        environment(place.kvx_out().args(limit).args(["-e", &place.handler()])).run().expect(78).says(&says);
    }
    assert_eq!(gate.connections(), 0);
    assert_eq!(place.consul.modify_index(&place.kv("data")), before);
    assert!(place.beside().is_empty() && place.runs().is_empty());
    // What means nothing here does no harm: Consul Template sets these two for its commands, always.
    for value in ["0", "f", "F", "false", "FALSE", "False", ""] {
        let run = place.kvx_in().env("CONSUL_HTTP_SSL", value).env("CONSUL_HTTP_SSL_VERIFY", "true");
        run.stdin(lines(20)).run().expect(0).is_silent();
    }
}

#[test]
fn a_namespace_that_consul_does_not_know_is_never_taken_for_the_default_one() {
    let place = Place::new();
    place.upload(lines(20));
    let before = place.consul.modify_index(&place.kv("data"));
    // The Community Edition has neither: 400 for both; 1.8.7 has never heard of partitions, and ignores them.
    for (name, parameter) in [("CONSUL_NAMESPACE", "\"ns\""), ("CONSUL_PARTITION", "\"partition\"")] {
        if name == "CONSUL_PARTITION" && !place.consul.has_get_or_empty() {
            continue;
        }
        for document in [lines(30), large()] {
            let ran = place.kvx_in().env(name, "team").stdin(document).run();
            assert_eq!(place.consul.modify_index(&place.kv("data")), before, "{name}: {}", ran.stderr);
            let says = ["kvx-in: ", &place.key, "Invalid query parameter", parameter, "Enterprise", name];
            ran.expect(78).says(&says);
        }
        let ran = place.kvx_out().args(["-e", &place.handler()]).env(name, "team").run().expect(78);
        ran.says(&["kvx-out: ", &place.key, "Invalid query parameter", parameter, "Enterprise", name]);
        assert!(place.beside().is_empty() && place.runs().is_empty(), "{name}");
    }
}

#[test]
fn a_datacenter_that_is_not_there_is_not_waited_for() {
    let place = Place::new();
    place.upload(lines(20));
    let before = place.consul.modify_index(&place.kv("data"));
    let says = ["Consul at", "No path to datacenter", "--dc"];
    let gate = Gate::open(&place.consul.address);
    let at = ["-s", gate.address.as_str(), "--dc", "nowhere"];
    for document in [lines(30), large()] {
        place
            .kvx_in()
            .args(at)
            .stdin(document)
            .run()
            .expect(69)
            .says(&["kvx-in: ", &place.key, says[0], says[1], says[2]]);
    }
    place.kvx_out().args(at).run().expect(69).says(&["kvx-out: ", &place.key, says[0], says[1], says[2]]);
    // Though it is a 500, it is not tried again.
    assert_eq!(gate.lines(), ["PUT /v1/txn?dc=nowhere"; 3]);
    assert_eq!(place.consul.modify_index(&place.kv("data")), before);
    assert!(place.beside().is_empty());
    // The agent's own is fine.
    place.kvx_in().args(["--dc", "dc1"]).stdin(lines(30)).run().expect(0);
    place.kvx_out().args(["--dc", "dc1"]).run().expect(0);
    assert_eq!(place.content(), lines(30));
}

const NODE: &str = include_str!("../../examples/acl-out.hcl");
const OPERATOR: &str = include_str!("../../examples/acl-operator.hcl");

#[test]
fn an_operators_token_suffices_for_all_that_kvx_does() {
    let guarded = Guarded::new();
    let (place, token) = (&guarded.place, guarded.token_of(OPERATOR));
    guarded.kvx(&token, "in").stdin(lines(20)).run().expect(0);
    guarded.kvx_file(&token, "out").args(["-k", &place.key]).run().expect(0);
    guarded.kvx(&token, "status").args(["--state-dir"]).arg(place.path().join("state")).run().expect(0).is_silent();
    guarded.kvx(&token, "stop").args(["-r", "why"]).run().expect(0).says(&["stopped: why"]);
    guarded.kvx(&token, "resume").run().expect(0).says(&["resumed"]);
    guarded.kvx_file(&token, "lock").args(["-r", "why"]).run().expect(0).says(&["locked on this node: why"]);
    guarded.kvx_file(&token, "status").run().expect(1).is_silent();
    guarded.kvx_file(&token, "unlock").arg("--run").run().expect(0);
    guarded.kvx(&token, "diff").arg("-").stdin(lines(20)).run().expect(0).is_silent();
    let listed = place.kvx("list").env("CONSUL_HTTP_TOKEN", &token).run().expect(0);
    assert!(listed.out().lines().any(|key| key == place.key), "{}", listed.out());
    let path = place.kv("data");
    guarded.kvx_file(&token, "raw").args(["-k", &path]).run().expect(0);
    // The marks are gone.
    assert_eq!(guarded.api("GET", &format!("/v1/kv/{}", guarded.lock()), b""), b"");
    assert_eq!(place.beside(), ["hosts"]);
}

#[test]
fn a_nodes_token_stops_and_resumes_nothing() {
    let guarded = Guarded::new();
    let token = guarded.token_of(NODE);
    guarded.put_pair(&lines(20));
    let before = guarded.in_consul();
    let denied = guarded.kvx(&token, "stop").args(["-r", "why"]).run().expect(77);
    denied.says(&["kvx stop: ", &guarded.place.kv("stop")]).says(&REMEDY);
    guarded.kvx(&token, "stop").args(["-r", "why", "--force"]).run().expect(77).says(&REMEDY);
    assert_eq!(guarded.in_consul(), before);
    guarded.put("stop", "the operator's");
    let before = guarded.in_consul();
    guarded.kvx(&token, "stop").args(["-r", "mine"]).run().expect(75).says(&["stopped already: the operator's"]);
    guarded.kvx(&token, "stop").args(["-r", "mine", "--replace"]).run().expect(77);
    guarded.kvx(&token, "resume").run().expect(77).says(&["kvx resume: ", &guarded.place.key]).says(&REMEDY);
    assert_eq!(guarded.in_consul(), before);
}

#[test]
fn a_nodes_token_locks_its_file_beside_it_alone_and_is_told() {
    let guarded = Guarded::new();
    let (place, token) = (&guarded.place, guarded.token_of(NODE));
    guarded.put_pair(&lines(20));
    guarded.kvx_out(&token).run().expect(0);
    let denied = guarded.kvx_file(&token, "lock").args(["-r", "why"]).run().expect(77);
    denied.says(&[place.file().to_str().unwrap(), &guarded.lock(), "locked by the mark beside it", "not in Consul"]);
    assert_eq!(guarded.api("GET", &format!("/v1/kv/{}", guarded.lock()), b""), b"");
    guarded.put_pair(&lines(21));
    guarded.kvx_out(&token).run().expect(0).says(&["locked on this node", "why"]);
    let shown = guarded.kvx_file(&token, "status").run().expect(1).is_silent();
    assert!(shown.out().contains("locked: why"), "{}", shown.out());
    // As the message says, it may take that back.
    guarded.kvx_file(&token, "unlock").arg("-q").run().expect(0).is_silent();
    guarded.kvx_out(&token).run().expect(0).says(&["installed"]);
    // But not what somebody with more rights has done: both marks stay.
    guarded.kvx_file(MASTER, "lock").args(["-r", "the operator's"]).run().expect(0);
    guarded.kvx_file(&token, "unlock").run().expect(77).says(&[&guarded.lock()]).says(&REMEDY);
    assert_eq!(place.beside(), [".hosts.lock", "hosts"]);
    guarded.kvx_out(&token).run().expect(0).says(&["locked on this node", "the operator's"]);
}

#[test]
fn a_token_lists_the_keys_that_it_may_list() {
    let (guarded, other) = (Guarded::new(), Guarded::new());
    for place in [&guarded, &other] {
        place.put_pair(&lines(20));
    }
    let token = guarded.token_of(NODE);
    let listed = guarded.place.kvx("list").env("CONSUL_HTTP_TOKEN", &token).run().expect(0).is_silent();
    assert_eq!(listed.out(), format!("{}\n", guarded.place.key));
    // One that may list nothing, and no token at all, are told from an empty folder nowhere: Consul says nothing either.
    let none = guarded.token("");
    for token in [none.as_str(), ""] {
        let listed = guarded.place.kvx("list").env("CONSUL_HTTP_TOKEN", token).run().expect(0).is_silent();
        assert_eq!(listed.out(), "");
    }
    let unknown = guarded.place.kvx("list").env("CONSUL_HTTP_TOKEN", UNKNOWN).run().expect(77);
    unknown.says(&["kvx list: "]);
    guarded.kvx(&none, "diff").arg("/dev/null").run().expect(77).says(&["kvx diff: ", &guarded.place.key]);
}

#[test]
fn a_key_that_may_not_be_read_does_not_hide_the_others_from_status() {
    let guarded = Guarded::new();
    guarded.put_pair(&lines(20));
    let place = &guarded.place;
    let other = format!("{}-other", place.key);
    guarded.kvx_out(MASTER).run().expect(0);
    let put = |part: &str, value: &str| {
        let path = format!("/v1/kv/kvexpress/{other}/{part}");
        assert_eq!(guarded.consul.http_as(Some(MASTER), "PUT", &path, value.as_bytes()).unwrap().0, 200);
    };
    put("data", &lines(5));
    put("checksum", &sha256(lines(5)));
    let state = place.path().join("state");
    let second = Run::new("kvx-out", &guarded.consul.address).env("CONSUL_HTTP_TOKEN", MASTER);
    let second = second.args(["-k", &other, "-l", "1", "--state-dir"]).arg(&state).arg("-f");
    second.arg(place.path().join("out/second")).run().expect(0);
    let token = guarded.token_with(Rights::READ);
    let status = place.kvx("status").env("CONSUL_HTTP_TOKEN", &token).args(["--json", "--state-dir"]).arg(&state);
    let ran = status.run().expect(77);
    let overview: Value = serde_json::from_str(ran.out()).unwrap();
    assert_eq!((&overview["well"], overview["keys"].as_array().unwrap().len()), (&json!(false), 2), "{overview:#}");
    assert_eq!((&overview["keys"][0]["key"], &overview["keys"][0]["torn"]), (&json!(place.key), &json!(null)));
    assert_eq!(overview["keys"][0]["denied"], false);
    assert_eq!((&overview["keys"][1]["key"], &overview["keys"][1]["denied"]), (&json!(other), &json!(true)));
    assert_eq!(overview["keys"][1]["checksum"], json!(null));
    assert_eq!(overview["files"].as_array().unwrap().len(), 2);
    ran.says(&["kvx status: ", "Consul denies ", &other]);
}

#[test]
fn denied_absent_and_torn_are_three_states() {
    let guarded = Guarded::new();
    let place = &guarded.place;
    let (prefix, consul) = (&place.key, &guarded.consul);
    let put = |path: &str, value: &str| {
        let path = format!("/v1/kv/{prefix}/{path}");
        assert_eq!(consul.http_as(Some(MASTER), "PUT", &path, value.as_bytes()).unwrap().0, 200);
    };
    let kvx_out = |key: &str| {
        let run = Run::new("kvx-out", &consul.address).args(["-k", key, "-p", prefix, "-t", MASTER]);
        run.arg("--state-dir").arg(place.path().join("state")).arg("-f").arg(place.path().join("out").join(key))
    };
    for key in ["absent", "denied", "good", "torn"] {
        put(&format!("{key}/data"), &lines(20));
        put(&format!("{key}/checksum"), &sha256(lines(20)));
        kvx_out(key).run().expect(0);
    }
    put("torn/data", "torn");
    for part in ["data", "checksum"] {
        consul.http_as(Some(MASTER), "DELETE", &format!("/v1/kv/{prefix}/absent/{part}"), b"").unwrap();
    }
    let read = |key: &str| format!("key_prefix \"{prefix}/{key}/\" {{ policy = \"read\" }}\n");
    let token = guarded.token(&[read("absent"), read("good"), read("torn")].concat());
    let status = Run::new("kvx", &consul.address).args(["status", "--json", "-p", prefix, "-t", &token]);
    let ran = status.arg("--state-dir").arg(place.path().join("state")).run().expect(77);
    let overview: Value = serde_json::from_str(ran.out()).unwrap();
    let states: Vec<_> = overview["files"].as_array().unwrap().iter().map(|file| &file["key_state"]).collect();
    assert_eq!(states, ["absent", "denied", "ok", "torn"], "{overview:#}");
    let denied: Vec<_> = overview["keys"].as_array().unwrap().iter().map(|key| &key["denied"]).collect();
    assert_eq!(denied, [false, true, false, false], "{overview:#}");
    let problems: Vec<_> = overview["files"].as_array().unwrap().iter().map(|file| &file["problems"]).collect();
    let expected = [
        json!(["its key is not in Consul"]),
        json!(["denied: this token cannot read its key"]),
        json!([]),
        json!(["its key is torn"]),
    ];
    assert_eq!(problems, expected.iter().collect::<Vec<_>>());
    assert!(ran.stderr.contains("denied") || ran.stderr.contains("denies"), "{}", ran.stderr);
}
