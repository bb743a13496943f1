//! The names in CONTRIBUTING.md exist: files, modules, make's targets.

use std::path::Path;

const PAGE: &str = include_str!("../../CONTRIBUTING.md");

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What stands between backquotes and is, by its looks, a path of this project.
fn paths() -> Vec<&'static str> {
    let tops = [
        "src/",
        "bin/",
        "tests/",
        "docs/",
        "benches/",
        "examples/",
        "man/",
        "completions/",
        "packaging/",
        ".ci/",
        "Cargo.",
        "CHANGELOG",
    ];
    PAGE.split('`').skip(1).step_by(2).filter(|code| tops.iter().any(|top| code.starts_with(top))).collect()
}

#[test]
fn every_file_that_it_names_is_there() {
    let missing: Vec<&str> = paths().into_iter().filter(|path| !project().join(path).exists()).collect();
    assert!(missing.is_empty() && paths().len() > 50, "not there: {missing:?}");
}

#[test]
fn every_room_is_on_the_map() {
    let (_, map) = PAGE.split_once("## Which file to open").unwrap();
    let (map, _) = map.split_once("## Rules").unwrap();
    for room in std::fs::read_dir(project().join("src")).unwrap() {
        let name = room.unwrap().file_name().into_string().unwrap();
        let is_named = map.contains(&format!("`src/{name}`")) || map.contains(&format!("`src/{name}/"));
        assert!(is_named, "which question leads to src/{name}?");
    }
}

#[test]
fn every_target_is_makes() {
    let makefile = std::fs::read_to_string(project().join("Makefile")).unwrap();
    let code = PAGE.lines().filter_map(|line| line.strip_prefix("    ")).chain(PAGE.split('`').skip(1).step_by(2));
    let mut named = 0;
    for target in
        code.filter_map(|code| code.strip_prefix("make ")?.split_whitespace().next()).filter(|word| *word != "#")
    {
        assert!(makefile.contains(&format!("\n{target}:")), "make {target}");
        named += 1;
    }
    assert!(named > 5);
}
