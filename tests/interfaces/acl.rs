//! Promise 5: missing permissions are one clear line and a distinct exit status, and nothing is lost. On real agents
//! whose ACLs deny everything that is not allowed.

use std::process::Stdio;
use std::sync::{Arc, Mutex, Weak};
use std::time::Instant;

use crate::common::{Consul, Place, Run, SLACK, lines, sha256, wait_for};
use serde_json::{Value, json};

pub const MASTER: &str = "00000000-aaaa-bbbb-cccc-0123456789ab";

/// A token that no Consul knows.
pub const UNKNOWN: &str = "99999999-dddd-eeee-ffff-9876543210fe";

/// What to do about a denial.
pub const REMEDY: [&str; 3] = ["more permissions", "CONSUL_HTTP_TOKEN", "--token-file"];

/// A place on an agent with ACLs, whose document is looked at and put there with the master token.
pub struct Guarded {
    pub place: Place,
    pub consul: Arc<Consul>,
}

/// What a token may do with what belongs to a key.
#[derive(Clone, Copy)]
pub struct Rights {
    pub data: &'static str,
    pub checksum: &'static str,
    pub record: &'static str,
    pub hold: &'static str,
    pub stop: &'static str,
    pub locks: &'static str,
    pub history: &'static str,
}

impl Rights {
    pub const READ: Rights = Rights {
        data: "read",
        checksum: "read",
        record: "read",
        hold: "read",
        stop: "read",
        locks: "read",
        history: "read",
    };

    /// What an uploader needs.
    pub const WRITE: Rights =
        Rights { data: "write", checksum: "write", record: "write", history: "write", ..Rights::READ };
}

