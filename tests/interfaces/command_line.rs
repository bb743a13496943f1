//! Promise 5: bad input is one clear line and a distinct exit status. The command line: help, spellings,
//! contradictions.

use crate::common::{self, NO_AGENT, Place, Ran, Run, lines};

fn run(program: &str, arguments: &[&str]) -> Ran {
    Run::new(program, NO_AGENT).args(arguments).run()
}

/// Every command line, and all that its help says.
const COMMANDS: [(&str, &str); 20] = [
    ("kvx", include_str!("../help/kvx.txt")),
    ("kvx clean", include_str!("../help/kvx-clean.txt")),
    ("kvx copy", include_str!("../help/kvx-copy.txt")),
    ("kvx diff", include_str!("../help/kvx-diff.txt")),
    ("kvx history", include_str!("../help/kvx-history.txt")),
    ("kvx hold", include_str!("../help/kvx-hold.txt")),
    ("kvx in", include_str!("../help/kvx-in.txt")),
    ("kvx list", include_str!("../help/kvx-list.txt")),
    ("kvx lock", include_str!("../help/kvx-lock.txt")),
    ("kvx out", include_str!("../help/kvx-out.txt")),
    ("kvx raw", include_str!("../help/kvx-raw.txt")),
    ("kvx release", include_str!("../help/kvx-release.txt")),
    ("kvx resume", include_str!("../help/kvx-resume.txt")),
    ("kvx rollback", include_str!("../help/kvx-rollback.txt")),
    ("kvx show", include_str!("../help/kvx-show.txt")),
    ("kvx status", include_str!("../help/kvx-status.txt")),
    ("kvx stop", include_str!("../help/kvx-stop.txt")),
    ("kvx unlock", include_str!("../help/kvx-unlock.txt")),
    ("kvx-in", include_str!("../help/kvx-in.txt")),
    ("kvx-out", include_str!("../help/kvx-out.txt")),
];

/// `kvx stop` and more words.
fn run_command(command: &str, arguments: &[&str]) -> Ran {
    let mut words = command.split(' ');
    let program = words.next().unwrap();
    run(program, &words.chain(arguments.iter().copied()).collect::<Vec<_>>())
}

#[test]
fn the_whole_help_is_this() {
    for (command, whole) in COMMANDS {
        // `kvx in` is `kvx-in`, to the letter.
        let whole = match command {
            "kvx in" | "kvx out" => whole.replace(&command.replace(' ', "-"), command),
            _ => whole.to_owned(),
        };
        for help in ["--help", "-h"] {
            let ran = run_command(command, &[help]).expect(0).is_silent();
            let file = command.replace(' ', "-");
            assert_eq!(ran.out(), whole, "tests/help/{file}.txt is not what {command} {help} prints");
        }
        let narrow = |line: &str| line.starts_with("Usage:") || line.chars().count() <= 80;
        assert!(whole.lines().all(narrow), "{command}: too wide");
    }
    assert_eq!(run("kvx", &["help"]).expect(0).out(), COMMANDS[0].1);
}

#[test]
fn the_help_names_every_command_and_no_other() {
    let named = COMMANDS[0].1.lines().filter_map(|line| line.strip_prefix("  ")?.split_once(' ')).map(|(name, _)| name);
    let mut named: Vec<&str> = named.collect();
    named.sort_unstable();
    let known: Vec<&str> = COMMANDS.iter().filter_map(|(command, _)| command.strip_prefix("kvx ")).collect();
    assert_eq!(named, known);
}

