//! Every connection to a real Consul: plain, TLS, mutual TLS, a unix socket, with and without ACLs. The same commands
//! do the same on each.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::common::certificates::{Ca, Pair};
use crate::common::{self, Consul, Place, Ran, Run, lines};
use serde_json::json;
use tempfile::TempDir;

const MASTER: &str = "00000000-aaaa-bbbb-cccc-0123456789ab";

/// An agent that listens in all ways.
pub struct Agent {
    pub consul: Arc<Consul>,
    pub https: String,
    pub socket: PathBuf,
    pub ca: Ca,
    pub client: Pair,
    pub dir: TempDir,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Wants {
    NoCertificate,
    Certificate,
}

impl Agent {
    pub fn new(wants: Wants, acl: bool) -> Agent {
        let dir = tempfile::Builder::new().prefix("kvx-tls-").tempdir().unwrap();
        let ip = Consul::free_ip();
        let ca = Ca::new(dir.path(), "ca");
        let server = ca.issue("server", &["server.dc1.consul", "localhost", &ip]);
        let client = ca.issue("client", &["client.dc1.consul"]);
        let socket = dir.path().join("consul.sock");
        // What both versions understand.
        let mut config = json!({
            "ports": {"https": 8501, "grpc": -1},
            "addresses": {"http": format!("{ip} unix://{}", socket.display())},
            "ca_file": ca.file, "cert_file": server.certificate, "key_file": server.key,
            "verify_incoming_https": wants == Wants::Certificate,
        });
        if acl {
            config["acl"] = json!({"enabled": true, "default_policy": "deny", "tokens": {"master": MASTER}});
        }
        let consul = Arc::new(Consul::dev_at(&ip, &config.to_string()));
        if acl {
            common::wait_for("ACLs", 20, || {
                let (status, _) = consul.http_as(Some(MASTER), "GET", "/v1/acl/tokens", b"").ok()?;
                (status == 200).then_some(())
            });
        }
        Agent { https: format!("{ip}:8501"), consul, socket, ca, client, dir }
    }

    /// A file in the agent's directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

/// Flags and variables that lead to an agent.
#[derive(Clone, Default)]
pub struct Way {
    pub name: &'static str,
    pub flags: Vec<String>,
    pub variables: Vec<(&'static str, String)>,
    /// What each run says first.
    pub warns: bool,
}

impl Way {
    pub fn to(name: &'static str) -> Way {
        Way { name, ..Way::default() }
    }

    pub fn flag(mut self, flag: &str, value: impl AsRef<Path>) -> Way {
        self.flags.extend([flag.to_owned(), value.as_ref().display().to_string()]);
        self
    }

    pub fn variable(mut self, name: &'static str, value: impl AsRef<Path>) -> Way {
        self.variables.push((name, value.as_ref().display().to_string()));
        self
    }

    pub fn run(&self, program: &str, place: &Place) -> Run {
        let mut run = Run::new(program, "");
        run.command.env_remove("CONSUL_HTTP_ADDR");
        let run = self.variables.iter().fold(run, |run, (name, value)| run.env(name, value));
        run.args(["-k", &place.key]).args(&self.flags)
    }

    pub fn kvx_in(&self, place: &Place) -> Run {
        self.run("kvx-in", place)
    }

    pub fn kvx_out(&self, place: &Place) -> Run {
        let state = place.path().join("state");
        self.run("kvx-out", place).arg("--state-dir").arg(state).arg("-f").arg(place.file())
    }

