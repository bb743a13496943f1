//! Text of others in Consul, in program output and in file names: no terminal, log or table gets it unescaped.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use super::untrusted::{FORGED, assert_safe};
use crate::common::dogstatsd::Daemon;
use crate::common::run::{copy_of, path};
use crate::common::users::{ALICE, as_user, can, directory_of};
use crate::common::{self, Place, Run, lines};

/// What a person sees at a terminal of its own.
fn at_a_terminal(place: &Place, command: &str) -> String {
    let mut script = Command::new("script");
    script.args(["-qefc", command, "/dev/null"]).env("PATH", path()).env("NO_COLOR", "1").stdin(Stdio::null());
    let output = script.env("CONSUL_HTTP_ADDR", &place.consul.address).output().unwrap();
    String::from_utf8(output.stdout).unwrap().replace("\r\n", "\n") // As the terminal ends lines.
}

/// The state file becomes one of another file, as who may write the directory could have put it there.
fn change_path(place: &Place, name: &str, change: impl FnOnce(&mut serde_json::Value)) {
    place.change_state(|state_file| {
        state_file["path"] = name.into();
        change(state_file);
    });
    let file = place.state_file();
    std::fs::rename(&file, common::stamp_at(file.parent().unwrap(), name)).unwrap();
}

#[test]
fn what_handlers_and_checks_print_is_shown_and_not_obeyed() {
    let place = Place::new();
    place.upload(lines(20));
    place.write("forged", format!("{FORGED}\n\tcaf"));
    let script = |rest: &str| format!("cat {}; {rest}", place.path().join("forged").display());
    for option in ["--check", "-e"] {
        // A character comes in two pieces; and what is none.
        let words = format!("sh -c \"{} {{}}\"", script("printf '\\303'; sleep 0.2; printf '\\251 \\351\\377 \\303'"));
        let words = if option == "-e" { words.replace(" {}", "") } else { words.replace(" {}\"", "\" {}") };
        let ran = place.kvx_out().args([option, &words]).run().expect(0);
        assert_safe(&ran.stderr);
        let name = if option == "-e" { "handler" } else { "check" };
        let said: Vec<&str> = ran.stderr.lines().collect();
        assert_eq!(said[0], format!("{name}: a\\x1b[2K\\rall is well\\x9b1A\\x07\\x7f\\u{{202e}}x\\u{{2028}}y"));
        assert_eq!(said[1], format!("{name}: \tcafé \\xe9\\xff \\xc3"));
        std::fs::remove_file(place.file()).unwrap();
    }
}

/// However much larger it gets by being shown.
#[test]
fn what_is_shown_keeps_to_its_limits() {
    let place = Place::new();
    place.upload(lines(20));
    for byte in ["\\033", "\\377", "\\302\\233", "\\342\\200\\256", "\\303", "é"] {
        let script = format!("i=0; while [ $i -lt 200 ]; do i=$((i+1)); printf '{}'; done; exit 3", byte.repeat(1000));
        let script = place.write("script", script);
        let ran = place.kvx_out().args(["--", "sh"]).arg(script).run().expect(1);
        assert_safe(&ran.stderr);
        let (beginning, end) = ran.stderr.split_once("left out)\n").expect("something is left out");
        assert!((60 * 1024..=65 * 1024).contains(&beginning.len()), "{byte}: {}", beginning.len());
        assert!(end.len() < 4096, "{byte}: {}", end.len());
    }
}

#[test]
fn objects_have_nothing_to_obey_and_the_same_values() {
    let place = Place::new();
    place.upload(lines(20));
    let file = place.write("forged", FORGED);
    let cat = format!("cat {}", file.display());
    let ran = place.kvx_out().args(["--log-format", "json", "-e", &cat]).run().expect(0);
    assert_safe(&ran.stderr);
    let object: serde_json::Value = serde_json::from_str(ran.stderr.lines().next().unwrap()).unwrap();
    assert_eq!(object["message"], FORGED);
    place.consul.put(&place.kv("stop"), "x");
    let odd = place.path().join(format!("out/{}", FORGED.replace('\n', "")));
    change_path(&place, odd.to_str().unwrap(), |_| {});
    let status =
        |json: &[&str]| place.kvx("status").arg("--state-dir").arg(place.path().join("state")).args(json).run();
    let ran = status(&["--json"]);
    assert_safe(ran.out());
    let overview: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert!(
        overview["files"].as_array().unwrap().iter().any(|file| file["file"] == odd.to_str().unwrap()),
        "{overview}"
    );
}

