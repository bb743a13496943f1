//! Shell completions are what the programs accept: in the real bash, zsh and fish, with the keys of a real Consul.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use crate::common::help::{Help, Opt};
use crate::common::{NO_AGENT, Place, SLACK, each, run, sha256, wait_for};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

/// Nothing stands beside these.
const ALONE: [&str; 3] = ["-h", "--help", "--version"];

#[test]
fn the_options_are_those_of_the_help() {
    let place = Place::new();
    for shell in SHELLS {
        let mut terminal = Terminal::without_kvx(shell, &place);
        for (command, options) in commands() {
            let offered = &terminal.offers(&format!("{command} -")) | &terminal.offers(&format!("{command} --"));
            let known = options.iter().flat_map(spellings).collect();
            assert_eq!(offered, known, "{shell:?}: {command}");
        }
    }
}

#[test]
fn a_value_is_no_option_and_a_switch_takes_none() {
    let place = Place::new();
    // Wherever an option is, it takes the same.
    let mut takes: BTreeMap<String, (String, bool)> = BTreeMap::new();
    for (command, options) in commands() {
        for option in options {
            // --dogstatsd has one only behind =.
            let has_value = option.value.is_some() && option.long != "dogstatsd";
            for spelling in spellings(&option) {
                let (_, known) = takes.entry(spelling).or_insert((command.clone(), has_value));
                assert_eq!(*known, has_value, "{command}: {option:?}");
            }
        }
    }
    for shell in [Shell::Bash, Shell::Zsh] {
        let mut terminal = Terminal::without_kvx(shell, &place);
        for (spelling, (command, has_value)) in takes.iter().filter(|(spelling, _)| !ALONE.contains(&spelling.as_str()))
        {
            let offered = terminal.offers(&format!("{command} {spelling} -"));
            let has_options = offered.contains("--log-format") || offered.contains("--prefix");
            assert_eq!(has_options, !has_value, "{shell:?}: {command} {spelling} -: {offered:?}");
        }
    }
    // fish offers options behind any option: so what it was told.
    let script = "source $argv[1]; complete";
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("completions/kvx.fish");
    let told = Command::new("fish").args(["--no-config", "-c", script]).arg(file).env("HOME", place.path()).output();
    let told = String::from_utf8(told.unwrap().stdout).unwrap();
    let told: Vec<&str> =
        told.lines().filter(|line| line.contains(" kvx") && (line.contains(" -l ") || line.contains(" -s "))).collect();
    assert!(told.len() > 100, "{told:?}");
    for line in told {
        let words: Vec<&str> = line.split(' ').collect();
        let at = words.iter().position(|word| ["-l", "-s"].contains(word)).unwrap();
        let spelling = format!("{}{}", if words[at] == "-l" { "--" } else { "-" }, words[at + 1]);
        let has_value = words.contains(&"--exclusive") || words.contains(&"--force-files");
        assert_eq!(has_value, takes[&spelling].1, "{line}");
    }
}

#[test]
fn the_commands_of_kvx_are_those_of_the_help() {
    let place = Place::new();
    let commands = Help::commands();
    let known = commands.iter().map(String::as_str).chain(["help"]).map(str::to_owned).collect();
    for shell in SHELLS {
        let mut terminal = Terminal::without_kvx(shell, &place);
        let mut offered = terminal.offers("kvx ");
        offered.retain(|word| !word.starts_with('-'));
        assert_eq!(offered, known, "{shell:?}");
        assert_eq!(terminal.offers("kvx un"), set(&["unlock"]), "{shell:?}");
        assert_eq!(terminal.offers("kvx -"), set(&["-h", "--help", "--version"]), "{shell:?}");
    }
}

