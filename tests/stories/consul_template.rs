//! Promises 3 and 5 under a real Consul Template, which runs `kvx-in` as a template's `command`: its output arrives
//! verified, and mistakes in the configuration are reported and lose nothing.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::common::consul::template_binary;
use crate::common::{Place, lines, run, wait_for};
use serde_json::{Value, json};

#[test]
fn what_consul_template_renders_arrives_verified_whichever_way_the_command_is_written() {
    let forms: [CommandLine; 5] = [
        |key, file| json!(format!("kvx-in -k {key} < {file}")),
        |key, file| json!(format!("kvx-in -k {key} -f {file}")),
        |key, file| json!(["sh", "-c", format!("kvx-in -k {key} < {file}")]),
        |key, file| json!(["kvx-in", "-k", key, "-f", file]),
        |key, file| json!(["kvx-in", "-k", key, "--", "cat", file]),
    ];
    let places = forms.map(|form| {
        let place = Place::new();
        let rendered = Rendered::of(&place);
        let command = form(&place.key, rendered.file.to_str().unwrap());
        (place, rendered, command)
    });
    let source = places[0].0.kv("source");
    let consul = places[0].0.consul.clone();
    consul.put(&source, lines(600));
    let templates: Vec<_> = places.iter().map(|(_, rendered, command)| rendered.template(&source, command)).collect();
    let mut running = Template::start(&places[0].0, &templates.concat(), &[]);
    for document in [lines(600), lines(20), lines(601)] {
        consul.put(&source, &document);
        let expected = format!("# rendered\n{document}");
        for (place, rendered, command) in &places {
            wait_for(&format!("the upload by {command}"), 20, || {
                let data = place.consul.get(&place.kv("data"));
                running.assert_runs();
                (data.as_deref() == Some(expected.as_bytes())).then_some(())
            });
            place.assert_pair_is_whole();
            assert_eq!(std::fs::read_to_string(&rendered.file).unwrap(), expected, "{command}");
        }
    }
    for (place, rendered, command) in &places {
        place.kvx_in().arg("-f").arg(&rendered.file).run().expect(0).is_silent();
        place.kvx_out().run().expect(0);
        assert_eq!(place.content(), format!("# rendered\n{}", lines(601)), "{command}: and arrives on a node");
    }
}

#[test]
fn a_forgotten_redirection_uploads_nothing_and_says_so_and_a_timer_makes_up_for_it() {
    let forgotten = "stdin was empty; did you forget `< FILE`?";
    let cases: [(&str, CommandLine, &str); 3] = [
        ("a string", |key, _| json!(format!("kvx-in -k {key} -v")), forgotten),
        ("a list", |key, _| json!(["kvx-in", "-k", key]), forgotten),
        ("`<` without a shell", |key, file| json!(["kvx-in", "-k", key, "<", file]), "Unrecognized argument: <"),
    ];
    for (case, form, says) in cases {
        let place = Place::new();
        let consul = &place.consul;
        let rendered = Rendered::of(&place);
        consul.put(&place.kv("source"), lines(600));
        let command = form(&place.key, rendered.file.to_str().unwrap());
        let template = rendered.template(&place.kv("source"), &command);
        let mut wrong = Template::start(&place, &template, &[]);
        assert_eq!(wrong.end(), Some(14), "{case}:\n{}", wrong.log());
        let log = wrong.log();
        let ours: Vec<&str> = log.lines().filter(|line| line.starts_with("kvx-in: ")).collect();
        assert!(matches!(ours[..], [line] if line.contains(says)), "{case}:\n{log}");
        assert_eq!(consul.get(&place.kv("data")), None, "{case}");
        assert_eq!(consul.get(&place.kv("checksum")), None, "{case}");

        // Consul Template has written the file all the same, so that after a restart, with the right command, it finds
        // nothing to do.
        let right = rendered.template(&place.kv("source"), &json!(["kvx-in", "-k", place.key, "-f", rendered.file]));
        let mut restarted = Template::start(&place, &right, &["-once"]);
        assert_eq!(restarted.end(), Some(0), "{case}:\n{}", restarted.log());
        assert_eq!(consul.get(&place.kv("data")), None, "{case}: this trap is gone: tell the documentation");

        let timer = || place.kvx_in().arg("-f").arg(&rendered.file).run().expect(0);
        timer().says(&[&place.key, ": 601 lines", "uploaded, the first of this key"]);
        place.assert_pair_is_whole();
        assert_eq!(consul.text(&place.kv("data")), Some(format!("# rendered\n{}", lines(600))), "{case}");
        let index = consul.modify_index(&place.kv("checksum"));
        timer().is_silent();
        assert_eq!(consul.modify_index(&place.kv("checksum")), index, "{case}: it is idempotent");
    }
}

