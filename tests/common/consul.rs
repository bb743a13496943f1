//! Starts and stops real Consul agents, each on its own loopback address, so that all ports are the default ones.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::tools::path_from;
use super::wait_for;

pub struct Consul {
    /// `127.x.y.z:8500`.
    pub address: String,
    ip: String,
    config: TempDir,
    kind: Kind,
    running: Mutex<Option<Running>>,
}

#[derive(Clone, PartialEq)]
enum Kind {
    /// An agent that stores everything in memory.
    Dev,
    /// A server with a data directory, so that it can be restarted.
    Server,
    /// A member of a cluster, with these options.
    Member(Vec<String>),
}

/// A cluster of servers, and a client agent as on a node.
pub struct Cluster {
    pub servers: Vec<Consul>,
    pub node: Consul,
}

impl Cluster {
    /// Starts three servers and a node's agent, and waits for a leader.
    pub fn new() -> Cluster {
        let ips: Vec<String> = (0..3).map(|_| Consul::free_ip()).collect();
        let join = ips.iter().map(|ip| format!("-retry-join={ip}"));
        let options = |more: &[&str]| -> Vec<String> {
            let fast = ["-hcl=performance { raft_multiplier = 1 }", "-retry-interval=1s"];
            join.clone().chain(fast.iter().chain(more).map(|&option| option.to_owned())).collect()
        };
        let member = |ip: String, more: &[&str]| Consul::prepare(Kind::Member(options(more)), ip, "");
        let servers: Vec<Consul> =
            ips.iter().map(|ip| member(ip.clone(), &["-server", "-bootstrap-expect=3"])).collect();
        let node = member(Consul::free_ip(), &[]);
        let cluster = Cluster { servers, node };
        cluster.all().for_each(Consul::launch);
        cluster.all().for_each(Consul::await_leader);
        cluster
    }

    fn all(&self) -> impl Iterator<Item = &Consul> {
        self.servers.iter().chain([&self.node])
    }

    /// The current leader, as the running servers see it.
    pub fn leader(&self) -> &Consul {
        wait_for("a leader", 30, || {
            self.servers.iter().find(|server| {
                let leader = server.http("GET", "/v1/status/leader", b"");
                leader.is_ok_and(|(_, leader)| leader == format!("\"{}:8300\"", server.ip).as_bytes())
            })
        })
    }
}

struct Running {
    /// A shell that kills the agent when its stdin is closed, which also happens when the test is killed.
    guard: Child,
    pid: u32,
}

impl Consul {
    /// An agent that all running tests share.
    pub fn shared() -> Arc<Consul> {
        static SHARED: Mutex<Weak<Consul>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        shared.upgrade().unwrap_or_else(|| {
            let consul = Arc::new(Consul::dev(""));
            *shared = Arc::downgrade(&consul);
            consul
        })
    }

    /// An in-memory agent, with additional configuration (JSON, or empty).
    pub fn dev(config: &str) -> Consul {
        Consul::start(Kind::Dev, Consul::free_ip(), config)
    }

    /// An agent that keeps its data over a restart.
    pub fn server(config: &str) -> Consul {
        Consul::start(Kind::Server, Consul::free_ip(), config)
    }

    /// An agent that is not started and stopped by this value.
    pub fn elsewhere(address: &str) -> Consul {
        let ip = address.split(':').next().unwrap().to_owned();
        Consul::prepare(Kind::Dev, ip, "")
    }

    /// A server of another datacenter, joined to the datacenter of this server.
    pub fn other_datacenter(&self, name: &str) -> Consul {
        let options =
            ["-server", "-bootstrap-expect=1", "-hcl=performance { raft_multiplier = 1 }", "-retry-interval-wan=1s"];
        let more = [format!("-datacenter={name}"), format!("-retry-join-wan={}", self.ip)];
        let options = options.into_iter().map(str::to_owned).chain(more).collect();
        let other = Consul::prepare(Kind::Member(options), Consul::free_ip(), "");
        other.up();
        wait_for("both datacenters", 60, || {
            let see = |consul: &Consul| {
                let (_, list) = consul.http("GET", "/v1/catalog/datacenters", b"").ok()?;
                let path = format!("/v1/kv/ready?dc={}", if consul.ip == self.ip { name } else { "dc1" });
                let answers = consul.http("GET", &path, b"").ok()?.0 < 500;
                (answers && String::from_utf8(list).ok()?.contains(name)).then_some(())
            };
            see(self).and(see(&other))
        });
        other
    }

