//! `kvx lock`: a locked file is left unchanged; the marker next to it and the key in Consul say who locked it and why;
//! a lock that fails halfway locks nothing.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::Command;

use super::operator::{assert_signed, hostname, installed, lock, unlock};
use crate::common::busy::Busy;
use crate::common::{NO_AGENT, Place, Run, lines, lock_of, sha256};

#[test]
fn a_lock_is_next_to_the_file_and_in_consul_for_every_user_to_read() {
    let place = Place::new();
    installed(&place, &lines(20));
    let file = place.file().display().to_string();
    let ran = with_umask(lock(&place, "canary until Friday")).run().expect(0);
    let value = place.consul.text(&lock_of(&place)).unwrap();
    assert_signed(&value, "canary until Friday", &format!("{file}, "));
    ran.says(&[&format!("{file}: locked on this node: {value} ({})\n", lock_of(&place))]);
    assert_eq!(
        place.marker_text(),
        format!(
            "To unlock '{file}' and allow kvx to write again:\n\nsudo kvx unlock -f {file}\n\nReason Locked: {value}\n\n"
        )
    );
    assert_eq!(fs::metadata(place.marker()).unwrap().mode() & 0o7777, 0o755);
    assert_eq!(fs::metadata(place.marker().join("reason")).unwrap().mode() & 0o7777, 0o644);
    assert_eq!(place.names(), [".hosts.lock", "hosts"]);

    place.upload(lines(21));
    place.kvx_out().run().expect(0).says(&["locked on this node", "canary until Friday"]);
    assert_eq!(place.content(), lines(20));
    let ran = unlock(&place).run().expect(0);
    assert!(ran.stderr.contains("it was locked: canary until Friday"), "{}", ran.stderr);
    assert_eq!(place.names(), ["hosts"]);
    assert!(place.consul.get(&lock_of(&place)).is_none());
    place.kvx_out().run().expect(0).says(&["installed"]);
}

/// With a umask that lets no other user read new files.
fn with_umask(mut run: Run) -> Run {
    let mut script = Command::new("sh");
    script.args(["-c", "umask 077; exec \"$@\"", "sh"]).arg(run.command.get_program()).args(run.command.get_args());
    for (name, value) in run.command.get_envs() {
        match value {
            Some(value) => script.env(name, value),
            None => script.env_remove(name),
        };
    }
    run.command = script;
    run
}

#[test]
fn each_marker_alone_keeps_a_file_unchanged_however_a_run_is_started() {
    let by_marker = |place: &Place| place.consul.delete(&lock_of(place));
    let in_consul = |place: &Place| fs::remove_dir_all(place.marker()).unwrap();
    let by_hand = |_: &Place| None;
    let by_key = |place: &Place| Some(place.payload("checksum"));
    let by_folder = |place: &Place| Some(place.payload(""));
    type Case<'a> = (&'a dyn Fn(&Place), &'a dyn Fn(&Place) -> Option<String>);
    let cases: [Case; 5] = [
        (&by_marker, &by_hand),
        (&by_marker, &by_key),
        (&by_marker, &by_folder),
        (&in_consul, &by_hand),
        // Of a keyprefix watch, the lock in Consul is not in the payload.
        (&in_consul, &by_key),
    ];
    for (remove_the_other, payload) in cases {
        let place = Place::new();
        installed(&place, &lines(20));
        lock(&place, "canary").run().expect(0);
        remove_the_other(&place);
        place.upload(lines(21));
        let payload = payload(&place);
        let run = |run: Run| match &payload {
            Some(payload) => run.payload(payload).run().expect(0),
            None => run.run().expect(0),
        };
        let handler = place.handler();
        run(place.kvx_out().args(["-e", &handler])).says(&["locked on this node", "canary"]);
        assert_eq!((place.content(), place.runs().len()), (lines(20), 0));
        run(place.kvx_out().args(["-e", &handler, "--ignore-lock"])).says(&["installed", "handler ran"]);
        assert_eq!((place.content(), place.runs().len()), (lines(21), 1));
        // The lock itself stays.
        assert!(place.marker().exists() != place.consul.get(&lock_of(&place)).is_some());
        let recorded = place.state()["command"].to_string();
        assert!(recorded.contains("kvx-out") && !recorded.contains("--ignore-lock"), "{recorded}");
        unlock(&place).arg("-q").run().expect(0).is_silent();
        assert!(!place.marker().exists() && place.consul.get(&lock_of(&place)).is_none());
    }
}