#[test]
fn keys_come_from_the_consul_that_the_line_names() {
    let place = Place::new();
    let consul = &place.consul;
    let prefix = place.key.as_str();
    let harmful = "$(touch harm)`touch harm`";
    for key in ["hosts", "hosts-before", "motd", "team:hosts", "a b", harmful] {
        consul.put_pair(&format!("{prefix}/{key}"), "x\n");
    }
    let two = set(&["hosts", "hosts-before"]);
    for shell in SHELLS {
        let mut terminal = Terminal::at(shell, &place, &consul.address);
        for line in [
            "kvx-in -p PREFIX -k ho",
            "kvx-out --prefix=PREFIX --key ho",
            "kvx-out -p PREFIX --key=ho",
            "kvx status -p PREFIX -k ho",
            "kvx copy -p PREFIX --from motd --to ho",
            "kvx copy -p PREFIX --from=ho",
        ] {
            assert_eq!(terminal.offers(&line.replace("PREFIX", prefix)), two, "{shell:?}: {line}");
        }
        assert_eq!(terminal.offers(&format!("kvx-in -p {prefix} -k team:h")).len(), 1, "{shell:?}");
        let all = terminal.offers(&format!("kvx-in -p {prefix} -k "));
        let plain: BTreeSet<String> = all.iter().map(|key| key.replace('\\', "")).collect();
        assert!(plain.contains(harmful) && plain.contains("a b") && plain.len() == 6, "{shell:?}: {all:?}");
        assert_eq!(terminal.offers(&format!("kvx raw -p {prefix} -k ho")), set(&[]), "{shell:?}: a path is no key");

        let mut elsewhere = Terminal::at(shell, &place, NO_AGENT);
        for server in ["-s ADDRESS", "--server=ADDRESS", "--server ADDRESS"] {
            let line = format!("kvx-in {server} -p {prefix} -k ho").replace("ADDRESS", &consul.address);
            assert_eq!(elsewhere.offers(&line), two, "{shell:?}: {line}");
        }
    }
    assert!(!place.path().join("harm").exists(), "a key's name was run");
}

#[test]
fn versions_are_those_of_the_key_that_the_line_names() {
    let place = Place::new();
    let key = place.key.as_str();
    for document in ["a", "b"] {
        place.upload(document);
    }
    let names = place.kvx("history").args(["-k", key, "--names"]).run().expect(0).out().to_owned();
    let names: BTreeSet<String> = names.lines().map(str::to_owned).collect();
    let digits = &sha256("a")[..8];
    assert!(names.len() == 4 && names.contains(digits), "{names:?}");
    for shell in SHELLS {
        let mut terminal = Terminal::at(shell, &place, &place.consul.address);
        for line in [
            "kvx show -k KEY --at ",
            "kvx show --key KEY --at=",
            "kvx diff --key=KEY --from ",
            "kvx diff -p kvexpress -k KEY --from -1 --to ",
        ] {
            assert_eq!(terminal.offers(&line.replace("KEY", key)), names, "{shell:?}: {line}");
        }
        assert_eq!(terminal.offers(&format!("kvx show -k {key} --at {}", &digits[..4])), set(&[digits]), "{shell:?}");
        let time = names.iter().find(|name| name.contains('-')).unwrap();
        let offered = terminal.offers(&format!("kvx show -k {key} --at {}", &time[..time.len() - 1]));
        assert_eq!(offered.len(), 1, "{shell:?}: {offered:?}");
        for line in ["kvx show --at ", "kvx show -k NOTHING --at ", "kvx diff -p elsewhere -k KEY --from "] {
            assert_eq!(terminal.offers(&line.replace("KEY", key)), set(&[]), "{shell:?}: {line}");
        }
    }
}

#[test]
fn what_the_line_says_of_consul_is_handed_on() {
    let place = Place::new();
    let log = place.path().join("asked");
    let kvx = format!("#!/bin/sh\nprintf '%s\\n' \"$@\" >{}\n", log.display());
    program(&place.path().join("bin/kvx"), &kvx);
    for shell in SHELLS {
        let mut terminal = Terminal::without_kvx(shell, &place);
        terminal.offers("kvx-out -f x -s h:1 -v --token-file ~/token -t T --dc=there --ca-file=ca -e y --client-cert c --client-key k --tls-server-name n -k ");
        let asked = std::fs::read_to_string(&log).unwrap();
        let home = place.path().display();
        let handed_on = format!(
            "-s h:1 --token-file {home}/token -t T --dc=there --ca-file=ca --client-cert c --client-key k --tls-server-name n"
        );
        let asked: Vec<&str> = asked.lines().collect();
        assert_eq!(asked.join(" "), format!("list -q --timeout 1s {handed_on}"), "{shell:?}");
        std::fs::remove_file(&log).unwrap();
    }
}

