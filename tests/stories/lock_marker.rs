//! The marker of a lock next to the file: programs do not take it for configuration, it exists for names of any length,
//! a marker of another user is ignored, and an unreadable marker does not count as absent.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use crate::common::{self, Place, Run, lines, lock_of};
use nix::unistd::geteuid;

/// Of a local user who decides nothing here.
pub const STRANGER: u32 = 4242;

pub fn lock(place: &Place, file: &Path) -> Run {
    on(place, "lock", file).args(["-r", "why"])
}

pub fn on(place: &Place, command: &str, file: &Path) -> Run {
    place.kvx(command).arg("--state-dir").arg(place.path().join("state")).arg("-f").arg(file)
}

/// A second line may say how to catch up.
#[track_caller]
pub fn unlock(place: &Place, file: &Path, says: &str) {
    let ran = on(place, "unlock", file).run().expect(0);
    assert!(ran.stderr.contains(says), "{}", ran.stderr);
}

/// A program that reads all files of a directory, and what it is given to read them.
struct Reader {
    program: &'static str,
    /// The name of a file that it takes for its own.
    name: &'static str,
    content: &'static str,
    /// Its own configuration, with DIR in it.
    main: &'static str,
    arguments: &'static [&'static str],
}

const READERS: [Reader; 5] = [
    Reader {
        program: "dnsmasq",
        name: "site.conf",
        content: "address=/example.test/192.0.2.1\n",
        main: "conf-dir=DIR\n",
        arguments: &["--test", "--conf-file=MAIN"],
    },
    Reader {
        program: "nginx",
        name: "site",
        content: "server { listen 127.0.0.1:1; }\n",
        main: "pid DIR/../pid;\nevents {}\nhttp { access_log off; include DIR/*; }\n",
        arguments: &["-t", "-e", "stderr", "-c", "MAIN"],
    },
    Reader {
        program: "logrotate",
        name: "site",
        content: "/nowhere/kvx-test.log { missingok\n weekly\n}\n",
        main: "include DIR\n",
        arguments: &["--debug", "--state", "STATE", "MAIN"],
    },
    Reader { program: "run-parts", name: "site", content: "#!/bin/sh\n", main: "", arguments: &["--list", "DIR"] },
    Reader {
        program: "visudo",
        name: "site",
        content: "alice ALL = (root) /bin/true\n",
        main: "@includedir DIR\n",
        arguments: &["--check", "--file=MAIN"],
    },
];

impl Reader {
    /// What it says, and whether it is content.
    fn read(&self, place: &Place) -> (bool, String) {
        let path = |name: &str| place.path().join(name).display().to_string();
        let filled = |text: &str| {
            text.replace("DIR", &path("out"))
                .replace("MAIN", &path("main.conf"))
                .replace("STATE", &path("logrotate.state"))
        };
        fs::write(path("main.conf"), filled(self.main)).unwrap();
        fs::set_permissions(path("main.conf"), Permissions::from_mode(0o440)).unwrap();
        let output = Command::new(self.program).args(self.arguments.iter().map(|word| filled(word))).output().unwrap();
        fs::remove_file(path("main.conf")).unwrap();
        let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
        // logrotate's debug output: it has seen a directory, and not looked into it.
        let said: Vec<&str> = said.lines().filter(|line| !line.starts_with("Ignoring .site.lock because")).collect();
        let said = said.join("\n");
        (output.status.success() && !said.contains("error:"), said)
    }

    fn is_here(&self) -> bool {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|directory| directory.join(self.program).exists())
    }
}

