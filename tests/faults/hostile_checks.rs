//! A check that runs as root sees the document that Consul has, and no other user can swap or write the copy.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use super::hostile::{ACL, ALICE, acl, acl_of, children_of, open_place};
use super::hostile_attributes::SHADOW;
use crate::common::users::can;
use crate::common::{Run, lines, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use xattr::FileExt;

/// What a check sees of its copy: where that is, and whose; as lines of its output.
const STAT: &str = "d=$(dirname \"$1\"); echo \"$d\"; stat -c '%u:%g %a' \"$1\" \"$d\"; cat \"$1\"";

#[test]
fn below_a_directory_that_she_can_change_a_check_reads_what_she_cannot_swap() {
    if !can("acting for another user") {
        return;
    }
    // Her own directory, one that her group can write, and one of root's below one of hers.
    for (name, owner, mode, below) in
        [("hers", ALICE, 0o755, ""), ("shared", 0, 0o775, ""), ("above", ALICE, 0o755, "d")]
    {
        let place = open_place();
        let out = place.path().join("out").join(below);
        fs::create_dir_all(&out).unwrap();
        chown(place.path().join("out"), Some(owner), Some(ALICE)).unwrap();
        fs::set_permissions(place.path().join("out"), Permissions::from_mode(mode)).unwrap();
        // What she does while it starts, and takes back before it ends.
        let (from, to) = if below.is_empty() { (".hosts.kvx~", "aside") } else { ("d", "aside") };
        let evil = if below.is_empty() { ".hosts.kvx~/check" } else { "d/.hosts.kvx~/check" };
        let before = format!("cd out; test ! -e {from} || mv {from} {to}; mkdir -p {evil}; echo evil >{evil}/hosts");
        let after = format!("cd out; rm -r {from}; test ! -e {to} || mv {to} {from}");
        let alice = format!("setpriv --reuid {ALICE} --regid {ALICE} --clear-groups sh -c");
        let script = format!("cd {}; {alice} '{before}'; {STAT}; {alice} '{after}'", place.path().display());
        let check = format!("sh -c {} - {{}}", shell_words::quote(&script));
        let run = |options: &[&str]| {
            let run = Run::new("kvx-out", &place.consul.address).args(["-k", &place.key, "--check", &check]);
            run.args(options).arg("--state-dir").arg(place.path().join("state")).arg("-f").arg(out.join("hosts")).run()
        };
        for manner in [&["-o", "4242:4242", "-c", "644"][..], &["-o", "4242:4242", "--in-place"]] {
            place.upload(lines(20 + manner.len()));
            if (name, manner.len()) == ("shared", 3) {
                // Another member of the group can have put the file there.
                run(manner).expect(73).says(&["other users can write its directory", "leave out --in-place"]);
                continue;
            }
            let ran = run(manner).expect(0);
            assert!(!ran.stderr.contains("check: evil"), "{name} {}", ran.stderr);
            let said: Vec<&str> = ran.stderr.lines().filter_map(|line| line.strip_prefix("check: ")).collect();
            let said = &said[said.len() - 23 - manner.len()..];
            let directory = Path::new(said[0]);
            assert_eq!(directory.parent(), Some(place.path().join("state").as_path()), "{name} {}", ran.stderr);
            assert!(said[0].ends_with(".check") && said[1..3] == ["0:4242 644", "0:0 700"], "{name} {}", ran.stderr);
            assert_eq!(said[3..].join("\n") + "\n", lines(20 + manner.len()), "{name}");
            assert_eq!(fs::read_to_string(out.join("hosts")).unwrap(), lines(20 + manner.len()), "{name}");
            assert_eq!(fs::read_dir(place.path().join("state")).unwrap().count(), 1, "the copy is gone");
        }
        // A run that is killed leaves it; the next one, and kvx clean, find it again.
        for cleans in [false, true] {
            place.upload(lines(30 + usize::from(cleans)));
            let ready = place.path().join("ready");
            let mut run = Run::new("kvx-out", &place.consul.address).args(["-k", &place.key, "--check"]);
            run = run.arg(format!("sh -c 'touch {}; sleep 1000' {{}}", ready.display())).arg("--state-dir");
            let mut child = run.arg(place.path().join("state")).arg("-f").arg(out.join("hosts")).spawn();
            wait_for("the check", 10, || ready.exists().then_some(()));
            let check = children_of(child.id());
            kill(Pid::from_raw(child.id() as i32), Signal::SIGKILL).unwrap();
            child.wait().unwrap();
            for check in check {
                kill(Pid::from_raw(-check), Signal::SIGKILL).unwrap();
            }
            fs::remove_file(ready).unwrap();
            assert_eq!(fs::read_dir(place.path().join("state")).unwrap().count(), 2, "{name}");
            let again = Run::new(if cleans { "kvx" } else { "kvx-out" }, &place.consul.address);
            let again = if cleans { again.arg("clean") } else { again.args(["-k", &place.key]) };
            again.arg("--state-dir").arg(place.path().join("state")).arg("-f").arg(out.join("hosts")).run().expect(0);
            let left = fs::read_dir(place.path().join("state")).unwrap().count();
            assert_eq!(left, usize::from(!cleans), "{name}");
        }
    }
}

#[test]
fn the_copy_that_a_check_sees_only_this_user_can_write() {
    if !can("acting for another user") {
        return;
    }
    let alice = |group: u32| format!("setpriv --reuid {ALICE} --regid {group} --clear-groups");
    // She writes into it, lets it be judged, and takes that back.
    let script = format!(
        "for group in {ALICE} {SHADOW}; do setpriv --reuid {ALICE} --regid $group --clear-groups sh -c 'echo evil >\"$1\"' - \"$1\" 2>/dev/null && echo written; done; {STAT}"
    );
    let check = format!("sh -c {} - {{}}", shell_words::quote(&script));
    for (options, is) in [
        (&["-o", "4242:42", "-c", "4666"][..], "0:42 644"),
        (&["-o", "4242", "-c", "600"], "0:0 600"),
        (&["-o", "4242:4242", "-c", "2770", "--in-place"], "0:4242 750"),
        // She is one of the others of the copy, and may not execute the file.
        (&["-o", "4242:42", "-c", "607"], "0:42 604"),
    ] {
        let place = open_place();
        let ran = place.kvx_out().args(options).args(["--check", &check]).run().expect(0);
        let said: Vec<&str> = ran.stderr.lines().filter_map(|line| line.strip_prefix("check: ")).collect();
        assert_eq!(said[1..3], [is, "0:0 755"], "{}", ran.stderr);
        assert_eq!(said[3..].join("\n") + "\n", lines(20), "{}", ran.stderr);
    }
    // Of an ACL, what it grants the group is in the mode, and not what the mask would let through.
    let place = open_place();
    place.kvx_out().args(["-c", "660"]).run().expect(0);
    File::open(place.file()).unwrap().set_xattr(ACL, &acl()).unwrap();
    let shown = place.path().join("shown");
    let check = format!(
        "sh -c {} - {{}}",
        shell_words::quote(&format!("cp --preserve=xattr \"$1\" {}; {STAT}", shown.display()))
    );
    place.upload(lines(21));
    let ran = place.kvx_out().args(["--check", &check]).run().expect(0);
    assert!(ran.stderr.contains("\ncheck: 0:0 640\n"), "{}", ran.stderr);
    assert_eq!(File::open(&shown).unwrap().get_xattr(ACL).unwrap(), None);
    assert_eq!(File::open(place.file()).unwrap().get_xattr(ACL).unwrap(), Some(acl()));
    // Whom an ACL denies the file, the copy's mode does not let in.
    let place = open_place();
    place.kvx_out().args(["-c", "644"]).run().expect(0);
    File::open(place.file()).unwrap().set_xattr(ACL, &acl_of(0, 4, 4, 4)).unwrap();
    place.upload(lines(21));
    let ran = place.kvx_out().args(["--check", &format!("sh -c {} - {{}}", shell_words::quote(STAT))]).run().expect(0);
    assert!(ran.stderr.contains("\ncheck: 0:0 600\n"), "{}", ran.stderr);
    assert_eq!(File::open(place.file()).unwrap().get_xattr(ACL).unwrap(), Some(acl_of(0, 4, 4, 4)));
    // Nor does the file's own, once the ACL is gone.
    place.kvx_out().args(["-o", ":42"]).run().expect(0).says(&["restored"]);
    let is = fs::metadata(place.file()).unwrap();
    assert_eq!((is.gid(), is.mode() & 0o777), (SHADOW, 0o600));
    // What was changed and taken back is seen, too.
    place.upload(lines(22));
    let check = "sh -c 'sleep 0.1; chmod 600 \"$1\"; chmod 640 \"$1\"' - {}";
    place.kvx_out().args(["--check", check]).run().expect(65).says(&["the check changed the new file"]);
    // A check that gives up its rights reads it where the file's mode lets it.
    let check = format!("{} cat {{}}", alice(SHADOW));
    place.kvx_out().args(["-o", ":42", "-c", "640", "--check", &check]).run().expect(0);
}

#[test]
fn what_the_check_rejects_it_rejects_also_if_another_user_has_written_the_same() {
    if !can("acting for another user") {
        return;
    }
    let evil = "evil\n".repeat(20);
    // In her directory, in one of all, and in root's with a file of hers.
    for (owner, mode, options) in
        [(ALICE, 0o755, ["-o", "0:0"]), (0, 0o1777, ["-o", "0:0"]), (0, 0o755, ["-o", "4242:4242"])]
    {
        let place = open_place();
        let out = place.path().join("out");
        chown(&out, Some(owner), None).unwrap();
        fs::set_permissions(&out, Permissions::from_mode(mode)).unwrap();
        let run = |more: &[&str]| {
            let check = ["-c", "644", "--check", "grep -q 20 {}"];
            place.kvx_out().args(options).args(check).args(more).args(["-e", &place.handler()])
        };
        place.upload(&evil);
        run(&[]).run().expect(65);
        // She writes it herself: there is no state yet, then there is one of another document.
        for installed in [None, Some(lines(20))] {
            if let Some(document) = &installed {
                place.upload(document);
                run(&[]).run().expect(0);
                place.upload(&evil);
            }
            fs::write(place.file(), &evil).unwrap();
            chown(place.file(), Some(ALICE), Some(ALICE)).unwrap();
            let (is, runs) = (fs::metadata(place.file()).unwrap(), place.runs());
            let recorded = place.state()["checksum"].clone();
            for payload in [None, Some(place.payload("checksum")), Some(String::from_utf8(place.folder()).unwrap())] {
                let ran = match payload {
                    None => run(&[]).run(),
                    Some(payload) => run(&[]).payload(payload).run(),
                };
                assert!(ran.expect(65).stderr.contains("the check `"));
                let now = fs::metadata(place.file()).unwrap();
                assert_eq!(
                    (now.ino(), now.uid(), now.mode()),
                    (is.ino(), is.uid(), is.mode()),
                    "{mode:o} {installed:?}"
                );
                assert_eq!((place.state()["checksum"].clone(), place.runs()), (recorded.clone(), runs.clone()));
            }
            // Without a handler, too: it is not adopted.
            let check = ["-c", "644", "--check", "grep -q 20 {}"];
            place.kvx_out().args(["-o", "4242"]).args(check).payload(place.payload("checksum")).run().expect(65);
            assert_eq!((place.state()["checksum"].clone(), place.names()), (recorded, vec!["hosts".to_owned()]));
        }
        // What is recorded has been accepted: the check does not run again.
        place.upload(lines(20));
        run(&[]).run().expect(0);
        let not_run = ["-c", "644", "--check", "false {}"];
        place.kvx_out().args(options).args(not_run).args(["-e", &place.handler()]).run().expect(0).is_silent();
        // Without its state it runs, and then it is adopted.
        fs::remove_file(place.state_file()).unwrap();
        place.kvx_out().args(options).args(not_run).args(["-e", &place.handler()]).run().expect(65);
        run(&[]).run().expect(0);
        place.kvx_out().args(options).args(not_run).args(["-e", &place.handler()]).run().expect(0).is_silent();
    }
}
