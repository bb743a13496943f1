//! The operator's commands, for the tests of stop, lock and unlock.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Child;

use crate::common::run::binary;
use crate::common::{Place, Run, wait_for};

pub fn hostname() -> String {
    nix::unistd::gethostname().unwrap().into_string().unwrap()
}

pub fn lock(place: &Place, reason: &str) -> Run {
    place.kvx_file("lock").args(["-r", reason]).env("SUDO_USER", "anna")
}

pub fn unlock(place: &Place) -> Run {
    place.kvx_file("unlock")
}

/// Uploads and installs.
pub fn installed(place: &Place, document: &str) {
    place.upload(document);
    place.kvx_out().run().expect(0);
}

/// A reason with who, where and when (in UTC, to the second) behind it: `REASON (by anna on HOST,
/// 2026-11-24T13:58:40Z)`.
#[track_caller]
pub fn assert_signed(text: &str, reason: &str, file: &str) {
    let rest = text.strip_prefix(&format!("{reason} ({file}by anna on {}, ", hostname()));
    let time = rest.and_then(|rest| rest.strip_suffix(')')).unwrap_or_else(|| panic!("not signed: {text}"));
    assert!(humantime::parse_rfc3339(time).is_ok() && time.len() == 20, "{text}");
}

/// A `consul watch` on a place's checksum, with `kvx-out` as its handler.
pub struct Watch(pub Child, pub PathBuf);

impl Watch {
    pub fn start(place: &Place) -> Watch {
        let key = format!("-key={}", place.kv("checksum"));
        let mut command = place.consul.command(&["watch", "-type=key", &key, "-shell=false"]);
        command.arg(binary("kvx-out")).args(["-v", "-k", &place.key, "-f"]).arg(place.file());
        let log = place.path().join("watch.log");
        command.arg("--state-dir").arg(place.path().join("state")).stderr(File::create(&log).unwrap());
        Watch(command.spawn().unwrap(), log)
    }

    /// Waits until it has fired so often; what was said.
    pub fn fired(&self, times: usize) -> Vec<String> {
        wait_for("the watch", 20, || {
            let lines: Vec<String> = fs::read_to_string(&self.1).unwrap().lines().map(str::to_owned).collect();
            (lines.len() >= times).then_some(lines)
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}
