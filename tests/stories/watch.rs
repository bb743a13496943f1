//! Promises 3 and 4 under real watches, in agents (`watches` of their configuration) and in `consul watch`: an upload
//! is installed and reloaded once, and a watch that fires without a change costs nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::watches::{ConsulWatch, Form, Marker, Watch, fires, identity, running, watched};
use crate::common::proxy::Counter;
use crate::common::{Consul, Place, SLACK, lines, sha256, wait_for};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::Value;

#[test]
fn a_watch_of_an_agent_installs_what_kvx_in_uploads_and_runs_the_handler_once() {
    let consul = Arc::new(Consul::dev(""));
    let place = || Place::at(consul.clone());
    let forms = [
        ("a key watch", place(), Form { watch: Watch::Key("checksum"), ..Form::default() }),
        ("with a slash in front", place(), Form { watch: Watch::SlashKey("checksum"), ..Form::default() }),
        ("the deprecated handler", place(), Form { shell: true, ..Form::default() }),
        ("the payload names the key", place(), Form { key: false, ..Form::default() }),
        ("a keyprefix watch", place(), Form { watch: Watch::Prefix, ..Form::default() }),
        (
            "the payload of a keyprefix watch names the key",
            place(),
            Form { watch: Watch::Prefix, key: false, ..Form::default() },
        ),
    ];
    let watches: Vec<Value> = forms.iter().map(|(_, place, form)| form.watch(place)).collect();
    watched(&consul, &watches);
    for (form, place, _) in &forms {
        assert!(fires(place, 1)[0].contains("the key does not exist"), "{form}: {:?}", fires(place, 1));
        assert_eq!(place.names(), [""; 0], "{form}");
    }
    let mut expected: Vec<Vec<String>> = vec![Vec::new(); forms.len()];
    // The second change shows that the first one fired once.
    for (round, document) in [lines(600), lines(601)].iter().enumerate() {
        for ((form, place, _), expected) in forms.iter().zip(&mut expected) {
            place.kvx_in().stdin(document).run().expect(0);
            let fires = fires(place, 2 + round);
            expected.push(format!("{} {}", place.key, sha256(document)));
            assert_eq!(place.content(), *document, "{form}");
            assert_eq!(place.mode(), 0o644, "{form}");
            assert_eq!(place.names(), ["hosts"], "{form}");
            assert_eq!(place.runs(), *expected, "{form}");
            assert_eq!(fires.len(), 2 + round, "{form}: {fires:?}");
        }
    }
}

#[test]
fn an_agent_that_restarts_or_reloads_causes_no_request_no_write_and_no_reload() {
    let consul = Arc::new(Consul::server(""));
    let places = [Watch::Key("checksum"), Watch::Key("data"), Watch::Prefix].map(|watch| {
        let counter = Counter::to(&consul.address);
        let form = Form { watch, server: Some(counter.address.clone()), ..Form::default() };
        (Place::at(consul.clone()), form, counter)
    });
    watched(&consul, &places.iter().map(|(place, form, _)| form.watch(place)).collect::<Vec<_>>());
    for (place, form, counter) in &places {
        fires(place, 1);
        assert_eq!(counter.requests(), [""; 0], "{form:?}: null is no reason to ask");
        place.upload(lines(600));
        fires(place, 2);
        assert_eq!(place.content(), lines(600), "{form:?}");
        assert_eq!(place.runs().len(), 1, "{form:?}");
        // The payload of a keyprefix watch brings everything; that of a key watch only the news.
        assert_eq!(counter.requests().is_empty(), form.watch == Watch::Prefix, "{form:?}");
    }
    let restart = || {
        consul.down();
        consul.up();
    };
    let again: [(&str, &dyn Fn()); 3] = [("restart", &restart), ("reload", &|| consul.reload()), ("restart", &restart)];
    for (what, again) in again {
        let before = places.each_ref().map(|(place, _, _)| (fires(place, 0).len(), identity(place)));
        again();
        for ((place, form, counter), (fired, identity_before)) in places.iter().zip(before) {
            // While Consul 1.8.7 reads its log again, a watch may bring `null` first (seen): all the more no reason to act.
            let mut said = fires(place, fired + 1).split_off(fired);
            if said.iter().all(|said| said.contains("the key does not exist")) {
                said = fires(place, fired + said.len() + 1).split_off(fired);
            }
            said.retain(|said| !said.contains("the key does not exist"));
            assert!(!said.is_empty() && said.concat().is_empty(), "{what}, {form:?}: says nothing, not {said:?}");
            assert_eq!(counter.requests(), [""; 0], "{what}, {form:?}: asks nothing");
            assert_eq!(identity(place), identity_before, "{what}, {form:?}: writes nothing");
            assert_eq!(place.runs().len(), 1, "{what}, {form:?}: runs nothing");
            assert_eq!(place.names(), ["hosts"], "{what}, {form:?}");
        }
    }
    for (place, form, _) in &places {
        let fired = fires(place, 0).len();
        place.upload(lines(601));
        fires(place, fired + 1);
        assert_eq!((place.content(), place.runs().len()), (lines(601), 2), "{form:?} goes on");
    }
}