#[test]
fn a_consul_that_is_not_there_is_soon_given_up_and_nothing_is_said() {
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    let deaf = deaf.local_addr().unwrap().to_string();
    let cases = SHELLS.map(|shell| [(shell, NO_AGENT), (shell, &deaf)]).concat();
    each(
        cases.len(),
        &cases,
        |case| format!("{case:?}"),
        |(shell, address)| {
            let place = Place::new();
            let mut terminal = Terminal::at(*shell, &place, address);
            terminal.offers("kvx ");
            let began = Instant::now();
            assert_eq!(terminal.offers("kvx-in -k "), set(&[]));
            assert!(began.elapsed() < SLACK, "{:?}", began.elapsed());
            let seen = terminal.seen();
            assert!(!seen.contains("kvx list") && !seen.contains("Consul"), "{seen}");
        },
    );
}

#[test]
fn files_values_and_commands_are_completed_where_they_belong() {
    let place = Place::new();
    let dir = place.path();
    std::fs::create_dir(dir.join("some")).unwrap();
    std::fs::write(dir.join("some/file-1"), "").unwrap();
    std::fs::create_dir(dir.join("some/directory-1")).unwrap();
    program(&dir.join("bin/zq-render"), "#!/bin/sh\n");
    let all = set(&["file-1", "directory-1"]);
    let directory = set(&["directory-1"]);
    let last = |offers: BTreeSet<String>| -> BTreeSet<String> {
        offers.iter().map(|path| path.trim_end_matches('/').rsplit('/').next().unwrap().to_owned()).collect()
    };
    for shell in SHELLS {
        let mut terminal = Terminal::without_kvx(shell, &place);
        for line in
            ["kvx-in -f", "kvx-out --file", "kvx lock -f", "kvx list --token-file", "kvx diff -k x", "kvx-in -- cat"]
        {
            assert_eq!(last(terminal.offers(&format!("{line} some/"))), all, "{shell:?}: {line}");
        }
        assert_eq!(last(terminal.offers("kvx-in --file=some/")), all, "{shell:?}");
        for line in ["kvx-out --state-dir", "kvx stop --metrics-textfile"] {
            assert_eq!(last(terminal.offers(&format!("{line} some/"))), directory, "{shell:?}: {line}");
        }
        for line in ["kvx-in -k x --", "kvx out -k x -f y --", "kvx raw -k x -f y --", "kvx-out -e", "kvx-out --check"]
        {
            assert_eq!(terminal.offers(&format!("{line} zq-")), set(&["zq-render"]), "{shell:?}: {line}");
        }
        assert_eq!(terminal.offers("kvx stop -k x -- zq-"), set(&[]), "{shell:?}: it runs none");
        assert_eq!(terminal.offers("kvx-in --log-format "), set(&["text", "json"]), "{shell:?}");
        assert_eq!(terminal.offers("kvx-in --log-format=j"), set(&["json"]), "{shell:?}");
        for line in ["kvx-in --timeout ", "kvx-in stray", "kvx nonsense ", "kvx nonsense -"] {
            assert_eq!(terminal.offers(line), set(&[]), "{shell:?}: {line}");
        }
    }
}

