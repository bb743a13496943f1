//! The runbook of docs/operations.md: each of its rows is a line that the programs print, with that status.

use std::sync::Mutex;

use crate::common::certificates::Ca;
use crate::common::gate::{Act, Gate, Step, http};
use crate::common::house::House;
use crate::common::page::{Page, bare, files, tests_in};
use crate::common::secure::{Goodbye, secure};
use crate::common::{Consul, each};
use tempfile::TempDir;

/// How the lines are provoked, in a house's directory: the last command's status counts, and all that it says.
const PROVOKED: &[&str] = &[
    // Consul.
    "kvx-out -k hosts -f out/x -s 127.0.0.1:9 --timeout 300ms",
    "kvx-out -k hosts -f out/x -s nowhere.invalid:8500 --timeout 300ms",
    "kvx-out -k hosts -f out/x -s unix:///run/consul.sock --timeout 300ms",
    "kvx-in -k hosts -f hosts.new -s 127.0.0.1:9 --timeout 300ms",
    "kvx-out -k hosts -f out/x --dc nowhere",
    "kvx-out -k hosts -f out/x -s https://$CONSUL_HTTP_ADDR",
    "CONSUL_NAMESPACE=team kvx-out -k hosts -f out/x",
    "CONSUL_HTTP_SSL=maybe kvx-out -k hosts -f out/x",
    "kvx-out -k hosts -f out/x -s ftp://there",
    "kvx-out -k hosts -f out/x --token-file /etc/kvx/token",
    "touch out/token; kvx-out -k hosts -f out/x --token-file out/token",
    "printf '\\357\\273\\277secret' >out/token; kvx-out -k hosts -f out/x --token-file out/token",
    "kvx-out -k hosts -f out/x -s ::1:8500",
    "kvx-out -k hosts -f out/x -s https://127.0.0.1:9 --ca-file hosts.new",
    // Keys.
    "kvx-out -k nothing -f out/x",
    "kvx-out -k nothing -f out/x --wait 300ms",
    "kvx-out --raw no/such/value -f out/x",
    "echo null | CONSUL_INDEX=1 kvx-out -k nothing -f out/x",
    "consul kv put kvexpress/torn/data x >out/log; kvx-out -k torn -f out/x --timeout 3s",
    "consul kv put kvexpress/torn/checksum nonsense >out/log; consul kv put kvexpress/torn/data x >out/log; kvx status -k torn",
    "echo garbage | kvx-out -f out/x",
    "consul watch -type=key -key=service/web/config | kvx-out -f out/x",
    "sleep 0.5 | kvx-out -f out/x --timeout 300ms",
    "kvx-in -k a%20b",
    // The history.
    "kvx history -k hosts",
    "seq 20 | kvx-in -q -k hosts; kvx show -k hosts --at -9",
    "seq 20 | kvx-in -q -k hosts; kvx show -k hosts --at $(date +%Y-)",
    "kvx show -k hosts --at yesterday",
    "seq 20 | kvx-in -q -k hosts; consul kv delete -recurse kvexpress/kvx/parts/hosts/ >out/log; kvx show -k hosts --at -1",
    "seq 20 | kvx-in -q -k hosts; consul kv put kvexpress/kvx/parts/hosts/$(seq 20 | sha256sum | cut -c 1-64) x >out/log; kvx show -k hosts --at $(seq 20 | sha256sum | cut -c 1-8)",
    "seq 20 | kvx-in -q -k hosts; consul kv put kvexpress/kvx/history/hosts/9999-01-01T00:00:00.000Z-$(seq 20 | sha256sum | cut -c 1-64) x >out/log; kvx history -k hosts",
    "seq 20 | kvx-in -q -k hosts; consul kv delete -recurse kvexpress/hosts/ >out/log; kvx history -k hosts",
    "seq 20 | kvx-in -q -k hosts; seq 30 | kvx-in -q -k hosts --keep 0; kvx history -k hosts",
    "consul kv put kvexpress/kvx/history/hosts/2026-01-01T00:00:00.000Z-$(seq 20 | sha256sum | cut -c 1-64) x >out/log; seq 20 | kvx-in -q -k hosts; kvx history -k hosts",
    "echo 'kvx 2' | consul kv put kvexpress/kvx/history/hosts/2026-01-01T00:00:00.000Z-$(seq 20 | sha256sum | cut -c 1-64) - >out/log; seq 20 | kvx-in -q -k hosts; kvx history -k hosts",
    "kvx-in -k $(printf 'a\\302\\240b')",
    "kvx-in -k $(printf 'hosts\\r')",
    // Guards.
    "kvx-out -k hosts -f out/x -l 1000",
    "kvx-in -k hosts </dev/null",
    "kvx-out -k hosts -f out/x --max-size 10",
    "head -c 600000 /dev/zero | kvx-in -k hosts -l 0",
    "head -c 600000 /dev/urandom | kvx-in -k hosts -l 0 -z",
    "seq 20 | kvx-in -k hosts --max-shrink 20",
    "kvx-out -q -k hosts -f out/x; seq 20 | kvx-in -q -k hosts; kvx-out -k hosts -f out/x --max-shrink 20",
    "kvx-out -k hosts -f out/x --check 'grep -q nothing {}'",
    "kvx-out -k hosts -f out/x --check 'sh -c \"sleep 9\" {}' --timeout 3s",
    "kvx-out -k hosts -f out/x --check 'no-such-program {}'",
    "kvx-out -k hosts -f out/x --check 'sh -c \"echo more >>\\$0\" {}'",
    // Input.
    "kvx-in -k hosts -f /etc/no-such-file",
    "kvx-in -k hosts -- false",
    "kvx-in -k hosts --timeout 300ms -- sleep 9",
    "kvx-in -k hosts -- no-such-program",
    "sleep 0.5 | kvx-in -k hosts --timeout 300ms",
    "kvx-in -k hosts -u http://$CONSUL_HTTP_ADDR/nothing",
    "kvx-in -k hosts -u http://127.0.0.1:9/",
    "kvx-in -k hosts --expect $(echo | sha256sum | cut -c 1-64) -f hosts.new",
    // Stops and locks.
    "kvx stop -q -k hosts -r 'bad DNS'; kvx-out -k hosts -f out/x",
    "kvx stop -q -k hosts -r 'bad DNS'; kvx-in -k hosts -f hosts.new",
    "kvx stop -q -k hosts -r 'bad DNS'; kvx copy --from motd --to hosts",
    "kvx copy -q --from hosts --to first; kvx rollback -k first",
    "seq 50 | kvx-in -q -k first; seq 51 | kvx-in -q -k first --keep 0; seq 52 | kvx-in -q -k first --keep 0; kvx rollback -k first",
    "seq 50 | kvx-in -q -k old; consul kv delete kvexpress/old/record >out/log; kvx rollback -k old",
    "seq 50 | kvx-in -q -k hosts; kvx stop -q -k hosts -r 'bad DNS'; kvx rollback -k hosts",
    "seq 50 | kvx-in -q -k hosts; kvx hold -q -k hosts -r 'good DNS'; kvx rollback -k hosts --no-hold",
    "kvx hold -q -k hosts -r 'bad DNS'; kvx-in -k hosts -f hosts.new",
    "kvx hold -q -k hosts -r 'bad DNS'; kvx copy --from motd --to hosts",
    "kvx hold -q -k hosts -r 'bad DNS'; kvx hold -k hosts -r 'worse DNS'",
    "kvx hold -q -k hosts -r 'bad DNS'; consul kv get kvexpress/hosts/hold >out/hold; consul kv delete kvexpress/hosts/hold >out/log; kvx-in -q -k hosts -f hosts.new; consul kv put kvexpress/hosts/hold - <out/hold >out/log; kvx-out -k hosts -f out/x",
    "kvx hold -q -k hosts -r 'bad DNS'; consul kv get kvexpress/hosts/hold >out/hold; consul kv delete kvexpress/hosts/hold >out/log; kvx-in -q -k hosts -f hosts.new; consul kv put kvexpress/hosts/hold - <out/hold >out/log; kvx release -k hosts",
    "consul kv put kvexpress/hosts/hold nonsense >out/log; kvx-out -k hosts -f out/x",
    "kvx lock -q -f out/x -r canary; kvx-out -k hosts -f out/x",
    "kvx stop -k nothing -r why",
    "kvx stop -q -k hosts -r 'bad DNS'; kvx stop -k hosts -r 'worse DNS'",
    "kvx lock -q -f out/x -r canary; kvx lock -f out/x -r mine",
    "ln -s nowhere out/x.locked; kvx-out -k hosts -f out/x",
    "touch out/.x.lock; kvx lock -f out/x -r why",
    "kvx unlock -f out/x --run",
    "kvx status -p nothing -s $CONSUL_HTTP_ADDR --state-dir /var/lib/other",
    // The file.
    "kvx-out -k hosts -f /dev/stdout",
    "kvx-out -k hosts -f /etc/no/such/directory/x",
    "ln -s /etc/no/such/x out/x; kvx-out -k hosts -f out/x",
    "kvx-out -k hosts -f /etc",
    "kvx-out -k hosts -f out/x -o nobody-of-this-name",
    "mkdir out/d; cd out/d; rmdir ../d; kvx-out -k hosts -f x",
    "kvx-out -k hosts -f out/x --state-dir ''",
    "STATE_DIRECTORY=:/var/lib/kvx kvx-out -k hosts -f out/x",
    "mkdir -m 775 out/open; ln -s $PWD/out/x out/open/x; kvx-out -k hosts -f out/open/x",
    "mkdir -m 777 out/open; echo >out/y; ln out/y out/open/x; kvx-out -k hosts -f out/open/x --in-place",
    "mkdir -m 777 out/open; echo >out/open/x; kvx-out -k hosts -f out/open/x --in-place",
    "mkdir -m 775 out/open; echo >out/open/x; kvx-out -k hosts -f out/open/x -c 4755",
    "mkdir -m 775 out/open; echo >out/open/x; kvx-out -k hosts -f out/open/x -c 2755",
    "mkdir -m 775 out/open; echo >out/open/x; kvx-out -k hosts -f out/open/x -c 6755",
    "as_nobody kvx-out -k hosts -f /etc/x --state-dir own/state",
    "as_nobody kvx-out -k hosts -f out/x --state-dir /etc/state",
    "mkdir -m 777 out/open; kvx-out -k hosts -f out/x --state-dir out/open/state",
    "kvx-out -q -k hosts -f out/x; chmod 640 out/x; ln out/x out/y; seq 20 | kvx-in -q -k hosts; kvx-out -k hosts -f out/x",
    "kvx-out -q -k hosts -f out/x -c 640; kvx-out -k hosts -f out/x -c 644",
    // Handlers.
    "CONSUL_INDEX=1 kvx-out -k hosts -f out/x -e two words </dev/null",
    "kvx-out -k hosts -f out/x -e false",
    "kvx-out -k hosts -f out/x -e 'sleep 9' --handler-timeout 300ms",
    "kvx-out -k hosts -f out/x -e no-such-program",
    "kvx-out -k hosts -f out/x -e 'a && b'",
    "kvx-out -k hosts -f out/x -e 'cd /etc'",
    "kvx-out -k hosts -f out/x -e './reload'",
    "kvx-out -k hosts -f out/x --check 'sh -c \"test -s {}\"'",
    "printf '#!/opt/none -x\\n' >out/h; chmod +x out/h; kvx-out -k hosts -f out/x -e $PWD/out/h",
    "printf '#!/bin/sh\\r\\n' >out/h; chmod +x out/h; kvx-out -k hosts -f out/x -e $PWD/out/h",
    "echo true >out/h; chmod +x out/h; kvx-out -k hosts -f out/x -e $PWD/out/h",
    "echo '#!/bin/sh' >out/h; kvx-out -k hosts -f out/x -e $PWD/out/h",
    "kvx-out -q -k hosts -f out/x -e \"test -e $PWD/out/well\" 2>out/log; touch out/well; kvx-out -k hosts -f out/x -e \"test -e $PWD/out/well\"",
    "kvx-out -k hosts -f out/x --metrics-textfile /var/nothing",
    // Servers of every kind.
    "kvx-out -k hosts -f out/x -s $NO_LEADER --timeout 300ms",
    "kvx-out -k hosts -f out/x -s $BUSY --timeout 300ms",
    "kvx-out -k hosts -f out/x -s $WEB --timeout 300ms",
    "kvx-out -k hosts -f out/x -s $DENIES",
    "CONSUL_HTTP_TOKEN=gone kvx-out -k hosts -f out/x -s $KNOWS_NO_TOKEN",
    "CONSUL_HTTP_TOKEN=few kvx-out -k hosts -f out/x -s $LEAVES_OUT",
    "kvx-out -k hosts -f out/x -s $PROXY",
    "kvx-out -k hosts -f out/x -s $RPC --timeout 300ms",
    "kvx-out -k hosts -f out/x -s $SILENT --timeout 300ms",
    "kvx-in -k hosts -f hosts.new -s $FORGETFUL --timeout 300ms",
    "kvx-out -k hosts -f out/x -s https://$TLS",
    "kvx-out -k hosts -f out/x -s https://$TLS --ca-file $CA",
    "kvx-out -k hosts -f out/x -s https://$OLD_TLS --ca-file $CA",
    "kvx-out -k hosts -f out/x -s $HTTPS",
    "kvx-out -k hosts -f out/x -s https://$TLS --client-key $CA",
    "kvx lock -f out/x -r why -s 127.0.0.1:9 --timeout 300ms",
    "kvx lock -q -f out/x -r why; kvx unlock -f out/x -s 127.0.0.1:9 --timeout 300ms",
    // Other users, other mounts.
    "echo >out/x; chmod 0 out/x; as_nobody kvx-out -k hosts -f out/x --state-dir own/state",
    "as_nobody kvx-out -k hosts -f out/x -o root --state-dir own/state",
    "with_own_mounts 'touch out/x; mount --bind hosts.new out/x; kvx-out -k hosts -f out/x'",
    "seq 30000 | kvx-in -q -k hosts; with_own_mounts 'mount -t tmpfs -o size=64k tmpfs out; kvx-out -k hosts -f out/x'",
    "with_own_mounts 'mount -t tmpfs -o ro tmpfs out; kvx-out -k hosts -f out/x'",
    "mkdir -p out/.x.kvx~/y; chmod 755 out/.x.kvx~; kvx-out -k hosts -f out/x",
    "kvx-out -k hosts -f out/x --check \"sh -c 'cd $PWD; mv out moved; mkdir out' {}\"; status=$?; rm -r out; mv moved out; exit $status",
    "touch out/x; chown 65534 out/x; kvx-out -k hosts -f out/x -o root --in-place",
    "chmod 1777 out; ln -s x out/y; chown -h 65534 out/y; kvx-out -k hosts -f out/y",
    "mkdir -p out/up/o; chmod 775 out/up; ln -s ../y out/up/o/y; kvx-out -k hosts -f out/up/o/y",
    "echo x | consul kv put kvexpress/hosts/record - >out/log; seq 30 | kvx-in -k hosts",
    "printf 'kvx 2\\n' | consul kv put kvexpress/hosts/record - >out/log; seq 30 | kvx-in -k hosts",
    "printf 'kvx 1\\nkey x\\nchecksum %064d\\nsize 1\\ntime 9999-01-01T00:00:00.000Z\\nby x\\n' 0 | consul kv put kvexpress/hosts/record - >out/log; seq 30 | kvx-in -k hosts",
    "mkdir out/o; ln -s ../y out/o/y; chown 65534 out/o; kvx-out -k hosts -f out/o/y",
    "ln -s /dev/stdout out/y; kvx-out -k hosts -f out/y",
    "cp /bin/sleep out/x; out/x 2 >/dev/null 2>&1 & until [ \"$(readlink /proc/$!/exe)\" = $PWD/out/x ]; do sleep 0.02; done; kvx-out -k hosts -f out/x --in-place",
    "mkdir -m 700 out/.x.kvx~; flock out/.x.kvx~ -c 'touch out/locked; sleep 2' >/dev/null 2>&1 & await out/locked; kvx-out -k hosts -f out/x",
    "kvx-out -k hosts -f out/x --check \"sh -c 'touch $PWD/out/begun; sleep 5' {}\" & await out/begun; kill $!; wait $!",
    "kvx-out -k hosts -f out/x -e \"sh -c 'trap exit\\ 0 TERM; touch $PWD/out/begun; sleep 5'\" & await out/begun; kill $!; wait $!",
    "seq 9999 >out/x; strace -o /dev/null -P $PWD/out/x -e inject=ftruncate:signal=KILL kvx-out -q -k hosts -f out/x --in-place --state-dir out/state; kvx stop -q -k hosts -r why; kvx-out -k hosts -f out/x --in-place --state-dir out/state",
    // What status says.
    "kvx-out -q -k hosts -f out/x; seq 20 | kvx-in -q -k hosts; kvx status -f out/x",
    "kvx-out -q -k hosts -f out/x; echo >out/x; kvx status -f out/x",
    "kvx-out -q -k hosts -f out/x; rm out/x; kvx status -f out/x",
    "kvx-out -q -k hosts -f out/x -e false 2>out/log; kvx status -f out/x",
    "kvx-out -q -k hosts -f out/x -e true; consul kv get kvexpress/hosts/data >out/now; seq 20 >out/x; kvx-in -q -k hosts -f out/x; kvx status -f out/x",
    "strace -o /dev/null -e inject=fsync:signal=KILL:when=2 kvx-out -q -k hosts -f out/x --state-dir out/state; kvx status -f out/x --state-dir out/state",
    "kvx-out -q -k hosts -f out/x; consul kv delete -recurse kvexpress/hosts/ >out/log; kvx status -f out/x",
    "kvx-out -q -k hosts -f out/x; consul kv delete kvexpress/hosts/checksum >out/log; kvx status -f out/x",
    "kvx-out -q -k hosts -f out/x -c 644; chmod 666 out/x; kvx status -f out/x",
    "kvx-out -q -k hosts -f out/x -l 9999 2>out/log; kvx status -f out/x -k hosts",
    "echo >out/x; kvx-out -q -k hosts -f out/x -l 9999 2>out/log; kvx status -f out/x",
    "kvx-out -q -k hosts -f out/x; kvx status -k motd -f out/x",
    "kvx-out -q -k hosts -f out/x; chmod 666 /var/lib/kvx/*; kvx status -f out/x",
    "kvx status -k nothing",
    "kvx stop -q -k hosts -r why; kvx status -k hosts",
    "kvx-out -q -k hosts -f out/x; kvx lock -q -f out/x -r why; kvx status -f out/x",
    "kvx-out -q -k hosts -f out/x; seq 20 | kvx-in -q -k hosts; kvx-out -q -k hosts -f out/x --check \"sh -c 'touch $PWD/out/begun; sleep 5' {}\" & await out/begun; kvx status -f out/x; status=$?; kill $!; wait $!; exit $status",
    "kvx status --state-dir /var/lib/other",
    "touch out/y; kvx status -f out/y",
];

