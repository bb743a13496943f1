//! Promises 1, 2 and 3 against every possible fault: at each system call of a run, the run is killed, or the call
//! fails, once or from then on. A reader sees the old or the new file, whole and with its owner and mode; no handler
//! runs for a document that is not installed; and the next run completes the work. The same for the pair in Consul. The
//! order of the calls decides what a power loss leaves.
//!
//! The calls vary a little from run to run: whether a fault was met is seen in strace's output.

use std::sync::Mutex;

use crate::common::scenario::Owner::{Daemon, Ours};
use crate::common::scenario::{Look, Scenario, Site, put};
use crate::common::strace::{self, End, Fault, Met, Trace};
use crate::common::{Place, each, lines};
use nix::unistd::getuid;

/// So many cases at a time: some wait until they try again, most only for a processor.
const AT_ONCE: usize = 6;

/// A check that approves; slowly, if it is to be seen.
const CHECK: &str = "sh -c '[ -z \"$SLOW\" ] || sleep 0.2; grep -q 600 \"$0\"' {}";

const SCENARIOS: [Scenario; 5] = [
    Scenario {
        name: "a watch on the checksum, new owner and mode",
        old: Some(Look { lines: 600, mode: 0o600, owner: Ours }),
        new: Look { lines: 601, mode: 0o644, owner: Daemon },
        file: "out/hosts",
        watch: Some("checksum"),
        options: &["-c", "644", "--check", CHECK],
        whole: true,
        at_least: 600,
    },
    Scenario {
        name: "the first of its kind, by hand",
        old: None,
        new: Look { lines: 601, mode: 0o640, owner: Ours },
        file: "out/hosts",
        watch: None,
        options: &["--mkdir"],
        whole: true,
        at_least: 500,
    },
    Scenario {
        name: "a watch on the folder, through a link, owner and mode kept",
        old: Some(Look { lines: 600, mode: 0o604, owner: Daemon }),
        new: Look { lines: 601, mode: 0o604, owner: Daemon },
        file: "link",
        watch: Some(""),
        options: &[],
        whole: true,
        at_least: 500,
    },
    Scenario {
        name: "an pending handler and another mode",
        old: Some(Look { lines: 601, mode: 0o600, owner: Ours }),
        new: Look { lines: 601, mode: 0o644, owner: Ours },
        file: "out/hosts",
        watch: None,
        options: &["-c", "644"],
        whole: true,
        at_least: 450,
    },
    Scenario {
        name: "in place, new owner and mode",
        old: Some(Look { lines: 600, mode: 0o600, owner: Ours }),
        new: Look { lines: 601, mode: 0o644, owner: Daemon },
        file: "out/hosts",
        watch: Some("checksum"),
        options: &["-c", "644", "--in-place"],
        whole: false,
        at_least: 500,
    },
];

#[test]
fn a_fault_at_any_call_of_kvx_out_leaves_a_whole_file_and_the_next_run_finishes() {
    strace::needed();
    for scenario in &SCENARIOS {
        let spare = Mutex::new(vec![Site::new(scenario)]);
        let faults = spare.lock().unwrap()[0].baseline().faults();
        let (name, met) = (scenario.name, Met::default());
        let survives = |fault: &Fault| {
            let site = spare.lock().unwrap().pop().unwrap_or_else(|| Site::new(scenario));
            site.survives(fault, &met);
            spare.lock().unwrap().push(site);
        };
        each(AT_ONCE, &faults, |fault| format!("{name}: {fault}"), survives);
        met.tell(name, scenario.at_least);
    }
}

#[test]
fn a_fault_at_any_call_of_kvx_in_leaves_a_whole_pair_and_the_next_run_finishes() {
    strace::needed();
    for (name, old) in [("an upload in place of another", Some(lines(600))), ("a first upload", None)] {
        let spare = Mutex::new(vec![Place::new()]);
        let faults = upload(&spare.lock().unwrap()[0], old.as_deref(), None).faults();
        let met = Met::default();
        let survives = |fault: &Fault| {
            let place = spare.lock().unwrap().pop().unwrap_or_else(Place::new);
            upload_survives(&place, old.as_deref(), fault, &met);
            spare.lock().unwrap().push(place);
        };
        each(AT_ONCE, &faults, |fault| format!("{name}: {fault}"), survives);
        met.tell(name, 230);
    }
}

