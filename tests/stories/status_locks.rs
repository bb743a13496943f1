//! `kvx status` of locked files: each marker is shown, but only those of the requested files.

use std::fs;
use std::os::unix::fs::symlink;

use super::status::{installed, json, of_file};
use crate::common::{Place, Run, lines, lock_of, sha256};
use serde_json::{Value, json};

fn hostname() -> String {
    nix::unistd::gethostname().unwrap().into_string().unwrap()
}

#[test]
fn each_marker_of_a_lock_is_shown() {
    let place = Place::new();
    installed(&place, &lines(20));
    let problems = |place: &Place| {
        let overview = of_file(place, 1);
        assert_eq!(
            overview["files"][0]["problems"][0],
            format!("locked: {}", overview["files"][0]["lock"].as_str().unwrap())
        );
        overview
    };
    fs::write(place.visible_marker(), "Reason Locked: beside\n").unwrap();
    let overview = problems(&place);
    assert_eq!(overview["locks"], json!([]));
    assert!(overview["files"][0]["lock"].as_str().unwrap().starts_with("beside ("));
    // What cannot be read is not hidden, and does not hide the rest.
    fs::remove_file(place.visible_marker()).unwrap();
    symlink("nowhere", place.visible_marker()).unwrap();
    assert!(problems(&place)["files"][0]["lock"].as_str().unwrap().starts_with("its lock cannot be read"));
    fs::remove_file(place.visible_marker()).unwrap();
    place.consul.put(&lock_of(&place), "in Consul");
    let overview = problems(&place);
    assert_eq!(overview["files"][0]["lock"], "in Consul");
    let lock = &overview["locks"][0];
    assert_eq!((&lock["node"], &lock["file"]), (&json!(hostname()), &json!(place.file())));
    // Of a file of which nothing is recorded.
    fs::remove_file(place.state_file()).unwrap();
    let overview = of_file(&place, 1);
    assert_eq!(overview["files"][0]["lock"], "in Consul");
    place.consul.put(&lock_of(&place), "");
    assert_eq!(of_file(&place, 1)["files"][0]["lock"], json!(null));
}

#[test]
fn a_file_of_another_prefix_is_locked_under_that_one() {
    let place = Place::new();
    let prefix = &place.key;
    place.consul.put_pair(&format!("{prefix}/x"), lines(20));
    place.kvx_out_bare().args(["-k", "x", "-p", prefix]).run().expect(0);
    of_file(&place, 0);
    place.kvx_file("lock").args(["-p", prefix, "-r", "why"]).run().expect(0);
    fs::remove_dir_all(place.marker()).unwrap();
    let overview = of_file(&place, 1);
    assert!(overview["files"][0]["lock"].as_str().unwrap().starts_with("why ("), "{overview:#}");
}

#[test]
fn locks_of_other_files_are_left_out_where_one_is_wanted() {
    let place = Place::new();
    let prefix = &place.key;
    let run = |words: &[&str], file: &str| {
        let run = Run::new("kvx", &place.consul.address).args(words).args(["-p", prefix]);
        run.arg("--state-dir").arg(place.path().join("state")).arg("-f").arg(place.path().join("out").join(file))
    };
    for key in ["a", "b"] {
        place.consul.put_pair(&format!("{prefix}/{key}"), lines(20));
        run(&["out", "-k", key], key).run().expect(0);
    }
    run(&["lock", "-r", "why"], "a").run().expect(0);
    let lock = |hash: &str, node: &str| place.consul.put(&format!("{prefix}/locks/{hash}/{node}"), "elsewhere");
    lock(&sha256(place.path().join("out/a").to_str().unwrap()), "other-node");
    lock(&sha256("/etc/unknown"), "other-node");
    lock("no-hash", "other-node");
    lock(&sha256("/etc/nobody"), "");
    place.consul.put(&format!("{prefix}/locks/stray"), "stray");
    let nodes = |words: &[&str], exit| {
        let run = Run::new("kvx", &place.consul.address).args(["status", "--json", "-p", prefix]).args(words);
        let overview = json(&run.arg("--state-dir").arg(place.path().join("state")).run().expect(exit).is_silent());
        let locks = overview["locks"].as_array().unwrap();
        let name = |lock: &Value| format!("{} {}", lock["node"].as_str().unwrap(), !lock["file"].is_null());
        let mut names: Vec<String> = locks.iter().map(name).collect();
        names.sort();
        names
    };
    let (here, there, unknown) =
        (format!("{} true", hostname()), "other-node true".to_owned(), "other-node false".to_owned());
    let mut all = vec![here.clone(), there.clone(), unknown.clone()];
    all.sort();
    let mut of_a = vec![here, there];
    of_a.sort();
    assert_eq!(nodes(&[], 1), all);
    assert_eq!(nodes(&["-f", place.path().join("out/a").to_str().unwrap()], 1), of_a);
    assert_eq!(nodes(&["-f", place.path().join("out/b").to_str().unwrap()], 0), [""; 0]);
    assert_eq!(nodes(&["-k", "a"], 1), of_a);
    assert_eq!(nodes(&["-k", "b"], 0), [""; 0]);
}
