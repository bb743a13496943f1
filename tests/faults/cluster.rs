//! Promises 1, 3, 5 and 6 in a real cluster: three servers that are killed or paused one after the other, and a node's
//! agent that kvx uses. Nothing is torn or lost or installed twice, and the log lines are true.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::consul::Cluster;
use crate::common::gate::{Act, Gate};
use crate::common::{self, Consul, Place, Run, SLACK, lines, sha256};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// For each run: longer than an election, shorter than a test.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A place whose agent is the node's.
fn at_node(cluster: &Cluster) -> Place {
    // Only its address is used: the cluster keeps the agent.
    Place::at(Arc::new(Consul::elsewhere(&cluster.node.address)))
}

fn send(server: &Consul, signal: Signal) {
    kill(Pid::from_raw(server.pid() as i32), signal).unwrap();
}

#[test]
fn uploads_and_downloads_go_on_while_servers_are_killed_paused_and_come_back() {
    let cluster = Cluster::new();
    let place = at_node(&cluster);
    let document = |n: usize| format!("version {n}\n{}", lines(20 + n * 97 % 400));
    let checksums: BTreeMap<String, usize> = (0..2000).map(|n| (sha256(document(n)), n)).collect();
    let over = AtomicBool::new(false);
    // How many of each have succeeded.
    let [uploaded, downloaded] = [const { AtomicUsize::new(0) }; 2];
    let count = |successes: &AtomicUsize, status| {
        successes.fetch_add(usize::from(status == 0), Ordering::Relaxed);
    };
    let timeout = ["--timeout".to_owned(), format!("{}s", TIMEOUT.as_secs())];

    // What each upload said that became of it.
    let uploader = || {
        let mut said = Vec::new();
        for n in 0..2000 {
            if over.load(Ordering::Relaxed) {
                break;
            }
            let started = Instant::now();
            let ran = place.kvx_in().args(&timeout).stdin(document(n)).run();
            assert!(started.elapsed() < TIMEOUT + SLACK, "{:?}: {}", started.elapsed(), ran.stderr);
            let status = ran.status.code().unwrap();
            assert!([0, 69, 75].contains(&status), "{status}: {}", ran.stderr);
            count(&uploaded, status);
            said.push((n, status, ran.stderr));
        }
        said
    };
    let downloader = || {
        while !over.load(Ordering::Relaxed) {
            let started = Instant::now();
            let ran = place.kvx_out().args(&timeout).args(["-e", &place.handler()]).run();
            assert!(started.elapsed() < TIMEOUT + SLACK, "{:?}: {}", started.elapsed(), ran.stderr);
            let status = ran.status.code().unwrap();
            assert!([0, 66, 69, 75].contains(&status), "{status}: {}", ran.stderr);
            count(&downloaded, status);
        }
    };
    let said = thread::scope(|scope| {
        let (uploads, downloads) = (scope.spawn(uploader), scope.spawn(downloader));
        // All goes well again, for a while.
        let goes_on = || {
            let before = [&uploaded, &downloaded].map(|successes| successes.load(Ordering::Relaxed));
            common::wait_for("uploads and downloads", 60, || {
                assert!(!uploads.is_finished() && !downloads.is_finished(), "one of them has failed");
                let now = [&uploaded, &downloaded].map(|successes| successes.load(Ordering::Relaxed));
                (now[0] > before[0] + 3 && now[1] > before[1] + 3).then_some(())
            });
        };
        let end = AtTheEnd(&over); // Also if something fails: the others must not go on for ever.
        goes_on();
        // The leader each time, so that each time there is an election.
        for _ in 0..2 {
            let leader = cluster.leader();
            leader.down();
            cluster.leader();
            goes_on();
            leader.launch();
            leader.await_leader();
            goes_on();
        }
        let leader = cluster.leader();
        send(leader, Signal::SIGSTOP);
        let others = cluster.servers.iter().filter(|server| server.address != leader.address);
        let new = common::wait_for("another leader", 60, || {
            others.clone().find(|server| {
                let now = server.http("GET", "/v1/status/leader", b"").unwrap().1;
                now.len() > 2 && !String::from_utf8_lossy(&now).contains(leader.ip())
            })
        });
        new.await_leader();
        goes_on();
        send(leader, Signal::SIGCONT);
        leader.await_leader();
        goes_on();
        drop(end);
        downloads.join().unwrap();
        uploads.join().unwrap()
    });

    // What was said is true: who replaces something names the last that was uploaded, or one that could not be sure.
    let mut may_be = vec![None];
    for (n, status, line) in &said {
        if *status == 0 {
            let replaced = line.split_once("in place of ").map(|(_, rest)| {
                let short = rest.chars().take_while(char::is_ascii_hexdigit).collect::<String>();
                *checksums.iter().find(|(checksum, _)| checksum.starts_with(&short)).expect("one of ours").1
            });
            assert!(may_be.contains(&replaced), "{line}: after one of {may_be:?}, says {replaced:?}");
            may_be = vec![Some(*n)];
        } else {
            may_be.push(Some(*n));
        }
    }
    // In the end the last document is everywhere, and was reloaded; none came back, and none was reloaded twice.
    let last = said.len();
    place.kvx_in().stdin(document(last)).run().expect(0);
    place.kvx_out().args(["-e", &place.handler()]).run().expect(0);
    place.kvx_out().args(["-e", &place.handler()]).run().expect(0).is_silent();
    assert_eq!((place.content(), place.names()), (document(last), vec!["hosts".into()]));
    place.assert_pair_is_whole();
    let reloaded: Vec<usize> = place.runs().iter().map(|run| checksums[run.rsplit_once(' ').unwrap().1]).collect();
    assert!(reloaded.is_sorted_by(|a, b| a < b), "{reloaded:?}");
    assert_eq!(reloaded.last(), Some(&last));
}

