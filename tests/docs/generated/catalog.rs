//! The commands and their options, as all that is generated needs them.

use std::collections::BTreeMap;

use kvx::cli::args::catalog::{RAW_HELP, VALUE_IS_OPTIONAL, commands, layers};

use super::value::Value;
use crate::common::help::Help;

/// The layer that `out` and `raw` have, for the shells. In the manual pages, these are options of kvx-out.
const INSTALLING: &str = "installing";

/// An option.
#[derive(Clone, Debug, PartialEq)]
pub struct Opt {
    pub short: Option<char>,
    /// Without its dashes.
    pub long: &'static str,
    pub argument: Option<Argument>,
    pub is_required: bool,
    /// As --help has it.
    pub about: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Argument {
    pub name: &'static str,
    pub value: Value,
    /// An optional value follows `=`: it is never the next word.
    pub is_optional: bool,
}

pub struct Command {
    pub name: &'static str,
    pub about: String,
    /// The options that are in no layer.
    pub own: Vec<Opt>,
    /// The names of its layers.
    pub layers: Vec<&'static str>,
    /// The argument after the options, by its name in --help.
    pub word: Option<&'static str>,
    pub is_word_optional: bool,
    /// Whether it runs a command that follows `--`.
    pub runs: bool,
}

pub struct Catalog {
    pub commands: Vec<Command>,
    layers: BTreeMap<&'static str, Vec<Opt>>,
}

impl Catalog {
    pub fn new() -> Catalog {
        let option = |flag: &argh::FlagInfo<'static>| {
            let long = flag.long.trim_start_matches('-');
            let argument = match flag.kind {
                argh::FlagInfoKind::Switch => None,
                argh::FlagInfoKind::Option { arg_name } => Some(Argument::new(long, arg_name)),
            };
            // argh does not know of the -h that all commands have.
            let short = if long == "help" { Some('h') } else { flag.short };
            let is_required = flag.optionality == argh::Optionality::Required;
            // argh doubles braces, for its own formatting.
            let about = flag.description.replace("{{", "{").replace("}}", "}");
            Opt { short, long, argument, is_required, about }
        };
        let all = commands();
        let mut of_layers: BTreeMap<_, Vec<Opt>> = BTreeMap::new();
        for (name, flags) in layers() {
            of_layers.insert(name, flags.iter().map(option).collect());
        }
        let mut commands: Vec<Command> = Vec::new();
        for (name, info) in &all {
            let mut own: Vec<Opt> = info.flags[1..].iter().map(option).collect();
            let mut has = Vec::new();
            for (layer, _) in layers().iter().rev() {
                if own.ends_with(&of_layers[layer]) {
                    own.truncate(own.len() - of_layers[layer].len());
                    has.insert(0, *layer);
                }
            }
            let word = info.positionals.first().map(|positional| positional.name);
            let is_optional = |positional: &argh::PositionalInfo| positional.optionality == argh::Optionality::Optional;
            let is_word_optional = info.positionals.first().is_some_and(is_optional);
            let (about, runs) = (info.description.to_owned(), ["in", "out"].contains(name));
            commands.push(Command { name, about, own, layers: has, word, is_word_optional, runs });
            if *name == "out" {
                let (raw, installing) = raw(&commands[commands.len() - 1]);
                commands.push(raw);
                of_layers.insert(INSTALLING, installing);
            }
        }
        of_layers.get_mut("log").unwrap().push(option(&all[0].1.flags[0]));
        Catalog { commands, layers: of_layers }
    }

    pub fn command(&self, name: &str) -> &Command {
        self.commands.iter().find(|command| command.name == name).expect(name)
    }

    /// The options of a layer.
    pub fn layer(&self, name: &str) -> &[Opt] {
        &self.layers[name]
    }

    /// All options of a command.
    pub fn options(&self, command: &Command) -> Vec<Opt> {
        let layers = command.layers.iter().flat_map(|layer| self.layer(layer));
        command.own.iter().chain(layers).cloned().collect()
    }

    /// The options and the layers of a command, as the shells have them.
    pub fn of_shells(&self, command: &Command) -> (Vec<Opt>, Vec<&'static str>) {
        let (mut own, mut layers) = (command.own.clone(), command.layers.clone());
        let installing = self.layer(INSTALLING);
        if installing.iter().all(|option| own.contains(option)) {
            own.retain(|option| !installing.contains(option));
            layers.insert(0, INSTALLING);
        }
        (own, layers)
    }

    /// The options that say which Consul and which keys are meant: a completion passes them on to `kvx list`.
    pub fn whereabouts(&self) -> Vec<String> {
        let list = self.options(self.command("list"));
        let options = list.iter().filter(|option| option.argument.is_some());
        options.filter(|option| !["timeout", "log-format"].contains(&option.long)).flat_map(Opt::spellings).collect()
    }
}

/// `kvx raw`, and the options that it shares with `kvx out`. Its `-k` is the path of a value, and its help is its own.
fn raw(out: &Command) -> (Command, Vec<Opt>) {
    let help = Help::from(RAW_HELP);
    let said = help.said();
    let mut own = Vec::new();
    let mut shared = out.own.clone();
    shared.retain(|option| option.long != "raw");
    for option in help.options() {
        let at = shared.iter().position(|known| known.long == option.long).expect("an option of kvx out");
        let mut changed = shared.remove(at);
        let name = if option.value.as_deref() == Some("path") { "path" } else { changed.argument.unwrap().name };
        changed.argument = Some(Argument::new(changed.long, name));
        changed.is_required = true;
        changed.about = said.iter().find(|(long, _)| *long == option.long).unwrap().1.clone();
        own.push(changed);
    }
    own.sort_by_key(|option| said.iter().position(|(long, _)| long == option.long));
    let about = RAW_HELP.lines().nth(2).unwrap().to_owned();
    let layers = [&[INSTALLING][..], &out.layers].concat();
    (Command { name: "raw", about, own, layers, word: None, is_word_optional: false, runs: true }, shared)
}

impl Argument {
    fn new(long: &str, name: &'static str) -> Argument {
        Argument { name, value: Value::named(name), is_optional: VALUE_IS_OPTIONAL.contains(&long) }
    }
}

impl Opt {
    /// `-k` and `--key`.
    pub fn spellings(&self) -> Vec<String> {
        self.short.map(|short| format!("-{short}")).into_iter().chain([format!("--{}", self.long)]).collect()
    }

    /// Whether the next word is its value.
    pub fn eats(&self) -> bool {
        self.argument.as_ref().is_some_and(|argument| !argument.is_optional)
    }

    /// Whether it excludes all other options.
    pub fn is_alone(&self) -> bool {
        ["help", "version"].contains(&self.long)
    }
}

/// A text of --help, shortened for a list of completions.
pub fn brief(text: &str) -> &str {
    const ENOUGH: usize = 60;
    const TOO_FEW: usize = 18;
    let text = text.trim_end_matches('.');
    let cuts = [": ", "; ", " (", " [", ". "];
    let cut = cuts.iter().filter_map(|cut| text.match_indices(cut).map(|(at, _)| at).find(|at| *at >= TOO_FEW)).min();
    if text.len() <= ENOUGH { text } else { &text[..cut.unwrap_or(text.len())] }
}
