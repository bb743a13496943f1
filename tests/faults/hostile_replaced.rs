//! A directory of root's in a directory of a local user, who can give its name to another one of root's: what is in that
//! one, or what it grants, is believed as little as if the user had put it there.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::hostile::{ACL, ALICE, acl, open_place, open_to_all, place_of_alice};
use crate::common::users::can;
use crate::common::{Place, Ran, Run, lines, wait_for};
use xattr::FileExt;

const DEFAULT_ACL: &str = "system.posix_acl_default";

/// Root has made `out/app` and `out/other`, in a directory that she, or everyone, can write; and `other` gets the name of
/// `app`.
struct Swapped {
    place: Place,
    app: PathBuf,
}

impl Swapped {
    /// With this content of `other`.
    fn with(place: Place, fill: impl FnOnce(&Path)) -> Swapped {
        let (app, other) = (place.path().join("out/app"), place.path().join("out/other"));
        for directory in [&app, &other] {
            fs::create_dir(directory).unwrap();
        }
        fill(&other);
        fs::rename(&app, place.path().join("out/old")).unwrap();
        fs::rename(&other, &app).unwrap();
        Swapped { place, app }
    }

    fn file(&self) -> PathBuf {
        self.app.join("hosts")
    }

    fn run(&self, options: &[&str]) -> Ran {
        let run = Run::new("kvx-out", &self.place.consul.address).args(["-k", &self.place.key, "--state-dir"]);
        run.arg(self.place.path().join("state")).args(options).arg("-f").arg(self.file()).run()
    }

    /// Owner, mode and ACL of the file.
    fn is(&self) -> (u32, u32, Option<Vec<u8>>) {
        let file = File::open(self.file()).unwrap();
        let metadata = file.metadata().unwrap();
        (metadata.uid(), metadata.mode() & 0o7777, file.get_xattr(ACL).unwrap())
    }
}

fn of_all() -> Place {
    let place = open_place();
    fs::set_permissions(place.path().join("out"), Permissions::from_mode(0o777)).unwrap();
    place
}

