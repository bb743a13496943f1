//! Attacks of a local user on the files and directories of a run as root: the user gains neither the file nor root's
//! permissions, and cannot block the run.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::common::users::can;
use crate::common::{self, Place, Run, lines, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use xattr::FileExt;

/// A user, and the group of the same number, that nobody else is.
pub const ALICE: u32 = 4242;

pub const ACL: &str = "system.posix_acl_access";

/// A place whose `out` is alice's, with 20 lines uploaded.
pub fn place_of_alice() -> Place {
    let place = open_place();
    chown(place.path().join("out"), Some(ALICE), Some(ALICE)).unwrap();
    place
}

/// A place that other users can enter, with 20 lines uploaded.
pub fn open_place() -> Place {
    let place = Place::new();
    fs::set_permissions(place.path(), Permissions::from_mode(0o755)).unwrap();
    place.upload(lines(20));
    place
}

/// A place whose `out` everybody can write, as /tmp.
pub fn open_to_all() -> Place {
    let place = open_place();
    fs::set_permissions(place.path().join("out"), Permissions::from_mode(0o1777)).unwrap();
    place
}

pub fn as_alice(words: &[&str]) -> Command {
    let mut command = Command::new("setpriv");
    let id = ALICE.to_string();
    command.args(["--reuid", &id, "--regid", &id, "--clear-groups"]).args(words);
    command
}

/// The managed file's owner, group and mode.
pub fn of(place: &Place) -> (u32, u32, u32) {
    let is = fs::metadata(place.file()).unwrap();
    (is.uid(), is.gid(), is.mode() & 0o7777)
}

pub fn set(place: &Place, owner: (u32, u32), mode: u32) {
    chown(place.file(), Some(owner.0), Some(owner.1)).unwrap();
    fs::set_permissions(place.file(), Permissions::from_mode(mode)).unwrap();
}

/// What she does to a file that she has had open since it was hers: nothing of it is in the file.
pub fn write_through(mut held: File, place: &Place) {
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

/// An ACL as the kernel keeps it: the group may read, alice read and write, which is the mask.
pub fn acl() -> Vec<u8> {
    acl_of(6, 4, 6, 0)
}

/// An ACL with these permissions of alice, the group, the mask and others.
pub fn acl_of(alice: u16, group: u16, mask: u16, others: u16) -> Vec<u8> {
    let entries: [(u16, u16, u32); 5] = [
        (0x01, 6, u32::MAX),
        (0x02, alice, ALICE),
        (0x04, group, u32::MAX),
        (0x10, mask, u32::MAX),
        (0x20, others, u32::MAX),
    ];
    let mut bytes = 2u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(permissions.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

#[test]
fn locks_and_leftovers_of_other_users_block_no_run() {
    if !can("acting for another user") {
        return;
    }
    let place = open_to_all();
    place.kvx_out().args(["-c", "644"]).run().expect(0);
    {
        let hers = place_of_alice();
        hers.kvx_out().args(["-o", "4242:4242"]).run().expect(0);
        let _lock = Held::locks(&hers.file());
        hers.upload(lines(21));
        hers.kvx_out().args(["-o", "4242:4242", "--in-place"]).run().expect(0).says(&["installed"]);
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
        assert_eq!((place.content(), place.names()), (lines(30 + nth), vec!["hosts".into()]), "{nth}");
    }
    mkfifo(&staged, Mode::S_IRWXU).unwrap();
    place.kvx_out().run().expect(0).is_silent();
    assert_eq!(place.names(), ["hosts"]);
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
    assert_eq!(place.names(), [".hosts.kvx~"]);
    place.kvx_out().run().expect(0).says(&["installed"]);
    assert_eq!(place.names(), ["hosts"]);
    for check in group {
        kill(Pid::from_raw(-check), Signal::SIGKILL).unwrap(); // It leads a group of its own.
    }
}

/// The processes that it has started.
pub fn children_of(parent: u32) -> Vec<i32> {
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
    assert_eq!((place.content(), place.names()), (content, vec!["hosts".into()]));
}

#[test]
fn where_every_user_can_create_files_none_can_occupy_the_staging_name() {
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
    for manner in [&[][..], &["--check", "test -s {}"]] {
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
    assert_eq!(out().filter(|path| path.is_dir() && path != &staged).count(), 1, "but for hers: {:?}", place.names());
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
        place.kvx_out().args(["-o", "4242", "-c", "600"]).run().expect(0).says(&["restored"]);
        assert_eq!(of(&place), (ALICE, 0, 0o600));
        place.kvx_out().args(["-o", "4242", "-c", "600"]).run().expect(0).is_silent();
        fs::set_permissions(place.file(), Permissions::from_mode(0o666)).unwrap();
        place.kvx_out().args(["-o", "4242"]).run().expect(0).says(&["restored"]);
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
    assert_eq!((of(&place), place.content(), place.runs().len()), ((ALICE, ALICE, 0o644), lines(20), 1));
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
    assert_eq!(place.names(), ["indirect", "link"]);
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