/// Sets the flag at its end.
struct AtTheEnd<'a>(&'a AtomicBool);

impl Drop for AtTheEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn without_a_leader_a_stale_read_still_says_that_nothing_has_changed() {
    let cluster = Cluster::new();
    let place = at_node(&cluster);
    place.upload(lines(20));
    let run = |options: &[&str]| place.kvx_out().args(["--timeout", "3s", "-e", &place.handler()]).args(options).run();
    run(&["--stale"]).expect(0).says(&["installed"]);
    run(&["--consistent"]).expect(0).is_silent();
    // One that follows is left, and cannot lead alone. (One that has never followed answers no stale read either.)
    let leader = cluster.leader();
    let mut followers = cluster.servers.iter().filter(|server| server.ip() != leader.ip());
    let (last, other) = (followers.next().unwrap(), followers.next().unwrap());
    // It may be behind: what it has not heard of, it does not answer with.
    common::wait_for("the document on that server", 30, || {
        let (status, _) = last.http("GET", &format!("/v1/kv/{}?stale", place.kv("checksum")), b"").ok()?;
        (status == 200).then_some(())
    });
    [leader, other].into_iter().for_each(Consul::down);
    common::wait_for("no leader", 60, || {
        let (_, leader) = last.http("GET", "/v1/status/leader", b"").ok()?;
        (leader.trim_ascii() == b"\"\"").then_some(())
    });
    run(&[]).expect(69).says(&[&place.key]);
    run(&["--consistent"]).expect(69);
    // The warning says that the server has no leader.
    common::wait_for("a stale answer", 30, || (run(&["--stale"]).status.code() == Some(0)).then_some(()));
    run(&["--stale"]).expect(0).says(&[&place.kv("data"), "a server without a leader has the same document"]);
    assert_eq!((place.runs().len(), place.content()), (1, lines(20)));
}

