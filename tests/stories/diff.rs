//! `kvx diff`: the difference between a key and a file, in the format of diff.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::run::path;
use crate::common::{NO_AGENT, Place, golden, lines, sha256};

/// What diff(1) prints, without its header.
fn diff_u(old: &Path, new: &Path) -> String {
    let output = Command::new("diff").arg("-u").args([old, new]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().skip(2).map(|line| format!("{line}\n")).collect()
}

#[test]
fn a_difference_is_what_diff_prints_and_its_status() {
    let place = Place::new();
    let old = place.write("old", lines(40));
    place.upload(lines(40));
    let changed = lines(40).replace("\n7\n", "\nseven\n").replace("\n30\n", "\n") + "no newline";
    for new in [changed, lines(3), "x\n".into()] {
        let new = place.write("new", new);
        let diff = |file: &str| place.kvx("diff").args(["-k", &place.key, file]);
        let ran = diff(new.to_str().unwrap()).run().expect(1).is_silent();
        let header = format!("--- {} (in Consul)\n+++ {}\n", place.kv("data"), new.display());
        assert_eq!(ran.out(), header + &diff_u(&old, &new));
        let piped = diff("-").stdin(fs::read(&new).unwrap()).run().expect(1).is_silent();
        assert_eq!(piped.out().lines().skip(2).collect::<Vec<_>>(), ran.out().lines().skip(2).collect::<Vec<_>>());
    }
    let same = place.kvx("diff").args(["-k", &place.key]).arg(&old).run().expect(0).is_silent();
    assert_eq!(same.out(), "");
    // As it is decoded, whoever stored it.
    place.consul.put_flags(&place.kv("data"), golden::brotli(), 1);
    place.consul.put(&place.kv("checksum"), sha256(golden::DOCUMENT));
    place.kvx("diff").args(["-k", &place.key, "-"]).stdin(golden::DOCUMENT).run().expect(0).is_silent();
}

#[test]
fn what_cannot_be_compared_is_said() {
    let place = Place::new();
    let diff = |file: &str| place.kvx("diff").args(["-k", &place.key, file]);
    let nothing = diff("/dev/null").run().expect(66);
    assert_eq!(nothing.out(), "");
    nothing.says(&["kvx diff: ", &place.kv("data"), "check -k and -p"]);
    place.consul.put(&place.kv("data"), "half\n");
    diff("/dev/null").run().expect(75).says(&[&place.kv("data"), "torn", "kvx-in"]);
    place.upload(lines(20));
    diff("/nowhere/hosts").run().expect(74).says(&["/nowhere/hosts"]);
    diff(place.path().to_str().unwrap()).run().expect(74).says(&["directory"]);
    diff("/dev/null").args(["-s", NO_AGENT, "--timeout", "100ms"]).run().expect(69).says(&[NO_AGENT]);
    diff("/dev/null").args(["-p", "elsewhere"]).run().expect(66).says(&["elsewhere/"]);
    // A stop does not matter to who only looks.
    place.consul.put(&place.kv("stop"), "why");
    diff("-").stdin(lines(20)).run().expect(0).is_silent();
}

#[test]
fn a_difference_has_colours_on_a_terminal_alone() {
    let place = Place::new();
    place.upload("one\ntwo\n");
    let new = place.write("new", "one\n2\n");
    let command = format!("kvx diff -k {} {}", place.key, new.display());
    // script(1) runs a program at a terminal of its own.
    let at_a_terminal = |no_color: Option<&str>| {
        let mut script = Command::new("script");
        script.args(["-qefc", &command, "/dev/null"]).env("PATH", path()).env_remove("NO_COLOR");
        script.envs(no_color.map(|value| ("NO_COLOR", value)));
        let output = script.env("CONSUL_HTTP_ADDR", &place.consul.address).stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stdout).unwrap().replace("\r\n", "\n")
    };
    let plain = place.kvx("diff").args(["-k", &place.key]).arg(&new).run().expect(1).out().to_owned();
    let expected: Vec<String> = plain
        .lines()
        .map(|line| match (line, line.as_bytes()[0]) {
            (_, b' ') => line.into(),
            (header, _) if header.starts_with("---") || header.starts_with("+++") => format!("\x1b[1m{header}\x1b[m"),
            (_, b'@') => format!("\x1b[36m{line}\x1b[m"),
            (_, b'-') => format!("\x1b[31m{line}\x1b[m"),
            _ => format!("\x1b[32m{line}\x1b[m"),
        })
        .collect();
    assert_eq!(at_a_terminal(None), expected.join("\n") + "\n");
    assert_eq!(at_a_terminal(Some("1")), plain);
    assert!(plain.contains("-two\n+2\n"));
}
