//! What a local user does to the files and directories of a run of root's: neither its file nor its rights become that user's,
//! and it is not held up.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::common::users::can;
use crate::common::{self, Place, Run, lines, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use xattr::FileExt;

/// A user, and the group of the same number, that nobody else is.
const ALICE: u32 = 4242;
/// Another group: `shadow`, in Debian.
const SHADOW: u32 = 42;
const ACL: &str = "system.posix_acl_access";

/// A place whose `out` is alice's, with 20 lines uploaded.
fn place_of_alice() -> Place {
    let place = open_place();
    chown(place.path().join("out"), Some(ALICE), Some(ALICE)).unwrap();
    place
}

/// A place that other users can enter, with 20 lines uploaded.
fn open_place() -> Place {
    let place = Place::new();
    fs::set_permissions(place.path(), Permissions::from_mode(0o755)).unwrap();
    place.upload(lines(20));
    place
}

/// A place whose `out` everybody can write, as /tmp.
fn open_to_all() -> Place {
    let place = open_place();
    fs::set_permissions(place.path().join("out"), Permissions::from_mode(0o1777)).unwrap();
    place
}

fn as_alice(words: &[&str]) -> Command {
    let mut command = Command::new("setpriv");
    let id = ALICE.to_string();
    command.args(["--reuid", &id, "--regid", &id, "--clear-groups"]).args(words);
    command
}

/// The managed file's owner, group and mode.
fn of(place: &Place) -> (u32, u32, u32) {
    let is = fs::metadata(place.file()).unwrap();
    (is.uid(), is.gid(), is.mode() & 0o7777)
}

fn inode(place: &Place) -> u64 {
    fs::metadata(place.file()).unwrap().ino()
}

fn set(place: &Place, owner: (u32, u32), mode: u32) {
    chown(place.file(), Some(owner.0), Some(owner.1)).unwrap();
    fs::set_permissions(place.file(), Permissions::from_mode(mode)).unwrap();
}

/// What she does to a file that she has had open since it was hers: nothing of it is in the file.
fn write_through(mut held: File, place: &Place) {
    let before = place.content();
    held.write_all(b"evil\n").unwrap();
    assert_eq!(place.content(), before);
}

/// A program of alice's that goes on until it is told to end.
struct Held(Child);

impl Held {
    /// Started, and ready: it says so by a line.
    fn start(words: &[&str]) -> Held {
        let mut child = as_alice(words).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Held(child)
    }

    /// Has a shared lock on this file or directory.
    fn locks(path: &Path) -> Held {
        Held::start(&["flock", "-s", path.to_str().unwrap(), "sh", "-c", "echo ready; read line"])
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = kill(Pid::from_raw(self.0.id() as i32), Signal::SIGTERM);
        let _ = self.0.wait();
    }
}

#[test]
fn set_id_and_write_bits_are_not_taken_over_from_another_owner() {
    if !can("acting for another user") {
        return;
    }
    let owner = |owner: u32, group: u32| ["-o".to_owned(), format!("{owner}:{group}")];
    for (by, new, mode) in [((ALICE, ALICE), (ALICE, SHADOW), 0o2777), ((ALICE, SHADOW), (0, 0), 0o6777)] {
        // The content is right: so it is repaired. It is not: so another is installed.
        for count in [20, 21] {
            let place = place_of_alice();
            place.kvx_out().args(owner(by.0, by.1)).run().expect(0);
            set(&place, by, mode);
            let held = File::options().append(true).open(place.file()).unwrap();
            place.upload(lines(count));
            place.kvx_out().args(owner(new.0, new.1)).run().expect(0).says(&[if count == 20 {
                "mended"
            } else {
                "installed"
            }]);
            assert_eq!(of(&place), (new.0, new.1, 0o755));
            write_through(held, &place);
            place.kvx_out().args(owner(new.0, new.1)).run().expect(0).is_silent();
            // In place, the inode would stay the one that she has open.
            set(&place, by, mode);
            if by.0 != new.0 {
                let before = inode(&place);
                let ran = place.kvx_out().arg("--in-place").args(owner(new.0, new.1)).run().expect(73);
                ran.says(&["belongs to user 4242", "leave out --in-place"]);
                assert_eq!((of(&place), inode(&place)), ((by.0, by.1, mode), before));
            } else {
                place.kvx_out().arg("--in-place").args(owner(new.0, new.1)).run().expect(0);
                assert_eq!(of(&place), (new.0, new.1, 0o755));
            }
        }
    }
    // They come only from -c.
    let place = place_of_alice();
    place.kvx_out().args(owner(ALICE, ALICE)).run().expect(0);
    set(&place, (ALICE, ALICE), 0o3767);
    place.kvx_out().args(owner(ALICE, ALICE)).run().expect(0).says(&["mended"]);
    assert_eq!(of(&place), (ALICE, ALICE, 0o767));
    let before = inode(&place);
    place.kvx_out().args(["-c", "4755"]).args(owner(ALICE, ALICE)).run().expect(0).says(&["mended"]);
    assert!(of(&place) == (ALICE, ALICE, 0o4755) && inode(&place) != before);
    place.kvx_out().args(["-c", "4755"]).run().expect(0).is_silent();
}

/// An ACL as the kernel keeps it: the group may read, alice read and write, which is the mask.
fn acl() -> Vec<u8> {
    let entries: [(u16, u16, u32); 5] =
        [(0x01, 6, u32::MAX), (0x02, 6, ALICE), (0x04, 4, u32::MAX), (0x10, 6, u32::MAX), (0x20, 0, u32::MAX)];
    let mut bytes = 2u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(permissions.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

#[test]
fn an_acl_is_kept_only_while_owner_and_group_stay() {
    if !can("acting for another user") {
        return;
    }
    let acl_of = |place: &Place| File::open(place.file()).unwrap().get_xattr(ACL).unwrap();
    for options in [&["-o", "0:0", "-c", "640"][..], &["-o", "0:0"], &["-o", ":0"], &["-o", "0:0", "--in-place"]] {
        for count in [20, 21] {
            let place = place_of_alice();
            let owner = if options.contains(&"--in-place") { (0, ALICE) } else { (ALICE, ALICE) };
            place.kvx_out().args(["-o", &format!("{}:{}", owner.0, owner.1)]).run().expect(0);
            File::open(place.file()).unwrap().set_xattr(ACL, &acl()).unwrap();
            assert_eq!(of(&place).2, 0o660, "the mask");
            place.upload(lines(count));
            place.kvx_out().args(options).run().expect(0);
            // Its group could read: not write, as the mask would say.
            assert_eq!((acl_of(&place), of(&place).2), (None, 0o640), "{options:?}");
            assert!(
                !as_alice(&["test", "-r", place.file().to_str().unwrap()]).status().unwrap().success()
                    || options[1] == ":0"
            );
        }
    }
    let place = place_of_alice();
    place.kvx_out().args(["-o", "0:0"]).run().expect(0);
    File::open(place.file()).unwrap().set_xattr(ACL, &acl()).unwrap();
    place.upload(lines(21));
    place.kvx_out().args(["-o", "0:0"]).run().expect(0).says(&["installed"]);
    assert_eq!(acl_of(&place), Some(acl()));
}

#[test]
fn whoever_is_no_longer_let_in_has_the_old_file_open_and_not_the_new_one() {
    let place = Place::new();
    place.upload(lines(20));
    let handler = place.handler();
    let run = |mode: &str| place.kvx_out().args(["-c", mode, "-e", &handler]).run();
    run("666").expect(0);
    let held = File::options().append(true).open(place.file()).unwrap();
    let before = inode(&place);
    run("660").expect(0).says(&["owner or mode", "mended"]);
    assert_ne!(inode(&place), before);
    write_through(held, &place);
    // Where only more are let in, it is the same file.
    let before = inode(&place);
    run("664").expect(0).says(&["owner or mode", "mended"]);
    assert_eq!((inode(&place), place.mode(), place.runs().len()), (before, 0o664, 1));
    assert_eq!(place.beside(), ["hosts"]);
    // Its other names keep the old one, and the run says so.
    fs::hard_link(place.file(), place.path().join("other")).unwrap();
    run("600").expect(0).says(&["mended", "its other names, hard links: 1, keep the old ones"]);
    assert_eq!(fs::metadata(place.path().join("other")).unwrap().mode() & 0o777, 0o664);
}

#[test]
fn locks_and_leftovers_of_others_are_in_nobodys_way() {
    if !can("acting for another user") {
        return;
    }
    let place = open_to_all();
    place.kvx_out().args(["-c", "644"]).run().expect(0);
    {
        let _lock = Held::locks(&place.file());
        place.upload(lines(21));
        place.kvx_out().arg("--in-place").run().expect(0).says(&["installed"]);
    }
    // A file of a killed run of kvx 0.1, with its final mode; and what she puts there herself.
    let staged = place.path().join("out/.hosts.kvx~");
    let leave: [&dyn Fn(); 4] = [
        &|| {
            fs::write(&staged, "half").unwrap();
        },
        &|| {
            fs::write(&staged, "hers").unwrap();
            chown(&staged, Some(ALICE), Some(ALICE)).unwrap();
        },
        &|| {
            fs::create_dir(&staged).unwrap();
            chown(&staged, Some(ALICE), Some(ALICE)).unwrap();
        },
        &|| fs::create_dir(&staged).unwrap(),
    ];
    for (nth, leave) in leave.iter().enumerate() {
        leave();
        let _lock = Held::locks(&staged);
        place.upload(lines(30 + nth));
        place.kvx_out().run().expect(0).says(&["installed"]);
        assert_eq!((place.content(), place.beside()), (lines(30 + nth), vec!["hosts".into()]), "{nth}");
    }
    mkfifo(&staged, Mode::S_IRWXU).unwrap();
    place.kvx_out().run().expect(0).is_silent();
    assert_eq!(place.beside(), ["hosts"]);
    // Her files are not removed.
    chown(place.path().join("out"), Some(ALICE), Some(ALICE)).unwrap();
    fs::set_permissions(place.path().join("out"), Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(&staged).unwrap();
    fs::write(staged.join("hers"), "").unwrap();
    chown(&staged, Some(ALICE), Some(ALICE)).unwrap();
    place.upload(lines(22));
    place.kvx_out().run().expect(73).says(&[staged.to_str().unwrap(), "a directory with files in it", "remove it"]);
    assert!(staged.join("hers").exists() && place.content() != lines(22));
}

#[test]
fn what_a_killed_check_left_is_swept() {
    let place = Place::new();
    place.upload(lines(20));
    let ready = place.path().join("ready");
    let check = format!(
        "sh -c 'mkdir -p $(dirname $0)/a/b; touch $(dirname $0)/a/b/c; touch {}; sleep 1000' {{}}",
        ready.display()
    );
    let mut child = place.kvx_out().args(["--check", &check]).spawn();
    wait_for("the check", 10, || ready.exists().then_some(()));
    // It is killed alone: the check goes on.
    let group: Vec<i32> = children_of(child.id());
    kill(Pid::from_raw(child.id() as i32), Signal::SIGKILL).unwrap();
    child.wait().unwrap();
    assert_eq!(place.beside(), [".hosts.kvx~"]);
    place.kvx_out().run().expect(0).says(&["installed"]);
    assert_eq!(place.beside(), ["hosts"]);
    for check in group {
        kill(Pid::from_raw(-check), Signal::SIGKILL).unwrap(); // It leads a group of its own.
    }
}

/// The processes that it has started.
fn children_of(parent: u32) -> Vec<i32> {
    let all =
        fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    all.filter(|id| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        stat.rsplit_once(')').is_some_and(|(_, rest)| rest.split_whitespace().nth(1) == Some(&parent.to_string()))
    })
    .collect()
}

#[test]
fn a_check_can_be_reached_but_not_locked_and_what_it_leaves_running_changes_nothing() {
    let place = open_place();
    if can("acting for another user") {
        // It may give up its rights, and still read the file; but not lock, or list, the directory of the run.
        let as_alice = format!("setpriv --reuid {ALICE} --regid {ALICE} --clear-groups");
        let script = format!(
            "cd \"$(dirname \"$1\")\"; {as_alice} cat hosts >/dev/null && {as_alice} flock -n -s . true && \
             ! {as_alice} flock -n -s .. true && ! {as_alice} ls .. && ! {as_alice} cat ../new"
        );
        let check = format!("sh -c {} - {{}}", shell_words::quote(&script));
        place.kvx_out().args(["-c", "644", "--check", &check]).run().expect(0);
        place.upload(lines(21));
    }
    // It leaves its process group, so it is not killed; with the file open, and the path in mind.
    let script = "exec 3>>\"$1\"; cd \"$2\"; \
                  setsid sh -c 'touch started; until test -e go; do sleep 0.01; done; echo evil >&3; echo evil >>\"$1\"; touch done' - \"$1\" \
                  >/dev/null 2>&1 & until test -e started; do sleep 0.01; done";
    let check = format!("sh -c {} - {{}} {}", shell_words::quote(script), place.path().display());
    let before = place.kvx_out().args(["--check", &check]).run().expect(0);
    assert!(before.stderr.contains("installed"), "{}", before.stderr);
    let content = place.content();
    place.write("go", "");
    wait_for("what the check has left", 10, || place.path().join("done").exists().then_some(()));
    assert_eq!((place.content(), place.beside()), (content, vec!["hosts".into()]));
}

#[test]
fn a_link_is_followed_only_if_someone_who_decides_there_has_put_it() {
    if !can("acting for another user") {
        return;
    }
    let place = open_to_all();
    let victim = place.write("victim", "precious\n");
    fs::create_dir(place.path().join("etc")).unwrap();
    let link = |target: &Path, name: &str, owner: u32| {
        let path = place.path().join("out").join(name);
        symlink(target, &path).unwrap();
        std::os::unix::fs::lchown(&path, Some(owner), Some(owner)).unwrap();
        path
    };
    let run = |file: PathBuf| {
        let run = Run::new("kvx-out", &place.consul.address).args(["-k", &place.key, "--state-dir"]);
        run.arg(place.path().join("state")).args(["--mkdir", "-e", &place.handler(), "-f"]).arg(file).run()
    };
    // At the end, and in the middle.
    let hers = [link(&victim, "hers", ALICE), link(&place.path().join("etc"), "etc", ALICE).join("hosts")];
    for file in hers {
        run(file).expect(73).says(&["the symbolic link", "is not followed", "belongs to user 4242", "-f"]);
    }
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious\n");
    assert_eq!((fs::read_dir(place.path().join("etc")).unwrap().count(), place.runs().len()), (0, 0));
    // Of root, and of the owner of the directory.
    run(link(&place.path().join("etc"), "roots", 0).join("one")).expect(0).says(&["installed", "etc/one"]);
    chown(place.path().join("out"), Some(ALICE), Some(ALICE)).unwrap();
    fs::create_dir(place.path().join("out/new")).unwrap();
    chown(place.path().join("out/new"), Some(ALICE), Some(ALICE)).unwrap();
    run(link(Path::new("new/two"), "hers-too", ALICE)).expect(0).says(&["installed", "new/two"]);
    run(link(Path::new("loop"), "loop", 0)).expect(73).says(&["symbolic links"]);
    run(link(Path::new("loop"), "loop-too", 0).join("in")).expect(73).says(&["symbolic links"]);
}

#[test]
fn a_link_in_a_directory_of_hers_leads_nowhere_else() {
    if !can("acting for another user") {
        return;
    }
    let place = place_of_alice();
    let (out, etc) = (place.path().join("out"), place.path().join("etc"));
    for (directory, owner) in [(&etc, 0), (&out.join("hers"), ALICE)] {
        fs::create_dir(directory).unwrap();
        chown(directory, Some(owner), Some(owner)).unwrap();
    }
    // Whoever has made it: she can rename one of root's. In the middle, at the end, and by way of another of hers.
    for (target, name, owner) in [
        (etc.join("preload"), "hosts", ALICE),
        (etc.clone(), "etc", ALICE),
        (etc.clone(), "roots", 0),
        (etc.join("preload"), "hers/roots", 0),
        (out.join("hers/roots"), "twice", ALICE),
    ] {
        symlink(target, out.join(name)).unwrap();
        std::os::unix::fs::lchown(out.join(name), Some(owner), Some(owner)).unwrap();
    }
    let run = |file: &str| {
        let run = Run::new("kvx-out", &place.consul.address).args(["-k", &place.key, "-o", "4242:4242", "--mkdir"]);
        run.arg("--state-dir").arg(place.path().join("state")).arg("-f").arg(out.join(file)).run()
    };
    for file in ["hosts", "etc/preload", "etc/new/preload", "roots/preload", "hers/roots", "twice"] {
        run(file).expect(73).says(&["the symbolic link", "is not followed", "of user 4242", "belongs to user 0", "-f"]);
    }
    assert_eq!(fs::read_dir(&etc).unwrap().count(), 0);
    // Where she could put a file of her own, they do.
    symlink("hers", out.join("current")).unwrap();
    run("current/one").expect(0).says(&["installed", "hers/one"]);
}

#[test]
fn what_a_link_of_hers_leads_to_by_now_is_not_cleaned_away() {
    if !can("acting for another user") {
        return;
    }
    let place = place_of_alice();
    let (out, etc) = (place.path().join("out"), place.path().join("etc"));
    fs::create_dir(&etc).unwrap();
    let of_roots = [place.write("etc/hosts", "precious\n"), place.write("etc/hosts.last", "precious\n")];
    let run = |program: &str, options: &[&str]| {
        let run = Run::new(program, &place.consul.address).args(options).arg("--state-dir");
        run.arg(place.path().join("state")).arg("-f").arg(out.join("d/hosts")).run()
    };
    run("kvx-out", &["-k", &place.key, "--mkdir"]).expect(0);
    fs::rename(out.join("d"), out.join("old")).unwrap();
    symlink(&etc, out.join("d")).unwrap();
    run("kvx", &["clean", "--remove-file"]).expect(0).says(&["removed ", "state/"]);
    assert!(of_roots.iter().all(|file| file.exists()));
}

#[test]
fn what_her_directory_grants_by_default_is_not_granted_in_a_file_of_roots() {
    if !can("acting for another user") {
        return;
    }
    let place = place_of_alice();
    File::open(place.path().join("out")).unwrap().set_xattr("system.posix_acl_default", &acl()).unwrap();
    let owner = format!("0:{SHADOW}");
    for file in ["hosts", "new/directory/hosts"] {
        let file = place.path().join("out").join(file);
        let run = Run::new("kvx-out", &place.consul.address).args(["-k", &place.key, "-o", &owner, "-c", "660"]);
        let run = run.args(["--mkdir", "--state-dir"]).arg(place.path().join("state"));
        run.args(["--check", &format!("sh -c 'cp --preserve=xattr $1 {}/shown' sh {{}}", place.path().display())])
            .arg("-f")
            .arg(&file)
            .run()
            .expect(0);
        for file in [file, place.path().join("shown")] {
            assert_eq!(File::open(&file).unwrap().get_xattr(ACL).unwrap(), None, "{}", file.display());
        }
    }
}

#[test]
fn a_directory_of_roots_that_she_renames_is_neither_emptied_nor_opened() {
    if !can("acting for another user") {
        return;
    }
    let place = place_of_alice();
    let precious = || {
        let private = place.path().join("out/private");
        DirBuilder::new().mode(0o700).create(&private).unwrap();
        fs::create_dir(private.join("below")).unwrap();
        fs::write(private.join("below/precious"), "precious\n").unwrap();
        private
    };
    let is_as_it_was = |private: &Path| {
        let mode = fs::metadata(private).unwrap().mode() & 0o7777;
        assert_eq!(
            (mode, fs::read_to_string(private.join("below/precious")).unwrap()),
            (0o700, "precious\n".to_owned())
        );
    };
    let staged = place.path().join("out/.hosts.kvx~");
    fs::rename(precious(), &staged).unwrap();
    place.kvx_out().run().expect(73).says(&[staged.to_str().unwrap(), "files in it that are not ours", "remove it"]);
    is_as_it_was(&staged);
    fs::remove_dir_all(&staged).unwrap();
    // In the moment in which a new one has been made, and is not open yet.
    let private = precious();
    let new = place.path().join("out/new");
    let mut run = Command::new("strace");
    run.args(["-o", "/dev/null", "-e", "trace=mkdirat", "-e", "inject=mkdirat:delay_exit=1000000"]);
    let ours = Run::new("kvx-out", &place.consul.address).args(["-k", &place.key, "--mkdir", "--state-dir"]);
    let ours = ours.arg(place.path().join("state")).arg("-f").arg(new.join("hosts"));
    run.arg(ours.command.get_program()).args(ours.command.get_args()).env("CONSUL_HTTP_ADDR", &place.consul.address);
    let child = run.stderr(Stdio::piped()).spawn().unwrap();
    wait_for("the directory", 20, || new.exists().then_some(()));
    fs::rename(&new, place.path().join("out/old")).unwrap();
    fs::rename(&private, &new).unwrap();
    let ended = child.wait_with_output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(said.contains("somebody has just put another directory there"), "{said}");
    is_as_it_was(&new);
}

#[test]
fn where_everybody_can_create_files_nobody_holds_the_name_in_which_a_file_is_prepared() {
    if !can("acting for another user") {
        return;
    }
    let place = open_to_all();
    place.kvx_out().run().expect(0);
    let staged = place.path().join("out/.hosts.kvx~");
    // With files in it, which stay hers.
    fs::create_dir(&staged).unwrap();
    fs::write(staged.join("hers"), "").unwrap();
    chown(&staged, Some(ALICE), Some(ALICE)).unwrap();
    for manner in [&[][..], &["--check", "test -s {}"], &["--in-place", "--check", "test -s {}"]] {
        place.upload(lines(30 + manner.len()));
        place.kvx_out().args(manner).run().expect(0).says(&["installed"]);
        assert_eq!(place.content(), lines(30 + manner.len()));
    }
    let out = || fs::read_dir(place.path().join("out")).unwrap().map(|entry| entry.unwrap().path());
    assert!(out().any(|path| path.join("hers").exists()));
    // Created again whenever it is taken away.
    let ended = std::sync::atomic::AtomicBool::new(false);
    let is_over = || ended.load(std::sync::atomic::Ordering::Relaxed);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over() {
                drop(fs::create_dir(&staged))
            }
        });
        for count in 40..50 {
            place.upload(lines(count));
            let ran = place.kvx_out().run();
            if count == 49 || ran.status.code() != Some(0) {
                ended.store(true, std::sync::atomic::Ordering::Relaxed);
            }
            ran.expect(0).says(&["installed"]);
        }
    });
    assert_eq!(out().filter(|path| path.is_dir() && path != &staged).count(), 1, "but for hers: {:?}", place.beside());
}