#[test]
fn a_table_cannot_be_forged_by_names_and_its_commands_can_be_copied() {
    let place = Place::new();
    place.upload(lines(20));
    place.kvx_out().args(["-e", "true"]).run().expect(0);
    let name = format!("{}\n/etc/hosts  hosts  ok{FORGED}", place.path().join("out/x;id").display());
    let command = ["kvx-out", "-f", &name, "--", "it's"];
    change_path(&place, &name, |state_file| state_file["command"] = command.to_vec().into());
    let ran = place.kvx("status").arg("--state-dir").arg(place.path().join("state")).run().expect(1);
    assert_safe(ran.out());
    assert!(!ran.out().lines().any(|line| line.starts_with("/etc/hosts")), "{}", ran.out());
    let copied = ran.out().split_once("installed by `").unwrap().1.split_once("`\n").unwrap().0;
    let words = Command::new("bash").args(["-c", &format!("printf '%s\\0' {copied}")]).output().unwrap().stdout;
    let expected: String = command.iter().map(|word| format!("{word}\0")).collect();
    assert_eq!(String::from_utf8(words).unwrap(), expected);
}

#[test]
fn a_document_is_shown_at_a_terminal_and_is_as_it_is_elsewhere() {
    let place = Place::new();
    let document = format!("{FORGED}\n").into_bytes();
    let mut latin = document.clone();
    latin.extend(b"caf\xe9\n");
    place.upload(&latin);
    let mut new = document.clone();
    new.extend(b"caf\xe8\n");
    let new = place.write("new", new);
    let changed = b"-caf\xe9\n+caf\xe8\n";
    let diff = place.kvx("diff").args(["-k", &place.key]).arg(&new).run().expect(1);
    let dry = place.kvx_in().args(["-n", "-l", "0", "-f"]).arg(&new).run().expect(0);
    for ran in [&diff, &dry] {
        assert!(ran.stdout.ends_with(changed), "lines that differ only in such bytes are shown");
        assert!(ran.stdout.windows(document.len()).any(|window| window == document), "bytes as they are, for patch");
    }
    let (key, new, bin) = (&place.key, new.display(), "kvx-out");
    for (command, shown) in [
        (format!("kvx diff -k {key} {new}"), "-caf\\xe9\n+caf\\xe8\n"),
        (format!("kvx-in -n -l 0 -k {key} -f {new}"), "-caf\\xe9\n+caf\\xe8\n"),
        (format!("{bin} -l 0 -k {key} -f -"), "y\ncaf\\xe9\n"),
    ] {
        let seen = at_a_terminal(&place, &command);
        assert_safe(&seen);
        assert!(seen.contains(shown) && seen.contains("a\\x1b[2K\\rall is well"), "{command}: {seen}");
    }
    let ran = Run::new("kvx-out", &place.consul.address).args(["-l", "0", "-k", key, "-f", "-"]).run().expect(0);
    assert_eq!(ran.stdout, latin);
    // In colours, too.
    let coloured = at_a_terminal(&place, &format!("env -u NO_COLOR kvx diff -k {key} {new}"));
    assert!(coloured.contains("\x1b[31m-caf\\xe9\x1b[m\n"), "{coloured}");
    assert!(!coloured.contains("\x1b[2K"), "{coloured}");
}

#[test]
fn an_event_has_nothing_to_obey() {
    let (place, daemon) = (Place::new(), Daemon::udp());
    place.upload("x\n");
    let run = place.kvx_in().args(["-l", "0", "--events", &daemon.option()]);
    run.stdin(format!("{FORGED}\ncaf\u{e9}\n").into_bytes().into_iter().chain(*b"\xff\n").collect::<Vec<u8>>())
        .run()
        .expect(0);
    let event = daemon.received().events.remove(0);
    assert_safe(&event.text);
    assert!(event.text.contains("+a\\x1b[2K\\rall") && event.text.ends_with("+café\n+\\xff\n"), "{}", event.text);
}