    fn start(kind: Kind, ip: String, config: &str) -> Consul {
        let consul = Consul::prepare(kind, ip, config);
        consul.up();
        consul
    }

    fn prepare(kind: Kind, ip: String, config: &str) -> Consul {
        let consul = Consul {
            address: format!("{ip}:8500"),
            ip,
            config: tempfile::Builder::new().prefix("kvx-consul-").tempdir().unwrap(),
            kind,
            running: Mutex::new(None),
        };
        consul.configure(config);
        consul
    }

    /// `127.x.y.z`.
    pub fn ip(&self) -> &str {
        &self.ip
    }

    /// An address for an agent to be started with [`Consul::dev_at`].
    pub fn free_ip() -> String {
        static TAKEN: AtomicU32 = AtomicU32::new(0);
        // 127.0.0.0/8 has an address for each agent: about a thousand for each process, so that processes that run at
        // the same time use different ones.
        let number = std::process::id().wrapping_mul(1021).wrapping_add(TAKEN.fetch_add(1, Ordering::Relaxed));
        format!("127.{}.{}.{}", 1 + number / 254 / 256 % 254, number / 254 % 256, 1 + number % 254)
    }

    /// An in-memory agent at an address of [`Consul::free_ip`], which its configuration may contain.
    pub fn dev_at(ip: &str, config: &str) -> Consul {
        Consul::start(Kind::Dev, ip.to_owned(), config)
    }

    /// Writes another configuration, for the next [`Consul::up`] or [`Consul::reload`].
    pub fn configure(&self, config: &str) {
        let config = if config.is_empty() { "{}" } else { config };
        std::fs::write(self.dir().join("config.json"), config).unwrap();
    }

    /// The agent's directory, with `config.json` and `log`.
    pub fn dir(&self) -> &Path {
        self.config.path()
    }

