//! On a Consul with ACLs: the policies of `examples/` allow what each part does and nothing else, and the commands of
//! examples/README.md, run unchanged, set everything up.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use crate::common::consul::template_binary;
use crate::common::house::House;
use crate::common::page::Page;
use crate::common::run::{self, Ran, Run};
use crate::common::{Consul, Place, lines, lock_of, sha256, wait_for};
use serde_json::{Value, json};

const MASTER: &str = "00000000-aaaa-bbbb-cccc-0123456789ab";

/// An agent whose ACLs deny everything that is not allowed; with more configuration.
fn guarded(ip: &str, more: &Value) -> Arc<Consul> {
    let consul = Arc::new(Consul::dev_at(ip, &configuration(more).to_string()));
    wait_for("the ACLs", 60, || {
        let (status, _) = consul.http_as(Some(MASTER), "GET", "/v1/acl/tokens", b"").ok()?;
        (status == 200).then_some(())
    });
    consul
}

fn configuration(more: &Value) -> Value {
    // "master" is what 1.20.6 calls "initial_management": it takes both.
    let mut all = json!({ "acl": { "enabled": true, "default_policy": "deny", "tokens": { "master": MASTER } } });
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    all
}

/// A place of the key `hosts`, whose document is looked at and put there with the master token.
struct Site {
    place: Place,
    consul: Arc<Consul>,
}

impl Site {
    fn new() -> Site {
        let consul = guarded(&Consul::free_ip(), &json!({}));
        Site { place: Place::at(consul.clone()), consul }
    }

    fn api(&self, token: &str, method: &str, path: &str, body: impl AsRef<[u8]>) -> (u16, Vec<u8>) {
        self.consul.http_as(Some(token), method, path, body.as_ref()).unwrap()
    }

    /// A token with the rules of an example, or with other rules.
    fn token(&self, rules: &str) -> String {
        let name = format!("policy-{}", &sha256(rules)[..16]);
        let make = |what: &str, body: Value| {
            let (status, answer) = self.api(MASTER, "PUT", &format!("/v1/acl/{what}"), body.to_string());
            assert_eq!(status, 200, "{}", String::from_utf8_lossy(&answer));
            serde_json::from_slice::<Value>(&answer).unwrap()
        };
        make("policy", json!({ "Name": name, "Rules": rules }));
        make("token", json!({ "Policies": [{ "Name": name }] }))["SecretID"].as_str().unwrap().to_owned()
    }

    fn put(&self, path: &str, value: impl AsRef<[u8]>) {
        assert_eq!(self.api(MASTER, "PUT", &format!("/v1/kv/{path}"), value).0, 200);
    }

    /// All of the key, indexes included.
    fn in_consul(&self) -> Vec<u8> {
        self.api(MASTER, "GET", "/v1/kv/kvexpress/?recurse", b"").1
    }

    fn text(&self, path: &str) -> String {
        String::from_utf8(self.api(MASTER, "GET", &format!("/v1/kv/{path}?raw"), b"").1).unwrap()
    }

    fn kvx(&self, program: &str, token: &str) -> Run {
        Run::new(program, &self.consul.address).env("CONSUL_HTTP_TOKEN", token)
    }

    fn upload(&self, token: &str, document: &str) -> Ran {
        self.kvx("kvx-in", token).args(["-k", "hosts"]).stdin(document).run()
    }

    fn install(&self, token: &str) -> Run {
        self.place.kvx_out_bare().args(["-k", "hosts"]).env("CONSUL_HTTP_TOKEN", token)
    }

    #[track_caller]
    fn assert_is(&self, document: &str) {
        assert_eq!(self.text("kvexpress/hosts/data"), document);
        assert_eq!(self.text("kvexpress/hosts/checksum"), sha256(document));
    }
}

/// 450 KB, too large for a transaction.
fn large() -> String {
    (0..45_000).map(|line| format!("{line:09}\n")).collect()
}

