//! The files that users copy work unchanged: every file of `examples/`, with its paths replaced by a test's own, and
//! the demo.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use crate::common::consul::{binary, template_binary};
use crate::common::page::{Page, pages};
use crate::common::proxy::Counter;
use crate::common::run::{self, Ran, Run, script};
use crate::common::tools::path_from;
use crate::common::{self, Consul, Place, lines, sha256};
use serde_json::{Value, json};

#[test]
fn each_watch_installs_an_upload_at_once_and_the_timer_does_what_the_watch_could_not() {
    for watch in ["watch.json", "watch-keyprefix.json"] {
        let place = place();
        let counter = Counter::to(&place.consul.address);
        let bin = node(&place, &counter.address);
        place.consul.configure(&adapted(watch, &[("/usr/local/bin", &bin)]));
        place.consul.reload();
        let upload = |document: &str| kvx("kvx-in", &place).stdin(document).run().expect(0);
        let timer = || place_shell(&place, &exec_start("kvx-out@.service", &[("/usr/local/bin", &bin)]));

        // Each watch has fired once before, when there was nothing.
        let fired = |n: usize| place.consul.handler_runs(&bin, n);
        fired(1);
        upload(&lines(600));
        fired(2);
        assert_eq!(place.runs(), [sha256(lines(600))], "{watch}");
        assert_eq!(place.content(), lines(600), "{watch}");
        assert_eq!(place.mode(), 0o644, "{watch}");
        // The payload of a keyprefix watch brings the document, that of a key watch only the news.
        assert_eq!(counter.requests().is_empty(), watch == "watch-keyprefix.json", "{watch}");
        timer().expect(0).is_silent();
        assert_eq!(place.runs().len(), 1, "{watch}: for the timer it is the same handler");

        let dnsmasq_is_down = place.write("down", "");
        upload(&lines(601));
        fired(3);
        assert!(place.path().join("failed").exists(), "{watch}: the handler that fails");
        std::fs::remove_file(dnsmasq_is_down).unwrap();
        timer().expect(0).says(&["hosts: ", "the pending handler ran"]);
        assert_eq!(place.runs(), [sha256(lines(600)), sha256(lines(601))], "{watch}");
        assert_eq!(place.content(), lines(601), "{watch}");
        timer().expect(0).is_silent();
    }
}

#[test]
fn consul_template_uploads_the_hosts_of_the_catalog_and_the_timer_what_it_could_not() {
    let place = place();
    let rendered = place.path().join("rendered/hosts");
    let template = place.write("hosts.ctmpl", example("hosts.ctmpl"));
    let config = place.write(
        "consul-template.hcl",
        adapted(
            "consul-template.hcl",
            &[("/etc/consul-template/hosts.ctmpl", text(&template)), ("/var/lib/kvx-in/hosts", text(&rendered))],
        ),
    );
    let run_once = |path: &str| {
        let mut command = bare(&place, text(template_binary()), path);
        command.arg("-config").arg(&config).args(["-once", "-consul-addr", &place.consul.address]);
        Ran::from(command.output().unwrap())
    };
    let uploaded = || place.consul.text("kvexpress/hosts/data");
    for n in 1..=10 {
        register(&place.consul, n);
    }

    std::fs::create_dir(place.path().join("failing")).unwrap();
    script(&place.path().join("failing/kvx-in"), "#!/bin/sh\nexit 69\n");
    let failing = format!("{}:{}", place.path().join("failing").display(), run_path());
    // It outlives a failed upload; but does not repeat it.
    run_once(&failing).expect(0);
    run_once(&run_path()).expect(0);
    assert_eq!(uploaded(), None, "the trap that consul-template.hcl tells of is there");
    let folder = text(rendered.parent().unwrap()).to_owned();
    let timer = || place_shell(&place, &exec_start("kvx-in@.service", &[("/var/lib/kvx-in", &folder)]));
    timer().expect(0).says(&["hosts: ", "uploaded, the first of this key"]);
    timer().expect(0).is_silent();

    register(&place.consul, 11);
    run_once(&run_path()).expect(0);
    let hosts = uploaded().unwrap();
    assert_eq!(hosts, std::fs::read_to_string(&rendered).unwrap());
    assert!(hosts.ends_with('\n') && !hosts.contains("\n\n"), "{hosts}");
    assert!(
        hosts.contains("\n10.0.0.1 web node-1.web\n") && hosts.contains("\n10.0.0.11 web node-11.web\n"),
        "{hosts}"
    );
}

