//! completions/_kvx.

use super::catalog::{Catalog, Command, Opt, brief};
use super::value::Value;

const LAYERS: [&str; 5] = ["log", "consul", "site", "metrics", "installing"];

pub fn completion(catalog: &Catalog) -> String {
    let about = |command: &Command| format!("        '{}:{}'\n", command.name, quoted(brief(&command.about)));
    let commands: String = catalog.commands.iter().map(about).collect();
    let layers: String =
        LAYERS.map(|layer| format!("    {layer}=(\n{}    )\n", specs(catalog.layer(layer), 8))).concat();
    let takes: String = catalog.commands.iter().map(|command| takes(catalog, command)).collect();
    format!(
        "_kvx_commands() {{\n    commands=(\n{commands}        'help:list the commands'\n    )\n}}\n\n\
         # What a command takes, layer by layer.\n\
         _kvx_takes() {{\n    local -a {}\n{layers}    case $1 in\n{takes}    \
         *) return 1 ;;\n    esac\n}}\n\n\
         # Whether `kvx list` takes this option, too, to find the same keys.\n\
         _kvx_is_of_list() {{\n    [[ $1 == ({}) ]]\n}}\n",
        LAYERS.join(" "),
        catalog.whereabouts().join("|"),
    )
}

fn takes(catalog: &Catalog, command: &Command) -> String {
    let (own, layers) = catalog.of_shells(command);
    let layers: Vec<String> = layers.iter().map(|layer| format!("${layer}")).collect();
    let mut words = layers.join(" ");
    if let Some(word) = command.word {
        words += &format!(" ':{word}:{}'", action(Value::named(word)));
    }
    let behind = if command.runs { "runs=yes\n        " } else { "" };
    if own.is_empty() {
        return format!("    {}) {behind}options=({words}) ;;\n", command.name);
    }
    let own = specs(&own, 12);
    format!("    {})\n        {behind}options=(\n{own}            {words}\n        )\n        ;;\n", command.name)
}

fn specs(options: &[Opt], indentation: usize) -> String {
    options.iter().map(|option| format!("{}{}\n", " ".repeat(indentation), spec(option))).collect()
}

/// `'(-k --key)'{-k+,--key=}'[name of the document]:key:_kvx_keys'`.
fn spec(option: &Opt) -> String {
    let (behind_short, behind_long) = match &option.argument {
        None => ("", ""),
        Some(argument) if argument.is_optional => ("-", "=-"),
        Some(_) => ("+", "="),
    };
    let long = format!("--{}{behind_long}", option.long);
    let text = quoted(brief(&option.about)).replace('[', "\\[").replace(']', "\\]");
    let colons = |argument: &super::catalog::Argument| if argument.is_optional { "::" } else { ":" };
    let value = option
        .argument
        .as_ref()
        .map_or(String::new(), |argument| format!("{}{}:{}", colons(argument), argument.name, action(argument.value)));
    match option.short {
        Some(short) => {
            let without = if option.is_alone() { "- *".into() } else { format!("-{short} --{}", option.long) };
            format!("'({without})'{{-{short}{behind_short},{long}}}'[{text}]{value}'")
        }
        None => format!("'{}{long}[{text}]{value}'", if option.is_alone() { "(- *)" } else { "" }),
    }
}

fn action(value: Value) -> String {
    match value {
        Value::Any => " ".into(),
        Value::Key => "_kvx_keys".into(),
        Value::Version => "_kvx_versions".into(),
        Value::File => "_files".into(),
        Value::Directory => "_files -/".into(),
        Value::Command => "_command_names -e".into(),
        Value::User => "_users".into(),
        Value::OneOf(words) => format!("({words})"),
    }
}

fn quoted(text: &str) -> String {
    text.replace('\'', "'\\''")
}