#[test]
fn the_uploaders_policy_suffices_for_all_that_kvx_in_does() {
    let site = Site::new();
    let token = site.token(&example("acl-in.hcl"));
    site.upload(&token, &lines(20)).expect(0).says(&["uploaded, the first of this key"]);
    for document in [lines(600), large(), lines(30)] {
        site.upload(&token, &document).expect(0).says(&["uploaded"]);
        site.assert_is(&document);
        site.upload(&token, &document).expect(0).is_silent();
    }
    let dry = site.kvx("kvx-in", &token).args(["-k", "hosts", "-n"]).stdin(lines(31)).run().expect(0);
    assert!(dry.out().contains("+31\n"), "{}", dry.out());
    // Torn pairs: of another document, and of ours, which needs its checksum written anew; small and large.
    for document in [lines(40), large()] {
        for checksum in [sha256("another"), sha256(&document)] {
            site.put("kvexpress/hosts/data", "torn\n");
            site.put("kvexpress/hosts/checksum", checksum);
            site.upload(&token, &document).expect(0).says(&["uploaded", "torn"]);
            site.assert_is(&document);
        }
    }
    site.put("kvexpress/hosts/stop", "bad DNS");
    let before = site.in_consul();
    site.upload(&token, &lines(50)).expect(0).says(&["stopped", "bad DNS"]);
    assert_eq!(site.in_consul(), before);
}

/// An operator's stop is to outlast the source of what was bad.
#[test]
fn the_uploaders_token_lifts_no_stop_and_sets_none() {
    let site = Site::new();
    let (token, operator) = (site.token(&example("acl-in.hcl")), site.token(&example("acl-operator.hcl")));
    site.upload(&token, &lines(20)).expect(0);
    let key = |command: &str, token: &str| site.kvx("kvx", token).args([command, "-k", "hosts"]);
    let before = site.in_consul();
    key("stop", &token).args(["-r", "mine"]).run().expect(77).says(&["kvexpress/hosts/stop"]);
    assert_eq!(site.in_consul(), before);
    key("stop", &operator).args(["-r", "bad DNS"]).run().expect(0);
    let before = site.in_consul();
    key("resume", &token).run().expect(77).says(&["kvx resume: hosts"]);
    for (method, path) in [
        ("DELETE", "hosts/stop"),
        ("PUT", "hosts/stop"),
        ("PUT", "hosts/hold"),
        ("PUT", "hosts-2/data"),
        ("DELETE", "hosts/?recurse"),
        ("PUT", &lock_of(&site.place)["kvexpress/".len()..]),
    ] {
        assert_eq!(site.api(&token, method, &format!("/v1/kv/kvexpress/{path}"), b"").0, 403, "{method} {path}");
    }
    assert_eq!(site.in_consul(), before, "no token but the operator's has changed anything");
    key("resume", &operator).run().expect(0);
    site.upload(&token, &lines(21)).expect(0);
}

