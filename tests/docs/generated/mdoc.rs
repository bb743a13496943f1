//! What --help says, in mdoc(7).

use super::catalog::{Catalog, Command, Opt};

/// Of a line of a page.
const WIDTH: usize = 80;

/// `.It Fl k , -key Ar key`.
pub fn item(option: &Opt) -> String {
    let short = option.short.map_or(String::new(), |short| format!("{short} , "));
    let value = match &option.argument {
        Some(argument) if argument.is_optional => format!(" Ns Op = Ns Ar {}", argument.name),
        Some(argument) => format!(" Ar {}", argument.name),
        None => String::new(),
    };
    format!(".It Fl {short}-{}{value}\n", option.long)
}

/// The synopsis of a program of one command.
pub fn synopsis(command: &Command) -> String {
    format!(".Nm\n{}", arguments(command))
}

/// The synopsis of kvx.
pub fn synopses(catalog: &Catalog) -> String {
    let of = |command: &Command| {
        let arguments = match command.name {
            "in" | "out" => format!(".Op Ar option-of-kvx-{} ...\n", command.name),
            _ => arguments(command),
        };
        format!(".Nm\n.Cm {}\n{arguments}", command.name)
    };
    let commands: String = catalog.commands.iter().map(of).collect();
    format!("{commands}.Nm\n.Cm help\n.Nm\n.Fl -version\n")
}

fn arguments(command: &Command) -> String {
    let mut text = String::new();
    for option in &command.own {
        let name = option.short.map_or(format!("-{}", option.long), String::from);
        let value = option.argument.as_ref().map_or(String::new(), |argument| format!(" Ar {}", argument.name));
        text += &format!(".{}Fl {name}{value}\n", if option.is_required { "" } else { "Op " });
    }
    if command.name == "raw" {
        return text + ".Op Ar option-of-kvx-out ...\n";
    }
    // The site's are the Consul's, too.
    let is_named = |layer: &&&str| **layer != "consul" || !command.layers.contains(&"site");
    for layer in command.layers.iter().filter(is_named) {
        text += &format!(".Op Ar {layer}-option ...\n");
    }
    text += if command.runs { ".Op Fl - Ar command ...\n" } else { "" };
    let optional = if command.is_word_optional { "Op " } else { "" };
    text + &command.word.map_or(String::new(), |word| format!(".{optional}Ar {word}\n"))
}

/// A text of --help as sentences, with options and quotations marked up. Each sentence begins a line.
pub fn sentences(about: &str) -> String {
    let mut text = about.trim_end_matches('.').to_owned() + ".";
    if let Some(first) = text.get(..1).map(str::to_uppercase) {
        text.replace_range(..1, &first);
    }
    let mut lines = Lines::default();
    let mut words = text.split(' ').peekable();
    while let Some(word) = words.next() {
        let mut word = word.to_owned();
        if word.starts_with('\'') {
            while !word.trim_end_matches(['.', ',', ';', ':']).ends_with('\'') && words.peek().is_some() {
                word = format!("{word} {}", words.next().unwrap());
            }
        }
        lines.add(&word);
        if word.ends_with('.') && words.peek().is_some_and(|next| next.starts_with(char::is_uppercase)) {
            lines.end();
        }
    }
    lines.end();
    lines.text
}

#[derive(Default)]
struct Lines {
    text: String,
    /// The line that is not yet complete.
    line: String,
}

impl Lines {
    fn add(&mut self, word: &str) {
        let plain = word.trim_end_matches(['.', ',', ';', ':']);
        let punctuation: String = word[plain.len()..].chars().map(|marker| format!(" {marker}")).collect();
        let quoted = plain.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
        let is_option = |rest: &str| {
            rest.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') && rest.chars().any(char::is_alphabetic)
        };
        if let Some(quoted) = quoted {
            self.marker(&format!(".Ql {}{punctuation}", quoted.replace('\\', "\\e")));
        } else if let Some((option, value)) = plain.strip_prefix('-').and_then(|rest| rest.split_once('='))
            && is_option(option)
        {
            self.marker(&format!(".Fl {option} Ns = Ns Ar {value}{punctuation}"));
        } else if let Some(option) = plain.strip_prefix('-').filter(|rest| is_option(rest)) {
            self.marker(&format!(".Fl {option}{punctuation}"));
        } else {
            // A dash by itself is escaped, so that it is not read as a hyphen.
            let plain = word.replace('\\', "\\e");
            let dashes = plain.contains('-') && !plain.contains(char::is_alphanumeric);
            self.put(&if dashes { plain.replace('-', "\\-") } else { plain });
        }
    }

    fn put(&mut self, word: &str) {
        if !self.line.is_empty() && self.line.len() + 1 + word.len() > WIDTH {
            self.end();
        }
        let is_control = self.line.is_empty() && word.starts_with(['.', '\'']);
        self.line += if self.line.is_empty() { "" } else { " " };
        self.line += if is_control { "\\&" } else { "" };
        self.line += word;
    }

    /// A line of its own.
    fn marker(&mut self, line: &str) {
        self.end();
        self.line = line.to_owned();
        self.end();
    }

    fn end(&mut self) {
        if !self.line.is_empty() {
            self.text += &format!("{}\n", std::mem::take(&mut self.line));
        }
    }
}

#[test]
fn a_text_of_the_help_is_readable_as_a_page() {
    let cases = [
        ("why", "Why.\n"),
        ("with --events: an event, too", "With\n.Fl -events :\nan event, too.\n"),
        ("such as 'visudo -cf {}', where", "Such as\n.Ql visudo -cf {} ,\nwhere.\n"),
        ("file, or - for stdout (-)", "File, or \\- for stdout (\\-).\n"),
        ("as --to=address: x", "As\n.Fl -to Ns = Ns Ar address :\nx.\n"),
        ("or as -1, -2, ... before", "Or as -1, -2, ... before.\n"),
        ("as -- or -x. What is lost", "As \\-\\- or\n.Fl x .\nWhat is lost.\n"),
    ];
    for (about, page) in cases {
        assert_eq!(sentences(about), page);
    }
}