    /// The agent's log. Its last entry may be incomplete; see [`Consul::whole_log`].
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.dir().join("log")).unwrap_or_default()).into_owned()
    }

    /// The agent's log, without an entry that the agent is still writing. The agent writes entries one after the other,
    /// so once it has logged a request of this process, all earlier entries are complete.
    pub fn whole_log(&self) -> String {
        static ASKED: AtomicU32 = AtomicU32::new(0);
        let path = format!("/v1/kv/end-of-log/{}", ASKED.fetch_add(1, Ordering::Relaxed));
        self.http("GET", &path, b"").unwrap();
        let marker = format!("{path} ");
        wait_for("the agent to log a request", 20, || {
            let mut log = self.log();
            let at = log.find(&marker)?;
            log.truncate(log[..at].rfind('\n').map_or(0, |end| end + 1));
            Some(log)
        })
    }

    /// The output of each run of a watch's handler whose entry in the log contains `marker`, once there are at least `n`.
    /// The agent logs the output when a run has ended, so the run and its handler have ended as well.
    pub fn handler_runs(&self, marker: &str, n: usize) -> Vec<String> {
        wait_for(&format!("{n} runs of the watch"), 20, || {
            let log = self.whole_log();
            let runs: Vec<String> = entries(&log)
                .into_iter()
                .filter(|entry| entry.contains("watch handler output: ") && entry.contains(marker))
                .map(output)
                .collect();
            (runs.len() >= n).then_some(runs)
        })
    }

    /// Starts or restarts the agent, and waits until it has a leader.
    pub fn up(&self) {
        self.launch();
        self.await_leader();
    }

    /// Starts or restarts the agent.
    pub fn launch(&self) {
        let mut agent: Vec<String> = vec![binary().display().to_string(), "agent".into()];
        match &self.kind {
            Kind::Member(options) => {
                agent.extend([
                    format!("-data-dir={}", self.dir().join("data").display()),
                    format!("-node=node-{}", self.ip),
                ]);
                agent.extend(options.iter().cloned());
            }
            Kind::Dev => agent.push("-dev".into()),
            Kind::Server => agent.extend([
                "-server".into(),
                "-bootstrap-expect=1".into(),
                "-hcl=performance { raft_multiplier = 1 }".into(),
                format!("-data-dir={}", self.dir().join("data").display()),
            ]),
        }
        agent.extend([format!("-bind={}", self.ip), format!("-client={}", self.ip), "-log-level=debug".into()]);
        agent.push("-hcl=disable_update_check = true".into()); // It would send requests to the internet.
        agent.push(format!("-config-file={}", self.dir().join("config.json").display()));
        // A line on stdin ends the agent. If stdin is closed without one, the test was killed, and the agent's
        // directory is removed as well.
        let script = r#"dir=$1; shift; "$@" >>"$dir/log" 2>&1 & echo $!
            read -r word; kill -KILL $! 2>/dev/null; wait; [ "$word" = down ] || rm -rf "$dir""#;
        let mut guard = Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(self.dir())
            .args(agent)
            .env_remove("CONSUL_HTTP_ADDR")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut pid = String::new();
        BufReader::new(guard.stdout.take().unwrap()).read_line(&mut pid).unwrap();
        *self.running.lock().unwrap() = Some(Running { guard, pid: pid.trim().parse().unwrap() });
    }

    /// Waits until the agent answers and has a leader.
    pub fn await_leader(&self) {
        let pid = self.pid();
        wait_for("a leader", 60, || {
            if !Path::new(&format!("/proc/{pid}")).exists() {
                panic!("the agent ended:\n{}", self.log());
            }
            // ACLs may deny the KV store, but not this path.
            let leader = self.http("GET", "/v1/status/leader", b"").ok()?;
            (leader.0 == 200 && leader.1.trim_ascii().len() > 2 && self.http("GET", "/v1/kv/ready", b"").ok()?.0 < 500)
                .then_some(())
        });
    }

    /// Kills the agent, and waits until it has ended.
    pub fn down(&self) {
        let running = self.running.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        if let Some(mut running) = running {
            let mut guard = running.guard.stdin.take().unwrap();
            guard.write_all(b"down\n").unwrap();
            drop(guard);
            running.guard.wait().unwrap();
        }
    }

    pub fn pid(&self) -> u32 {
        self.running.lock().unwrap().as_ref().expect("a running agent").pid
    }

    /// `consul reload`.
    pub fn reload(&self) {
        assert!(self.command(&["reload"]).status().unwrap().success());
    }

    /// Consul's own command line, for this agent. Its output is discarded.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(arguments).env("CONSUL_HTTP_ADDR", &self.address).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Whether the agent supports `get-or-empty`.
    pub fn has_get_or_empty(&self) -> bool {
        version() >= (1, 14)
    }

    pub fn get(&self, key: &str) -> Option<Vec<u8>> {
        let (status, body) = self.http("GET", &format!("/v1/kv/{}?raw", encode(key)), b"").unwrap();
        (status == 200).then_some(body)
    }

    pub fn text(&self, key: &str) -> Option<String> {
        self.get(key).map(|value| String::from_utf8(value).unwrap())
    }

    /// The entry of a key, with all its fields, in JSON.
    pub fn entry(&self, key: &str) -> Option<Value> {
        let (status, body) = self.http("GET", &format!("/v1/kv/{}", encode(key)), b"").unwrap();
        (status == 200).then(|| serde_json::from_slice::<Value>(&body).unwrap()[0].clone())
    }

    pub fn modify_index(&self, key: &str) -> u64 {
        self.entry(key).expect("the key")["ModifyIndex"].as_u64().unwrap()
    }

    pub fn put(&self, key: &str, value: impl AsRef<[u8]>) {
        self.put_flags(key, value, 0);
    }

    pub fn put_flags(&self, key: &str, value: impl AsRef<[u8]>, flags: u64) {
        let (status, body) =
            self.http("PUT", &format!("/v1/kv/{}?flags={flags}", encode(key)), value.as_ref()).unwrap();
        assert_eq!((status, body.trim_ascii()), (200, b"true".as_slice()));
    }

    /// Writes data and checksum in two PUTs, as kvexpress does.
    pub fn put_pair(&self, folder: &str, document: impl AsRef<[u8]>) {
        self.put(&format!("{folder}/data"), document.as_ref());
        self.put(&format!("{folder}/checksum"), super::sha256(document.as_ref()));
    }

    pub fn delete(&self, key: &str) {
        assert_eq!(self.http("DELETE", &format!("/v1/kv/{}", encode(key)), b"").unwrap().0, 200);
    }

    /// The payload that a watch on this key writes to its handler: of a `keyprefix` watch if the key ends with a slash,
    /// otherwise of a `key` watch.
    pub fn watch_payload(&self, key: &str) -> String {
        let kind = if key.ends_with('/') { ["-type=keyprefix", "-prefix"] } else { ["-type=key", "-key"] };
        let watched = format!("{}={key}", kind[1]);
        let output = self.command(&["watch", kind[0], &watched]).stdout(Stdio::piped()).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    }

    /// Sends one request without retries. Returns status and body.
    pub fn http(&self, method: &str, path: &str, body: &[u8]) -> Result<(u16, Vec<u8>), ureq::Error> {
        self.http_as(None, method, path, body)
    }

    /// Sends one request with a token.
    pub fn http_as(
        &self,
        token: Option<&str>,
        method: &str,
        path: &str,
        body: &[u8],
    ) -> Result<(u16, Vec<u8>), ureq::Error> {
        static AGENT: OnceLock<ureq::Agent> = OnceLock::new();
        let agent = AGENT.get_or_init(|| {
            ureq::Agent::config_builder()
                .http_status_as_error(false)
                .proxy(None)
                .max_idle_connections(0)
                .timeout_global(Some(Duration::from_secs(60)))
                .build()
                .new_agent()
        });
        let mut request = ureq::http::Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        if let Some(token) = token {
            request = request.header("X-Consul-Token", token);
        }
        let mut response = match method {
            "PUT" => agent.run(request.body(body)?)?,
            _ => agent.run(request.body(())?)?,
        };
        Ok((response.status().as_u16(), response.body_mut().read_to_vec()?))
    }
}

