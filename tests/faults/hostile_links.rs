//! Symbolic links and renamed directories of a local user in the path of a run as root: they redirect nothing, and
//! nothing is truncated, opened or blocked.

use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::hostile::{ALICE, open_to_all, place_of_alice};
use crate::common::users::can;
use crate::common::{Place, Run, lines, wait_for};

#[test]
fn a_link_is_followed_only_if_root_or_the_owner_of_its_directory_created_it() {
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
    // Of root, where no other user can have moved it, and of the owner of the directory.
    let of_root = link(&place.path().join("etc"), "roots", 0).join("one");
    run(of_root.clone()).expect(73).says(&["other users can write its directory (mode 1777)", "-f"]);
    fs::set_permissions(place.path().join("out"), Permissions::from_mode(0o755)).unwrap();
    run(of_root).expect(0).says(&["installed", "etc/one"]);
    chown(place.path().join("out"), Some(ALICE), Some(ALICE)).unwrap();
    fs::create_dir(place.path().join("out/new")).unwrap();
    chown(place.path().join("out/new"), Some(ALICE), Some(ALICE)).unwrap();
    let hers = link(Path::new("new/two"), "hers-too", ALICE);
    run(hers.clone()).expect(0).says(&["installed", "new/two"]);
    // Not where others can put a link of hers: the members of a group would have her private files overwritten.
    for mode in [0o775, 0o777, 0o1777] {
        fs::set_permissions(place.path().join("out"), Permissions::from_mode(mode)).unwrap();
        run(hers.clone()).expect(73).says(&[&format!("other users can write its directory (mode {mode:04o})"), "-f"]);
    }
    fs::set_permissions(place.path().join("out"), Permissions::from_mode(0o755)).unwrap();
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
    // Whether she or root has made it: she can rename root's. In the middle, at the end, and by way of another of hers.
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
        run(file).expect(73).says(&[
            "the symbolic link",
            "is not followed",
            "user 4242 can have put it there",
            "to user 0",
            "-f",
        ]);
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
        // By the names that kvx gives its own.
        fs::create_dir(private.join("check")).unwrap();
        for name in ["new", "check/hosts", "reason"] {
            fs::write(private.join(name), "precious\n").unwrap();
        }
        private
    };
    let is_as_it_was = |private: &Path| {
        let mode = fs::metadata(private).unwrap().mode() & 0o7777;
        assert_eq!(mode, 0o700);
        for name in ["below/precious", "new", "check/hosts", "reason"] {
            assert_eq!(fs::read_to_string(private.join(name)).unwrap(), "precious\n", "{name}");
        }
    };
    let staged = place.path().join("out/.hosts.kvx~");
    fs::rename(precious(), &staged).unwrap();
    place.kvx_out().run().expect(73).says(&[staged.to_str().unwrap(), "files in it that are not ours", "remove it"]);
    is_as_it_was(&staged);
    // As a marker, it locks, and nothing is written into it or taken out of it.
    let marker = place.path().join("out/.hosts.lock");
    fs::rename(&staged, &marker).unwrap();
    let says = ["a directory with other files in it", "move it away"];
    place.kvx_file("lock").args(["-r", "why", "--replace"]).run().expect(73).says(&says);
    place.kvx_file("unlock").run().expect(73).says(&says);
    is_as_it_was(&marker);
    fs::remove_dir_all(&marker).unwrap();
    // Nor is an empty one opened to others, nor one with a file of that name removed.
    let empty = || DirBuilder::new().mode(0o700).create(&marker).unwrap();
    empty();
    place
        .kvx_file("lock")
        .args(["-r", "why", "--replace"])
        .run()
        .expect(73)
        .says(&["is not a marker of kvx", "move it"]);
    assert_eq!(fs::metadata(&marker).unwrap().mode() & 0o777, 0o700);
    fs::write(marker.join("reason"), "precious\n").unwrap();
    for command in [&["lock", "-r", "why", "--replace"][..], &["unlock"]] {
        place.kvx_file(command[0]).args(&command[1..]).run().expect(73).says(&["is not a marker of kvx"]);
        assert_eq!(fs::read_to_string(marker.join("reason")).unwrap(), "precious\n");
    }
    fs::remove_dir_all(&marker).unwrap();
    place.kvx_file("unlock").run().expect(0);
    // A leftover of ours has only a file in it.
    DirBuilder::new().mode(0o700).create(&staged).unwrap();
    fs::create_dir_all(staged.join("new/precious")).unwrap();
    place.kvx_out().run().expect(73).says(&["files in it that are not ours"]);
    assert!(staged.join("new/precious").exists());
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
    assert!(said.contains("another process has just replaced the new directory"), "{said}");
    is_as_it_was(&new);
}

#[test]
fn a_directory_that_is_swapped_meanwhile_leads_nowhere_and_hangs_no_run() {
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