#[test]
fn consul_watch_installs_one_change_after_the_other() {
    let forms = [
        ("through a shell", Form { watch: Watch::Key("checksum"), shell: true, ..Form::default() }),
        ("-shell=false", Form { watch: Watch::Key("checksum"), ..Form::default() }),
        ("-shell=false, without -k", Form { watch: Watch::Key("checksum"), key: false, ..Form::default() }),
        ("keyprefix", Form { watch: Watch::Prefix, ..Form::default() }),
        (
            "keyprefix, through a shell, without -k",
            Form { watch: Watch::Prefix, shell: true, key: false, ..Form::default() },
        ),
    ]
    .map(|(name, form)| {
        let place = Place::new();
        let watch = ConsulWatch::start(&place, &form);
        (name, place, watch)
    });
    for (name, place, watch) in &forms {
        wait_for("the handler of null", 10, || watch.log().contains("the key does not exist").then_some(()));
        assert_eq!(place.names(), [""; 0], "{name}");
    }
    let documents = [lines(600), lines(20), lines(601), lines(30)];
    for document in &documents {
        for (_, place, _) in &forms {
            place.upload(document);
        }
        for (name, place, _) in &forms {
            // The handler comes after the file.
            let last = format!("{} {}", place.key, sha256(document));
            wait_for(name, 10, || (place.runs().last() == Some(&last)).then_some(()));
            assert_eq!(place.content(), *document, "{name}");
        }
    }
    for (name, place, mut watch) in forms {
        let expected = documents.each_ref().map(|document| format!("{} {}", place.key, sha256(document)));
        assert_eq!(place.runs(), expected, "{name}: each change was reloaded once:\n{}", watch.log());
        assert_eq!(place.names(), ["hosts"], "{name}");
        assert!(watch.child.try_wait().unwrap().is_none(), "{name}: the watch goes on:\n{}", watch.log());
    }
}

#[test]
fn a_handler_that_fails_under_an_agent_is_retried_once_by_the_timers_next_run() {
    let consul = Arc::new(Consul::dev(""));
    let places = [Watch::Key("checksum"), Watch::Prefix].map(|watch| {
        let place = Place::at(consul.clone());
        // It fails as long as there is no `allowed`.
        let handler = format!("sh -c 'test -e {0}/allowed && echo $KVX_CHECKSUM >> {0}/runs'", place.path().display());
        (place, Form { watch, handler: Some(handler), ..Form::default() })
    });
    watched(&consul, &places.each_ref().map(|(place, form)| form.watch(place)));
    for (place, form) in &places {
        fires(place, 1);
        place.upload(lines(600));
        let said = fires(place, 2).remove(1);
        assert!(said.contains("failed") && said.contains("handler is pending"), "{form:?}: {said}");
        assert_eq!(place.content(), lines(600), "{form:?}: the file is new all the same");
        form.timer(place).expect(1).says(&[&place.key, "failed", "pending"]);
        assert_eq!(place.runs(), [""; 0], "{form:?}");

        place.write("allowed", "");
        let before = identity(place);
        form.timer(place).expect(0).says(&[&place.key, "pending handler ran"]);
        assert_eq!(place.runs(), [sha256(lines(600))], "{form:?}");
        form.timer(place).expect(0).is_silent();
        assert_eq!(identity(place), before, "{form:?}: the file was right all the time");

        place.upload(lines(601));
        fires(place, 3);
        assert_eq!(place.runs(), [sha256(lines(600)), sha256(lines(601))], "{form:?}: each once");
        assert_eq!(place.names(), ["hosts"], "{form:?}");
    }
}