/// A real server that is behind answers when it likes: so a gate gives old answers to stale reads.
#[test]
fn a_stale_answer_is_only_installed_if_it_leaves_no_doubt() {
    let place = Place::new();
    place.upload(lines(20));
    let old = Arc::new(std::sync::Mutex::new(Vec::new()));
    let answer = old.clone();
    let gate = Gate::to(&place.consul.address, move |request| match answer.lock().unwrap().clone() {
        old if request.target.contains("stale") && !old.is_empty() => Act::Say(old),
        _ => Act::Pass,
    });
    let run = || place.kvx_out().args(["-s", &gate.address, "--stale", "-e", &place.handler()]);
    let stale = || gate.lines().iter().map(|line| line.contains("stale")).collect::<Vec<_>>();
    // What is there now, as a server would say that has not heard of anything since.
    let remember = || {
        let ops: Vec<_> = ["data", "checksum", "stop"]
            .iter()
            .map(|part| place.kv(part))
            .chain([common::lock_of(&place)])
            .map(|key| serde_json::json!({"KV": {"Verb": if place.consul.has_get_or_empty() { "get-or-empty" } else { "get-tree" }, "Key": key}}))
            .collect();
        let (_, body) =
            place.consul.http("PUT", "/v1/txn?stale", serde_json::to_vec(&ops).unwrap().as_slice()).unwrap();
        let (known, last, length) = ("X-Consul-KnownLeader: true", "X-Consul-LastContact: 20", body.len());
        let head = format!("HTTP/1.1 200 OK\r\n{known}\r\n{last}\r\nContent-Length: {length}\r\n\r\n");
        *old.lock().unwrap() = [head.into_bytes(), body].concat();
    };
    let lags = |by: &str, instead: &str| {
        let said = String::from_utf8(old.lock().unwrap().clone()).unwrap();
        *old.lock().unwrap() = said.replace(by, instead).into_bytes();
    };
    run().run().expect(0).says(&["installed"]);
    assert!(stale().iter().all(|stale| *stale), "there was nothing before: the stale answer will do");
    remember();
    place.upload(lines(21));
    let payload = place.payload("checksum");
    // The payload says that there is another: what the stale answer brings is older.
    run().payload(&payload).run().expect(0).says(&["21 lines", "installed"]);
    assert!(stale().contains(&false), "the leader was asked");
    // By a timer: older than what is installed.
    run().run().expect(0).is_silent();
    assert!(stale().contains(&false), "the leader was asked");
    assert_eq!(place.content(), lines(21));
    // What was forgotten says nothing of what is older: the leader is asked.
    std::fs::remove_dir_all(place.path().join("state")).unwrap();
    run().run().expect(0).says(&["handler"]);
    assert_eq!(place.content(), lines(21));
    // A stop that a stale answer brings may be gone.
    place.consul.put(&place.kv("stop"), "until Monday");
    remember();
    place.consul.put(&place.kv("stop"), "");
    place.upload(lines(22));
    run().run().expect(0).says(&["22 lines", "installed"]);
    // Newer than what is installed, but from a server that follows no leader, or has not heard of it for long.
    for (by, instead) in [("KnownLeader: true", "KnownLeader: false"), ("LastContact: 20", "LastContact: 9000")] {
        place.upload(lines(23));
        remember();
        lags(by, instead);
        place.upload(lines(24));
        run().run().expect(0).says(&["24 lines", "installed"]);
        place.upload(lines(22));
        *old.lock().unwrap() = Vec::new();
        run().run().expect(0);
    }
    run().args(["--consistent"]).run().expect(64).says(&["--stale or --consistent"]);
}

#[test]
fn another_datacenter_is_reached_by_its_name() {
    let here = Consul::server("");
    let there = here.other_datacenter("dc2");
    let place = Place::at(Arc::new(Consul::elsewhere(&here.address)));
    let with = |dc: &str, run: Run| run.args(["--dc", dc]).run();
    with("dc2", place.kvx_in().stdin(lines(20))).expect(0).says(&["the first of this key"]);
    with("dc1", place.kvx_in().stdin(lines(30))).expect(0).says(&["the first of this key"]);
    assert_eq!(there.text(&place.kv("data")), Some(lines(20)));
    assert_eq!(here.text(&place.kv("data")), Some(lines(30)));
    with("dc2", place.kvx_out()).expect(0).says(&["20 lines", "installed"]);
    with("dc1", place.kvx_out()).expect(0).says(&["30 lines", "installed"]);
    with("dc2", place.kvx_out().args(["--stale"])).expect(0).says(&["20 lines"]);
    with("dc3", place.kvx_out().args(["--timeout", "20s"])).expect(69).says(&["No path to datacenter", "--dc"]);
}
