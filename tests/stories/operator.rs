//! What a person does at the terminal, by `kvx`: it does what it says, tells what it has replaced, and what goes wrong in
//! between leaves a stop or a lock where it was. On a real Consul.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::common::busy::Busy;
use crate::common::gate::{Act, Gate, Step};
use crate::common::proxy::Counter;
use crate::common::run::{binary, path};
use crate::common::{self, Place, Ran, Run, golden, lines, lock_of, sha256, wait_for};
use serde_json::{Value, json};

/// Nobody is there.
const NOBODY: &str = "127.0.0.1:1";

fn hostname() -> String {
    nix::unistd::gethostname().unwrap().into_string().unwrap()
}

/// As a person does it, behind sudo.
fn stop(place: &Place, reason: &str) -> Run {
    place.kvx("stop").args(["-k", &place.key, "-r", reason]).env("SUDO_USER", "anna")
}

fn resume(place: &Place) -> Run {
    place.kvx("resume").args(["-k", &place.key])
}

fn lock(place: &Place, reason: &str) -> Run {
    place.kvx_file("lock").args(["-r", reason]).env("SUDO_USER", "anna")
}

fn unlock(place: &Place) -> Run {
    place.kvx_file("unlock")
}

/// Uploads and installs.
fn installed(place: &Place, document: &str) {
    place.upload(document);
    place.kvx_out().run().expect(0);
}

/// A reason with who, where and when (in UTC, to the second) behind it: `REASON (by anna on HOST, 2026-11-24T13:58:40Z)`.
#[track_caller]
fn assert_signed(text: &str, reason: &str, file: &str) {
    let rest = text.strip_prefix(&format!("{reason} ({file}by anna on {}, ", hostname()));
    let time = rest.and_then(|rest| rest.strip_suffix(')')).unwrap_or_else(|| panic!("not signed: {text}"));
    assert!(humantime::parse_rfc3339(time).is_ok() && time.len() == 20, "{text}");
}

// Stop.

#[test]
fn a_stop_says_who_and_when_and_both_programs_heed_it_and_tell_it() {
    let place = Place::new();
    place.upload(lines(20));
    let (folder, ran) = (place.folder(), stop(&place, "bad DNS since 14:00").run().expect(0));
    let value = place.consul.text(&place.kv("stop")).unwrap();
    assert_signed(&value, "bad DNS since 14:00", "");
    assert!(ran.out().is_empty());
    ran.says(&[&format!("{}: stopped: {value}\n", place.key)]);

    place.kvx_in().stdin(lines(21)).run().expect(0).says(&["stopped", &value]);
    place.kvx_out().run().expect(0).says(&["stopped", &value]);
    let payload = place.payload("checksum");
    place.kvx_out().payload(&payload).run().expect(0).says(&["stopped", &value]);
    place.kvx_out().payload(place.payload("")).run().expect(0).says(&["stopped", &value]);
    assert_eq!(place.document().unwrap(), lines(20).as_bytes());
    assert!(place.beside().is_empty());

    resume(&place).run().expect(0).says(&["resumed", "fire", &sha256(lines(20))[..8], "it was stopped", &value]);
    assert!(place.consul.get(&place.kv("stop")).is_none());
    let (before, after): (Value, Value) = (from_json(&folder), from_json(&place.folder()));
    assert_eq!(before[1], after[1], "the data is as it was, its index too");
    assert_eq!(before[0]["Value"], after[0]["Value"]);
    place.kvx_out().run().expect(0).says(&["installed"]);
}

fn from_json(text: &[u8]) -> Value {
    serde_json::from_slice(text).unwrap()
}

#[test]
fn a_reason_is_one_line_whatever_was_typed() {
    let place = Place::new();
    place.upload(lines(20));
    stop(&place, " two\nlines\x1b[31m ").run().expect(0).says(&["stopped: two lines\\x1b[31m (by"]);
    assert_signed(&place.consul.text(&place.kv("stop")).unwrap(), "two lines\\x1b[31m", "");
    // As long as it may be: with its signature it is shown whole.
    let long = "é".repeat(200);
    stop(&place, &long).arg("--replace").run().expect(0);
    let value = place.consul.text(&place.kv("stop")).unwrap();
    assert_signed(&value, &long, "");
    place.kvx_out().run().expect(0).says(&[&value]);
}

#[test]
fn a_key_that_is_not_there_is_66_and_not_stopped_but_by_force() {
    let place = Place::new();
    stop(&place, "why").run().expect(66).says(&["kvx stop: ", &place.kv("checksum"), "nothing is stopped", "--force"]);
    assert!(place.folder().is_empty());
    stop(&place, "why").arg("--force").run().expect(0).says(&["stopped: why"]);
    assert!(place.consul.get(&place.kv("stop")).is_some());
    place.kvx_in().stdin(lines(20)).run().expect(0).says(&["stopped", "why"]);
    resume(&place).run().expect(0).says(&["resumed", "no document", "it was stopped: why"]);
    assert!(place.folder().is_empty());
}

#[test]
fn a_stop_replaces_another_only_if_it_is_told_to_and_tells_it() {
    let place = Place::new();
    place.upload(lines(20));
    stop(&place, "first").run().expect(0);
    let first = place.consul.text(&place.kv("stop"));
    let refused = stop(&place, "second").run().expect(75);
    refused.says(&["kvx stop: ", &place.key, "it is stopped already: first (by anna on", "kvx resume", "--replace"]);
    assert_eq!(place.consul.text(&place.kv("stop")), first);
    let second = stop(&place, "second").arg("--replace").run().expect(0);
    second.says(&["stopped: second (by", "it was stopped before: first (by anna"]);
    assert_signed(&place.consul.text(&place.kv("stop")).unwrap(), "second", "");
    // An empty one is none.
    place.consul.put(&place.kv("stop"), "");
    let ran = stop(&place, "third").run().expect(0);
    assert!(!ran.stderr.contains("before"), "{}", ran.stderr);
}

#[test]
fn who_stops_at_the_same_time_is_told_by_who_comes_behind() {
    let place = Place::new();
    place.upload(lines(20));
    let reasons = ["one", "two", "three", "four", "five"];
    let start = |replace: &[&str]| -> Vec<Child> {
        reasons.iter().map(|reason| stop(&place, reason).args(replace).spawn()).collect()
    };
    // One stops it, and the others are told by whom.
    let ran = start(&[]).into_iter().map(|child| Ran::from(child.wait_with_output().unwrap()));
    let (done, refused): (Vec<Ran>, Vec<Ran>) = ran.partition(|ran| ran.status.success());
    assert_eq!((done.len(), refused.len()), (1, 4));
    let stands = place.consul.text(&place.kv("stop")).unwrap();
    assert!(done[0].stderr.contains(&stands));
    for ran in refused {
        ran.expect(75).says(&["it is stopped already: ", &stands]);
    }
    place.consul.delete(&place.kv("stop"));
    let running = start(&["--replace"]);
    let mut told = BTreeSet::new();
    for child in running {
        let ran = Ran::from(child.wait_with_output().unwrap()).expect(0);
        told.insert(ran.stderr.split_once("before: ").map(|(_, before)| before.trim().to_owned()));
    }
    told.insert(place.consul.text(&place.kv("stop")));
    // Each is told by exactly one other, or stands; and one has found nothing.
    let mut all: Vec<Option<String>> = told.into_iter().collect();
    assert_eq!(all.remove(0), None);
    let mut names: Vec<String> = all.into_iter().map(|text| text.unwrap().split(' ').next().unwrap().into()).collect();
    names.sort();
    let mut expected = reasons.map(str::to_owned);
    expected.sort();
    assert_eq!(names, expected);
}