#[test]
fn a_directory_that_is_swapped_meanwhile_leads_nowhere_and_hangs_nobody() {
    let swaps: [&str; 3] = ["ln -s victim out", "mkfifo out", "mkdir out"];
    for swap in swaps {
        let place = Place::new();
        place.upload(lines(20));
        fs::create_dir(place.path().join("victim")).unwrap();
        place.write("victim/hosts", "precious\n");
        let script = format!("cd {}; mv out moved; {swap}", place.path().display());
        // The copy is found by its path, which is no longer there: nothing changes.
        let check = format!("sh -c {} {{}}", shell_words::quote(&script));
        let ran = place.kvx_out().args(["-e", &place.handler(), "--check", &check]).run().expect(75);
        ran.says(&["its directory has just been replaced by another", "run it again"]);
        assert_eq!(fs::read_to_string(place.path().join("victim/hosts")).unwrap(), "precious\n", "{swap}");
        assert_eq!(fs::read_dir(place.path().join("victim")).unwrap().count(), 1, "{swap}");
        assert_eq!((fs::read_dir(place.path().join("moved")).unwrap().count(), place.runs().len()), (0, 0), "{swap}");
    }
}

#[test]
fn what_a_user_has_put_where_everybody_can_counts_as_a_new_file() {
    if !can("acting for another user") {
        return;
    }
    for content in ["hers\n".to_owned(), lines(20)] {
        let place = open_to_all();
        fs::write(place.file(), content).unwrap();
        set(&place, (ALICE, ALICE), 0o666);
        File::open(place.file()).unwrap().set_xattr(ACL, &acl()).unwrap();
        let held = File::options().append(true).open(place.file()).unwrap();
        place.kvx_out().arg("--in-place").run().expect(73).says(&["belongs to user 4242"]);
        place.kvx_out().run().expect(0);
        assert_eq!(of(&place), (0, 0, 0o640));
        assert_eq!(File::open(place.file()).unwrap().get_xattr(ACL).unwrap(), None);
        write_through(held, &place);
        place.kvx_out().run().expect(0).is_silent();
        // A file that is to be hers is, and stays.
        place.kvx_out().args(["-o", "4242", "-c", "600"]).run().expect(0).says(&["mended"]);
        assert_eq!(of(&place), (ALICE, 0, 0o600));
        place.kvx_out().args(["-o", "4242", "-c", "600"]).run().expect(0).is_silent();
        fs::set_permissions(place.file(), Permissions::from_mode(0o666)).unwrap();
        place.kvx_out().args(["-o", "4242"]).run().expect(0).says(&["mended"]);
        assert_eq!(of(&place), (ALICE, 0, 0o640));
    }
}

