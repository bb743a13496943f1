//! Promise 1: a reader never sees a torn, short or unverified file. Links, missing directories, full disks, and users
//! without permissions.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use crate::common::{self, Place, Ran, Run, lines};
use nix::unistd::geteuid;

/// Of the user `nobody`.
pub const NOBODY: u32 = 65534;

/// A shell script with mounts of its own, which end with it. `kvx-out` in it is that of the place, and `$out` its
/// directory.
pub fn with_own_mounts(place: &Place, script: &str) -> Ran {
    let mut unshare = Command::new("unshare");
    if !geteuid().is_root() {
        unshare.arg("--map-root-user");
    }
    let kvx_out = format!(
        "kvx_out() {{ {} -s {} -k {} -f {} --state-dir {} \"$@\"; }}",
        common::run::binary("kvx-out").display(),
        place.consul.address,
        place.key,
        place.file().display(),
        place.path().join("state").display()
    );
    unshare.args(["--mount", "sh", "-ec", &format!("{kvx_out}\n{script}")]).env("out", place.path().join("out"));
    Ran::from(unshare.env("state", place.path().join("state")).output().unwrap())
}

/// `kvx-out` as a user without any rights, in a place that he may enter.
fn as_nobody(place: &Place) -> Run {
    let program = place.path().join("kvx-out");
    if !program.exists() {
        common::run::copy_of("kvx-out", &program);
        std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut run = place.kvx_out();
    let arguments: Vec<_> = run.command.get_args().map(ToOwned::to_owned).collect();
    let mut command = Command::new(program);
    command.args(arguments).current_dir("/").env_clear().env("CONSUL_HTTP_ADDR", &place.consul.address);
    if geteuid().is_root() {
        std::os::unix::process::CommandExt::uid(&mut command, NOBODY);
        std::os::unix::process::CommandExt::gid(&mut command, NOBODY);
    }
    run.command = command;
    run
}

/// `kvx-out` under strace, which shows its calls or makes them fail.
pub fn under_strace(place: &Place, strace: &[&str], options: &[&str]) -> Ran {
    let kvx_out = place.kvx_out().args(options).command;
    let mut command = Command::new("strace");
    if !strace.contains(&"-o") {
        command.args(["-o", "/dev/null"]);
    }
    command.args(strace).arg(kvx_out.get_program()).args(kvx_out.get_args());
    Ran::from(command.env("CONSUL_HTTP_ADDR", &place.consul.address).output().unwrap())
}

/// Gives a file or directory of a place to the user of [`as_nobody`].
fn give_to_nobody(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    if geteuid().is_root() {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
}

#[test]
fn the_target_of_a_link_is_replaced_not_the_link() {
    let place = Place::new();
    place.upload(lines(20));
    std::fs::create_dir(place.path().join("real")).unwrap();
    symlink("../real/hosts", place.file()).unwrap(); // Dangling.
    place.kvx_out().args(["-e", &place.handler()]).run().expect(0).says(&["installed", "real/hosts"]);
    place.upload(lines(21));
    let real = place.path().join("real/hosts");
    // By the other name it is the same file, under the same lock and state_file.
    place.kvx_out().arg("-v").run().expect(0).says(&["installed"]);
    Run::new("kvx-out", &place.consul.address)
        .arg("--state-dir")
        .arg(place.path().join("state"))
        .args(["-k", &place.key, "-e", &place.handler(), "-f"])
        .arg(&real)
        .run()
        .expect(0)
        .says(&["pending"]);
    assert_eq!(std::fs::read_link(place.file()).unwrap().to_str(), Some("../real/hosts"));
    assert_eq!((place.content(), std::fs::read_to_string(real).unwrap()), (lines(21), lines(21)));
    assert_eq!(std::fs::read_dir(place.path().join("state")).unwrap().count(), 1);
}

#[test]
fn what_is_no_file_or_has_no_directory_is_refused() {
    let place = Place::new();
    place.upload(lines(20));
    let out = place.path().join("out");
    nix::unistd::mkfifo(&out.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    std::fs::create_dir(out.join("directory")).unwrap();
    symlink("loop", out.join("loop")).unwrap();
    let socket = UnixListener::bind(out.join("socket")).unwrap();
    symlink("/dev/null", out.join("null")).unwrap();
    let run = |file: &str| {
        let to = if file.starts_with('/') { file.into() } else { out.join(file) };
        Run::new("kvx-out", &place.consul.address)
            .arg("--state-dir")
            .arg(place.path().join("state"))
            .args(["-k", &place.key, "-f"])
            .arg(to)
    };
    let cases: [(&str, &[&str]); 9] = [
        ("fifo", &["fifo is a FIFO, and only regular files are replaced", "-f"]),
        ("directory", &["is a directory"]),
        ("socket", &["is a socket"]),
        ("/dev/null", &["/dev/null is a device"]),
        ("null", &["/dev/null is a device"]),
        ("missing/hosts", &["the directory ", "missing", "does not exist"]),
        ("loop", &["symbolic links"]),
        ("/", &["a directory's name"]),
        ("new/", &["a directory's name"]),
    ];
    for (file, says) in cases {
        for manner in [&[][..], &["--in-place"]] {
            run(file).args(manner).run().expect(73).says(&[&place.key]).says(says);
        }
    }
    assert_eq!(place.names(), ["directory", "fifo", "loop", "null", "socket"]);
    drop(socket);
}

#[test]
fn a_name_of_any_length_that_a_file_can_have_is_no_lock() {
    let place = Place::new();
    place.upload(lines(20));
    let run = |length: usize| {
        let run = Run::new("kvx-out", &place.consul.address).args(["-k", &place.key, "-f"]);
        run.arg(place.path().join("out").join("n".repeat(length)))
            .arg("--state-dir")
            .arg(place.path().join("state"))
            .run()
    };
    run(249).expect(0).says(&["installed"]);
    run(250).expect(73).says(&["too long", "249 bytes"]);
    assert_eq!(place.names(), ["n".repeat(249)]);
    // In place, nothing beside it is needed.
    let longest = "m".repeat(255);
    std::fs::write(place.path().join("out").join(&longest), "old\n").unwrap();
    let in_place = Run::new("kvx-out", &place.consul.address).args(["-k", &place.key, "--in-place", "--state-dir"]);
    let in_place = in_place.arg(place.path().join("state")).arg("-f").arg(place.path().join("out").join(&longest));
    in_place.run().expect(0).says(&["installed"]);
    assert_eq!(place.names(), [longest, "n".repeat(249)]);
}

#[test]
fn a_file_that_could_not_be_replaced_is_recorded_as_it_is() {
    let place = Place::new();
    let handler = place.handler();
    let fails = || {
        let ran = under_strace(&place, &["-e", "inject=/^rename:error=EBUSY"], &["-e", &handler]).expect(73);
        ran.says(&["mounted by itself"]);
    };
    // The first document of all: nothing is recorded, then, but that it failed.
    place.upload(lines(20));
    fails();
    let recorded = place.state();
    assert_eq!((&recorded["checksum"], &recorded["last_run"]["status"]), (&serde_json::Value::Null, &73.into()));
    place.kvx_out().args(["-e", &handler]).run().expect(0);
    let but_last_run =
        |mut state_file: serde_json::Value| state_file.as_object_mut().unwrap().remove("last_run").map(|_| state_file);
    let before = but_last_run(place.state());
    place.upload(lines(21));
    fails();
    assert_eq!((but_last_run(place.state()), place.content()), (before, lines(20)));
    // So an upload that goes back to what is there has nothing to do.
    place.upload(lines(20));
    place.kvx_out().args(["-e", &handler]).run().expect(0).is_silent();
    assert_eq!(place.runs().len(), 1);
}

#[test]
fn a_link_to_nothing_is_named_as_such() {
    let place = Place::new();
    place.upload(lines(20));
    let link = place.path().join("gone");
    std::os::unix::fs::symlink("/nowhere/at/all", &link).unwrap();
    let run = Run::new("kvx-out", &place.consul.address).args(["-k", &place.key, "-f"]).arg(link.join("hosts"));
    run.run()
        .expect(73)
        .says(&[&place.key, "gone does not exist; it is a link to nothing: create that, or take it away"]);
}

#[test]
fn what_may_not_be_on_disk_yet_is_put_there_by_the_next_run() {
    let place = Place::new();
    for options in [&["-e", "true"][..], &["-e", "true", "--in-place"]] {
        place.upload(lines(20 + place.names().len()));
        place.kvx_out().run().expect(0);
        place.upload(lines(30));
        // The last fsync: the directory's, or in place the only one.
        let last = if options.len() > 2 { 1 } else { 2 };
        let fail = format!("inject=fsync:error=EIO:when={last}");
        under_strace(&place, &["-e", &fail], options).expect(73).says(&["Input/output error"]);
        assert_eq!(place.content(), lines(30));
        let log = place.path().join("calls");
        let log_to = log.display().to_string();
        let calls = |expected: usize| {
            under_strace(&place, &["-o", &log_to, "-e", "trace=fsync"], options).expect(0);
            let calls = std::fs::read_to_string(&log).unwrap();
            assert_eq!(calls.matches("fsync(").count(), expected, "{calls}");
        };
        calls(2);
        calls(0);
    }
}

#[test]
fn other_names_of_the_file_keep_the_old_document_and_it_says_so() {
    let place = Place::new();
    place.upload(lines(20));
    place.kvx_out().run().expect(0);
    let other = place.path().join("other");
    std::fs::hard_link(place.file(), &other).unwrap();
    place.upload(lines(21));
    place.kvx_out().run().expect(0).says(&["installed", "(its other name, a hard link, keeps the old document)"]);
    assert_eq!((place.content(), std::fs::read_to_string(&other).unwrap()), (lines(21), lines(20)));
    // In place, it is one file, whatever its name.
    std::fs::remove_file(&other).unwrap();
    std::fs::hard_link(place.file(), &other).unwrap();
    place.upload(lines(22));
    let ran = place.kvx_out().arg("--in-place").run().expect(0).says(&["22 lines", "installed"]);
    assert!(!ran.stderr.contains("other name"), "{}", ran.stderr);
    assert_eq!((place.content(), std::fs::read_to_string(&other).unwrap()), (lines(22), lines(22)));
}

#[test]
fn missing_directories_are_created_with_the_file_and_not_before() {
    let place = Place::new();
    let file = place.path().join("out/a/b/hosts");
    let run = || {
        let run = Run::new("kvx-out", &place.consul.address).args(["-k", &place.key, "--state-dir"]);
        run.arg(place.path().join("state")).arg("-f").arg(&file).args(["-e", &place.handler()])
    };
    run().arg("--mkdir").run().expect(66);
    place.upload(lines(20));
    place.consul.put(&place.kv("stop"), "not yet");
    run().arg("--mkdir").run().expect(0).says(&["stopped"]);
    place.consul.put(&place.kv("stop"), "");
    run().args(["--mkdir", "-l", "21"]).run().expect(65);
    assert!(place.names().is_empty(), "a directory for no file");
    run().run().expect(73).says(&["the directory ", "/out/a/b does not exist", "--mkdir"]);
    run().arg("--mkdir").run().expect(0).says(&["installed", "/out/a/b/hosts"]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), lines(20));
    let mode = |path: &str| std::fs::metadata(place.path().join(path)).unwrap().mode() & 0o777;
    assert_eq!((mode("out/a"), mode("out/a/b")), (0o755, 0o755));
    run().arg("--mkdir").run().expect(0).is_silent();
    run().run().expect(0).is_silent(); // The same file, the same state_file.
    assert_eq!(place.runs().len(), 1);
    // What was made for a document that is refused goes again.
    let file_of_others = place.path().join("out/c/d/hosts");
    let others = Run::new("kvx-out", &place.consul.address).args(["-k", &place.key, "--mkdir", "--check", "false {}"]);
    others.arg("--state-dir").arg(place.path().join("state")).arg("-f").arg(&file_of_others).run().expect(65);
    assert_eq!(place.names(), ["a"]);
    // A link to nothing, and a file, are no directories.
    symlink("/nowhere/to/be", place.path().join("out/dangling")).unwrap();
    for (directory, says) in [("dangling", "cannot be created"), ("a/b/hosts", "not a directory")] {
        let run = Run::new("kvx-out", &place.consul.address).args(["-k", &place.key, "--mkdir", "--state-dir"]);
        let run =
            run.arg(place.path().join("state")).arg("-f").arg(place.path().join("out").join(directory).join("hosts"));
        run.run().expect(73).says(&[directory, says]);
    }
    std::fs::remove_file(place.path().join("out/dangling")).unwrap();
    // What `..` leads to is not guessed.
    let odd = Run::new("kvx-out", &place.consul.address).args(["-k", &place.key, "--mkdir", "-f"]);
    odd.arg(place.path().join("out/c/../hosts")).run().expect(73).says(&["does not exist"]);
    assert_eq!(place.names(), ["a"]);
}

#[test]
fn a_full_disk_leaves_the_old_file_whole_and_nothing_else() {
    let place = Place::new();
    let handler = format!("sh -c 'echo >> {}'", place.path().join("runs").display());
    place.upload(lines(6000));
    for in_place in ["", "--in-place"] {
        // The script's own words say what it found: mounts are seen by nobody else.
        let script = format!(
            r#"mount -t tmpfs -o size=64k,mode=755 none $out
            seq 20 >$out/hosts; before=$(stat -c '%i %a %s' $out/hosts)
            dd if=/dev/zero of=$out/filler 2>/dev/null || :
            kvx_out -c 644 {in_place} -e "{handler}" || echo status $?
            [ "$(stat -c '%i %a %s' $out/hosts)" = "$before" ] && seq 20 | cmp - $out/hosts
            [ ! -e {runs} ] && [ "$(ls -A $out)" = "filler
hosts" ] && rm $out/filler
            kvx_out -c 644 {in_place} -e "{handler}"
            seq 6000 | cmp - $out/hosts && stat -c %a $out/hosts && ls -A $out"#,
            runs = place.path().join("runs").display()
        );
        let ran = with_own_mounts(&place, &script).expect(0);
        assert_eq!(
            ran.out(),
            "status 73
644
hosts
",
            "{}",
            ran.stderr
        );
        let said: Vec<&str> = ran.stderr.lines().collect();
        assert!(said[0].contains("No space left on device"), "{}", ran.stderr);
        assert!(said[1].contains("installed") && said.len() == 2, "{}", ran.stderr);
        assert_eq!(place.runs().len(), 1);
        std::fs::remove_file(place.path().join("runs")).unwrap();
    }
}

#[test]
fn what_cannot_be_recorded_on_a_full_disk_is_not_done() {
    let place = Place::new();
    place.upload(lines(20));
    place.kvx_out().run().expect(0);
    place.upload(lines(600));
    let script = r#"mount -t tmpfs -o size=16k,mode=700 none $state
        dd if=/dev/zero of=$state/filler 2>/dev/null || :
        kvx_out || echo status $?
        rm $state/filler; kvx_out -e 'echo paid'"#;
    let ran = with_own_mounts(&place, script).expect(0);
    assert_eq!(
        ran.out(),
        "status 73
"
    );
    let said: Vec<&str> = ran.stderr.lines().collect();
    assert!(
        said[0].contains("the state of the file cannot be kept") && said[0].contains("make room"),
        "{}",
        ran.stderr
    );
    assert!(said[1..] == ["handler: paid", said[2]] && said[2].contains("600 lines"), "{}", ran.stderr);
    assert_eq!(place.names(), ["hosts"]);
}

#[test]
fn a_read_only_file_system_is_named_as_such() {
    let place = Place::new();
    place.upload(lines(20));
    let ran = with_own_mounts(&place, "mount -t tmpfs -o ro none $out; kvx_out --mkdir -e false");
    ran.expect(73).says(&[&place.key, "/out/.hosts.kvx~", "Read-only file system", "--in-place"]);
}

#[test]
fn a_user_without_permission_gets_an_error_that_names_it_and_nothing_changes() {
    let place = Place::new();
    place.upload(lines(20));
    let out = place.path().join("out");
    std::fs::write(
        place.file(),
        "old
",
    )
    .unwrap();
    let state = place.path().join("state");
    std::fs::create_dir(&state).unwrap();
    let run = || as_nobody(&place).args(["-e", &format!("touch {}/ran", state.display())]);
    // The directory of the file: not his, and not to be written.
    give_to_nobody(&state, 0o700);
    give_to_nobody(&out, 0o555);
    give_to_nobody(&place.file(), 0o644);
    run().run().expect(73).says(&[
        &place.key,
        ".hosts.kvx~",
        "Permission denied",
        "must be allowed to write the directory",
    ]);
    run().arg("--mkdir").args(["-f", "/kvx-nobody/hosts"]).run().expect(64);
    // The file: not to be read.
    give_to_nobody(&place.file(), 0o000);
    run().run().expect(73).says(&["the installed file cannot be read", "Permission denied", "run as a user who may"]);
    // What is recorded.
    give_to_nobody(&place.file(), 0o644);
    give_to_nobody(&out, 0o755);
    std::fs::remove_dir_all(&state).unwrap();
    std::fs::create_dir(&state).unwrap();
    give_to_nobody(&state, 0o500);
    run().run().expect(73).says(&["the state of the file cannot be kept", "Permission denied", "--state-dir"]);
    assert_eq!(
        (place.content(), place.names()),
        (
            "old
"
            .into(),
            vec!["hosts".into()]
        )
    );
    assert_eq!(std::fs::read_dir(&state).unwrap().count(), 0, "no state file, and no handler has run");
    // An owner whom he may not give the file to.
    give_to_nobody(&state, 0o700);
    if geteuid().is_root() {
        run().args(["-o", "root"]).run().expect(73).says(&["its owner cannot be set", "-o"]);
        assert_eq!(
            (place.content(), place.names()),
            (
                "old
"
                .into(),
                vec!["hosts".into()]
            )
        );
    }
    // In place, a file that he may write but does not own, and a directory he may not: even so, a check needs a copy.
    if geteuid().is_root() {
        std::fs::set_permissions(place.file(), std::fs::Permissions::from_mode(0o664)).unwrap();
        chown(place.file(), Some(0), Some(NOBODY)).unwrap();
        run().args(["--in-place", "--check", "grep -q 20 {}"]).run().expect(0).says(&["20 lines", "handler ran"]);
        give_to_nobody(&out, 0o555);
        place.upload(lines(21));
        let ran = run().args(["--in-place", "--check", "true {}"]).run().expect(73);
        ran.says(&["Permission denied", "--check needs a copy next to the file"]);
        give_to_nobody(&out, 0o755);
        give_to_nobody(&place.file(), 0o644);
    }
    // And what he may; a killed run's file of a mode that even he may not read is in nobody's way.
    let leftover = place.write("out/.hosts.kvx~", "half");
    give_to_nobody(&leftover, 0o000);
    run().args(["-c", "0"]).run().expect(0).says(&["installed"]);
    assert_eq!((place.mode(), place.names()), (0, vec!["hosts".into()]));
}
