//! Which versions an upload keeps: a model of Consul's entries to which many uploads are applied.

use std::collections::BTreeSet;

use kvx::document::Checksum;
use kvx::layout::history::{History, VersionName};
use kvx::layout::record::Timestamp;
use proptest::prelude::*;

use crate::properties::config;

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// An ordinary time, in the middle of an hour.
const START: u64 = 1_795_788_131_123;

fn name(time: u64, document: u8) -> VersionName {
    VersionName { time: Timestamp::from_millis(time), checksum: Checksum::of(&[document]) }
}

/// What Consul has.
#[derive(Default)]
struct Model {
    versions: BTreeSet<VersionName>,
    parts: BTreeSet<Checksum>,
}

impl Model {
    /// An upload, and what must be true after each.
    fn upload(&mut self, new: VersionName, keep: usize, limit: usize) {
        let history = History::new(self.versions.iter().copied(), new.time);
        let outdated = history.outdated(&[new], keep, new.time, limit);
        assert!(outdated.entries() <= limit);
        self.versions.insert(new);
        self.parts.insert(new.checksum);
        for version in &outdated.versions {
            assert!(self.versions.remove(version), "{version} is removed, but was not there");
        }
        for part in &outdated.parts {
            assert!(self.parts.remove(part), "a document is removed, but was not there");
        }
        let named: BTreeSet<Checksum> = self.versions.iter().map(|version| version.checksum).collect();
        assert_eq!(self.parts, named, "the documents are those of the versions");
        assert!(self.versions.contains(&new), "the new version is kept");
    }

    fn times(&self) -> Vec<u64> {
        self.versions.iter().map(|version| millis(*version)).collect()
    }
}

fn millis(version: VersionName) -> u64 {
    u64::try_from(version.time.as_system_time().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

#[test]
fn one_upload_a_minute_for_two_days_keeps_twenty_and_one_of_each_hour() {
    let mut model = Model::default();
    let times: Vec<u64> = (0..2 * 24 * 60).map(|minute| START + minute * MINUTE).collect();
    for (number, time) in times.iter().enumerate() {
        model.upload(name(*time, (number % 250) as u8), 20, 48);
    }
    let last = *times.last().unwrap();
    let newest = &times[times.len() - 20..];
    let hours = (0..24).map(|hour| last / HOUR - hour);
    let hourly = hours.map(|hour| *times.iter().filter(|time| *time / HOUR == hour).max().unwrap());
    let expected: BTreeSet<u64> = newest.iter().copied().chain(hourly).collect();
    assert_eq!(model.times(), Vec::from_iter(expected));
    assert_eq!(model.versions.len(), 42, "the newest of this hour and of the one before are among the newest twenty");
}

#[test]
fn a_lower_limit_removes_what_the_transaction_can_carry_and_the_rest_later() {
    let mut model = Model::default();
    for number in 0..70 {
        model.upload(name(START + u64::from(number), number), 70, 48);
    }
    assert_eq!(model.versions.len(), 70);
    let mut counts = Vec::new();
    for number in 70..73 {
        model.upload(name(START + u64::from(number), number), 3, 48);
        counts.push(model.versions.len());
    }
    assert_eq!(counts, [47, 24, 3], "24 versions with their documents each time, the oldest first");
    assert_eq!(model.times(), [START + 70, START + 71, START + 72]);
}

#[test]
fn documents_that_come_back_are_shared() {
    let mut model = Model::default();
    for (number, document) in [b'a', b'b', b'a', b'b', b'a'].into_iter().enumerate() {
        model.upload(name(START + number as u64, document), 3, 48);
    }
    assert_eq!((model.versions.len(), model.parts.len()), (3, 2));
    model.upload(name(START + 10, b'c'), 2, 48);
    assert_eq!((model.versions.len(), model.parts.len()), (2, 2), "a and c; b went with its last version");
}

#[test]
fn a_version_of_a_wrong_clock_goes_first_and_orders_nothing() {
    let (ahead, old, now) = (name(START + 400 * DAY, 1), name(START - DAY, 2), Timestamp::from_millis(START));
    let history = History::new([old, ahead], now);
    assert_eq!(history.newest(), Some(old));
    assert_eq!(history.times().collect::<Vec<_>>().len(), 2);
    let outdated = history.outdated(&[name(START, 3)], 2, now, 48);
    assert_eq!(outdated.versions, [ahead]);
    let (soon, horizon) = (name(START + DAY, 4), name(START + DAY + 1, 4));
    assert_eq!(History::new([soon, horizon], now).newest(), Some(soon), "a day ahead still counts");
}

#[test]
fn only_direct_children_are_versions() {
    let now = Timestamp::from_millis(START);
    let version = name(START, 1);
    let paths = [
        format!("p/kvx/history/a/{version}"),
        format!("p/kvx/history/a/b/{version}"),
        format!("p/kvx/history/ab/{version}"),
        format!("p/kvx/history/a/{version}/"),
        format!("p/kvx/history/a/{}", version.to_string().to_uppercase()),
        "p/kvx/history/a/notes".into(),
        "p/kvx/history/a/".into(),
    ];
    let history = History::of("p/kvx/history/a", paths.iter().map(String::as_str), now);
    assert_eq!(history, History::new([version], now));
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_name_is_what_it_prints(time in 0u64..253_402_300_800_000, document in any::<u8>()) {
        let name = name(time, document);
        prop_assert_eq!(VersionName::parse(&name.to_string()), Some(name));
    }

    #[test]
    fn names_sort_as_texts_in_the_order_of_their_times(one in 0u64..253_402_300_800_000, other in 0u64..253_402_300_800_000) {
        let (one, other) = (name(one, 1), name(other, 2));
        prop_assert_eq!(one.cmp(&other), one.to_string().cmp(&other.to_string()));
    }

    #[test]
    fn no_other_text_is_a_name(text in "\\PC{0,100}") {
        prop_assert!(VersionName::parse(&text).is_none_or(|name| name.to_string() == text));
    }

    /// Uploads at any distance, of few documents, with any limits: [`Model::upload`] checks the rest.
    #[test]
    fn what_is_kept_are_the_newest_and_the_hourly_ones(
        uploads in prop::collection::vec((1u64..3 * HOUR, 0u8..6, 2usize..8, 2usize..12), 1..60),
        keep in 2usize..8,
    ) {
        let (mut model, mut time) = (Model::default(), START);
        for (step, document, keep, limit) in uploads {
            time += step;
            model.upload(name(time, document), keep, limit);
        }
        // Without a limit, nothing else is left.
        let before = model.versions.clone();
        let new = name(time + 1, 9);
        model.upload(new, keep, usize::MAX);
        let all: Vec<VersionName> = before.into_iter().chain([new]).collect();
        let is_hourly = |at: usize| {
            let hour = |name: VersionName| millis(name) / HOUR;
            let is_last = all.get(at + 1).is_none_or(|next| hour(*next) != hour(all[at]));
            is_last && hour(new) - hour(all[at]) < 24
        };
        let expected: Vec<VersionName> =
            (0..all.len()).filter(|at| at + keep >= all.len() || is_hourly(*at)).map(|at| all[at]).collect();
        prop_assert_eq!(model.versions.into_iter().collect::<Vec<_>>(), expected);
    }
}
