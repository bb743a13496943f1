//! Property tests of the modules without I/O: document, payload, keys. Promise 1: only a document that was stored
//! verifies.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use kvx::consul::Entry;
use kvx::document::guard::{Guards, Percent};
use kvx::document::sorted::sorted;
use kvx::document::{Checksum, Size, Verified};
use kvx::input::url::Url;
use kvx::layout::keys::{Key, KeyPaths, Part, Prefix};
use kvx::layout::pair::{Pair, PairState};
use kvx::layout::payload::{self, Folder, Trigger};
use kvx::layout::stored::{EncodedDocument, Encoding};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

/// Seeds of cases that have failed are kept next to their tests: left to itself, proptest makes a directory for them
/// next to that of `main.rs`, which would be the project's top.
pub fn config() -> ProptestConfig {
    let seeds = FileFailurePersistence::WithSource("proptest-regressions");
    ProptestConfig { failure_persistence: Some(Box::new(seeds)), ..ProptestConfig::default() }
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..200)
}

/// Names with everything in them that a key may have.
fn key() -> impl Strategy<Value = String> {
    vec("[a-z]{1,5}|[ %+?#&=\"é日a-z]{1,5}[a-z]|data|checksum|stop", 1..4)
        .prop_map(|segments| segments.join("/"))
        .prop_filter("it is a key's name", |name| Key::parse(name).is_ok())
}

fn entry(key: String, value: &[u8], index: u64) -> Entry {
    Entry { key, create_index: 1, modify_index: index, flags: 0, value: value.to_vec() }
}

/// What a copy stores of this value, which is in Consul with the checksum of `document`; nothing if they do not match.
fn copied(document: &Verified, value: Vec<u8>, flags: u64) -> Option<EncodedDocument> {
    let data = Entry { flags, ..entry("data".into(), &value, 1) };
    let checksum = entry("checksum".into(), document.checksum().to_string().as_bytes(), 2);
    match (Pair { data: Some(data), checksum: Some(checksum) }).verify() {
        PairState::Verified(pair) => Some(EncodedDocument::of_pair(pair)),
        PairState::Absent | PairState::Torn(_) => None,
    }
}

fn json(entries: &[Entry]) -> String {
    let objects: Vec<String> = entries.iter().map(object).collect();
    format!("[{}]\n", objects.join(","))
}

