//! Data of the kernel about processes (/proc).

use std::path::PathBuf;

/// USER_HZ, which is 100 on all common architectures.
const TICKS_PER_SECOND: f64 = 100.0;

/// The child processes that have not ended.
pub fn children(pid: u32) -> Vec<u32> {
    let all = std::fs::read_dir("/proc").expect("/proc").flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|&child| stat(child).is_some_and(|stat| stat.get(1) == Some(&u64::from(pid)))).collect()
}

/// The child processes and their descendants.
pub fn descendants(pid: u32) -> Vec<u32> {
    let children = children(pid);
    let theirs: Vec<u32> = children.iter().flat_map(|&child| descendants(child)).collect();
    children.into_iter().chain(theirs).collect()
}

/// CPU time, in seconds.
#[derive(Clone, Copy)]
pub struct Cpu {
    /// The time of the process itself.
    pub own: f64,
    /// The time of its child processes that have ended.
    pub others: f64,
}

impl Cpu {
    pub fn of(pid: u32) -> Cpu {
        let stat = stat(pid).expect("the process");
        // utime and stime, cutime and cstime in proc(5).
        let seconds = |ticks: &[u64]| ticks.iter().sum::<u64>() as f64 / TICKS_PER_SECOND;
        Cpu { own: seconds(&stat[11..13]), others: seconds(&stat[13..15]) }
    }

    pub fn since(self, before: Cpu) -> Cpu {
        Cpu { own: self.own - before.own, others: self.others - before.others }
    }

    pub fn all(self) -> f64 {
        self.own + self.others
    }
}

/// A figure of /proc/PID/status, such as `VmHWM`, in MB.
pub fn megabytes(pid: u32, name: &str) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().strip_suffix(" kB")?.parse::<f64>().ok().map(|kilobytes| kilobytes / 1024.0)
}

/// The program that the process runs.
pub fn program(pid: u32) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/exe")).ok()
}

/// The fields of /proc/PID/stat after the name, beginning with the state. A field that is not a number is 0.
fn stat(pid: u32) -> Option<Vec<u64>> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    Some(fields.split_whitespace().map(|field| field.parse().unwrap_or(0)).collect())
}
