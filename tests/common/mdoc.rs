//! Parses the manual pages in `man/`, which are in mdoc(7).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::help::{Line, Opt};

pub struct Page {
    pub name: &'static str,
    text: String,
}

/// The options of one command in a page.
#[derive(Default)]
pub struct Synopsis {
    pub line: Line,
    /// The named groups of options, such as `consul-option`.
    groups: Vec<String>,
}

/// The options that several commands share, by the names of their groups.
#[derive(Default)]
pub struct Groups(BTreeMap<String, Vec<Opt>>);

impl Page {
    pub fn all() -> [Page; 4] {
        ["kvx-in.1", "kvx-out.1", "kvx.1", "kvx.7"].map(Page::of)
    }

    pub fn of(name: &'static str) -> Page {
        Page { name, text: std::fs::read_to_string(Page { name, text: String::new() }.path()).unwrap() }
    }

    pub fn path(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("man").join(self.name)
    }

    /// The lines of a section.
    pub fn section(&self, title: &str) -> Vec<&str> {
        let lines = self.text.lines().skip_while(|line| *line != format!(".Sh {title}")).skip(1);
        let lines: Vec<&str> = lines.take_while(|line| !line.starts_with(".Sh ")).collect();
        assert!(!lines.is_empty(), "{}: no section {title}", self.name);
        lines
    }

    /// The subsections of a section, by their titles.
    pub fn parts(&self, title: &str) -> BTreeMap<&str, Vec<&str>> {
        let mut parts: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let mut part = "";
        for line in self.section(title) {
            match line.strip_prefix(".Ss ") {
                Some(title) => part = title,
                None => parts.entry(part).or_default().push(line),
            }
        }
        parts
    }

    /// The synopses, by the command after the program's name, or by an empty string.
    pub fn synopses(&self) -> BTreeMap<String, Synopsis> {
        let mut synopses: BTreeMap<String, Synopsis> = BTreeMap::new();
        let mut command = String::new();
        for line in self.section("SYNOPSIS") {
            let words: Vec<&str> = line.trim_start_matches('.').split(' ').collect();
            let synopsis = synopses.entry(command.clone()).or_default();
            match words.as_slice() {
                ["Nm"] => command.clear(),
                ["Cm", name] => command = (*name).to_owned(),
                ["Op", "Ar", group, "..."] => synopsis.groups.push((*group).to_owned()),
                [.., "Fl", "-", "Ar", "command", "..."] | ["Ar", _] | ["Op", "Ar", _] => {}
                [optional @ .., "Fl", name] | [optional @ .., "Fl", name, "Ar", _] => {
                    let value = (words[words.len() - 2] == "Ar").then(|| words[words.len() - 1].to_owned());
                    synopsis.line.insert((format!("-{name}"), value, *optional == ["Op"]));
                }
                _ => panic!("{}: {line}", self.name),
            }
        }
        synopses
    }

    /// The shared options, and the others.
    pub fn options(&self) -> (Groups, BTreeSet<Opt>) {
        let (mut groups, mut own) = (Groups::default(), BTreeSet::new());
        for (_, lines) in self.parts("OPTIONS") {
            let mut open: Option<&str> = None;
            let mut named: Vec<&str> = Vec::new();
            for line in lines {
                match line.strip_prefix(".Ar ").and_then(|words| words.split(' ').next()?.strip_suffix("-options")) {
                    Some(group) => named.push(group),
                    None if line.starts_with(".Bl") => open = named.first().copied(),
                    None if line == ".El" => named.clear(),
                    None => {}
                }
                let Some(option) = option(line) else { continue };
                match open {
                    Some(group) => groups.0.entry(format!("{group}-option")).or_default().push(option),
                    None => _ = own.insert(option),
                }
            }
        }
        (groups, own)
    }

    /// The options that a part describes.
    pub fn options_of(lines: &[&str]) -> BTreeSet<Opt> {
        lines.iter().filter_map(|line| option(line)).collect()
    }

    /// The text after each `.It`, with one entry for each name.
    pub fn said(&self) -> Vec<(Opt, String)> {
        let mut said: Vec<(Opt, String)> = Vec::new();
        for line in self.text.lines() {
            match (option(line), said.last_mut()) {
                (Some(option), _) => said.push((option, String::new())),
                (None, Some((_, text))) => *text = format!("{text} {line}"),
                (None, None) => {}
            }
        }
        said
    }

    /// The arguments of a macro (`.Ev HOME , TERM` and `.It Ev HOME`), without punctuation.
    pub fn marked<'a>(&'a self, lines: &[&'a str], name: &str) -> BTreeSet<&'a str> {
        let mut marked = BTreeSet::new();
        for line in lines.iter().filter_map(|line| line.strip_prefix('.')) {
            let mut is_marked = false;
            for word in line.split(' ') {
                match word {
                    _ if word == name => is_marked = true,
                    "It" | "Ns" | "Fl" | "Ar" | "Pa" | "Ev" | "Cm" | "Pq" | "Ql" => is_marked = false,
                    _ if is_marked && !matches!(word, "," | "." | ";" | ":") => _ = marked.insert(word),
                    _ => {}
                }
            }
        }
        marked
    }

    pub fn lines(&self) -> Vec<&str> {
        self.text.lines().collect()
    }

    /// The literal blocks, as a reader copies them.
    pub fn blocks(&self) -> Vec<String> {
        let mut blocks = Vec::new();
        let mut block: Option<String> = None;
        for line in self.text.lines() {
            match (&mut block, line) {
                (None, _) if line.starts_with(".Bd -literal") => block = Some(String::new()),
                (Some(text), ".Ed") => {
                    blocks.push(std::mem::take(text));
                    block = None;
                }
                (Some(text), _) => {
                    text.push_str(&line.replace("\\-", "-").replace("\\(aq", "'"));
                    text.push('\n');
                }
                (None, _) => {}
            }
        }
        blocks
    }

    /// The command lines in the literal blocks, which have a prompt.
    pub fn commands(&self) -> Vec<String> {
        let blocks = self.blocks();
        blocks
            .iter()
            .flat_map(|block| block.lines())
            .filter_map(|line| Some(line.strip_prefix("$ ")?.to_owned()))
            .collect()
    }
}

impl Groups {
    /// The options of the groups in a synopsis, and their spelling.
    pub fn of(&self, synopsis: &Synopsis) -> (BTreeSet<Opt>, Line) {
        let mut options = BTreeSet::new();
        for group in &synopsis.groups {
            options.extend(self.0.get(group).unwrap_or_else(|| panic!("no group {group}")).iter().cloned());
            if group == "site-option" {
                options.extend(self.0["consul-option"].iter().cloned());
            }
        }
        let spelt = |option: &Opt| {
            let name = option.short.map_or(format!("--{}", option.long), |short| format!("-{short}"));
            (name, option.value.clone(), true)
        };
        // The first line of --help never contains -h.
        let line = options.iter().filter(|option| option.long != "help").map(spelt).collect();
        (options, line)
    }
}

/// Parses `.It Fl k , -key Ar key`.
fn option(line: &str) -> Option<Opt> {
    let words: Vec<&str> = line.strip_prefix(".It Fl ")?.split(' ').collect();
    let long = words.iter().find_map(|word| word.strip_prefix('-'))?.to_owned();
    let short = (words[0].len() == 1).then(|| words[0].chars().next()).flatten();
    let value = words.iter().position(|word| *word == "Ar").map(|at| words[at + 1].to_owned());
    Some(Opt { short, long, value })
}
