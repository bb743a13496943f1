//! The state that kvx-out records of a file: which handlers are pending, and what happens if the state is lost,
//! damaged, or written by two runs.

use std::os::unix::fs::{DirBuilderExt, MetadataExt};

use super::download::assert_untouched;
use crate::common::{Place, Run, lines, read_state, sha256};

#[test]
fn a_handler_that_failed_or_never_ran_is_pending_until_it_succeeds() {
    let place = Place::new();
    place.upload(lines(20));
    let allowed = place.path().join("allowed");
    let handler = format!(
        "sh -c 'test -e {} && echo \"$KVX_FILE\" >> {}'",
        allowed.display(),
        place.path().join("runs").display()
    );
    let run = || place.kvx_out().args(["-e", &handler]);
    run().run().expect(1).says(&[
        &place.key,
        place.file().to_str().unwrap(),
        "the handler `sh -c ",
        "failed (exit status: 1)",
        "20 lines",
        "is installed",
        "pending",
    ]);
    assert_eq!(place.content(), lines(20));
    run().payload(place.payload("checksum")).run().expect(1);
    run().payload(place.payload("")).run().expect(1);
    place.write("allowed", "");
    run().payload(place.payload("checksum")).run().expect(0).says(&["unchanged, the pending handler ran"]);
    run().run().expect(0).is_silent();
    assert_eq!(place.runs(), [place.file().display().to_string()]);
}

#[test]
fn each_handler_of_a_file_is_pending_by_itself() {
    let place = Place::new();
    place.upload(lines(20));
    let other = format!("sh -c 'echo other >> {}'", place.path().join("runs").display());
    place.kvx_out().args(["-e", &place.handler()]).run().expect(0).says(&["installed"]);
    place.kvx_out().args(["-e", &other]).run().expect(0).says(&["pending"]);
    for handler in [&place.handler(), &other] {
        place.kvx_out().args(["-e", handler]).run().expect(0).is_silent();
    }
    assert_eq!(place.runs().len(), 2);
    // A run without a handler owes and pays nothing, but what it installs is pending to both.
    place.upload(lines(21));
    place.kvx_out().run().expect(0).says(&["installed"]);
    for handler in [&place.handler(), &other] {
        place.kvx_out().args(["-e", handler]).run().expect(0).says(&["pending"]);
    }
    assert_eq!(place.runs().len(), 4);
}

#[test]
fn going_back_to_the_document_before_is_a_change_too() {
    let place = Place::new();
    let run = || place.kvx_out().args(["-e", &place.handler()]);
    place.upload(lines(20));
    run().run().expect(0);
    // The next one is installed, but its handler is never run: as if kvx-out had been killed in between.
    place.upload(lines(21));
    place.kvx_out().run().expect(0);
    place.upload(lines(20));
    run().run().expect(0).says(&["installed", "handler ran"]);
    // Changed by hand and put right again: who reads the file may have read the other.
    std::fs::write(place.file(), "by hand").unwrap();
    run().run().expect(0).says(&["installed", "handler ran"]);
    assert_eq!(place.runs().len(), 3);
}

#[test]
fn a_lost_or_broken_state_file_is_one_reload_too_many_never_one_too_few() {
    let place = Place::new();
    place.upload(lines(20));
    let run = || place.kvx_out().args(["-e", &place.handler()]);
    run().run().expect(0);
    let state_file = std::fs::read_dir(place.path().join("state")).unwrap().next().unwrap().unwrap().path();
    let whole = std::fs::read(&state_file).unwrap();
    // The line alone, as it was once; and one that says other than was written.
    let line = &whole[..whole.iter().position(|&byte| byte == b'\n').unwrap()];
    let other = String::from_utf8_lossy(&whole).replacen("hosts", "Hosts", 1);
    let broken: [&[u8]; 7] = [b"", &whole[..whole.len() / 2], b"\0\0\0\0\0", b"{}", b"garbage", line, other.as_bytes()];
    for (round, broken) in broken.into_iter().enumerate() {
        std::fs::write(&state_file, broken).unwrap();
        run().payload(place.payload("checksum")).run().expect(0).says(&["pending"]);
        assert_eq!(place.runs().len(), 2 + round);
    }
    std::fs::remove_file(&state_file).unwrap();
    run().run().expect(0).says(&["pending"]);
    run().run().expect(0).is_silent();
    // Behind it, there may be more of a longer one.
    std::fs::write(&state_file, [whole.as_slice(), &whole[7..], &[0; 300_000]].concat()).unwrap();
    run().run().expect(0).is_silent();
}

