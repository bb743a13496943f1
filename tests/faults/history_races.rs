//! History while many write at the same time: uploaders, rollbacks and a collector race; and nodes keep a restored document,
//! whatever is written over it.

use std::path::PathBuf;
use std::process::Child;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::common::moment::{Moment, Pair, go_on_at, in_hours};
use crate::common::run::{Ran, binary};
use crate::common::{Place, lines, sha256, wait_for, whole_lines};

const UPLOADERS: usize = 12;
const ROLLBACKS: usize = 3;
const ROUNDS: usize = 60;

/// Of few documents, so that they come back: a document is then needed and removed at the same moment.
fn document(n: usize) -> String {
    format!("version {}\n{}", n % 17, lines(20 + n % 17))
}

/// A document that is stored in two steps, after its part of the history.
fn large(n: usize) -> String {
    (n..n + 45_000).map(|line| format!("{line:09}\n")).collect()
}

/// Removes the documents that no version names, as an operator does.
fn collect(place: &Place) {
    assert_one_of(&place.kvx("clean").args(["-k", &place.key]).run(), &[0, 75]);
}

/// Whether a run may end so while others are faster.
#[track_caller]
fn assert_one_of(ran: &Ran, statuses: &[i32]) {
    assert!(ran.status.code().is_some_and(|status| statuses.contains(&status)), "{ran:?}");
}

/// Sets it when the test ends, also if it fails: the others must not go on for ever.
struct AtTheEnd<'a>(&'a AtomicBool);

impl Drop for AtTheEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn whatever_races_each_version_is_restored_and_the_record_is_that_of_the_document() {
    let place = Place::new();
    go_on_at(&place, in_hours(2));
    place.upload(document(0));
    let over = AtomicBool::new(false);
    let [uploads, rollbacks] = [const { AtomicUsize::new(0) }; 2];
    let uploader = |number: usize| {
        for round in 0..ROUNDS {
            let is_large = number == 0 && round % 10 == 0;
            let document = if is_large { large(round) } else { document(number + 5 * round) };
            let ran = place.kvx_in().args(["--keep", "5"]).stdin(document).run();
            assert_one_of(&ran, &[0, 75]);
            uploads.fetch_add(usize::from(ran.stderr.contains("uploaded, in place of")), Ordering::Relaxed);
        }
    };
    let rollback = |number: usize| {
        for _ in 0..ROUNDS {
            // One of them holds the key, and lifts that: uploads are refused meanwhile.
            let more: &[&str] = [&[][..], &["--no-hold"], &["--no-hold", "--to", "-2"]][number];
            let ran = place.kvx("rollback").args(["-k", &place.key]).args(more).run();
            // 64: it was restored by another one. 66: what was replaced is outdated. 75: others were faster, or hold it.
            assert_one_of(&ran, &[0, 64, 66, 75]);
            rollbacks.fetch_add(usize::from(ran.status.success()), Ordering::Relaxed);
            if number == 0 {
                assert_one_of(&place.kvx("release").args(["-k", &place.key, "--force"]).run(), &[0, 75]);
            }
        }
    };
    // The observer leaves the processors to the others.
    let goes_on = || {
        let before = uploads.load(Ordering::Relaxed);
        let is_more = || over.load(Ordering::Relaxed) || uploads.load(Ordering::Relaxed) > before + 2;
        wait_for("uploads", 60, || is_more().then_some(()));
    };
    let observer = || {
        let mut looks = 0;
        while !over.load(Ordering::Relaxed) {
            let moment = Moment::of(&place);
            moment.assert_consistent("during the race");
            // A large document is torn between its two steps.
            let is_torn = matches!(moment.pair(), Pair::Torn(..));
            assert!(is_torn || moment.record().is_some(), "the record is that of the document: {:?}", moment.names());
            let name = moment.names()[moment.names().len() / 2];
            let shown = place.kvx("show").args(["-k", &place.key, "--at", &name.time.to_string()]).run();
            let is_gone = || !Moment::of(&place).names().contains(&name);
            assert!(sha256(&shown.stdout) == name.checksum.to_string() || is_gone(), "{name}: {}", shown.stderr);
            looks += 1;
            goes_on();
        }
        looks
    };
    let collector = || {
        while !over.load(Ordering::Relaxed) {
            collect(&place);
        }
    };
    let looks = thread::scope(|scope| {
        let end = AtTheEnd(&over);
        let observer = scope.spawn(observer);
        scope.spawn(collector);
        let uploaders = (0..UPLOADERS).map(|number| scope.spawn(move || uploader(number)));
        let rollbacks = (0..ROLLBACKS).map(|number| scope.spawn(move || rollback(number)));
        let all: Vec<_> = uploaders.chain(rollbacks).collect();
        let results: Vec<_> = all.into_iter().map(|one| one.join()).collect();
        drop(end);
        assert!(results.iter().all(Result::is_ok), "one of them has failed, as said above");
        observer.join().unwrap()
    });
    let [uploads, rollbacks] = [uploads, rollbacks].map(AtomicUsize::into_inner);
    assert!(uploads > 100 && rollbacks > 2 && looks > 20, "{uploads} uploads, {rollbacks} rollbacks, {looks} looks");
    // One more, which nobody disturbs.
    place.kvx_in().args(["--keep", "5", "--ignore-hold"]).stdin(lines(500)).run().expect(0).says(&["uploaded"]);
    collect(&place);
    let moment = Moment::of(&place);
    moment.assert_consistent("afterwards");
    assert_eq!((moment.names().len(), moment.orphans()), (5, Vec::new()));
    assert_eq!(moment.pair(), Pair::Whole(lines(500).into_bytes()));
    for name in moment.names() {
        let shown = place.kvx("show").args(["-k", &place.key, "--at", &name.time.to_string()]).run().expect(0);
        assert_eq!(sha256(&shown.stdout), name.checksum.to_string());
    }
}