impl Guarded {
    pub fn new() -> Guarded {
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

    pub fn api(&self, method: &str, path: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
        let (status, answer) = self.consul.http_as(Some(MASTER), method, path, body.as_ref()).unwrap();
        assert!(status == 200 || (status == 404 && method == "GET"), "{status}: {}", String::from_utf8_lossy(&answer));
        answer
    }

    /// A new token with these rules.
    pub fn token(&self, rules: &str) -> String {
        static MADE: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let name = format!("policy-{}", MADE.fetch_add(1, std::sync::atomic::Ordering::SeqCst));
        self.api("PUT", "/v1/acl/policy", json!({"Name": name, "Rules": rules}).to_string());
        let answer = self.api("PUT", "/v1/acl/token", json!({"Policies": [{"Name": name}]}).to_string());
        let token: Value = serde_json::from_slice(&answer).unwrap();
        token["SecretID"].as_str().unwrap().to_owned()
    }

    pub fn token_with(&self, rights: Rights) -> String {
        let Rights { data, checksum, record, hold, stop, locks, history } = rights;
        let key = |part: &str, policy: &str| format!("key \"{}\" {{ policy = \"{policy}\" }}\n", self.place.kv(part));
        let locks = format!("key_prefix \"kvexpress/locks/\" {{ policy = \"{locks}\" }}\n");
        let rest =
            [key("record", record), key("hold", hold), key("stop", stop), locks, self.history_rules(history)].concat();
        self.token(&[key("data", data), key("checksum", checksum), rest].concat())
    }

    /// Rules for this key's folder, and for the locks.
    pub fn rules(&self, folder: &str, locks: &str) -> String {
        let folder = format!("key_prefix \"{}\" {{ policy = \"{folder}\" }}\n", self.place.kv(""));
        format!("{folder}key_prefix \"kvexpress/locks/\" {{ policy = \"{locks}\" }}\n")
    }

    /// Rules for this key's history.
    pub fn history_rules(&self, policy: &str) -> String {
        let key = &self.place.key;
        let rule = |folder| format!("key_prefix \"kvexpress/kvx/{folder}/{key}/\" {{ policy = \"{policy}\" }}\n");
        ["history", "parts"].map(rule).concat()
    }

    /// All of the key's history.
    pub fn history(&self) -> Vec<u8> {
        ["history", "parts"]
            .map(|folder| self.api("GET", &format!("/v1/kv/kvexpress/kvx/{folder}/{}/?recurse", self.place.key), b""))
            .concat()
    }

    pub fn put(&self, part: &str, value: impl AsRef<[u8]>) {
        self.api("PUT", &format!("/v1/kv/{}", self.place.kv(part)), value);
    }

    pub fn put_pair(&self, document: &str) {
        self.put("data", document);
        self.put("checksum", sha256(document));
    }

    /// All of the key, indexes included.
    pub fn in_consul(&self) -> Vec<u8> {
        self.api("GET", &format!("/v1/kv/{}?recurse", self.place.kv("")), b"")
    }

    pub fn text(&self, part: &str) -> String {
        String::from_utf8(self.api("GET", &format!("/v1/kv/{}?raw", self.place.kv(part)), b"")).unwrap()
    }

    pub fn kvx_in(&self, token: &str) -> Run {
        self.place.kvx_in().env("CONSUL_HTTP_TOKEN", token)
    }

    pub fn kvx_out(&self, token: &str) -> Run {
        self.place.kvx_out().env("CONSUL_HTTP_TOKEN", token).args(["-e", &self.place.handler()])
    }

    /// A token of one of the examples, for this key instead of `hosts`.
    pub fn token_of(&self, example: &str) -> String {
        let of_history = format!("/{}/\"", self.place.key);
        self.token(&example.replace("kvexpress/hosts/", &self.place.kv("")).replace("/hosts/\"", &of_history))
    }

    /// A command of `kvx`, about this key.
    pub fn kvx(&self, token: &str, command: &str) -> Run {
        self.place.kvx(command).args(["-k", &self.place.key]).env("CONSUL_HTTP_TOKEN", token)
    }

    /// A command of `kvx`, about this file.
    pub fn kvx_file(&self, token: &str, command: &str) -> Run {
        self.place.kvx_file(command).env("CONSUL_HTTP_TOKEN", token)
    }

    /// Nothing of a denied `kvx-out` is to be seen.
    #[track_caller]
    pub fn assert_untouched(&self) {
        assert!(self.place.names().is_empty(), "{:?}", self.place.names());
        assert!(self.place.runs().is_empty());
    }

    pub fn lock(&self) -> String {
        let hostname = nix::unistd::gethostname().unwrap().into_string().unwrap();
        format!("kvexpress/locks/{}/{hostname}", sha256(self.place.file().to_str().unwrap()))
    }
}

/// 450 KB: too large for a transaction.
pub fn large() -> String {
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
    // And its stop and its lock are respected.
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
fn reading_exactly_its_five_keys_suffices_for_kvx_out() {
    let guarded = Guarded::new();
    let token = guarded.token_with(Rights { record: "deny", history: "deny", ..Rights::READ });
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
fn writing_the_keys_folder_and_its_history_suffices_for_kvx_in() {
    let guarded = Guarded::new();
    let token = guarded.token(&[guarded.rules("write", "deny"), guarded.history_rules("write")].concat());
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
fn without_permission_for_the_history_nothing_is_uploaded_unless_none_is_kept() {
    let guarded = Guarded::new();
    guarded.put_pair(&lines(20));
    let before = guarded.in_consul();
    for history in ["deny", "read"] {
        let token = guarded.token(&[guarded.rules("write", "deny"), guarded.history_rules(history)].concat());
        for document in [lines(30), large()] {
            let ran = guarded.kvx_in(&token).stdin(&document).run().expect(77);
            ran.says(&["Consul denies ", "kvexpress/kvx/", &guarded.place.key, REMEDY[0], "--keep 0"]);
            assert_eq!((guarded.in_consul(), guarded.history()), (before.clone(), vec![]));
        }
    }
    let token = guarded.token(&guarded.rules("write", "deny"));
    guarded.kvx_in(&token).args(["--keep", "0"]).stdin(lines(30)).run().expect(0).says(&["uploaded"]);
    assert_eq!((guarded.text("data"), guarded.history()), (lines(30), vec![]));
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
            ("data", Rights { data: "read", ..Rights::WRITE }),
            ("checksum", Rights { checksum: "read", ..Rights::WRITE }),
            ("record", Rights { record: "read", ..Rights::WRITE }),
        ] {
            if name != "data" && name != "all" && upload.len() > 400_000 {
                continue; // In two steps: the data is written before the checksum is denied. See below.
            }
            let token = guarded.token_with(rights);
            let held = guarded.in_consul();
            let ran = guarded.kvx_in(&token).stdin(&upload).run().expect(77);
            assert_eq!(guarded.in_consul(), held, "{name}: nothing is written");
            let folder = guarded.place.kv("");
            let is_named = ran.stderr.contains(&folder) || (name == "all" && ran.stderr.contains("kvexpress/kvx/"));
            assert!(is_named, "{name}: what is denied is named: {}", ran.stderr);
            let key = guarded.place.key.as_str();
            ran.says(&["kvx-in: ", key, "Consul denies ", "ermission denied", REMEDY[0], REMEDY[1], REMEDY[2]]);
        }
    }
}

#[test]
fn a_large_document_whose_checksum_may_not_be_written_leaves_a_torn_pair_that_is_not_installed() {
    let guarded = Guarded::new();
    guarded.put_pair(&lines(20));
    guarded.kvx_out(MASTER).run().expect(0);
    let token = guarded.token_with(Rights { checksum: "read", ..Rights::WRITE });
    guarded.kvx_in(&token).stdin(large()).run().expect(77).says(&["Consul denies ", REMEDY[0]]);
    guarded.kvx_out(MASTER).args(["--timeout", "3s"]).run().expect(75).says(&["torn"]);
    assert_eq!((guarded.place.content(), guarded.place.runs().len()), (lines(20), 1));
    // A token with permission repairs it.
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
fn a_denied_stop_hold_or_lock_is_denied_since_consul_1_14_and_looks_absent_before() {
    for denied in ["stop", "hold", "lock"] {
        let guarded = Guarded::new();
        guarded.put_pair(&lines(20));
        let (path, rights) = match denied {
            "stop" => (guarded.place.kv("stop"), Rights { stop: "deny", ..Rights::READ }),
            "hold" => (guarded.place.kv("hold"), Rights { hold: "deny", ..Rights::READ }),
            _ => (guarded.lock(), Rights { locks: "deny", ..Rights::READ }),
        };
        let token = guarded.token_with(rights);
        // Whether it is there or not: it may not be read.
        for marker in ["".to_owned(), if denied == "hold" { sha256(lines(9)) } else { "maintenance".into() }] {
            guarded.api("PUT", &format!("/v1/kv/{path}"), marker);
            let ran = guarded.kvx_out(&token).run();
            if guarded.consul.has_get_or_empty() {
                ran.expect(77).says(&["kvx-out: ", &guarded.place.key, "Consul denies ", &path, REMEDY[0], REMEDY[1]]);
                guarded.assert_untouched();
            } else {
                ran.expect(0);
                assert_eq!(guarded.place.content(), lines(20));
            }
        }
        if denied != "lock" {
            let token = guarded.token_with(Rights { stop: rights.stop, hold: rights.hold, ..Rights::WRITE });
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
        ("unknown", UNKNOWN, "ACL not found", "with the token from CONSUL_HTTP_TOKEN", "does not know this token"),
        ("powerless", &powerless, &data, "with the token from CONSUL_HTTP_TOKEN", REMEDY[0]),
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
    guarded.kvx_out(UNKNOWN).payload("null").run().expect(0).says(&["the key does not exist", "cannot read it"]);
    assert_eq!((guarded.place.content(), inode(), guarded.place.runs().len()), (lines(20), before, 1));
    assert_eq!(guarded.place.names(), ["hosts"]);
}

#[test]
fn without_permission_for_the_history_no_document_of_it_is_removed() {
    let guarded = Guarded::new();
    for document in [lines(20), lines(30), lines(40)] {
        guarded.kvx_in(MASTER).stdin(&document).run().expect(0);
    }
    let before = guarded.history();
    let key = &guarded.place.key;
    let rule = |folder: &str, policy: &str| {
        format!("key_prefix \"kvexpress/kvx/{folder}/{key}/\" {{ policy = \"{policy}\" }}\n")
    };
    for (history, parts) in [("deny", "write"), ("read", "write"), ("write", "deny"), ("write", "read")] {
        let rules = [guarded.rules("write", "deny"), rule("history", history), rule("parts", parts)].concat();
        let token = guarded.token(&rules);
        guarded.kvx(&token, "clean").run().expect(77).says(&["kvx clean: ", key, "Consul denies "]).says(&REMEDY);
        assert_eq!(guarded.history(), before, "history {history}, parts {parts}");
    }
    let rules = [guarded.rules("read", "deny"), guarded.history_rules("write")].concat();
    guarded.kvx(&guarded.token(&rules), "clean").run().expect(0).is_silent();
    assert_eq!(guarded.history(), before);
}
