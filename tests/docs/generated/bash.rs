//! completions/kvx.bash.

use std::collections::BTreeMap;

use super::catalog::{Catalog, Command, Opt};
use super::value::Value;

/// Of a line of a script, but for what is around its words.
const WIDTH: usize = 90;

const LAYERS: [&str; 5] = ["log", "consul", "site", "metrics", "installing"];

pub fn completion(catalog: &Catalog) -> String {
    let names: Vec<&str> = catalog.commands.iter().map(|command| command.name).collect();
    let layer = |name: &&str| format!("    local {name}='{}'\n", listed(catalog.layer(name)));
    let layers: String = LAYERS.iter().map(layer).collect();
    let takes: String = catalog.commands.iter().map(|command| takes(catalog, command)).collect();
    format!(
        "_kvx_commands='{} help'\n\n\
         # What a command takes, layer by layer.\n_kvx_takes() {{\n{layers}    case $1 in\n{takes}    esac\n}}\n\n\
         # Offers values of an option, or the options. $1: the command, a colon and the word before.\n\
         _kvx_complete() {{\n    case $1 in\n{}    *) _kvx_options ;;\n    esac\n}}\n\n\
         # Whether `kvx list` takes this option, too, to find the same keys.\n\
         _kvx_is_of_list() {{\n    case $1 in\n{}    *) return 1 ;;\n    esac\n}}\n\n\
         # Options whose value follows =, and is never the next word.\n_kvx_optional='{}'\n",
        names.join(" "),
        values(catalog),
        patterns(&catalog.whereabouts(), ""),
        optional(catalog),
    )
}

fn takes(catalog: &Catalog, command: &Command) -> String {
    let (own, layers) = catalog.of_shells(command);
    let layers: Vec<String> = layers.iter().map(|layer| format!("${layer}")).collect();
    let own = listed(&own) + if own.is_empty() { "" } else { " " };
    let words = if command.word.map(Value::named) == Some(Value::File) { "words_are=-f " } else { "" };
    let behind = if command.runs { "runs=yes " } else { "" };
    format!("    {}) {words}{behind}options=\"{own}{}\" ;;\n", command.name, layers.join(" "))
}

/// All spellings of these options, in lines.
fn listed(options: &[Opt]) -> String {
    let spellings: Vec<String> = options.iter().flat_map(Opt::spellings).collect();
    lines(&spellings, " ").join("\n        ")
}

/// Clauses of a `case`.
fn patterns(words: &[String], action: &str) -> String {
    lines(words, " | ").iter().map(|line| format!("    {line}) {action};;\n")).collect()
}

/// A pattern for each kind of value. Where an option means something else to a few commands, they are named.
fn values(catalog: &Catalog) -> String {
    let mut meant: BTreeMap<String, Vec<(&str, Value)>> = BTreeMap::new();
    for command in &catalog.commands {
        for option in catalog.options(command).iter().filter(|option| option.eats()) {
            let value = option.argument.as_ref().unwrap().value;
            for spelling in option.spellings() {
                meant.entry(spelling).or_default().push((command.name, value));
            }
        }
    }
    let (mut exceptions, mut rules) = (BTreeMap::<Value, Vec<String>>::new(), BTreeMap::<Value, Vec<String>>::new());
    for (spelling, commands) in meant {
        let count = |value: &Value| commands.iter().filter(|(_, other)| other == value).count();
        let usual = commands.iter().map(|(_, value)| *value).max_by_key(count).unwrap();
        rules.entry(usual).or_default().push(format!("*:{spelling}"));
        for (command, value) in commands.iter().filter(|(_, value)| *value != usual) {
            exceptions.entry(*value).or_default().push(format!("{command}:{spelling}"));
        }
    }
    let clauses = |(value, spellings): (Value, Vec<String>)| {
        let action = match value {
            Value::Any => String::new(),
            Value::Key => "_kvx_keys ".into(),
            Value::Version => "_kvx_versions ".into(),
            Value::File => "_kvx_generate -f ".into(),
            Value::Directory => "_kvx_generate -d ".into(),
            Value::Command => "_kvx_generate -c ".into(),
            Value::User => "_kvx_generate -u ".into(),
            Value::OneOf(words) => format!("_kvx_offer {words} "),
        };
        patterns(&spellings, &action)
    };
    exceptions.into_iter().chain(rules).map(clauses).collect()
}

fn optional(catalog: &Catalog) -> String {
    let mut spellings = Vec::new();
    for option in catalog.commands.iter().flat_map(|command| catalog.options(command)) {
        if option.argument.as_ref().is_some_and(|argument| argument.is_optional) {
            spellings.extend(option.spellings());
        }
    }
    spellings.sort();
    spellings.dedup();
    spellings.join(" ")
}

/// The words, in lines, with this between them.
fn lines(words: &[String], between: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match lines.last_mut().filter(|line| line.len() + between.len() + word.len() <= WIDTH) {
            Some(line) => *line += &format!("{between}{word}"),
            None => lines.push(word.clone()),
        }
    }
    lines
}
