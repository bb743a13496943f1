//! Promises 1 and 2 over time and with concurrent runs: a reader sees whole documents in order, and never an older one
//! again; concurrent uploads leave a pair that verifies; handlers of one file never overlap.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::run::{Ran, Run, binary};
use crate::common::{Consul, Place, lines, sha256, wait_for};

type Accident = fn(&Place);

/// What a watch writes: on the checksum, on the data, on the folder.
const WATCHES: [&str; 3] = ["checksum", "data", ""];

#[test]
fn an_older_payload_never_replaces_a_newer_document() {
    // What became of this node between the newer document and the older payload.
    let accidents: [(&str, Accident, usize); 4] = [
        ("nothing", |_| {}, 0),
        ("its state was lost", |place| std::fs::remove_dir_all(place.path().join("state")).unwrap(), 1),
        ("the file was removed", |place| std::fs::remove_file(place.file()).unwrap(), 1),
        ("the file was overwritten", |place| std::fs::write(place.file(), "mine\n").unwrap(), 1),
    ];
    for watch in WATCHES {
        for (accident, happens, reloads) in accidents {
            let case = format!("watch on {watch:?}, {accident}");
            let place = Place::new();
            let handler = place.handler();
            let kvx_out = || place.kvx_out().args(["-e", &handler]);
            place.upload(lines(600));
            let older = place.payload(watch);
            place.upload(lines(601));
            let newer = place.payload(watch);
            kvx_out().payload(&newer).run().expect(0).says(&["601 lines", "installed"]);
            happens(&place);
            // Late, and more than once.
            for _ in 0..2 {
                kvx_out().payload(&older).run().expect(0);
                assert_eq!(place.content(), lines(601), "{case}");
                assert_eq!(place.runs(), vec![format!("{} {}", place.key, sha256(lines(601))); 1 + reloads], "{case}");
            }
            kvx_out().payload(&newer).run().expect(0).is_silent();
            assert_eq!(place.names(), ["hosts"], "{case}");
        }
    }
}

#[test]
fn a_document_that_came_back_is_not_taken_for_the_older_one() {
    for watch in WATCHES {
        let place = Place::new();
        let handler = place.handler();
        let kvx_out = |payload: &str| place.kvx_out().args(["-e", &handler]).payload(payload).run().expect(0);
        let payloads = [600, 601, 600].map(|n| {
            place.upload(lines(n));
            place.payload(watch)
        });
        // The first and the last differ in nothing but their index.
        for (payload, runs) in [(2, 1), (1, 1), (0, 1), (2, 1)] {
            kvx_out(&payloads[payload]);
            assert_eq!((place.content(), place.runs().len()), (lines(600), runs), "watch on {watch:?}: {payload}");
        }
        place.upload(lines(601));
        kvx_out(&place.payload(watch));
        assert_eq!((place.content(), place.runs().len()), (lines(601), 2), "watch on {watch:?}");
    }
}

#[test]
fn an_index_that_went_back_with_a_snapshot_does_not_keep_the_current_document_out() {
    let consul = Arc::new(Consul::server(""));
    let snapshot = consul.dir().join("snapshot").display().to_string();
    let place = |_| Place::at(consul.clone());
    let (by_timer, by_payload, by_watch) = (place(()), WATCHES.map(|watch| (watch, place(()))), place(()));
    let places = || [&by_timer, &by_watch].into_iter().chain(by_payload.iter().map(|(_, place)| place));
    let upload = |document: &str| places().for_each(|place| drop(place.upload(document)));
    let _watch = ConsulWatch::start(&by_watch);
    let arrives = |document: &str| {
        wait_for("what the watch brings", 20, || {
            (std::fs::read_to_string(by_watch.file()).ok()? == document).then_some(())
        });
    };

    upload(&lines(600));
    arrives(&lines(600));
    assert!(consul.command(&["snapshot", "save", &snapshot]).status().unwrap().success());
    for n in [601, 602, 603] {
        upload(&lines(n));
    }
    arrives(&lines(603));
    for place in places() {
        place.kvx_out().run().expect(0);
        assert_eq!(place.content(), lines(603));
    }
    let before: Vec<u64> = places().map(|place| place.consul.modify_index(&place.kv("checksum"))).collect();
    assert!(consul.command(&["snapshot", "restore", &snapshot]).status().unwrap().success());
    let lower = || {
        places()
            .map(|place| place.consul.modify_index(&place.kv("checksum")))
            .zip(&before)
            .all(|(now, then)| now < *then)
    };
    assert!(lower(), "the index went back");
    // A watch that waits for a higher index learns nothing of it (tried, on both versions): it is for the timer to see.
    by_watch.kvx_out().run().expect(0);
    assert_eq!(by_watch.content(), lines(600));
    by_timer.kvx_out().run().expect(0).says(&["600 lines", "installed"]);
    assert_eq!(by_timer.content(), lines(600));
    for (watch, place) in &by_payload {
        place.kvx_out().payload(place.payload(watch)).run().expect(0).says(&["600 lines", "installed"]);
        assert_eq!(place.content(), lines(600), "watch on {watch:?}");
    }
    // And from there on.
    upload(&lines(20));
    arrives(&lines(20));
    by_timer.kvx_out().run().expect(0).says(&["20 lines", "installed"]);
    assert_eq!(by_timer.content(), lines(20));
    for (watch, place) in &by_payload {
        place.kvx_out().payload(place.payload(watch)).run().expect(0).says(&["20 lines", "installed"]);
        assert_eq!(place.content(), lines(20), "watch on {watch:?}");
    }
    for place in places() {
        assert_eq!(place.names(), ["hosts"]);
    }
}

