//! How a person names a version: by a checksum, a time, or a distance from the current version.

use std::collections::BTreeSet;

use kvx::document::Checksum;
use kvx::layout::history::{History, VersionName};
use kvx::layout::record::Timestamp;
use kvx::layout::version::{Current, Found, VersionQuery};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::properties::config;

/// An ordinary time.
const START: u64 = 1_795_788_131_123;

fn document(number: u8) -> Checksum {
    Checksum::of(&[number])
}

/// Versions with these documents, a minute apart.
fn history(documents: &[u8]) -> History {
    let name = |(at, number): (usize, &u8)| {
        let time = Timestamp::from_millis(START + 60_000 * u64::try_from(at).unwrap());
        VersionName { time, checksum: document(*number) }
    };
    History::new(documents.iter().enumerate().map(name), Timestamp::from_millis(START + 60_000_000))
}

/// The current document, without a record: kvexpress may have uploaded it.
fn current(number: u8) -> Current {
    Current { checksum: document(number), time: None }
}

fn query(text: &str) -> VersionQuery {
    VersionQuery::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"))
}

/// The position of the version that is found.
fn found(documents: &[u8], number: Option<u8>, text: &str) -> Option<usize> {
    let history = history(documents);
    match query(text).search(&history, number.map(current)) {
        Found::One(name) => history.names().iter().position(|known| *known == name),
        Found::Nothing => None,
        Found::Several(names) => panic!("{text} is ambiguous: {names:?}"),
    }
}

#[test]
fn a_name_has_one_of_three_forms() {
    let whole = document(1).to_string();
    for text in ["3f9a", "3F9A41c2", "3f9a41c2…", "2026", &whole] {
        assert!(matches!(query(text), VersionQuery::Checksum(_)), "{text}");
    }
    for text in ["2026-", "2026-11-27", "2026-11-27T14:02", "2026-11-27T14:02:11.123Z", "2026-11-27T14:02:11Z"] {
        assert!(matches!(query(text), VersionQuery::Time(_)), "{text}");
    }
    assert_eq!((query("-1"), query("-20")), (VersionQuery::Before(1), VersionQuery::Before(20)));
    let too_long = whole + "0";
    for text in [
        "",
        "-",
        "-0",
        "--1",
        "-+1",
        "-1x",
        "3f9",
        "3f9g",
        "hosts",
        "…",
        "202-",
        "2026-x",
        "2026-11-27 14:02",
        "2026-11-27t14",
        "2026-11-27T14:02:11.123Z-3f9a",
        "14:02",
        "1",
        "99999999999999999999999-",
        "-99999999999999999999999",
        &too_long,
    ] {
        let why = VersionQuery::parse(text).expect_err(text);
        for form in ["digits of a checksum", "time (2026-11-27T14:02)", "-1, -2"] {
            assert!(why.contains(form) && why.lines().count() == 1, "{text}: {why}");
        }
    }
}

#[test]
fn before_the_current_version_are_the_versions_that_it_replaced() {
    // A, B, A, B: -1 is the document that an upload of B has replaced, whatever is shared.
    let versions = [1, 2, 1, 2];
    assert_eq!(found(&versions, Some(2), "-1"), Some(2));
    assert_eq!(found(&versions, Some(2), "-2"), Some(1));
    assert_eq!(found(&versions, Some(2), "-3"), Some(0));
    assert_eq!(found(&versions, Some(2), "-4"), None);
    // One document twice in a row is one version, the newest.
    assert_eq!(found(&[1, 1, 2, 2], Some(2), "-1"), Some(1));
    assert_eq!(found(&[1, 1, 2, 2], Some(2), "-2"), None);
    // The current document is not in the history: a program that keeps none has uploaded it. Or there is none.
    for current in [Some(9), None] {
        assert_eq!(found(&[1, 2, 2], current, "-1"), Some(2));
        assert_eq!(found(&[1, 2, 2], current, "-2"), Some(0));
    }
    // A document that an older version has, too, uploaded by a program that keeps no history: it replaced the newest version.
    assert_eq!(found(&[1, 2, 3], Some(2), "-1"), Some(2));
    // By its record, the older version is the current one, as in a restored snapshot.
    let history = history(&[1, 2, 3]);
    let [first, second, _] = history.names() else { panic!("{history:?}") };
    let restored = Current { time: Some(second.time), ..current(2) };
    assert_eq!(query("-1").search(&history, Some(restored)), Found::One(*first));
    assert_eq!(found(&[], Some(1), "-1"), None);
}