#[test]
fn the_nodes_policy_suffices_for_kvx_out_however_it_is_called_and_allows_no_write() {
    let site = Site::new();
    let token = site.token(&example("acl-out.hcl"));
    let put_pair = |document: &str| {
        site.put("kvexpress/hosts/data", document);
        site.put("kvexpress/hosts/checksum", sha256(document));
    };
    // What an agent's watch brings with this token.
    let payload = |kind: [&str; 2]| {
        let mut watch = site.consul.command(&["watch", kind[0], kind[1]]);
        watch.env("CONSUL_HTTP_TOKEN", &token).stdout(Stdio::piped());
        String::from_utf8(watch.output().unwrap().stdout).unwrap()
    };
    let kinds = [
        ["-type=key", "-key=kvexpress/hosts/checksum"],
        ["-type=keyprefix", "-prefix=kvexpress/hosts/"], // A list has the keys that the token may read.
    ];
    for (n, kind) in kinds.into_iter().enumerate() {
        put_pair(&lines(20 + n));
        site.install(&token).payload(payload(kind)).run().expect(0).says(&["installed"]);
        assert_eq!(site.place.content(), lines(20 + n));
    }
    put_pair(&lines(600));
    site.install(&token).run().expect(0).says(&["installed"]);
    site.install(&token).run().expect(0).is_silent();
    assert_eq!(site.place.content(), lines(600));
    put_pair(&lines(601));
    site.put("kvexpress/hosts/stop", "bad DNS");
    site.install(&token).run().expect(0).says(&["stopped", "bad DNS"]);
    site.put("kvexpress/hosts/stop", "");
    site.put(&lock_of(&site.place), "canary");
    site.install(&token).run().expect(0).says(&["locked", "canary"]);
    assert_eq!(site.place.content(), lines(600));
    // The document is enough for a node: it does not see the history, and does not take it for a damaged one.
    site.upload(MASTER, &lines(601)).expect(0);
    let (history, at) = (site.kvx("kvx", &token).args(["history", "-k", "hosts"]).run(), &sha256(lines(601))[..8]);
    assert_eq!(history.out(), "");
    history.expect(if site.consul.has_get_or_empty() { 77 } else { 66 });
    site.kvx("kvx", &token).args(["show", "-k", "hosts", "--at", at]).run().expect(66).says(&["cannot list it"]);
    assert_eq!(site.kvx("kvx", &token).args(["show", "-k", "hosts"]).run().expect(0).out(), lines(601));
    let before = site.in_consul();
    site.upload(&token, &lines(9)).expect(65);
    site.upload(&token, &lines(30)).expect(77);
    for path in
        ["hosts/data", "hosts/checksum", "hosts/stop", "hosts/hold", &lock_of(&site.place)["kvexpress/".len()..]]
    {
        for method in ["PUT", "DELETE"] {
            assert_eq!(site.api(&token, method, &format!("/v1/kv/kvexpress/{path}"), b"").0, 403, "{method} {path}");
        }
    }
    site.put("kvexpress/motd/data", "x\n");
    assert_eq!(site.api(&token, "GET", "/v1/kv/kvexpress/motd/data", b"").0, 403, "another key");
    assert_eq!(site.api(MASTER, "DELETE", "/v1/kv/kvexpress/motd/data", b"").0, 200);
    assert_eq!(site.in_consul(), before);
}

#[test]
fn the_operators_policy_covers_every_key_and_nothing_else() {
    let site = Site::new();
    let operator = site.token(&example("acl-operator.hcl"));
    for key in ["hosts", "motd"] {
        let run = || site.kvx("kvx", &operator);
        site.kvx("kvx-in", &operator).args(["-k", key]).stdin(lines(600)).run().expect(0);
        run().args(["stop", "-k", key, "-r", "bad DNS"]).run().expect(0);
        run().args(["resume", "-k", key]).run().expect(0);
        run().args(["history", "-k", key]).run().expect(0).is_silent();
        let at = &sha256(lines(600))[..8];
        assert_eq!(run().args(["show", "-k", key, "--at", at]).run().expect(0).out(), lines(600));
        run().args(["diff", "-k", key, "--from", at]).run().expect(0).is_silent();
        site.place.kvx_out_bare().args(["-k", key]).env("CONSUL_HTTP_TOKEN", &operator).run().expect(0);
    }
    let lock = |command: &str| site.place.kvx_file(command).env("CONSUL_HTTP_TOKEN", &operator);
    lock("lock").args(["-r", "canary"]).run().expect(0);
    lock("unlock").run().expect(0);
    for path in ["elsewhere/hosts/data", "kvexpress", "kvexpress-2/hosts/data"] {
        assert_eq!(site.api(&operator, "PUT", &format!("/v1/kv/{path}"), b"x").0, 403, "{path}");
    }
}

#[test]
fn a_node_that_may_not_read_its_lock_installs_nothing() {
    let site = Site::new();
    if !site.consul.has_get_or_empty() {
        return eprintln!("Consul before 1.14 hides what is denied: not tested");
    }
    site.upload(MASTER, &lines(20)).expect(0);
    let policy = example("acl-out.hcl");
    let (without_locks, _) = policy.split_once("# This node's lock").expect("the part on locks");
    site.install(&site.token(without_locks)).run().expect(77).says(&[&lock_of(&site.place)]);
    assert_eq!(site.place.names(), [""; 0]);
}

