//! The handlers of a watch: kvx-out, and the programs that it is compared with.

use std::path::Path;

use serde_json::{Value, json};

use super::common::run::binary;
use super::job::Job;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Handler {
    /// kvx-out, started by a watch on the checksum.
    Key,
    /// kvx-out, started by a watch on the folder, whose payload contains the document.
    Folder,
    Floor,
    Script,
}

/// What a handler works on.
pub struct Work<'a> {
    pub address: &'a str,
    pub key: &'a str,
    pub file: &'a Path,
    pub state_dir: &'a Path,
}

impl Handler {
    /// The handlers that can run on this machine. The floor comes first.
    pub fn all() -> Vec<Handler> {
        let script = super::machine::find("curl").map(|_| Handler::Script);
        [Handler::Floor, Handler::Key, Handler::Folder].into_iter().chain(script).collect()
    }

    pub fn name(self) -> &'static str {
        match self {
            Handler::Key => "kvx-out, key watch",
            Handler::Folder => "kvx-out, keyprefix watch",
            Handler::Floor => "the floor",
            Handler::Script => "curl and sha256sum",
        }
    }

    pub fn words(self, work: &Work) -> Vec<String> {
        let Work { address, key, file, state_dir } = work;
        let (file, state_dir) = (file.to_str().expect("UTF-8"), state_dir.to_str().expect("UTF-8"));
        let words: Vec<&str> = match self {
            Handler::Key | Handler::Folder => {
                vec![program("kvx-out"), "-k", key, "-f", file, "--state-dir", state_dir, "-s", address]
            }
            Handler::Floor => vec![program("floor"), address, key, file],
            Handler::Script => vec!["/bin/sh", script(), address, key, file],
        };
        words.into_iter().map(str::to_owned).collect()
    }

    /// The watch in an agent's configuration.
    pub fn watch(self, work: &Work) -> Value {
        let folder = format!("kvexpress/{}/", work.key);
        match self {
            Handler::Folder => json!({ "type": "keyprefix", "prefix": folder, "args": self.words(work) }),
            _ => json!({ "type": "key", "key": folder + "checksum", "args": self.words(work) }),
        }
    }
}

/// kvx-in, whose upload triggers the watches.
pub fn upload(key: &str, document: &str, address: &str) -> Job {
    Job::new([program("kvx-in"), "-k", key, "-s", address].map(str::to_owned).into()).stdin(document)
}

/// The path of a program of kvx, or of an example next to them.
pub fn program(name: &str) -> &'static str {
    let path = match name {
        "kvx" | "kvx-in" | "kvx-out" => binary(name),
        example => binary("kvx").with_file_name("examples").join(example),
    };
    assert!(path.exists(), "{} is not there: `make bench` builds it", path.display());
    path.into_os_string().into_string().expect("UTF-8").leak()
}

fn script() -> &'static str {
    concat!(env!("CARGO_MANIFEST_DIR"), "/benches/script.sh")
}
