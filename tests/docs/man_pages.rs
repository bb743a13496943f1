//! The manual pages match the programs: every option is documented, no other option is, and every command line in them
//! runs.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use crate::common::consul::binary;
use crate::common::help::Help;
use crate::common::mdoc::Page;
use crate::common::run::{self, Ran};
use crate::common::{self, Consul, Place, lines, sha256, wait_for, whole_lines};

#[test]
fn the_pages_are_clean_and_what_is_read_can_be_copied() {
    for page in Page::all() {
        let path = page.path();
        mandoc(&["-T", "lint", "-W", "warning"], &path).expect(0);
        let mut readers = vec![mandoc(&["-T", "utf8", "-O", "width=200"], &path)];
        if is_there("groff") {
            let mut groff = Command::new("groff");
            readers.push(Ran::from(groff.args(["-mandoc", "-Tutf8", "-ww", "-rLL=200n"]).arg(&path).output().unwrap()));
        }
        for reader in readers {
            let reader = reader.expect(0).is_silent();
            for line in page.blocks().iter().flat_map(|block| block.lines()) {
                assert!(reader.out().contains(line), "{}: nobody can read {line:?}", page.name);
            }
        }
    }
}

#[test]
fn every_option_of_the_programs_is_in_their_page_and_no_other() {
    for (name, command) in [("kvx-in.1", "kvx-in"), ("kvx-out.1", "kvx-out")] {
        let page = Page::of(name);
        let (groups, own) = page.options();
        assert_options(&page, command, "", &groups, &own);
    }
}

#[test]
fn every_command_of_kvx_is_in_its_page_with_every_option_and_no_other() {
    let page = Page::of("kvx.1");
    let (groups, site) = page.options();
    assert_eq!(site, BTreeSet::new(), "options of all are of a group");
    let parts = page.parts("COMMANDS");
    let named: BTreeSet<String> = parts.keys().map(|&name| name.to_owned()).collect();
    let known = Help::commands().into_iter().chain(["help".to_owned()]).collect();
    assert_eq!(named, known);
    for name in Help::commands() {
        match name.as_str() {
            "in" | "out" => assert!(parts[name.as_str()].contains(&format!(".Xr kvx-{name} 1 ,").as_str())),
            // And all of kvx-out, as its help says, too.
            "raw" => assert_eq!(Page::options_of(&parts["raw"]), Help::of("kvx raw").options()),
            _ => {
                let own = Page::options_of(&parts[name.as_str()]);
                assert_options(&page, &format!("kvx {name}"), &name, &groups, &own);
            }
        }
    }
}

fn assert_options(
    page: &Page,
    command: &str,
    name: &str,
    groups: &common::mdoc::Groups,
    own: &BTreeSet<common::help::Opt>,
) {
    let help = Help::of(command);
    let synopses = page.synopses();
    let synopsis = &synopses[name];
    let (shared, spelt) = groups.of(synopsis);
    assert_eq!(own | &shared, help.options(), "what {} describes of {command}", page.name);
    assert_eq!(&synopsis.line | &spelt, help.line(), "the synopsis of {command}");
    assert!(own.is_disjoint(&shared), "{command}: described twice");
}

#[test]
fn the_defaults_and_limits_are_those_of_the_help() {
    for (name, command) in [("kvx-in.1", "kvx-in"), ("kvx-out.1", "kvx-out"), ("kvx.1", "kvx status")] {
        let page = Page::of(name);
        let said = page.said();
        for (option, help) in Help::of(command).said() {
            let number = |word: &&str| word.chars().any(|c| c.is_ascii_digit());
            let (_, text) = said.iter().find(|(known, _)| known.long == option).expect(&option);
            for word in help.split([' ', '(', ')', ';', ',']).filter(number) {
                assert!(text.contains(word), "{name}: --{option} says nothing of {word:?}, but:{text}");
            }
        }
    }
}

