//! A node for the commands of the pages: its own Consul, its own `/etc` and `/var`, and stand-ins for the programs that
//! would act on this machine.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use super::Consul;
use super::consul::binary;
use super::run::{self, Ran};
use tempfile::TempDir;

/// Directories of the machine, which are replaced by the house's own.
const OF_THE_MACHINE: [&str; 5] = ["/etc/", "/var/", "/usr/local/", "/srv/", "/run/"];

/// Stand-ins, and why.
const STAND_INS: [(&str, &str); 13] = [
    // Needs root, and here there is nobody else to become.
    ("sudo", "while :; do case $1 in -u) shift 2;; -*) shift;; *) break;; esac; done; exec \"$@\""),
    // Act on the machine's services.
    ("systemctl", ":"),
    ("journalctl", "echo 'agent: Failed to run watch handler: ...'"),
    ("pkill", "[ ! -e \"${0%/bin/*}/down\" ]"),
    ("dnsmasq", ":"),
    // Need not be installed; that a check's status decides is seen in tests/stories/guards.rs.
    ("visudo", "[ -s \"$2\" ]"),
    ("haproxy", "[ -s \"$3\" ]"),
    // A document of 600 lines: what stands for somebody's own program.
    ("render", "for n in $(seq 600); do echo \"10.0.0.$n web-$n\"; done"),
    // Whose page is as it is.
    ("curl", "echo 'Maintenance at 14:00.'"),
    // Builds, or measures for minutes. CI runs these targets; here, they must be there.
    (
        "make",
        "for target; do case $target in *=*) ;; *) grep -q \"^$target:\" \"$PROJECT/Makefile\" \"$PROJECT/packaging/install.mk\" || exit 2;; esac; done",
    ),
    // Install on the machine.
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

    /// Its directories and programs, but no keys, no files, and nothing installed: Consul's ACLs may deny it.
    pub fn empty(consul: Arc<Consul>) -> House {
        let dir = tempfile::Builder::new().prefix("kvx-house-").tempdir().unwrap();
        let house = House { consul, dir };
        std::fs::set_permissions(house.path(), PermissionsExt::from_mode(0o755)).unwrap(); // For nobody, too.
        std::fs::create_dir_all(house.path().join("bin")).unwrap();
        for (name, script) in STAND_INS {
            house.program(name, script);
        }
        // Of the agents that run here, which? This test has an environment, too.
        house.program("pidof", &format!("echo {}", std::process::id()));
        symlink(binary(), house.path().join("bin/consul")).unwrap();
        // As the symlink of docs/migration.md; but it asks localhost, whatever the environment says.
        std::fs::create_dir(house.path().join("as")).unwrap();
        symlink(run::binary("kvx"), house.path().join("as/kvexpress")).unwrap();
        house.program("kvexpress", "exec \"${0%/bin/*}/as/kvexpress\" \"$@\" -s $CONSUL_HTTP_ADDR");
        house.clear();
        house
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A program on the house's PATH.
    pub fn program(&self, name: &str, script: &str) {
        let path = self.path().join("bin").join(name);
        run::script(&path, &format!("#!/bin/sh\n{script}\n"));
    }

    /// Everything as it was: some keys, some files, and what is recorded of one.
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

    /// The directories, empty.
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

    /// With the house's directories, and a web server that is Consul.
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

    /// Runs commands as they stand in a page.
    pub fn sh(&self, commands: &str) -> Ran {
        self.sh_in(commands, b"")
    }

    /// The same, as a watch does it: with a payload.
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
        // It may not read it.
        let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), stdin);
        Ran::from(child.wait_with_output().unwrap())
    }
}
