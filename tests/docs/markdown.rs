//! The commands in README.md and docs/ run unchanged on a real Consul, in a simulated node (tests/common/house.rs says
//! what it replaces, and why). Other names in the pages are tested in markdown_names.rs, the runbook's messages in
//! runbook.rs.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;

use crate::common::each;
use crate::common::house::House;
use crate::common::page::{Block, pages};
use serde_json::Value;

/// Blocks that are no commands, by how they begin, and what they are.
const NO_COMMANDS: [(&str, &str); 3] = [
    ("render ──▶", "a picture"),
    ("kvexpress/KEY/data", "the layout, seen in tests/stories/upload.rs"),
    ("kvx_last_success_timestamp_seconds{", "a metric, seen in tests/interfaces/metrics.rs"),
];

/// Commands that end otherwise than with 0: how they begin, and with what.
const OTHERWISE: [(&str, i32, &str); 3] = [
    ("kvx status    ", 1, "something is stopped, and pending"),
    ("kvx diff -k hosts hosts.good", 1, "they differ, as for diff(1)"),
    ("kvx diff -k hosts --from -1", 1, "they differ, as for diff(1)"),
];

/// What has to be so before a command makes sense: how its block begins, and what is done first.
const FIRST: [(&str, &str); 4] = [
    ("$ render | kvx-in -k hosts", "seq 20 | kvx-in -q -k hosts"),
    ("$ kvx-in -k bans", "seq 20 | kvx-in -q -k bans"),
    ("kvx history -k hosts", "seq 20 | kvx-in -q -k hosts"),
    (
        "$ kvx status  ",
        "kvx stop -q -k motd -r typo; kvx clean -q -f /etc/hosts.consul --remove-file; touch down; \
         ! kvx-out -k hosts -f /etc/hosts.consul -e 'pkill -HUP -x dnsmasq'; status=$?; rm down; exit $status",
    ),
];

#[test]
fn every_command_runs_as_it_stands() {
    let blocks: Vec<(String, Block)> =
        pages().iter().flat_map(|page| page.blocks().into_iter().map(|block| (page.name.clone(), block))).collect();
    assert!(blocks.len() >= 25, "only {} blocks were found", blocks.len());
    // Each thread has a house of its own, since the keys of the pages are the same.
    let houses = Mutex::new(Vec::new());
    let name = |(page, block): &(String, Block)| format!("{page}:{}", block.line);
    each(4, &blocks, name, |case| {
        let (page, block) = case;
        if NO_COMMANDS.iter().any(|(start, _)| block.text.starts_with(start)) {
            return;
        }
        let house = houses.lock().unwrap().pop().unwrap_or_else(House::new);
        house.furnish();
        match block.text.trim_start() {
            text if text.starts_with("{ \"watches\"") => watches_install(&house, text),
            text if text.starts_with("template {") || text.starts_with("command = ") => template_uploads(&house, text),
            text => commands_end_well(&house, page, text),
        }
        houses.lock().unwrap().push(house);
    });
}

/// Consul takes the file; and what the watch runs installs the file, given what a watch of that kind brings.
fn watches_install(house: &House, text: &str) {
    std::fs::write(house.path().join("etc/consul.d/kvx.json"), text).unwrap();
    house
        .sh("echo '{ \"data_dir\": \"/var/lib/consul\" }' > /etc/consul.d/agent.json; consul validate /etc/consul.d")
        .expect(0);
    let config: Value = serde_json::from_str(text).unwrap();
    for watch in config["watches"].as_array().unwrap() {
        let installed = house.path().join("etc/hosts.consul");
        std::fs::remove_file(&installed).unwrap();
        let key = watch["key"].as_str().or(watch["prefix"].as_str()).unwrap();
        let payload = house.consul.watch_payload(key.trim_start_matches('/'));
        let command = match (watch["args"].as_array(), watch["handler"].as_str()) {
            (Some(words), _) => shell_words::join(words.iter().map(|word| word.as_str().unwrap())),
            (_, Some(line)) => line.to_owned(),
            _ => panic!("it runs nothing: {watch}"),
        };
        let ran = house.sh_in(&command, payload.as_bytes()).expect(0);
        assert!(installed.exists(), "{command}: {}", ran.stderr);
    }
}