#[test]
fn the_version_is_the_packages() {
    for (command, _) in COMMANDS {
        let ran = run_command(command, &["--version"]).expect(0).is_silent();
        assert_eq!(ran.out(), format!("{command} {}\n", env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn a_command_that_is_missing_or_unknown_is_64_and_the_help_is_named() {
    run("kvx", &[]).expect(64).says(&["kvx: ", "command is missing", "see kvx --help"]);
    for unknown in ["stpo", "", "-k", "--nonsense", "Stop"] {
        run("kvx", &[unknown, "-k", "x"]).expect(64).says(&["kvx: ", &format!("\"{unknown}\""), "see kvx --help"]);
    }
    use std::os::unix::ffi::OsStrExt;
    let odd = std::ffi::OsStr::from_bytes(b"\xff");
    Run::new("kvx", NO_AGENT).arg(odd).run().expect(64).says(&["no command", "see kvx --help"]);
}

#[test]
fn a_command_of_kvx_runs_none_behind_two_dashes() {
    let cases: [(&str, &[&str]); 11] = [
        ("kvx copy", &["--from", "x", "--to", "y"]),
        ("kvx stop", &["-k", "x", "-r", "y"]),
        ("kvx resume", &["-k", "x"]),
        ("kvx lock", &["-f", "/nowhere/x"]),
        ("kvx unlock", &["-f", "/nowhere/x"]),
        ("kvx status", &[]),
        ("kvx list", &[]),
        ("kvx history", &["-k", "x"]),
        ("kvx show", &["-k", "x"]),
        ("kvx diff", &["-k", "x", "/dev/null"]),
        ("kvx clean", &["-f", "/nowhere/x"]),
    ];
    for (command, arguments) in cases {
        let ran = run_command(command, &[arguments, &["--", "true"]].concat()).expect(64);
        ran.says(&[command, "--", &format!("see {command} --help")]);
    }
}

#[test]
fn a_reader_of_the_help_may_leave() {
    let path = common::run::path();
    for (program, _) in COMMANDS {
        let script = format!("{program} --help | true; {program} --help >&-; {program} --version >&-; echo done");
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
    assert_eq!(run(format!("kvx stop -k {} -r why 2>&- >&- <&-", place.key)), Some(0));
    assert!(place.consul.get(&place.kv("stop")).is_some());
    assert_eq!(run(format!("kvx status -k {} --state-dir {} 2>&- >&-", place.key, place.path().display())), Some(1));
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

/// 201 characters.
const LONG: &str = concat!(
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
    "0"
);

#[test]
fn what_makes_no_sense_is_64_and_says_so() {
    let cases: [(&str, &[&str], &[&str]); 94] = [
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
        ("kvx-in", &["-k", "x", "-f", "a", "--", "b"], &["-f", "--", "not several"]),
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
        ("kvx-out", &["-k", "x", "-f", "y", "-e", "a; b"], &["-e", "shell", "sh -c"]),
        ("kvx-out", &["-k", "x", "-f", "y", "-e", "a $HOME"], &["-e", "shell", "sh -c"]),
        ("kvx-out", &["-k", "x", "-f", "y", "--check", "a {} > b"], &["--check", "shell", "sh -c"]),
        ("kvx-out", &["-k", "x", "-f", "y", "-e", " "], &["-e", "no program"]),
        ("kvx-out", &["-k", "x", "-f", "y", "-e", "touch one\ntouch other"], &["-e", "newlines", "sh -c"]),
        ("kvx-out", &["-k", "x", "-f", "y", "-e", "A=b cmd"], &["-e", "assignment", "env NAME=value"]),
        ("kvx-out", &["-k", "x", "-f", "y", "-e", "~/x"], &["-e", "~", "full path"]),
        ("kvx-out", &["-k", "x", "-f", "y", "-e", "(x)"], &["-e", "only a shell", "sh -c"]),
        ("kvx-out", &["-k", "x", "-f", "y", "-e", "! x"], &["-e", "only a shell", "sh -c"]),
        ("kvx-out", &["-k", "x", "-f", "y", "-e", "cd /etc"], &["-e", "only a shell", "sh -c"]),
        ("kvx-out", &["-k", "x", "-f", "y", "-e", "{ x"], &["-e", "only a shell", "sh -c"]),
        ("kvx-out", &["-k", "x", "-f", "y", "-e", "[[ x"], &["-e", "only a shell", "sh -c"]),
        ("kvx-out", &["-k", "x", "-f", "y", "-e", ". /etc/x"], &["-e", "only a shell", "sh -c"]),
        ("kvx-out", &["-k", "x", "-f", "y", "-e", "./x"], &["-e", "relative path", "full path"]),
        ("kvx-out", &["-k", "x", "-f", "y", "--", "x/y"], &["behind --", "relative path", "full path"]),
        ("kvx-out", &["-k", "x", "-f", "y", "--", "A=b", "cmd"], &["behind --", "assignment", "env NAME=value"]),
        ("kvx-out", &["-k", "x", "-f", "y", "--", "exec", "x"], &["behind --", "only a shell", "sh -c"]),
        ("kvx-out", &["-k", "x", "-f", "y", "--check", "./x {}"], &["--check", "relative path", "full path"]),
        ("kvx-out", &["-k", "x", "-f", "y", "--check", "x {}\ny"], &["--check", "newlines", "sh -c"]),
        (
            "kvx-out",
            &["-k", "x", "-f", "y", "--check", "sh -c 'test -s {}'"],
            &["--check", "inside a script", "sh -c 'test -s \"$1\"' sh {}"],
        ),
        ("kvx-out", &["-k", "x", "-f", "y", "--check", "sh -c {}"], &["--check", "inside a script"]),
        ("kvx stop", &["-r", "why"], &["not provided", "--key"]),
        ("kvx stop", &["-k", "x"], &["not provided", "--reason"]),
        ("kvx stop", &["-k", "x", "-r", ""], &["-r", "say why"]),
        ("kvx stop", &["-k", "x", "-r", " \n\t "], &["-r", "say why"]),
        ("kvx stop", &["-k", "x", "-r", LONG], &["-r", "too long", "200"]),
        ("kvx stop", &["-k", "locks/x", "-r", "why"], &["-k", "folder of the locks"]),
        ("kvx resume", &[], &["not provided", "--key"]),
        ("kvx lock", &[], &["not provided", "--file"]),
        ("kvx lock", &["-f", ""], &["-f", "empty"]),
        ("kvx lock", &["-f", "-"], &["-f", "name a file"]),
        ("kvx lock", &["-f", "/x", "-r", " "], &["-r", "say why"]),
        ("kvx unlock", &["-f", "-"], &["-f", "name a file"]),
        ("kvx diff", &["-k", "x"], &["name a file", "--from"]),
        ("kvx diff", &["-k", "x", "--from", "3f9"], &["--from", "4 or more digits"]),
        ("kvx show", &["-k", "x", "--at", "yesterday"], &["--at", "4 or more digits"]),
        ("kvx show", &["-k", "x", "/y"], &["/y"]),
        ("kvx history", &[], &["not provided", "--key"]),
        ("kvx history", &["-k", "x", "--json", "--names"], &["exclude each other"]),
        ("kvx diff", &["/x"], &["not provided", "--key"]),
        ("kvx diff", &["-k", "x", "/y", "/z"], &["/z"]),
        ("kvx list", &["stray"], &["stray"]),
        ("kvx clean", &[], &["name a file with -f, or a key with -k"]),
        ("kvx hold", &["-k", "x"], &["not provided", "--reason"]),
        ("kvx hold", &["-k", "x", "-r", " "], &["-r", "say why"]),
        ("kvx release", &[], &["not provided", "--key"]),
        ("kvx rollback", &[], &["not provided", "--key"]),
        ("kvx rollback", &["-k", "x", "--to", "3f9"], &["--to", "4 or more digits"]),
        ("kvx-in", &["-k", "x", "--keep", "1"], &["--keep", "from 2 to 1000", "0 for no history"]),
        ("kvx copy", &["--from", "x", "--to", "y", "--keep", "-1"], &["--keep", "from 2 to 1000"]),
        ("kvx raw", &["-f", "/x"], &["-k is missing"]),
        ("kvx raw", &["-k", "", "-f", "/x"], &["-k", "empty"]),
        ("kvx-out", &["-k", "x", "--raw", "y", "-f", "/z"], &["-k or --raw", "not both"]),
        ("kvx-out", &["--raw", "", "-f", "/z"], &["--raw", "empty"]),
        ("kvx-out", &["--raw", "a/../b", "-f", "/z"], &["--raw", "`..`"]),
    ];
    for (program, arguments, says) in cases {
        let ran = run_command(program, arguments).expect(64);
        ran.says(&[program, "; see ", program, "--help"]).says(says);
    }
}

#[test]
fn arguments_that_are_not_utf_8_are_refused_but_for_a_commands() {
    use std::os::unix::ffi::OsStrExt;
    let odd = std::ffi::OsStr::from_bytes(b"odd-\xff");
    Run::new("kvx-in", NO_AGENT).args(["-k", "x", "-f"]).arg(odd).run().expect(64).says(&["odd-", "not UTF-8"]);
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

#[test]
fn help_of_a_command_is_its_help() {
    let said = |words: &[&str]| Run::new("kvx", "127.0.0.1:1").args(words).run().expect(0).out().to_owned();
    for command in ["stop", "in", "out", "raw", "status"] {
        assert_eq!(said(&["help", command]), said(&[command, "--help"]));
    }
    assert_eq!(said(&["help"]), said(&["--help"]));
    Run::new("kvx", "127.0.0.1:1").args(["help", "nonsense"]).run().expect(64);
}

/// Each library costs each run its loading. The floor, which kvx-out is measured against, must not have more to load.
#[test]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn the_programs_need_no_library_but_glibc() {
    let ours = ["kvx", "kvx-in", "kvx-out"].map(common::run::binary);
    let floor = ours[0].with_file_name("examples").join("floor");
    // `cargo test --test main` alone does not build it.
    for program in ours.into_iter().chain(floor.exists().then_some(floor)) {
        let ldd = Ran::from(std::process::Command::new("ldd").arg(&program).output().unwrap()).expect(0);
        for library in ldd.out().lines().filter_map(|line| line.split_whitespace().next()) {
            let is_glibc = ["linux-vdso.", "libc.so.", "libm.so.", "/lib"].iter().any(|name| library.starts_with(name));
            assert!(is_glibc, "{} needs {library}", program.display());
        }
    }
}
