//! Consul does what a request asks, but the answer is lost (a gate in front of a real Consul loses it): the log line is
//! true, nothing is done twice, and the pair in Consul is intact.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::survival::{each, in_consul, in_time, kvx_in, kvx_out, large, look, short};
use crate::common::gate::{Act, Gate, Request, Step, http};
use crate::common::{Consul, Place, lines, sha256};

struct Lost {
    name: &'static str,
    /// Data and checksum in Consul before.
    before: (Option<String>, Option<String>),
    upload: String,
    /// Of the writes that it takes, the answer to this one is lost.
    write: usize,
    replaced: String,
    expect: Option<String>,
}

fn lost_answers() -> Vec<Lost> {
    let mut cases = Vec::new();
    let whole = |document: String| (Some(document.clone()), Some(sha256(document)));
    let mut add = |name, before, upload: &String, write, replaced: String, expect| {
        cases.push(Lost { name, before, upload: upload.clone(), write, replaced, expect });
    };
    let (old, new, old_large, new_large) = (lines(20), lines(30), large(1), large(2));
    let first = || "the first of this key".to_owned();
    let torn = || "in place of a torn pair".to_owned();
    let instead = |document: &String| format!("in place of {}", short(document));
    add("the first", (None, None), &new, 1, first(), None);
    add("in place of another", whole(old.clone()), &new, 1, instead(&old), None);
    add("torn", (Some("torn\n".into()), Some(sha256(&old))), &new, 1, torn(), None);
    add("torn, with our checksum", (Some("torn\n".into()), Some(sha256(&new))), &new, 1, torn(), None);
    add("torn, with our data", (Some(new.clone()), None), &new, 1, torn(), None);
    add("a checksum alone", (None, Some(sha256(&new))), &new, 1, torn(), None);
    add("--expect", whole(old.clone()), &new, 1, instead(&old), Some(sha256(&old)));
    for write in [1, 2] {
        add("large, the first", (None, None), &new_large, write, first(), None);
        add("large, in place of another", whole(old_large.clone()), &new_large, write, instead(&old_large), None);
        add("large, in place of a small one", whole(old.clone()), &new_large, write, instead(&old), None);
        add("large, torn", (Some("torn\n".into()), Some(sha256(&new_large))), &new_large, write, torn(), None);
        let expect = Some(sha256(&old_large));
        add("large, --expect", whole(old_large.clone()), &new_large, write, instead(&old_large), expect);
    }
    add("large, torn, with our data", (Some(new_large.clone()), None), &new_large, 1, torn(), None);
    add("small, in place of a large one", whole(old_large.clone()), &new, 1, instead(&old_large), None);
    cases
}

fn put(place: &Place, pair: &(Option<String>, Option<String>)) {
    for (part, value) in [("data", &pair.0), ("checksum", &pair.1)] {
        if let Some(value) = value {
            place.consul.put(&place.kv(part), value);
        }
    }
}

#[test]
fn an_upload_whose_answer_is_lost_reports_what_really_became_of_it() {
    let consul = Consul::shared();
    each(
        &lost_answers(),
        |lost| format!("{}, write {}", lost.name, lost.write),
        |lost| {
            for (how, act) in [
                ("no answer", Act::CutAnswer(0)),
                ("half a first line", Act::CutAnswer(9)),
                ("all but the last byte", Act::CutAnswerBeforeItsLast(1)),
            ] {
                let place = Place::at(consul.clone());
                put(&place, &lost.before);
                let write = lost.write;
                let lose = move |it: &Request| it.step == Step::Write && it.nth == write;
                let gate = Gate::to(&consul.address, move |it| if lose(it) { act.clone() } else { Act::Pass });
                let run =
                    lost.expect.iter().fold(kvx_in(&place, &gate.address), |run, sum| run.args(["--expect", sum]));
                let ran = run.stdin(&lost.upload).run();
                assert!(gate.requests().iter().any(lose), "{how}: an answer was lost");
                let ran = ran.expect(0);
                assert!(ran.stderr.contains(&format!("uploaded, {}", lost.replaced)), "{how}: {}", ran.stderr);
                ran.says(&[]);
                place.assert_pair_is_whole();
                assert_eq!(place.consul.text(&place.kv("data")).unwrap(), lost.upload, "{how}");
                // Made once: the checksum was changed together with its data, or after it, and never again. (And it
                // was changed, even where it was ours before: a watch on it must fire.)
                let (data, checksum) =
                    (place.consul.modify_index(&place.kv("data")), place.consul.modify_index(&place.kv("checksum")));
                let in_two_steps = lost.upload.len() > 400_000 || lost.before.0.as_ref() == Some(&lost.upload);
                assert!(if in_two_steps { data < checksum } else { data == checksum }, "{how}: {data} {checksum}");
            }
        },
    );
}