#[test]
fn a_reader_sees_whole_documents_in_their_order_while_many_runs_and_uploads_race() {
    // Of very different lengths, so that a mixture of two shows.
    let document = |n: usize| format!("document {n}\n").repeat(20 + n * 7919 % 3000);
    let place = &Place::new();
    place.upload(document(0));
    place.kvx_out().run().expect(0);
    let (done, runs) = (AtomicBool::new(false), [const { AtomicUsize::new(0) }; 3]);
    let ancient = WATCHES.map(|watch| place.payload(watch));

    // One run after the other, and all on the same file: as a timer, by new payloads, and by those that get older.
    let run = &|runner: usize| {
        while !done.load(Ordering::Relaxed) {
            let run = runs[runner].load(Ordering::Relaxed);
            let (kvx_out, watch) = (place.kvx_out(), run % WATCHES.len());
            let ran = match runner {
                0 => kvx_out.run(),
                1 => kvx_out.payload(payload_now(place, WATCHES[watch])).run(),
                _ => kvx_out.payload(&ancient[watch]).run(),
            };
            ran.expect(0);
            runs[runner].store(run + 1, Ordering::Relaxed);
        }
    };
    let read = || {
        let mut seen: Vec<usize> = Vec::new();
        while !done.load(Ordering::Relaxed) {
            let content = place.content();
            let which = content.lines().next().and_then(|line| line.strip_prefix("document ")?.parse().ok());
            let which = which.filter(|which| content == document(*which));
            let which = which.unwrap_or_else(|| panic!("torn, {} bytes: {content:.40}...", content.len()));
            if seen.last() != Some(&which) {
                seen.push(which);
            }
        }
        seen
    };
    let (seen, last) = thread::scope(|scope| {
        let reader = scope.spawn(read);
        let runners = [0, 1, 2].map(|runner| scope.spawn(move || run(runner)));
        let end = Set(&done); // Also if an upload fails: the others must not go on for ever.
        let mut last = 0;
        while last < 40 || runs.iter().any(|runs| runs.load(Ordering::Relaxed) < 15) {
            assert!(last < 5000 && !runners.iter().any(|runner| runner.is_finished()), "{runs:?}");
            last += 1;
            place.upload(document(last)).says(&["uploaded, in place of"]);
        }
        drop(end);
        runners.into_iter().for_each(|runner| runner.join().unwrap());
        (reader.join().unwrap(), last)
    });
    assert!(seen.is_sorted(), "an older document came back: {seen:?}");
    assert!(seen.len() > 5, "there was something to see: {seen:?}");
    place.kvx_out().run().expect(0);
    assert_eq!(place.content(), document(last));
    assert_eq!(place.names(), ["hosts"]);
}