#[test]
fn a_file_is_locked_before_it_is_there_and_without_a_reason() {
    let place = Place::new();
    let file = place.file().display().to_string();
    let ran = place.kvx_file("lock").env("SUDO_USER", "anna").run().expect(0);
    ran.says(&["locked on this node: No reason given for", &file, "by 'anna' at", "there is no such file yet"]);
    place.upload(lines(20));
    place.kvx_out().run().expect(0).says(&["locked", "No reason given"]);
    assert_eq!(place.names(), [".hosts.lock"]);
    let again = lock(&place, "now there is").arg("--replace").run().expect(0);
    again.says(&["now there is", "it was locked before: No reason given"]);
    assert!(place.marker_text().contains("now there is"));
}

#[test]
fn a_relative_path_is_locked_as_the_absolute_one_that_it_is() {
    let place = Place::new();
    let mut run = place.kvx("lock").args(["-f", "./hosts", "-r", "why"]);
    run.command.current_dir(place.path().join("out"));
    run.run().expect(0);
    assert!(place.consul.get(&lock_of(&place)).is_some() && place.marker().exists());
    // With a blank in it, what the marker says can be typed.
    let odd = place.path().join("out/my hosts");
    place.kvx("lock").arg("-f").arg(&odd).args(["-r", "why"]).run().expect(0);
    let text = fs::read_to_string(place.path().join("out/.my hosts.lock/reason")).unwrap();
    assert!(text.contains(&format!("sudo kvx unlock -f '{}'\n", odd.display())), "{text}");
}

