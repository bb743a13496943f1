//! A run under strace: how many system calls it makes, and how much memory it has had when it ends.

use std::thread;
use std::time::Duration;

use super::job::Job;
use super::processes;

/// The calls of a program and of what it starts.
pub fn calls(job: &Job) -> u64 {
    let log = tempfile::NamedTempFile::new().expect("a file");
    job.run_under(&["strace", "-f", "-c", "-o", log.path().to_str().expect("UTF-8")]);
    let text = std::fs::read_to_string(log.path()).expect("strace's table");
    // "100.00    0.001    12    84    6 total", without the errors if there are none.
    let total = text.lines().rfind(|line| line.ends_with(" total")).expect("strace's total");
    total.split_whitespace().nth(3).and_then(|calls| calls.parse().ok()).expect("a number of calls")
}

/// The most memory that a program has had, or the largest of those it starts, in MB. Each is held at its end, since what
/// wait(2) would tell is at least what the program has that started it.
pub fn peak_memory(job: &Job) -> f64 {
    let hold = ["-f", "-o", "/dev/null", "-e", "trace=exit_group", "-e", "inject=exit_group:delay_enter=60000"];
    let mut child = job.start(&[&["strace"], hold.as_slice()].concat());
    let strace = processes::program(child.id());
    let mut peak = 0.0;
    while child.try_wait().expect("strace").is_none() {
        // Between fork and exec, it is strace too.
        let running = processes::descendants(child.id()).into_iter().filter(|&pid| processes::program(pid) != strace);
        peak = running.filter_map(|pid| processes::megabytes(pid, "VmHWM")).fold(peak, f64::max);
        thread::sleep(Duration::from_millis(5));
    }
    job.finish(child);
    peak
}
