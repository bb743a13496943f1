//! Promise 5: bad input is one clear line and a distinct exit status. The command line: help, spellings, contradictions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
#![allow(clippy::arithmetic_side_effects, clippy::string_slice)]

mod common;

use common::{Place, Ran, Run, lines};

/// Nobody is there: what is refused before anything is sent does not notice.
const NOBODY: &str = "127.0.0.1:1";

fn run(program: &str, arguments: &[&str]) -> Ran {
    Run::new(program, NOBODY).args(arguments).run()
}

#[test]
fn the_whole_help_is_this() {
    for (program, whole) in [("kvx-in", include_str!("help/kvx-in.txt")), ("kvx-out", include_str!("help/kvx-out.txt"))]
    {
        for help in ["--help", "-h"] {
            let ran = run(program, &[help]).expect(0).is_silent();
            assert_eq!(ran.out(), whole, "tests/help/{program}.txt is not what {program} {help} prints");
        }
        assert!(
            whole.lines().all(|line| line.starts_with("Usage:") || line.chars().count() <= 80),
            "{program}: too wide"
        );
    }
}

#[test]
fn the_version_is_the_packages() {
    for program in ["kvx-in", "kvx-out"] {
        let ran = run(program, &["--version"]).expect(0).is_silent();
        assert_eq!(ran.out(), format!("{program} {}\n", env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn a_reader_of_the_help_may_leave() {
    let path = common::run::path();
    for program in ["kvx-in", "kvx-out"] {
        let script = format!("{program} --help | true; {program} --help >&-; echo done");
        let output = std::process::Command::new("sh").args(["-c", &script]).env("PATH", &path).output().unwrap();
        assert_eq!(
            (output.stdout.as_slice(), output.stderr.as_slice()),
            (b"done\n".as_slice(), b"".as_slice()),
            "{program}"
        );
    }
}

#[test]
fn a_closed_stderr_is_no_failure() {
    let place = Place::new();
    place.upload(lines(20));
    let run = |command: String| {
        let mut sh = std::process::Command::new("sh");
        sh.args(["-c", &command]).env("PATH", common::run::path()).env("CONSUL_HTTP_ADDR", &place.consul.address);
        sh.status().unwrap().code()
    };
    let out = format!(
        "kvx-out --state-dir {} -f {} -k {}",
        place.path().join("state").display(),
        place.file().display(),
        place.key
    );
    assert_eq!(run(format!("{out} -e 'echo to nobody' 2>&- >&- <&-")), Some(0));
    // What a closed descriptor's number is given to next must not be what a message goes to.
    assert_eq!(place.content(), lines(20));
    assert_eq!(run(format!("{out} -l 99 2>&-")), Some(65));
    assert_eq!(run(format!("seq 30 | kvx-in -k {} 2>&-", place.key)), Some(0));
    place.assert_pair_is_whole();
}

#[test]
fn options_are_spelt_as_people_type_them() {
    let place = Place::new();
    place.upload(lines(20));
    let key = &place.key;
    let short_attached = format!("-k{key}");
    let short_equals = format!("-k={key}");
    let long_equals = format!("--key={key}");
    let cluster = format!("-vk{key}");
    let spellings: [&[&str]; 9] = [
        &["-v", "-k", key],
        &["-v", &short_attached],
        &["-v", &short_equals],
        &["-v", "--key", key],
        &["-v", &long_equals],
        &[&cluster],
        &["-vl5", "-k", key],
        &["-vl", "5", "--key", key],
        &["--verbose", "--min-lines=5", "--prefix=kvexpress", "--timeout=30s", &long_equals],
    ];
    for spelling in spellings {
        let ran = Run::new("kvx-in", &place.consul.address).args(spelling).stdin(lines(20)).run().expect(0);
        ran.says(&[key, "20 lines", "unchanged"]);
    }
}

#[test]
fn what_makes_no_sense_is_64_and_says_so() {
    let cases: [(&str, &[&str], &[&str]); 41] = [
        ("kvx-in", &[], &["not provided", "--key"]),
        ("kvx-in", &["-k"], &["-k"]),
        ("kvx-in", &["-k", ""], &["-k", "empty"]),
        ("kvx-in", &["-k", "/"], &["-k", "empty"]),
        ("kvx-in", &["-k", "a//b"], &["-k", "empty segment"]),
        ("kvx-in", &["-k", "../x"], &["-k", "`..`"]),
        ("kvx-in", &["-k", "a\nb"], &["-k", "control"]),
        ("kvx-in", &["-k", "locks"], &["-k", "folder of the locks"]),
        ("kvx-in", &["-k", "locks/x"], &["-k", "folder of the locks"]),
        ("kvx-in", &["-p", "", "-k", "x"], &["-p", "empty"]),
        ("kvx-in", &["-k", "x", "-k", "y"], &["-k", "duplicate"]),
        ("kvx-in", &["-k", "x", "stray"], &["stray"]),
        ("kvx-in", &["-k", "x", "--nonsense"], &["--nonsense"]),
        ("kvx-in", &["-k", "x", "--nonsense=1"], &["--nonsense"]),
        ("kvx-in", &["-k", "x", "--verbose=1"], &["--verbose", "no value"]),
        ("kvx-in", &["-k", "x", "-Z"], &["-Z"]),
        ("kvx-in", &["-k", "x", "-l", "ten"], &["-l", "ten"]),
        ("kvx-in", &["-k", "x", "-l", "-1"], &["-l", "-1"]),
        ("kvx-in", &["-k", "x", "--max-size", "lots"], &["--max-size", "512K"]),
        ("kvx-in", &["-k", "x", "--max-size", "0"], &["--max-size", "512K"]),
        ("kvx-in", &["-k", "x", "--max-size", "99999999999999999999G"], &["--max-size"]),
        ("kvx-in", &["-k", "x", "--timeout", "30"], &["--timeout", "30s"]),
        ("kvx-in", &["-k", "x", "--timeout", "0s"], &["--timeout", "too short"]),
        ("kvx-in", &["-k", "x", "--timeout", "400days"], &["--timeout", "too long"]),
        ("kvx-in", &["-k", "x", "--expect", "3f9a"], &["--expect", "64 hex digits"]),
        ("kvx-in", &["-k", "x", "-f", "a", "--", "b"], &["-f", "--", "not both"]),
        ("kvx-in", &["-k", "x", "--"], &["--", "command is missing"]),
        ("kvx-out", &["-k", "x", "-f", "y", "--"], &["--", "command is missing"]),
        ("kvx-out", &["-k", "x", "-f", "-", "-c", "644"], &["-f -", "-c"]),
        ("kvx-out", &["-k", "x", "-f", "-", "-o", "root"], &["-f -", "-o"]),
        ("kvx-out", &["-k", "x", "-f", "-", "--state-dir", "/"], &["-f -", "--state-dir"]),
        ("kvx-out", &["-k", "x"], &["not provided", "--file"]),
        ("kvx-out", &["-k", "x", "-f", "y", "-c", "648"], &["-c", "octal"]),
        ("kvx-out", &["-k", "x", "-f", "y", "-c", "u+x"], &["-c", "octal"]),
        ("kvx-out", &["-k", "x", "-f", "y", "-c", "77777"], &["-c", "octal"]),
        ("kvx-out", &["-k", "x", "-f", "y", "-o", ":"], &["-o", "user:group"]),
        ("kvx-out", &["-k", "x", "-f", "y", "-e", "a", "--", "b"], &["-e", "--", "not both"]),
        ("kvx-out", &["-k", "x", "-f", "y", "-e", "'open"], &["-e", "quote"]),
        ("kvx-out", &["-k", "x", "-f", "y", "-e", "a && b"], &["-e", "shell", "sh -c"]),
        ("kvx-out", &["-k", "x", "-f", "y", "--check", "a {} > b"], &["--check", "shell", "sh -c"]),
        ("kvx-out", &["-k", "x", "-f", "y", "-e", " "], &["-e", "no program"]),
    ];
    for (program, arguments, says) in cases {
        let ran = run(program, arguments).expect(64);
        ran.says(&[program, "; see ", program, "--help"]).says(says);
    }
}

#[test]
fn arguments_that_are_not_utf_8_are_refused_but_for_a_commands() {
    use std::os::unix::ffi::OsStrExt;
    let odd = std::ffi::OsStr::from_bytes(b"odd-\xff");
    Run::new("kvx-in", NOBODY).args(["-k", "x", "-f"]).arg(odd).run().expect(64).says(&["odd-", "not UTF-8"]);
    let place = Place::new();
    let command = place.kvx_in().args(["-l", "1", "--", "printf", "%s"]).arg(odd).run().expect(0);
    command.says(&["1 line,", "uploaded"]);
    assert_eq!(place.consul.get(&place.kv("data")).as_deref(), Some(odd.as_bytes()));
}

/// script(1) runs a program at a terminal of its own.
#[test]
fn at_a_terminal_it_says_that_it_reads_and_how_to_end() {
    let place = Place::new();
    let command = format!("kvx-in -k {} -l 2", place.key);
    let mut script = std::process::Command::new("script");
    script.args(["-qefc", &command, "/dev/null"]).env("PATH", common::run::path());
    script.env("CONSUL_HTTP_ADDR", &place.consul.address).stdin(std::process::Stdio::piped());
    let mut child = script.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut said = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut said, &mut line).unwrap();
    assert!(line.starts_with("reading the document from the terminal; end it with Ctrl-D"), "{line}");
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), b"one\ntwo\n\x04").unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(place.consul.text(&place.kv("data")).as_deref(), Some("one\ntwo\n"));
}