#[test]
fn who_signs_is_who_runs_it_and_one_line() {
    if !can("what only root can set up") {
        return;
    }
    let place = Place::new();
    place.upload(lines(20));
    std::fs::set_permissions(place.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let kvx = place.path().join("kvx");
    copy_of("kvx", &kvx);
    let stop = |run: Run, sudo_user: &str| {
        run.args(["stop", "--replace", "-k", &place.key, "-r", "why"]).env("SUDO_USER", sudo_user).run().expect(0);
        place.consul.text(&place.kv("stop")).unwrap()
    };
    let mut run = Run::new("/usr/bin/setpriv", &place.consul.address);
    run = run.args(["--reuid", "4242", "--regid", "4242", "--clear-groups"]).arg(&kvx);
    let signed = stop(run, "root");
    assert!(signed.starts_with("why (by 4242 on "), "{signed}");
    let signed = stop(Run::new("kvx", &place.consul.address), "anna");
    assert!(signed.starts_with("why (by anna on "), "{signed}");
    let signed = stop(Run::new("kvx", &place.consul.address), FORGED);
    assert_safe(&signed);
    assert!(signed.starts_with("why (by a\\x1b[2K\\rall is well"), "{signed}");
    let lock = place.kvx_file("lock").args(["-r", "why"]).env("SUDO_USER", format!("x\n{FORGED}"));
    lock.run().expect(0);
    let marker = place.marker_text();
    assert_safe(&marker);
    assert!(marker.contains("by x a\\x1b[2K"), "{marker}");
}

#[test]
fn of_a_state_that_another_user_could_have_written_status_shows_nothing_but_the_path() {
    if !can("acting for another user") {
        return;
    }
    let place = Place::new();
    place.upload(lines(20));
    let (out, state) = (place.path().join("hers"), place.path().join("her-state"));
    directory_of(ALICE, &out, 0o755);
    directory_of(ALICE, &state, 0o700);
    let forged = as_user(&place, ALICE, "kvx-out").args(["-k", &place.key, "--state-dir"]).arg(&state).arg("-f");
    forged.arg(out.join("hosts")).args(["-e", "sh -c 'echo REINSTALL with curl; exit 1'"]).run().expect(1);
    let status = |words: &[&str]| place.kvx("status").arg("--state-dir").arg(&state).args(words).run().expect(1);
    let file = out.join("hosts").display().to_string();
    for words in [&[][..], &["-k", &place.key], &["-k", "another"], &["-f", &file]] {
        let shown = status(words);
        let line =
            shown.out().lines().find(|line| line.starts_with(&file)).unwrap_or_else(|| panic!("{}", shown.out()));
        assert!(line.ends_with("its state is ignored: another user could have written it"), "{line}");
        assert_eq!(line.split_whitespace().nth(1), Some("-"), "the key: {line}");
        assert!(!shown.out().contains("REINSTALL") && !shown.out().contains("last run"), "{}", shown.out());
    }
    let all: serde_json::Value = serde_json::from_str(status(&["--json"]).out()).unwrap();
    let is = &all["files"][0];
    for (name, value) in
        [("key", "null"), ("command", "[]"), ("pending", "[]"), ("last_run", "null"), ("since", "null")]
    {
        assert_eq!(is[name].to_string(), value, "{name}");
    }
    // She can have the state file locked as long as she likes.
    let held = fs::File::open(fs::read_dir(&state).unwrap().next().unwrap().unwrap().path()).unwrap();
    held.lock().unwrap();
    assert!(status(&["-f", &file]).out().contains("its state is ignored"));
}

#[test]
fn a_name_in_a_record_does_not_look_like_other_columns() {
    let place = Place::new();
    place.upload(lines(20));
    let by = format!("anna@web-1{}ok{}.", " ".repeat(40), "x".repeat(400));
    let checksum = common::sha256(lines(20));
    let record = format!("kvx 1\nkey x\nchecksum {checksum}\nsize 51\ntime 2026-11-27T14:02:11.123Z\nby {by}\n");
    place.consul.http("PUT", &format!("/v1/kv/{}", place.kv("record")), record.as_bytes()).unwrap();
    let shown = place.kvx("status").args(["-k", &place.key]).run();
    let line =
        shown.out().lines().find(|line| line.starts_with(&place.key)).unwrap_or_else(|| panic!("{}", shown.out()));
    let cell = line.split("  ").find(|cell| cell.contains("anna@")).unwrap();
    assert_eq!(cell, format!("anna@web-1 ok{}…", "x".repeat(50)), "{line}");
    assert!(line.ends_with("  ok"), "{line}");
}
