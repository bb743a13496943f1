//! On a Consul with ACLs: the permissions of a node and of an operator are sufficient for their work and for nothing
//! else, and `kvx` says which are missing.

use super::acl::{Guarded, MASTER, REMEDY, Rights, UNKNOWN};
use crate::common::{Run, lines, sha256};
use serde_json::{Value, json};

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
    // The markers are gone.
    assert_eq!(guarded.api("GET", &format!("/v1/kv/{}", guarded.lock()), b""), b"");
    assert_eq!(place.names(), ["hosts"]);
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
fn a_nodes_token_locks_its_file_only_by_a_marker_and_kvx_says_so() {
    let guarded = Guarded::new();
    let (place, token) = (&guarded.place, guarded.token_of(NODE));
    guarded.put_pair(&lines(20));
    guarded.kvx_out(&token).run().expect(0);
    let denied = guarded.kvx_file(&token, "lock").args(["-r", "why"]).run().expect(77);
    denied.says(&[place.file().to_str().unwrap(), &guarded.lock(), "locked by the marker next to it", "not in Consul"]);
    assert_eq!(guarded.api("GET", &format!("/v1/kv/{}", guarded.lock()), b""), b"");
    guarded.put_pair(&lines(21));
    guarded.kvx_out(&token).run().expect(0).says(&["locked on this node", "why"]);
    let shown = guarded.kvx_file(&token, "status").run().expect(1).is_silent();
    assert!(shown.out().contains("locked: why"), "{}", shown.out());
    // As the message says, it may take that back.
    guarded.kvx_file(&token, "unlock").arg("-q").run().expect(0).is_silent();
    guarded.kvx_out(&token).run().expect(0).says(&["installed"]);
    // But not what an operator with more rights has done: both markers stay.
    guarded.kvx_file(MASTER, "lock").args(["-r", "the operator's"]).run().expect(0);
    guarded.kvx_file(&token, "unlock").run().expect(77).says(&[&guarded.lock()]).says(&REMEDY);
    assert_eq!(place.names(), [".hosts.lock", "hosts"]);
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
    // One that may list nothing, and no token at all, are told from an empty folder nowhere: Consul says nothing
    // either.
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