/// From no token at all to a file that the watch installs, by copying the page.
#[test]
fn the_commands_of_the_page_make_policies_and_tokens_and_put_them_where_they_belong() {
    let consul = guarded(&Consul::free_ip(), &json!({}));
    let house = House::empty(consul.clone());
    let copies = "hosts.ctmpl acl-in.hcl acl-catalog.hcl acl-out.hcl acl-operator.hcl";
    for name in copies.split(' ') {
        std::fs::copy(examples().join(name), house.path().join(name)).unwrap();
    }
    node(&house, &consul.address);
    house.program("chgrp", "echo \"chgrp $*\" >> chgrp.log");
    let blocks = blocks_of("## With ACLs", "## If the agent");
    assert_eq!(blocks.len(), 5, "once, renderer, node, operator, socket: {blocks:#?}");
    for block in &blocks[..4] {
        house.sh(&format!("set -e\nexport CONSUL_HTTP_TOKEN={MASTER}\n{block}")).expect(0);
    }

    let path = |path: &str| PathBuf::from(house.mapped(path));
    for token in ["/etc/kvx/token-in", "/etc/kvx/token-template", "/etc/kvx/token-out"] {
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path(token)), mode(&path("/etc/kvx"))), (0o600, 0o700), "{token}");
        assert_eq!(std::fs::read_to_string(path(token)).unwrap().trim().len(), 36, "{token}");
    }
    let watch = path("/etc/consul.d/kvx-hosts.json");
    assert_eq!(std::fs::metadata(&watch).unwrap().permissions().mode() & 0o777, 0o640, "the agent's group reads it");
    let log = std::fs::read_to_string(house.path().join("chgrp.log")).unwrap();
    assert_eq!(log.trim(), format!("chgrp consul {}", watch.display()));
    // The example's own watch, and its token.
    let mut shipped: Value = serde_json::from_str(&house.mapped(&example("watch.json"))).unwrap();
    let watch: Value = serde_json::from_str(&std::fs::read_to_string(watch).unwrap()).unwrap();
    shipped["watches"][0]["token"] = std::fs::read_to_string(path("/etc/kvx/token-out")).unwrap().trim().into();
    assert_eq!(watch, shipped);

    // The uploader's token uploads, and the watch, whose agent has no other token, installs.
    consul.configure(&configuration(&watch).to_string());
    house.sh(&format!("CONSUL_HTTP_TOKEN={MASTER} consul reload")).expect(0);
    let upload = |n: usize| {
        let upload = format!("seq {n} | kvx-in -k hosts --token-file /etc/kvx/token-in");
        house.sh(&upload).expect(0).says(&["uploaded"]);
        let installed = house.path().join("etc/hosts.consul");
        wait_for("the watch", 20, || (std::fs::read_to_string(&installed).ok()? == lines(n)).then_some(()));
    };
    upload(600);
    upload(601);
    // By the timer: whoever starts the script, it finds its token.
    let timer = house.sh("env -i PATH=/usr/bin:/bin /usr/local/bin/kvx-hosts -v").expect(0);
    assert!(timer.stderr.contains("unchanged"), "{}", timer.stderr); // The watch's run may just be ending.
    house.sh("CONSUL_HTTP_TOKEN_FILE=$HOME/.consul-token kvx stop -k hosts -r 'bad DNS'").expect(0);
    house.sh("kvx resume -k hosts --token-file /etc/kvx/token-in").expect(77);
    house.sh("CONSUL_HTTP_TOKEN_FILE=$HOME/.consul-token kvx resume -k hosts").expect(0);

    // Consul Template sees the catalog with its token, and hands it on to kvx-in.
    for n in 1..=12 {
        let node =
            json!({ "Node": format!("node-{n}"), "Address": format!("10.0.0.{n}"), "Service": { "Service": "web" } });
        let (status, _) =
            consul.http_as(Some(MASTER), "PUT", "/v1/catalog/register", node.to_string().as_bytes()).unwrap();
        assert_eq!(status, 200);
    }
    std::fs::copy(examples().join("hosts.ctmpl"), path("/etc/consul-template/hosts.ctmpl")).unwrap();
    std::fs::write(path("/etc/consul-template/kvx.hcl"), house.mapped(&example("consul-template.hcl"))).unwrap();
    let token = std::fs::read_to_string(path("/etc/consul-template/token.hcl")).unwrap();
    assert!(token.contains(path("/etc/kvx/token-template").to_str().unwrap()), "{token}");
    let template = format!(
        "env -i PATH=\"$PATH\" {} -once -consul-addr $CONSUL_HTTP_ADDR -config /etc/consul-template/kvx.hcl \
         -config /etc/consul-template/token.hcl",
        template_binary().display()
    );
    house.sh(&template).expect(0);
    let (_, hosts) = consul.http_as(Some(MASTER), "GET", "/v1/kv/kvexpress/hosts/data?raw", b"").unwrap();
    let hosts = String::from_utf8(hosts).unwrap();
    assert!(hosts.contains("\n10.0.0.12 web node-12.web\n"), "{hosts}");
}

