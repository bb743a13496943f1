//! Promise 1: a reader never sees a file with only some of its attributes. Mode, owner, ACL and SELinux label are as
//! given on the command line, or unchanged.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use super::install::{NOBODY, under_strace};
use crate::common::{Place, lines};
use xattr::FileExt;

const ACL: &str = "system.posix_acl_access";

const DEFAULT_ACL: &str = "system.posix_acl_default";

const LABEL: &str = "security.selinux";

/// An ACL as the kernel keeps it: the owner may read and write, `nobody` read, the group read, and others nothing.
fn acl() -> Vec<u8> {
    let entries: [(u16, u16, u32); 5] =
        [(0x01, 6, u32::MAX), (0x02, 4, NOBODY), (0x04, 4, u32::MAX), (0x10, 4, u32::MAX), (0x20, 0, u32::MAX)];
    let mut bytes = 2u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(permissions.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

#[test]
fn the_mode_is_as_given_or_as_it_was() {
    let place = Place::new();
    place.upload(lines(10));
    for (written, mode) in
        [("644", 0o644), ("0644", 0o644), ("00644", 0o644), ("4755", 0o4755), ("0", 0), ("600", 0o600)]
    {
        place.kvx_out().args(["-c", written]).run().expect(0);
        assert_eq!(place.mode(), mode, "{written}");
    }
    place.kvx_out().args(["-c", "640", "-e", &place.handler()]).run().expect(0).says(&["owner or mode", "restored"]);
    assert_eq!(place.runs().len(), 1, "the handler had never run for this document");
    place.kvx_out().args(["-c", "604", "-e", &place.handler()]).run().expect(0).says(&["restored"]);
    assert_eq!(place.runs().len(), 1, "another mode alone owes no reload");
    place.kvx_out().args(["-c", "604"]).payload(place.payload("checksum")).run().expect(0).is_silent();
    std::fs::set_permissions(place.file(), std::fs::Permissions::from_mode(0o600)).unwrap();
    place.kvx_out().args(["-c", "604"]).payload(place.payload("checksum")).run().expect(0).says(&["restored"]);
    place.upload(lines(11));
    place.kvx_out().run().expect(0);
    assert_eq!(place.mode(), 0o604, "kept");
}

#[test]
fn the_owner_is_as_given_or_as_it_was() {
    let place = Place::new();
    place.upload(lines(10));
    let owner = || {
        let metadata = std::fs::metadata(place.file()).unwrap();
        (metadata.uid(), metadata.gid())
    };
    let me = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    place.kvx_out().args(["-o", &format!("{}:{}", me.0, me.1)]).run().expect(0).says(&["installed"]);
    assert_eq!(owner(), me);
    let inode = std::fs::metadata(place.file()).unwrap().ino();
    for (unknown, says) in [("nobody-here", "user"), (":no-such-group", "group"), ("0:no-such-group", "group")] {
        place.kvx_out().args(["-o", unknown]).run().expect(78).says(&["-o", "there is no ", says]);
    }
    assert_eq!(std::fs::metadata(place.file()).unwrap().ino(), inode);
    if me.0 == 0 {
        let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
        place.kvx_out().args(["-o", "nobody"]).run().expect(0).says(&["restored"]);
        assert_eq!(owner(), (nobody.uid.as_raw(), 0));
        place.upload(lines(11));
        place.kvx_out().run().expect(0);
        assert_eq!(owner(), (nobody.uid.as_raw(), 0), "kept");
        place.upload(lines(12));
        place.kvx_out().args(["-o", "nobody:daemon", "-c", "600"]).run().expect(0);
        let daemon = nix::unistd::Group::from_name("daemon").unwrap().unwrap();
        assert_eq!((owner(), place.mode()), ((nobody.uid.as_raw(), daemon.gid.as_raw()), 0o600));
    }
}

#[test]
fn an_acl_is_kept_and_none_comes_from_the_directory() {
    let place = Place::new();
    let acl_of = |path: &Path| std::fs::File::open(path).unwrap().get_xattr(ACL).unwrap();
    place.upload(lines(20));
    place.kvx_out().run().expect(0);
    std::fs::File::open(place.file()).unwrap().set_xattr(ACL, &acl()).unwrap();
    for options in [&[][..], &["-c", "640"], &["-e", "true"], &["--in-place"]] {
        place.upload(lines(21 + place.content().lines().count()));
        place.kvx_out().args(options).run().expect(0).says(&["installed"]);
        assert_eq!((acl_of(&place.file()), place.mode()), (Some(acl()), 0o640), "{options:?}");
    }
    // A mode that is given is the mask of the ACL, as for chmod: nobody's entry stays, without effect.
    place.kvx_out().args(["-c", "600"]).run().expect(0).says(&["restored"]);
    assert_eq!((acl_of(&place.file()).map(|acl| acl.len()), place.mode()), (Some(acl().len()), 0o600));

    let plain = Place::new();
    plain.upload(lines(20));
    plain.kvx_out().run().expect(0);
    // The directory now gives each new file an ACL, which the old file does not have.
    std::fs::File::open(plain.path().join("out")).unwrap().set_xattr(DEFAULT_ACL, &acl()).unwrap();
    plain.upload(lines(21));
    plain.kvx_out().run().expect(0).says(&["installed"]);
    assert_eq!((acl_of(&plain.file()), plain.mode()), (None, 0o640));
    // A file that was not there gets it.
    std::fs::remove_file(plain.file()).unwrap();
    plain.kvx_out().run().expect(0).says(&["installed"]);
    assert!(acl_of(&plain.file()).is_some());
}

#[test]
fn an_acl_grants_nothing_before_the_mode_is_set() {
    let place = Place::new();
    place.upload(lines(20));
    place.kvx_out().run().expect(0);
    std::fs::File::open(place.file()).unwrap().set_xattr(ACL, &acl()).unwrap();
    place.upload(lines(21));
    // Killed between the two: so they are two, and it is as closed as it was; in a directory that nobody else may
    // enter.
    let kill = ["-e", "inject=fchmod:signal=KILL"];
    assert!(!under_strace(&place, &kill, &["-c", "640"]).status.success());
    let directory = place.path().join("out/.hosts.kvx~");
    assert_eq!(std::fs::metadata(&directory).unwrap().mode() & 0o777, 0o700);
    let staged = std::fs::File::open(directory.join("new")).unwrap();
    assert_eq!(staged.metadata().unwrap().mode() & 0o777, 0o600);
    assert_eq!(staged.get_xattr(ACL).unwrap().map(|acl| acl.len()), Some(acl().len()));
    assert_eq!(place.content(), lines(20));
    place.kvx_out().args(["-c", "640"]).run().expect(0).says(&["installed"]);
    let acl_of = std::fs::File::open(place.file()).unwrap().get_xattr(ACL).unwrap();
    assert_eq!((acl_of, place.mode(), place.content()), (Some(acl()), 0o640, lines(21)));
}

#[test]
fn an_selinux_label_is_kept_or_the_file_stays_as_it_was() {
    let place = Place::new();
    let label = b"system_u:object_r:net_conf_t:s0\0";
    let label_of = |path: &Path| std::fs::File::open(path).unwrap().get_xattr(LABEL).unwrap();
    place.upload(lines(20));
    place.kvx_out().run().expect(0);
    if std::fs::File::open(place.file()).unwrap().set_xattr(LABEL, label).is_err() {
        return; // Without SELinux, only root can label a file.
    }
    place.upload(lines(21));
    place.kvx_out().run().expect(0).says(&["installed"]);
    assert_eq!(label_of(&place.file()).as_deref(), Some(label.as_slice()));
    // Where it cannot be set: a policy forbids it; or SELinux is not in force, and the label means nothing.
    place.upload(lines(22));
    let ran = under_strace(&place, &["-e", "inject=fsetxattr:error=EPERM"], &["-e", &place.handler()]);
    if Path::new("/sys/fs/selinux/enforce").exists() {
        let label = "its SELinux label (system_u:object_r:net_conf_t:s0";
        ran.expect(73).says(&[&place.key, label, "cannot be kept", "not permitted"]);
        assert_eq!((place.content(), place.names(), place.runs().len()), (lines(21), vec!["hosts".into()], 0));
    } else {
        ran.expect(0).says(&["installed"]);
        assert_eq!((place.content(), place.names()), (lines(22), vec!["hosts".into()]));
    }
}
