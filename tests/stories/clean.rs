//! `kvx clean`: removes what kvx left behind for a file, and nothing of the user's.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::path::Path;

use super::operator::{installed, lock, unlock};
use crate::common::busy::Busy;
use crate::common::{Place, lines, lock_of};

#[test]
fn a_file_whose_directory_is_gone_can_be_forgotten() {
    let place = Place::new();
    installed(&place, &lines(20));
    fs::remove_dir_all(place.path().join("out")).unwrap();
    place.kvx_file("clean").run().expect(0).says(&["removed ", "state/"]);
    assert_eq!(fs::read_dir(place.path().join("state")).unwrap().count(), 0);
    place.kvx_file("clean").run().expect(73).says(&["does not exist"]);
}

#[test]
fn cleaning_takes_what_was_left_and_leaves_what_is_the_users() {
    let place = Place::new();
    installed(&place, &lines(20));
    lock(&place, "why").run().expect(0);
    let left = ["hosts.compare", "hosts.last", "hosts.kvexpress", ".hosts.kvx~"];
    let stays = ["hosts", ".hosts.lock", "hosts.locked", "hosts.bak", "hostsx.last", ".other.kvx~"];
    for name in left.iter().chain(&stays[2..]) {
        fs::write(place.path().join("out").join(name), "left\n").unwrap();
    }
    let state_file = place.state_file();
    let ran = place.kvx_file("clean").run().expect(0);
    ran.says(&[
        "removed ",
        ".hosts.kvx~, ",
        "hosts.compare, ",
        "hosts.last, ",
        "hosts.kvexpress, ",
        state_file.to_str().unwrap(),
    ]);
    let mut expected = stays.to_vec();
    expected.sort_unstable();
    assert_eq!(place.names(), expected);
    assert_eq!(place.content(), lines(20));
    assert!(!state_file.exists() && place.consul.get(&lock_of(&place)).is_some());
    place.kvx_file("clean").run().expect(0).is_silent();
    place.kvx_file("clean").arg("-v").run().expect(0).says(&["removed nothing"]);

    // The next run reloads once.
    unlock(&place).run().expect(0);
    place.kvx_out().args(["-e", &place.handler()]).run().expect(0).says(&["the pending handler ran"]);
    place.kvx_file("clean").arg("--remove-file").run().expect(0).says(&["removed ", "out/hosts, "]);
    assert!(!place.file().exists());
}

#[test]
fn cleaning_a_link_or_a_file_that_is_not_there_harms_nothing() {
    let place = Place::new();
    installed(&place, &lines(20));
    let link = place.path().join("link");
    symlink(place.file(), &link).unwrap();
    let precious = place.write("precious", "precious\n");
    symlink(&precious, place.path().join("link.last")).unwrap();
    let clean = |file: &Path| place.kvx("clean").arg("--state-dir").arg(place.path().join("state")).arg("-f").arg(file);
    clean(&link).arg("--remove-file").run().expect(0).says(&["link.last, ", "link, ", "state/"]);
    assert_eq!((place.content(), fs::read_to_string(&precious).unwrap()), (lines(20), "precious\n".into()));
    assert!(fs::symlink_metadata(&link).is_err());
    clean(&place.path().join("out/nothing")).run().expect(0).is_silent();
    clean(&place.path().join("nowhere/hosts")).run().expect(73).says(&["nowhere", "does not exist"]);
    fs::create_dir(place.path().join("out/hosts.last")).unwrap();
    clean(&place.file()).arg("-v").run().expect(0).says(&["removed nothing"]);
    assert!(place.path().join("out/hosts.last").is_dir(), "a directory is not one of kvexpress's files");
    let unknown = place.kvx("clean").args(["--state-dir", "/dev/null", "-f"]).arg(place.file()).run().expect(74);
    unknown.says(&["the recorded state", "--state-dir"]);
}

#[test]
fn cleaning_waits_for_a_run_that_is_at_the_file() {
    // In its handler, and, of a first run that has not recorded anything yet, in its check.
    for in_check in [false, true] {
        let place = Place::new();
        place.upload(lines(20));
        let busy = Busy::start(&place, if in_check { "--check" } else { "-e" });
        let mut cleaning = place.kvx_file("clean").arg("-v").spawn();
        let mut said = BufReader::new(cleaning.stderr.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        assert!(line.contains("another run is busy with it; waiting"), "{line}");
        assert!(cleaning.try_wait().unwrap().is_none());
        busy.let_go().expect(0).says(&["installed"]);
        assert!(cleaning.wait().unwrap().success());
        assert_eq!(place.names(), ["hosts"]);
        assert!(fs::read_dir(place.path().join("state")).unwrap().next().is_none());
    }
}
