//! Command lines of kvexpress's subcommands, from its documents and its users, and their meaning. No I/O. Facts about
//! kvexpress were observed with version 1.16.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use kvx::context::{Context, Verbosity};
use kvx::download::{Destination, HandlerPolicy, Stdin};
use kvx::env::Env;
use kvx::error::Status;
use kvx::input::Input;
use kvx::install::{Parents, WriteMode};
use kvx::kvexpress::{Flags, Invocation, Job, Subcommand, Task, job, parse};
use kvx::layout::keys::Subject;
use kvx::layout::stored::Encoding;
use kvx::operator::lock;
use kvx::operator::stop::Reason;
use kvx::telemetry::log::{Format, Logger};
use kvx::telemetry::metrics::dogstatsd::StatsdAddress;
use kvx::upload::Lines;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::properties::config;

/// Split as a shell would.
fn words(line: &str) -> Vec<OsString> {
    shell_words::split(line).unwrap().into_iter().map(OsString::from).collect()
}

#[track_caller]
fn means(line: &str, command: Subcommand, options: Flags) {
    let Ok(Invocation::Run(is, has, _)) = parse(words(line)) else { panic!("not understood: {line}") };
    assert_eq!(is, command, "{line}");
    assert!(*has == options, "{line}");
}

#[track_caller]
fn refused(line: &str, why: &str) {
    let Err(error) = parse(words(line)) else { panic!("not refused: {line}") };
    assert_eq!(error.status(), Status::Usage, "{line}");
    assert!(error.to_string().contains(why), "{line}: {error}");
}

fn none() -> Flags {
    Flags::default()
}

fn text(text: &str) -> String {
    text.to_owned()
}

#[test]
fn lines_of_the_documents() {
    means(
        "in --key hosts --file /etc/consul-template/output/hosts.consul --length 100 --sorted=true",
        Subcommand::In,
        Flags {
            key: text("hosts"),
            file: text("/etc/consul-template/output/hosts.consul"),
            length: 100,
            sorted: true,
            ..none()
        },
    );
    means(
        "in -d true -k hosts -f /etc/consul-template/output/hosts.consul -l 100 --sorted=true",
        Subcommand::In,
        Flags {
            dogstatsd: true,
            key: text("hosts"),
            file: text("/etc/consul-template/output/hosts.consul"),
            length: 100,
            sorted: true,
            ..none()
        },
    );
    means(
        "in --prefix tmp --key config --length 5 --url https://git.io/vzz5P",
        Subcommand::In,
        Flags { prefix: text("tmp"), key: text("config"), length: 5, url: text("https://git.io/vzz5P"), ..none() },
    );
    means(
        "out --prefix tmp --key config --length 5 -f /etc/file.conf -e 'sudo restart something here'",
        Subcommand::Out,
        Flags {
            prefix: text("tmp"),
            key: text("config"),
            length: 5,
            file: text("/etc/file.conf"),
            exec: text("sudo restart something here"),
            ..none()
        },
    );
    means(
        "out -d true -k hosts -f /etc/hosts.consul -l 100 -e 'sudo pkill -HUP dnsmasq'",
        Subcommand::Out,
        Flags {
            dogstatsd: true,
            key: text("hosts"),
            file: text("/etc/hosts.consul"),
            length: 100,
            exec: text("sudo pkill -HUP dnsmasq"),
            ..none()
        },
    );
    means(
        "raw -f /etc/hosts.consul -k kvexpress/hosts/data",
        Subcommand::Raw,
        Flags { file: text("/etc/hosts.consul"), key: text("kvexpress/hosts/data"), ..none() },
    );
    means(
        "copy --keyfrom \"hosts\" --keyto \"hosts_alternate\"",
        Subcommand::Copy,
        Flags { keyfrom: text("hosts"), keyto: text("hosts_alternate"), ..none() },
    );
    means(
        "stop -k hosts -r \"Restarting all Consul nodes - want this to be locked for all nodes.\"",
        Subcommand::Stop,
        Flags {
            key: text("hosts"),
            reason: text("Restarting all Consul nodes - want this to be locked for all nodes."),
            ..none()
        },
    );
    means(
        "lock -f /etc/hosts.consul -r \"I need this file to be locked for an hour.\"",
        Subcommand::Lock,
        Flags { file: text("/etc/hosts.consul"), reason: text("I need this file to be locked for an hour."), ..none() },
    );
    means("unlock -f /etc/hosts.consul", Subcommand::Unlock, Flags { file: text("/etc/hosts.consul"), ..none() });
    means(
        "clean -f /etc/consul-template/output/hosts.consul",
        Subcommand::Clean,
        Flags { file: text("/etc/consul-template/output/hosts.consul"), ..none() },
    );
}