#[test]
fn a_file_that_cannot_be_read_is_replaced() {
    if !can("acting for another user") {
        return;
    }
    // A write lease on it, as its owner may take one: whoever opens it would have to wait.
    let place = place_of_alice();
    let lease = |place: &Place| {
        let script = "open F, '<', shift or die; $SIG{IO} = 'IGNORE'; fcntl(F, 1024, 1) or die $!; $| = 1; print \"ready\\n\"; <STDIN>";
        Held::start(&["perl", "-e", script, place.file().to_str().unwrap()])
    };
    fs::write(place.file(), lines(1000)).unwrap();
    set(&place, (ALICE, ALICE), 0o666);
    let held = lease(&place);
    place.kvx_out().args(["--max-shrink", "50"]).run().expect(65).says(&["would shrink from 3893 bytes to 51"]);
    place.kvx_out().arg("--in-place").run().expect(73).says(&["has a lease on", "leave out --in-place"]);
    place.kvx_out().args(["-e", &place.handler()]).run().expect(0).says(&["installed"]);
    drop(held);
    assert_eq!((of(&place), place.content(), place.runs().len()), ((ALICE, ALICE, 0o604), lines(20), 1));
    place.kvx_out().args(["-e", &place.handler()]).run().expect(0).is_silent();
}

