//! Owner, mode and ACL of a file that a local user can change: none of the user's permissions are adopted, and none of
//! root's are given away.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use super::hostile::{ACL, ALICE, acl, as_alice, of, place_of_alice, set, write_through};
use crate::common::users::can;
use crate::common::{Place, Run, lines};
use xattr::FileExt;

/// Another group: `shadow`, in Debian.
pub const SHADOW: u32 = 42;

pub fn inode(place: &Place) -> u64 {
    fs::metadata(place.file()).unwrap().ino()
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
                "restored"
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
    place.kvx_out().args(owner(ALICE, ALICE)).run().expect(0).says(&["restored"]);
    assert_eq!(of(&place), (ALICE, ALICE, 0o767));
    let before = inode(&place);
    place.kvx_out().args(["-c", "4755"]).args(owner(ALICE, ALICE)).run().expect(0).says(&["restored"]);
    assert!(of(&place) == (ALICE, ALICE, 0o4755) && inode(&place) != before);
    place.kvx_out().args(["-c", "4755"]).run().expect(0).is_silent();
}

#[test]
fn an_acl_is_kept_only_while_owner_and_group_stay() {
    if !can("acting for another user") {
        return;
    }
    let acl_of = |place: &Place| File::open(place.file()).unwrap().get_xattr(ACL).unwrap();
    for options in [&["-o", "0:0", "-c", "640"][..], &["-o", "0:0"], &["-o", ":0"], &["-o", ":0", "--in-place"]] {
        for count in [20, 21] {
            let place = place_of_alice();
            place.kvx_out().args(["-o", "4242:4242"]).run().expect(0);
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
    chown(place.path().join("out"), Some(0), Some(0)).unwrap();
    place.kvx_out().args(["-o", "0:0"]).run().expect(0).says(&["installed"]);
    assert_eq!(acl_of(&place), Some(acl()));
}

/// The members of the old group are others now.
#[test]
fn whom_the_old_group_kept_out_the_new_one_does_not_let_in() {
    if !can("acting for another user") {
        return;
    }
    let place = place_of_alice();
    place.kvx_out().args(["-o", "4242:4242", "-c", "604"]).run().expect(0);
    place.kvx_out().args(["-o", ":42"]).run().expect(0).says(&["restored"]);
    assert_eq!(of(&place), (ALICE, SHADOW, 0o600));
}

#[test]
fn a_user_who_loses_access_has_the_old_file_open_and_not_the_new_one() {
    let place = Place::new();
    place.upload(lines(20));
    let handler = place.handler();
    let run = |mode: &str| place.kvx_out().args(["-c", mode, "-e", &handler]).run();
    run("666").expect(0);
    let held = File::options().append(true).open(place.file()).unwrap();
    let before = inode(&place);
    run("660").expect(0).says(&["owner or mode", "restored"]);
    assert_ne!(inode(&place), before);
    write_through(held, &place);
    // Where only more are let in, it is the same file.
    let before = inode(&place);
    run("664").expect(0).says(&["owner or mode", "restored"]);
    assert_eq!((inode(&place), place.mode(), place.runs().len()), (before, 0o664, 1));
    assert_eq!(place.names(), ["hosts"]);
    // Its other names keep the old one, and the run says so.
    fs::hard_link(place.file(), place.path().join("other")).unwrap();
    run("600").expect(0).says(&["restored", "(its other name, a hard link, keeps the old ones)"]);
    assert_eq!(fs::metadata(place.path().join("other")).unwrap().mode() & 0o777, 0o664);
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
fn a_set_id_program_needs_its_owner_or_group_named_where_others_can_change_the_directory() {
    if !can("acting for another user") {
        return;
    }
    // Her directory, with a file that she has moved there from a set-group-ID directory of another group; one of her
    // group's; and such directories themselves.
    for (owner, group, mode) in
        [(ALICE, ALICE, 0o755), (0, ALICE, 0o775), (0, SHADOW, 0o3777), (0, SHADOW, 0o2777), (ALICE, SHADOW, 0o2755)]
    {
        for has_file in [true, false] {
            let place = place_of_alice();
            let out = place.path().join("out");
            chown(&out, Some(owner), Some(group)).unwrap();
            fs::set_permissions(&out, fs::Permissions::from_mode(mode)).unwrap();
            if has_file {
                fs::write(place.file(), "hers\n").unwrap();
                set(&place, (ALICE, SHADOW), 0o755);
            }
            for (options, says) in [
                (&["-c", "2755"][..], "name the group with -o"),
                (&["-c", "2755", "-o", "4242"], "name the group with -o"),
                (&["-c", "6755", "-o", "4242"], "name the group with -o"),
                (&["-c", "4755", "-o", ":4242"], "name the owner with -o"),
                (&["-c", "4755"], "name the owner with -o"),
                (&["-c", "6755"], "name both with -o USER:GROUP"),
            ] {
                place.kvx_out().args(options).run().expect(73).says(&["would get a set-id program", says]);
                let names = if has_file { vec!["hosts"] } else { vec![] };
                assert_eq!(place.names(), names, "{mode:o}");
                assert!(!has_file || place.content() == "hers\n", "{mode:o}");
            }
            place.kvx_out().args(["-c", "6755", "-o", "4242:4242"]).run().expect(0);
            assert_eq!(of(&place), (ALICE, ALICE, 0o6755));
        }
    }
    // In root's own directory, the old file's count.
    let place = place_of_alice();
    chown(place.path().join("out"), Some(0), Some(0)).unwrap();
    fs::write(place.file(), "ours\n").unwrap();
    set(&place, (0, SHADOW), 0o2755);
    place.kvx_out().args(["-c", "2755"]).run().expect(0);
    assert_eq!(of(&place), (0, SHADOW, 0o2755));
}