/// As `examples/consul-template.hcl` writes it: a document that is rejected is not the others' end.
#[test]
fn with_the_examples_command_a_rejected_upload_ends_nothing_and_the_other_templates_go_on() {
    let places = [Place::new(), Place::new()];
    let [rejected, other] = &places;
    let consul = rejected.consul.clone();
    for place in &places {
        consul.put(&place.kv("source"), lines(600));
    }
    let templates = places.each_ref().map(|place| {
        let rendered = Rendered::of(place);
        let command = of_the_example(&place.key, &rendered.file);
        (rendered.template(&place.kv("source"), &json!(command)), rendered)
    });
    let mut running =
        Template::start(rejected, &templates.each_ref().map(|(template, _)| template.as_str()).concat(), &[]);
    let uploaded = |place: &Place, n: usize, running: &mut Template| {
        wait_for("the upload", 60, || {
            running.assert_runs();
            (consul.text(&place.kv("data"))? == format!("# rendered\n{}", lines(n))).then_some(())
        });
        place.assert_pair_is_whole();
    };
    for place in &places {
        uploaded(place, 600, &mut running);
    }
    // Rendered, but too short for -l 10.
    consul.put(&rejected.kv("source"), lines(3));
    let (_, rendered) = &templates[0];
    wait_for("the line of kvx-in", 60, || {
        running.assert_runs();
        running.log().lines().any(|line| line.starts_with("kvx-in: ") && line.contains("has 4 lines")).then_some(())
    });
    for n in [601, 602] {
        consul.put(&other.kv("source"), lines(n));
        uploaded(other, n, &mut running);
    }
    assert_eq!(consul.text(&rejected.kv("data")), Some(format!("# rendered\n{}", lines(600))));
    // The timer fails, for all to see, until the source is good again.
    let timer = || rejected.kvx_in().args(["-l", "10", "-f"]).arg(&rendered.file).run();
    timer().expect(65);
    consul.put(&rejected.kv("source"), lines(603));
    uploaded(rejected, 603, &mut running);
    timer().expect(0).is_silent();
}

/// Consul Template kills a command after 30 s, and ends.
#[test]
fn with_the_examples_command_a_consul_that_does_not_answer_ends_nothing() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap(); // It takes connections, and says nothing.
    let (stuck, other) = (Place::new(), Place::new());
    let consul = stuck.consul.clone();
    let mut templates = String::new();
    for place in [&stuck, &other] {
        consul.put(&place.kv("source"), lines(20));
        let rendered = Rendered::of(place);
        let mut command = of_the_example(&place.key, &rendered.file);
        if place.key == stuck.key {
            command = command.replace("kvx-in ", &format!("kvx-in -s {} ", silent.local_addr().unwrap()));
        }
        templates += &rendered.template(&place.kv("source"), &json!(command));
    }
    let mut running = Template::start(&stuck, &templates, &[]);
    wait_for("the end of the stuck command, and the other one", 60, || {
        running.assert_runs();
        let is_told = running.log().lines().any(|line| line.starts_with("kvx-in: ") && line.contains(&stuck.key));
        (is_told && consul.get(&other.kv("data")).is_some()).then_some(())
    });
    consul.put(&other.kv("source"), lines(30));
    wait_for("the next change", 60, || {
        running.assert_runs();
        (consul.text(&other.kv("data"))? == format!("# rendered\n{}", lines(30))).then_some(())
    });
    assert_eq!(consul.get(&stuck.kv("data")), None);
}

/// The command of `examples/consul-template.hcl`, for another key and file.
fn of_the_example(key: &str, file: &std::path::Path) -> String {
    let example = include_str!("../../examples/consul-template.hcl");
    let command = example.lines().find_map(|line| line.trim().strip_prefix("command = ")).expect("a command");
    let command: String = serde_json::from_str(command).unwrap();
    for part in ["-k hosts ", "/var/lib/kvx-in/hosts"] {
        assert!(command.contains(part), "{command}");
    }
    command.replace("-k hosts ", &format!("-k {key} ")).replace("/var/lib/kvx-in/hosts", file.to_str().unwrap())
}

/// A template's `command`, for a key and the rendered file.
type CommandLine = fn(&str, &str) -> Value;

/// What Consul Template is to write.
struct Rendered {
    file: PathBuf,
    source: PathBuf,
}

impl Rendered {
    fn of(place: &Place) -> Rendered {
        Rendered { file: place.path().join("rendered"), source: place.path().join("source.ctmpl") }
    }

    /// The block for its configuration (HCL), and the template itself.
    fn template(&self, from: &str, command: &Value) -> String {
        std::fs::write(&self.source, format!("# rendered\n{{{{ key {from:?} }}}}")).unwrap();
        format!(
            "template {{\n  source = {:?}\n  destination = {:?}\n  command = {command}\n}}\n",
            self.source, self.file
        )
    }
}

/// A running Consul Template.
struct Template {
    child: Child,
    log: PathBuf,
}

impl Template {
    fn start(place: &Place, templates: &str, options: &[&str]) -> Template {
        let config =
            place.write("config.hcl", format!("consul {{ address = {:?} }}\n{templates}", place.consul.address));
        let log = place.path().join("log");
        let file = File::create(&log).unwrap();
        let child = Command::new(template_binary())
            .arg(format!("-config={}", config.display()))
            .args(options)
            .env("PATH", run::path())
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        Template { child, log }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    fn assert_runs(&mut self) {
        assert!(self.child.try_wait().unwrap().is_none(), "Consul Template has ended:\n{}", self.log());
    }

    /// Its exit status, once it has ended.
    fn end(&mut self) -> Option<i32> {
        wait_for("the end of Consul Template", 20, || self.child.try_wait().unwrap()).code()
    }
}

impl Drop for Template {
    fn drop(&mut self) {
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }
}