#[test]
fn changes_and_a_reload_during_a_slow_handler_end_with_the_last_document_reloaded_once() {
    let consul = Arc::new(Consul::dev(""));
    let places = [Watch::Key("checksum"), Watch::Prefix].map(|watch| {
        let place = Place::at(consul.clone());
        // It ends when there is a `go`. Only one at a time can make the directory.
        let script = "mkdir $0/busy || echo overlap >> $0/runs; echo $KVX_CHECKSUM >> $0/runs; \
                      until test -e $0/go; do sleep 0.01; done; rmdir $0/busy";
        let handler = format!("sh -c '{script}' {}", place.path().display());
        (place, Form { watch, handler: Some(handler), ..Form::default() })
    });
    watched(&consul, &places.each_ref().map(|(place, form)| form.watch(place)));
    for (place, form) in &places {
        fires(place, 1);
        place.upload(lines(600));
        wait_for("the handler", 10, || (place.runs().len() == 1).then_some(()));
        for n in [601, 20, 602] {
            place.upload(lines(n));
        }
        // An agent that reloads does not end a handler that runs: the watch fires while it does.
        consul.reload();
        wait_for("a second kvx-out", 10, || (running(place) == 2).then_some(()));
        assert_eq!((place.content(), place.runs()), (lines(600), vec![sha256(lines(600))]), "{form:?}");
        place.write("go", "");
        wait_for("the last document", 10, || (place.content() == lines(602) && running(place) == 0).then_some(()));
        place.upload(lines(603));
        wait_for("the next one", 10, || (place.content() == lines(603) && running(place) == 0).then_some(()));
        assert_eq!(place.runs(), [600, 602, 603].map(|n| sha256(lines(n))), "{form:?}");
        assert_eq!(place.names(), ["hosts"], "{form:?}");
    }
}

#[test]
fn a_stop_or_a_lock_keeps_a_watch_from_installing_until_it_is_taken_away() {
    let consul = Arc::new(Consul::dev(""));
    let key = Watch::Key("checksum");
    let cases = [
        (Marker::Stop, key),
        (Marker::Stop, Watch::Prefix),
        (Marker::LockInConsul, key),
        (Marker::LockedFile, key),
        (Marker::LockedFile, Watch::Prefix),
    ]
    .map(|(marker, watch)| (marker, Form { watch, ..Form::default() }, Place::at(consul.clone())));
    watched(&consul, &cases.each_ref().map(|(_, form, place)| form.watch(place)));
    for (marker, form, place) in &cases {
        let case = format!("{marker:?}, {form:?}");
        fires(place, 1);
        place.upload(lines(600));
        fires(place, 2);
        let before = identity(place);

        let marked = marker.set(place);
        let folder = form.watch == Watch::Prefix;
        if folder && *marker == Marker::Stop {
            fires(place, 3);
        }
        // As kvexpress does, since kvx-in does not upload to a key that is stopped.
        let fired = fires(place, 0).len();
        place.consul.put(&place.kv("data"), lines(601));
        if folder {
            fires(place, fired + 1);
        }
        let fired = fires(place, 0).len();
        place.consul.put(&place.kv("checksum"), sha256(lines(601)));
        let said = fires(place, fired + 1).pop().unwrap();
        assert!(said.contains(marker.says()) && said.contains("the disk is on fire"), "{case}: {said}");
        assert_eq!(identity(place), before, "{case}");
        assert_eq!((place.content(), place.runs().len()), (lines(600), 1), "{case}");

        form.timer(place).expect(0).says(&[&place.key, marker.says(), "the disk is on fire"]);
        assert_eq!(identity(place), before, "{case}");
        let fired = fires(place, 0).len();
        marked();
        if folder && *marker == Marker::Stop {
            fires(place, fired + 1); // This watch sees that the stop is gone.
        } else {
            form.timer(place).expect(0).says(&["installed"]);
        }
        assert_eq!((place.content(), place.runs().len()), (lines(601), 2), "{case}");
        assert_eq!(place.names(), ["hosts"], "{case}");
    }
}