#[test]
fn the_list_form_of_the_command_is_what_the_comment_says() {
    let all = example("consul-template.hcl");
    let list = all.lines().find_map(|line| line.trim().strip_prefix("# command = [")).expect("a list in a comment");
    let words: Vec<String> = serde_json::from_str(&format!("[{list}")).unwrap();
    let string = all.lines().find_map(|line| line.trim().strip_prefix("command = ")).expect("a command");
    let string: String = serde_json::from_str(string).unwrap();
    assert_eq!(words, ["sh", "-c", &string]);
}

#[test]
fn the_pipelines_do_what_their_comments_say() {
    if !is_there("curl") {
        return eprintln!("no curl here: pipeline.sh is not tested");
    }
    let place = place();
    let bin = place.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let render = |end: &str| {
        let program = format!("#!/bin/sh\nfor n in $(seq 600); do echo \"10.0.0.$n web-$n\"; {end}; done\n");
        script(&bin.join("render"), &program);
    };
    place.consul.put("page", "a page\n");
    let path = format!("{}:{}", bin.display(), run_path());
    let shell = |command: &str| {
        let mut shell = bare(&place, "sh", &path);
        shell.args(["-ec", command]).env("URL", format!("http://{}/v1/kv/page?raw", place.consul.address));
        Ran::from(shell.output().unwrap())
    };
    let data = |key: &str| place.consul.text(&format!("kvexpress/{key}/data")).unwrap_or_default();
    let all = example("pipeline.sh");
    let line =
        |start: &str| all.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("no line {start}"));

    render(":");
    let ran = shell(&all).expect(0);
    assert!(ran.out().starts_with("--- ") && ran.out().ends_with("\n600\n"), "the diff, then the count: {}", ran.out());
    assert_eq!(data("hosts").lines().next(), Some("10.0.0.201 web-1"));
    assert_eq!(data("hosts-before").lines().next(), Some("10.0.0.1 web-1"));
    assert_eq!(data("motd"), "a page\n");

    render("[ $n -lt 550 ] || exit 1");
    shell(line("render | kvx-in -k hosts -l 500")).expect(0);
    assert_eq!(data("hosts").lines().count(), 550, "half a file, as the comment says");
    render("[ $n -lt 540 ] || exit 1");
    shell(line("kvx-in -k hosts -l 500 -- render")).expect(74);
    assert_eq!(data("hosts").lines().count(), 550);

    let somebody_else_changed_it = format!("work=/dev/null seen={}; {}", sha256("other"), line("sed "));
    shell(&somebody_else_changed_it.replace("--expect", "-l 0 --expect")).expect(75);
    assert_eq!(data("hosts").lines().count(), 550);
}

/// cron's PATH has not /usr/local/bin, where `make install` puts the programs.
#[test]
fn the_scripts_find_their_programs_with_the_path_of_cron() {
    let place = place();
    let bin = node(&place, &place.consul.address);
    let local = place.path().join("local");
    std::fs::create_dir(&local).unwrap();
    for program in ["kvx-in", "kvx-out"] {
        std::os::unix::fs::symlink(run::binary(program), local.join(program)).unwrap();
    }
    kvx("kvx-in", &place).stdin(lines(600)).run().expect(0);
    let installed = |name: &str, program: String| {
        script(&place.path().join(name), &program.replace("/usr/local/bin", text(&local)));
    };
    // As `node` has made it, but with the program's own name.
    let hosts = std::fs::read_to_string(place.path().join("kvx-hosts")).unwrap();
    installed("kvx-hosts", hosts.replace(&format!("exec {}/kvx-out", ours()), "exec kvx-out"));
    let cron = |script: &str| Ran::from(bare(&place, script, "/usr/bin:/bin").output().unwrap());
    cron(&format!("{bin}/kvx-hosts")).expect(0).says(&["hosts: ", "installed"]);
    assert_eq!((place.content(), place.runs()), (lines(600), vec![sha256(lines(600))]));
    let pipeline = example("pipeline.sh");
    let (head, _) = pipeline.split_once("\n# What would change?").expect("its first lines");
    installed("pipeline.sh", format!("{head}\nkvx-out -k hosts -f - | kvx-in -k hosts-too\n"));
    cron(text(&place.path().join("pipeline.sh"))).expect(0).says(&["hosts-too: ", "uploaded"]);
    for entry in std::fs::read_dir(examples()).unwrap() {
        let file = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        assert!(
            !file.starts_with("#!") || file.contains("\nexport PATH="),
            "a script of the examples sets PATH:\n{file}"
        );
    }
}

