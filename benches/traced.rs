//! A run under strace: the number of its system calls, and its peak memory.

use std::thread;
use std::time::Duration;

use super::job::Job;
use super::processes;

/// The number of system calls of a program and its child processes.
pub fn calls(job: &Job) -> u64 {
    let log = tempfile::NamedTempFile::new().expect("a file");
    job.run_under(&["strace", "-f", "-c", "-o", log.path().to_str().expect("UTF-8")]);
    let text = std::fs::read_to_string(log.path()).expect("strace's table");
    // "100.00    0.001    12    84    6 total"; without errors, the 6 is missing.
    let total = text.lines().rfind(|line| line.ends_with(" total")).expect("strace's total");
    total.split_whitespace().nth(3).and_then(|calls| calls.parse().ok()).expect("a number of calls")
}

/// The peak memory of a program, or of its largest child process, in MB. Each process is stopped at its exit to read
/// it, because the value of wait(2) is never below the memory of the parent process.
pub fn peak_memory(job: &Job) -> f64 {
    let hold = ["-f", "-o", "/dev/null", "-e", "trace=exit_group", "-e", "inject=exit_group:delay_enter=60000"];
    let mut child = job.start(&[&["strace"], hold.as_slice()].concat());
    let strace = processes::program(child.id());
    let mut peak = 0.0;
    while child.try_wait().expect("strace").is_none() {
        // Between fork and exec, the process is strace as well.
        let running = processes::descendants(child.id()).into_iter().filter(|&pid| processes::program(pid) != strace);
        peak = running.filter_map(|pid| processes::megabytes(pid, "VmHWM")).fold(peak, f64::max);
        thread::sleep(Duration::from_millis(5));
    }
    job.finish(child);
    peak
}
