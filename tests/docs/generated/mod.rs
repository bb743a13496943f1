//! What is generated from src/cli/args is current: the shells' completions, and the options in the manual pages.
//! With UPDATE_GENERATED, it is written anew (`make generate`).

mod bash;
mod catalog;
mod fish;
mod mdoc;
mod page;
mod value;
mod zsh;

use std::path::Path;

use self::catalog::Catalog;

/// In a completion, the lines between these are generated.
const BEGIN: &str = "# Generated from src/cli/args by `make generate`: do not edit this part.";
const END: &str = "# End of what is generated.";

#[test]
fn what_is_generated_from_the_options_is_current() {
    let catalog = Catalog::new();
    let completions = [
        ("kvx.bash", bash::completion(&catalog)),
        ("_kvx", zsh::completion(&catalog)),
        ("kvx.fish", fish::completion(&catalog)),
    ];
    for (name, generated) in completions {
        is_current(&format!("completions/{name}"), |text| between_the_lines(text, &generated));
    }
    // The text by hand of an option that all pages describe is kept in kvx-in.1, and copied into the others.
    let additions = page::additions(&read("man/kvx-in.1"));
    for name in ["kvx-in.1", "kvx-out.1", "kvx.1"] {
        is_current(&format!("man/{name}"), |text| page::page(name, text, &catalog, &additions));
    }
}

fn path(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The file is as it would be generated now.
fn is_current(name: &str, generate: impl Fn(&str) -> String) {
    let kept = read(name);
    let generated = generate(&kept);
    if kept == generated {
        return;
    }
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(path(name), generated).unwrap();
        return;
    }
    let other = kept.lines().zip(generated.lines()).find(|(kept, generated)| kept != generated);
    panic!("{name} is stale, run make generate: {other:?}");
}

fn between_the_lines(text: &str, generated: &str) -> String {
    let (before, rest) = text.split_once(&format!("{BEGIN}\n")).expect(BEGIN);
    let (_, after) = rest.split_once(&format!("{END}\n")).expect(END);
    format!("{before}{BEGIN}\n{generated}{END}\n{after}")
}
