//! A simulated node for the commands of the pages: its own Consul, its own `/etc` and `/var`, and stand-ins for the
//! programs that would change this machine.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use super::Consul;
use super::consul::binary;
use super::run::{self, Ran};
use tempfile::TempDir;

/// Directories of the machine that are replaced by directories of the house.
const OF_THE_MACHINE: [&str; 5] = ["/etc/", "/var/", "/usr/local/", "/srv/", "/run/"];

/// Programs that are replaced, and why.
const STAND_INS: [(&str, &str); 13] = [
    // Needs root. Here, the test's user runs the command.
    ("sudo", "while :; do case $1 in -u) shift 2;; -*) shift;; *) break;; esac; done; exec \"$@\""),
    // Change the machine's services.
    ("systemctl", ":"),
    ("journalctl", "echo 'agent: Failed to run watch handler: ...'"),
    ("pkill", "[ ! -e \"${0%/bin/*}/down\" ]"),
    ("dnsmasq", ":"),
    // May not be installed. tests/stories/guards.rs tests that a check's status decides.
    ("visudo", "[ -s \"$2\" ]"),
    ("haproxy", "[ -s \"$3\" ]"),
    // The user's own program, which prints a document of 600 lines.
    ("render", "for n in $(seq 600); do echo \"10.0.0.$n web-$n\"; done"),
    // A fixed page.
    ("curl", "echo 'Maintenance at 14:00.'"),
    // Builds or measures for minutes. CI runs these targets; here, they only have to exist.
    (
        "make",
        "for target; do case $target in *=*) ;; *) grep -q \"^$target:\" \"$PROJECT/Makefile\" \"$PROJECT/packaging/install.mk\" || exit 2;; esac; done",
    ),
    // Install something on the machine.
    ("apt", ":"),
    ("apt-get", ":"),
    ("dpkg", ":"),
];

pub struct House {
    pub consul: Arc<Consul>,
    dir: TempDir,
}

impl House {
    pub fn new() -> House {
        House::at(Arc::new(Consul::dev("")))
    }

    pub fn at(consul: Arc<Consul>) -> House {
        let house = House::empty(consul);
        house.furnish();
        house
    }

    /// A house with directories and programs, but without keys and installed files, which Consul's ACLs may not allow.
    pub fn empty(consul: Arc<Consul>) -> House {
        let dir = tempfile::Builder::new().prefix("kvx-house-").tempdir().unwrap();
        let house = House { consul, dir };
        std::fs::set_permissions(house.path(), PermissionsExt::from_mode(0o755)).unwrap(); // The user nobody must read it as well.
        std::fs::create_dir_all(house.path().join("bin")).unwrap();
        for (name, script) in STAND_INS {
            house.program(name, script);
        }
        // Several agents run on this machine, so it prints the test's own process id, whose environment can be read.
        house.program("pidof", &format!("echo {}", std::process::id()));
        symlink(binary(), house.path().join("bin/consul")).unwrap();
        // Like the symlink of docs/migration.md. kvexpress would use localhost, independent of the environment.
        std::fs::create_dir(house.path().join("as")).unwrap();
        symlink(run::binary("kvx"), house.path().join("as/kvexpress")).unwrap();
        house.program("kvexpress", "exec \"${0%/bin/*}/as/kvexpress\" \"$@\" -s $CONSUL_HTTP_ADDR");
        house.clear();
        house
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Adds a program to the house's PATH.
    pub fn program(&self, name: &str, script: &str) {
        let path = self.path().join("bin").join(name);
        run::script(&path, &format!("#!/bin/sh\n{script}\n"));
    }

    /// Restores the initial content: some keys, some files, and the state of one file.
    pub fn furnish(&self) {
        assert_eq!(self.consul.http("DELETE", "/v1/kv/?recurse", b"").unwrap().0, 200);
        self.clear();
        let hosts = |n: usize| (1..=n).map(|n| format!("10.0.0.{n} web-{n}\n")).collect::<String>();
        let (now, before) = (hosts(600), hosts(580));
        for (key, document) in
            [("hosts", &now), ("hosts-before", &before), ("motd", &before), ("sudo", &now), ("haproxy", &now)]
        {
            self.consul.put_pair(&format!("kvexpress/{key}"), document);
        }
        for path in ["service/web/config", "intranet/bans.txt"] {
            self.consul.put(path, &now);
        }
        for file in ["var/lib/kvx-in/hosts", "etc/consul-template/output/hosts.consul", "hosts.new", "hosts.good"] {
            std::fs::write(self.path().join(file), hosts(590)).unwrap();
        }
        self.sh("kvx-out -k hosts -f /etc/hosts.consul -l 10 -c 644 -e 'pkill -HUP -x dnsmasq'").expect(0);
    }

    /// Empties the directories.
    fn clear(&self) {
        for name in ["etc", "var", "usr", "srv", "run", "out", "target"] {
            let _ = std::fs::remove_dir_all(self.path().join(name));
        }
        for directory in [
            "etc/consul.d",
            "etc/consul-template/output",
            "etc/sudoers.d",
            "etc/haproxy",
            "etc/systemd/system",
            "var/lib/kvx-in",
            "var/lib/node-exporter",
            "usr/local/bin",
            "srv",
            "run",
            "out",
            "target",
        ] {
            std::fs::create_dir_all(self.path().join(directory)).unwrap();
        }
        symlink(run::binary("kvx").parent().unwrap(), self.path().join("target/release")).unwrap();
    }

    /// The text with the house's directories, and with Consul in place of the web server.
    pub fn mapped(&self, text: &str) -> String {
        let text = match text.split_once("https://intranet/") {
            Some((before, after)) if !before.contains("curl") => {
                let (name, rest) =
                    after.split_at(after.find(|c: char| c.is_whitespace() || c == '"').unwrap_or(after.len()));
                format!("{before}http://{}/v1/kv/intranet/{name}?raw{rest}", self.consul.address)
            }
            _ => text.to_owned(),
        };
        let mut mapped = String::new();
        for (at, c) in text.char_indices() {
            let begins = !mapped.ends_with(|c: char| c.is_alphanumeric() || "._-/~}".contains(c));
            if begins && OF_THE_MACHINE.iter().any(|directory| text[at..].starts_with(directory)) {
                mapped += self.path().to_str().unwrap();
            }
            mapped.push(c);
        }
        mapped
    }

    /// Runs commands of a page unchanged.
    pub fn sh(&self, commands: &str) -> Ran {
        self.sh_in(commands, b"")
    }

    /// Runs commands with this payload on stdin, as a watch does.
    pub fn sh_in(&self, commands: &str, stdin: &[u8]) -> Ran {
        let commands = self.mapped(commands);
        let path = std::env::join_paths(
            std::iter::once(self.path().join("bin"))
                .chain(std::env::split_paths(&run::path()))
                .collect::<Vec<PathBuf>>(),
        );
        let mut shell = Command::new("sh");
        shell.env_clear().env("PATH", path.unwrap()).env("HOME", self.path()).env("PROJECT", super::page::project());
        shell.env("CONSUL_HTTP_ADDR", &self.consul.address).env("STATE_DIRECTORY", self.path().join("var/lib/kvx"));
        if !stdin.is_empty() {
            shell.env("CONSUL_INDEX", "1");
        }
        shell.args(["-c", &commands]).current_dir(self.path());
        let mut child = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // The error is ignored: the commands may not read stdin.
        let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), stdin);
        Ran::from(child.wait_with_output().unwrap())
    }
}
