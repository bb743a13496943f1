//! completions/kvx.fish.

use super::catalog::{Catalog, Opt, brief};
use super::value::Value;

pub fn completion(catalog: &Catalog) -> String {
    let mut commands = String::new();
    for command in &catalog.commands {
        commands += &format!("complete $first -a {} -d '{}'\n", command.name, quoted(brief(&command.about)));
    }
    // Each option once, with the commands that have it.
    let mut options: Vec<(Opt, Vec<&str>)> = Vec::new();
    for command in &catalog.commands {
        for mut option in catalog.options(command) {
            option.is_required = false; // Not seen here.
            match options.iter_mut().find(|(known, _)| *known == option) {
                Some((_, commands)) => commands.push(command.name),
                None => options.push((option, vec![command.name])),
            }
        }
    }
    let options: String = options.iter().map(|(option, commands)| complete(option, commands)).collect();
    let words = catalog.commands.iter().filter(|command| command.word.map(Value::named) == Some(Value::File));
    let words: String = words.map(|command| format!("complete $all -n '__kvx_is {}' -F\n", command.name)).collect();
    let runs: Vec<&str> = catalog.commands.iter().filter(|command| command.runs).map(|command| command.name).collect();
    format!(
        "{commands}\
         complete $first -a help -d 'list the commands'\n\n{words}{options}\n\
         # Whether `kvx list` takes this option, too, to find the same keys.\n\
         function __kvx_is_of_list\n    contains -- $argv[1] {}\nend\n\n\
         # Whether this command runs what follows --.\n\
         function __kvx_may_run\n    contains -- \"$argv[1]\" {}\nend\n",
        catalog.whereabouts().join(" "),
        runs.join(" "),
    )
}

fn complete(option: &Opt, commands: &[&str]) -> String {
    let short = option.short.map_or(String::new(), |short| format!("-s {short} "));
    let value = match option.argument.as_ref().filter(|_| option.eats()).map(|argument| argument.value) {
        None => String::new(),
        Some(Value::Any) => "-x ".into(),
        Some(Value::Key) => "-x -a '(__kvx_keys)' ".into(),
        Some(Value::Version) => "-x -a '(__kvx_versions)' ".into(),
        Some(Value::File) => "-r -F ".into(),
        Some(Value::Directory) => "-x -a '(__fish_complete_directories)' ".into(),
        Some(Value::Command) => "-x -a '(__fish_complete_command)' ".into(),
        Some(Value::User) => "-x -a '(__fish_complete_users)' ".into(),
        Some(Value::OneOf(words)) => format!("-x -a '{words}' "),
    };
    let about = quoted(brief(&option.about));
    format!("complete $all -n '__kvx_is {}' {short}-l {} {value}-d '{about}'\n", commands.join(" "), option.long)
}

fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\'', "\\'")
}