/// Of the announcement, of kvexpress's tests, of its cookbook, of a Consul Template configuration.
#[test]
fn lines_of_the_wild() {
    means(
        "out -k hosts -f /etc/hosts.consul -l 10 -c 00644 -e 'sudo pkill -HUP dnsmasq'",
        Subcommand::Out,
        Flags {
            key: text("hosts"),
            file: text("/etc/hosts.consul"),
            length: 10,
            chmod: 0o644,
            exec: text("sudo pkill -HUP dnsmasq"),
            ..none()
        },
    );
    means(
        "out -k hosts -f /etc/hosts.consul -l 10 -c 00644 -d true -z true -e 'sudo pkill -HUP dnsmasq'",
        Subcommand::Out,
        Flags {
            key: text("hosts"),
            file: text("/etc/hosts.consul"),
            length: 10,
            chmod: 0o644,
            dogstatsd: true,
            compress: true,
            exec: text("sudo pkill -HUP dnsmasq"),
            ..none()
        },
    );
    means(
        "out -k features.ini -f /etc/another.ini -l 100 -c 00750 -d true -o dog -e 'w'",
        Subcommand::Out,
        Flags {
            key: text("features.ini"),
            file: text("/etc/another.ini"),
            length: 100,
            chmod: 0o750,
            dogstatsd: true,
            owner: text("dog"),
            exec: text("w"),
            ..none()
        },
    );
    means(
        "in -C /etc/kvexpress.yaml --file='/etc/out/config_hosts' --key='hosts' --length=1 --sorted true --compress true",
        Subcommand::In,
        Flags {
            config: text("/etc/kvexpress.yaml"),
            file: text("/etc/out/config_hosts"),
            key: text("hosts"),
            length: 1,
            sorted: true,
            compress: true,
            ..none()
        },
    );
    means(
        "in -z true -k compressed -u https://gist.example/1.txt",
        Subcommand::In,
        Flags { compress: true, key: text("compressed"), url: text("https://gist.example/1.txt"), ..none() },
    );
    means(
        "out -k testing -f ignored --ignore_stop",
        Subcommand::Out,
        Flags { key: text("testing"), file: text("ignored"), ignore_stop: true, ..none() },
    );
}

#[test]
fn every_spelling() {
    let hosts = || Flags { key: text("hosts"), file: text("F"), length: 3, ..none() };
    for line in [
        "out -k hosts -f F -l 3",
        "out -khosts -fF -l3",
        "out -k=hosts -f=F -l=3",
        "out --key hosts --file F --length 3",
        "out --key=hosts --file=F --length=0x3",
        "-k hosts -f F -l 3 out",
        "-k hosts out -l 3 -f F",
        "out -k hosts -f F -l 3 these words -- -k count not",
        "out -k other -k hosts -l 9 -f F -l 3",
        "out -z=false -d=0 -k hosts -f F --verbose=F -l +3",
    ] {
        means(line, Subcommand::Out, hosts());
    }
    let sorted = || Flags { key: text("k"), sorted: true, compress: true, length: 2, ..none() };
    for line in [
        "in -k k -Szl2",
        "in -k k -zSl 2",
        "in -k k -Sz=true -l=2",
        "in -k k -S=T --compress=1 -l 2",
        "in -Szkk -l2",
        "-Sz in true -k k -l 2",
    ] {
        means(line, Subcommand::In, sorted());
    }
    means("out -zd=false -k k", Subcommand::Out, Flags { compress: true, key: text("k"), ..none() });
    // As there, where nobody means it: -k with the value ey.
    means("out -key plain", Subcommand::Out, Flags { key: text("ey"), ..none() });
    means("out -k -f -f -", Subcommand::Out, Flags { key: text("-f"), file: text("-"), ..none() });
    means("out -k '' -p '' -e=", Subcommand::Out, Flags { prefix: text(""), ..none() });
    means(
        "out -D h:1 -a A -A B -s S -t T --dogstatsd",
        Subcommand::Out,
        Flags {
            dogstatsd_address: text("h:1"),
            datadog_api_key: text("A"),
            datadog_app_key: text("B"),
            server: text("S"),
            token: text("T"),
            holds_secret: true,
            dogstatsd: true,
            ..none()
        },
    );
}