#[test]
fn no_entry_in_the_place_of_a_state_file_is_waited_for() {
    let place = Place::new();
    place.upload(lines(20));
    place.kvx_out().run().expect(0);
    let state_file = place.state_file();
    std::fs::remove_file(&state_file).unwrap();
    nix::unistd::mkfifo(&state_file, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let handler = place.handler();
    place.kvx_out().args(["-e", &handler]).run().expect(0).says(&["pending", "ran in"]);
    place.kvx_out().args(["-e", &handler]).run().expect(0).is_silent();
    std::fs::remove_file(&state_file).unwrap();
    std::fs::create_dir(&state_file).unwrap();
    place.kvx_out().run().expect(73).says(&["the state of the file cannot be kept", "directory"]);
}

#[test]
fn a_command_line_is_recorded_whatever_it_contains() {
    let place = Place::new();
    place.upload(lines(20));
    // JSON takes six characters for each of these.
    let handler = ["--", "true", &"\u{1}".repeat(15_000)];
    place.kvx_out().args(handler).run().expect(0).says(&["handler ran"]);
    place.kvx_out().args(handler).run().expect(0).is_silent();
    assert!(std::fs::metadata(place.state_file()).unwrap().len() > 90_000);
}

#[test]
fn state_that_cannot_be_kept_is_an_error_before_anything_is_done() {
    let place = Place::new();
    place.upload(lines(20));
    let file = place.write("no-directory", "");
    for state in [file.clone(), file.join("below")] {
        let run = Run::new("kvx-out", &place.consul.address).args(["-k", &place.key, "-f"]).arg(place.file());
        run.arg("--state-dir").arg(&state).run().expect(73).says(&[
            &place.key,
            "no-directory",
            "Not a directory",
            "--state-dir",
        ]);
    }
    assert_untouched(&place, None);
}

#[test]
fn the_state_directory_is_systemds_or_the_users() {
    let place = Place::new();
    place.upload(lines(20));
    let run = || Run::new("kvx-out", &place.consul.address).args(["-k", &place.key, "-f"]).arg(place.file());
    let systemd = place.path().join("systemd");
    run().env("STATE_DIRECTORY", format!("{}:/elsewhere", systemd.display())).run().expect(0);
    let entry = std::fs::read_dir(&systemd).unwrap().next().unwrap().unwrap();
    assert_eq!(entry.metadata().unwrap().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(&systemd).unwrap().mode() & 0o777, 0o700);
    let state = read_state(&entry.path());
    assert_eq!(state["path"], place.file().to_str().unwrap());
    assert_eq!((&state["key"], &state["checksum"]), (&place.key.as_str().into(), &sha256(lines(20)).into()));
    assert_eq!(state["index"], place.consul.modify_index(&place.kv("checksum")));
}

#[test]
fn runs_that_do_not_share_a_state_directory_do_not_tear_each_others_file() {
    let place = Place::new();
    place.upload(lines(20));
    // Another run is just writing its file: it holds the lock of its directory.
    let directory = place.path().join("out/.hosts.kvx~");
    std::fs::DirBuilder::new().mode(0o700).create(&directory).unwrap();
    let temporary = place.write("out/.hosts.kvx~/new", "half");
    let theirs = std::fs::File::open(&directory).unwrap();
    theirs.lock().unwrap();
    place.kvx_out().args(["-e", &place.handler()]).run().expect(75).says(&[&place.key, "another run", "run it again"]);
    assert_eq!(std::fs::read_to_string(&temporary).unwrap(), "half", "it was taken from under the other's hands");
    assert_eq!((place.names(), place.runs().len()), (vec![".hosts.kvx~".into()], 0));
    drop(theirs);
    place.kvx_out().args(["-e", &place.handler()]).run().expect(0).says(&["installed"]);
    assert_eq!((place.names(), place.content()), (vec!["hosts".into()], lines(20)));
}