#[test]
fn what_is_typed_with_tabs_is_what_the_program_gets() {
    let place = Place::new();
    let (many, one) = (place.key.clone(), format!("{}-one", place.key));
    for key in ["motd", "team:hosts", "a b"] {
        place.consul.put_pair(&format!("{many}/{key}"), "x\n");
    }
    place.consul.put_pair(&format!("{one}/only"), "x\n");
    for shell in [Shell::Bash, Shell::Zsh] {
        let mut terminal = Terminal::typing(shell, &place);
        let json: &[&str] = if shell == Shell::Bash { &["--log-format", "json"] } else { &["--log-format=json"] };
        let cases = [
            (&many, "-k mo\t--log-f\tj\t", [&["-k", "motd"], json].concat()),
            (&many, "--key=mo\t", vec!["--key=motd"]),
            (&many, "-k team:h\t-n", vec!["-k", "team:hosts", "-n"]),
            (&many, "-k team:\t-n", vec!["-k", "team:hosts", "-n"]),
            (&many, "--key=te\t", vec!["--key=team:hosts"]),
            (&many, "-k a\t", vec!["-k", "a b"]),
            (&one, "--key=\t", vec!["--key=only"]),
            (&one, "-k \t", vec!["-k", "only"]),
        ];
        for (prefix, typed, got) in cases {
            let words = terminal.block(&format!("kvx-in --prefix={prefix} {typed}\n"));
            assert_eq!(words[1..], got, "{shell:?}: {typed:?}");
        }
    }
}

/// Each command line, and its options.
fn commands() -> Vec<(String, BTreeSet<Opt>)> {
    let of_kvx = Help::commands().into_iter().map(|name| format!("kvx {name}"));
    let all = ["kvx-in", "kvx-out"].map(str::to_owned).into_iter().chain(of_kvx);
    all.map(|command| {
        let options = match command.as_str() {
            "kvx in" => Help::of("kvx-in").options(),
            "kvx out" => Help::of("kvx-out").options(),
            // Those of kvx out, as its help says; and what `--raw` is for is its `-k`.
            "kvx raw" => {
                let out = Help::of("kvx-out").options();
                out.into_iter().filter(|option| option.long != "raw").collect()
            }
            command => Help::of(command).options(),
        };
        (command, options)
    })
    .collect()
}

fn spellings(option: &Opt) -> Vec<String> {
    option.short.map(|short| format!("-{short}")).into_iter().chain([format!("--{}", option.long)]).collect()
}

fn set(words: &[&str]) -> BTreeSet<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn program(path: &Path, text: &str) {
    run::script(path, text);
}

/// What a shell's completion offers goes to a file, an entry a line, and `END` behind it.
const END: &str = "-- end";

/// Tells what is offered, in place of showing it. (Readline calls _kvx with the words as it breaks them.)
const BASH: &str = r#"
source "$COMPLETIONS/kvx.bash"
probe() { _kvx "$@"; printf '%s\n' "${COMPREPLY[@]}" '-- end' >>"$OFFERS"; COMPREPLY=(); }
[ "$MODE" = typing ] || complete -F probe kvx kvx-in kvx-out
"#;