/// Somebody else changes a key just before the n-th write for which this is true.
fn gate_with_somebody(place: &Place, when: fn(usize) -> bool, change: impl Fn(usize) + Send + Sync + 'static) -> Gate {
    Gate::to(&place.consul.address, move |request| {
        if request.step == Step::Write && when(request.nth) {
            change(request.nth);
        }
        Act::Pass
    })
}

#[test]
fn a_stop_that_somebody_else_sets_meanwhile_is_not_lost_unseen() {
    let place = Place::new();
    place.upload(lines(20));
    let (consul, at) = (place.consul.clone(), place.kv("stop"));
    let gate = gate_with_somebody(&place, |nth| nth == 1, move |_| consul.put(&at, "bob's"));
    stop(&place, "ours").args(["-s", &gate.address]).run().expect(75).says(&["it is stopped already: bob's"]);
    assert_eq!(place.consul.text(&place.kv("stop")).as_deref(), Some("bob's"));
    place.consul.delete(&place.kv("stop"));
    let (consul, at) = (place.consul.clone(), place.kv("stop"));
    let gate = gate_with_somebody(&place, |nth| nth == 1, move |_| consul.put(&at, "bob's"));
    let ours = stop(&place, "ours").args(["-s", &gate.address, "--replace"]).run().expect(0);
    ours.says(&["ours (by", "stopped before: bob's"]);

    let (consul, at) = (place.consul.clone(), place.kv("stop"));
    let gate = gate_with_somebody(&place, |_| true, move |nth| consul.put(&at, format!("{nth} times")));
    let ran = stop(&place, "ours").args(["-s", &gate.address, "--replace"]).run().expect(75);
    ran.says(&[&place.key, "others were faster", "run it again"]);
    assert_eq!(place.consul.text(&place.kv("stop")).as_deref(), Some("10 times"));
}

/// The answer to the first write is lost.
fn forgetful_gate(place: &Place) -> Gate {
    Gate::to(&place.consul.address, |request| match request.step {
        Step::Write if request.nth == 1 => Act::CutAnswer(0),
        _ => Act::Pass,
    })
}

#[test]
fn an_answer_that_is_lost_does_not_change_what_is_told() {
    let place = Place::new();
    installed(&place, &lines(20));
    place.consul.put(&place.kv("stop"), "bob's");
    let through = |run: Run| {
        let gate = forgetful_gate(&place);
        run.args(["-s", &gate.address]).run().expect(0)
    };
    through(stop(&place, "ours").arg("--replace")).says(&["stopped: ours (by", "it was stopped before: bob's\n"]);
    through(resume(&place)).says(&["resumed, its watches fire", "it was stopped: ours (by"]);
    assert!(place.consul.get(&place.kv("stop")).is_none());
    place.consul.put(&lock_of(&place), "bob's");
    through(lock(&place, "ours").arg("--replace"))
        .says(&["locked on this node: ours (", "it was locked before: bob's\n"]);
    fs::remove_dir_all(place.mark()).unwrap(); // It would tell the same.
    let ran = through(unlock(&place));
    assert!(ran.stderr.contains("unlocked; it was locked: ours ("), "{}", ran.stderr);
    assert!(place.consul.get(&lock_of(&place)).is_none());
    place.assert_pair_is_whole();
}

#[test]
fn without_consul_nobody_says_that_anything_was_stopped_or_resumed() {
    for (command, more) in [("stop", ["-r", "why"].as_slice()), ("resume", &[])] {
        let run = Run::new("kvx", NOBODY).args([command, "-k", "x", "--timeout", "100ms"]).args(more);
        run.run().expect(69).says(&[&format!("kvx {command}: x: Consul at http://{NOBODY}: "), "is the agent up"]);
    }
}

// Resume.

/// A `consul watch` on a place's checksum, with `kvx-out` as its handler.
struct Watch(Child, PathBuf);

impl Watch {
    fn start(place: &Place) -> Watch {
        let key = format!("-key={}", place.kv("checksum"));
        let mut command = place.consul.command(&["watch", "-type=key", &key, "-shell=false"]);
        command.arg(binary("kvx-out")).args(["-v", "-k", &place.key, "-f"]).arg(place.file());
        let log = place.path().join("watch.log");
        command.arg("--state-dir").arg(place.path().join("state")).stderr(File::create(&log).unwrap());
        Watch(command.spawn().unwrap(), log)
    }