    /// What it said, but for the warning that there may have to be.
    pub fn said(&self, mut ran: Ran) -> Ran {
        if self.warns {
            let (warning, rest) = ran.stderr.split_once('\n').unwrap_or_default();
            assert!(warning.contains("warning") && warning.contains("CONSUL_HTTP_SSL_VERIFY"), "{}", ran.stderr);
            ran.stderr = rest.to_owned();
        }
        ran
    }
}

/// The stories, by one way.
fn they_do_the_same(agent: &Agent, way: &Way) {
    let place = Place::at(agent.consul.clone());
    let ran = |run: Run| way.said(run.run());
    let upload = |document: &str| ran(way.kvx_in(&place).stdin(document));
    println!("{}", way.name);
    ran(way.kvx_out(&place)).expect(66).says(&[&place.key, "there is no"]);
    upload(&lines(20)).expect(0).says(&["20 lines", "uploaded, the first of this key"]);
    upload(&lines(20)).expect(0).is_silent();
    let handler = place.handler();
    let out = || way.kvx_out(&place).args(["-e", &handler]);
    ran(out()).expect(0).says(&["20 lines", "installed", "handler ran"]);
    ran(out()).expect(0).is_silent();
    let difference = ran(way.kvx_in(&place).arg("-n").stdin(lines(21))).expect(0);
    assert!(difference.out().ends_with("+21\n"), "{}", difference.out());
    // Too large for a transaction: a PUT, and reading it back.
    let large: String = (0..45_000).map(|line| format!("{line:09}\n")).collect();
    upload(&large).expect(0).says(&["45000 lines", "uploaded, in place of"]);
    ran(out()).expect(0).says(&["45000 lines", "installed"]);
    assert_eq!(place.content(), large);
    let printed = ran(way.run("kvx-out", &place).args(["-f", "-"])).expect(0).is_silent();
    assert_eq!(printed.out(), large);
    ran(out().args(["--wait", "5s"])).expect(0);
    assert_eq!((place.runs().len(), place.names()), (2, vec!["hosts".into()]));
}

#[test]
fn the_same_commands_do_the_same_whichever_way_they_take() {
    let agent = Agent::new(Wants::NoCertificate, false);
    let (ca, https) = (&agent.ca.file, format!("https://{}", agent.https));
    let directory = agent.path("trusted/below");
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::copy(ca, directory.join("ca.crt")).unwrap();
    let unix = format!("unix://{}", agent.socket.display());
    let ways = [
        Way::to("plain").flag("-s", &agent.consul.address),
        Way::to("plain, by variable").variable("CONSUL_HTTP_ADDR", format!("http://{}/", agent.consul.address)),
        Way::to("TLS").flag("-s", &https).flag("--ca-file", ca),
        Way::to("TLS, by variables").variable("CONSUL_HTTP_ADDR", &https).variable("CONSUL_CACERT", ca),
        Way::to("TLS by CONSUL_HTTP_SSL")
            .variable("CONSUL_HTTP_ADDR", &agent.https)
            .variable("CONSUL_HTTP_SSL", "true")
            .variable("CONSUL_CACERT", ca),
        Way::to("TLS by CONSUL_HTTP_SSL, though http:// is said")
            .flag("-s", format!("http://{}", agent.https))
            .variable("CONSUL_HTTP_SSL", "1")
            .variable("CONSUL_CACERT", ca),
        Way::to("TLS, with a directory of CAs").flag("-s", &https).variable("CONSUL_CAPATH", agent.path("trusted")),
        Way::to("TLS, with a CA file before a directory")
            .flag("-s", &https)
            .variable("CONSUL_CACERT", ca)
            .variable("CONSUL_CAPATH", "/nowhere"),
        Way::to("TLS, by the system's CAs").flag("-s", &https).variable("SSL_CERT_FILE", ca),
        Way::to("TLS, with another name")
            .flag("-s", &https)
            .flag("--ca-file", ca)
            .flag("--tls-server-name", "server.dc1.consul"),
        Way::to("TLS, with another name, by variable")
            .flag("-s", &https)
            .flag("--ca-file", ca)
            .variable("CONSUL_TLS_SERVER_NAME", "localhost"),
        Way::to("TLS, with a certificate that nobody asked for")
            .flag("-s", &https)
            .flag("--ca-file", ca)
            .flag("--client-cert", &agent.client.certificate)
            .flag("--client-key", &agent.client.key),
        Way {
            warns: true,
            ..Way::to("TLS, unverified").flag("-s", &https).variable("CONSUL_HTTP_SSL_VERIFY", "false")
        },
        Way::to("a socket").flag("-s", &unix),
        Way::to("a socket, by variable").variable("CONSUL_HTTP_ADDR", &unix),
        // Consul Template always sets these.
        Way::to("a socket, though TLS is wanted")
            .flag("-s", &unix)
            .variable("CONSUL_HTTP_SSL", "true")
            .variable("CONSUL_HTTP_SSL_VERIFY", "true"),
        // Nothing of TLS is looked at where there is none.
        Way::to("plain, with certificates that are not there")
            .flag("-s", &agent.consul.address)
            .flag("--client-key", "/nowhere")
            .variable("CONSUL_CACERT", "/nowhere"),
    ];
    ways.iter().for_each(|way| they_do_the_same(&agent, way));
}

#[test]
fn mutual_tls_does_the_same_and_so_does_a_token_on_it() {
    for acl in [false, true] {
        let agent = Agent::new(Wants::Certificate, acl);
        let https = format!("https://{}", agent.https);
        let (certificate, key) = (&agent.client.certificate, &agent.client.key);
        let mut ways = vec![
            Way::to("mutual TLS")
                .flag("-s", &https)
                .flag("--ca-file", &agent.ca.file)
                .flag("--client-cert", certificate)
                .flag("--client-key", key),
            Way::to("mutual TLS, by variables")
                .variable("CONSUL_HTTP_ADDR", &https)
                .variable("CONSUL_CACERT", &agent.ca.file)
                .variable("CONSUL_CLIENT_CERT", certificate)
                .variable("CONSUL_CLIENT_KEY", key),
            Way::to("a socket").flag("-s", format!("unix://{}", agent.socket.display())),
        ];
        if acl {
            std::fs::write(agent.path("token"), format!("{MASTER}\n")).unwrap();
            ways = ways.into_iter().map(|way| way.flag("--token-file", agent.path("token"))).collect();
        }
        ways.iter().for_each(|way| they_do_the_same(&agent, way));
        if acl {
            // Without the token, by any way, it is a denial and not a matter of the way.
            let place = Place::at(agent.consul.clone());
            let unix = Way::to("").flag("-s", format!("unix://{}", agent.socket.display()));
            unix.kvx_out(&place).run().expect(77).says(&[&place.key, "denies", "CONSUL_HTTP_TOKEN"]);
        }
    }
}
