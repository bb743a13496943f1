//! Promise 6: kvx waits for a real agent that is down, stalls, or is killed and restarted, but not forever; and nothing
//! is lost.

use std::io::{BufRead, BufReader, Read};
use std::process::Child;
use std::sync::{Arc, Mutex};
use std::thread;

use super::survival::{ALL, each, in_consul, in_time, kvx_in, kvx_out, look, short, survives};
use crate::common::gate::{Act, Gate, Step};
use crate::common::{Consul, Place, Ran, Run, lines, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

#[test]
fn no_agent_listens() {
    let consul = Consul::shared();
    // At an address of this test alone: a port that was free a moment ago, another one may have by now.
    let address = format!("{}:1", Consul::free_ip());
    let failed = |place: &Place, ran: Ran| {
        let says = ["kvx-out: ", &place.key, "Consul at http://", &address, "refused", "is the agent up?", "-s"];
        ran.expect(69).says(&says);
    };
    each(&ALL, |way| format!("{way:?}"), |&way| survives(way, &consul, |_| address.clone(), |_| {}, failed));
    let place = Place::new();
    place.upload(lines(20));
    let before = in_consul(&place);
    let ran = in_time(kvx_in(&place, &address).stdin(lines(30))).expect(69);
    ran.says(&["kvx-in: ", &place.key, "Consul at http://", &address, "refused", "is the agent up?", "-s"]);
    assert_eq!(in_consul(&place), before);
}

/// Stops a process, and waits until all of its threads have stopped: one may be answering a request just now.
fn stall_all_of(agent: Pid) {
    kill(agent, Signal::SIGSTOP).unwrap();
    wait_for("all threads to stop", 10, || {
        let mut threads = std::fs::read_dir(format!("/proc/{agent}/task")).unwrap().flatten();
        let stopped = threads.all(|thread| {
            // One that has ended meanwhile has stopped, too.
            let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or(") T ".into());
            stat.contains(") T ")
        });
        stopped.then_some(())
    });
}

#[test]
fn an_agent_that_stalls_is_not_waited_for_for_ever() {
    let consul = Arc::new(Consul::dev(""));
    let agent = Pid::from_raw(consul.pid().try_into().unwrap());
    let stall = |_: &Place| {
        // Its sockets still take connections and requests; nobody reads them.
        stall_all_of(agent);
        consul.address.clone()
    };
    let failed = |place: &Place, ran: Ran| {
        ran.expect(69).says(&["kvx-out: ", &place.key, "Consul at", "no answer in time", "is the agent up?"]);
    };
    for way in ALL {
        survives(way, &consul, stall, |_| kill(agent, Signal::SIGCONT).unwrap(), failed);
    }
    let place = Place::at(consul.clone());
    place.upload(lines(20));
    let before = in_consul(&place);
    stall_all_of(agent);
    let ran = in_time(kvx_in(&place, &consul.address).stdin(lines(30)));
    kill(agent, Signal::SIGCONT).unwrap();
    ran.expect(69).says(&["kvx-in: ", &place.key, "Consul at", "no answer in time", "is the agent up?"]);
    assert_eq!(in_consul(&place), before, "only its read was under way");
}

#[test]
fn an_agent_that_stalls_between_read_and_write_leaves_a_whole_pair() {
    let consul = Arc::new(Consul::dev(""));
    let agent = Pid::from_raw(consul.pid().try_into().unwrap());
    let place = Place::at(consul.clone());
    place.upload(lines(20));
    let gate = Gate::to(&consul.address, move |it| {
        if it.step == Step::Write && it.nth == 1 {
            stall_all_of(agent);
        }
        Act::Pass
    });
    let ran = in_time(kvx_in(&place, &gate.address).stdin(lines(30)));
    kill(agent, Signal::SIGCONT).unwrap();
    ran.expect(69).says(&["kvx-in: ", &place.key, "Consul at", "no answer in time"]);
    let entries: Vec<serde_json::Value> = serde_json::from_slice(&in_consul(&place)).unwrap();
    assert_eq!(entries[0]["ModifyIndex"], entries[1]["ModifyIndex"], "changed together, if at all");
    // It may still be made, or not: the next run finds out.
    kvx_in(&place, &consul.address).stdin(lines(30)).run().expect(0);
    place.assert_pair_is_whole();
    assert_eq!(place.consul.text(&place.kv("data")).unwrap(), lines(30));
}

/// Waits for the line that says that it is trying again; what it says afterwards is read too.
fn await_second_try(child: &mut Child) -> thread::JoinHandle<String> {
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    assert!(line.contains("trying again"), "{line}");
    thread::spawn(move || {
        let mut rest = String::new();
        stderr.read_to_string(&mut rest).unwrap();
        rest
    })
}

#[test]
fn an_agent_that_is_killed_and_comes_back_is_waited_for() {
    let consul = Arc::new(Consul::server(""));
    let place = Place::at(consul.clone());
    place.upload(lines(20));
    kvx_out(&place, &consul.address).run().expect(0);

    // Killed between the read and the write: nothing is written, and then it is.
    let (killed, back) = (consul.clone(), Arc::new(Mutex::new(None)));
    let to_come = back.clone();
    let gate = Gate::to(&consul.address, move |it| {
        if it.step == Step::Write && it.nth == 1 {
            killed.down();
            let restarted = killed.clone();
            *to_come.lock().unwrap() = Some(thread::spawn(move || restarted.up()));
        }
        Act::Pass
    });
    let ran = kvx_in(&place, &gate.address).stdin(lines(30)).run().expect(0);
    ran.says(&["30 lines", "uploaded, in place of", &short(lines(20))]);
    back.lock().unwrap().take().expect("a restart").join().unwrap();
    place.assert_pair_is_whole();

    // Down: runs that were started meanwhile end well once it is up, and runs without such patience end at once.
    consul.down();
    let before = look(&place);
    let says = [place.key.as_str(), "Consul at", "refused", "is the agent up?"];
    in_time(kvx_out(&place, &consul.address)).expect(69).says(&says);
    in_time(kvx_in(&place, &consul.address).stdin(lines(40))).expect(69).says(&says);
    assert_eq!(look(&place), before);
    let mut out = kvx_out(&place, &consul.address).arg("-v").spawn();
    let out_says = await_second_try(&mut out);
    assert_eq!(look(&place), before);
    consul.up();
    let (ended, said) = (out.wait().unwrap(), out_says.join().unwrap());
    assert!(ended.success(), "{ended}: {said}");
    assert!(said.lines().last().unwrap().contains("30 lines"), "the last line says what was done: {said}");
    assert_eq!((place.content(), place.runs().len(), place.names()), (lines(30), 2, vec!["hosts".to_owned()]));
    place.assert_pair_is_whole();
}

/// A server that has just become leader answers for a moment that there is nothing (1.8.7, one restart in fifty on a busy
/// machine).
#[test]
fn that_a_document_is_not_there_is_asked_twice() {
    let consul = Consul::shared();
    let commands = [
        "kvx-out --state-dir STATE -k KEY -f FILE",
        "kvx-out -k KEY -f -",
        "kvx-out --stale -k KEY -f -",
        "kvx copy --from KEY --to KEY-2",
    ];
    for command in commands {
        let place = Place::at(consul.clone());
        let (key, address) = (place.key.clone(), consul.address.clone());
        let gate = Gate::to(&consul.address, move |request| {
            if request.target.contains("consistent") {
                Run::new("kvx-in", &address).args(["-k", &key]).stdin(lines(20)).run().expect(0);
            }
            Act::Pass
        });
        let (program, arguments) = command.split_once(' ').unwrap();
        let path = |name: &str| place.path().join(name).display().to_string();
        let arguments = arguments.replace("KEY", &place.key).replace("FILE", &path("out/hosts"));
        let run = Run::new(program, &gate.address).args(arguments.replace("STATE", &path("state")).split(' '));
        run.run().expect(0);
        assert!(gate.lines().iter().any(|line| line.contains("consistent")), "{command}");
    }
    // It is not: two questions, and no third.
    let place = Place::at(consul.clone());
    let gate = Gate::open(&consul.address);
    kvx_out(&place, &gate.address).run().expect(66).says(&["there is no", &place.kv("data")]);
    let questions = gate.lines();
    let confirmed = questions.iter().filter(|line| line.starts_with("PUT /v1/txn?consistent")).count();
    assert!(confirmed >= 1 && questions.iter().all(|line| !line.contains("stale")), "{questions:?}");
}
