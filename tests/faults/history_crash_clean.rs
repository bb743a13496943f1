//! Promise 7 against every possible fault in `kvx clean -k`: at each of its system calls, the run is killed, or the call fails.
//! Whatever is lost, no document goes that a version has, and the next run removes what is left.

use std::sync::Mutex;

use crate::common::moment::Moment;
use crate::common::strace::{self, End, Fault, Met, Trace};
use crate::common::{Place, Run, each, lines, sha256};

const AT_ONCE: usize = 6;
/// The minimum number of faults that are met, a little less than observed.
const AT_LEAST: usize = 150;

/// A key with two versions, and two documents that no version has.
struct Site {
    place: Place,
    before: Moment,
}

impl Site {
    fn new() -> Site {
        let place = Place::new();
        for document in [lines(20), lines(21)] {
            place.upload(document);
        }
        for document in [lines(30), lines(31)] {
            place.consul.put(&format!("kvexpress/kvx/parts/{}/{}", place.key, sha256(&document)), &document);
        }
        let before = Moment::of(&place);
        Site { place, before }
    }

    fn run(&self) -> Run {
        self.place.kvx("clean").args(["-k", &self.place.key])
    }

    fn traced(&self, fault: Option<&Fault>) -> Trace {
        self.before.restore(&self.place);
        Trace::of(self.run().args(["--timeout", "4s"]), "", &[], fault, &self.place.path().join("strace"))
    }

    /// Everything but the documents that no version has is as it was. Returns how many of these are left.
    fn left(&self, case: &str) -> usize {
        let now = Moment::of(&self.place);
        now.assert_consistent(case);
        let Site { before, .. } = self;
        assert_eq!((now.versions(), now.records()), (before.versions(), before.records()), "{case}");
        assert!(now.pair() == before.pair() && now.value("record") == before.value("record"), "{case}");
        now.orphans().len()
    }

    fn survives(&self, fault: &Fault, met: &Met) {
        let trace = self.traced(Some(fault));
        let Some(case) = met.case(fault, &trace) else { return };
        let left = self.left(&case);
        assert!(left == 0 || left == 2 && trace.end != End::Exited(0), "{left} are left: {case}");
        self.run().run().expect(0);
        assert_eq!(self.left(&format!("the next run after {case}")), 0);
    }
}

#[test]
fn a_fault_at_any_call_of_a_cleaning_loses_no_document_that_a_version_has() {
    strace::needed();
    let site = Site::new();
    let baseline = site.traced(None);
    assert_eq!(baseline.end, End::Exited(0), "{}", baseline.stderr);
    assert_eq!(site.left("without a fault"), 0);
    let (spare, met) = (Mutex::new(vec![site]), Met::default());
    let survives = |fault: &Fault| {
        let site = spare.lock().unwrap().pop().unwrap_or_else(Site::new);
        site.survives(fault, &met);
        spare.lock().unwrap().push(site);
    };
    each(AT_ONCE, &baseline.own_faults(), |fault| format!("a cleaning: {fault}"), survives);
    met.tell("a cleaning", AT_LEAST);
}
