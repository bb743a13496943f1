//! The marker of a locked file in a directory that other users can change: which one counts, and where it is made.

use super::lock_marker::{STRANGER, lock, lock_at, on, unlock};
use crate::common::{self, Place, Run, lines, lock_of};
use nix::unistd::{UnlinkatFlags, geteuid, unlinkat};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

#[test]
fn in_a_directory_of_all_a_strangers_marker_does_not_count() {
    if !geteuid().is_root() {
        common::skipped("only root makes files of other users");
        return;
    }
    let place = Place::new();
    let out = place.path().join("out");
    for (marker, is_directory) in
        [(place.marker(), true), (place.visible_marker(), false), (place.visible_marker(), true)]
    {
        let set = || {
            if is_directory {
                fs::create_dir(&marker).unwrap()
            } else {
                fs::write(&marker, "Reason Locked: mine\n").unwrap()
            }
            chown(&marker, Some(STRANGER), Some(STRANGER)).unwrap();
        };
        let is_of_kvexpress_and_a_file = !is_directory || marker == place.marker();
        // In the stranger's own directory, and in one of a group that works there, it is meant.
        for (owner, mode) in [(STRANGER, 0o755), (0, 0o775)] {
            chown(&out, Some(owner), None).unwrap();
            fs::set_permissions(&out, Permissions::from_mode(mode)).unwrap();
            set();
            place.upload(lines(20));
            let ran = place.kvx_out().run();
            ran.expect(if is_of_kvexpress_and_a_file { 0 } else { 73 }).says(&["lock"]);
            assert!(!place.file().exists());
            let gone = if is_directory { fs::remove_dir(&marker) } else { fs::remove_file(&marker) };
            gone.unwrap();
        }
        // Where every user can write, it is anyone's, whoever owns the directory.
        chown(&out, Some(STRANGER), None).unwrap();
        fs::set_permissions(&out, Permissions::from_mode(0o777)).unwrap();
        set();
        place.kvx_out().run().expect(0).says(&["installed"]);
        fs::remove_file(place.file()).unwrap();
        let gone = if is_directory { fs::remove_dir(&marker) } else { fs::remove_file(&marker) };
        gone.unwrap();
        chown(&out, Some(0), None).unwrap();
        fs::set_permissions(&out, Permissions::from_mode(0o1777)).unwrap();
        set();
        place.kvx_out().run().expect(0).says(&["installed"]);
        let status = on(&place, "status", &place.file()).run().expect(0).is_silent();
        assert!(!status.out().contains("mine"), "{}", status.out());
        unlock(&place, &place.file(), "not locked");
        assert!(marker.exists(), "it is none of ours");
        if marker == place.marker() {
            let ran = lock(&place, &place.file()).run().expect(73);
            ran.says(&["cannot be locked", "belongs to another user", "it is locked in Consul only", "keyprefix"]);
            assert!(fs::read_dir(&marker).unwrap().next().is_none() && place.consul.get(&lock_of(&place)).is_some());
            place.upload(lines(21));
            place.kvx_out().run().expect(0).says(&["locked on this node", "why"]);
            unlock(&place, &place.file(), "it was locked: why");
            assert!(place.content() == lines(20) && marker.exists());
        }
        fs::remove_file(place.file()).unwrap();
        let gone = if is_directory { fs::remove_dir(&marker) } else { fs::remove_file(&marker) };
        gone.unwrap();
        // Root's own counts there.
        lock(&place, &place.file()).run().expect(0);
        place.consul.delete(&lock_of(&place));
        place.kvx_out().run().expect(0).says(&["locked on this node", "why"]);
        on(&place, "unlock", &place.file()).run().expect(0);
    }
}

