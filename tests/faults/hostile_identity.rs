//! `kvx lock`, `unlock` and `clean` of a file whose name another user can have lead to another file for the moment: they
//! concern the file that the operator has named, and no other.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use super::hostile::{ALICE, as_alice, open_place};
use crate::common::busy::Busy;
use crate::common::users::can;
use crate::common::{Place, Ran, Run, lines, stamp_at, wait_for};

/// Alice's directory `out` has `hosts` and `other`, both installed by root, each with a handler that writes its name into
/// `ran`. By root's link `etc/app` she can have another one of hers installed.
struct Hers {
    place: Place,
}

impl Hers {
    fn new() -> Hers {
        let place = open_place();
        chown(place.path().join("out"), Some(ALICE), Some(ALICE)).unwrap();
        fs::create_dir(place.path().join("etc")).unwrap();
        symlink(place.path().join("out/app"), place.path().join("etc/app")).unwrap();
        let hers = Hers { place };
        for file in ["out/hosts", "out/other", "etc/app"] {
            hers.install(file);
        }
        fs::remove_file(hers.at("ran")).unwrap();
        hers
    }

    fn at(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn install(&self, file: &str) {
        let run = Run::new("kvx-out", &self.place.consul.address).args(["-k", &self.place.key, "--state-dir"]);
        let handler = format!("sh -c 'echo {file} >>{}'", self.at("ran").display());
        run.arg(self.at("state")).args(["-e", &handler, "-f"]).arg(self.at(file)).run().expect(0);
    }

    fn kvx(&self, command: &str, options: &[&str], file: &str) -> Ran {
        let run = self.place.kvx(command).arg("--state-dir").arg(self.at("state")).args(options).arg("-f");
        run.arg(self.at(file)).run()
    }

    /// She has this name of hers lead to another file of hers, or nowhere.
    fn leads(&self, name: &str, to: &str) {
        let script = format!("cd {}; mv {name} {name}.aside; ln -s {to} {name}", self.at("out").display());
        assert!(as_alice(&["sh", "-c", &script]).status().unwrap().success());
    }

    fn ran(&self) -> String {
        fs::read_to_string(self.at("ran")).unwrap_or_default()
    }

    fn is_locked(&self, file: &str) -> bool {
        let (directory, name) = file.split_once('/').unwrap();
        self.at(directory).join(format!(".{name}.lock")).exists()
    }
}

#[test]
fn unlocking_runs_the_command_line_of_the_file_that_was_unlocked() {
    if !can("acting for another user") {
        return;
    }
    for (file, name) in [("out/hosts", "hosts"), ("etc/app", "app")] {
        let hers = Hers::new();
        hers.kvx("lock", &["-r", "why"], file).expect(0);
        hers.place.upload(lines(21));
        hers.leads(name, "other");
        hers.kvx("unlock", &["--run"], file).expect(0);
        assert!(!hers.is_locked(file) && !hers.ran().contains("other"), "{file}: {}", hers.ran());
        assert!(hers.ran().contains(file), "{file}: {}", hers.ran());
    }
}

#[test]
fn the_named_file_is_locked_and_unlocked_not_the_one_that_its_name_leads_to() {
    if !can("acting for another user") {
        return;
    }
    for (file, name) in [("out/hosts", "hosts"), ("etc/app", "app")] {
        let hers = Hers::new();
        hers.leads(name, "other");
        hers.kvx("lock", &["-r", "why"], file).expect(0);
        assert!(hers.is_locked(file) && !hers.is_locked("out/other") && !hers.is_locked("out/app"), "{file}");
        hers.kvx("lock", &["-r", "other"], "out/other").expect(0);
        assert!(hers.kvx("unlock", &[], file).expect(0).stderr.contains("unlocked; it was locked: why"));
        assert!(!hers.is_locked(file) && hers.is_locked("out/other"), "{file}");
    }
    // What her name leads to has root's link as its name: that one's lock stays.
    let hers = Hers::new();
    hers.kvx("lock", &["-r", "why"], "etc/app").expect(0);
    hers.leads("hosts", "app");
    assert!(hers.kvx("unlock", &[], "out/hosts").expect(0).stderr.contains("not locked"));
    assert!(hers.is_locked("etc/app"));
    // By its canonical path the lock is that of the link all the same, as of root's alone.
    assert!(hers.kvx("unlock", &[], "out/app").expect(0).stderr.contains("unlocked; it was locked: why"));
    assert!(!hers.is_locked("etc/app"));
}

#[test]
fn a_lock_waits_for_a_run_of_the_file_wherever_its_name_leads_now() {
    if !can("acting for another user") {
        return;
    }
    for (file, name) in [("out/hosts", "hosts"), ("etc/app", "app")] {
        for to in ["other", "/etc/nowhere/to/be/found"] {
            let hers = Hers::new();
            hers.place.upload(lines(21));
            let (begun, go) = (hers.at("begun"), hers.at("go"));
            let check = format!(
                "sh -c 'touch {0}; until test -e {1}; do sleep 0.02; done' - {{}}",
                begun.display(),
                go.display()
            );
            let run = Run::new("kvx-out", &hers.place.consul.address).args(["-k", &hers.place.key, "--check", &check]);
            let run = run.arg("--state-dir").arg(hers.at("state")).arg("-f").arg(hers.at(file)).spawn();
            wait_for("the check", 10, || begun.exists().then_some(()));
            hers.leads(name, to);
            let lock = hers.place.kvx("lock").args(["-v", "-r", "why", "--state-dir"]).arg(hers.at("state"));
            let mut lock = lock.arg("-f").arg(hers.at(file)).spawn();
            let mut said = std::io::BufReader::new(lock.stderr.take().unwrap());
            let line = wait_for("the line", 10, || {
                let mut line = String::new();
                (std::io::BufRead::read_line(&mut said, &mut line).unwrap() > 0).then_some(line)
            });
            assert!(line.contains("a run is busy with it; waiting for it to end"), "{file} {to}: {line}");
            assert!(lock.try_wait().unwrap().is_none(), "{file} {to}");
            fs::write(go, "").unwrap();
            run.wait_with_output().unwrap();
            lock.wait().unwrap();
        }
    }
}

#[test]
fn cleaning_forgets_the_named_file_not_the_one_that_its_name_leads_to() {
    if !can("acting for another user") {
        return;
    }
    for (file, name) in [("out/hosts", "hosts"), ("etc/app", "app")] {
        let hers = Hers::new();
        let state = |file: &str| stamp_at(&hers.at("state"), hers.at(file).to_str().unwrap()).exists();
        hers.leads(name, "other");
        hers.kvx("clean", &[], file).expect(0);
        assert!(state("out/other") && !state(&format!("out/{name}")), "{file}");
    }
}

/// Where no other user can change a link, it names the file that it leads to, as before.
#[test]
fn a_link_of_roots_in_directories_of_roots_names_the_file_that_it_leads_to() {
    let place = open_place();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let link = place.path().join("link");
    symlink(place.file(), &link).unwrap();
    let kvx = |command: &str, file: &Path| {
        place.kvx(command).arg("--state-dir").arg(place.path().join("state")).arg("-f").arg(file)
    };
    place.kvx_out().run().expect(0);
    kvx("lock", &link).args(["-r", "why"]).run().expect(0);
    assert!(place.marker().exists(), "{:?}", place.names());
    place.upload(lines(21));
    kvx("unlock", &link).arg("--run").run().expect(0);
    assert_eq!(place.content(), lines(21));
    // A first run, which has not recorded anything yet, is waited for.
    let place = open_place();
    let link = place.path().join("link");
    symlink(place.file(), &link).unwrap();
    let busy = Busy::start(&place, "--check");
    let lock = place.kvx("lock").args(["-v", "-r", "why", "--state-dir"]).arg(place.path().join("state"));
    let mut lock = lock.arg("-f").arg(&link).spawn();
    let mut line = String::new();
    let mut said = std::io::BufReader::new(lock.stderr.take().unwrap());
    std::io::BufRead::read_line(&mut said, &mut line).unwrap();
    assert!(line.contains("a run is busy with it"), "{line}");
    busy.let_go().expect(0);
    lock.wait().unwrap();
}