#[test]
fn no_program_takes_the_marker_of_a_locked_file_for_its_configuration() {
    if !geteuid().is_root() {
        common::skipped("only root's files are read by logrotate and visudo");
        return;
    }
    for reader in READERS {
        if !reader.is_here() {
            common::skipped(&format!("there is no {}; tests/tools/need gets it", reader.program));
            continue;
        }
        let place = Place::new();
        let file = place.path().join("out").join(reader.name);
        place.upload(reader.content);
        let install =
            || Run::new("kvx-out", &place.consul.address).args(["-k", &place.key, "-l", "0", "-c", "440", "-f"]);
        let install = || install().arg(&file).arg("--state-dir").arg(place.path().join("state"));
        install().run().expect(0);
        let before = reader.read(&place);
        assert!(before.0, "{}: {}", reader.program, before.1);
        lock(&place, &file).run().expect(0);
        assert_eq!(reader.read(&place), before, "{}", reader.program);
        assert_eq!(place.names(), [format!(".{}.lock", reader.name), reader.name.to_owned()]);
        place.upload(format!("{}\n", reader.content));
        install().run().expect(0).says(&["locked on this node", "why"]);
        // Others can read why, whatever the umask was.
        let reason = place.path().join(format!("out/.{}.lock/reason", reader.name));
        assert_eq!(fs::metadata(&reason).unwrap().mode() & 0o7777, 0o644);
        unlock(&place, &file, "it was locked: why");
        assert_eq!(place.names(), [reader.name]);
        // This test can fail: kvexpress's marker is read by some.
        if matches!(reader.program, "dnsmasq" | "nginx") {
            fs::write(place.path().join(format!("out/{}.locked", reader.name)), "Reason Locked: why\n").unwrap();
            assert!(!reader.read(&place).0);
        }
        if reader.program == "logrotate" {
            fs::write(place.path().join("out/.site.lock"), "Reason Locked: why\n").unwrap();
            assert_ne!(reader.read(&place), before);
        }
    }
}

#[test]
fn whatever_can_be_installed_can_be_locked() {
    let place = Place::new();
    place.upload(lines(20));
    for length in [1, 241, 242, 243, 248, 249] {
        let name = "n".repeat(length);
        let file = place.path().join("out").join(&name);
        let out = || {
            let out = Run::new("kvx-out", &place.consul.address).args(["-k", &place.key, "-f"]);
            out.arg(&file).arg("--state-dir").arg(place.path().join("state"))
        };
        out().run().expect(0);
        lock(&place, &file).run().expect(0).says(&["locked on this node: why"]);
        fs::write(&file, "by hand\n").unwrap();
        place.consul.delete(&lock_at(&file));
        out().run().expect(0).says(&["locked on this node", "why", ".lock)"]);
        unlock(&place, &file, "it was locked: why");
        // Called kvexpress, by FILE.locked where there is room for it.
        let mut run = place.kvx("lock").args(["-s", &place.consul.address, "-r", "why", "-f"]).arg(&file);
        std::os::unix::process::CommandExt::arg0(&mut run.command, "kvexpress");
        run.run().expect(0);
        let visible = place.path().join(format!("out/{name}.locked"));
        assert_eq!(visible.symlink_metadata().is_ok(), length <= 242, "{length}");
        out().run().expect(0).says(&["locked on this node", "why"]);
        unlock(&place, &file, "it was locked: why");
        assert_eq!(place.names(), [name.as_str()]);
        fs::remove_file(&file).unwrap();
    }
    let too_long = place.path().join("out").join("n".repeat(250));
    lock(&place, &too_long).run().expect(73).says(&["cannot be locked", "File name too long"]);
    assert!(place.names().is_empty() && place.consul.get(&lock_at(&too_long)).is_none());
}

pub fn lock_at(file: &Path) -> String {
    let host = nix::unistd::gethostname().unwrap().into_string().unwrap();
    format!("kvexpress/locks/{}/{host}", common::sha256(file.to_str().unwrap()))
}

#[test]
fn a_half_made_marker_locks_and_a_lock_that_failed_leaves_none() {
    let place = Place::new();
    place.upload(lines(20));
    // A run that died behind its first step.
    fs::create_dir(place.marker()).unwrap();
    place.kvx_out().run().expect(0).says(&["locked on this node", "no reason given", ".hosts.lock"]);
    assert!(!place.file().exists());
    let mut relative =
        Run::new("kvx-out", &place.consul.address).args(["-k", &place.key, "-f", "hosts", "--state-dir"]);
    relative = relative.arg(place.path().join("state"));
    relative.command.current_dir(place.path().join("out"));
    relative.run().expect(0).says(&["locked on this node", "no reason given (/", "/out/.hosts.lock)"]);
    // It is completed by the next lock, which says what was there.
    let again = lock(&place, &place.file()).run().expect(0);
    again.says(&["locked on this node: why", "it was locked before: no reason given"]);
    assert!(place.marker_text().contains("why"));
    lock(&place, &place.file()).run().expect(75).says(&["it is locked already: why", "kvx unlock", "--replace"]);
    on(&place, "unlock", &place.file()).run().expect(0);
    // No room for the reason.
    let mut limited = Command::new("sh");
    let run = lock(&place, &place.file());
    limited.args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$@\"", "sh"]).arg(run.command.get_program());
    limited.args(run.command.get_args()).env("CONSUL_HTTP_ADDR", &place.consul.address);
    let output = limited.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(73), "{said}");
    assert!(said.contains("cannot be locked") && said.contains("too large"), "{said}");
    // Of the marker, nothing is left; but the lock in Consul is better than none.
    assert!(said.contains("it is locked in Consul only") && place.names().is_empty(), "{said}");
    assert!(place.consul.get(&lock_of(&place)).is_some());
    place.kvx_out().run().expect(0).says(&["locked on this node", "why"]);
}