/// As README.md and docs/security.md say: such a payload is installed without a request, so what it does not bring is
/// not known. `kvx lock` writes both.
#[test]
fn with_a_keyprefix_payload_the_marker_next_to_the_file_locks_it_and_a_lock_that_is_only_in_consul_does_not() {
    let place = Place::new();
    for (n, marker) in [(600, Marker::LockInConsul), (601, Marker::LockedFile)] {
        let unlock = marker.set(&place);
        place.upload(lines(n));
        let counter = Counter::to(&place.consul.address);
        let run = place.kvx_out().args(["-s", &counter.address]).payload(place.payload("")).run().expect(0);
        assert_eq!(counter.requests(), [""; 0], "{marker:?}");
        assert_eq!(place.content(), lines(600), "{marker:?}");
        run.says(&[if marker == Marker::LockInConsul { "installed" } else { "locked" }]);
        unlock();
    }
    place.kvx_file("lock").args(["-r", "canary"]).run().expect(0);
    place.kvx_out().payload(place.payload("")).run().expect(0).says(&["locked", "canary"]);
    assert_eq!(place.content(), lines(600));
}

#[test]
fn an_old_kvexpress_that_writes_data_and_then_the_checksum_ends_with_the_right_file() {
    let consul = Arc::new(Consul::dev(""));
    let cases = [Watch::Key("checksum"), Watch::Key("data"), Watch::Prefix].map(|watch| {
        let counter = Counter::to(&consul.address);
        let form = Form { watch, server: Some(counter.address.clone()), ..Form::default() };
        (Place::at(consul.clone()), form, counter)
    });
    watched(&consul, &cases.each_ref().map(|(place, form, _)| form.watch(place)));
    for (place, form, counter) in &cases {
        let mut fired = fires(place, 1).len();
        let mut expected: Vec<String> = Vec::new();
        let mut before = None;
        for (round, document) in [lines(600), lines(601), lines(20), lines(600)].into_iter().enumerate() {
            let case = format!("{form:?}, round {round}");
            counter.requests();
            place.consul.put(&place.kv("data"), &document);
            match form.watch {
                Watch::Key("checksum") => {}
                // The payload's checksum is still that of the file: nothing to do.
                Watch::Prefix if round > 0 => {
                    fired += 1;
                    assert_eq!(fires(place, fired).concat(), fires(place, fired)[..fired - 1].concat(), "{case}");
                    assert_eq!(counter.requests(), [""; 0], "{case}");
                }
                // It has seen the torn pair, and asks until it is whole.
                _ => {
                    let mut requests = 0;
                    wait_for("three requests", 10, || {
                        requests += counter.requests().len();
                        (requests >= 3).then_some(())
                    });
                    fired += usize::from(form.watch == Watch::Prefix); // Once more for the checksum.
                }
            }
            assert_eq!(std::fs::read(place.file()).ok(), before, "{case}: nothing that is torn is installed");
            assert_eq!(place.runs(), expected, "{case}");

            place.consul.put(&place.kv("checksum"), sha256(&document));
            fired += 1;
            let fires = fires(place, fired);
            assert_eq!(fires.len(), fired, "{case}: {fires:?}");
            expected.push(format!("{} {}", place.key, sha256(&document)));
            assert_eq!(place.content(), document, "{case}");
            assert_eq!(place.runs(), expected, "{case}");
            assert_eq!(place.names(), ["hosts"], "{case}");
            before = Some(document.into_bytes());
        }
    }
}