#[test]
fn systemd_takes_the_units_without_a_complaint() {
    if !is_there("systemd-analyze") {
        return eprintln!("no systemd-analyze here: the units are not tested");
    }
    let place = place();
    let bin = node(&place, &place.consul.address);
    for side in ["in", "out"] {
        // A program without a path is looked for where it would be installed, but that is not done.
        let (from, to) =
            if side == "in" { ("=kvx-in ", format!("={}/kvx-in ", ours())) } else { ("/usr/local/bin", bin.clone()) };
        let service = adapted(&format!("kvx-{side}@.service"), &[(from, &to)]);
        let with_comments = service.replace("\n# Environment=", "\nEnvironment=").replace("\n# LoadCred", "\nLoadCred");
        place.write(&format!("kvx-{side}@hosts.service"), with_comments);
        place.write(&format!("kvx-{side}@hosts.timer"), example(&format!("kvx-{side}@.timer")));
    }
    place.write("kvx-out@hosts.path", example("kvx-out@.path"));
    for unit in [
        "kvx-in@hosts.service",
        "kvx-in@hosts.timer",
        "kvx-out@hosts.service",
        "kvx-out@hosts.timer",
        "kvx-out@hosts.path",
    ] {
        let mut verify = Command::new("systemd-analyze");
        let ran = Ran::from(verify.args(["verify", "--man=no"]).arg(place.path().join(unit)).output().unwrap());
        ran.expect(0).is_silent();
    }
    // How exposed they are, of 100; kvx-out@ is root, and reloads the processes of others.
    for (unit, most) in [("kvx-in@hosts.service", "15"), ("kvx-out@hosts.service", "30")] {
        let mut security = Command::new("systemd-analyze");
        security.args(["security", "--offline=true", "--no-pager", &format!("--threshold={most}")]);
        Ran::from(security.arg(place.path().join(unit)).output().unwrap()).expect(0);
    }
}

#[test]
fn sudo_takes_its_line_which_names_the_script_of_the_watch_without_arguments() {
    let sudoers = example("sudoers-kvx");
    let watch: Value = serde_json::from_str(&example("watch.json")).unwrap();
    let script = watch["watches"][0]["args"][0].as_str().unwrap();
    assert!(sudoers.contains(&format!("\nconsul ALL=(root) NOPASSWD: {script} \"\"\n")), "{sudoers}");
    if !is_there("visudo") {
        return eprintln!("no visudo here: sudoers-kvx is not tested");
    }
    Ran::from(Command::new("visudo").arg("-cf").arg(examples().join("sudoers-kvx")).output().unwrap())
        .expect(0)
        .is_silent();
}

#[test]
fn prometheus_takes_the_alerts_which_are_about_the_units_and_metrics_that_there_are() {
    let alerts = example("alerts.yml");
    let promtool = path_from("get-prometheus", &["promtool"]);
    let check = Command::new(promtool).args(["check", "rules"]).arg(examples().join("alerts.yml")).output();
    Ran::from(check.unwrap()).expect(0);
    for unit in ["kvx-in@.service", "kvx-out@.service"] {
        assert!(examples().join(unit).exists() && alerts.contains("kvx-(in|out)@.+[.]service"));
    }
    let place = place();
    kvx("kvx-in", &place).arg("--metrics-textfile").arg(place.path()).stdin(lines(20)).run().expect(0);
    let written = std::fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().path());
    let written = written.filter(|path| path.extension().is_some_and(|extension| extension == "prom"));
    let metrics: String = written.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    for name in alerts.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| word.starts_with("kvx_")) {
        assert!(metrics.contains(&format!("\n{name}{{")), "{name} is not in\n{metrics}");
    }
}