#[test]
fn the_exit_statuses_are_those_of_the_help() {
    for (name, command) in [("kvx-in.1", "kvx-in"), ("kvx-out.1", "kvx-out")] {
        let page = Page::of(name);
        let statuses: BTreeSet<u8> = statuses(&page).into_iter().map(|(status, _)| status).collect();
        assert_eq!(statuses, Help::of(command).statuses(), "{name}");
    }
    let page = Page::of("kvx.1");
    let names = Help::commands();
    let mut all = BTreeSet::new();
    for name in names.iter().filter(|name| !["in", "out", "raw"].contains(&name.as_str())) {
        let mut has = BTreeSet::new();
        for (status, text) in statuses(&page) {
            // `.Cm diff , ... : why` is of these commands alone, anything else of all, but for what stands behind `not`.
            let of_some = text[0].starts_with(".Cm ");
            let named = |lines: &[&str]| page.marked(lines, "Cm").contains(name.as_str());
            let but = text.iter().position(|line| line.ends_with("not")).map_or(&[][..], |at| &text[at..]);
            if if of_some { named(&text) } else { !named(but) } {
                has.insert(status);
            }
        }
        assert_eq!(has, Help::of(&format!("kvx {name}")).statuses(), "kvx {name}");
        all.extend(has);
    }
    let both: BTreeSet<u8> = &Help::of("kvx-in").statuses() | &Help::of("kvx-out").statuses();
    let of_all: BTreeSet<u8> = statuses(&Page::of("kvx.7")).into_iter().map(|(status, _)| status).collect();
    assert_eq!(of_all, &both | &all, "kvx.7");
}

/// What a page says of each.
fn statuses(page: &Page) -> Vec<(u8, Vec<&str>)> {
    let mut statuses: Vec<(u8, Vec<&str>)> = Vec::new();
    for line in page.section("EXIT STATUS") {
        match (line.strip_prefix(".It "), statuses.last_mut()) {
            (Some(status), _) => statuses.push((status.parse().unwrap(), Vec::new())),
            (None, Some((_, text))) => text.push(line),
            (None, None) => {}
        }
    }
    statuses
}

/// Not read by kvx-in: a watch's, what concerns files, people, or the name kvexpress; and what is set for handlers.
const NOT_OF_KVX_IN: [&str; 11] = [
    "CONSUL_INDEX",
    "STATE_DIRECTORY",
    "XDG_STATE_HOME",
    "HOME",
    "SUDO_USER",
    "NO_COLOR",
    "KVEXPRESS_DEBUG",
    "KVX_KEY",
    "KVX_FILE",
    "KVX_CHECKSUM",
    "KVX_STAGED",
];

