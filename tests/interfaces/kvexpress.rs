//! Called kvexpress, kvx does what kvexpress's watches and scripts rely on. The golden values were written by kvexpress
//! 1.16 (one by 1.14), and are the same under Consul 1.8.7 and 1.20.6.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use crate::common::run::binary;
use crate::common::{self, Consul, NO_AGENT, Place, Ran, Run, lines, lock_of, sha256, wait_for, whole_lines};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use nix::unistd::{User, getgid, getuid};
use serde_json::{Value, json};

/// What was uploaded: `1 line` to `12 line`.
pub fn document() -> String {
    (1..=12).map(|line| format!("{line} line\n")).collect()
}

/// What was uploaded to be sorted, and what came of it.
const UNSORTED: &str = "c\n\nb\na\n\n";

const SORTED: &str = "a\nb\nc";

/// Of `in -z`, under Flags 1.
const BROTLI: &str = "G1YA+I2Ubt40mxyRBthdP0LQVim4NQMNVMLLKiCBg/xdzLiQSptBBQQ=";

/// Of `in -Sz`, under Flags 1.
const BROTLI_SORTED: &str = "CwKAYQpiCmMD";

/// Of `in -z` of version 1.14, under Flags 0, as it stands in Consul.
const GZIP_BASE64: &str = "H4sIAAAAAAAA/zJUyMnMS+UyglDGEMoEQplCKDMIZQ6hLCCUJYQyNIDSUHMMoQYBAAAA//8BAAD//1IUHlVXAAAA";

/// kvx by another name.
pub fn link(place: &Place) -> PathBuf {
    let link = place.path().join("kvexpress");
    if !link.is_symlink() {
        symlink(binary("kvx"), &link).unwrap();
    }
    link
}

/// Without an address; the environment's is nobody's.
pub fn bare(place: &Place) -> Run {
    Run::new(link(place).to_str().unwrap(), NO_AGENT).env("STATE_DIRECTORY", place.path().join("state"))
}

/// `kvexpress COMMAND -s ADDRESS ...`
pub fn kvexpress(place: &Place, command: &str) -> Run {
    bare(place).args([command, "-s", &place.consul.address])
}

/// Of this test's key and file.
pub fn out(place: &Place) -> Run {
    kvexpress(place, "out").args(["-k", &place.key]).arg("-f").arg(place.file())
}

/// Of this test's key.
pub fn upload(place: &Place, document: &str) -> Run {
    kvexpress(place, "in").args(["-k", &place.key]).arg("-f").arg(place.write("input", document))
}