/// A user who can rename entries next to the file can give the marker's name to a directory that is not to be seen.
#[test]
fn a_directory_that_has_the_markers_name_is_not_opened_to_all() {
    let place = Place::new();
    place.upload(lines(20));
    fs::create_dir(place.marker()).unwrap();
    place.write("out/.hosts.lock/precious", "precious\n");
    fs::set_permissions(place.marker(), Permissions::from_mode(0o700)).unwrap();
    lock(&place, &place.file()).run().expect(0);
    assert_eq!(fs::metadata(place.marker()).unwrap().mode() & 0o777, 0o700);
}

#[test]
fn a_marker_that_cannot_be_read_is_a_failure() {
    let place = Place::new();
    place.upload(lines(20));
    place.kvx_out().run().expect(0);
    place.upload(lines(21));
    // As many open files as there are without reading it.
    let limited = |files: u32| {
        let run = place.kvx_out();
        let mut sh = Command::new("sh");
        sh.args(["-c", &format!("ulimit -n {files}; exec \"$@\""), "sh"]).arg(run.command.get_program());
        sh.args(run.command.get_args()).env("CONSUL_HTTP_ADDR", &place.consul.address);
        let output = sh.output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for marker in [place.marker().join("reason"), place.visible_marker()] {
        fs::create_dir_all(marker.parent().unwrap()).unwrap();
        fs::write(&marker, "Reason Locked: why\n").unwrap();
        let mut said = Vec::new();
        for files in 4..12 {
            let (status, line) = limited(files);
            assert!(
                status == Some(73)
                    || (status == Some(78) && line.contains("which machine this is cannot be known"))
                    || (status == Some(0) && line.contains("locked on this node, file left unchanged: why")),
                "{status:?} {line}"
            );
            said.push(line);
        }
        assert!(
            said.iter().any(|line| line.contains("its lock cannot be read") && line.contains("Too many open files")),
            "{said:?}"
        );
        assert_eq!(place.content(), lines(20));
        fs::remove_file(&marker).unwrap();
        drop(fs::remove_dir(place.marker()));
    }
    if !geteuid().is_root() {
        common::skipped("root's marker that others cannot read");
        return;
    }
    // Of another user, who may not read it.
    let (place, home) = (Place::new(), tempfile::tempdir().unwrap());
    let program = home.path().join("kvx-out");
    common::run::copy_of("kvx-out", &program);
    place.upload(lines(20));
    for directory in [home.path(), place.path(), &place.path().join("out")] {
        chown(directory, Some(STRANGER), Some(STRANGER)).unwrap();
    }
    for (marker, mode) in [(place.visible_marker(), 0o600), (place.marker(), 0o700)] {
        if marker == place.marker() {
            fs::create_dir(&marker).unwrap()
        } else {
            fs::write(&marker, "why\n").unwrap()
        }
        fs::set_permissions(&marker, Permissions::from_mode(mode)).unwrap();
        let id = STRANGER.to_string();
        let mut run = Command::new("setpriv");
        run.args(["--reuid", &id, "--regid", &id, "--clear-groups", "--"]).arg(&program);
        run.args(place.kvx_out().command.get_args())
            .env("CONSUL_HTTP_ADDR", &place.consul.address)
            .env("HOME", home.path());
        let output = run.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(73), "{said}");
        assert!(said.contains("its lock cannot be read") && said.contains("Permission denied"), "{said}");
        assert!(said.contains("run as a user who may") && !place.file().exists(), "{said}");
        if marker == place.marker() { fs::remove_dir(&marker).unwrap() } else { fs::remove_file(&marker).unwrap() }
    }
}