#[test]
fn what_is_ambiguous_is_listed_newest_first_each_document_once() {
    let history = history(&[1, 2, 1, 3]);
    let names = history.names();
    let Found::Several(several) = query("2026-11-27").search(&history, None) else { panic!("not ambiguous") };
    assert_eq!(several, [names[3], names[2], names[1]]);
    let error = query("2026-11-27").find(&history, None).unwrap_err();
    let candidates = several.iter().map(|name| format!("{} {}", name.time, name.checksum.short()));
    let expected = format!("2026-11-27 could be {}; write more of it", candidates.collect::<Vec<_>>().join(" or "));
    assert_eq!((error.status() as u8, error.to_string()), (64, expected));
    let error = query("2025-").find(&history, None).unwrap_err();
    assert_eq!(error.status() as u8, 66);
    assert!(error.to_string().contains("2025-") && error.to_string().contains("kvx history"), "{error}");
    let many: Vec<u8> = (0..30).collect();
    let error = query("2026-").find(&self::history(&many), None).unwrap_err();
    assert!(error.to_string().ends_with(" and 22 more; write more of it"), "{error}");
}

fn cases() -> impl Strategy<Value = (Vec<u8>, Option<u8>)> {
    (vec(0u8..6, 0..12), proptest::option::of(0u8..7))
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn each_version_is_found_by_its_time_and_each_document_by_its_checksum((documents, number) in cases(), cut in 4usize..64) {
        let history = history(&documents);
        let current = number.map(current);
        for name in history.names() {
            let time = name.time.to_string();
            prop_assert_eq!(query(&time).search(&history, current), Found::One(*name));
            let to_the_second = format!("{}Z", &time[..19]);
            prop_assert_eq!(query(&to_the_second).search(&history, current), Found::One(*name));
            let newest = history.names().iter().rfind(|other| other.checksum == name.checksum).unwrap();
            let digits = name.checksum.to_string();
            prop_assert_eq!(query(&digits).search(&history, current), Found::One(*newest));
            match query(&digits[..cut]).search(&history, current) {
                Found::One(found) => prop_assert_eq!(found, *newest),
                Found::Several(found) => prop_assert!(found.contains(newest)),
                Found::Nothing => prop_assert!(false, "it is there"),
            }
        }
    }

    #[test]
    fn going_back_step_by_step_visits_each_change_once((documents, number) in cases()) {
        let history = history(&documents);
        let steps: Vec<VersionName> = (1..20)
            .map_while(|step| match VersionQuery::Before(step).search(&history, number.map(current)) {
                Found::One(name) => Some(name),
                _ => None,
            })
            .collect();
        prop_assert!(steps.iter().is_sorted_by(|newer, older| newer > older));
        let mut newer = number.map(document);
        for step in &steps {
            prop_assert_ne!(Some(step.checksum), newer);
            newer = Some(step.checksum);
        }
        // The documents from the current one back, without repetitions.
        let mut expected = documents;
        expected.extend(number);
        expected.dedup();
        if number.is_some() {
            expected.pop();
        }
        expected.reverse();
        let visited: Vec<Checksum> = steps.iter().map(|step| step.checksum).collect();
        prop_assert_eq!(visited, expected.into_iter().map(document).collect::<Vec<_>>());
    }

    #[test]
    fn any_text_is_parsed_or_refused_and_a_parsed_one_is_shown_as_it_is_typed(text in "[-0-9a-fTZ:.…x]{0,26}") {
        if let Ok(query) = VersionQuery::parse(&text) {
            prop_assert_eq!(VersionQuery::parse(&query.to_string()), Ok(query));
        }
    }

    #[test]
    fn several_candidates_have_different_documents((documents, number) in cases(), end in 5usize..24) {
        let history = history(&documents);
        for name in history.names() {
            if let Found::Several(found) = query(&name.time.to_string()[..end]).search(&history, number.map(current)) {
                let checksums: BTreeSet<Checksum> = found.iter().map(|name| name.checksum).collect();
                prop_assert!(checksums.len() == found.len() && found.len() > 1);
            }
        }
    }
}