#[test]
fn an_event_watch_with_a_key_is_a_trigger() {
    let consul = Arc::new(Consul::dev(""));
    let place = Place::at(consul.clone());
    let form = Form { watch: Watch::Event, ..Form::default() };
    watched(&consul, &[form.watch(&place)]);
    assert!(fires(&place, 1)[0].contains("upload it with kvx-in"), "there is nothing yet: {:?}", fires(&place, 1));
    for (n, document) in [lines(600), lines(601)].iter().enumerate() {
        place.upload(document);
        assert_eq!(place.runs().len(), n, "no event, no news");
        assert!(consul.command(&["event", &format!("-name={}", place.key), "now"]).status().unwrap().success());
        fires(&place, n + 2);
        assert_eq!((place.content(), place.runs().len()), (document.clone(), n + 1));
    }
    assert_eq!(place.names(), ["hosts"]);
}

#[test]
fn the_summary_is_the_last_line_of_what_the_agent_keeps() {
    let consul = Arc::new(Consul::dev(""));
    // The agent keeps the last 4 KiB.
    let cases = [
        ("a handler that says much", "seq 1 5000", 0),
        ("a handler that does not end its line", "printf reloading...", 0),
        ("a handler that fails", "sh -c \"seq 1 5000 >&2; exit 3\"", 1),
        ("a handler that does not end its line and fails", "sh -c \"printf oops >&2; exit 3\"", 1),
    ]
    .map(|(name, handler, status)| {
        let form = Form { handler: Some(handler.into()), ..Form::default() };
        (name, form, status, Place::at(consul.clone()))
    });
    watched(&consul, &cases.each_ref().map(|(_, form, _, place)| form.watch(place)));
    let mut wrong = Vec::new();
    for (name, form, status, place) in &cases {
        fires(place, 1);
        place.upload(lines(600));
        let said = fires(place, 2).remove(1);
        let last = said.lines().last().unwrap_or_default();
        let begins = if *status == 0 { place.key.clone() } else { format!("kvx-out: {}", place.key) };
        let tells = if *status == 0 { "installed" } else { "handler is pending" };
        if !(last.starts_with(&begins) && last.contains(tells)) {
            wrong.push(format!("{name}: {:?}", last));
        }
        assert_eq!(place.content(), lines(600), "{name}");
        form.timer(place).expect(*status);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_handler_that_misbehaves_does_not_stall_the_watch() {
    let consul = Arc::new(Consul::dev(""));
    // What it does, how long it may, and what is said of it.
    let cases = [
        ("trap '' TERM; while :; do sleep 0.1; done", "2s", "took longer than 2s and was stopped"),
        ("sleep 600 & exit 0", "30s", "handler ran in"),
        ("yes 012345678 | head -c 100000000", "30s", "handler ran in"),
        ("kill -KILL $$", "30s", "failed (signal: 9 (SIGKILL))"),
        ("exec no-such-program", "30s", "failed (exit status: 127)"),
        ("", "30s", "could not be run"),
    ]
    .map(|(does, limit, says)| {
        let place = Place::at(consul.clone());
        let script = place.write("handler", format!("echo $$ >> {}/runs\n{does}\n", place.path().display()));
        let handler = if does.is_empty() { "no-such-handler".into() } else { format!("sh {}", script.display()) };
        (Form { handler: Some(handler), handler_timeout: limit, ..Form::default() }, says, place)
    });
    watched(&consul, &cases.each_ref().map(|(form, _, place)| form.watch(place)));
    for (form, says, place) in &cases {
        fires(place, 1);
        for n in 1..=2 {
            let started = Instant::now();
            place.upload(lines(600 + n));
            let said = fires(place, 1 + n).remove(n);
            let last = said.lines().last().unwrap_or_default();
            assert!(last.contains(says), "{form:?}: {said}");
            assert_eq!(place.content(), lines(600 + n), "{form:?}");
            // Its limit, and the five seconds until what ignores TERM is killed, and some for a busy machine; but less than
            // the limit of the others.
            assert!(started.elapsed() < Duration::from_secs(2 + 5) + SLACK, "{form:?}: the watch was stalled");
        }
        for group in place.runs() {
            // What it left behind is ours to end.
            let _ = killpg(Pid::from_raw(group.parse().unwrap()), Signal::SIGKILL);
        }
    }
}