/// As Consul writes it.
fn object(entry: &Entry) -> String {
    let key = serde_json::to_string(&entry.key).unwrap();
    let value =
        if entry.value.is_empty() { "null".into() } else { format!("\"{}\"", BASE64_STANDARD.encode(&entry.value)) };
    format!(
        r#"{{"Key":{key},"CreateIndex":1,"ModifyIndex":{},"LockIndex":0,"Flags":{},"Value":{value},"Session":""}}"#,
        entry.modify_index, entry.flags
    )
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_checksum_survives_being_written_and_read(bytes in bytes()) {
        let checksum = Checksum::of(&bytes);
        let hex = checksum.to_string();
        prop_assert_eq!(hex.len(), 64);
        prop_assert_eq!(Checksum::parse(hex.as_bytes()), Some(checksum));
        prop_assert_eq!(Checksum::parse(format!(" {}\n", hex.to_uppercase()).as_bytes()), Some(checksum));
        prop_assert_eq!(Checksum::parse(&hex.as_bytes()[1..]), None);
        prop_assert_eq!(Checksum::parse(hex.replace(&hex[..1], "g").as_bytes()), None);
    }

    #[test]
    fn reading_a_checksum_never_panics(text in bytes()) {
        let _ = Checksum::parse(&text);
    }

    #[test]
    fn only_the_bytes_with_the_checksum_verify(stored in bytes(), other in bytes(), flags in 0..3u64) {
        let checksum = Checksum::of(&stored);
        let (verified, encoded) = Verified::decode(stored.clone(), flags, checksum).unwrap();
        prop_assert_eq!(encoded, None);
        prop_assert_eq!((verified.bytes(), verified.checksum()), (stored.as_slice(), checksum));
        // (A byte may well be brotli, of nothing at all.)
        if other != stored && !stored.is_empty() {
            prop_assert_eq!(Verified::decode(other.clone(), flags, checksum).unwrap_err(), other);
        }
    }

    #[test]
    fn gzip_in_base64_is_decoded_whatever_the_flags(document in bytes(), flags in 0..3u64) {
        use std::io::Write;
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(&document).unwrap();
        let stored = BASE64_STANDARD.encode(gzip.finish().unwrap());
        let (verified, encoded) = Verified::decode(stored.clone().into_bytes(), flags, Checksum::of(&document)).unwrap();
        prop_assert_eq!(verified.bytes(), document.as_slice());
        prop_assert_eq!(encoded, Some(stored.into_bytes()));
    }

    #[test]
    fn lines_are_newlines_or_one(text in "[a\n]{0,40}") {
        let newlines = text.matches('\n').count() as u64;
        let expected = if newlines == 0 && !text.is_empty() { 1 } else { newlines };
        prop_assert_eq!(Size::of(text.as_bytes()).lines(), expected);
    }

    #[test]
    fn a_size_is_the_same_in_whatever_pieces_it_is_taken(document in bytes(), at in 0..300usize) {
        let (first, second) = document.split_at(at.min(document.len()));
        let mut size = Size::of(first);
        size.add(second);
        prop_assert_eq!(size, Size::of(&document));
        prop_assert_eq!(size.bytes(), document.len() as u64);
    }

    #[test]
    fn a_document_may_shrink_by_so_much_and_no_more(before in 0..400usize, now in 0..400usize, most in 0..=100u8) {
        let guards = Guards { min_lines: 0, max_size: 1000, max_shrink: Percent::new(most) };
        // One byte a line, so that lines and bytes agree.
        let (old, new) = (Size::of("\n".repeat(before).as_bytes()), Verified::ours("\n".repeat(now).into_bytes()));
        let allowed = now * 100 >= before * (100 - usize::from(most));
        prop_assert_eq!(guards.check_shrinkage(&new, old).is_ok(), allowed);
        let forced = Guards { max_shrink: None, ..guards };
        prop_assert!(forced.check_shrinkage(&new, old).is_ok());
    }

    #[test]
    fn a_path_splits_into_the_key_and_part_it_was_made_of(name in key(), prefix in "[a-z]{1,5}(/[a-z]{1,5}){0,2}") {
        let prefix = Prefix::parse(&format!("/{prefix}/")).unwrap();
        let key = Key::parse(&name).unwrap();
        let folder = KeyPaths::of(&prefix, &key);
        for (path, part) in [(folder.data, Part::Data), (folder.checksum, Part::Checksum), (folder.stop, Part::Stop)] {
            prop_assert_eq!(prefix.split(&path), Some((key.clone(), part)));
            // Another path is another key's, or nobody's.
            for other in [format!("/{path}"), format!("x{path}"), format!("{path}/"), path.replacen('/', "//", 1)] {
                prop_assert_eq!(prefix.split(&other), None);
            }
        }
    }

    /// A key is found by exactly one path, and by whoever decodes that, too.
    #[test]
    fn what_is_a_name_is_one_as_it_is_stored_and_as_it_is_decoded(name in "[a-c%0-9A-F/. \u{a0}\u{200b}\r]{1,12}") {
        let prefix = Prefix::default();
        if let Ok(key) = Key::parse(&name) {
            let folder = KeyPaths::of(&prefix, &key);
            prop_assert_eq!(prefix.split(&folder.stop), Some((key.clone(), Part::Stop)));
            prop_assert_eq!(prefix.split(&format!("kvexpress/{name}/stop")).is_some(), name == key.to_string());
            let decoded = percent_encoding::percent_decode_str(&name).decode_utf8_lossy().into_owned();
            prop_assert!(Key::parse(&decoded).is_ok(), "{:?}", decoded);
            prop_assert!(!decoded.split('/').any(|segment| matches!(segment, "." | "..") || segment.trim() != segment));
            let odd = decoded.contains(['\r', '\u{a0}', '\u{200b}']);
            prop_assert!(!odd, "{:?}", decoded);
        }
    }

    #[test]
    fn the_payload_of_a_keyprefix_watch_gives_the_pair(name in key(), document in bytes(), inner in key(), noise in bytes()) {
        let prefix = Prefix::default();
        let key = Key::parse(&name).unwrap();
        let folder = KeyPaths::of(&prefix, &key);
        let below = KeyPaths::of(&prefix, &Key::parse(&format!("{name}/{inner}")).unwrap());
        let text = json(&[
            entry(folder.checksum.clone(), Checksum::of(&document).to_string().as_bytes(), 7),
            entry(folder.data.clone(), &document, 7),
            entry(below.data, &noise, 9),
            entry(below.checksum, &noise, 9),
        ]);
        if key.is_nested() {
            // It may be a watch on the outer key's folder, with nothing else in it.
            prop_assert!(payload::read(text.as_bytes(), None, &prefix).is_err());
        }
        for wanted in [None, Some(&key)].into_iter().skip(usize::from(key.is_nested())) {
            let (named, fire) = payload::read(text.as_bytes(), wanted, &prefix).unwrap();
            prop_assert_eq!(named.as_ref(), Some(&key));
            prop_assert_eq!(fire.names(), Some((Checksum::of(&document), 7)));
            let Trigger::Prefix(folder) = fire else { panic!("{fire:?}") };
            let Folder { pair, stop: None, .. } = *folder else { panic!("{folder:?}") };
            let PairState::Verified(whole) = pair.verify() else { panic!("torn") };
            prop_assert_eq!((whole.document.bytes(), whole.index), (document.as_slice(), 7));
        }
    }

    #[test]
    fn the_payload_of_a_key_watch_names_the_checksum(name in key(), document in bytes(), index in 1..u64::MAX) {
        let prefix = Prefix::default();
        let key = Key::parse(&name).unwrap();
        let folder = KeyPaths::of(&prefix, &key);
        let checksum = Checksum::of(&document);
        for entry in [entry(folder.checksum, checksum.to_string().as_bytes(), index), entry(folder.data, &document, index)] {
            let (named, fire) = payload::read(object(&entry).as_bytes(), None, &prefix).unwrap();
            prop_assert_eq!(named, Some(key.clone()));
            prop_assert_eq!(fire.names(), Some((checksum, index)));
        }
    }

    #[test]
    fn no_stdin_makes_it_panic_and_with_a_key_none_is_refused(text in prop_oneof![
        bytes(),
        "[\\[\\]{}\":,a-zKeyModifyIndexValue0-9 ]{0,60}".prop_map(String::into_bytes),
    ]) {
        let prefix = Prefix::default();
        let _ = payload::read(&text, None, &prefix);
        prop_assert!(payload::read(&text, Some(&Key::parse("hosts").unwrap()), &prefix).is_ok());
    }

    #[test]
    fn a_pair_is_whole_only_if_both_halves_belong_together(
        data in proptest::option::of(bytes()), document in bytes(), checksum in proptest::option::of(any::<bool>()),
    ) {
        let pair = Pair {
            data: data.as_ref().map(|data| entry("d".into(), data, 3)),
            checksum: checksum.map(|right| {
                let of = if right { data.clone().unwrap_or_default() } else { document.clone() };
                entry("c".into(), Checksum::of(&of).to_string().as_bytes(), 4)
            }),
        };
        let belong = checksum == Some(true) || data.as_ref() == Some(&document);
        match pair.verify() {
            PairState::Absent => prop_assert!(data.is_none() && checksum.is_none()),
            PairState::Torn(_) => prop_assert!(data.is_none() || checksum.is_none() || !belong),
            PairState::Verified(whole) => {
                prop_assert!(belong);
                prop_assert_eq!(Some(whole.document.bytes()), data.as_deref());
            }
        }
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn sorting_keeps_every_line_that_is_not_empty_and_nothing_else(document in "[ab\\n\\r ]{0,30}") {
        let sorted = String::from_utf8(sorted(document.as_bytes())).unwrap();
        let mut expected: Vec<&str> = document.split('\n').filter(|line| !line.is_empty()).collect();
        let lines: Vec<&str> = if sorted.is_empty() { Vec::new() } else { sorted.split('\n').collect() };
        prop_assert!(lines.is_sorted());
        expected.sort_unstable();
        prop_assert_eq!(lines, expected);
    }

    #[test]
    fn sorting_is_the_same_in_whatever_order_the_lines_come_and_however_often(mut lines in vec("[^\n]{0,5}", 0..9), at in any::<usize>()) {
        let once = sorted(lines.join("\n").as_bytes());
        prop_assert_eq!(&sorted(&once), &once);
        let middle = if lines.is_empty() { 0 } else { at % lines.len() };
        lines.rotate_left(middle);
        lines.push(String::new());
        prop_assert_eq!(sorted(lines.join("\n").as_bytes()), once);
    }

    #[test]
    fn what_is_stored_decodes_to_the_document(document in bytes(), repeated in 0..200usize, compress in any::<bool>()) {
        let document = Verified::ours(document.repeat(repeated));
        let form = if compress { Encoding::Compressed } else { Encoding::Plain };
        let stored = EncodedDocument::new(document.clone(), form).unwrap();
        let (value, flags) = (stored.value().bytes.to_vec(), stored.value().flags);
        prop_assert_eq!((stored.document(), flags), (&document, u64::from(compress)));
        prop_assert_eq!(stored.encoded(), compress.then_some(value.as_slice()));
        let encoded = compress.then(|| value.clone());
        prop_assert_eq!(Verified::decode(value.clone(), flags, document.checksum()), Ok((document.clone(), encoded)));
        // A value that is in Consul is copied without a change.
        prop_assert_eq!(copied(&document, value, flags), Some(stored));
    }

    #[test]
    fn what_is_found_is_stored_elsewhere_to_the_letter_or_not_at_all(document in bytes(), other in bytes(), flags in 0..3u64) {
        let document = Verified::ours(document);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        std::io::Write::write_all(&mut gzip, document.bytes()).unwrap();
        let old = BASE64_STANDARD.encode(gzip.finish().unwrap()).into_bytes();
        for value in [document.bytes().to_vec(), old] {
            let stored = copied(&document, value.clone(), flags).unwrap();
            prop_assert_eq!((stored.value().bytes, stored.value().flags), (value.as_slice(), flags));
        }
        if other != document.bytes() && !document.bytes().is_empty() {
            prop_assert_eq!(copied(&document, other, flags), None);
        }
    }

    #[test]
    fn no_url_makes_it_panic_or_shows_its_secrets(text in "https?://([a-z:%@]{0,8}@)?[a-z.:\\[\\]0-9]{0,8}[/a-z.?#: %é]{0,12}", location in "[/a-z.?#:@é\\[ ]{0,20}") {
        let Ok(url) = Url::parse(&text) else { return Ok(()) };
        for url in [Ok(url.clone()), url.redirected(&location)].into_iter().flatten() {
            let shown = url.to_string();
            let server = shown.split('/').nth(2).unwrap();
            prop_assert!(!shown.contains(['?', '#']) && !server.contains('@'), "{}", shown);
            prop_assert_eq!(&shown, &format!("{url:?}"));
            prop_assert_eq!(Url::parse(&shown).map(|url| url.to_string()), Ok(shown));
        }
    }

    #[test]
    fn a_redirect_never_leads_from_https_to_http(location in "(http|https|HTTP|ftp)?:?/{0,2}[a-z@:]{0,9}(/[a-z.]{0,3}){0,3}") {
        let from = Url::parse("https://anna:secret@host/a/b").unwrap();
        if let Ok(to) = from.redirected(&location) {
            prop_assert!(to.is_https(), "{to}");
        }
    }
}

/// RFC 3986, 5.4, as far as http goes.
#[test]
fn a_redirect_leads_where_it_should() {
    let from = Url::parse("http://a/b/c/d?q").unwrap();
    let cases = [
        ("g", "http://a/b/c/g"),
        ("./g", "http://a/b/c/g"),
        ("g/", "http://a/b/c/g/"),
        ("/g", "http://a/g"),
        ("//g", "http://g/"),
        ("//g:81/x", "http://g:81/x"),
        ("?y", "http://a/b/c/d"),
        ("g?y#s", "http://a/b/c/g"),
        ("#s", "http://a/b/c/d"),
        ("", "http://a/b/c/d"),
        (".", "http://a/b/c/"),
        ("./", "http://a/b/c/"),
        ("..", "http://a/b/"),
        ("../g", "http://a/b/g"),
        ("../..", "http://a/"),
        ("../../../g", "http://a/g"),
        ("/./g", "http://a/g"),
        ("/../g", "http://a/g"),
        ("g.", "http://a/b/c/g."),
        ("..g", "http://a/b/c/..g"),
        ("./g/.", "http://a/b/c/g/"),
        ("g/../h", "http://a/b/c/h"),
        ("g?y/../x", "http://a/b/c/g"),
        ("https://g/h?y", "https://g/h"),
        ("HTTPS://g/h", "https://g/h"),
    ];
    for (location, to) in cases {
        assert_eq!(from.redirected(location).map(|url| url.to_string()), Ok(to.to_owned()), "{location}");
    }
    for nowhere in ["ftp://g/", "mailto:x", "http:g", "http://", "//", "/a b", "http://[/"] {
        assert!(from.redirected(nowhere).is_err(), "{nowhere}");
    }
}

#[test]
fn the_key_of_a_lock_is_kvexpresss() {
    // `printf /etc/hosts | sha256sum`, then the hostname.
    let lock = Prefix::default().lock(std::path::Path::new("/etc/hosts"), "node-1");
    let hash = "4a666ea3a3b04a24f574974df10592d51bd191614ee41b02d09f6d13c0c2f52a";
    assert_eq!(lock, format!("kvexpress/locks/{hash}/node-1"));
}