/// A node of its own, with a watch on the checksum, which counts how often it fires.
struct Node {
    place: Place,
    watch: Child,
}

impl Node {
    fn of(key: &Place) -> Node {
        let mut place = Place::at(key.consul.clone());
        place.key.clone_from(&key.key);
        let [fires, log] = ["fires", "watch.log"].map(|name| place.path().join(name));
        // A fire is counted once the run has ended, so that the file is as the run has left it.
        let script = format!("\"$@\" 2>>{}; echo fired >>{}", log.display(), fires.display());
        let checksum = format!("-key={}", place.kv("checksum"));
        let mut watch =
            place.consul.command(&["watch", "-type=key", &checksum, "-shell=false", "sh", "-c", &script, "sh"]);
        watch.arg(binary("kvx-out")).args(["-k", &place.key, "-e", &place.handler(), "-f"]).arg(place.file());
        watch.arg("--state-dir").arg(place.path().join("state"));
        let watch = watch.spawn().unwrap();
        Node { place, watch }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.place.path().join("watch.log")).unwrap_or_default()
    }

    /// Waits until the watch has fired so often, and not more.
    #[track_caller]
    fn fired(&self, times: usize) {
        let fires: PathBuf = self.place.path().join("fires");
        wait_for("the watch", 20, || (whole_lines(&fires).len() >= times).then_some(()));
        assert_eq!(whole_lines(&fires).len(), times, "{}", self.log());
    }

    /// The checksums that its handler ran for.
    fn reloads(&self) -> Vec<String> {
        self.place.runs().iter().map(|run| run.split_once(' ').unwrap().1.to_owned()).collect()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.watch.kill().unwrap();
        self.watch.wait().unwrap();
    }
}

#[test]
fn nodes_keep_the_restored_document_while_a_renderer_uploads_and_kvexpress_overwrites_the_pair() {
    let key = Place::new();
    let (good, bad) = (lines(20), lines(21));
    key.upload(&good);
    let nodes = [Node::of(&key), Node::of(&key)];
    let fired = |times: usize| nodes.iter().for_each(|node| node.fired(times));
    fired(1);
    key.upload(&bad);
    fired(2);
    let overwrite = |document: &str| key.consul.put_pair(key.kv("").trim_end_matches('/'), document);
    let (stop, stopped) = mpsc::channel::<()>();
    let (count, again) = (AtomicUsize::new(0), &bad);
    let refused = &count;
    thread::scope(|scope| {
        key.kvx("rollback")
            .args(["-k", &key.key, "-m", "bad DNS"])
            .run()
            .expect(0)
            .says(&["20 lines", "restored", "held"]);
        let uploading = &key;
        let renderer = move || {
            // It ends with the other end of the channel.
            while stopped.recv_timeout(Duration::from_millis(100)) == Err(mpsc::RecvTimeoutError::Timeout) {
                let ran = uploading.kvx_in().stdin(again).run().expect(0);
                assert!(ran.stderr.is_empty() || ran.stderr.contains("held at "), "{}", ran.stderr);
                refused.fetch_add(usize::from(ran.stderr.contains("held at ")), Ordering::Relaxed);
            }
        };
        let renderer = scope.spawn(renderer);
        fired(3);
        // Each is one change, which the watch reports once; between them the renderer is refused.
        for (nth, document) in [lines(30), bad.clone(), lines(31), good.clone(), bad.clone()].iter().enumerate() {
            overwrite(document);
            fired(4 + nth);
            let before = refused.load(Ordering::Relaxed);
            wait_for("the renderer", 20, || {
                (refused.load(Ordering::Relaxed) > before || *document == bad || renderer.is_finished()).then_some(())
            });
            for node in &nodes {
                assert_eq!(node.place.content(), good);
                assert_eq!(node.reloads(), [&good, &bad, &good].map(sha256), "{}", node.log());
            }
        }
        drop(stop);
        renderer.join().unwrap();
    });
    assert!(count.into_inner() > 2);
    // A node that has no file yet installs nothing meanwhile; and the held document repairs the pair.
    let late = Node::of(&key);
    late.fired(1);
    assert!(late.place.names().is_empty() && late.log().contains("held at "), "{}", late.log());
    key.kvx_in().stdin(&good).run().expect(0).says(&["uploaded, in place of"]);
    fired(9);
    late.fired(2);
    assert_eq!(late.place.content(), good);
    key.kvx("release").args(["-k", &key.key]).run().expect(0).says(&["released"]);
    fired(10);
    for (node, reloads) in nodes.iter().zip([[&good, &bad, &good]; 2]) {
        assert_eq!((node.place.content(), node.reloads()), (good.clone(), reloads.map(sha256).to_vec()));
    }
    assert_eq!(Moment::of(&key).held(), None);
}