/// To move a file or a link, a user only has to be able to write both directories; a directory, also itself.
#[test]
fn in_a_directory_of_all_a_marker_of_roots_counts_only_if_no_other_user_can_have_moved_it_there() {
    if !geteuid().is_root() {
        common::skipped("only root makes files of other users");
        return;
    }
    let place = Place::new();
    let (out, hers) = (place.path().join("out"), place.path().join("hers"));
    fs::set_permissions(place.path(), Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(&hers).unwrap();
    chown(&hers, Some(STRANGER), Some(STRANGER)).unwrap();
    place.upload(lines(20));
    fs::set_permissions(&out, Permissions::from_mode(0o1777)).unwrap();
    // Of root, in her directory: she moves it.
    let moved = |from: &Path, to: &Path| {
        let id = STRANGER.to_string();
        let mut mv = Command::new("setpriv");
        mv.args(["--reuid", &id, "--regid", &id, "--clear-groups", "--", "mv", "-T"]).args([from, to]);
        mv.output().unwrap().status.success()
    };
    let from = hers.join("marker");
    fs::write(&from, "Reason Locked: old\n").unwrap();
    assert!(moved(&from, &place.visible_marker()));
    fs::create_dir(&from).unwrap();
    assert!(!moved(&from, &place.marker()), "she cannot write it");
    fs::set_permissions(&from, Permissions::from_mode(0o775)).unwrap();
    chown(&from, Some(0), Some(STRANGER)).unwrap();
    fs::write(from.join("reason"), "Reason Locked: old\n").unwrap();
    assert!(moved(&from, &place.marker()));
    place.kvx_out().run().expect(0).says(&["installed"]);
    let status = on(&place, "status", &place.file()).run().expect(0).is_silent();
    assert!(!status.out().contains("old"), "{}", status.out());
    // Nor is anything written into it.
    lock(&place, &place.file()).run().expect(73).says(&["cannot be locked", "other users can write", "Consul only"]);
    assert_eq!(fs::read_to_string(place.marker().join("reason")).unwrap(), "Reason Locked: old\n");
    unlock(&place, &place.file(), "it was locked: why");
    assert!(!place.visible_marker().exists(), "one of root's is from other times");
    fs::remove_dir_all(place.marker()).unwrap();
    // Called kvexpress, it makes the marker that counts there.
    let mut run = place.kvx("lock").args(["-s", &place.consul.address, "-r", "why", "-f"]).arg(place.file());
    std::os::unix::process::CommandExt::arg0(&mut run.command, "kvexpress");
    run.run().expect(0);
    place.consul.delete(&lock_of(&place));
    place.upload(lines(21));
    place.kvx_out().run().expect(0).says(&["locked on this node", "why", ".hosts.lock"]);
}

#[test]
fn a_marker_gets_no_acl_from_the_directory_and_none_is_written_into_one_of_another_user() {
    if !geteuid().is_root() {
        common::skipped("only root makes files of other users");
        return;
    }
    let place = Place::new();
    let out = place.path().join("out");
    let entries: [(u16, u16, u32); 5] =
        [(0x01, 7, u32::MAX), (0x02, 7, STRANGER), (0x04, 5, u32::MAX), (0x10, 7, u32::MAX), (0x20, 5, u32::MAX)];
    let entry =
        |(tag, may, id): (u16, u16, u32)| [&tag.to_le_bytes()[..], &may.to_le_bytes(), &id.to_le_bytes()].concat();
    let acl = [2u32.to_le_bytes().to_vec(), entries.map(entry).concat()].concat();
    xattr::set(&out, "system.posix_acl_default", &acl).unwrap();
    lock(&place, &place.file()).run().expect(0);
    for path in [place.marker(), place.marker().join("reason")] {
        let names: Vec<_> = xattr::list(&path).unwrap().filter(|name| name.to_string_lossy().contains("acl")).collect();
        assert!(names.is_empty(), "{}: {names:?}", path.display());
    }
    unlock(&place, &place.file(), "it was locked: why");
    // In her own directory hers counts, but it is hers.
    chown(&out, Some(STRANGER), Some(STRANGER)).unwrap();
    fs::create_dir(place.marker()).unwrap();
    chown(place.marker(), Some(STRANGER), Some(STRANGER)).unwrap();
    let ran = lock(&place, &place.file()).run().expect(73);
    ran.says(&["cannot be locked", "belongs to another user (4242)", "move it away", "it is locked in Consul only"]);
    assert!(fs::read_dir(place.marker()).unwrap().next().is_none() && place.consul.get(&lock_of(&place)).is_some());
}

/// A user who owns a directory above the file decides where its path leads, and when.
#[test]
fn a_link_of_hers_leads_no_lock_elsewhere() {
    if !geteuid().is_root() {
        common::skipped("only root makes files of other users");
        return;
    }
    let place = Place::new();
    let (out, etc) = (place.path().join("out"), place.path().join("etc"));
    chown(&out, Some(STRANGER), Some(STRANGER)).unwrap();
    fs::create_dir(&etc).unwrap();
    std::os::unix::fs::symlink(&etc, out.join("d")).unwrap();
    std::os::unix::fs::lchown(out.join("d"), Some(STRANGER), Some(STRANGER)).unwrap();
    let file = out.join("d/hosts");
    let as_kvexpress = |command: &str| {
        let mut run = place.kvx(command).args(["-s", &place.consul.address, "-f"]).arg(&file);
        std::os::unix::process::CommandExt::arg0(&mut run.command, "kvexpress");
        run
    };
    for run in [lock(&place, &file), as_kvexpress("lock")] {
        let ran = run.run().expect(73);
        ran.says(&["cannot be locked", "the symbolic link", "is not followed", "it is locked in Consul only"]);
        assert_eq!(fs::read_dir(&etc).unwrap().count(), 0);
        assert!(place.consul.get(&lock_at(&file)).is_some());
        place.consul.delete(&lock_at(&file));
    }
    fs::create_dir(etc.join(".hosts.lock")).unwrap();
    let of_roots = [place.write("etc/.hosts.lock/reason", "precious\n"), place.write("etc/hosts.locked", "precious\n")];
    for run in [on(&place, "unlock", &file), as_kvexpress("unlock")] {
        let ran = run.run().expect(73);
        ran.says(&["the symbolic link", "is not followed", "the file stays locked"]);
        assert!(of_roots.iter().all(|path| path.exists()));
    }
    let status = on(&place, "status", &file).run();
    assert!(!status.out().contains("precious") && status.out().contains("is not followed"), "{}", status.out());
}

#[test]
fn the_marker_is_read_in_the_directory_that_is_installed_into() {
    let place = Place::new();
    let (locked, free) = (place.path().join("out/d"), place.path().join("out/e"));
    fs::create_dir(&locked).unwrap();
    fs::create_dir(&free).unwrap();
    place.upload(lines(20));
    let file = locked.join("hosts");
    lock(&place, &file).run().expect(0);
    place.consul.delete(&lock_at(&file));
    let run = || {
        let run = Run::new("kvx-out", &place.consul.address).args(["-k", &place.key, "-f"]).arg(&file);
        run.arg("--state-dir").arg(place.path().join("state"))
    };
    run().run().expect(0).says(&["locked on this node", "why"]);
    let held = [fs::File::open(&locked).unwrap(), fs::File::open(&free).unwrap()];
    // A user who can rename them swaps them all the time.
    let is_over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
            while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                renameat2(AT_FDCWD, &locked, AT_FDCWD, &free, RenameFlags::RENAME_EXCHANGE).unwrap();
            }
        });
        let started = std::time::Instant::now();
        let (mut installed, mut was_bypassed) = (0, false);
        while installed < 20 && !was_bypassed && started.elapsed() < std::time::Duration::from_secs(10) {
            run().run();
            was_bypassed = nix::sys::stat::fstatat(&held[0], "hosts", nix::fcntl::AtFlags::empty()).is_ok();
            installed += usize::from(unlinkat(&held[1], "hosts", UnlinkatFlags::NoRemoveDir).is_ok());
        }
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(!was_bypassed && installed > 0, "{installed}");
    });
}