#[test]
fn an_open_descriptor_is_never_renamed_over() {
    let place = Place::new();
    place.upload(lines(20));
    let log = place.write("app.log", "a log\n");
    let link = place.path().join("out/link");
    symlink("/dev/stdout", &link).unwrap();
    let indirect = place.path().join("out/indirect");
    symlink("/proc/self/fd", &indirect).unwrap();
    let own = format!("/proc/{}/cwd/x", std::process::id());
    let literal = ["/dev/stdout", "/dev/stderr", "/dev/stdin", "/dev/fd/1", "/proc/self/fd/1", &own];
    let led = [link.display().to_string(), indirect.join("1").display().to_string()];
    let cases = literal.map(|file| (file.to_owned(), 64)).into_iter().chain(led.map(|file| (file, 73)));
    for (file, status) in cases {
        for manner in [&[][..], &["--in-place"]] {
            let mut run = Run::new("kvx-out", &place.consul.address).args(["-k", &place.key, "-f", &file]).args(manner);
            run.command.arg("--state-dir").arg(place.path().join("state")).current_dir(place.path());
            let output = run.command.stdin(Stdio::null()).stdout(File::options().append(true).open(&log).unwrap());
            let ran = common::Ran::from(output.stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap());
            ran.expect(status).says(&["stdout", "-f -"]);
            assert_eq!(fs::read_to_string(&log).unwrap(), "a log\n", "{file}");
        }
    }
    assert_eq!(place.beside(), ["indirect", "link"]);
}

