//! `--in-place`: the file keeps its inode. The next run completes a file that a killed run left half written.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::install::{under_strace, with_own_mounts};
use crate::common::{Place, lines};

#[test]
fn half_a_file_that_was_left_in_place_is_ended_by_the_next_run_whatever_its_guards_say() {
    let place = Place::new();
    let run = || place.kvx_out().args(["--in-place", "--max-shrink", "50", "-e", &place.handler()]);
    let new = |count: usize| lines(count).replace('\n', " new\n");
    // Killed after it was written, before it was cut to its length: a mixture of both.
    let leave_half = |count: usize| {
        place.upload(lines(1000));
        run().run().expect(0);
        place.upload(new(count));
        let file = place.file().display().to_string();
        let kill = ["-P", &file, "-e", "inject=ftruncate:signal=KILL"];
        let ran = under_strace(&place, &kill, &["--in-place", "--max-shrink", "50", "--force", "-e", &place.handler()]);
        assert!(!ran.status.success());
        let content = place.content();
        assert!(content != lines(1000) && content != new(count), "{} of {count}: {}", content.len(), ran.stderr);
    };
    leave_half(100);
    run().args(["--check", "false {}"]).run().expect(0).says(&["100 lines", "installed", "handler ran"]);
    assert_eq!(place.content(), new(100));
    // What is stopped meanwhile is not installed, but half a file is told of.
    leave_half(400);
    place.consul.put(&place.kv("stop"), "bad DNS");
    run().run().expect(73).says(&["half written", "bad DNS", "by hand"]);
    place.consul.put(&place.kv("stop"), "");
    // Another document is not what has passed the guards.
    place.upload(new(402));
    run().args(["--check", "false {}"]).run().expect(65);
    run().run().expect(0).says(&["402 lines", "installed"]);
    run().run().expect(0).is_silent();
}

#[test]
fn in_place_only_users_with_permission_see_the_new_document() {
    let place = Place::new();
    place.upload(lines(20));
    place.kvx_out().args(["-c", "644"]).run().expect(0);
    place.upload(lines(30));
    let log = place.path().join("calls").display().to_string();
    let (file, strace) = (place.file().display().to_string(), ["-y", "-o", &log, "-e", "trace=write,fchmod"]);
    under_strace(&place, &strace, &["--in-place", "-c", "4604"]).expect(0);
    let calls = std::fs::read_to_string(&log).unwrap();
    let calls: Vec<&str> = calls.lines().filter(|call| call.contains(&file)).collect();
    let names: Vec<&str> = calls.iter().map(|call| &call[..call.find('(').unwrap()]).collect();
    assert_eq!(names, ["fchmod", "write", "fchmod"], "{calls:#?}");
    assert!(calls[0].contains("0604") && calls[2].contains("04604"), "{calls:#?}");
    assert_eq!((place.mode(), place.content()), (0o4604, lines(30)));
}

#[test]
fn in_place_a_lock_on_the_file_blocks_no_run_and_a_mixture_of_two_runs_is_noticed() {
    let place = Place::new();
    place.upload(lines(20));
    place.kvx_out().run().expect(0);
    place.upload(lines(30));
    let theirs = std::fs::File::open(place.file()).unwrap();
    theirs.lock().unwrap();
    place.kvx_out().arg("--in-place").run().expect(0).says(&["installed"]);
    assert_eq!(place.content(), lines(30));
    // Another run, with another state directory, writes at the same time: this one's write comes to nothing.
    place.upload(lines(40));
    let ran =
        under_strace(&place, &["-P", place.file().to_str().unwrap(), "-e", "inject=write:retval=111"], &["--in-place"]);
    ran.expect(73).says(&["the file does not contain what was written", "the next run completes it"]);
    place.kvx_out().arg("--in-place").run().expect(0).says(&["installed"]);
    assert_eq!(place.content(), lines(40));
}

#[test]
fn in_place_the_file_stays_the_same_and_has_what_it_had() {
    let place = Place::new();
    place.upload(lines(600));
    let run = || place.kvx_out().args(["--in-place", "-e", &place.handler()]);
    run().run().expect(0).says(&["600 lines", "installed"]); // It was not there: so it is put there whole.
    std::fs::set_permissions(place.file(), std::fs::Permissions::from_mode(0o750)).unwrap();
    let inode = std::fs::metadata(place.file()).unwrap().ino();
    for count in [30, 700, 10] {
        place.upload(lines(count));
        run().run().expect(0).says(&["installed", "handler ran"]);
        assert_eq!((place.content(), place.mode(), place.names()), (lines(count), 0o750, vec!["hosts".into()]));
        run().payload(place.payload("checksum")).run().expect(0).is_silent();
    }
    place.upload(lines(11));
    run().args(["-c", "600"]).run().expect(0).says(&["installed"]);
    assert_eq!((place.mode(), std::fs::metadata(place.file()).unwrap().ino()), (0o600, inode));
    assert_eq!(place.runs().len(), 5);
    // Half a file, as a run that died would leave it.
    std::fs::write(place.file(), &lines(11)[..7]).unwrap();
    run().run().expect(0).says(&["11 lines", "installed"]);
    // A check is shown another file, and the real one is not touched if it refuses.
    place.upload(lines(12));
    let check = format!("sh -c 'test \"$1\" != {} && wc -l < \"$1\"; exit 4' - {{}}", place.file().display());
    let refused = run().args(["--check", &check]).run().expect(65);
    assert!(refused.stderr.starts_with("check: 12\n"), "{}", refused.stderr);
    assert_eq!((place.content(), place.names()), (lines(11), vec!["hosts".into()]));
}

#[test]
fn a_file_that_is_mounted_by_itself_is_written_in_place_or_not_at_all() {
    let place = Place::new();
    place.upload(lines(20));
    place.kvx_out().run().expect(0);
    place.upload(lines(30));
    let mounted = "mount --bind $out/hosts $out/hosts\n";
    let ran = with_own_mounts(&place, &format!("{mounted} kvx_out -e 'touch {}/runs'", place.path().display()));
    ran.expect(73).says(&[&place.key, "busy", "bind mount", "mount its directory", "--in-place"]);
    assert_eq!((place.content(), place.names(), place.runs().len()), (lines(20), vec!["hosts".into()], 0));
    // A read-only directory around it, as in a container: nothing beside the file is needed.
    let read_only = "mount --bind $out $out; mount --bind $out/hosts $out/hosts; mount -o remount,bind,ro $out\n";
    let ran = with_own_mounts(&place, &format!("{read_only} kvx_out --in-place"));
    ran.expect(0).says(&["30 lines", "installed"]);
    assert_eq!((place.content(), place.names()), (lines(30), vec!["hosts".into()]));
}