fn write(file: &Path, content: &str, mode: u32) {
    fs::write(file, content).unwrap();
    fs::set_permissions(file, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn the_acl_of_a_file_in_it_is_not_kept() {
    if !can("acting for another user") {
        return;
    }
    for (place, mode) in [(place_of_alice as fn() -> Place, 0o640), (of_all, 0o640)] {
        for options in [&[][..], &["-o", "0:0", "-c", "660"]] {
            let swapped = Swapped::with(place(), |other| {
                write(&other.join("hosts"), "another\n", 0o640);
                File::open(other.join("hosts")).unwrap().set_xattr(ACL, &acl()).unwrap();
            });
            swapped.run(options).expect(0).says(&["installed"]);
            let mode = if options.is_empty() { mode } else { 0o660 };
            assert_eq!(swapped.is(), (0, mode, None), "{options:?}");
            swapped.run(options).expect(0).is_silent();
        }
    }
    // Nor is its mode, where every user can do that.
    for content in ["another\n".to_owned(), lines(20)] {
        let swapped = Swapped::with(of_all(), |other| write(&other.join("hosts"), &content, 0o666));
        swapped.run(&[]).expect(0);
        assert_eq!(swapped.is(), (0, 0o640, None));
        swapped.run(&[]).expect(0).is_silent();
    }
}

#[test]
fn its_default_acl_does_not_apply_to_a_new_file() {
    if !can("acting for another user") {
        return;
    }
    for place in [place_of_alice as fn() -> Place, of_all] {
        for options in [&[][..], &["-o", "0:0", "-c", "660"], &["--mkdir"]] {
            let swapped = Swapped::with(place(), |other| {
                // As a directory that is made in one of hers gets it.
                File::open(other).unwrap().set_xattr(DEFAULT_ACL, &acl()).unwrap();
            });
            let swapped = match options {
                ["--mkdir"] => Swapped { app: swapped.app.join("new"), ..swapped },
                _ => swapped,
            };
            swapped.run(options).expect(0).says(&["installed"]);
            assert_eq!(swapped.is(), (0, if options.contains(&"-c") { 0o660 } else { 0o640 }, None), "{options:?}");
            if options == ["--mkdir"] {
                assert_eq!(File::open(&swapped.app).unwrap().get_xattr(DEFAULT_ACL).unwrap(), None);
            }
        }
    }
    // In a directory that nobody can replace, root's default ACL counts.
    let swapped = Swapped::with(open_place(), |other| {
        File::open(other).unwrap().set_xattr(DEFAULT_ACL, &acl()).unwrap();
    });
    swapped.run(&["-c", "660"]).expect(0).says(&["installed"]);
    assert_eq!(swapped.is(), (0, 0o660, Some(acl())));
}

#[test]
fn in_place_a_file_in_it_that_has_another_name_is_not_changed() {
    if !can("acting for another user") {
        return;
    }
    for place in [place_of_alice as fn() -> Place, of_all] {
        for content in ["precious\n".to_owned(), lines(20)] {
            let place = place();
            let precious = place.write("precious", &content);
            let before = fs::metadata(&precious).unwrap();
            let swapped = Swapped::with(place, |other| fs::hard_link(&precious, other.join("hosts")).unwrap());
            let ran = swapped.run(&["--in-place", "-c", "646"]).expect(73);
            ran.says(&["it has 2 names (hard links)", "put another in its place", "leave out --in-place"]);
            let is = fs::metadata(&precious).unwrap();
            assert_eq!((fs::read_to_string(&precious).unwrap(), is.mode()), (content, before.mode()));
        }
    }
}

#[test]
fn a_link_in_it_leads_only_where_she_could_put_a_file() {
    if !can("acting for another user") {
        return;
    }
    let place = place_of_alice();
    let etc = place.path().join("etc");
    fs::create_dir(&etc).unwrap();
    let swapped = Swapped::with(place, |other| {
        symlink(&etc, other.join("current")).unwrap();
        symlink(etc.join("preload"), other.join("hosts")).unwrap();
    });
    let run = |program: &str, options: &[&str], file: &str| {
        let run = Run::new(program, &swapped.place.consul.address).args(options).arg("--state-dir");
        run.arg(swapped.place.path().join("state")).arg("-f").arg(swapped.app.join(file)).run()
    };
    let refusal = ["the symbolic link", "is not followed", "user 4242 can have put it there", "to user 0", "-f"];
    let install = ["-k", &swapped.place.key, "--mkdir"];
    let of_hers = ["-k", &swapped.place.key, "--mkdir", "-o", "4242:4242"];
    for file in ["hosts", "current/preload", "current/new/preload"] {
        for options in [&install[..], &of_hers] {
            run("kvx-out", options, file).expect(73).says(&refusal);
        }
    }
    // A marker next to the link is in root's own directory; beyond the link there is none.
    let lock = ["lock", "-r", "test"];
    run("kvx", &lock, "hosts").expect(0).says(&["locked on this node", "there is no such file yet"]);
    run("kvx", &lock, "current/preload").expect(73).says(&refusal);
    assert_eq!(fs::read_dir(&etc).unwrap().count(), 0);
    // A file next to the link is installed as ever; and through a link to a directory of hers she gets nowhere where she
    // could not get without it. Another of root's may be mounted elsewhere: that she can rename it is no permission.
    run("kvx-out", &install, "file").expect(0).says(&["installed", "app/file"]);
    for (directory, owner) in [("hers", ALICE), ("old", 0)] {
        let directory = swapped.place.path().join("out").join(directory);
        fs::create_dir_all(&directory).unwrap();
        chown(&directory, Some(owner), Some(owner)).unwrap();
        let link = swapped.app.join(format!("to-{owner}"));
        symlink(&directory, &link).unwrap();
        let ran = run("kvx-out", &install, link.join("file").to_str().unwrap());
        match owner {
            0 => ran.expect(73).says(&["is not followed", "to user 0", "-f"]),
            _ => ran.expect(0).says(&["installed", "/file"]),
        };
        assert_eq!(directory.join("file").exists(), owner == ALICE);
    }
}

#[test]
fn where_several_users_can_replace_it_no_link_in_it_is_followed() {
    if !can("acting for another user") {
        return;
    }
    for mode in [0o775, 0o777] {
        let place = open_place();
        fs::set_permissions(place.path().join("out"), Permissions::from_mode(mode)).unwrap();
        let victim = place.write("victim", "precious\n");
        let swapped = Swapped::with(place, |other| symlink(&victim, other.join("hosts")).unwrap());
        let out = swapped.place.path().join("out");
        let says = ["the symbolic link", "is not followed", "other users can change", out.to_str().unwrap(), "-f"];
        swapped.run(&[]).expect(73).says(&says);
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious\n");
        // Where it is sticky, only root can rename it.
        fs::set_permissions(&out, Permissions::from_mode(0o1000 | mode)).unwrap();
        swapped.run(&[]).expect(0).says(&["installed", "victim"]);
    }
}

/// She can move any file of root's there from another directory of hers.
#[test]
fn a_file_of_roots_that_she_can_have_moved_there_is_not_changed() {
    if !can("acting for another user") {
        return;
    }
    for place in [place_of_alice as fn() -> Place, of_all] {
        for (content, options) in
            [("precious\n".to_owned(), &["--in-place"][..]), (lines(20), &["--in-place"]), (lines(20), &[])]
        {
            let place = place();
            let file = place.file();
            write(&file, &content, 0o600);
            let before = fs::metadata(&file).unwrap();
            let held = File::open(&file).unwrap();
            let run = place.kvx_out().args(options).args(["-c", "644"]).run();
            if options.is_empty() {
                // Another takes its place; this one stays as it is.
                run.expect(0).says(&["restored"]);
                assert!(fs::metadata(&file).unwrap().ino() != before.ino());
            } else {
                run.expect(73).says(&["so it may be a file that one of them has moved or linked there", "--in-place"]);
                assert_eq!(fs::read_to_string(&file).unwrap(), content);
            }
            assert_eq!(held.metadata().unwrap().mode() & 0o777, 0o600);
        }
    }
}

#[test]
fn whom_a_directory_lets_write_can_have_replaced_what_is_below() {
    if !can("acting for another user") {
        return;
    }
    // Hers, and a group may write it: its members can have put another of her directories there.
    let place = place_of_alice();
    let below = place.path().join("out/below");
    fs::create_dir(&below).unwrap();
    write(&below.join("hosts"), "another\n", 0o640);
    File::open(below.join("hosts")).unwrap().set_xattr(ACL, &acl()).unwrap();
    for entry in [below.clone(), below.join("hosts")] {
        chown(entry, Some(ALICE), Some(ALICE)).unwrap();
    }
    let run = || {
        let run = Run::new("kvx-out", &place.consul.address).args(["-k", &place.key, "--state-dir"]);
        run.arg(place.path().join("state")).arg("-f").arg(below.join("hosts")).run()
    };
    let acl_now = || File::open(below.join("hosts")).unwrap().get_xattr(ACL).unwrap();
    run().expect(0).says(&["installed"]);
    assert_eq!(acl_now(), Some(acl()), "her directories are her own");
    fs::set_permissions(place.path().join("out"), Permissions::from_mode(0o775)).unwrap();
    place.upload(lines(21));
    run().expect(0).says(&["installed"]);
    assert_eq!(acl_now(), None);
}

#[test]
fn a_set_id_program_needs_an_owner_where_others_can_have_put_the_file() {
    if !can("acting for another user") {
        return;
    }
    let place = place_of_alice();
    write(&place.file(), "another\n", 0o644);
    chown(place.file(), Some(4243), Some(4243)).unwrap();
    place.kvx_out().args(["-c", "4755"]).run().expect(73).says(&["would get a set-id program", "-o"]);
    assert_eq!(fs::read_to_string(place.file()).unwrap(), "another\n");
    place.kvx_out().args(["-c", "4755", "-o", "4242:4242"]).run().expect(0).says(&["installed"]);
    let is = fs::metadata(place.file()).unwrap();
    assert_eq!((is.uid(), is.mode() & 0o7777), (ALICE, 0o4755));
}

#[test]
fn a_link_leads_nowhere_that_she_cannot_reach() {
    if !can("acting for another user") {
        return;
    }
    let place = place_of_alice();
    // A directory of the same user, such as a container's, below one of root's.
    let theirs = place.path().join("private/theirs");
    fs::create_dir_all(&theirs).unwrap();
    chown(&theirs, Some(ALICE), Some(ALICE)).unwrap();
    fs::set_permissions(place.path().join("private"), Permissions::from_mode(0o700)).unwrap();
    symlink(theirs.join("hosts"), place.file()).unwrap();
    place.kvx_out().run().expect(73).says(&["is not followed", "user 4242 can have put it there", "cannot get", "-f"]);
    assert_eq!(fs::read_dir(&theirs).unwrap().count(), 0);
    fs::set_permissions(place.path().join("private"), Permissions::from_mode(0o755)).unwrap();
    place.kvx_out().run().expect(0).says(&["installed", "theirs/hosts"]);
}

#[test]
fn a_file_whose_directory_is_moved_away_is_locked_in_consul_all_the_same() {
    if !can("acting for another user") {
        return;
    }
    let place = open_place();
    let sticky = place.path().join("out");
    fs::set_permissions(&sticky, Permissions::from_mode(0o1777)).unwrap();
    let (hers, away) = (sticky.join("hers"), sticky.join("away"));
    fs::create_dir(&hers).unwrap();
    chown(&hers, Some(ALICE), Some(ALICE)).unwrap();
    let run = |program: &str, options: &[&str]| {
        let run = Run::new(program, &place.consul.address).args(options).arg("--state-dir");
        run.arg(place.path().join("state")).arg("-f").arg(hers.join("hosts")).run()
    };
    run("kvx-out", &["-k", &place.key]).expect(0);
    fs::rename(&hers, &away).unwrap();
    run("kvx", &["lock", "-r", "why"]).expect(73).says(&["it is locked in Consul only"]);
    fs::rename(&away, &hers).unwrap();
    place.upload(lines(21));
    run("kvx-out", &["-k", &place.key]).expect(0).says(&["locked on this node", "why"]);
    assert_eq!(fs::read_to_string(hers.join("hosts")).unwrap(), lines(20));
}

/// She creates the missing directory, so that the old file is looked for in one directory and the new one written to
/// another.
#[test]
fn a_directory_that_was_missing_a_moment_ago_is_not_written_to() {
    if !can("acting for another user") {
        return;
    }
    // A sticky directory, too: that keeps nobody from adding an entry.
    for place in [place_of_alice as fn() -> Place, open_to_all] {
        let place = place();
        let (missing, theirs) = (place.path().join("out/new"), place.path().join("out/theirs"));
        fs::create_dir(&theirs).unwrap();
        write(&theirs.join("hosts"), "another\n", 0o600);
        let mut strace = Command::new("strace");
        strace.args(["-o", "/dev/null", "-e", "trace=mkdirat", "-e", "inject=mkdirat:delay_enter=1000000:when=1"]);
        let ours = Run::new("kvx-out", &place.consul.address).args(["-k", &place.key, "--mkdir", "-v", "--state-dir"]);
        let ours = ours.arg(place.path().join("state")).arg("-f").arg(missing.join("hosts"));
        strace
            .arg(ours.command.get_program())
            .args(ours.command.get_args())
            .env("CONSUL_HTTP_ADDR", &place.consul.address);
        let child = strace.stderr(Stdio::piped()).spawn().unwrap();
        // The state file exists before the directory is created.
        let state = place.path().join("state");
        wait_for("the run", 20, || fs::read_dir(&state).is_ok_and(|mut files| files.next().is_some()).then_some(()));
        std::thread::sleep(Duration::from_millis(500));
        fs::rename(&theirs, &missing).unwrap();
        let ended = child.wait_with_output().unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert!(ended.status.code() == Some(75) && said.contains("has just created its directory"), "{said}");
        assert_eq!(fs::read_to_string(missing.join("hosts")).unwrap(), "another\n");
    }
}

#[test]
fn a_file_is_locked_by_its_name_though_she_has_made_that_a_link_to_another() {
    if !can("acting for another user") {
        return;
    }
    let place = place_of_alice();
    let (f, g) = (place.path().join("out/f"), place.path().join("out/g"));
    let run = |program: &str, options: &[&str], file: &Path| {
        let run = Run::new(program, &place.consul.address).args(options).arg("--state-dir");
        run.arg(place.path().join("state")).arg("-f").arg(file).run()
    };
    for file in [&f, &g] {
        run("kvx-out", &["-k", &place.key], file).expect(0);
    }
    fs::rename(&f, place.path().join("out/aside")).unwrap();
    symlink("g", &f).unwrap();
    run("kvx", &["lock", "-r", "why"], &f).expect(0).says(&["locked on this node"]);
    fs::rename(place.path().join("out/aside"), &f).unwrap();
    place.upload(lines(21));
    run("kvx-out", &["-k", &place.key], &f).expect(0).says(&["locked on this node", "why"]);
    run("kvx-out", &["-k", &place.key], &g).expect(0).says(&["installed", "out/g"]);
    assert_eq!(fs::read_to_string(&f).unwrap(), lines(20));
    // Nor does that lift the other's lock.
    run("kvx", &["lock", "-r", "why"], &g).expect(0);
    fs::rename(&f, place.path().join("out/aside")).unwrap();
    symlink("g", &f).unwrap();
    run("kvx", &["unlock"], &f).expect(0);
    place.upload(lines(22));
    run("kvx-out", &["-k", &place.key], &g).expect(0).says(&["locked on this node", "why"]);
}