#[test]
fn the_variables_are_those_that_the_source_names() {
    let literals = literals(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let is_variable = |text: &str| {
        let is_name = text.chars().all(|c| c.is_ascii_uppercase() || c == '_');
        is_name && (text == "HOME" || text.contains('_')) && !text.starts_with("CARGO_")
    };
    let known: BTreeSet<&str> = literals.iter().map(String::as_str).filter(|text| is_variable(text)).collect();
    assert!(known.len() > 20, "{known:?}");
    let but = |others: &[&str]| known.iter().filter(|name| !others.contains(*name)).copied().collect::<BTreeSet<_>>();
    let of_kvx_out = ["SUDO_USER", "NO_COLOR", "KVEXPRESS_DEBUG"];
    let of_kvx = ["CONSUL_INDEX", "KVEXPRESS_DEBUG", "KVX_KEY", "KVX_FILE", "KVX_CHECKSUM", "KVX_STAGED"];
    for (name, others) in
        [("kvx-in.1", &NOT_OF_KVX_IN[..]), ("kvx-out.1", &of_kvx_out), ("kvx.1", &of_kvx), ("kvx.7", &[])]
    {
        let page = Page::of(name);
        assert_eq!(page.marked(&page.section("ENVIRONMENT"), "Ev"), but(others), "{name}");
        assert!(page.marked(&page.lines(), "Ev").is_subset(&known), "{name}");
    }
}

#[test]
fn the_names_of_files_and_keys_are_those_that_the_source_has() {
    let source = literals(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let is_known = |part: &str| source.iter().any(|literal| literal.contains(part));
    for page in Page::all() {
        for name in page.marked(&page.lines(), "Pa") {
            if Path::new(env!("CARGO_MANIFEST_DIR")).join(name).exists() {
                continue; // A document.
            }
            let pattern = ["~/", "FILE", "NAME", "PREFIX", "KEY", "UID", "SHA-256", "HOSTNAME", "TIME", "CHECKSUM"];
            let parts = pattern.iter().fold(name.to_owned(), |name, word| name.replace(word, "\0"));
            for part in parts.split('\0') {
                // Whole where it is absolute; in the state's directory of a user, `kvx` is added.
                let is_absolute = ["/var/", "/tmp/"].iter().any(|root| part.starts_with(root));
                let of_user = part.strip_suffix("/kvx").unwrap_or(part).trim_matches('/');
                assert!(
                    is_known(if is_absolute { part } else { of_user }),
                    "{}: {name}: {part:?} is not in src/",
                    page.name
                );
            }
        }
    }
}

/// All string literals of the source, without those in comments.
fn literals(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(literals(&path));
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        found.extend(code.flat_map(|line| line.split('"').skip(1).step_by(2)).map(str::to_owned));
    }
    found
}

#[test]
fn the_examples_of_kvx_in_upload() {
    let stage = Stage::new("kvx-in.1");
    stage.write("etc/hosts.rendered", &lines(600));
    stage.write("var/lib/kvx-in/hosts", &lines(550));
    stage.place.consul.put("bans", "b\na\n\n".repeat(20));
    let bans = format!("http://{}/v1/kv/bans?raw", stage.place.consul.address);
    let data = |key: &str| stage.place.consul.text(&format!("kvexpress/{key}/data"));
    stage.play(|command| {
        if command.contains(" -n ") {
            assert_eq!(data("hosts").map(|hosts| hosts.lines().count()), Some(600), "sorted");
        }
        (command.replace("http://intranet/bans.txt", &bans), 0)
    });
    assert_eq!(data("hosts"), Some(lines(550)));
    assert_eq!(stage.place.consul.entry("kvexpress/bans/data").unwrap()["Flags"], 1, "compressed");

    // Consul Template's own command, which does the same.
    let blocks = stage.page.blocks();
    let template = blocks.iter().find(|block| block.starts_with("template {")).unwrap();
    let command = template.lines().find_map(|line| line.trim().strip_prefix("command ")).unwrap();
    stage.write("var/lib/kvx-in/hosts", &lines(560));
    stage.shell(command.trim_matches([' ', '=', '"'])).expect(0);
    assert_eq!(data("hosts"), Some(lines(560)));
}

#[test]
fn the_examples_of_kvx_out_install_and_reload() {
    let stage = Stage::new("kvx-out.1");
    for key in ["hosts", "sudo", "haproxy"] {
        stage.place.consul.put_pair(&format!("kvexpress/{key}"), lines(20));
    }
    stage.place.consul.put("service/web/config", "port = 80\n");
    stage.write("etc/sudoers.d/README", "");
    let hosts = stage.path("etc/hosts.consul");
    stage.play(|command| {
        if command.starts_with("consul watch") {
            std::fs::remove_file(&hosts).unwrap();
        }
        (command.to_owned(), 0)
    });
    let calls = stage.calls();
    let site = stage.path("etc/sudoers.d");
    let visudo = format!("visudo -cf {site}/.site.kvx~/check/site");
    let each = ["pkill -HUP -x dnsmasq", "systemctl reload dnsmasq", &visudo, "systemctl reload haproxy", "dnsmasq -k"];
    assert_eq!(calls, each, "each once, in this order");
    for file in ["hosts.consul", "sudoers.d/site", "haproxy.cfg"] {
        assert_eq!(std::fs::read_to_string(stage.path(&format!("etc/{file}"))).unwrap(), lines(20));
    }
    let mode = std::fs::metadata(format!("{site}/site")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o440);
    assert_eq!(std::fs::read_to_string(stage.path("etc/web.conf")).unwrap(), "port = 80\n");
}

#[test]
fn the_examples_of_kvx_stop_go_back_and_catch_up() {
    let stage = Stage::new("kvx.1");
    let consul = &stage.place.consul;
    let hosts = stage.path("etc/hosts.consul");
    let is = || std::fs::read_to_string(&hosts).unwrap();
    for size in [25, 30] {
        stage.shell(&format!("seq {size} | kvx-in -q -k hosts")).expect(0);
    }
    consul.put("service/web/config", "port = 80\n");
    stage.write("etc/.keep", "");
    stage.shell("kvx-out -k hosts -f /etc/hosts.consul").expect(0);
    stage.play(|command| {
        if command.starts_with("kvx rollback") {
            // The bad one, which this node has not got yet.
            stage.shell("seq 40 | kvx-in -q -k hosts").expect(0);
        }
        if command.starts_with("kvx unlock") {
            assert!(Path::new(&stage.path("etc/.hosts.consul.lock")).is_dir());
            assert_eq!(is(), lines(30));
        }
        (command.to_owned(), if command.contains("kvx diff") { 1 } else { 0 })
    });
    assert_eq!(consul.text("kvexpress/hosts/data"), Some(lines(30)));
    assert_eq!(consul.text("kvexpress/hosts/hold"), None);
    assert_eq!(is(), lines(30));
    assert_eq!(std::fs::read_to_string(stage.path("etc/hosts.before")).unwrap(), lines(25));
    assert!(!Path::new(&stage.path("etc/web.conf")).exists());
}

#[test]
fn the_examples_of_the_concepts_carry_a_file_from_the_renderer_to_the_node() {
    let stage = Stage::new("kvx.7");
    let consul = &stage.place.consul;
    let hosts = stage.path("etc/hosts.consul");
    let is = || std::fs::read_to_string(&hosts).unwrap_or_default();
    stage.write("etc/.keep", "");
    consul.put_pair("kvexpress/hosts", lines(20));
    let reload = "systemctl reload dnsmasq";
    stage.shell(&format!("kvx-out -k hosts -f /etc/hosts.consul -c 644 -e '{reload}'")).expect(0);
    let watch = stage.page.blocks().into_iter().find(|block| block.starts_with("{ \"watches\"")).unwrap();
    stage.write("bin/kvx-out-of-the-watch", &format!("#!/bin/sh\n{}exec kvx-out \"$@\"\n", stage.exports()));
    let watch =
        stage.adapted(&watch).replace("\"kvx-out\"", &format!("\"{}\"", stage.path("bin/kvx-out-of-the-watch")));
    stage.play(|command| {
        if command.starts_with("kvx-in") {
            consul.configure(&watch);
            consul.reload();
        } else if command.starts_with("kvx-out") {
            wait_for("the watch", 10, || (stage.calls() == [reload; 2]).then_some(()));
            assert_eq!(is().lines().count(), 600);
        }
        (command.to_owned(), 0)
    });
    assert_eq!(stage.calls(), [reload; 2], "the timer's words are the watch's: nothing is pending");
    assert_eq!(consul.text("kvexpress/hosts/checksum"), Some(sha256(is())));
}

/// Where the examples of a page are played: with an agent of their own, in a directory in place of the root.
struct Stage {
    page: Page,
    place: Place,
}

impl Stage {
    fn new(page: &'static str) -> Stage {
        let stage = Stage { page: Page::of(page), place: Place::at(Arc::new(Consul::dev(""))) };
        stage.write("bin/render", "#!/bin/sh\nfor n in $(seq 600); do echo \"10.0.0.$n web-$n\"; done\n");
        for program in ["pkill", "systemctl", "visudo", "dnsmasq"] {
            let calls = stage.path("calls");
            stage.write(&format!("bin/{program}"), &format!("#!/bin/sh\necho {program} \"$@\" >>{calls}\n"));
        }
        std::os::unix::fs::symlink(binary(), stage.path("bin/consul")).unwrap();
        stage
    }

    /// Runs each command line of the page. `before` may change it, and says which status it has.
    fn play(&self, mut before: impl FnMut(&str) -> (String, i32)) {
        let commands = self.page.commands();
        assert!(commands.len() > 3, "{}", self.page.name);
        for command in commands {
            let (changed, status) = before(&command);
            if command.starts_with("consul watch") {
                self.watch(&changed);
            } else {
                self.shell(&changed).expect(status);
            }
        }
    }

    /// It ends when it is ended, once it has installed the file.
    fn watch(&self, command: &str) {
        let file = self.adapted(command.split(' ').next_back().unwrap());
        let mut watch = self.command(&format!("exec {command}"));
        let mut watch = watch.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_for("the file of a watch", 10, || Path::new(&file).exists().then_some(()));
        watch.kill().unwrap();
        watch.wait().unwrap();
    }

    fn shell(&self, command: &str) -> Ran {
        Ran::from(self.command(command).output().unwrap())
    }

    fn command(&self, command: &str) -> Command {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{}{}", self.exports(), self.adapted(command))]).env_clear().stdin(Stdio::null());
        shell
    }

    fn exports(&self) -> String {
        let (bin, state, consul) = (self.path("bin"), self.path("state"), &self.place.consul.address);
        let path = run::path().into_string().unwrap();
        format!("export PATH='{bin}:{path}' STATE_DIRECTORY={state} CONSUL_HTTP_ADDR={consul}\n")
    }

    fn adapted(&self, text: &str) -> String {
        text.replace("/etc/", &self.path("etc/")).replace("/var/lib/", &self.path("var/lib/"))
    }

    fn path(&self, name: &str) -> String {
        self.place.path().join(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str) {
        run::script(&self.place.path().join(name), text);
    }

    /// What was called of the programs that are not ours.
    fn calls(&self) -> Vec<String> {
        whole_lines(Path::new(&self.path("calls")))
    }
}

fn mandoc(arguments: &[&str], page: &Path) -> Ran {
    let output = Command::new("mandoc").args(arguments).arg(page).output();
    Ran::from(output.expect("mandoc is not on PATH: install it (apt-get install mandoc)"))
}

fn is_there(program: &str) -> bool {
    std::env::split_paths(&std::env::var_os("PATH").unwrap()).any(|dir| dir.join(program).exists())
}