/// zsh's completion adds what it finds by `compadd`; with -O, -A or -D it only asks which would fit.
const ZSH: &str = r#"
fpath=($COMPLETIONS $fpath)
autoload -Uz compinit && compinit -u -D
probe() { zle complete-word; print -- '-- end' >>$OFFERS }
[[ $MODE == typing ]] || {
    compadd() {
        if [[ " ${argv[1,(i)-(|-)]} " == *' '-[a-zA-Z0-9]#[OAD]' '* ]]; then
            builtin compadd "$@"
        else
            local -a found
            builtin compadd -A found "$@"
            print -rl -- $found >>$OFFERS
            builtin compadd "$@"
        fi
    }
    setopt extended_glob no_auto_list no_auto_menu
    zle -N probe && bindkey '^I' probe
}
"#;

const FISH: &str = r#"
source $COMPLETIONS/kvx.fish
while read -l line
    complete -C "$line" >>$OFFERS
    echo '-- end' >>$OFFERS
end
"#;

/// What is run instead of kvx-in where whole lines are typed: it tells its words.
const STUB: &str = "\nkvx-in() { printf '%s\\n' \"$@\" '-- end' >>\"$OFFERS\"; }\n";

/// A shell that reads what is typed.
struct Terminal {
    shell: Shell,
    child: Child,
    offers: PathBuf,
    seen: PathBuf,
    blocks: usize,
}

impl Terminal {
    /// Where there are no keys to be had: options and files need none.
    fn without_kvx(shell: Shell, place: &Place) -> Terminal {
        let system = std::env::var("PATH").unwrap();
        Terminal::new(shell, place, NO_AGENT, "probing", &system)
    }

    fn at(shell: Shell, place: &Place, address: &str) -> Terminal {
        Terminal::new(shell, place, address, "probing", run::path().to_str().unwrap())
    }

    fn typing(shell: Shell, place: &Place) -> Terminal {
        Terminal::new(shell, place, &place.consul.address, "typing", run::path().to_str().unwrap())
    }

    /// In the place's directory, which is also its home.
    fn new(shell: Shell, place: &Place, address: &str, mode: &str, path: &str) -> Terminal {
        let dir = place.path();
        let (name, text, command) = match shell {
            Shell::Bash => ("bashrc", BASH, "exec bash --noprofile --rcfile bashrc -i"),
            Shell::Zsh => (".zshrc", ZSH, "exec zsh -d -i"),
            Shell::Fish => ("config.fish", FISH, "exec fish --no-config config.fish"),
        };
        let name_of_shell = format!("{shell:?}").to_lowercase();
        let is_there = Command::new(&name_of_shell).args(["-c", "exit"]).status().is_ok();
        assert!(is_there, "{name_of_shell} is not on PATH: install it (apt-get install {name_of_shell})");
        let stub = if shell == Shell::Fish { "" } else { STUB };
        std::fs::write(dir.join(name), format!("{text}{}", if mode == "typing" { stub } else { "" })).unwrap();
        let (offers, seen) = (dir.join("offers"), dir.join("seen"));
        std::fs::write(&offers, "").unwrap();
        let output = std::fs::File::create(&seen).unwrap();
        // script(1) runs it at a terminal of its own; fish answers without one.
        let mut run = Command::new(if shell == Shell::Fish { "sh" } else { "script" });
        if shell == Shell::Fish {
            run.args(["-c", command]);
        } else {
            run.args(["-qefc", command, "/dev/null"]);
        }
        let completions = Path::new(env!("CARGO_MANIFEST_DIR")).join("completions");
        run.env_clear().current_dir(dir).env("HOME", dir).env("TERM", "dumb").env("COMPLETIONS", completions);
        run.env("PATH", format!("{}:{path}", dir.join("bin").display())).env("OFFERS", &offers).env("MODE", mode);
        run.env("CONSUL_HTTP_ADDR", address).env("ZDOTDIR", dir).stdin(Stdio::piped());
        let child = run.stdout(output.try_clone().unwrap()).stderr(output).spawn().unwrap();
        Terminal { shell, child, offers, seen, blocks: 0 }
    }

    /// What is offered for the end of this line.
    fn offers(&mut self, line: &str) -> BTreeSet<String> {
        let mut words = match self.shell {
            Shell::Fish => self.block(&format!("{line}\n")),
            _ => self.block(&format!("{line}\t")),
        };
        if self.shell != Shell::Fish {
            self.type_in("\x15"); // Control-U: another line.
        }
        for word in &mut words {
            // Of --key=hosts, what stands behind =. zsh says that it goes on, fish says what it is.
            let plain = word.split('\t').next().unwrap().trim_end_matches('=');
            *word = plain.split_once('=').map_or(plain, |(_, value)| value).to_owned();
        }
        words.into_iter().filter(|word| !word.is_empty()).collect()
    }

    /// Types this, and waits for what is told of it.
    fn block(&mut self, typed: &str) -> Vec<String> {
        self.type_in(typed);
        self.blocks += 1;
        let told = wait_for(&format!("{:?} at {typed:?}; see {}", self.shell, self.seen()), 20, || {
            let told = std::fs::read_to_string(&self.offers).unwrap();
            (told.matches(&format!("{END}\n")).count() == self.blocks).then_some(told)
        });
        let block = told.split(&format!("{END}\n")).nth(self.blocks - 1).unwrap();
        block.lines().map(str::to_owned).collect()
    }

    fn type_in(&mut self, text: &str) {
        self.child.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// What was written to the terminal.
    fn seen(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.seen).unwrap()).into_owned()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill(); // The shell's terminal goes with it, whatever it waits for.
        let _ = self.child.wait();
    }
}
