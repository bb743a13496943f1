//! Directories in which other users can write: no file or link there counts because root owns it, since any user who can
//! write two directories can move an entry from one to the other.

use std::fs::{self, DirBuilder, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::process::{Command, Stdio};

use super::hostile::{ACL, ALICE, acl, as_alice, of, open_place, open_to_all, write_through};
use super::hostile_attributes::{SHADOW, inode};
use crate::common::users::can;
use crate::common::{Place, Run, lines};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use xattr::FileExt;

/// She can have moved another file of the same owner there, which lets her in.
#[test]
fn an_acl_and_a_label_are_kept_only_where_no_other_user_can_have_put_the_file() {
    if !can("acting for another user") {
        return;
    }
    const LABEL: &str = "security.selinux";
    let label = b"system_u:object_r:net_conf_t:s0\0";
    // Whose the directory is, and its mode; and whether root's file is believed there.
    for (owner, mode, is_kept) in [(0, 0o755, true), (ALICE, 0o755, false), (0, 0o775, false), (0, 0o1775, false)] {
        for (options, left) in [(&[][..], 0o640), (&["-o", "0:0", "-c", "660"], 0o660)] {
            let place = open_place();
            place.kvx_out().args(["-o", "0:0"]).run().expect(0);
            let file = File::open(place.file()).unwrap();
            file.set_xattr(ACL, &acl()).unwrap();
            let has_label = file.set_xattr(LABEL, label).is_ok();
            chown(place.path().join("out"), Some(owner), Some(ALICE)).unwrap();
            fs::set_permissions(place.path().join("out"), Permissions::from_mode(mode)).unwrap();
            place.upload(lines(21));
            place.kvx_out().args(options).run().expect(0).says(&["installed"]);
            let file = File::open(place.file()).unwrap();
            assert_eq!(file.get_xattr(ACL).unwrap(), is_kept.then(acl), "{owner} {mode:o} {options:?}");
            let is_labelled = file.get_xattr(LABEL).unwrap().as_deref() == Some(label.as_slice());
            assert_eq!(is_labelled, is_kept && has_label, "{owner} {mode:o} {options:?}");
            // Its group could read, not write, as the mask would say; but what is given is given.
            assert_eq!(of(&place), (0, 0, if is_kept { 0o660 } else { left }), "{owner} {mode:o} {options:?}");
            place.kvx_out().args(options).run().expect(0).is_silent();
        }
    }
}

/// A user who can write two directories moves any file from one to the other, whoever owns it.
#[test]
fn in_a_directory_of_all_no_file_of_roots_counts_either() {
    if !can("acting for another user") {
        return;
    }
    let hers = |place: &Place| {
        let hers = place.path().join("hers");
        DirBuilder::new().create(&hers).unwrap();
        chown(&hers, Some(ALICE), Some(ALICE)).unwrap();
        hers
    };
    for (mode, group) in [(0o1777, 0), (0o777, 0), (0o3777, SHADOW)] {
        for content in [lines(20), "another\n".to_owned()] {
            let place = open_place();
            let (out, hers) = (place.path().join("out"), hers(&place));
            chown(&out, Some(0), Some(if group == 0 { ALICE } else { group })).unwrap();
            fs::set_permissions(&out, Permissions::from_mode(mode)).unwrap();
            let bait = hers.join("bait");
            fs::write(&bait, &content).unwrap();
            chown(&bait, Some(0), Some(ALICE)).unwrap();
            fs::set_permissions(&bait, Permissions::from_mode(0o666)).unwrap();
            File::open(&bait).unwrap().set_xattr(ACL, &acl()).unwrap();
            let moved = as_alice(&["mv", bait.to_str().unwrap(), place.file().to_str().unwrap()]).status().unwrap();
            assert!(moved.success() && of(&place).0 == 0);
            let held = File::options().append(true).open(place.file()).unwrap();
            place.kvx_out().run().expect(0);
            assert_eq!(of(&place), (0, group, 0o640), "{mode:o}");
            assert_eq!(File::open(place.file()).unwrap().get_xattr(ACL).unwrap(), None);
            write_through(held, &place);
            let before = inode(&place);
            place.kvx_out().run().expect(0).is_silent();
            // Not by its own owner and mode, and not without its ACL, is it what is wanted.
            File::open(place.file()).unwrap().set_xattr(ACL, &acl()).unwrap();
            fs::set_permissions(place.file(), Permissions::from_mode(0o640)).unwrap();
            assert_eq!(inode(&place), before);
            place.kvx_out().run().expect(0).says(&["restored"]);
            assert_eq!(File::open(place.file()).unwrap().get_xattr(ACL).unwrap(), None);
            assert!(inode(&place) != before);
            place.kvx_out().args(["-o", "0:42", "-c", "604"]).run().expect(0).says(&["restored"]);
            place.kvx_out().args(["-o", "0:42", "-c", "604"]).run().expect(0).is_silent();
            assert_eq!(of(&place), (0, SHADOW, 0o604));
        }
    }
    // Nor does what the directory grants by default.
    let place = open_to_all();
    File::open(place.path().join("out")).unwrap().set_xattr("system.posix_acl_default", &acl()).unwrap();
    place.kvx_out().run().expect(0).says(&["installed"]);
    assert_eq!((of(&place), File::open(place.file()).unwrap().get_xattr(ACL).unwrap()), ((0, 0, 0o640), None));
    place.kvx_out().run().expect(0).is_silent();
}

/// One of root's, in a directory of hers, she can move into one that both can write.
#[test]
fn in_a_directory_that_others_can_write_no_link_is_followed() {
    if !can("acting for another user") {
        return;
    }
    for mode in [0o1777, 0o777, 0o1775, 0o775] {
        let place = open_place();
        let (out, hers) = (place.path().join("out"), place.path().join("hers"));
        let victim = place.write("victim", "precious\n");
        fs::create_dir(&hers).unwrap();
        chown(&hers, Some(ALICE), Some(ALICE)).unwrap();
        chown(&out, Some(0), Some(ALICE)).unwrap();
        fs::set_permissions(&out, Permissions::from_mode(mode)).unwrap();
        for (target, file) in [(victim.as_path(), "hosts"), (place.path(), "d/victim")] {
            let link = out.join(file.split('/').next().unwrap());
            symlink(target, hers.join("link")).unwrap();
            let moved =
                as_alice(&["mv", hers.join("link").to_str().unwrap(), link.to_str().unwrap()]).status().unwrap();
            assert!(moved.success() && fs::symlink_metadata(&link).unwrap().uid() == 0);
            let run = Run::new("kvx-out", &place.consul.address).args(["-k", &place.key, "--state-dir"]);
            let ran = run.arg(place.path().join("state")).arg("-f").arg(out.join(file)).run().expect(73);
            ran.says(&[
                "the symbolic link",
                link.to_str().unwrap(),
                "is not followed",
                &format!("(mode {mode:04o})"),
                "name the file itself with -f",
            ]);
            assert_eq!(fs::read_to_string(&victim).unwrap(), "precious\n");
        }
    }
}

#[test]
fn in_place_a_file_of_another_name_too_is_not_changed_where_others_can_have_linked_it() {
    if !can("acting for another user") {
        return;
    }
    for (owner, mode, status) in [(0, 0o755, 0), (0, 0o1777, 73), (0, 0o775, 73), (ALICE, 0o755, 73)] {
        let place = open_place();
        let precious = place.write("precious", lines(21));
        fs::hard_link(&precious, place.file()).unwrap();
        chown(place.path().join("out"), Some(owner), Some(ALICE)).unwrap();
        fs::set_permissions(place.path().join("out"), Permissions::from_mode(mode)).unwrap();
        // Its content, and, where that is right, its mode.
        for count in [20, 21] {
            fs::set_permissions(&precious, Permissions::from_mode(0o600)).unwrap();
            fs::write(&precious, lines(21)).unwrap();
            place.upload(lines(count));
            let ran = place.kvx_out().args(["--in-place", "-c", "644"]).run().expect(status);
            if status == 73 {
                ran.says(&["it has 2 names (hard links)", "leave out --in-place"]);
                let is = fs::metadata(&precious).unwrap();
                assert_eq!((fs::read_to_string(&precious).unwrap(), is.mode() & 0o777), (lines(21), 0o600));
            }
        }
        // Otherwise, another takes its place, also where more are let in.
        if status == 73 {
            place.kvx_out().args(["-c", "644"]).run().expect(0).says(&["restored"]);
            assert_eq!(fs::metadata(&precious).unwrap().mode() & 0o777, 0o600);
        }
    }
}

#[test]
fn what_others_put_next_to_a_file_does_not_keep_its_state() {
    if !can("acting for another user") {
        return;
    }
    let place = open_to_all();
    let state = || fs::read_dir(place.path().join("state")).unwrap().count();
    let hers = place.path().join("out/hosts.compare");
    place.kvx_out().run().expect(0);
    assert!(as_alice(&["mkdir", hers.to_str().unwrap()]).status().unwrap().success());
    place.write("out/hosts.last", "left\n");
    let ran = place.kvx_file("clean").run().expect(0);
    ran.says(&["removed ", "hosts.last, ", "state/"]);
    assert!(hers.is_dir() && !place.path().join("out/hosts.last").exists() && state() == 0);
    // What cannot be taken away is said; the state is gone all the same.
    fs::set_permissions(place.path().join("out"), Permissions::from_mode(0o755)).unwrap();
    place.kvx_out().run().expect(0);
    let staged = place.path().join("out/.hosts.kvx~");
    fs::create_dir(&staged).unwrap();
    fs::write(staged.join("hers"), "").unwrap();
    let ran = place.kvx_file("clean").run().expect(73);
    ran.says(&[staged.to_str().unwrap(), "remove it", "its state is removed"]);
    assert_eq!(state(), 0);
}

/// A process that passes on a descriptor that is not open for writing may lack permission to write the file.
#[test]
fn a_stderr_that_is_not_open_for_writing_is_not_written() {
    use std::io::Read;
    use std::os::unix::fs::OpenOptionsExt;
    let place = Place::new();
    let fifo = place.path().join("fifo");
    mkfifo(&fifo, Mode::S_IRWXU).unwrap();
    let flags = [nix::libc::O_NONBLOCK, nix::libc::O_PATH];
    let mut reader = File::options().read(true).custom_flags(nix::libc::O_NONBLOCK).open(&fifo).unwrap();
    for (nth, flags) in flags.into_iter().enumerate() {
        place.upload(lines(20 + nth));
        let stderr = File::options().read(true).custom_flags(flags).open(&fifo).unwrap();
        let mut command = place.kvx_out().command;
        assert!(command.stdin(Stdio::null()).stderr(stderr).status().unwrap().success());
        assert_eq!(place.content(), lines(20 + nth));
        let mut said = String::new();
        assert!(reader.read_to_string(&mut said).is_ok() && said.is_empty(), "{said}");
    }
}

#[test]
fn a_terminal_that_is_read_does_not_become_ours() {
    let place = Place::new();
    let (input, log) = (place.write("input", lines(20)), place.path().join("calls"));
    let run = place.kvx_in().arg("-f").arg(&input).command;
    let mut strace = Command::new("strace");
    strace.arg("-o").arg(&log).args(["-e", "trace=openat"]).arg(run.get_program()).args(run.get_args());
    assert!(strace.env("CONSUL_HTTP_ADDR", &place.consul.address).stderr(Stdio::null()).status().unwrap().success());
    let calls = fs::read_to_string(&log).unwrap();
    let call = calls.lines().find(|call| call.contains(input.to_str().unwrap())).unwrap();
    assert!(call.contains("O_NOCTTY"), "{call}");
}
