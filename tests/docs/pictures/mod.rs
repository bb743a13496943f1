//! The pictures match their sources: diagrams are drawn from the texts next to them, the terminal from the output of
//! the demo. With UPDATE_PICTURES, they are redrawn (`make pictures`).

mod diagram;
mod grid;
mod svg;
mod terminal;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::common::consul::binary;
use crate::common::run::Ran;

fn pictures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/pictures")
}

/// `picture` is kept as it would be drawn now.
fn is_current(picture: &Path, drawn: &str, comparable: impl Fn(&str) -> String) {
    let keep = || std::fs::read_to_string(picture).unwrap_or_default();
    if std::env::var_os("UPDATE_PICTURES").is_some() && comparable(&keep()) != comparable(drawn) {
        std::fs::write(picture, drawn).unwrap();
    }
    let kept = keep();
    let (is, would_be) = (comparable(&kept), comparable(drawn));
    let other = is.lines().zip(would_be.lines()).find(|(is, would_be)| is != would_be);
    assert!(is == would_be, "{} is not current (see {other:?}): `make pictures`", picture.display());
    let document = roxmltree::Document::parse(&kept).expect("XML");
    for name in ["title", "desc"] {
        let said =
            document.root_element().children().find(|child| child.has_tag_name(name)).and_then(|child| child.text());
        assert!(said.is_some_and(|text| !text.is_empty()), "{} has no {name}", picture.display());
    }
}

#[test]
fn each_diagram_is_as_the_text_next_to_it() {
    let mut drawn = 0;
    for entry in std::fs::read_dir(pictures()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|is| is == "txt") {
            is_current(
                &path.with_extension("svg"),
                &diagram::draw(&std::fs::read_to_string(&path).unwrap()),
                str::to_owned,
            );
            drawn += 1;
        }
    }
    assert_ne!(drawn, 0);
}

#[test]
fn the_terminal_is_what_the_demo_says() {
    let bin = std::env::var_os("KVX_BIN")
        .map_or_else(|| Path::new(env!("CARGO_BIN_EXE_kvx")).parent().unwrap().into(), PathBuf::from);
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/demo");
    let mut script = Command::new("script");
    script
        .args(["-qefc", demo.to_str().unwrap(), "/dev/null"])
        .env("CONSUL", binary())
        .env("KVX_BIN", bin)
        .env_remove("NO_COLOR");
    let ran = Ran::from(script.stdin(Stdio::null()).output().unwrap()).expect(0);
    let about = "A hosts file is uploaded, installed by a watch and reloaded; uploaded again, which costs one request; not \
                 uploaded when its renderer dies; and reloaded by the next run after a reload that failed.";
    let drawn = terminal::draw("make demo", about, ran.out());
    is_current(&pictures().join("demo.svg"), &drawn, without_what_varies);
}

/// Milliseconds, and Consul's version.
fn without_what_varies(picture: &str) -> String {
    let digits = |c: char| c.is_ascii_digit() || c == '.';
    let timeless: Vec<&str> = picture.split(" ms").map(|before| before.trim_end_matches(digits)).collect();
    let timeless = timeless.join("* ms").replace("Two requests to Consul (from 1.14 on: one)", "One request to Consul");
    let (before, after) = timeless.split_once("Consul v").unwrap_or_default();
    format!("{before}Consul *{}", after.trim_start_matches(digits))
}

#[test]
fn the_story_of_kvx_out_has_all_of_its_exits() {
    let numbers = |texts: Vec<&str>| -> BTreeSet<u8> {
        texts.iter().filter_map(|text| text.split_once(' ')?.0.parse().ok()).collect()
    };
    let (_, published) = include_str!("../../help/kvx-out.txt").split_once("Error codes:").unwrap();
    let story = std::fs::read_to_string(pictures().join("kvx-out.txt")).unwrap();
    let exits = story.split('│').flat_map(|cell| cell.split("  "));
    assert_eq!(numbers(exits.map(str::trim).collect()), numbers(published.lines().map(str::trim).collect()));
}