#[test]
fn other_words_are_passed_over_but_known() {
    let Ok(Invocation::Run(_, _, others)) = parse(words("out -z true -k k pkill - -- -x")) else {
        panic!("understood")
    };
    assert_eq!(others, ["true", "pkill", "-", "-x"]);
}

/// The order that a line becomes, in an environment without variables.
fn ordered(line: &str) -> Job {
    let Ok(Invocation::Run(command, options, _)) = parse(words(line)) else { panic!("not understood: {line}") };
    let mut context = Context::of_this_process(Verbosity::Quiet, Logger::new("kvexpress", Format::Text));
    context.env = Env::without_variables(words(&format!("kvexpress {line}")));
    job(command, *options, &context).unwrap_or_else(|error| panic!("{line}: {error}"))
}

/// `-e`, as a shell would take it.
fn runs(handler: &Option<kvx::process::handler::Handler>) -> Option<String> {
    handler.as_ref().map(|handler| handler.program.to_string())
}

#[test]
fn out_and_raw_are_orders_to_download() {
    let Task::Download(order) = ordered("out -k /hosts/ -f /etc/hosts.consul -e 'sudo pkill -HUP \"dnsmasq\"'").task
    else {
        panic!("to download")
    };
    assert!(matches!(&order.source.subject, Some(Subject::Document(key)) if key.to_string() == "hosts"));
    assert_eq!(order.source.prefix.to_string(), "kvexpress");
    assert_eq!(order.target.to, Destination::File("/etc/hosts.consul".into()));
    assert_eq!((order.source.guards.min_lines, order.target.attributes.mode), (10, Some(0o640)));
    assert!(order.target.attributes.user.is_some() && order.target.attributes.group.is_some(), "this user");
    assert_eq!(
        (order.target.parents, order.target.write_mode, order.after.policy),
        (Parents::Create, WriteMode::Rename, HandlerPolicy::WhenPending)
    );
    assert_eq!(
        (order.source.stdin, order.source.ignores_stop, order.target.ignores_lock),
        (Stdin::Untouched, false, false)
    );
    assert_eq!(runs(&order.after.handler).as_deref(), Some("sudo pkill -HUP '\"dnsmasq\"'"));
    assert_eq!(order.source.consul.address.as_deref(), Some("localhost:8500"));
    assert_eq!(order.source.consul.token, None);
    assert!(order.after.command.is_some_and(|words| words[..2] == ["kvexpress", "out"]));

    let Task::Download(order) = ordered("out -k hosts -f hosts -l -1 -p /pre/ -s h:1 -t T --ignore_stop -c 0600").task
    else {
        panic!("to download")
    };
    assert_eq!((order.source.guards.min_lines, order.target.attributes.mode), (0, Some(0o600)));
    assert_eq!(order.source.prefix.to_string(), "pre");
    assert_eq!((order.source.ignores_stop, order.target.ignores_lock), (true, false));
    assert_eq!(
        (order.source.consul.address.as_deref(), order.source.consul.token.as_deref()),
        (Some("h:1"), Some("T"))
    );
    assert_eq!(order.after.command, None, "it holds a secret");
    for (line, is_kept) in [
        ("-t anonymous", true),
        ("-t ''", true),
        ("-t T -t anonymous", false), // The last one counts, but the first is there all the same.
        ("--token=T -t ''", false),
        ("-a A", false),
        ("-A A -A ''", false),
        ("--ignore_stop", false), // `kvx unlock --run` would install what an operator has stopped since.
        (&format!("-e '{}'", "true ".repeat(10_000)), false), // No state could hold it.
    ] {
        let Task::Download(order) = ordered(&format!("out -k hosts -f /f {line}")).task else { panic!("to download") };
        assert_eq!(order.after.command.is_some(), is_kept, "{line}");
    }

    let Task::Download(order) = ordered("raw -k /any/path -f /f -s '' -t anonymous").task else {
        panic!("to download")
    };
    assert!(matches!(&order.source.subject, Some(Subject::Value(path)) if path.as_str() == "any/path"));
    assert_eq!((order.source.consul.address, order.source.consul.token), (None, None), "the environment's");
}