#[test]
fn an_upload_all_of_whose_answers_are_lost_ends_in_time_and_leaves_a_whole_pair() {
    let place = Place::new();
    place.upload(lines(20));
    let gate = Gate::to(&place.consul.address, |it| if it.step == Step::Write { Act::CutAnswer(0) } else { Act::Pass });
    let ran = in_time(kvx_in(&place, &gate.address).stdin(lines(30))).expect(69);
    ran.says(&["kvx-in: ", &place.key, "Consul at", &gate.address]);
    place.assert_pair_is_whole();
    assert_eq!(place.consul.text(&place.kv("data")).unwrap(), lines(30), "it was made");
    // The next run finds out.
    kvx_in(&place, &place.consul.address).stdin(lines(30)).run().expect(0).is_silent();
}

#[test]
fn another_upload_after_a_lost_answer_is_not_reported_as_ours() {
    let place = Place::new();
    place.upload(lines(20));
    let (consul, folder) = (place.consul.clone(), format!("kvexpress/{}", place.key));
    let gate = Gate::to(&place.consul.address, move |it| {
        if it.step == Step::Write && it.nth == 1 {
            // Never made; and before it is tried again, another writer uploads something.
            consul.put_pair(&folder, lines(25));
            return Act::Say(Vec::new());
        }
        Act::Pass
    });
    let ran = kvx_in(&place, &gate.address).stdin(lines(30)).run().expect(0);
    ran.says(&["30 lines", "uploaded, in place of", &short(lines(25))]);
    place.assert_pair_is_whole();
}

#[test]
fn a_request_cut_anywhere_on_its_way_to_consul_changes_nothing_and_is_made_again() {
    let consul = Consul::shared();
    let cases: Vec<usize> = (0..560).step_by(23).collect();
    each(
        &cases,
        |at| format!("after {at} bytes"),
        |&at| {
            let place = Place::at(consul.clone());
            place.upload(lines(20));
            let gate = Gate::to(&consul.address, move |it| if it.nth == 1 { Act::CutRequest(at) } else { Act::Pass });
            let ran = kvx_in(&place, &gate.address).stdin(lines(30)).run().expect(0);
            ran.says(&["uploaded, in place of", &short(lines(20))]);
            place.assert_pair_is_whole();
            assert_eq!(place.consul.text(&place.kv("data")).unwrap(), lines(30));
        },
    );
}

#[test]
fn an_answer_cut_anywhere_is_never_installed_and_is_asked_for_again() {
    let consul = Consul::shared();
    // Its last bytes too. (Before Consul 1.14, the first answer is that the verb is unknown: not the one to be cut.)
    let (from_start, from_end) = ((0..900).step_by(31), [1, 2, 3, 10, 100]);
    let cases: Vec<Act> =
        from_start.map(Act::CutAnswer).chain(from_end.into_iter().map(Act::CutAnswerBeforeItsLast)).collect();
    let verb: &[u8] = if consul.has_get_or_empty() { b"get-or-empty" } else { b"get-tree" };
    let brings_it = move |it: &Request| it.body.windows(verb.len()).any(|word| word == verb);
    each(
        &cases,
        |act| format!("{act:?}"),
        |act| {
            let place = Place::at(consul.clone());
            place.upload(lines(30));
            let (cut, times) = (act.clone(), AtomicUsize::new(0));
            let gate = Gate::to(&consul.address, move |it| {
                if brings_it(it) && times.fetch_add(1, Ordering::SeqCst) == 0 { cut.clone() } else { Act::Pass }
            });
            kvx_out(&place, &gate.address).run().expect(0).says(&["30 lines", "installed"]);
            assert_eq!(gate.requests().iter().filter(|it| brings_it(it)).count(), 2);
            assert_eq!((place.content(), place.runs().len()), (lines(30), 1));
            // And for ever: not even a part of it.
            let cut = act.clone();
            let gate = Gate::to(&consul.address, move |it| if brings_it(it) { cut.clone() } else { Act::Pass });
            place.upload(lines(40));
            let before = look(&place);
            let run = kvx_out(&place, &gate.address).args(["--timeout", "200ms"]);
            run.run().expect(69).says(&[&place.key, "Consul at"]);
            assert_eq!(look(&place), before);
        },
    );
}

#[test]
fn a_race_that_is_always_lost_ends_with_try_again() {
    let place = Place::new();
    place.upload(lines(20));
    let before = in_consul(&place);
    let stale = r#"{"Results":null,"Errors":[{"OpIndex":1,"What":"failed to set key \"k\", index is stale"}]}"#;
    let gate = Gate::to(&place.consul.address, move |it| match it.step {
        Step::Read => Act::Pass,
        Step::Write => Act::Say(http("409 Conflict", stale)),
    });
    let ran = kvx_in(&place, &gate.address).stdin(lines(30)).run().expect(75);
    ran.says(&["kvx-in: ", &place.key, "index is stale", "run it again"]);
    let requests = gate.requests();
    let writes: Vec<usize> = (0..requests.len()).filter(|&at| requests[at].step == Step::Write).collect();
    assert!(writes.len() > 2, "somebody else was faster, so it tries again");
    assert!(writes.windows(2).all(|pair| pair[1] > pair[0] + 1), "but never without reading again");
    assert_eq!(in_consul(&place), before);
}