/// The entries of an agent's log. Each begins with its time, and may have several lines.
fn entries(log: &str) -> Vec<&str> {
    let begins = |line: &str| {
        let time = line.trim_start().as_bytes();
        time.len() > 10 && time[..4].iter().all(u8::is_ascii_digit) && time[4] == b'-' && time[10] == b'T'
    };
    let mut starts = Vec::new();
    let mut at = 0;
    for line in log.split_inclusive('\n') {
        if begins(line) {
            starts.push(at);
        }
        at += line.len();
    }
    starts.push(at);
    starts.windows(2).map(|pair| &log[pair[0]..pair[1]]).collect()
}

/// The handler's output in an entry: `output="..."` (1.8.7, or one line), or lines that begin with `  | ` (1.20.6).
fn output(entry: &str) -> String {
    let (_, text) = entry.rsplit_once("output=").unwrap();
    let lines = text.lines().map(|line| line.strip_prefix("  | ").unwrap_or(line));
    let text: Vec<&str> = lines.map(|line| line.trim_matches('"')).filter(|line| !line.trim().is_empty()).collect();
    text.join("\n")
}

impl Drop for Consul {
    fn drop(&mut self) {
        self.down();
    }
}

/// The Consul under test: `$CONSUL`, or the one that the project's script finds or installs.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| path_from("get-consul", &[]))
}

/// The Consul Template that the project's script finds or installs.
pub fn template_binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| path_from("get-consul", &["template"]))
}

fn version() -> (u32, u32) {
    static VERSION: OnceLock<(u32, u32)> = OnceLock::new();
    *VERSION.get_or_init(|| {
        let output = Command::new(binary()).arg("version").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let mut numbers = text.trim_start_matches("Consul v").split('.').map(|part| part.parse().unwrap());
        (numbers.next().unwrap(), numbers.next().unwrap())
    })
}

fn encode(key: &str) -> String {
    percent_encoding::utf8_percent_encode(key, percent_encoding::NON_ALPHANUMERIC).to_string().replace("%2F", "/")
}