/// Names are chosen by whoever may write to Consul: a blank in one of them must not become a word.
#[test]
fn the_example_of_list_hands_each_name_to_status_as_it_is() {
    let help = include_str!("../help/kvx-list.txt");
    let line = help.lines().find_map(|line| line.trim().strip_prefix("kvx list | ")).expect("the example");
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("man/kvx.1")).unwrap();
    assert!(page.replace('\\', "").contains(&format!("$ kvx list | {line}\n")), "kvx.1 has another");
    let place = place();
    let elsewhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let port = elsewhere.local_addr().unwrap();
    let names = ["*".to_owned(), "-x".into(), format!("a -s {port}"), "b  c".into(), "hosts".into()];
    for name in &names {
        place.consul.put_pair(&format!("kvexpress/{name}"), lines(20));
    }
    let mut shell = bare(&place, "sh", &run_path());
    shell.args(["-c", &format!("kvx list | {line}")]).env("CONSUL_HTTP_TOKEN", "a secret").current_dir("/");
    shell.env("STATE_DIRECTORY", place.path().join("state"));
    let ran = Ran::from(shell.output().unwrap()).expect(0).is_silent();
    let shown: Vec<&str> = ran.out().lines().filter(|line| line.ends_with(" ok")).collect();
    assert_eq!(shown.len(), names.len(), "{}", ran.out());
    for (shown, name) in shown.iter().zip(&names) {
        assert!(shown.starts_with(&format!("{name}  ")), "{shown:?} is not of {name:?}");
    }
    assert!(elsewhere.accept().is_err(), "nobody has asked there");
}

/// Of the scripts of this project, and the commands of its pages, so that no name becomes words.
#[test]
fn no_script_and_no_command_of_the_pages_has_an_unquoted_variable() {
    if !is_there("shellcheck") {
        return eprintln!("no shellcheck here: quotes are not looked for");
    }
    // Unquoted: variables, commands, lists of arguments; and `read` that takes a backslash for its own.
    let shellcheck = || {
        let mut shellcheck = Command::new("shellcheck");
        shellcheck.args(["--norc", "--format=gcc", "--include=SC2086,SC2046,SC2048,SC2068,SC2162"]);
        shellcheck
    };
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut scripts = Vec::new();
    for directory in ["examples", "packaging", "packaging/debian", "tests/tools", "tests/node", "benches", ".ci"] {
        for entry in std::fs::read_dir(project.join(directory)).into_iter().flatten() {
            let path = entry.unwrap().path();
            if std::fs::read(&path).is_ok_and(|file| file.starts_with(b"#!")) {
                scripts.push(path);
            }
        }
    }
    assert!(scripts.len() >= 12, "{scripts:?}");
    let ran = Ran::from(shellcheck().args(&scripts).output().unwrap());
    assert_eq!((ran.status.code(), ran.out()), (Some(0), ""), "{}", ran.stderr);
    let mut pages = pages();
    pages.push(Page::read("examples/README.md"));
    let mut blocks: Vec<(String, String)> = pages
        .iter()
        .flat_map(|page| page.blocks().into_iter().map(|block| (format!("{}:{}", page.name, block.line), block.text)))
        .collect();
    for page in common::mdoc::Page::all() {
        blocks.extend(page.blocks().into_iter().map(|block| (page.name.to_owned(), block)));
    }
    for file in std::fs::read_dir(project.join("tests/help")).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let (_, examples) = text.split_once("\nExamples:").unwrap_or_default();
        let (examples, _) = examples.split_once("\n\n").unwrap_or((examples, ""));
        blocks.push((path.display().to_string(), examples.to_owned()));
    }
    // All at once: each start of it takes a second on a busy machine.
    let dir = tempfile::tempdir().unwrap();
    let files = blocks.iter().enumerate().map(|(n, (name, block))| {
        let is_transcript = block.lines().any(|line| line.starts_with("$ "));
        let commands =
            block.lines().filter_map(|line| if is_transcript { line.strip_prefix("$ ") } else { Some(line) });
        let file = dir.path().join(format!("{n}-{}", name.replace('/', "-")));
        std::fs::write(&file, commands.map(|line| format!("{line}\n")).collect::<String>()).unwrap();
        file
    });
    let ran = Ran::from(shellcheck().args(["-s", "sh"]).args(files).output().unwrap());
    // What is no shell, such as a watch, it cannot read.
    let quotes: Vec<&str> = ran.out().lines().filter(|line| line.contains("[SC20") || line.contains("[SC21")).collect();
    assert!(quotes.is_empty(), "{quotes:#?}");
}

#[test]
fn the_path_unit_is_of_the_file_that_kvx_hosts_installs() {
    let unit = example("kvx-out@.path");
    let path =
        unit.lines().find_map(|line| line.strip_prefix("PathChanged=")).expect("PathChanged").replace("%i", "hosts");
    assert!(example("kvx-hosts").contains(&format!(" -f {path} ")), "{path}");
}