#[test]
fn two_uploaders_that_race_leave_a_whole_pair_and_each_says_what_it_replaced() {
    let place = Place::new();
    place.upload(lines(20));
    let mut before = lines(20);
    for round in 0..20 {
        // In every fourth round they have the same document.
        let [a, b] = [0, 1].map(|writer| {
            let document = lines(21 + 2 * round + if round % 4 == 3 { 0 } else { writer });
            let child = place.kvx_in().spawn();
            (document, child)
        });
        let [(a, a_says), (b, b_says)] = finish([a, b]).map(|(document, ran)| (document, ran.expect(0).stderr));
        place.assert_pair_is_whole();
        let now = place.consul.text(&place.kv("data")).unwrap();
        let replaced = |document: &str| format!("uploaded, in place of {}…\n", &sha256(document)[..8]);
        let context = format!("round {round}: {a_says:?}, {b_says:?}");
        if a == b {
            assert_eq!(now, a, "{context}");
            let (news, silence) = if a_says.is_empty() { (&b_says, &a_says) } else { (&a_says, &b_says) };
            assert!(news.ends_with(&replaced(&before)) && silence.is_empty(), "{context}");
        } else {
            // One after the other, whichever was first.
            let (first, first_says, last, last_says) =
                if now == b { (&a, &a_says, &b, &b_says) } else { (&b, &b_says, &a, &a_says) };
            assert_eq!(now, *last, "{context}");
            assert!(first_says.ends_with(&replaced(&before)), "{context}");
            assert!(last_says.ends_with(&replaced(first)), "{context}");
        }
        before = now;
    }
    let keys = place.consul.http("GET", &format!("/v1/kv/{}?keys", place.kv("")), b"").unwrap().1;
    let keys: BTreeSet<String> = serde_json::from_slice(&keys).unwrap();
    assert_eq!(
        keys,
        BTreeSet::from(["checksum", "data", "record"].map(|part| place.kv(part))),
        "nothing else is left in Consul"
    );
}

#[test]
fn runs_on_one_file_at_the_same_time_never_overlap_their_handlers_and_leave_nothing() {
    let place = Place::new();
    let script = watchful_handler(&place, "echo $1");
    let script = script.display();
    for n in [600, 601] {
        place.upload(lines(n));
        // Each of six handlers is pending once, whoever comes first; four runs share one of them.
        let names: Vec<String> = (0..10).map(|run| format!("{n}-{}", run.min(6))).collect();
        let runs: Vec<Child> =
            names.iter().map(|name| place.kvx_out().args(["-e", &format!("sh {script} {name}")]).spawn()).collect();
        let said: Vec<String> =
            runs.into_iter().map(|run| Ran::from(run.wait_with_output().unwrap()).expect(0).stderr).collect();
        assert_eq!(said.iter().filter(|said| said.contains(" installed ")).count(), 1, "{said:#?}");
        assert_eq!(said.iter().filter(|said| said.is_empty()).count(), 3, "{said:#?}");
        let ran: Vec<String> = place.runs().into_iter().filter(|run| run.starts_with(&n.to_string())).collect();
        let once: BTreeSet<String> = ran.iter().cloned().collect();
        assert_eq!(once, BTreeSet::from_iter(names), "each handler has run");
        assert_eq!(ran.len(), once.len(), "and once: {ran:?}");
        assert_eq!(std::fs::read_to_string(place.path().join("wrong")).ok(), None);
        assert_eq!(place.content(), lines(n));
        assert_eq!(place.names(), ["hosts"]);
        assert_eq!(std::fs::read_dir(place.path().join("state")).unwrap().count(), 1, "one state file for one file");
    }
}

#[test]
fn sixty_runs_while_twelve_versions_are_uploaded_end_with_the_last_and_reload_one_at_a_time() {
    let place = &Place::new();
    let script = watchful_handler(place, "head -n 1 \"$KVX_FILE\"");
    let version = |n: usize| format!("{n}\n{}", lines(20 + n * 331 % 600));
    let kvx_out = || {
        let patience = ["--timeout", "20s", "--handler-timeout", "10s"];
        place.kvx_out().args(patience).args(["-e", &format!("sh {}", script.display())])
    };
    let bound = Duration::from_secs(3 * 20 + 2 * 10 + 15);
    thread::scope(|scope| {
        let mut runs = Vec::new();
        for n in 1..=12 {
            place.upload(version(n));
            let payloads: Vec<_> = WATCHES.iter().map(|watch| payload_now(place, watch)).collect();
            // By a timer, and by each kind of watch; some of which fire twice.
            let of_this: [Option<usize>; 5] = [None, Some(0), Some(1), Some(2), Some(2)];
            for payload in of_this.map(|watch| watch.and_then(|watch| payloads.get(watch)).cloned()) {
                let run = match payload {
                    Some(payload) => kvx_out().payload(payload),
                    None => kvx_out(),
                };
                runs.push(scope.spawn(move || {
                    let started = Instant::now();
                    run.run().expect(0);
                    assert!(started.elapsed() < bound);
                }));
            }
        }
        assert_eq!(runs.len(), 60);
        runs.into_iter().for_each(|run| run.join().unwrap());
    });
    assert_eq!(std::fs::read_to_string(place.path().join("wrong")).ok(), None);
    let reloaded: Vec<usize> = place.runs().iter().map(|line| line.parse().unwrap()).collect();
    assert!(reloaded.is_sorted_by(|a, b| a < b), "each version at most once, in their order: {reloaded:?}");
    assert_eq!(reloaded.last(), Some(&12));
    assert_eq!((place.content(), place.names()), (version(12), vec!["hosts".into()]));
    kvx_out().run().expect(0).is_silent();
}