/// Of Consul Template, the command of a template is run by a shell, once the file is rendered (tests/stories/consul_template.rs).
fn template_uploads(house: &House, text: &str) {
    let command = text.lines().find_map(|line| line.trim().strip_prefix("command")).expect("a command");
    let command: String = serde_json::from_str(command.trim_start_matches([' ', '='])).unwrap();
    let rendered = command.split_once("< ").expect("what is rendered").1.split(' ').next().unwrap();
    // A command that fails ends Consul Template (tests/stories/consul_template.rs).
    assert!(command.ends_with(" || true") && command.contains(" --timeout 10s "), "{command}");
    assert!(!text.contains("destination") || text.contains(&format!("destination = {rendered:?}")), "{text}");
    let path = house.mapped(rendered);
    std::fs::create_dir_all(Path::new(&path).parent().unwrap()).unwrap();
    std::fs::write(&path, "10.0.0.1 web-1\n".repeat(20)).unwrap();
    house.sh(&command).expect(0).says(&["hosts: ", "uploaded"]);
}

fn commands_end_well(house: &House, page: &str, text: &str) {
    for (_, first) in FIRST.iter().filter(|(start, _)| text.starts_with(start)) {
        house.sh(first).expect(0);
    }
    let is_transcript = text.lines().any(|line| line.starts_with("$ "));
    let mut said = BTreeSet::new();
    let joined = text.replace("\\\n", " ");
    for line in joined.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let command = match (is_transcript, line.strip_prefix("$ ")) {
            (true, None) => {
                assert!(said.contains(&shape(line)), "{page}: nobody says {line}\nbut {said:#?}");
                continue;
            }
            (true, Some(command)) => command,
            (false, _) => line,
        };
        let otherwise = OTHERWISE.iter().find(|(start, ..)| command.starts_with(start));
        let (status, why) = otherwise.map_or((0, ""), |(_, status, why)| (*status, why));
        let ran = house.sh(command);
        assert_eq!(ran.status.code(), Some(status), "{page}: {command} {why}\n{}{}", ran.out(), ran.stderr);
        let all = format!("{}{}", ran.stderr, ran.out()).replace(house.path().to_str().unwrap(), "");
        said = all.lines().map(shape).collect();
    }
}

/// A line without what differs from run to run: numbers, checksums, times, sizes, and who did it where.
fn shape(line: &str) -> String {
    let mut before = "";
    let words = line.split_whitespace().map(|word| {
        let differs = word == "-"
            || word.contains(|c: char| c.is_ascii_digit() || "…@".contains(c))
            || before == "(by"
            || before == "on";
        before = word;
        match word.trim_end_matches([',', ')']) {
            "B" | "KB" | "MB" => word.replace("KB", "B").replace("MB", "B"),
            _ if differs => "N".into(),
            _ => word.to_owned(),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Commands in prose, whole ones: of our programs, with a key or a file; and Consul's, with what they ask for.
#[test]
fn every_command_in_prose_runs_too() {
    let is_whole = |span: &String| {
        let starts = ["kvx", "kvexpress ", "sudo ", "consul "].iter().any(|start| span.starts_with(start));
        let has_all = [" -k ", " -f ", " --from ", "kv get ", "catalog ", "-type=", " status"]
            .iter()
            .any(|part| span.contains(part));
        starts && has_all && !span.contains("...") && !span.contains('…')
    };
    let mut spans: Vec<String> = pages().iter().flat_map(|page| page.spans()).filter(is_whole).collect();
    spans.sort();
    spans.dedup();
    assert!(spans.len() >= 25, "{spans:#?}");
    let houses = Mutex::new(Vec::new());
    each(4, &spans, String::clone, |span| {
        let house = houses.lock().unwrap().pop().unwrap_or_else(House::new);
        house.furnish();
        let words: Vec<&str> = span.split(' ').map(stands_for).collect();
        let command = words.join(" ");
        if ["kvx history", "kvx show"].iter().any(|start| command.starts_with(start)) {
            house.sh("seq 20 | kvx-in -q -k hosts").expect(0); // A history.
        }
        // A watch does not end.
        let ends = format!("{command} & until [ -e hosts.consul ]; do sleep 0.02; done; kill $!");
        let ran = house.sh(if command.starts_with("consul watch") { &ends } else { &command });
        // As diff(1) and grep(1), some say with 1 that they have found something.
        let looks = ["kvx status", "kvx diff"].iter().any(|start| command.contains(start));
        let status = ran.status.code().unwrap();
        assert!(status == 0 || looks && status == 1, "{status}: {}{}", ran.stderr, ran.out());
        houses.lock().unwrap().push(house);
    });
}

/// In prose, capitals stand for what differs.
fn stands_for(word: &str) -> &str {
    match word {
        "KEY" => "hosts",
        "FILE" => "/etc/hosts.consul",
        "A" => "hosts",
        "B" => "motd",
        "WHY" => "why",
        "PATH" => "service/web/config",
        word => word,
    }
}