#[test]
fn dnsmasq_takes_its_line_which_names_the_file_of_kvx_hosts() {
    let conf = example("dnsmasq.conf");
    let file = conf.lines().find_map(|line| line.strip_prefix("addn-hosts=")).expect("addn-hosts");
    assert!(example("kvx-hosts").contains(&format!(" -f {file} ")));
    if is_there("dnsmasq") {
        let place = place();
        let conf = place.write("dnsmasq.conf", conf);
        Ran::from(Command::new("dnsmasq").arg("--test").arg("-C").arg(conf).output().unwrap()).expect(0);
    }
}

#[test]
fn the_readme_lists_every_example() {
    let readme = example("README.md");
    let listed: Vec<&str> = readme.lines().filter(|line| line.starts_with("| `")).collect();
    for entry in std::fs::read_dir(examples()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let found = listed.iter().filter(|line| line[..line[1..].find('|').unwrap()].contains(&format!("`{name}`")));
        assert_eq!(found.count(), usize::from(name != "README.md"), "{name}");
    }
}

#[test]
fn the_demo_tells_a_true_story_and_leaves_nothing_behind() {
    let place = place();
    let temporary = place.path().join("tmp");
    std::fs::create_dir(&temporary).unwrap();
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/demo");
    let mut demo = Command::new(demo);
    demo.env("CONSUL", binary()).env("KVX_BIN", ours()).env("TMPDIR", &temporary).stdin(Stdio::null());
    let ran = Ran::from(demo.output().unwrap()).expect(0).is_silent();
    assert!(ran.out().contains("\n=> ") && !ran.out().contains('\x1b'), "plain text:\n{}", ran.out());
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0);
}

/// The key of the examples is `hosts`: so each test has an agent of its own.
fn place() -> Place {
    Place::at(Arc::new(Consul::dev("")))
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

fn example(name: &str) -> String {
    std::fs::read_to_string(examples().join(name)).unwrap()
}

/// An example with other paths, all of which are in it.
fn adapted(name: &str, changes: &[(&str, &str)]) -> String {
    changes.iter().fold(example(name), |text, (from, to)| {
        assert!(text.contains(from), "{from} is not in {name}");
        text.replace(from, to)
    })
}

/// What a unit runs, for the instance `hosts`.
fn exec_start(unit: &str, changes: &[(&str, &str)]) -> String {
    let unit = adapted(unit, changes);
    let command = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).expect("ExecStart");
    command.replace("%i", "hosts")
}

/// A node: `kvx-hosts` in a directory, which is returned. Its handler fails while there is a file `down`.
fn node(place: &Place, address: &str) -> String {
    let reload = place.path().join("reload");
    let (dir, file) = (text(place.path()), place.file());
    script(
        &reload,
        &format!("#!/bin/sh\ncd {dir}\n[ ! -e down ] || {{ touch failed; exit 1; }}\necho $KVX_CHECKSUM >>runs\n"),
    );
    let environment = format!("export CONSUL_HTTP_ADDR={address} STATE_DIRECTORY={dir}/state");
    let changes: [(&str, &str); 4] = [
        ("# export CONSUL_HTTP_TOKEN_FILE=/etc/kvx/token-out", &environment),
        ("exec kvx-out", &format!("exec {}/kvx-out", ours())),
        ("/etc/hosts.consul", text(&file)),
        ("pkill -HUP -x dnsmasq", text(&reload)),
    ];
    script(&place.path().join("kvx-hosts"), &adapted("kvx-hosts", &changes));
    dir.to_owned()
}

fn kvx(program: &str, place: &Place) -> Run {
    Run::new(program, &place.consul.address).args(["-k", "hosts"])
}

/// As systemd does it: with hardly any environment.
fn place_shell(place: &Place, command: &str) -> Ran {
    Ran::from(bare(place, "sh", &run_path()).args(["-c", command]).output().unwrap())
}

fn bare(place: &Place, program: &str, path: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", path).env("CONSUL_HTTP_ADDR", &place.consul.address).stdin(Stdio::null());
    command
}

fn run_path() -> String {
    run::path().into_string().unwrap()
}

/// The directory of our programs.
fn ours() -> String {
    text(run::binary("kvx-in").parent().unwrap()).to_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn is_there(program: &str) -> bool {
    std::env::split_paths(&std::env::var_os("PATH").unwrap()).any(|dir| dir.join(program).exists())
}

/// A web server of that number.
fn register(consul: &Consul, n: u8) {
    let node =
        json!({ "Node": format!("node-{n}"), "Address": format!("10.0.0.{n}"), "Service": { "Service": "web" } });
    let (status, _) = consul.http("PUT", "/v1/catalog/register", node.to_string().as_bytes()).unwrap();
    assert_eq!(status, 200);
}