/// Lines that take longer, or more than a shell, to provoke; and the tests that do. Of these, the words must be in the source.
const ELSEWHERE: [(&str, &str); 5] = [
    ("another run has been busy", "download::a_file_that_another_run_is_busy_with_is_waited_for_but_not_for_ever"),
    ("other writers were faster", "lost_answers::a_race_that_is_always_lost_ends_with_try_again"),
    (
        "another writer was faster, nothing is restored",
        "rollback::a_rollback_that_loses_the_race_restores_nothing_and_names_the_winner",
    ),
    ("the file is in place, but may not survive", "install::what_may_not_be_on_disk_yet_is_put_there_by_the_next_run"),
    ("denied: this token cannot read its key", "acl_roles::denied_absent_and_torn_are_three_states"),
];

/// What stands for what differs.
const PLACEHOLDERS: [&str; 10] = ["…", "KEY", "FILE", "ADDRESS", "COMMAND", "REASON", "SUM", "N", "TIME", "CAUSE"];

/// A row of the runbook.
struct Row {
    says: String,
    status: i32,
}

impl Row {
    /// The words between the placeholders.
    fn fragments(&self) -> Vec<String> {
        let mut fragments = vec![String::new()];
        let mut rest = self.says.as_str();
        while let Some(first) = rest.chars().next() {
            let word = rest.find(|c: char| !(c.is_alphanumeric() || "_-".contains(c))).unwrap_or(rest.len());
            let (piece, after) = rest.split_at(word.max(first.len_utf8()));
            match PLACEHOLDERS.contains(&piece) {
                true => fragments.push(String::new()),
                false => fragments.last_mut().unwrap().push_str(piece),
            }
            rest = after;
        }
        fragments.retain(|fragment| !fragment.trim().is_empty());
        fragments
    }