    /// Waits until it has fired so often; what was said.
    fn fired(&self, times: usize) -> Vec<String> {
        wait_for("the watch", 20, || {
            let lines: Vec<String> = fs::read_to_string(&self.1).unwrap().lines().map(str::to_owned).collect();
            (lines.len() >= times).then_some(lines)
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn what_was_uploaded_behind_a_stop_arrives_by_the_watch_once_it_is_resumed() {
    let place = Place::new();
    place.upload(lines(20));
    let watch = Watch::start(&place);
    assert!(watch.fired(1)[0].contains("installed"));
    stop(&place, "why").run().expect(0);
    // By hand, in one transaction: kvx-in would heed the stop.
    let encode = |text: &str| base64::Engine::encode(&base64::prelude::BASE64_STANDARD, text);
    let set = |part: &str, value: &str| json!({"KV": {"Verb": "set", "Key": place.kv(part), "Value": encode(value)}});
    let transaction = json!([set("data", &lines(21)), set("checksum", &sha256(lines(21)))]).to_string();
    assert_eq!(place.consul.http("PUT", "/v1/txn", transaction.as_bytes()).unwrap().0, 200);
    assert!(watch.fired(2)[1].contains("stopped"));
    assert_eq!(place.content(), lines(20));

    let before = (place.consul.entry(&place.kv("data")), place.consul.entry(&place.kv("checksum")).unwrap());
    resume(&place).run().expect(0).says(&["resumed"]);
    assert!(watch.fired(3)[2].contains("installed"));
    assert_eq!(place.content(), lines(21));
    let after = (place.consul.entry(&place.kv("data")), place.consul.entry(&place.kv("checksum")).unwrap());
    assert_eq!(before.0, after.0);
    for same in ["Value", "Flags"] {
        assert_eq!(before.1[same], after.1[same]);
    }

    // What is not stopped fires nothing: the next change is the next that the watch sees.
    resume(&place).run().expect(0).says(&["not stopped"]);
    place.upload(lines(22));
    let fired = watch.fired(4);
    assert!(fired[3].contains("installed") && fired.len() == 4, "{fired:?}");
}

#[test]
fn what_is_not_stopped_is_not_touched() {
    let place = Place::new();
    resume(&place).run().expect(0).says(&[&place.key, "not stopped, nothing to resume"]);
    assert!(place.folder().is_empty());
    place.upload(lines(20));
    for stop in [None, Some("")] {
        stop.inspect(|stop| place.consul.put(&place.kv("stop"), stop));
        let folder = place.folder();
        resume(&place).run().expect(0).says(&["not stopped, nothing to resume"]);
        assert_eq!(place.folder(), folder, "indexes included");
    }
    // As for kvexpress, one with nothing to be seen in it is a stop.
    place.consul.put(&place.kv("stop"), " \n");
    resume(&place).run().expect(0).says(&["resumed", "it was stopped: no reason given"]);
}

#[test]
fn a_resumption_carries_what_is_there_as_it_is() {
    let (whole, compressed) = (sha256(golden::DOCUMENT), golden::brotli());
    let upper = whole.to_uppercase() + "\n";
    // Data with its Flags, and checksum: whole, by hand, torn, half.
    type Half<'a> = Option<(&'a [u8], u64)>;
    let cases: [(Half, Option<&str>); 5] = [
        (Some((&compressed, 1)), Some(&whole)),
        (Some((golden::DOCUMENT.as_bytes(), 0)), Some(&upper)),
        (Some((b"torn", 0)), Some(&whole)),
        (Some((b"half", 0)), None),
        (None, Some("no checksum at all")),
    ];
    for (data, checksum) in cases {
        let place = Place::new();
        data.inspect(|(data, flags)| place.consul.put_flags(&place.kv("data"), data, *flags));
        checksum.inspect(|checksum| place.consul.put_flags(&place.kv("checksum"), checksum, 7));
        place.consul.put(&place.kv("stop"), "why");
        let before = place.consul.entry(&place.kv("data"));
        resume(&place).run().expect(0).says(&["resumed", "it was stopped: why"]);
        assert_eq!(place.consul.entry(&place.kv("data")), before);
        assert_eq!(place.consul.text(&place.kv("checksum")).as_deref(), checksum);
        let flags = place.consul.entry(&place.kv("checksum")).map(|entry| entry["Flags"].clone());
        assert_eq!(flags, checksum.map(|_| json!(7)));
        assert!(place.consul.get(&place.kv("stop")).is_none());
    }
}

#[test]
fn an_upload_and_another_stop_at_the_same_moment_are_seen_by_a_resumption() {
    let place = Place::new();
    place.upload(lines(20));
    place.consul.put(&place.kv("stop"), "first");
    let (consul, key) = (place.consul.clone(), format!("kvexpress/{}", place.key));
    let gate = gate_with_somebody(
        &place,
        |nth| nth <= 2,
        move |nth| match nth {
            1 => consul.put_pair(&key, lines(21)),
            _ => consul.put(&format!("{key}/stop"), "second"),
        },
    );
    let ran = resume(&place).args(["-s", &gate.address]).run().expect(0);
    ran.says(&["fire for", &sha256(lines(21))[..8], "it was stopped: second"]);
    assert_eq!(place.document().unwrap(), lines(21).as_bytes());
    assert!(place.consul.get(&place.kv("stop")).is_none());
}

// Lock.

#[test]
fn a_lock_stands_beside_the_file_and_in_consul_for_everybody_to_read() {
    let place = Place::new();
    installed(&place, &lines(20));
    let file = place.file().display().to_string();
    let ran = with_umask(lock(&place, "canary until Friday")).run().expect(0);
    let value = place.consul.text(&lock_of(&place)).unwrap();
    assert_signed(&value, "canary until Friday", &format!("{file}, "));
    ran.says(&[&format!("{file}: locked on this node: {value} ({})\n", lock_of(&place))]);
    assert_eq!(
        place.mark_text(),
        format!(
            "To unlock '{file}' and allow kvx to write again:\n\nsudo kvx unlock -f {file}\n\nReason Locked: {value}\n\n"
        )
    );
    assert_eq!(fs::metadata(place.mark()).unwrap().mode() & 0o7777, 0o755);
    assert_eq!(fs::metadata(place.mark().join("reason")).unwrap().mode() & 0o7777, 0o644);
    assert_eq!(place.beside(), [".hosts.lock", "hosts"]);

    place.upload(lines(21));
    place.kvx_out().run().expect(0).says(&["locked on this node", "canary until Friday"]);
    assert_eq!(place.content(), lines(20));
    let ran = unlock(&place).run().expect(0);
    assert!(ran.stderr.contains("it was locked: canary until Friday"), "{}", ran.stderr);
    assert_eq!(place.beside(), ["hosts"]);
    assert!(place.consul.get(&lock_of(&place)).is_none());
    place.kvx_out().run().expect(0).says(&["installed"]);
}

/// By somebody who lets nobody read his files.
fn with_umask(mut run: Run) -> Run {
    let mut script = Command::new("sh");
    script.args(["-c", "umask 077; exec \"$@\"", "sh"]).arg(run.command.get_program()).args(run.command.get_args());
    for (name, value) in run.command.get_envs() {
        match value {
            Some(value) => script.env(name, value),
            None => script.env_remove(name),
        };
    }
    run.command = script;
    run
}

#[test]
fn each_of_both_marks_alone_keeps_a_file_as_it_is_however_a_run_is_started() {
    let beside = |place: &Place| place.consul.delete(&lock_of(place));
    let in_consul = |place: &Place| fs::remove_dir_all(place.mark()).unwrap();
    let by_hand = |_: &Place| None;
    let by_key = |place: &Place| Some(place.payload("checksum"));
    let by_folder = |place: &Place| Some(place.payload(""));
    type Case<'a> = (&'a dyn Fn(&Place), &'a dyn Fn(&Place) -> Option<String>);
    let cases: [Case; 5] = [
        (&beside, &by_hand),
        (&beside, &by_key),
        (&beside, &by_folder),
        (&in_consul, &by_hand),
        // Of a keyprefix watch, the lock in Consul is not in the payload.
        (&in_consul, &by_key),
    ];
    for (remove_the_other, payload) in cases {
        let place = Place::new();
        installed(&place, &lines(20));
        lock(&place, "canary").run().expect(0);
        remove_the_other(&place);
        place.upload(lines(21));
        let payload = payload(&place);
        let run = |run: Run| match &payload {
            Some(payload) => run.payload(payload).run().expect(0),
            None => run.run().expect(0),
        };
        let handler = place.handler();
        run(place.kvx_out().args(["-e", &handler])).says(&["locked on this node", "canary"]);
        assert_eq!((place.content(), place.runs().len()), (lines(20), 0));
        run(place.kvx_out().args(["-e", &handler, "--ignore-lock"])).says(&["installed", "handler ran"]);
        assert_eq!((place.content(), place.runs().len()), (lines(21), 1));
        // The lock itself stays.
        assert!(place.mark().exists() != place.consul.get(&lock_of(&place)).is_some());
        let remembered = place.stamp()["command"].to_string();
        assert!(remembered.contains("kvx-out") && !remembered.contains("--ignore-lock"), "{remembered}");
        unlock(&place).arg("-q").run().expect(0).is_silent();
        assert!(!place.mark().exists() && place.consul.get(&lock_of(&place)).is_none());
    }
}

#[test]
fn a_file_is_locked_before_it_is_there_and_without_a_reason() {
    let place = Place::new();
    let file = place.file().display().to_string();
    let ran = place.kvx_file("lock").env("SUDO_USER", "anna").run().expect(0);
    ran.says(&["locked on this node: No reason given for", &file, "by 'anna' at", "there is no such file yet"]);
    place.upload(lines(20));
    place.kvx_out().run().expect(0).says(&["locked", "No reason given"]);
    assert_eq!(place.beside(), [".hosts.lock"]);
    let again = lock(&place, "now there is").arg("--replace").run().expect(0);
    again.says(&["now there is", "it was locked before: No reason given"]);
    assert!(place.mark_text().contains("now there is"));
}

#[test]
fn a_relative_path_is_locked_as_the_absolute_one_that_it_is() {
    let place = Place::new();
    let mut run = place.kvx("lock").args(["-f", "./hosts", "-r", "why"]);
    run.command.current_dir(place.path().join("out"));
    run.run().expect(0);
    assert!(place.consul.get(&lock_of(&place)).is_some() && place.mark().exists());
    // With a blank in it, what the marker says can be typed.
    let odd = place.path().join("out/my hosts");
    place.kvx("lock").arg("-f").arg(&odd).args(["-r", "why"]).run().expect(0);
    let text = fs::read_to_string(place.path().join("out/.my hosts.lock/reason")).unwrap();
    assert!(text.contains(&format!("sudo kvx unlock -f '{}'\n", odd.display())), "{text}");
}

#[test]
fn a_lock_waits_for_a_run_that_is_at_the_file() {
    let place = Place::new();
    place.upload(lines(20));
    let busy = Busy::start(&place, "-e");
    let mut locking = lock(&place, "why").arg("-v").spawn();
    let mut said = BufReader::new(locking.stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert!(line.contains("a run is busy with it; waiting for its end"), "{line}");
    assert!(place.mark().exists() && place.consul.get(&lock_of(&place)).is_some(), "locked for whoever comes now");
    assert!(locking.try_wait().unwrap().is_none(), "still waiting");
    let ran = busy.let_go().expect(0);
    line.clear();
    said.read_line(&mut line).unwrap();
    assert!(line.contains("locked on this node: why"), "{line}");
    assert!(locking.wait().unwrap().success());
    ran.says(&["installed", "handler ran"]);
}

#[test]
fn where_the_mark_beside_cannot_be_written_nothing_is_locked() {
    let place = Place::new();
    let nowhere = place.path().join("nowhere/hosts");
    let ran = place.kvx("lock").arg("-f").arg(&nowhere).args(["-r", "why"]).run().expect(73);
    ran.says(&["kvx lock: ", "nowhere/.hosts.lock", "does not exist"]);
    let host = hostname();
    assert!(place.consul.get(&format!("kvexpress/locks/{}/{host}", sha256(nowhere.to_str().unwrap()))).is_none());
    // Somebody else's file by that name is neither a marker nor replaced.
    fs::write(place.mark(), "another program's").unwrap();
    lock(&place, "why").run().expect(73).says(&["kvx lock: ", ".hosts.lock", "Not a directory", "move it away"]);
    assert!(place.consul.get(&lock_of(&place)).is_none());
    assert_eq!(fs::read_to_string(place.mark()).unwrap(), "another program's");
    unlock(&place).run().expect(0).says(&["not locked"]);
    assert_eq!(place.beside(), [".hosts.lock"]);
    fs::remove_file(place.mark()).unwrap();
    // What is in the marker and not ours is not taken away, and was none of this run's.
    fs::create_dir_all(place.mark().join("reason")).unwrap();
    lock(&place, "why").run().expect(73).says(&["kvx lock: ", "cannot be locked", "Is a directory"]);
    assert!(place.consul.get(&lock_of(&place)).is_none());
    assert!(place.mark().join("reason").is_dir());
}

#[test]
fn without_consul_a_lock_is_half_done_and_says_so_and_an_unlock_is_not_done() {
    let place = Place::new();
    installed(&place, &lines(20));
    let without = ["-s", NOBODY, "--timeout", "100ms"];
    let ran = lock(&place, "why").args(without).run().expect(69);
    ran.says(&[place.file().to_str().unwrap(), NOBODY, "locked by the mark beside it", "not in Consul"]);
    assert!(place.mark().exists() && place.consul.get(&lock_of(&place)).is_none());
    place.upload(lines(21));
    place.kvx_out().run().expect(0).says(&["locked on this node", "why"]);

    lock(&place, "why").run().expect(0);
    unlock(&place).args(without).run().expect(69).says(&[NOBODY]);
    assert!(place.mark().exists() && place.consul.get(&lock_of(&place)).is_some());
    place.kvx_out().run().expect(0).says(&["locked on this node", "why"]);
    assert_eq!(place.content(), lines(20));
}

#[test]
fn a_link_in_the_place_of_the_mark_is_replaced_and_its_target_is_not_written() {
    let place = Place::new();
    let precious = place.write("precious", "precious\n");
    // Ours: the reason in the directory is replaced, and a link to another directory is none of ours.
    fs::create_dir(place.mark()).unwrap();
    symlink(&precious, place.mark().join("reason")).unwrap();
    lock(&place, "why").run().expect(0);
    assert!(place.mark_text().contains("why"));
    assert_eq!(fs::read_to_string(&precious).unwrap(), "precious\n");
    unlock(&place).run().expect(0);
    assert!(place.beside().is_empty());
    let elsewhere = place.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    symlink(&elsewhere, place.mark()).unwrap();
    lock(&place, "why").run().expect(73).says(&["cannot be locked", ".hosts.lock", "move it away"]);
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    fs::remove_file(place.mark()).unwrap();
    // kvexpress's.
    let as_kvexpress = || {
        let mut run =
            Run::new("kvx", &place.consul.address).args(["lock", "-s", &place.consul.address, "-r", "why", "-f"]);
        std::os::unix::process::CommandExt::arg0(&mut run.command, "kvexpress");
        run.arg(place.file()).run().expect(0)
    };
    symlink(&precious, place.visible_mark()).unwrap();
    symlink(&precious, place.path().join("out/.hosts.locked.kvx~")).unwrap();
    as_kvexpress();
    assert_eq!(fs::read_to_string(&precious).unwrap(), "precious\n");
    assert!(fs::symlink_metadata(place.visible_mark()).unwrap().is_file());
    assert_eq!(place.beside(), ["hosts.locked"]);
    // And unlocking takes away the link, whoever put it there.
    place.consul.delete(&lock_of(&place));
    fs::remove_file(place.visible_mark()).unwrap();
    symlink(&precious, place.visible_mark()).unwrap();
    // Meanwhile nothing is installed, but nobody tells what stands where it points: it may be what others may not read.
    place.upload(lines(20));
    for ran in
        [place.kvx_out().run().expect(73), place.kvx_file("status").run().expect(1), unlock(&place).run().expect(0)]
    {
        let said = ran.stderr.clone() + ran.out();
        assert!(said.contains("locked") && !said.contains("precious\n") && !said.contains("precious ("), "{said}");
    }
    assert_eq!(fs::read_to_string(&precious).unwrap(), "precious\n");
    assert!(place.beside().is_empty());
}

// Unlock.

#[test]
fn what_is_not_locked_is_not_unlocked_and_what_is_locked_by_hand_is() {
    let place = Place::new();
    let at = lock_of(&place);
    unlock(&place).run().expect(0).says(&["not locked", &at]);
    fs::write(place.visible_mark(), "by hand, bob\n").unwrap();
    unlock(&place).run().expect(0).says(&["unlocked; it was locked: by hand, bob", "hosts.locked"]);
    place.consul.put(&at, "kvexpress's");
    unlock(&place).run().expect(0).says(&["unlocked; it was locked: kvexpress's"]);
    place.consul.put(&at, "");
    unlock(&place).run().expect(0).says(&["not locked"]);
    assert!(place.consul.get(&at).is_none() && place.beside().is_empty());
    // The directory alone is a marker.
    fs::create_dir(place.mark()).unwrap();
    unlock(&place).run().expect(0).says(&["unlocked; it was locked: no reason given", ".hosts.lock"]);
    assert!(place.beside().is_empty());
    for mark in [place.mark(), place.visible_mark()] {
        fs::create_dir_all(mark.join("another program's")).unwrap();
        place.consul.put(&at, "why");
        unlock(&place).run().expect(73).says(&["it stays locked", mark.file_name().unwrap().to_str().unwrap()]);
        assert!(mark.join("another program's").is_dir());
        fs::remove_dir_all(&mark).unwrap();
    }
}

#[test]
fn an_unlock_says_how_to_catch_up_and_does_it_with_run() {
    let place = Place::new();
    place.upload(lines(20));
    place.kvx_out().args(["-e", &place.handler()]).run().expect(0);
    lock(&place, "why").run().expect(0);
    place.upload(lines(21));
    let ran = unlock(&place).run().expect(0);
    let said: Vec<&str> = ran.stderr.lines().collect();
    assert!(said.len() == 2 && said[1].contains("what was missed arrives with the next run"), "{said:?}");
    assert!(said[1].contains("kvx-out --state-dir") && said[1].contains(&place.key), "{}", said[1]);
    assert_eq!((place.content(), place.runs().len()), (lines(20), 1));

    lock(&place, "why").run().expect(0);
    let mut run = unlock(&place).arg("--run");
    run.command.current_dir(place.path()); // Wherever that is.
    let ran = run.run().expect(0);
    let said: Vec<&str> = ran.stderr.lines().collect();
    assert!(said[0].contains("unlocked") && said[1].contains("installed"), "{said:?}");
    assert_eq!((place.content(), place.runs().len()), (lines(21), 2));
}

#[test]
fn with_run_the_status_is_that_of_what_is_run() {
    let place = Place::new();
    place.upload(lines(20));
    let fails = format!("sh -c 'test ! -e {}'", place.path().join("fail").display());
    place.kvx_out().args(["-e", &fails]).run().expect(0);
    place.write("fail", "");
    place.upload(lines(21));
    let ran = unlock(&place).arg("--run").run().expect(1);
    assert!(ran.stderr.contains("not locked") && ran.stderr.contains("handler stays owed"), "{}", ran.stderr);
    assert_eq!(place.content(), lines(21));
    place.upload("one line\n");
    unlock(&place).arg("--run").run().expect(65);
}

#[test]
fn with_run_nothing_is_run_that_somebody_else_may_have_written() {
    let place = Place::new();
    installed(&place, &lines(20));
    let stamp = place.stamp_file();
    let trap = place.path().join("trap");
    let refuses = |why: &str| {
        place.upload(lines(30));
        let ran = unlock(&place).arg("--run").run().expect(66);
        assert!(ran.stderr.contains("--run has nothing to run"), "{why}: {}", ran.stderr);
        assert_eq!(place.content(), lines(20), "{why}");
        assert!(!trap.exists(), "{why}");
    };
    for mode in [0o666, 0o660, 0o602] {
        fs::set_permissions(&stamp, Permissions::from_mode(mode)).unwrap();
        refuses("others may write it");
    }
    fs::set_permissions(&stamp, Permissions::from_mode(0o600)).unwrap();
    let whole = fs::read(&stamp).unwrap();
    // Whose stamp it is, root alone can give away.
    if nix::unistd::geteuid().is_root() {
        std::os::unix::fs::chown(&stamp, Some(65534), None).unwrap();
        refuses("somebody else's");
        std::os::unix::fs::chown(&stamp, Some(0), None).unwrap();
    }
    place.change_stamp(|stamp| {
        (stamp["path"], stamp["command"]) = ("/etc/passwd".into(), json!(["touch", trap.to_str().unwrap()]));
    });
    refuses("another file's");
    let elsewhere = place.write("elsewhere", &whole);
    fs::remove_file(&stamp).unwrap();
    symlink(&elsewhere, &stamp).unwrap();
    refuses("a link");
    fs::remove_file(&stamp).unwrap();
    refuses("nothing");
    fs::write(&stamp, "{}").unwrap();
    refuses("garbage");
    fs::write(&stamp, &whole).unwrap();
    unlock(&place).arg("--run").run().expect(0);
    assert_eq!(place.content(), lines(30));
}

#[test]
fn with_run_no_program_of_the_directory_that_one_is_in_is_run() {
    let place = Place::new();
    place.upload(lines(20));
    let reload = |directory: &str, says: &str| {
        let script = format!("#!/bin/sh\necho {says} >> {}\n", place.path().join("runs").display());
        common::run::script(&place.path().join(directory).join("reload"), &script);
    };
    reload("ours", "ours");
    reload("theirs", "theirs");
    // Neither at first nor again: a handler runs in the root directory, and is named by its whole path.
    let mut run = place.kvx_out().args(["-e", "./reload"]);
    run.command.current_dir(place.path().join("ours"));
    run.run().expect(64).says(&["-e names its program by a relative path", "whole path"]);
    let mut run = place.kvx_out().args(["-e", "sh -c './reload'"]);
    run.command.current_dir(place.path().join("ours"));
    assert!(run.run().expect(1).stderr.contains("handler stays owed"));
    let mut run = unlock(&place).arg("--run");
    run.command.current_dir(place.path().join("theirs"));
    assert!(run.run().expect(1).stderr.contains("handler stays owed"));
    assert_eq!((place.content(), place.runs()), (lines(20), vec![]));
}

#[test]
fn no_command_line_is_remembered_that_holds_a_token_or_means_something_else_elsewhere() {
    let token = "0123abcd-token-token-token-0123456789ab";
    let relative = |place: &Place, run: Run| {
        let mut run = run;
        run.command.current_dir(place.path().join("out"));
        run
    };
    let out = |place: &Place| Run::new("kvx-out", &place.consul.address).args(["-k", &place.key]);
    let state = |place: &Place| place.path().join("state").display().to_string();
    let file = |place: &Place| place.file().display().to_string();
    let words = |place: &Place| [file(place), state(place)];
    type Case<'a> = (&'a str, &'a dyn Fn(&Place) -> Ran);
    let cases: [Case; 7] = [
        ("-t", &|place| place.kvx_out().args(["-t", token]).run()),
        ("attached", &|place| place.kvx_out().arg(format!("-vt{token}")).run()),
        ("long", &|place| place.kvx_out().arg(format!("--token={token}")).run()),
        ("-f", &|place| relative(place, out(place).args(["-f", "hosts", "--state-dir", &state(place)])).run()),
        ("--state-dir", &|place| {
            relative(place, out(place).args(["-f", &file(place), "--state-dir", "../state"])).run()
        }),
        ("the program", &|place| {
            let [file, state] = words(place);
            let mut sh = Command::new("sh");
            sh.args(["-c", "cd / && exec \".$0\" \"$@\""]).arg(binary("kvx-out"));
            sh.args(["-k", &place.key, "-f", &file, "--state-dir", &state]);
            Ran::from(sh.env("CONSUL_HTTP_ADDR", &place.consul.address).output().unwrap())
        }),
        ("without -k", &|place| place.kvx_out_bare().payload(place.payload("checksum")).run()),
    ];
    for (what, install) in cases {
        let place = Place::new();
        place.upload(lines(20));
        install(&place).expect(0);
        let text = fs::read_to_string(place.stamp_file()).unwrap();
        assert_eq!(place.stamp()["checksum"], sha256(lines(20)).as_str(), "{what}");
        assert!(!text.contains("command") && !text.contains("token"), "{what}: {text}");
        unlock(&place).arg("--run").run().expect(66);
        // One by whole paths is.
        fs::remove_file(place.stamp_file()).unwrap();
        place.kvx_out().run().expect(0);
        assert_eq!(place.stamp()["command"][4], place.file().to_str().unwrap(), "{what}: {}", place.stamp());
    }
}

#[test]
fn a_very_long_command_line_is_not_remembered_and_costs_no_reload() {
    let place = Place::new();
    place.upload(lines(20));
    let handler = format!("sh -c 'echo x >> {} # {}'", place.path().join("runs").display(), "y".repeat(70_000));
    for _ in 0..2 {
        place.kvx_out().args(["-e", &handler]).run().expect(0);
    }
    assert_eq!(place.runs().len(), 1);
    assert!(fs::metadata(place.stamp_file()).unwrap().len() < 2000);
}

/// script(1) runs a program at a terminal of its own.
#[test]
fn what_somebody_tries_at_a_terminal_does_not_replace_the_watchs_command_line() {
    let place = Place::new();
    installed(&place, &lines(20));
    let before = place.stamp()["command"].clone();
    place.upload(lines(21));
    let words: Vec<_> = place
        .kvx_out()
        .args(["-e", &place.handler(), "-v", "-l", "1"])
        .command
        .get_args()
        .map(|word| word.to_str().unwrap().to_owned())
        .collect();
    let line = format!("kvx-out {}", shell_words::join(words));
    let mut script = Command::new("script");
    script.args(["-qefc", &line, "/dev/null"]).env("PATH", common::run::path());
    assert!(script.env("CONSUL_HTTP_ADDR", &place.consul.address).output().unwrap().status.success());
    assert_eq!((place.content(), &place.stamp()["command"]), (lines(21), &before));
}

// Clean.

#[test]
fn a_file_whose_directory_is_gone_can_be_forgotten() {
    let place = Place::new();
    installed(&place, &lines(20));
    fs::remove_dir_all(place.path().join("out")).unwrap();
    place.kvx_file("clean").run().expect(0).says(&["removed ", "state/"]);
    assert_eq!(fs::read_dir(place.path().join("state")).unwrap().count(), 0);
    place.kvx_file("clean").run().expect(73).says(&["does not exist"]);
}

#[test]
fn cleaning_takes_what_was_left_and_leaves_what_is_the_users() {
    let place = Place::new();
    installed(&place, &lines(20));
    lock(&place, "why").run().expect(0);
    let left = ["hosts.compare", "hosts.last", "hosts.kvexpress", ".hosts.kvx~"];
    let stays = ["hosts", ".hosts.lock", "hosts.locked", "hosts.bak", "hostsx.last", ".other.kvx~"];
    for name in left.iter().chain(&stays[2..]) {
        fs::write(place.path().join("out").join(name), "left\n").unwrap();
    }
    let stamp = place.stamp_file();
    let ran = place.kvx_file("clean").run().expect(0);
    ran.says(&[
        "removed ",
        ".hosts.kvx~, ",
        "hosts.compare, ",
        "hosts.last, ",
        "hosts.kvexpress, ",
        stamp.to_str().unwrap(),
    ]);
    let mut expected = stays.to_vec();
    expected.sort_unstable();
    assert_eq!(place.beside(), expected);
    assert_eq!(place.content(), lines(20));
    assert!(!stamp.exists() && place.consul.get(&lock_of(&place)).is_some());
    place.kvx_file("clean").run().expect(0).is_silent();
    place.kvx_file("clean").arg("-v").run().expect(0).says(&["removed nothing"]);

    // The next run reloads once.
    unlock(&place).run().expect(0);
    place.kvx_out().args(["-e", &place.handler()]).run().expect(0).says(&["the handler that was owed ran"]);
    place.kvx_file("clean").arg("--remove-file").run().expect(0).says(&["removed ", "out/hosts, "]);
    assert!(!place.file().exists());
}

#[test]
fn cleaning_a_link_or_a_file_that_is_not_there_harms_nothing() {
    let place = Place::new();
    installed(&place, &lines(20));
    let link = place.path().join("link");
    symlink(place.file(), &link).unwrap();
    let precious = place.write("precious", "precious\n");
    symlink(&precious, place.path().join("link.last")).unwrap();
    let clean = |file: &Path| place.kvx("clean").arg("--state-dir").arg(place.path().join("state")).arg("-f").arg(file);
    clean(&link).arg("--remove-file").run().expect(0).says(&["link.last, ", "link, ", "state/"]);
    assert_eq!((place.content(), fs::read_to_string(&precious).unwrap()), (lines(20), "precious\n".into()));
    assert!(fs::symlink_metadata(&link).is_err());
    clean(&place.path().join("out/nothing")).run().expect(0).is_silent();
    clean(&place.path().join("nowhere/hosts")).run().expect(73).says(&["nowhere", "does not exist"]);
    fs::create_dir(place.path().join("out/hosts.last")).unwrap();
    clean(&place.file()).run().expect(73).says(&["hosts.last"]);
    let unknown = place.kvx("clean").args(["--state-dir", "/dev/null", "-f"]).arg(place.file()).run().expect(74);
    unknown.says(&["what is remembered", "--state-dir"]);
}

#[test]
fn cleaning_waits_for_a_run_that_is_at_the_file() {
    // In its handler, and, of a first run that has not remembered anything yet, in its check.
    for in_check in [false, true] {
        let place = Place::new();
        place.upload(lines(20));
        let busy = Busy::start(&place, if in_check { "--check" } else { "-e" });
        let mut cleaning = place.kvx_file("clean").arg("-v").spawn();
        let mut said = BufReader::new(cleaning.stderr.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        assert!(line.contains("another run is busy with it; waiting"), "{line}");
        assert!(cleaning.try_wait().unwrap().is_none());
        busy.let_go().expect(0).says(&["installed"]);
        assert!(cleaning.wait().unwrap().success());
        assert_eq!(place.beside(), ["hosts"]);
        assert!(fs::read_dir(place.path().join("state")).unwrap().next().is_none());
    }
}

// Diff.

/// What diff(1) prints, without its header.
fn diff_u(old: &Path, new: &Path) -> String {
    let output = Command::new("diff").arg("-u").args([old, new]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().skip(2).map(|line| format!("{line}\n")).collect()
}

#[test]
fn a_difference_is_what_diff_prints_and_its_status() {
    let place = Place::new();
    let old = place.write("old", lines(40));
    place.upload(lines(40));
    let changed = lines(40).replace("\n7\n", "\nseven\n").replace("\n30\n", "\n") + "no newline";
    for new in [changed, lines(3), "x\n".into()] {
        let new = place.write("new", new);
        let diff = |file: &str| place.kvx("diff").args(["-k", &place.key, file]);
        let ran = diff(new.to_str().unwrap()).run().expect(1).is_silent();
        let header = format!("--- {} (in Consul)\n+++ {}\n", place.kv("data"), new.display());
        assert_eq!(ran.out(), header + &diff_u(&old, &new));
        let piped = diff("-").stdin(fs::read(&new).unwrap()).run().expect(1).is_silent();
        assert_eq!(piped.out().lines().skip(2).collect::<Vec<_>>(), ran.out().lines().skip(2).collect::<Vec<_>>());
    }
    let same = place.kvx("diff").args(["-k", &place.key]).arg(&old).run().expect(0).is_silent();
    assert_eq!(same.out(), "");
    // As it is decoded, whoever stored it.
    place.consul.put_flags(&place.kv("data"), golden::brotli(), 1);
    place.consul.put(&place.kv("checksum"), sha256(golden::DOCUMENT));
    place.kvx("diff").args(["-k", &place.key, "-"]).stdin(golden::DOCUMENT).run().expect(0).is_silent();
}

#[test]
fn what_cannot_be_compared_is_said() {
    let place = Place::new();
    let diff = |file: &str| place.kvx("diff").args(["-k", &place.key, file]);
    let nothing = diff("/dev/null").run().expect(66);
    assert_eq!(nothing.out(), "");
    nothing.says(&["kvx diff: ", &place.kv("data"), "check the key and -p"]);
    place.consul.put(&place.kv("data"), "half\n");
    diff("/dev/null").run().expect(75).says(&[&place.kv("data"), "torn", "kvx-in"]);
    place.upload(lines(20));
    diff("/nowhere/hosts").run().expect(74).says(&["/nowhere/hosts"]);
    diff(place.path().to_str().unwrap()).run().expect(74).says(&["directory"]);
    diff("/dev/null").args(["-s", NOBODY, "--timeout", "100ms"]).run().expect(69).says(&[NOBODY]);
    diff("/dev/null").args(["-p", "elsewhere"]).run().expect(66).says(&["elsewhere/"]);
    // A stop does not matter to who only looks.
    place.consul.put(&place.kv("stop"), "why");
    diff("-").stdin(lines(20)).run().expect(0).is_silent();
}

#[test]
fn a_difference_has_colours_on_a_terminal_alone() {
    let place = Place::new();
    place.upload("one\ntwo\n");
    let new = place.write("new", "one\n2\n");
    let command = format!("kvx diff -k {} {}", place.key, new.display());
    // script(1) runs a program at a terminal of its own.
    let at_a_terminal = |no_color: Option<&str>| {
        let mut script = Command::new("script");
        script.args(["-qefc", &command, "/dev/null"]).env("PATH", path()).env_remove("NO_COLOR");
        script.envs(no_color.map(|value| ("NO_COLOR", value)));
        let output = script.env("CONSUL_HTTP_ADDR", &place.consul.address).stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stdout).unwrap().replace("\r\n", "\n")
    };
    let plain = place.kvx("diff").args(["-k", &place.key]).arg(&new).run().expect(1).out().to_owned();
    let expected: Vec<String> = plain
        .lines()
        .map(|line| match (line, line.as_bytes()[0]) {
            (_, b' ') => line.into(),
            (header, _) if header.starts_with("---") || header.starts_with("+++") => format!("\x1b[1m{header}\x1b[m"),
            (_, b'@') => format!("\x1b[36m{line}\x1b[m"),
            (_, b'-') => format!("\x1b[31m{line}\x1b[m"),
            _ => format!("\x1b[32m{line}\x1b[m"),
        })
        .collect();
    assert_eq!(at_a_terminal(None), expected.join("\n") + "\n");
    assert_eq!(at_a_terminal(Some("1")), plain);
    assert!(plain.contains("-two\n+2\n"));
}

// List.

#[test]
fn the_keys_are_listed_in_order_and_nothing_else() {
    let place = Place::new();
    let prefix = &place.key;
    let list = || place.kvx("list").args(["-p", prefix]).run().expect(0).is_silent().out().to_owned();
    assert_eq!(list(), "");
    let put = |path: &str| place.consul.put(&format!("{prefix}/{path}"), "x");
    for path in ["b/data", "b/checksum", "a/checksum", "a/b/c/data", "z/stop", "é/data", "with blank/data", "B/data"] {
        put(path);
    }
    for foreign in ["readme", "x/other", "y/data/more", "locks/abc/data", "checksum", "w/", "v/datax"] {
        put(foreign);
    }
    place.consul.put(&format!("{prefix}x/other/data"), "another prefix");
    assert_eq!(list(), "B\na\na/b/c\nb\nwith blank\nz\né\n");
    place.kvx("list").args(["-s", NOBODY, "--timeout", "100ms"]).run().expect(69).says(&["kvx list: ", NOBODY]);
}

// Raw.

fn raw(place: &Place) -> Run {
    place.kvx_out_bare().args(["--raw", &raw_path(place)])
}

fn raw_path(place: &Place) -> String {
    format!("service/{}/config", place.key)
}

#[test]
fn a_raw_value_is_installed_as_it_is() {
    let place = Place::new();
    let at = raw_path(&place);
    raw(&place).run().expect(66).says(&[&at, "there is no", &at, "--raw"]);
    assert!(place.beside().is_empty());
    // Whatever its Flags say, and though it is gzip in base64.
    for (value, flags) in [(lines(20), 0), (lines(21), 1), (golden::GZIP_BASE64.to_owned() + "\n", 0)] {
        place.consul.put_flags(&at, &value, flags);
        let handler = place.handler();
        raw(&place).args(["-l", "1", "-e", &handler]).run().expect(0).says(&[&at, "installed", "handler ran"]);
        assert_eq!(place.content(), value);
        raw(&place).args(["-l", "1", "-e", &handler]).run().expect(0).is_silent();
        assert_eq!(place.runs().last().unwrap(), &format!("{at} {}", sha256(&value)));
    }
    assert_eq!(place.runs().len(), 3);
    raw(&place).args(["-l", "99"]).run().expect(65).says(&[&at, "at least 99"]);
    let slashed = format!("/{at}/");
    place.kvx_out_bare().args(["--raw", &slashed, "-l", "1"]).run().expect(0).is_silent();
    // An empty value is a document, of which the guards decide.
    place.consul.put(&at, "");
    raw(&place).run().expect(65).says(&["is empty"]);
    raw(&place).args(["-l", "0"]).run().expect(0).says(&["installed"]);
    assert_eq!(place.content(), "");
}

#[test]
fn a_raw_value_heeds_a_lock_and_no_stop() {
    let place = Place::new();
    let at = raw_path(&place);
    place.consul.put(&at, lines(20));
    place.consul.put(&format!("{at}/stop"), "no stop of ours");
    place.consul.put(&format!("kvexpress/{at}/stop"), "no stop of ours");
    raw(&place).run().expect(0).says(&["installed"]);
    lock(&place, "canary").run().expect(0);
    place.consul.put(&at, lines(21));
    raw(&place).run().expect(0).says(&["locked", "canary"]);
    fs::remove_dir_all(place.mark()).unwrap();
    raw(&place).run().expect(0).says(&["locked", "canary"]);
    raw(&place).arg("--ignore-lock").run().expect(0).says(&["installed"]);
    assert_eq!(place.content(), lines(21));
}

#[test]
fn a_raw_value_is_printed_with_a_dash() {
    let place = Place::new();
    place.consul.put(&raw_path(&place), lines(20));
    let out = Run::new("kvx-out", &place.consul.address).args(["--raw", &raw_path(&place), "-f", "-"]);
    assert_eq!(out.run().expect(0).is_silent().out(), lines(20));
    let out = Run::new("kvx-out", &place.consul.address).args(["--raw", "service/none", "-f", "-"]);
    assert_eq!(out.run().expect(66).says(&["service/none"]).out(), "");
}

#[test]
fn a_watch_on_a_value_installs_it_and_what_is_the_same_costs_no_request() {
    let place = Place::new();
    let at = raw_path(&place);
    place.consul.put(&at, lines(20));
    let counter = Counter::to(&place.consul.address);
    let fire = |payload: &str| raw(&place).args(["-s", &counter.address]).payload(payload).run().expect(0);
    let payload = place.consul.watch_payload(&at);
    fire(&payload).says(&["installed"]);
    assert!(!counter.requests().is_empty());
    fire(&payload).is_silent();
    assert!(counter.requests().is_empty());
    // Of another key, it says only that something has happened.
    place.consul.put(&format!("{at}2"), lines(30));
    fire(&place.consul.watch_payload(&format!("{at}2"))).is_silent();
    assert!(!counter.requests().is_empty());
    // An old payload brings nothing back.
    place.consul.put(&at, lines(21));
    fire(&place.consul.watch_payload(&at)).says(&["installed"]);
    fire(&payload).is_silent();
    assert_eq!(place.content(), lines(21));
    place.consul.delete(&at);
    fire(&payload).says(&["nothing there"]);
    fire("null").says(&["nothing there"]);
    assert_eq!(place.content(), lines(21));
}

#[test]
fn a_real_watch_on_a_value_brings_it() {
    let place = Place::new();
    let at = raw_path(&place);
    let mut command = place.consul.command(&["watch", "-type=key", &format!("-key={at}"), "-shell=false"]);
    command.arg(binary("kvx")).args(["raw", "-k", &at, "-f"]).arg(place.file());
    let log = place.path().join("watch.log");
    command.arg("--state-dir").arg(place.path().join("state")).stderr(File::create(&log).unwrap());
    let watch = Watch(command.spawn().unwrap(), log);
    assert!(watch.fired(1)[0].contains("nothing there"));
    for n in [20, 21] {
        place.consul.put(&at, lines(n));
        assert!(watch.fired(n - 18)[n - 19].contains("installed"));
        assert_eq!(place.content(), lines(n));
    }
}

#[test]
fn kvx_raw_is_the_same_in_other_words() {
    let place = Place::new();
    let at = raw_path(&place);
    let mut n = 20;
    for spelling in [
        vec!["-k".into(), at.clone()],
        vec![format!("-k{at}")],
        vec![format!("-vk={at}")],
        vec![format!("--key={at}")],
        vec!["--raw".into(), at.clone()],
    ] {
        n += 1;
        place.consul.put(&at, lines(n));
        place.kvx_file("raw").args(spelling).run().expect(0).says(&[&format!("{at}: {n} lines"), "installed"]);
        assert_eq!(place.content(), lines(n));
    }
    // What stands behind -- is the handler's.
    place.consul.put(&at, lines(99));
    let seen = place.path().join("seen");
    let handler = ["--", "sh", "-c", "echo \"$@\" > \"$0\"", seen.to_str().unwrap(), "-k", "--help", "--key=x"];
    place.kvx_file("raw").args(["-k", &at]).args(handler).run().expect(0).says(&["handler ran"]);
    assert_eq!(fs::read_to_string(&seen).unwrap(), "-k --help --key=x\n");
    place.kvx_file("raw").args(["-k", &at, "-e", "-k"]).run().expect(1);
    place.kvx_file("raw").args(["-k", "a", "--raw", "b"]).run().expect(64).says(&["-k or --raw, not both"]);
    place.kvx_file("raw").payload("null").run().expect(64).says(&["-k is missing"]);
    // And again, by what is remembered.
    place.kvx_file("raw").args(["-k", &at, "-e", "true"]).run().expect(0);
    place.consul.put(&at, lines(22));
    unlock(&place).arg("--run").run().expect(0);
    assert_eq!(place.content(), lines(22));
}

// --ignore-stop.

#[test]
fn a_stop_is_ignored_on_demand_however_a_run_is_started() {
    let place = Place::new();
    let mut n = 20;
    for part in [None, Some("checksum"), Some("")] {
        n += 1;
        place.consul.put_pair(&format!("kvexpress/{}", place.key), lines(n));
        place.consul.put(&place.kv("stop"), "why");
        let run = |run: Run| match part {
            Some(part) => run.payload(place.payload(part)).run().expect(0),
            None => run.run().expect(0),
        };
        run(place.kvx_out()).says(&["stopped", "why"]);
        run(place.kvx_out().arg("--ignore-lock")).says(&["stopped", "why"]);
        run(place.kvx_out().arg("--ignore-stop")).says(&["installed"]);
        assert_eq!(place.content(), lines(n));
        assert!(place.consul.get(&place.kv("stop")).is_some());
    }
    // A lock is another matter, and so is a pair that is torn.
    lock(&place, "canary").run().expect(0);
    place.consul.put_pair(&format!("kvexpress/{}", place.key), lines(5));
    place.kvx_out().arg("--ignore-stop").run().expect(0).says(&["locked", "canary"]);
    place.consul.put(&place.kv("data"), "torn");
    let torn = place.kvx_out().args(["--ignore-stop", "--ignore-lock", "--timeout", "3s"]).run().expect(75);
    torn.says(&["torn"]);
    // Who ignores the lock alone need not wait for what is stopped.
    place.kvx_out().arg("--ignore-lock").run().expect(0).says(&["stopped", "why"]);
    assert_eq!(place.content(), lines(23));
}

#[test]
fn what_is_run_again_is_what_ran_last_though_nothing_had_changed() {
    let place = Place::new();
    place.upload(lines(20));
    let ran = place.path().join("ran");
    let handler = |word: &str| format!("sh -c 'echo {word} >> {}'", ran.display());
    let out = |words: &[&str], handler: &str| place.kvx_out().args(words).args(["-e", handler]);
    let remembered = || {
        let state = place.path().join("state");
        let ran = place.kvx("status").arg("--json").arg("--state-dir").arg(state).arg("-f").arg(place.file()).run();
        let overview: Value = serde_json::from_str(ran.out()).unwrap();
        overview["files"][0]["command"].as_array().unwrap().iter().map(|word| word.as_str().unwrap().into()).collect()
    };
    let says = |words: Vec<String>, word: &str| words.iter().any(|is| is == word);
    out(&["-c", "644"], &handler("old")).run().expect(0);
    // Other words, the same document.
    out(&["-c", "600"], &handler("new")).run().expect(0);
    assert!(says(remembered(), "600") && says(remembered(), &handler("new")));
    // By a payload that changes nothing, not even a request.
    let payload = place.payload("checksum");
    out(&["-c", "600", "-l", "7"], &handler("new")).payload(payload).run().expect(0).is_silent();
    assert!(says(remembered(), "7"));
    // Somebody who looks by hand leaves the handler out; that does not take it away.
    place.kvx_out().run().expect(0).is_silent();
    assert!(says(remembered(), &handler("new")));
    lock(&place, "why").run().expect(0);
    place.upload(lines(21));
    unlock(&place).arg("--run").run().expect(0);
    assert_eq!((place.content(), place.mode()), (lines(21), 0o600));
    assert_eq!(fs::read_to_string(&ran).unwrap(), "old\nnew\nnew\n");
}