#[test]
fn the_others_are_orders_too() {
    let Job { task: Task::Upload(order), then, .. } = ordered("in -k hosts -f F -l 0 -e 'a  b'") else {
        panic!("to upload")
    };
    assert_eq!((order.terms.key.to_string().as_str(), order.terms.guards.min_lines), ("hosts", 1));
    assert_eq!((order.input, runs(&then).as_deref()), (Input::File("F".into()), Some("a b")));
    assert_eq!((order.lines, order.form), (Lines::AsTheyAre, Encoding::Plain));
    let Task::Upload(order) = ordered("in -k hosts -u https://git.io/vzz5P -S -z true").task else {
        panic!("to upload")
    };
    assert_eq!((order.lines, order.form), (Lines::Sorted, Encoding::Compressed));
    assert!(matches!(&order.input, Input::Url(url) if url.to_string() == "https://git.io/vzz5P"));

    let Job { task: Task::Stop(order), then, .. } = ordered("stop -k hosts -r ' why ' -e true") else {
        panic!("to stop")
    };
    assert_eq!((order.reason, order.force), (Reason::Literal(" why ".into()), true));
    assert_eq!(runs(&then).as_deref(), Some("true"));

    let Job { task: Task::Copy(order), then, .. } = ordered("copy --keyfrom a --keyto b -l 5 -e true") else {
        panic!("to copy")
    };
    assert_eq!((order.from.to_string().as_str(), order.to.to_string().as_str()), ("a", "b"));
    assert_eq!((order.guards.min_lines, runs(&then).as_deref()), (5, Some("true")));

    // kvexpress runs nothing after these two.
    let Job { task: Task::Lock(order, manner), then, .. } = ordered("lock -f /F -c 0600 -e true") else {
        panic!("to lock")
    };
    let marker = lock::Marker::Visible(0o600);
    assert_eq!((order.file, manner.program, manner.marker), ("/F".into(), "kvexpress", marker));
    assert!(manner.reason.is_none() && then.is_none());
    let Job { task: Task::Unlock(order), then, .. } = ordered("unlock -f /F -e true") else { panic!("to unlock") };
    assert_eq!((order.file, then.is_none()), ("/F".into(), true));

    let Job { task: Task::Clean(order), then, .. } = ordered("clean -f F -e true") else { panic!("to clean") };
    assert_eq!((order.file, order.removes_file), ("F".into(), true));
    assert_eq!(runs(&then).as_deref(), Some("true"));
}

#[test]
fn metrics_are_wanted_by_a_flag_or_by_datadogs_keys() {
    let wanted = |line: &str| {
        let dogstatsd = ordered(line).metrics.dogstatsd.unwrap_or_else(|| panic!("no metrics: {line}"));
        assert_eq!(dogstatsd.prefix, "kvexpress", "{line}");
        (dogstatsd.address, dogstatsd.metrics, dogstatsd.events)
    };
    let at = |text: &str| Some(StatsdAddress::parse(text).unwrap());
    // An agent of Datadog's on this machine is reason enough for metrics.
    let datadog = std::path::Path::new("/etc/dd-agent/datadog.conf").exists();
    assert_eq!(wanted("out -k k -f f -d true"), (at("localhost:8125"), true, false));
    assert_eq!(wanted("stop -k k -r r -d -D h:1"), (at("h:1"), true, false));
    assert_eq!(wanted("out -k k -f f -d -D ''"), (None, true, false));
    assert_eq!(wanted("in -k k -f f -a KEY -A KEY"), (at("localhost:8125"), datadog, true));
    assert_eq!(wanted("in -k k -f f -d -a KEY"), (at("localhost:8125"), true, false));
    let differ = |line: &str| match ordered(line).task {
        Task::Upload(order) => order.terms.differ.is_some(),
        _ => panic!("to upload"),
    };
    assert!(differ("in -k k -f f -a KEY -A KEY") && !differ("in -k k -f f -d"));
    assert_eq!(ordered("out -k k -f f -a KEY").metrics.dogstatsd.is_some(), datadog);
}