#[test]
fn runs_on_other_files_do_not_wait() {
    let place = Place::new();
    place.upload(lines(20));
    let script = format!("touch {0}/busy; until test -e {0}/go; do sleep 0.01; done", place.path().display());
    let slow = place.kvx_out().args(["--", "sh", "-c", &script]).spawn();
    wait_for("the handler", 10, || place.path().join("busy").exists().then_some(()));
    let other = Run::new("kvx-out", &place.consul.address).args(["-k", &place.key, "-f"]);
    let other = other.arg(place.path().join("out/other")).arg("--state-dir").arg(place.path().join("state"));
    other.args(["-e", "true"]).run().expect(0).says(&["installed", "handler ran"]);
    place.write("go", "");
    Ran::from(slow.wait_with_output().unwrap()).expect(0);
    assert_eq!(place.names(), ["hosts", "other"]);
}

/// A script for a handler: what `says` prints goes to `runs`, and there is a file `wrong` if it was run twice at a time or
/// for something else than what is in the file.
fn watchful_handler(place: &Place, says: &str) -> std::path::PathBuf {
    let dir = place.path().display();
    // Only one at a time can make the directory.
    let script = format!(
        "mkdir {dir}/busy || echo overlap >> {dir}/wrong\n\
         sha256sum < \"$KVX_FILE\" | grep -q \"$KVX_CHECKSUM\" || echo other >> {dir}/wrong\n\
         {says} >> {dir}/runs\n\
         rmdir {dir}/busy || echo overlap >> {dir}/wrong\n"
    );
    place.write("handler", script)
}

/// What [`Place::payload`] brings, without the time that Consul's CLI takes.
fn payload_now(place: &Place, watch: &str) -> Vec<u8> {
    if watch.is_empty() {
        place.consul.http("GET", &format!("/v1/kv/{}?recurse", place.kv("")), b"").unwrap().1
    } else {
        place.consul.entry(&place.kv(watch)).unwrap().to_string().into_bytes()
    }
}

/// Sets the flag at its end.
struct Set<'a>(&'a AtomicBool);

impl Drop for Set<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Lets programs that wait for their stdin go on at the same time, and waits for them.
fn finish<const N: usize>(waiting: [(String, Child); N]) -> [(String, Ran); N] {
    let mut waiting = waiting;
    for (document, child) in &mut waiting {
        child.stdin.as_mut().unwrap().write_all(document.as_bytes()).unwrap();
    }
    for (_, child) in &mut waiting {
        drop(child.stdin.take());
    }
    waiting.map(|(document, child)| (document, Ran::from(child.wait_with_output().unwrap())))
}

/// A running `consul watch` on the checksum.
struct ConsulWatch(Child);

impl ConsulWatch {
    fn start(place: &Place) -> ConsulWatch {
        let key = format!("-key={}", place.kv("checksum"));
        let mut command = place.consul.command(&["watch", "-type=key", &key, "-shell=false"]);
        command.arg(binary("kvx-out")).arg("-f").arg(place.file()).arg("--state-dir").arg(place.path().join("state"));
        let log = File::create(place.path().join("watch.log")).unwrap();
        ConsulWatch(command.stderr(log).spawn().unwrap())
    }
}

impl Drop for ConsulWatch {
    fn drop(&mut self) {
        let _ = self.0.kill();
        self.0.wait().unwrap();
    }
}
