//! A manual page: its synopsis is generated, and for each option the line that names it and the text of --help. The
//! place of an option in the page is by hand and is kept. So is its text beyond --help, after a line of its own.

use std::collections::{BTreeMap, BTreeSet};

use super::catalog::{Catalog, Opt};
use super::mdoc::{item, sentences, synopses, synopsis};

/// What follows this line, up to the next option, is by hand.
const BY_HAND: &str = ".\\\" By hand:";

/// The text by hand of each option, by its long name.
pub type Additions = BTreeMap<String, String>;

/// A part of a page, and the options that are described in it.
struct Part {
    section: &'static str,
    /// `None` is the whole section.
    subsection: Option<&'static str>,
    options: Vec<Described>,
}

struct Described {
    option: Opt,
    /// Its layer, if any. A page lists the options of a layer after a line that names the layer.
    layer: Option<&'static str>,
}

/// The text by hand of the options of a page.
pub fn additions(page: &str) -> Additions {
    let mut lines = page.lines().peekable();
    let mut additions = Additions::new();
    while let Some(line) = lines.next() {
        if let Some(name) = name(line) {
            additions.insert(name.to_owned(), by_hand(&mut lines));
        }
    }
    additions
}

/// The page with its generated parts renewed. `of_all` has the text by hand of the options that several pages describe.
pub fn page(file: &str, text: &str, catalog: &Catalog, of_all: &Additions) -> String {
    let command = file.strip_prefix("kvx-").and_then(|rest| rest.strip_suffix(".1"));
    let (before, rest) = text.split_once(".Sh SYNOPSIS\n").expect("SYNOPSIS");
    let (_, rest) = rest.split_once("\n.Sh ").expect("another section");
    let synopsis = command.map_or_else(|| synopses(catalog), |command| synopsis(catalog.command(command)));

    let parts = parts(catalog, command);
    let mut described = vec![BTreeSet::new(); parts.len()];
    let (mut section, mut subsection) = ("", "");
    let mut page: Vec<String> = Vec::new();
    let rest = format!(".Sh {rest}");
    let mut lines = rest.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(title) = line.strip_prefix(".Sh ") {
            (section, subsection) = (title, "");
        }
        subsection = line.strip_prefix(".Ss ").unwrap_or(subsection);
        let is_it = |part: &Part| part.section == section && part.subsection.is_none_or(|title| title == subsection);
        match (name(line), parts.iter().position(is_it)) {
            (Some(name), Some(at)) => {
                let addition = by_hand(&mut lines);
                let known = parts[at].options.iter().find(|described| described.option.long == name);
                // An option that no longer exists is dropped.
                if let Some(known) = known {
                    page.push(entry(known, &addition, of_all));
                    described[at].insert(name);
                }
            }
            _ => page.push(format!("{line}\n")),
        }
    }
    for (part, described) in parts.iter().zip(described) {
        for missing in part.options.iter().filter(|option| !described.contains(option.option.long)) {
            page.insert(end_of_the_list(&page, part, missing, file), entry(missing, "", of_all));
        }
    }
    format!("{before}.Sh SYNOPSIS\n{synopsis}{}", page.concat())
}

fn parts(catalog: &Catalog, command: Option<&str>) -> Vec<Part> {
    let of_layers = |layers: &[&'static str]| -> Vec<Described> {
        let of = |layer: &&'static str| {
            let options = catalog.layer(layer).iter().cloned();
            options.map(|option| Described { option, layer: Some(*layer) }).collect::<Vec<_>>()
        };
        layers.iter().flat_map(of).collect()
    };
    let own = |command: &super::catalog::Command| -> Vec<Described> {
        command.own.iter().cloned().map(|option| Described { option, layer: None }).collect()
    };
    match command.map(|command| catalog.command(command)) {
        Some(command) => {
            let options = own(command).into_iter().chain(of_layers(&command.layers)).collect();
            vec![Part { section: "OPTIONS", subsection: None, options }]
        }
        None => {
            let commands = catalog.commands.iter().filter(|command| !["in", "out"].contains(&command.name));
            let part = |command: &super::catalog::Command| Part {
                section: "COMMANDS",
                subsection: Some(command.name),
                options: own(command),
            };
            let options = of_layers(&["site", "consul", "metrics", "log"]);
            commands.map(part).chain([Part { section: "OPTIONS", subsection: None, options }]).collect()
        }
    }
}

fn entry(described: &Described, addition: &str, of_all: &Additions) -> String {
    let Described { option, layer } = described;
    // The site's options are in one page only.
    let addition = match layer {
        Some(layer) if *layer != "site" => of_all.get(option.long).map_or("", String::as_str),
        _ => addition,
    };
    let by_hand = if addition.is_empty() { String::new() } else { format!("{BY_HAND}\n{addition}") };
    format!("{}{}{by_hand}", item(option), sentences(&option.about))
}

/// The place for a new option. It may be moved from there.
fn end_of_the_list(page: &[String], part: &Part, missing: &Described, file: &str) -> usize {
    let begins = |line: &String, with: &str| line.trim_end() == with;
    let mut headings = vec![format!(".Sh {}", part.section)];
    headings.extend(part.subsection.map(|title| format!(".Ss {title}")));
    headings.extend(missing.layer.map(|layer| format!(".Ar {layer}-options .")));
    headings.push(".El".into());
    let mut at = 0;
    for heading in &headings {
        let Some(found) = page[at..].iter().position(|line| begins(line, heading)) else {
            panic!("{file}: no place for --{}: no line {heading:?} is left", missing.option.long)
        };
        at += found;
    }
    at
}

/// The long name in `.It Fl k , -key Ar key`.
fn name(line: &str) -> Option<&str> {
    line.strip_prefix(".It Fl ")?.split(' ').find_map(|word| word.strip_prefix('-'))
}

/// Takes the text of an option, and returns the part that is by hand.
fn by_hand(lines: &mut std::iter::Peekable<std::str::Lines<'_>>) -> String {
    let is_of_it = |line: &&str| *line != ".El" && ![".It ", ".Ss ", ".Sh "].iter().any(|end| line.starts_with(end));
    let said: Vec<&str> = std::iter::from_fn(|| lines.next_if(is_of_it)).collect();
    let by_hand = said.iter().skip_while(|line| **line != BY_HAND).skip(1);
    by_hand.map(|line| format!("{line}\n")).collect()
}