/// kvexpress printed its usage, and exited 0.
#[test]
fn what_makes_no_sense_is_refused() {
    for (line, why) in [
        ("-d", "a command is missing"),
        ("nosuch -k k", "\"nosuch\" is not a command"),
        ("help nosuch", "\"nosuch\" is not a command"),
        ("true out", "\"true\" is not a command"),
        ("-- -k", "\"-k\" is not a command"),
        ("out --nosuch", "--nosuch is not a flag"),
        ("out --igno", "--igno is not a flag"),
        ("out --ignore-stop", "--ignore-stop is not a flag"),
        ("out --=x", "-- is not a flag"),
        ("out -Q", "-Q is not a flag"),
        ("out -zQ", "-Q is not a flag"),
        ("out -é", "-é is not a flag"),
        ("out -k", "-k needs a value"),
        ("out -zk", "-k needs a value"),
        ("out --key", "--key needs a value"),
        ("out -u http://x/", "out has no --url"),
        ("-S out", "out has no --sorted"),
        ("in --ignore_stop", "in has no --ignore_stop"),
        ("clean -k k", "clean has no --key"),
        ("copy -f f", "copy has no --file"),
        ("out -l ten", "--length"),
        ("out -l ''", "--length"),
        ("out -l 08", "--length"),
        ("out -c u=rw", "--chmod"),
        ("out -c 888", "--chmod"),
        ("out -z=maybe", "--compress"),
        ("out --ignore_stop=", "--ignore_stop"),
    ] {
        refused(line, why);
    }
    let not_utf8 = OsString::from_vec(b"\xff".to_vec());
    for before in ["out", "-k", "--"] {
        assert!(parse(vec!["out".into(), before.into(), not_utf8.clone()]).is_err(), "{before}");
    }
}

#[test]
fn help_and_version_are_asked_for_anywhere() {
    for (line, command) in [
        ("", None),
        ("-h", None),
        ("--help", None),
        ("help", None),
        ("out -h", Some(Subcommand::Out)),
        ("out -k k --help -f f", Some(Subcommand::Out)),
        ("--help lock", Some(Subcommand::Lock)),
        ("help clean", Some(Subcommand::Clean)),
        ("in -zh", Some(Subcommand::In)),
    ] {
        assert!(parse(words(line)).ok() == Some(Invocation::Help(command)), "{line}");
    }
    for line in ["-v", "--version", "in --version", "-zv out -h", "nosuch -v"] {
        assert!(parse(words(line)).ok() == Some(Invocation::Version), "{line}");
    }
    for line in ["out -e -h", "out -k -v", "out -- -h", "out --help=true"] {
        assert!(!matches!(parse(words(line)), Ok(Invocation::Help(_) | Invocation::Version)), "{line}");
    }
}

proptest! {
    #![proptest_config(config())]

    /// A value is what it is, however it is spelt, whatever it looks like.
    #[test]
    fn values_are_taken_as_they_are(value in ".{1,12}") {
        for line in [
            vec!["out".into(), "-k".into(), value.clone()],
            vec!["out".into(), format!("-k={value}")],
            vec!["out".into(), "--key".into(), value.clone()],
            vec!["out".into(), format!("--key={value}")],
            vec!["-k".into(), value.clone(), "out".into()],
        ] {
            let Ok(Invocation::Run(_, options, _)) = parse(line.iter().map(OsString::from).collect()) else {
                return Err(TestCaseError::fail(format!("{line:?}")));
            };
            prop_assert_eq!(&options.key, &value);
        }
    }

    /// Whatever is typed: no panic, and a token is not told, not even where another flag has swallowed it.
    #[test]
    fn no_words_are_too_odd(
        mut line in vec("(-|--)?[a-zA-Zé=]{0,6}|in|out|copy|-[lct]|--|-[Szd]{1,3}(=(true|[0-9a-z]))?|.*", 0..8),
        at in 0usize..9,
    ) {
        line.insert(at.min(line.len()), "--token=s3cr3t".into());
        line.insert(0, "out".into());
        if let Err(error) = parse(line.into_iter().map(OsString::from).collect()) {
            prop_assert!(!error.to_string().contains("s3cr3t"), "{error}");
        }
    }
}
