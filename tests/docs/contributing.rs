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
    assert!(missing.is_empty() && paths().len() > 40, "not there: {missing:?}");
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

/// The modules at the top of src/, by the line of the list in src/lib.rs that they are on.
fn floors() -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(project().join("src/lib.rs")).unwrap();
    let list = text.split("//! ```text\n").nth(1).unwrap().split("//! ```").next().unwrap();
    let names =
        |line: &str| line.trim_start_matches("//! ").split("  ").next().unwrap().split(' ').map(Into::into).collect();
    list.lines().map(names).collect()
}

fn sources(directory: &Path, all: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { sources(&path, all) } else { all.push(path) }
    }
}

#[test]
fn imports_go_downwards_only() {
    let floors = floors();
    let floor = |name: &str| floors.iter().position(|floor| floor.iter().any(|module| module == name));
    let (mut files, mut imports) = (Vec::new(), 0);
    sources(&project().join("src"), &mut files);
    for file in files {
        let relative = file.strip_prefix(project().join("src")).unwrap();
        let module = relative.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned();
        if module == "lib" {
            continue;
        }
        let own = floor(&module).unwrap_or_else(|| panic!("{module} is not in the list of src/lib.rs"));
        let text = std::fs::read_to_string(&file).unwrap();
        for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
            for path in line.split("crate::").skip(1) {
                let name = path.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap();
                let is_own = name == module || name.is_empty();
                let below = floor(name).is_some_and(|other| other > own);
                assert!(is_own || below, "src/{}: `{}` imports upwards", relative.display(), line.trim());
                imports += 1;
            }
        }
    }
    assert!(imports > 300, "{imports}");
}
