//! A run of `kvx-out` that works on its file until the test lets it end.

use std::path::PathBuf;
use std::process::{Child, Command};

use super::{Place, Ran, wait_for};

pub struct Busy {
    run: Child,
    fifo: PathBuf,
}

impl Busy {
    /// Starts a run that blocks in its handler (`-e`) or in its check (`--check`).
    pub fn start(place: &Place, what: &str) -> Busy {
        let (fifo, started) = (place.path().join("fifo"), place.path().join("started"));
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let file = if what == "--check" { " {}" } else { "" };
        let words = format!("sh -c 'touch {}; read word < {}'{file}", started.display(), fifo.display());
        let run = place.kvx_out().args([what, &words]).spawn();
        wait_for("the run", 20, || started.exists().then_some(()));
        Busy { run, fifo }
    }

    pub fn let_go(self) -> Ran {
        std::fs::write(&self.fifo, "go\n").unwrap();
        Ran::from(self.run.wait_with_output().unwrap())
    }
}