#[test]
fn the_order_of_calls_survives_a_power_loss() {
    strace::needed();
    let site = Site::new(&SCENARIOS[0]);
    site.reset();
    let whole_lines = ["-y", "-s", "4096"];
    let trace = site.traced(&whole_lines, None);
    assert_eq!(trace.end, End::Exited(0), "{}", trace.stderr);
    let shown: Vec<&String> = trace.calls.iter().map(|call| &call.line).collect();
    let all = |parts: &[&str]| -> Vec<usize> {
        let calls = trace.calls.iter().enumerate();
        calls.filter(|(_, call)| parts.iter().all(|part| call.line.contains(part))).map(|(at, _)| at).collect()
    };
    let state_files = |handlers: &str, unfinished: bool| -> Vec<usize> {
        let mut found = all(&["pwrite64(", "/state/", handlers, "}\\n"]);
        found.retain(|&at| trace.calls[at].line.contains(r#"\"unfinished\":true"#) == unfinished);
        found
    };
    let (starts, ends) = (all(&["CLONE_VFORK"]), all(&["wait4(", "WEXITSTATUS"]));
    assert_eq!((starts.len(), ends.len()), (2, 2), "check and handler: {shown:#?}");
    let mut steps = vec![
        ("a directory for it", all(&["mkdirat(", "/out>", "\".hosts.kvx~\""])),
        ("a copy for its check", all(&["write(", "/.hosts.kvx~/check/hosts>"])),
        ("its check starts", starts[..1].to_vec()),
        ("its check has ended", ends[..1].to_vec()),
        ("a temporary file", all(&["openat(", "/.hosts.kvx~>", "O_EXCL"])),
        ("the document", all(&["write(", "/.hosts.kvx~/new>"])),
        ("its owner", all(&["fchown(", "/.hosts.kvx~/new>"])),
        ("its mode", all(&["fchmod(", "/.hosts.kvx~/new>"])),
        ("it is on the disk", all(&["fsync(", "/.hosts.kvx~/new>"])),
        ("a state file of no handlers, unfinished", state_files(r#"\"handlers\":[],\"pending\":[{"#, true)),
        ("it is in its place", all(&["renameat", "/.hosts.kvx~>, \"new\"", "/out>, \"hosts\""])),
        ("that is on the disk", all(&["fsync(", "/out>"])),
        ("a state file of no handlers", state_files(r#"\"handlers\":[],\"pending\":[{"#, false)),
        ("its handler starts", starts[1..].to_vec()),
        ("its handler has ended", ends[1..].to_vec()),
        ("a state file of a handler", state_files(r#"\"handlers\":[{"#, false)),
    ];
    steps.retain(|(step, _)| getuid().is_root() || *step != "its owner");
    for pair in steps.windows(2) {
        let [(earlier, first), (later, second)] = pair else { unreachable!() };
        let in_order = first.last().is_some_and(|first| second.first().is_some_and(|second| first < second));
        assert!(in_order, "{earlier} (at {first:?}), then {later} (at {second:?}): {shown:#?}");
    }
    assert_eq!((all(&["fsync("]).len(), all(&["renameat"]).len()), (2, 1), "{shown:#?}");
    // Again, with nothing to do.
    let trace = site.traced(&whole_lines, None);
    assert_eq!((&trace.end, trace.stderr.as_str()), (&End::Exited(0), ""));
    let changes = [
        "write",
        "pwrite64",
        "ftruncate",
        "fsync",
        "renameat",
        "unlinkat",
        "mkdirat",
        "fchmod",
        "fchown",
        "clone",
        "clone3",
        "vfork",
    ];
    let changes = trace.calls.iter().find(|call| changes.contains(&call.name.as_str()));
    assert!(changes.is_none(), "{changes:?}");
}

#[test]
fn half_a_file_in_place_is_known_as_such_after_a_power_loss() {
    strace::needed();
    let site = Site::new(&SCENARIOS[4]);
    site.reset();
    let trace = site.traced(&["-y", "-s", "4096"], None);
    assert_eq!(trace.end, End::Exited(0), "{}", trace.stderr);
    let at = |parts: &[&str]| trace.calls.iter().position(|call| parts.iter().all(|part| call.line.contains(part)));
    let steps = [
        at(&["pwrite64(", "/state/", r#"\"unfinished\":true"#]),
        at(&["fdatasync(", "/state/"]),
        at(&["write(", "/out/hosts>"]),
        at(&["fsync(", "/out/hosts>"]),
        trace.calls.iter().rposition(|call| call.line.contains("pwrite64(") && call.line.contains("/state/")),
    ];
    assert!(steps[0].is_some() && steps.is_sorted(), "{steps:?}: {:#?}", trace.calls);
}

/// A traced upload of 601 lines in place of what was there.
fn upload(place: &Place, old: Option<&str>, fault: Option<&Fault>) -> Trace {
    match old {
        Some(old) => put(place, old),
        None => ["data", "checksum", "record"].iter().for_each(|part| place.consul.delete(&place.kv(part))),
    }
    Trace::of(place.kvx_in().args(["--timeout", "6s"]), lines(601), &[], fault, &place.path().join("strace"))
}

fn upload_survives(place: &Place, old: Option<&str>, fault: &Fault, met: &Met) {
    let trace = upload(place, old, Some(fault));
    let Some(case) = met.case(fault, &trace) else { return };
    let (found, new) = (place.document(), Some(lines(601).into_bytes()));
    assert!(found.as_deref() == old.map(str::as_bytes) || found == new, "{case}\n{found:?}");
    assert!(trace.end != End::Exited(0) || found == new, "it said that it is done: {case}");
    let again = || {
        let ran = place.kvx_in().stdin(lines(601)).run();
        assert_eq!((ran.status.code(), place.document()), (Some(0), new.clone()), "a run after {case}\n{}", ran.stderr);
        (ran.stderr, place.consul.modify_index(&place.kv("checksum")))
    };
    let (_, index) = again();
    assert_eq!(again(), (String::new(), index), "the second run after {case}");
}