/// What docs/security.md says of the agent's address, both halves: a port is anybody's while the agent is down, a socket
/// in a directory of root's is not.
#[test]
fn a_socket_cannot_be_taken_by_another_user_while_the_agent_is_down_as_a_port_can() {
    let ip = Consul::free_ip();
    let sockets = tempfile::Builder::new().prefix("kvx-sockets-").tempdir().unwrap();
    std::fs::set_permissions(sockets.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let socket = sockets.path().join("http.sock");
    // The example, with this test's paths.
    let example = example("agent-socket.hcl");
    let changes = [("/run/consul/http.sock", socket.to_str().unwrap()), ("127.0.0.1\"", &format!("{ip}\""))];
    let hcl = changes.iter().fold(example, |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    });
    let config = json!({ "addresses": { "http": hcl_value(&hcl, "http") },
        "unix_sockets": { "mode": hcl_value(&hcl, "mode") } });
    let consul = guarded(&ip, &config);
    let house = House::empty(consul.clone());
    node(&house, "unix");
    let script = house.path().join("usr/local/bin/kvx-hosts");
    house.sh("install -m 755 kvx-hosts /usr/local/bin/kvx-hosts").expect(0);
    // The page's last command: the script asks by the socket.
    let blocks = blocks_of("## With ACLs", "## If the agent");
    let command = blocks[4].lines().last().unwrap();
    assert!(command.starts_with("sed "), "{command}");
    house.sh(command).expect(0);
    let text = std::fs::read_to_string(&script).unwrap();
    let line = "\nexport CONSUL_HTTP_ADDR=unix:///run/consul/http.sock\n";
    assert!(text.contains(line), "{text}");
    run::script(&script, &text.replace(line, &format!("\nexport CONSUL_HTTP_ADDR=unix://{}\n", socket.display())));
    // An agent in memory forgets it when it is restarted.
    let put_pair = || {
        for (part, value) in [("data", lines(20)), ("checksum", sha256(lines(20)))] {
            let path = format!("/v1/kv/kvexpress/hosts/{part}");
            let put = || consul.http_as(Some(MASTER), "PUT", &path, value.as_bytes());
            wait_for("the ACLs", 60, || (put().ok()?.0 == 200).then_some(()));
        }
    };
    put_pair();
    let hosts = || house.sh(&format!("CONSUL_HTTP_TOKEN={MASTER} /usr/local/bin/kvx-hosts --timeout 1s"));
    hosts().expect(0).says(&["installed"]);
    let installed = std::fs::read_to_string(house.path().join("etc/hosts.consul")).unwrap();
    assert_eq!(installed, lines(20));

    if !nix::unistd::getuid().is_root() || !is_there("setpriv") || !is_there("perl") {
        return eprintln!("not root, or no setpriv or perl: another user is not tried");
    }
    consul.down();
    let alice = |program: &str, address: &str| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "4242", "--regid", "4242", "--clear-groups", "perl", "-e", program, address]);
        command.env_clear().env("PATH", "/usr/bin:/bin").stdin(Stdio::piped()).stdout(Stdio::piped());
        command.stderr(Stdio::piped());
        command
    };
    // A user of the node listens where the agent did, and prints the header that has the token.
    let listen = r#"use IO::Socket::INET; $| = 1;
        my $s = IO::Socket::INET->new(LocalAddr => $ARGV[0], Listen => 5, ReuseAddr => 1) or die "listen: $!";
        print "listening\n"; my $c = $s->accept or die; while (<$c>) { print if /^X-Consul-Token/i; last if /^\r$/ }"#;
    let mut thief = alice(listen, &consul.address).spawn().unwrap();
    let mut said = std::io::BufReader::new(thief.stdout.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut said, &mut line).unwrap();
    assert_eq!(line, "listening\n", "any user can listen on the port");
    let by_port = Run::new("kvx-out", &consul.address).args(["-k", "hosts", "-f", "-", "--timeout", "1s"]);
    by_port.env("CONSUL_HTTP_TOKEN", MASTER).run().expect(69);
    line.clear();
    std::io::BufRead::read_line(&mut said, &mut line).unwrap();
    thief.wait().unwrap();
    assert!(line.contains(MASTER), "and is given the token: {line:?}");

    // By the socket, nothing of that: it cannot be made, moved away or removed.
    let take = r#"use IO::Socket::UNIX; my $s = $ARGV[0];
        unlink $s and die "removed"; rename $s, "$s.old" and die "moved";
        IO::Socket::UNIX->new(Local => $s, Listen => 5) and die "listening"; print "nothing: $!\n";"#;
    let taken = alice(take, socket.to_str().unwrap()).output().unwrap();
    assert!(taken.status.success(), "{}", String::from_utf8_lossy(&taken.stderr));
    assert!(String::from_utf8_lossy(&taken.stdout).starts_with("nothing: "), "{taken:?}");
    hosts().expect(69);
    consul.up();
    put_pair();
    hosts().expect(0).is_silent();
}

