//! A watch's payload, and other content of stdin: a new document, a deleted key, a key without a name, garbage.

use super::download::assert_untouched;
use crate::common::{Place, Ran, Run, lines};

#[test]
fn every_kind_of_payload_brings_the_new_document() {
    let place = Place::new();
    for (round, part) in ["checksum", "data", ""].into_iter().cycle().take(6).enumerate() {
        let document = lines(20 + round);
        place.upload(&document);
        let payload = place.payload(part);
        // The payload names the key, unless -k does.
        let run = if round < 3 { place.kvx_out_bare() } else { place.kvx_out() };
        let round = run.payload(payload).run().expect(0);
        round.says(&[&place.key, "installed"]);
        assert_eq!(place.content(), document);
    }
}

#[test]
fn a_payload_is_read_when_a_watch_or_an_option_says_so_or_no_key_is_given() {
    let place = Place::new();
    place.upload(lines(20));
    let other = r#"{"Key":"kvexpress/other/checksum","ModifyIndex":1,"Value":null}"#;
    // Without -k and without CONSUL_INDEX.
    place.kvx_out_bare().stdin(place.payload("checksum")).run().expect(0).says(&[&place.key, "installed"]);
    // With --payload: null means that there is nothing to do.
    place.kvx_out().arg("--payload").stdin("null\n").run().expect(0).says(&["the key does not exist"]);
    // With -k alone it is not read: null means nothing.
    place.kvx_out().stdin("null\n").run().expect(0).is_silent();
    // With -k, what is another key's means only that something happened.
    place.upload(lines(21));
    place.kvx_out().payload(other).run().expect(0).says(&["21 lines", "installed"]);
}

#[test]
fn null_touches_nothing_and_is_no_failure() {
    let place = Place::new();
    place.upload(lines(20));
    place.kvx_out_bare().payload("null\n").run().expect(0).says(&["the key does not exist"]);
    place.kvx_out().payload("null\n").run().expect(0).says(&[
        &place.key,
        "the key does not exist",
        "file left unchanged",
    ]);
    assert_untouched(&place, None);
}

#[test]
fn with_a_key_any_other_stdin_only_means_that_something_happened() {
    let place = Place::new();
    let event = r#"[{"ID":"b5","Name":"deploy","Payload":null,"NodeFilter":"","Version":1,"LTime":4}]"#;
    let foreign = r#"[{"Key":"elsewhere/x","ModifyIndex":3,"Value":"eA=="}]"#;
    for (round, stdin) in
        ["", "\n", event, foreign, "no json", "{\"half\":", "[]", "{}", "[null]", "7"].into_iter().enumerate()
    {
        place.upload(lines(30 + round));
        place.kvx_out().payload(stdin).run().expect(0).says(&["installed"]);
        assert_eq!(place.content(), lines(30 + round), "{stdin}");
    }
}

#[test]
fn without_a_key_a_payload_that_names_none_is_refused() {
    let place = Place::new();
    let two = r#"[{"Key":"kvexpress/a/data","ModifyIndex":3,"Value":null},{"Key":"kvexpress/b/data","ModifyIndex":3,"Value":null}]"#;
    let cases = [
        ("", 65),
        ("no json", 65),
        ("{\"half\":", 65),
        (r#"[{"ID":"b5","Name":"deploy"}]"#, 65),
        (r#"{"Key":"kvexpress/x/checksum","ModifyIndex":"no number"}"#, 65),
        ("[]", 64),
        (r#"{"Key":"elsewhere/hosts/checksum","ModifyIndex":3,"Value":null}"#, 64),
        (r#"{"Key":"kvexpress/hosts","ModifyIndex":3,"Value":null}"#, 64),
        (r#"{"Key":"kvexpress/hosts/other","ModifyIndex":3,"Value":null}"#, 64),
        (r#"{"Key":"kvexpress/locks/x/data","ModifyIndex":3,"Value":null}"#, 64),
        (two, 64),
    ];
    for (payload, status) in cases {
        place.kvx_out_bare().payload(payload).run().expect(status).says(&["payload", "-k"]);
        assert_untouched(&place, None);
    }
}

#[test]
fn a_keyprefix_watch_on_a_folder_of_keys_brings_the_outer_key() {
    let place = Place::new();
    place.upload(lines(20));
    let inner = format!("{}/nginx", place.key);
    Run::new("kvx-in", &place.consul.address).args(["-k", &inner]).stdin(lines(99)).run().expect(0);
    place.kvx_out_bare().payload(place.payload("")).run().expect(0).says(&[&place.key, ": 20 lines"]);
    assert_eq!(place.content(), lines(20));
}

#[test]
fn another_prefix_is_split_off_too() {
    let place = Place::new();
    let prefix = format!("infra/{}", place.key);
    Run::new("kvx-in", &place.consul.address).args(["-p", &prefix, "-k", "web/app"]).stdin(lines(20)).run().expect(0);
    let payload = place.consul.watch_payload(&format!("{prefix}/web/app/checksum"));
    place.kvx_out_bare().payload(&payload).run().expect(64).says(&["kvexpress/", "-p"]);
    place
        .kvx_out_bare()
        .args(["-p", &format!("/{prefix}")])
        .payload(&payload)
        .run()
        .expect(0)
        .says(&["web/app: 20 lines"]);
}

#[test]
fn a_stdin_that_never_closes_hangs_no_run() {
    let place = Place::new();
    place.upload(lines(20));
    let with_open_stdin = |run: Run| {
        let mut child = run.spawn();
        let open = child.stdin.take();
        let ran = Ran::from(child.wait_with_output().unwrap());
        drop(open);
        ran
    };
    with_open_stdin(place.kvx_out()).expect(0).says(&["installed"]);
    for run in [place.kvx_out().arg("--payload"), place.kvx_out_bare(), place.kvx_out().env("CONSUL_INDEX", "7")] {
        with_open_stdin(run.args(["--timeout", "300ms"]))
            .expect(74)
            .says(&["payload on stdin has not ended within 300ms"]);
    }
}

#[test]
fn a_folder_that_may_be_another_keys_names_no_key() {
    let place = Place::new();
    let inner = format!("{}/nginx", place.key);
    Run::new("kvx-in", &place.consul.address).args(["-k", &inner]).stdin(lines(99)).run().expect(0);
    // A watch on the outer folder, in which nothing else is yet.
    let payload = place.payload("");
    place.kvx_out_bare().payload(&payload).run().expect(64).says(&["does not name one key", "-k"]);
    place.kvx_out().payload(&payload).run().expect(66).says(&["there is no", &place.kv("data")]);
    assert_untouched(&place, None);
    place.kvx_out_bare().args(["-k", &inner]).payload(&payload).run().expect(0).says(&["99 lines", "installed"]);
}