#[test]
fn a_lock_waits_for_a_run_that_is_at_the_file() {
    let place = Place::new();
    place.upload(lines(20));
    let busy = Busy::start(&place, "-e");
    let mut locking = lock(&place, "why").arg("-v").spawn();
    let mut said = BufReader::new(locking.stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert!(line.contains("a run is busy with it; waiting for it to end"), "{line}");
    assert!(place.marker().exists() && place.consul.get(&lock_of(&place)).is_some(), "locked for whoever comes now");
    assert!(locking.try_wait().unwrap().is_none(), "still waiting");
    let ran = busy.let_go().expect(0);
    line.clear();
    said.read_line(&mut line).unwrap();
    assert!(line.contains("locked on this node: why"), "{line}");
    assert!(locking.wait().unwrap().success());
    ran.says(&["installed", "handler ran"]);
}

#[test]
fn where_the_marker_cannot_be_written_the_file_is_locked_in_consul_only() {
    let place = Place::new();
    let nowhere = place.path().join("nowhere/hosts");
    let ran = place.kvx("lock").arg("-f").arg(&nowhere).args(["-r", "why"]).run().expect(73);
    ran.says(&["kvx lock: ", "nowhere/.hosts.lock", "does not exist"]);
    let host = hostname();
    assert!(place.consul.get(&format!("kvexpress/locks/{}/{host}", sha256(nowhere.to_str().unwrap()))).is_none());
    // Another user's file by that name is neither a marker nor replaced.
    fs::write(place.marker(), "another program's").unwrap();
    let ran = lock(&place, "why").run().expect(73);
    ran.says(&["kvx lock: ", ".hosts.lock", "Not a directory", "move it away", "it is locked in Consul only"]);
    assert!(place.consul.get(&lock_of(&place)).is_some());
    assert_eq!(fs::read_to_string(place.marker()).unwrap(), "another program's");
    unlock(&place).run().expect(0).says(&["it was locked: why"]);
    unlock(&place).run().expect(0).says(&["not locked"]);
    assert_eq!(place.names(), [".hosts.lock"]);
    fs::remove_file(place.marker()).unwrap();
    // What is in the marker and not ours is not taken away, and was none of this run's.
    fs::create_dir_all(place.marker().join("reason")).unwrap();
    lock(&place, "why").run().expect(73).says(&["kvx lock: ", "cannot be locked", "Is a directory", "Consul only"]);
    assert!(place.consul.get(&lock_of(&place)).is_some());
    assert!(place.marker().join("reason").is_dir());
    // Without Consul, neither.
    place.consul.delete(&lock_of(&place));
    let ran = lock(&place, "why").args(["-s", NO_AGENT, "--timeout", "100ms"]).run().expect(73);
    ran.says(&["cannot be locked", "Is a directory", "it is not locked in Consul either", "Connection refused"]);
}

/// A directory that another user can move away is not one that is misspelt.
#[test]
fn where_another_user_has_moved_the_directory_away_the_file_is_locked_in_consul() {
    let place = Place::new();
    fs::set_permissions(place.path().join("out"), PermissionsExt::from_mode(0o777)).unwrap();
    let file = place.path().join("out/d/hosts");
    let ran = place.kvx("lock").arg("-f").arg(&file).args(["-r", "why"]).run().expect(73);
    ran.says(&["cannot be locked", "out/d/.hosts.lock", "does not exist", "it is locked in Consul only"]);
    let at = format!("kvexpress/locks/{}/{}", sha256(file.to_str().unwrap()), hostname());
    assert!(place.consul.get(&at).is_some());
}

#[test]
fn without_consul_a_lock_is_half_done_and_says_so_and_an_unlock_is_not_done() {
    let place = Place::new();
    installed(&place, &lines(20));
    let without = ["-s", NO_AGENT, "--timeout", "100ms"];
    let ran = lock(&place, "why").args(without).run().expect(69);
    ran.says(&[place.file().to_str().unwrap(), NO_AGENT, "locked by the marker next to it", "not in Consul"]);
    assert!(place.marker().exists() && place.consul.get(&lock_of(&place)).is_none());
    place.upload(lines(21));
    place.kvx_out().run().expect(0).says(&["locked on this node", "why"]);

    lock(&place, "why").run().expect(0);
    unlock(&place).args(without).run().expect(69).says(&[NO_AGENT]);
    assert!(place.marker().exists() && place.consul.get(&lock_of(&place)).is_some());
    place.kvx_out().run().expect(0).says(&["locked on this node", "why"]);
    assert_eq!(place.content(), lines(20));
}

#[test]
fn a_link_in_the_place_of_the_marker_is_replaced_and_its_target_is_not_written() {
    let place = Place::new();
    let precious = place.write("precious", "precious\n");
    // Ours: the reason in the directory is replaced, and a link to another directory is none of ours.
    fs::create_dir(place.marker()).unwrap();
    symlink(&precious, place.marker().join("reason")).unwrap();
    lock(&place, "why").run().expect(0);
    assert!(place.marker_text().contains("why"));
    assert_eq!(fs::read_to_string(&precious).unwrap(), "precious\n");
    unlock(&place).run().expect(0);
    assert!(place.names().is_empty());
    let elsewhere = place.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    symlink(&elsewhere, place.marker()).unwrap();
    lock(&place, "why").run().expect(73).says(&["cannot be locked", ".hosts.lock", "move it away"]);
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    fs::remove_file(place.marker()).unwrap();
    // kvexpress's.
    let as_kvexpress = || {
        let mut run =
            Run::new("kvx", &place.consul.address).args(["lock", "-s", &place.consul.address, "-r", "why", "-f"]);
        std::os::unix::process::CommandExt::arg0(&mut run.command, "kvexpress");
        run.arg(place.file()).run().expect(0)
    };
    symlink(&precious, place.visible_marker()).unwrap();
    symlink(&precious, place.path().join("out/.hosts.locked.kvx~")).unwrap();
    as_kvexpress();
    assert_eq!(fs::read_to_string(&precious).unwrap(), "precious\n");
    assert!(fs::symlink_metadata(place.visible_marker()).unwrap().is_file());
    assert_eq!(place.names(), ["hosts.locked"]);
    // And unlocking takes away the link, whoever put it there.
    place.consul.delete(&lock_of(&place));
    fs::remove_file(place.visible_marker()).unwrap();
    symlink(&precious, place.visible_marker()).unwrap();
    // Meanwhile nothing is installed, but nobody tells what stands where it points: it may be what others may not read.
    place.upload(lines(20));
    for ran in
        [place.kvx_out().run().expect(73), place.kvx_file("status").run().expect(1), unlock(&place).run().expect(0)]
    {
        let said = ran.stderr.clone() + ran.out();
        assert!(said.contains("locked") && !said.contains("precious\n") && !said.contains("precious ("), "{said}");
    }
    assert_eq!(fs::read_to_string(&precious).unwrap(), "precious\n");
    assert!(place.names().is_empty());
}