    /// Whether a line has all of them, in this order.
    fn is(&self, line: &str) -> bool {
        let mut rest = line;
        self.fragments().iter().all(|fragment| match rest.split_once(fragment.as_str()) {
            Some((_, after)) => {
                rest = after;
                true
            }
            None => false,
        })
    }
}

fn rows() -> Vec<Row> {
    let rows = Page::read("docs/operations.md").rows();
    rows.into_iter()
        .map(|cells| match cells.as_slice() {
            [says, status, _, _] => Row { says: bare(says).into(), status: status.parse().unwrap() },
            other => panic!("four cells, not {other:?}"),
        })
        .collect()
}

/// Servers that say what no Consul says when asked, and one with certificates; by the variables that name them.
struct Others {
    dir: TempDir,
    addresses: Vec<(&'static str, String)>,
    _gates: Vec<Gate>,
}

impl Others {
    fn new(consul: &Consul) -> Others {
        let dir = tempfile::Builder::new().prefix("kvx-others-").tempdir().unwrap();
        let says =
            |status: &'static str, body: &'static str| Gate::to("127.0.0.1:9", move |_| Act::Say(http(status, body)));
        let gates = vec![
            ("NO_LEADER", says("500 Internal Server Error", "No cluster leader")),
            ("BUSY", says("429 Too Many Requests", "Your IP is issuing too many concurrent connections")),
            ("WEB", says("200 OK", "<html>Welcome</html>")),
            ("DENIES", says("403 Forbidden", "Permission denied: anonymous token lacks permission")),
            ("LEAVES_OUT", says("200 OK", r#"{"Results":[],"Errors":null}"#)),
            ("KNOWS_NO_TOKEN", says("403 Forbidden", "ACL not found")),
            ("HTTPS", says("400 Bad Request", "Client sent an HTTP request to an HTTPS server.")),
            ("PROXY", says("401 Unauthorized", "")),
            ("RPC", Gate::to("127.0.0.1:9", |_| Act::Say(b"\x00\x01\x02 no HTTP\r\n\r\n".to_vec()))),
            ("SILENT", Gate::to("127.0.0.1:9", |_| Act::SayAndHang(Vec::new()))),
            (
                "FORGETFUL",
                Gate::to(&consul.address, |request| match request.step {
                    Step::Write => Act::CutAnswer(0),
                    Step::Read => Act::Pass,
                }),
            ),
        ];
        let mut addresses: Vec<_> = gates.iter().map(|(name, gate)| (*name, gate.address.clone())).collect();
        let ca = Ca::new(dir.path(), "ca");
        let (good, old) = (ca.issue("good", &["server.dc1.consul"]), ca.issue_until("old", &["127.0.0.1"], 2020));
        addresses.push(("TLS", secure(&consul.address, &good, Goodbye::Said)));
        addresses.push(("OLD_TLS", secure(&consul.address, &old, Goodbye::Said)));
        addresses.push(("CA", ca.file.display().to_string()));
        Others { addresses, _gates: gates.into_iter().map(|(_, gate)| gate).collect(), dir }
    }

    fn named(&self, script: &str) -> String {
        let mut names: Vec<_> = self.addresses.iter().collect();
        names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        names.iter().fold(script.to_owned(), |script, (name, address)| script.replace(&format!("${name}"), address))
    }
}

#[test]
fn every_row_is_a_line_that_the_programs_print() {
    let rows = rows();
    assert!(rows.len() >= 40, "{} rows", rows.len());
    let consul = Consul::dev("");
    let others = Others::new(&consul);
    assert!(others.dir.path().exists());
    let (houses, said) = (Mutex::new(Vec::<House>::new()), Mutex::new(Vec::new()));
    each(
        4,
        PROVOKED,
        |script| (*script).to_owned(),
        |script| {
            let house = houses.lock().unwrap().pop().unwrap_or_else(furnished);
            house.furnish();
            let ran = house.sh(&others.named(script));
            let status = ran.status.code().expect("an end without a signal");
            let lines: Vec<String> = ran.stderr.lines().chain(ran.out().lines()).map(str::to_owned).collect();
            assert!(
                rows.iter().any(|row| row.status == status && lines.iter().any(|line| row.is(line))),
                "no row is of this ({status}):\n{}{}",
                ran.stderr,
                ran.out()
            );
            said.lock().unwrap().extend(lines.into_iter().map(|line| (status, line)));
            houses.lock().unwrap().push(house);
        },
    );
    let said = said.into_inner().unwrap();
    let source: String = files("src", "rs").iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
    for row in &rows {
        match ELSEWHERE.iter().find(|(start, _)| row.says.contains(start)) {
            Some((_, test)) => {
                let (module, name) = test.split_once("::").unwrap();
                assert!(tests_in(module).contains(&format!("fn {name}(")), "no test {test}");
                for fragment in row.fragments().iter().flat_map(|fragment| fragment.split(';')) {
                    let fragment = fragment.trim_matches([' ', ':', '(', ')', ',', '.']);
                    assert!(
                        fragment.len() < 8 || source.contains(fragment),
                        "not in the source: {fragment:?} of {}",
                        row.says
                    );
                }
            }
            None => {
                let here = said.iter().filter(|(_, line)| row.is(line)).map(|(status, _)| *status).collect::<Vec<_>>();
                assert!(
                    here.contains(&row.status),
                    "nothing said it with {} (but with {here:?}): {}",
                    row.status,
                    row.says
                );
            }
        }
    }
}

fn furnished() -> House {
    let house = House::new();
    let nobody = "chmod 777 out; mkdir -p own; [ $(id -u) = 0 ] || { chmod a-w etc; exec \"$@\"; }; chown 65534 own; \
                  exec setpriv --reuid=65534 --regid=65534 --clear-groups env -u HOME \"$@\"";
    house.program("as_nobody", nobody);
    house
        .program("with_own_mounts", "[ $(id -u) = 0 ] || map=--map-root-user; exec unshare $map --mount sh -ec \"$1\"");
    // Waits until a file is there.
    house.program("await", "until [ -e \"$1\" ]; do sleep 0.02; done");
    house
}

#[test]
fn a_row_is_distinguished_from_another() {
    let row = |says: &str| Row { says: says.into(), status: 1 };
    assert_eq!(
        row("KEY: N lines … of NAMES, CONSUL_HTTP_ADDR").fragments(),
        [": ", " lines ", " of NAMES, CONSUL_HTTP_ADDR"]
    );
    assert!(row("there is no FILE in Consul").is("kvx-out: x: there is no a/b in Consul at y"));
    assert!(!row("there is no FILE in Consul").is("kvx-out: x: in Consul there is no a/b"));
}