#[test]
fn the_whole_help_is_this() {
    let place = Place::at(Arc::new(Consul::elsewhere(NO_AGENT)));
    let mut all = bare(&place).arg("-h").run().expect(0).is_silent().out().to_owned();
    for command in ["clean", "copy", "in", "lock", "out", "raw", "stop", "unlock"] {
        let help = bare(&place).args([command, "--help"]).run().expect(0).is_silent();
        assert_eq!(bare(&place).args(["help", command]).run().expect(0).out(), help.out());
        let own = help.out().split("\nFlags of every command").next().unwrap();
        all.push_str(&format!("\n{own}"));
    }
    assert_eq!(all, include_str!("../help/kvexpress.txt"), "tests/help/kvexpress.txt is not what kvexpress -h prints");
    assert!(all.lines().all(|line| line.chars().count() <= 80), "too wide");
    // Without arguments, too: scripts call it so to see whether it is installed.
    let nothing = bare(&place).run().expect(0).is_silent();
    assert_eq!(nothing.out(), bare(&place).arg("-h").run().expect(0).out());
    let version = bare(&place).arg("-v").run().expect(0).is_silent();
    assert_eq!(version.out(), format!("Version  : {} (kvx)\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn an_invalid_command_line_is_64_and_sends_no_request() {
    let place = Place::at(Arc::new(Consul::elsewhere(NO_AGENT)));
    for (line, why) in [
        ("-s 127.0.0.1:1", "a command is missing"),
        ("frobnicate", "\"frobnicate\" is not a command"),
        ("out --nosuch", "--nosuch is not a flag"),
        ("in", "-f or -u is missing"),
        ("in -f F", "-k is missing"),
        ("in -k k", "-f or -u is missing"),
        ("in -k k -f F -u http://h/", "give -f or -u, not both"),
        ("in -k locks/x -f F", "-k"),
        ("out -k k", "-f is missing"),
        ("out -f F", "-k is missing"),
        ("out -k k -f F -p ''", "-p: it is empty"),
        ("out -k k -f F -e ' '", "-e names no program"),
        ("raw -k k", "-f is missing"),
        ("raw -f F", "-k is missing"),
        ("stop -k k", "-r is missing"),
        ("stop -r why", "-k is missing"),
        ("lock", "-f is missing"),
        ("lock -f relative", "must be absolute"),
        ("unlock -f relative", "must be absolute"),
        ("clean", "-f is missing"),
        ("copy --keyfrom a", "--keyto is missing"),
        ("copy --keyto a", "--keyfrom is missing"),
        ("copy --keyfrom a --keyto a/", "the same key"),
    ] {
        let ran = bare(&place).args(shell_words::split(line).unwrap()).run().expect(64);
        ran.says(&["kvexpress: ", why, "; see kvexpress --help"]);
    }
    assert_eq!(place.names(), [""; 0]);
    assert!(!place.path().join("state").exists());
}

#[test]
fn in_writes_what_kvexpress_wrote() {
    let place = Place::new();
    for (flags, input, data, marked, document) in [
        (vec![], document(), BASE64_STANDARD.encode(document()), 0, document()),
        (vec!["-S", "-l", "2"], UNSORTED.into(), "YQpiCmM=".into(), 0, SORTED.into()),
        (vec!["--sorted", "true", "-l=0x2"], UNSORTED.into(), "YQpiCmM=".into(), 0, SORTED.into()),
        (vec!["-z"], document(), BROTLI.into(), 1, document()),
        (vec!["-z", "true"], document(), BROTLI.into(), 1, document()),
        (vec!["-Sz", "-l2"], UNSORTED.into(), BROTLI_SORTED.into(), 1, SORTED.into()),
    ] {
        place.consul.delete(&place.kv("data"));
        place.consul.delete(&place.kv("checksum"));
        upload(&place, &input).args(&flags).run().expect(0).says(&[&place.key, "uploaded"]);
        let entry = |part: &str| place.consul.entry(&place.kv(part)).unwrap();
        let (stored, checksum) = (entry("data"), entry("checksum"));
        assert_eq!(
            (stored["Value"].as_str(), stored["Flags"].as_u64()),
            (Some(data.as_str()), Some(marked)),
            "{flags:?}"
        );
        assert_eq!(checksum["Value"].as_str(), Some(BASE64_STANDARD.encode(sha256(&document)).as_str()), "{flags:?}");
        assert_eq!(checksum["Flags"].as_u64(), Some(0), "{flags:?}");
        // Compressed or not, it is the same document.
        upload(&place, &input).args(&flags).run().expect(0).is_silent();
    }
    let beside = std::fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(beside.into_iter().all(|name| !name.to_str().unwrap().starts_with("input.")), "no .compare, no .last");
}

/// kvexpress prints what it gets, and takes an error's page for a document. Consul itself is the web server here.
#[test]
fn in_takes_what_is_at_a_url_and_no_error() {
    let place = Place::new();
    place.consul.put(&format!("{}/page", place.key), document());
    let at = |page: &str| format!("http://{}/v1/kv/{}/{page}?raw", place.consul.address, place.key);
    let from = |page: &str| kvexpress(&place, "in").args(["-k", &place.key, "-u", &at(page), "-l", "1"]).run();
    from("none").expect(74).says(&["404"]);
    assert_eq!(place.consul.get(&place.kv("data")), None);
    let ran = from("page").expect(0).says(&["12 lines", "uploaded"]);
    assert_eq!((place.document().unwrap(), ran.out()), (document().into_bytes(), ""));
}

#[test]
fn out_installs_what_kvexpress_wrote() {
    let place = Place::new();
    let brotli = BASE64_STANDARD.decode(BROTLI).unwrap();
    let (plain, gzip) = (document().into_bytes(), GZIP_BASE64.as_bytes().to_vec());
    place.consul.put(&place.kv("checksum"), sha256(document()));
    for (what, data, marked) in [("plain", plain, 0), ("brotli", brotli, 1), ("1.14", gzip, 0)] {
        place.consul.put_flags(&place.kv("data"), &data, marked);
        for flags in [vec![], vec!["-z"], vec!["-z", "true"]] {
            drop(std::fs::remove_file(place.file()));
            out(&place).args(&flags).run().expect(0).says(&[&place.key, "12 lines", "installed"]);
            assert_eq!(place.content(), document(), "{what} {flags:?}");
            assert_eq!(place.names(), ["hosts"], "{what} {flags:?}");
        }
    }
}

/// Whatever the old file had, and though its directory is not there.
#[test]
fn a_file_has_the_mode_of_the_flag_and_this_users_owner() {
    let place = Place::new();
    place.upload(document());
    std::fs::remove_dir(place.path().join("out")).unwrap();
    let (user, group) = (getuid(), User::from_uid(getuid()).unwrap().map_or(getgid(), |user| user.gid));
    for (flags, mode) in [
        (vec![], 0o640),
        (vec!["-c", "00644"], 0o644),
        (vec!["-c", "420"], 0o644),
        (vec!["-c", "0600"], 0o600),
        (vec!["-c", "644"], 0o644),
        (vec!["-c", "04755"], 0o755),
        (vec![], 0o640),
    ] {
        if getuid().is_root() && place.file().exists() {
            std::os::unix::fs::chown(place.file(), Some(65534), Some(65534)).unwrap();
        }
        out(&place).args(&flags).run().expect(0);
        let has = std::fs::metadata(place.file()).unwrap();
        assert_eq!(place.mode(), mode, "{flags:?}");
        assert_eq!((has.uid(), has.gid()), (user.as_raw(), group.as_raw()), "{flags:?}");
    }
    if getuid().is_root()
        && let Some(nobody) = User::from_name("nobody").unwrap()
    {
        out(&place).args(["-o", "nobody"]).run().expect(0);
        let has = std::fs::metadata(place.file()).unwrap();
        assert_eq!((has.uid(), has.gid()), (nobody.uid.as_raw(), nobody.gid.as_raw()));
    }
    let before = std::fs::metadata(place.file()).unwrap().ctime_nsec();
    out(&place).args(["-o", "no-such-user", "-c", "0600"]).run().expect(78).says(&["-o", "\"no-such-user\""]);
    assert_eq!(std::fs::metadata(place.file()).unwrap().ctime_nsec(), before, "nothing is changed");
}

#[test]
fn a_guard_refuses_with_a_status() {
    let place = Place::new();
    upload(&place, &document()).args(["-l", "13"]).run().expect(65).says(&["12 lines", "13"]);
    for length in ["0", "-1", "1"] {
        upload(&place, "").args(["-l", length]).run().expect(65).says(&["empty"]);
    }
    assert_eq!(place.consul.get(&place.kv("data")), None);
    out(&place).run().expect(66);
    kvexpress(&place, "raw").args(["-k", &place.kv("data"), "-l", "0", "-f"]).arg(place.file()).run().expect(66);
    upload(&place, &document()).run().expect(0);
    out(&place).args(["-l", "0xd"]).run().expect(65).says(&["12 lines", "13"]);
    assert_eq!(place.names(), [""; 0]);
}

#[test]
fn a_stop_is_exactly_its_reason_and_is_respected_unless_ignored() {
    let place = Place::new();
    let reason = "Restarting all Consul nodes - want this to be locked for all nodes.";
    kvexpress(&place, "stop").args(["-k", &place.key, "-r", reason]).run().expect(0).says(&[&place.key, reason]);
    let stop = place.consul.entry(&place.kv("stop")).unwrap();
    assert_eq!(stop["Value"].as_str(), Some(BASE64_STANDARD.encode(reason).as_str()));
    assert_eq!(stop["Flags"].as_u64(), Some(0));
    upload(&place, &document()).run().expect(0).says(&["stopped", reason]);
    assert_eq!(place.consul.get(&place.kv("data")), None);
    place.consul.put_pair(place.kv("").trim_end_matches('/'), document());
    out(&place).run().expect(0).says(&["stopped", reason]);
    assert_eq!(place.names(), [""; 0]);
    out(&place).arg("--ignore_stop").run().expect(0).says(&["installed"]);
    assert_eq!(place.content(), document());
}

#[test]
fn a_lock_is_kvexpresss_in_consul_and_next_to_the_file() {
    let place = Place::new();
    place.upload(document());
    let (file, marker) = (place.file(), place.path().join("out/hosts.locked"));
    let path = file.display();
    let lock = |flags: &[&str]| kvexpress(&place, "lock").arg("-f").arg(&file).args(flags).run().expect(0);
    lock(&["-r", "I need this file to be locked for an hour."]);
    let in_consul = || place.consul.text(&lock_of(&place));
    assert_eq!(in_consul().as_deref(), Some("I need this file to be locked for an hour."));
    let text = std::fs::read_to_string(&marker).unwrap();
    assert_eq!(
        text,
        format!(
            "To unlock '{path}' and allow kvexpress to write again:\n\nsudo kvexpress unlock -f {path}\n\n\
             Reason Locked: I need this file to be locked for an hour.\n\n"
        )
    );
    assert_eq!(std::fs::metadata(&marker).unwrap().mode() & 0o7777, 0o640);
    out(&place).arg("--ignore_stop").run().expect(0).says(&["locked", "for an hour"]);
    let raw = kvexpress(&place, "raw").args(["-k", &place.kv("data")]).arg("-f").arg(&file).run();
    raw.expect(0).says(&["locked", "for an hour"]);
    assert_eq!(place.names(), ["hosts.locked"]);

    let unlock = || kvexpress(&place, "unlock").arg("-f").arg(&file).run().expect(0);
    unlock();
    assert_eq!((in_consul(), place.names().len()), (None, 0));
    unlock().says(&["not locked"]);
    out(&place).run().expect(0);
    assert_eq!(place.content(), document());

    lock(&[]);
    let reason = in_consul().unwrap();
    assert!(reason.starts_with(&format!("No reason given for '{path}' by '")), "{reason}");
    assert!(reason.ends_with("Z'."), "{reason}");
}

#[test]
fn raw_takes_any_key_and_clean_takes_away_what_kvexpress_left() {
    let place = Place::new();
    place.consul.put(&format!("{}/value", place.key), lines(12));
    let raw = |flags: &[&str]| {
        kvexpress(&place, "raw").args(["-k", &format!("/{}/value", place.key)]).arg("-f").arg(place.file()).args(flags)
    };
    raw(&["-c", "0600"]).run().expect(0).says(&["12 lines", "installed"]);
    assert_eq!((place.content(), place.mode()), (lines(12), 0o600));
    for suffix in ["compare", "last", "kvexpress"] {
        std::fs::write(place.path().join(format!("out/hosts.{suffix}")), "").unwrap();
    }
    let clean = || kvexpress(&place, "clean").arg("-f").arg(place.file()).run().expect(0);
    clean();
    assert_eq!(place.names(), [""; 0]);
    clean().is_silent();
}

#[test]
fn copy_brings_the_same_document_to_another_key() {
    let place = Place::new();
    let copied = format!("{}/copied", place.key);
    let copy = |flags: &[&str]| {
        kvexpress(&place, "copy").args(["--keyfrom", &place.key, "--keyto", &copied]).args(flags).run()
    };
    copy(&[]).expect(66);
    upload(&place, &document()).arg("-z").run().expect(0);
    copy(&["-l", "13"]).expect(65);
    assert_eq!(place.consul.get(&place.kv("copied/data")), None);
    copy(&["-z"]).expect(0);
    let data = place.consul.entry(&place.kv("copied/data")).unwrap();
    assert_eq!((data["Value"].as_str(), data["Flags"].as_u64()), (Some(BROTLI), Some(1)));
    assert_eq!(place.consul.text(&place.kv("copied/checksum")), Some(sha256(document())));
}

/// Quotes are part of the words. What fails is not forgotten: neither its status nor, for `out`, that it is pending.
#[test]
fn a_command_is_split_at_blanks_and_its_failure_counts() {
    let place = Place::new();
    let touch = |name: &str| format!("touch  {0}/{name}'x\t{0}/\"y\"", place.path().display());
    upload(&place, &document()).args(["-e", &touch("in-")]).run().expect(0);
    assert!(place.path().join("in-'x").exists() && place.path().join("\"y\"").exists());
    // Nothing is new: it is not run.
    upload(&place, &document()).args(["-e", "false"]).run().expect(0).is_silent();
    let failed = upload(&place, &lines(20)).args(["-e", "false"]).run().expect(1);
    assert!(failed.stderr.contains("uploaded") && failed.stderr.contains("`false` failed"), "{}", failed.stderr);
    assert_eq!(place.document().unwrap(), lines(20).into_bytes());

    out(&place).args(["-e", "false"]).run().expect(1);
    assert_eq!(place.content(), lines(20));
    out(&place).args(["-e", "false"]).run().expect(1);
    let count = place.path().join("count");
    common::run::script(&count, "#!/bin/sh\necho run >> \"$0.ran\"\n");
    for _ in 0..2 {
        out(&place).args(["-e", count.to_str().unwrap()]).run().expect(0);
    }
    assert_eq!(std::fs::read_to_string(place.path().join("count.ran")).unwrap(), "run\n");
}

/// `-s` stands for localhost:8500 where it is not given. A stdin that never ends is nobody's payload.
#[test]
fn stdin_is_read_from_a_watch_only() {
    let place = Place::new();
    place.upload(document());
    let mut child = out(&place).spawn();
    let stdin = child.stdin.take();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    drop(stdin);
    assert_eq!(place.content(), document());
    std::fs::remove_file(place.file()).unwrap();
    out(&place).payload("null\n").run().expect(0).says(&["the key does not exist"]);
    assert_eq!(place.names(), [""; 0]);
    out(&place).payload(place.payload("checksum")).run().expect(0).says(&["installed"]);
}

/// The announcement's watch, but for the paths, the address and the command, in both forms that agents know.
#[test]
fn the_announcements_watch_installs_and_reloads_once() {
    let consul = Arc::new(Consul::dev(""));
    let places = [Place::at(consul.clone()), Place::at(consul.clone())];
    let watch = |place: &Place, form: &str| {
        let count = place.path().join("reload");
        common::run::script(&count, "#!/bin/sh\necho \"$*\" >> \"$0.ran\"\n");
        let line = format!(
            "env STATE_DIRECTORY={} {} out -k {} -f {} -l 10 -c 00644 -e '{} -HUP dnsmasq' -s {}",
            place.path().join("state").display(),
            link(place).display(),
            place.key,
            place.file().display(),
            count.display(),
            place.consul.address
        );
        let words: Value = shell_words::split(&line).unwrap().into();
        let handler = if form == "handler" { line.into() } else { words };
        json!({"type": "key", "key": format!("/{}", place.kv("checksum")), form: handler})
    };
    let watches = [watch(&places[0], "handler"), watch(&places[1], "args")];
    consul.configure(&json!({"watches": watches}).to_string());
    consul.reload();
    let fired = |place: &Place, n: usize| {
        wait_for(&format!("{n} reloads"), 20, || {
            let ran = whole_lines(&place.path().join("reload.ran"));
            (ran.len() >= n).then_some(ran)
        })
    };
    for (round, document) in [lines(600), lines(601)].iter().enumerate() {
        for place in &places {
            upload(place, document).run().expect(0);
        }
        for place in &places {
            assert_eq!(fired(place, round + 1), vec!["-HUP dnsmasq"; round + 1]);
            assert_eq!((place.content(), place.mode()), (document.clone(), 0o644));
            assert_eq!(place.names(), ["hosts"]);
        }
    }
}

/// As an agent's user often is.
#[test]
fn a_user_without_a_home_can_install_and_pending_handlers_are_recorded() {
    let place = Place::new();
    place.upload(lines(20));
    let user = 1_000_000 + std::process::id(); // Nobody has it, and its directory is this test's alone.
    let state = PathBuf::from(format!("/tmp/kvx-{user}"));
    let _ = std::fs::remove_dir_all(&state);
    let out = place.path().join("out");
    std::os::unix::fs::chown(&out, Some(user), Some(user)).unwrap();
    std::fs::set_permissions(place.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let program = place.path().join("out/kvexpress"); // A copy, where that user may run it.
    common::run::copy_of("kvx", &program);
    let run = |handler: &str| {
        let mut command = Command::new("setpriv");
        command.args([&format!("--reuid={user}"), &format!("--regid={user}"), "--clear-groups"]).arg(&program);
        command.args(["out", "-k", &place.key, "-s", &place.consul.address, "-e", handler, "-f"]);
        command.arg(place.file()).env_clear().env("PATH", "/usr/bin:/bin");
        Ran::from(command.output().unwrap())
    };
    run("false").expect(1);
    assert_eq!(place.content(), lines(20));
    assert_eq!(std::fs::metadata(&state).unwrap().permissions().mode() & 0o777, 0o700);
    run("true").expect(0).says(&["the pending handler"]);
    run("true").expect(0).is_silent();
    // Another user's is not used.
    std::os::unix::fs::chown(&state, Some(0), Some(0)).unwrap();
    std::fs::write(place.file(), "changed").unwrap();
    run("true").expect(73).says(&[state.to_str().unwrap(), "STATE_DIRECTORY"]);
    assert_eq!(place.content(), "changed");
    std::fs::remove_dir_all(&state).unwrap();
}