/// A node's `kvx-hosts` in the house, next to which it is copied as the page says; with its programs where they are installed.
fn node(house: &House, address: &str) {
    let bin = house.path().join("usr/local/bin");
    symlink(run::binary("kvx-out"), bin.join("kvx-out")).unwrap();
    symlink(house.path().join("bin/pkill"), bin.join("pkill")).unwrap();
    let state = format!("export STATE_DIRECTORY={}\n", house.path().join("var/lib/kvx").display());
    let address = if address == "unix" { String::new() } else { format!("export CONSUL_HTTP_ADDR={address}\n") };
    let script = house.mapped(&example("kvx-hosts"));
    let script = script.replace("exec kvx-out", &format!("{state}{address}exec kvx-out"));
    run::script(&house.path().join("kvx-hosts"), &script);
}

/// The commands of examples/README.md between two headings: those of a paragraph are one script.
fn blocks_of(from: &str, to: &str) -> Vec<String> {
    let page = Page::read("examples/README.md");
    let (_, part) = page.text.split_once(&format!("\n{from}\n")).expect(from);
    let (part, _) = part.split_once(&format!("\n{to}")).expect(to);
    Page { name: page.name, text: part.to_owned() }.blocks().into_iter().map(|block| block.text).collect()
}

/// The value of a line of an example.
fn hcl_value(text: &str, name: &str) -> Value {
    let line = text.lines().find_map(|line| line.trim().strip_prefix(&format!("{name} = "))).expect(name);
    serde_json::from_str(line).unwrap()
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

fn example(name: &str) -> String {
    std::fs::read_to_string(examples().join(name)).unwrap()
}

fn is_there(program: &str) -> bool {
    std::env::split_paths(&std::env::var_os("PATH").unwrap()).any(|dir| dir.join(program).exists())
}
