//! A sticky directory of root's that every user can write, in a directory of a local user's: she can move it to another
//! one, such as /tmp, and so have root look at what is in it under a path that is believed.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::hostile::{ACL, acl, as_alice, children_of, place_of_alice};
use crate::common::users::can;
use crate::common::{Place, Ran, Run, lines, wait_for};
use xattr::FileExt;

/// Root's `C`, as /tmp, is in alice's directory `out`, and `C/sub` is root's alone. `tmp` is as /tmp, too.
struct Moved {
    place: Place,
}

impl Moved {
    fn new() -> Moved {
        let place = place_of_alice();
        for (directory, mode) in [("out/C", 0o1777), ("out/C/sub", 0o755), ("tmp", 0o1777)] {
            fs::create_dir(place.path().join(directory)).unwrap();
            fs::set_permissions(place.path().join(directory), Permissions::from_mode(mode)).unwrap();
        }
        Moved { place }
    }

    fn before(&self) -> PathBuf {
        self.place.path().join("out/C/sub")
    }

    fn after(&self) -> PathBuf {
        self.place.path().join("tmp/D/sub")
    }

    /// She moves it from her directory to `tmp`.
    fn move_it(&self) {
        let paths = [self.before(), self.after()].map(|sub| sub.parent().unwrap().to_str().unwrap().to_owned());
        assert!(as_alice(&["mv", &paths[0], &paths[1]]).status().unwrap().success());
    }

    fn run(&self, options: &[&str], file: PathBuf) -> Ran {
        let run = Run::new("kvx-out", &self.place.consul.address).args(["-k", &self.place.key, "--state-dir"]);
        run.arg(self.place.path().join("state")).args(options).arg("-f").arg(file).run()
    }
}

#[test]
fn the_acl_of_a_file_in_it_is_not_kept() {
    if !can("acting for another user") {
        return;
    }
    let moved = Moved::new();
    let file = moved.before().join("hosts");
    fs::write(&file, "for her\n").unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o660)).unwrap();
    File::open(&file).unwrap().set_xattr(ACL, &acl()).unwrap();
    moved.move_it();
    let file = moved.after().join("hosts");
    moved.run(&["--mkdir"], file.clone()).expect(0).says(&["installed"]);
    assert_eq!(File::open(&file).unwrap().get_xattr(ACL).unwrap(), None);
    let is = fs::metadata(&file).unwrap();
    assert_eq!((is.uid(), is.gid(), is.mode() & 0o7777), (0, 0, 0o640));
    assert_eq!(fs::read_to_string(file).unwrap(), lines(20));
}

#[test]
fn no_link_in_it_is_followed() {
    if !can("acting for another user") {
        return;
    }
    let moved = Moved::new();
    let precious = moved.place.write("precious", "precious\n");
    symlink(&precious, moved.before().join("hosts")).unwrap();
    moved.run(&[], moved.before().join("hosts")).expect(73);
    moved.move_it();
    moved.run(&["--mkdir"], moved.after().join("hosts")).expect(73).says(&["is not followed: other users can change"]);
    assert_eq!(fs::read_to_string(precious).unwrap(), "precious\n");
}

#[test]
fn no_state_in_it_is_believed() {
    if !can("acting for another user") {
        return;
    }
    let moved = Moved::new();
    fs::set_permissions(moved.before(), Permissions::from_mode(0o700)).unwrap();
    moved.move_it();
    let run = Run::new("kvx-out", &moved.place.consul.address).args(["-k", &moved.place.key, "--state-dir"]);
    let file = moved.place.path().join("hosts");
    let ran = run.arg(moved.after()).arg("-f").arg(&file).run().expect(73);
    ran.says(&["the state of the file cannot be kept in", "other users can change", "tmp/D;"]);
    assert!(!file.exists());
    assert_eq!(fs::read_dir(moved.after()).unwrap().count(), 0);
}

#[test]
fn a_check_does_not_read_what_she_puts_where_it_was() {
    if !can("acting for another user") {
        return;
    }
    let moved = Moved::new();
    let out = moved.place.path().join("out");
    let script = format!(
        "mkdir -p {0}/fake/sub/.hosts.kvx~/check; echo evil >{0}/fake/sub/.hosts.kvx~/check/hosts",
        out.display()
    );
    assert!(as_alice(&["sh", "-c", &script]).status().unwrap().success());
    // The run has opened the directory, and waits before it looks further.
    let mut strace = Command::new("strace");
    strace.args(["-qq", "-o", "/dev/null", "-e", "trace=openat2", "-e", "inject=openat2:delay_exit=2000000:when=1"]);
    strace.arg(crate::common::run::binary("kvx-out")).args(["-k", &moved.place.key, "--check", "cat {}", "-f"]);
    strace.arg(moved.before().join("hosts")).arg("--state-dir").arg(moved.place.path().join("state"));
    strace.env("CONSUL_HTTP_ADDR", &moved.place.consul.address).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = strace.spawn().unwrap();
    let is_open = |run: i32| {
        let open = fs::read_dir(format!("/proc/{run}/fd")).ok()?.flatten();
        open.filter_map(|file| fs::read_link(file.path()).ok()).find(|path| *path == moved.before()).map(drop)
    };
    wait_for("the open directory", 10, || children_of(child.id()).into_iter().find_map(is_open));
    moved.move_it();
    assert!(
        as_alice(&["mv", &format!("{}/fake", out.display()), moved.before().parent().unwrap().to_str().unwrap()])
            .status()
            .unwrap()
            .success()
    );
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert!(!ran.stderr.contains("evil"), "{}", ran.stderr);
    assert!(ran.stderr.contains(&format!("check: {}", lines(1))), "{}", ran.stderr);
    let ran = ran.expect(75);
    assert!(ran.stderr.contains("its directory has just been replaced by another"), "{}", ran.stderr);
    assert!(!moved.after().join("hosts").exists() && !moved.before().join("hosts").exists());
}

#[test]
fn a_check_does_not_run_if_its_copy_is_not_at_its_path() {
    let place = super::hostile::open_place();
    let ran = place.path().join("ran");
    let mut strace = Command::new("strace");
    strace.args(["-qq", "-o", "/dev/null", "-e", "trace=mkdirat", "-e", "inject=mkdirat:delay_exit=2000000:when=2"]);
    strace.arg(crate::common::run::binary("kvx-out")).args(["-k", &place.key, "--check"]);
    strace.arg(format!("sh -c 'touch {}' - {{}}", ran.display())).arg("-f").arg(place.file());
    strace.arg("--state-dir").arg(place.path().join("state"));
    strace.env("CONSUL_HTTP_ADDR", &place.consul.address).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = strace.spawn().unwrap();
    let copy = place.path().join("out/.hosts.kvx~/check");
    wait_for("the copy's directory", 10, || copy.exists().then_some(()));
    // Only root can do this here, and not by mistake alone: an administrator moves a tree.
    fs::rename(place.path().join("out"), place.path().join("aside")).unwrap();
    let said = Ran::from(child.wait_with_output().unwrap()).expect(75);
    said.says(&["its directory has just been replaced by another", "run it again"]);
    assert!(!ran.exists());
    assert_eq!(fs::read_dir(place.path().join("aside")).unwrap().count(), 0);
}