#[test]
fn created_directories_can_be_entered_whatever_the_umask() {
    for umask in ["0077", "0777", "0"] {
        let place = open_place();
        DirBuilder::new().mode(0o777).create(place.path().join("state")).unwrap();
        fs::set_permissions(place.path().join("state"), Permissions::from_mode(0o1777)).unwrap();
        chown(place.path().join("out"), None, nix::unistd::geteuid().is_root().then_some(ALICE)).unwrap();
        fs::set_permissions(place.path().join("out"), Permissions::from_mode(0o2777)).unwrap();
        let program = place.path().join("kvx-out");
        common::run::copy_of("kvx-out", &program);
        let is_root = nix::unistd::geteuid().is_root();
        for user in [0, ALICE].into_iter().filter(|user| is_root || *user == 0) {
            let script = format!(
                "umask {umask}; exec {} -k {} --state-dir {}/state/{user} --mkdir -f {}/out/{user}/b/hosts -c 644 --check 'grep -q 20 {{}}'",
                program.display(),
                place.key,
                place.path().display(),
                place.path().display()
            );
            DirBuilder::new().create(place.path().join(format!("state/{user}"))).unwrap();
            if is_root {
                chown(place.path().join(format!("state/{user}")), Some(user), Some(user)).unwrap();
            }
            fs::set_permissions(place.path().join("state"), fs::Permissions::from_mode(0o755)).unwrap();
            let mut command = match user {
                ALICE => as_alice(&["sh", "-c", &script]),
                _ => {
                    let mut sh = Command::new("sh");
                    sh.args(["-c", &script]);
                    sh
                }
            };
            let output = command.env("CONSUL_HTTP_ADDR", &place.consul.address).output().unwrap();
            common::Ran::from(output).expect(0).says(&["installed"]);
            for directory in ["", "b"] {
                let is = fs::metadata(place.path().join(format!("out/{user}/{directory}"))).unwrap();
                assert_eq!(is.mode() & 0o7777, 0o2755, "{umask} {user} {directory}: of a set-group-id directory");
            }
            let names = fs::read_dir(place.path().join(format!("out/{user}/b"))).unwrap();
            assert_eq!(names.count(), 1);
        }
    }
}
