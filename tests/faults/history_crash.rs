//! Promises 2 and 7 against every possible fault in an upload with history and in a rollback: at each of its system calls, the run
//! is killed, or the call fails, once or from then on. Pair, record and history belong together afterwards, and the next run
//! completes what is missing. The way is that of crash.rs.

use std::sync::Mutex;

use crate::common::moment::{Moment, Pair, go_on_at, in_hours};
use crate::common::strace::{self, End, Fault, Met, Trace};
use crate::common::{Place, Run, each, lines, sha256};

const AT_ONCE: usize = 6;

/// What the first request that changes something contains: that for a document of the history, or for a hold.
const FIRST_WRITES: [&str; 2] = ["PUT /v1/kv/", r#"\"Verb\":\"cas\""#];

/// A run that changes the key, and the versions before and after it.
struct Scenario {
    name: &'static str,
    command: Command,
    /// The documents of the versions before, the oldest first.
    before: &'static [Document],
    /// The document that kvexpress has written since, if it has.
    overwritten: Option<Document>,
    new: Document,
    after: &'static [Document],
    /// The minimum number of faults that are met, a little less than observed.
    at_least: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum Command {
    Upload,
    Rollback,
}

/// A document of so many lines, or a large one, which takes two steps.
#[derive(Clone, Copy, PartialEq)]
enum Document {
    Lines(usize),
    Large,
}

use Command::{Rollback, Upload};
use Document::{Large, Lines};

impl Document {
    fn text(self) -> String {
        match self {
            Lines(n) => lines(n),
            Large => (0..45_000).map(|line| format!("{line:09}\n")).collect(),
        }
    }

    fn bytes(self) -> Vec<u8> {
        self.text().into_bytes()
    }

    fn checksum(self) -> String {
        sha256(self.text())
    }
}

const UPLOADS: [Scenario; 2] = [
    Scenario {
        name: "an upload that also saves what kvexpress wrote, and removes two versions",
        command: Upload,
        before: &[Lines(20), Lines(21), Lines(22)],
        overwritten: Some(Lines(30)),
        new: Lines(23),
        after: &[Lines(22), Lines(30), Lines(23)],
        at_least: 260,
    },
    Scenario {
        name: "an upload in two steps",
        command: Upload,
        before: &[Lines(20), Lines(21), Lines(22)],
        overwritten: None,
        new: Large,
        after: &[Lines(21), Lines(22), Large],
        at_least: 100,
    },
];

const ROLLBACKS: [Scenario; 2] = [
    Scenario {
        name: "a rollback",
        command: Rollback,
        before: &[Lines(20), Lines(21)],
        overwritten: None,
        new: Lines(20),
        after: &[Lines(20), Lines(21), Lines(20)],
        at_least: 360,
    },
    Scenario {
        name: "a rollback in two steps",
        command: Rollback,
        before: &[Large, Lines(21)],
        overwritten: None,
        new: Large,
        after: &[Large, Lines(21), Large],
        at_least: 100,
    },
];

#[test]
fn a_fault_at_any_call_of_an_upload_leaves_pair_record_and_history_that_belong_together() {
    UPLOADS.iter().for_each(survives);
}

#[test]
fn a_fault_at_any_call_of_a_rollback_leaves_pair_record_history_and_hold_that_belong_together() {
    ROLLBACKS.iter().for_each(survives);
}

fn survives(scenario: &'static Scenario) {
    strace::needed();
    let spare = Mutex::new(vec![Site::new(scenario)]);
    let baseline = spare.lock().unwrap()[0].baseline();
    let mut faults = if scenario.new == Large { baseline.faults_since(&FIRST_WRITES) } else { baseline.own_faults() };
    // Of two steps, what comes before the first is as of one; and an error that lasts is one that is met once more.
    faults.retain(|fault| scenario.new != Large || !fault.lasts && !fault.only_interrupts());
    let met = Met::default();
    let survives = |fault: &Fault| {
        let site = spare.lock().unwrap().pop().unwrap_or_else(|| Site::new(scenario));
        site.survives(fault, &met);
        spare.lock().unwrap().push(site);
    };
    each(AT_ONCE, &faults, |fault| format!("{}: {fault}", scenario.name), survives);
    met.tell(scenario.name, scenario.at_least);
}

/// A key on which a scenario is run repeatedly.
struct Site {
    scenario: &'static Scenario,
    place: Place,
    before: Moment,
}

impl Site {
    fn new(scenario: &'static Scenario) -> Site {
        let place = Place::new();
        go_on_at(&place, in_hours(2));
        for document in scenario.before {
            place.upload(document.text());
        }
        if let Some(document) = scenario.overwritten {
            place.consul.put_pair(place.kv("").trim_end_matches('/'), document.text());
        }
        let before = Moment::of(&place);
        before.assert_consistent("before");
        Site { scenario, place, before }
    }

    fn run(&self) -> Run {
        let run = match self.scenario.command {
            Upload => self.place.kvx_in().args(["--keep", "3"]).stdin(self.scenario.new.text()),
            Rollback => self.place.kvx("rollback").args(["-k", &self.place.key]),
        };
        run.args(["-m", "why"])
    }

    fn traced(&self, fault: Option<&Fault>) -> Trace {
        self.before.restore(&self.place);
        let stdin = if self.scenario.command == Upload { self.scenario.new.text() } else { String::new() };
        let run = self.run().args(["--timeout", "4s"]);
        Trace::of(run, stdin, &["-s", "200"], fault, &self.place.path().join("strace"))
    }

    fn baseline(&self) -> Trace {
        let trace = self.traced(None);
        assert_eq!(trace.end, End::Exited(0), "{}", trace.stderr);
        self.assert_done("without a fault");
        trace
    }

    fn survives(&self, fault: &Fault, met: &Met) {
        let trace = self.traced(Some(fault));
        let Some(case) = met.case(fault, &trace) else { return };
        let is_done = self.is_done(&case);
        assert!(is_done || trace.end != End::Exited(0), "it said that it is done: {case}");
        self.converges(is_done, &case);
    }

    /// Whether the run has changed the key. If not, it has changed nothing but what it may leave.
    fn is_done(&self, case: &str) -> bool {
        let Site { scenario, before, .. } = self;
        let moment = Moment::of(&self.place);
        moment.assert_consistent(case);
        let (new, in_two_steps) = (scenario.new, scenario.new == Large);
        let pair = moment.pair();
        if pair == Pair::Whole(new.bytes()) {
            self.assert_done(case);
            return true;
        }
        assert_eq!((moment.names(), moment.records()), (before.names(), before.records()), "{case}");
        assert_eq!(moment.value("record"), before.value("record"), "{case}");
        // A document that no version names yet, and a hold, are what comes before the first step.
        let orphans = moment.orphans();
        let may_have_part = in_two_steps && scenario.command == Upload;
        assert!(orphans.is_empty() || may_have_part && orphans == [new.checksum()], "{orphans:?}: {case}");
        let may_be_held = in_two_steps && scenario.command == Rollback;
        let held = moment.held();
        assert!(held.is_none() || may_be_held && held == Some(new.checksum()), "{held:?}: {case}");
        if pair != before.pair() {
            let old = before.value("checksum").map(|value| String::from_utf8(value).unwrap());
            assert!(in_two_steps && pair == Pair::Torn(Some(new.bytes()), old), "neither old nor new: {case}");
            assert_eq!(held.is_some(), may_be_held, "held before the first step: {case}");
        }
        false
    }

    #[track_caller]
    fn assert_done(&self, case: &str) -> Moment {
        let (moment, new) = (Moment::of(&self.place), self.scenario.new);
        moment.assert_consistent(case);
        assert!(moment.pair() == Pair::Whole(new.bytes()), "{case}");
        let after: Vec<String> = self.scenario.after.iter().map(|document| document.checksum()).collect();
        assert_eq!((moment.versions(), moment.orphans()), (after, Vec::new()), "{case}");
        let record = moment.record().unwrap_or_else(|| panic!("no record that counts: {case}"));
        assert_eq!(record.note.as_deref(), Some("why"), "{case}");
        let is_rollback = self.scenario.command == Rollback;
        assert_eq!(
            (record.undo.is_none(), moment.held()),
            (is_rollback, is_rollback.then(|| new.checksum())),
            "{case}"
        );
        moment
    }

    /// The next run completes what is missing, and the one after it changes nothing.
    fn converges(&self, is_done: bool, case: &str) {
        let run = |what: &str| {
            let ran = self.run().run();
            let moment = self.assert_done(&format!("{what} after {case}\n{}", ran.stderr));
            (ran.status.code(), ran.stderr, moment)
        };
        // A second rollback would restore the bad document: it is refused.
        let (done, says) = match self.scenario.command {
            Upload => (Some(0), ""),
            Rollback => (Some(64), "was restored by a rollback"),
        };
        let before = Moment::of(&self.place);
        let (status, said, moment) = run("a run");
        // A request that was sent before the run ended may reach Consul later than this test has looked.
        assert!(status == done || !is_done && status == Some(0), "{status:?}: a run after {case}\n{said}");
        assert!(!is_done || moment == before, "nothing is missing after {case}");
        let (status, said, again) = run("the second run");
        assert_eq!((status, again), (done, moment), "the second run after {case}\n{said}");
        assert!(said.contains(says) && (says.is_empty() == said.is_empty()), "the second run after {case}\n{said}");
    }
}
