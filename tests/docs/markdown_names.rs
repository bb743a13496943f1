//! The names in the pages exist: options, commands, variables, statuses, tests, other pages.

use std::collections::{BTreeMap, BTreeSet};

use crate::common::page::{Page, files, pages, project, tests_in};

/// The options of a command line of ours, by the file of its help.
fn options_of(help: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(project().join("tests/help").join(help)).unwrap();
    let mut options = BTreeSet::from(["-h".to_owned(), "--help".into(), "--version".into()]);
    for line in text.lines().map(str::trim_start).filter(|line| line.starts_with('-')) {
        let words = line.split([' ', ',']).take_while(|word| word.starts_with('-') || word.is_empty());
        options.extend(words.filter(|word| word.len() > 1).map(str::to_owned));
    }
    options
}

/// The commands that a help lists.
fn commands_of(help: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(project().join("tests/help").join(help)).unwrap();
    let listed = text.lines().take_while(|line| !line.starts_with("Flags"));
    let listed = listed.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    listed.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

/// What a line says of our programs that they do not know.
fn unknown(line: &str) -> Vec<String> {
    let pieces = line.replace("&&", "\n").replace("||", "\n").replace([';', '|'], "\n");
    pieces.lines().flat_map(unknown_in_one).collect()
}

fn unknown_in_one(command: &str) -> Vec<String> {
    let words = shell_words::split(command).unwrap_or_else(|_| command.split(' ').map(str::to_owned).collect());
    let is_ours = |word: &String| ["kvx", "kvx-in", "kvx-out", "kvexpress"].contains(&word.as_str());
    match (words.iter().position(is_ours), words.first()) {
        (Some(at), _) => unknown_to(&words[at], &words[at + 1..]),
        // An option alone is ours, but for one of lld.
        (None, Some(option)) if option.starts_with("--") && option.len() > 2 && option != "--icf" => {
            let name = option.split(['=', ':']).next().unwrap();
            let helps = files("tests/help", "txt");
            let mut helps = helps.iter().map(|help| help.file_name().unwrap().to_str().unwrap());
            if helps.any(|help| options_of(help).contains(name)) { Vec::new() } else { vec![name.to_owned()] }
        }
        _ => Vec::new(),
    }
}

/// Of a program's arguments, what it does not know.
fn unknown_to(program: &str, arguments: &[String]) -> Vec<String> {
    let (help, options) = match (program, arguments) {
        ("kvx" | "kvexpress", [command, options @ ..]) if command.chars().all(|c| c.is_ascii_lowercase()) => {
            if !commands_of(&format!("{program}.txt")).contains(command) {
                return vec![format!("{program} {command}")];
            }
            let help = match (program, command.as_str()) {
                ("kvx", "in") => "kvx-in.txt".to_owned(),
                ("kvx", "out" | "raw") => "kvx-out.txt".to_owned(),
                ("kvx", command) => format!("kvx-{command}.txt"),
                _ => "kvexpress.txt".to_owned(),
            };
            (help, options)
        }
        ("kvx" | "kvexpress", _) => return Vec::new(), // Its own help, or words of a sentence.
        _ => (format!("{program}.txt"), arguments),
    };
    let known = options_of(&help);
    let mut before = "";
    let mut unknown = Vec::new();
    for word in options.iter().take_while(|word| *word != "--") {
        let is_value = ["-e", "--check"].contains(&std::mem::replace(&mut before, word));
        let name = if word.starts_with("--") { word.split('=').next() } else { word.get(..2) };
        let is_number = word.strip_prefix('-').is_some_and(|digits| digits.parse::<u32>().is_ok()); // As in --at -1.
        let name = name.filter(|name| name.starts_with('-') && !is_value && !is_number);
        unknown.extend(name.filter(|name| !known.contains(*name)).map(|name| format!("{program} ({help}): {name}")));
    }
    unknown
}

fn source() -> String {
    files("src", "rs").iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

#[test]
fn no_option_and_no_command_is_invented() {
    let (mut looked_at, mut wrong) = (0, Vec::new());
    for page in pages() {
        let blocks = page.blocks();
        for line in blocks.iter().flat_map(|block| block.text.lines().map(str::to_owned)).chain(page.spans()) {
            looked_at += usize::from(line.contains("kvx") || line.starts_with("--"));
            let unknown = unknown(line.trim_start_matches("$ "));
            wrong.extend(unknown.iter().map(|what| format!("{}: {what}, in: {line}", page.name)));
        }
    }
    assert!(looked_at > 200, "only {looked_at} were found");
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(
        unknown("kvx-in -k hosts --frobnicate && kvx dance; kvx stop -x"),
        ["kvx-in (kvx-in.txt): --frobnicate", "kvx dance", "kvx (kvx-stop.txt): -x"]
    );
}

#[test]
fn every_variable_is_one_that_the_programs_know() {
    let source = source();
    // What is named because it is not respected, or is another user's.
    let not_ours = ["HTTP_PROXY", "CONSUL_TOKEN"];
    let families = ["CONSUL_", "KVX_", "DD_", "SSL_CERT_", "XDG_", "STATE_DIRECTORY", "KVEXPRESS_", "HTTP_"];
    let mut seen = BTreeSet::new();
    for page in pages() {
        let words = page.text.split(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'));
        for word in words.filter(|word| families.iter().any(|family| word.starts_with(family))) {
            let is_known = source.contains(&format!("\"{word}\"")) || not_ours.contains(&word);
            assert!(is_known || word.ends_with('_'), "{}: {word}", page.name);
            seen.insert(word.to_owned());
        }
    }
    assert!(seen.len() > 20, "{seen:?}");
}

#[test]
fn the_statuses_are_the_published_ones() {
    let mut published = BTreeMap::from([(1, String::new())]);
    for help in files("tests/help", "txt") {
        let text = std::fs::read_to_string(help).unwrap();
        let codes = text.split("Error codes:\n").chain(text.split("Exit statuses:\n")).skip(1);
        for (code, meaning) in codes.flat_map(str::lines).filter_map(|line| line.trim().split_once(' ')) {
            if let Ok(code) = code.parse::<u8>() {
                published.insert(code, meaning.to_owned());
            }
        }
    }
    let readme = Page::read("README.md");
    let listed: BTreeSet<u8> =
        readme.rows().iter().filter(|row| row.len() == 2).filter_map(|row| row[0].parse().ok()).collect();
    assert_eq!(listed, published.keys().copied().collect(), "README's table, and the helps");
    // Consul Template's own, and that of a signal.
    let others = [14, 143];
    for page in pages() {
        let prose = page.prose();
        let after_word =
            ["status ", "statuses ", "status is ", "ends with "].into_iter().flat_map(|word| prose.split(word).skip(1));
        let number =
            |rest: &str| rest.split(|c: char| !c.is_ascii_digit()).next().and_then(|digits| digits.parse::<u8>().ok());
        let in_brackets = prose.split('(').skip(1).filter(|rest| matches!(rest.find([')', ',', ';', ':']), Some(2)));
        let in_brackets = in_brackets.filter_map(number).filter(|number| (60..80).contains(number));
        for number in after_word.filter_map(number).chain(in_brackets) {
            assert!(published.contains_key(&number) || others.contains(&number), "{}: status {number}", page.name);
        }
    }
}

/// As a page has it, and as the source.
const FILES: [(&str, &str); 7] = [
    (".NAME.kvx~", "\".kvx~\""),
    ("FILE.locked", "\".locked\""),
    (".NAME.lock", "\".lock\""),
    ("/tmp/kvx-UID", "\"/tmp/kvx-{user}\""),
    ("/var/lib/kvx", "\"/var/lib/kvx\""),
    ("~/.local/state/kvx", "\".local/state\""),
    ("/dev/null", "Stdio::null()"),
];

#[test]
fn metrics_results_and_files_are_those_of_the_programs() {
    let source = source();
    for page in pages() {
        let is_part = |c: char| c.is_ascii_alphanumeric() || "_/.~".contains(c);
        for word in page.text.split(|c| !is_part(c)).map(|word| word.trim_end_matches('.')) {
            if word.starts_with("kvx_") && word.split('_').count() > 2 && !page.text.contains(&format!("::{word}")) {
                assert!(source.contains(&format!("\"{word}\"")), "{}: {word}", page.name);
            }
        }
        for span in page.spans().iter().filter(|span| !span.contains(' ')) {
            let ours = span.starts_with("/var/lib/kvx") || span.starts_with("/tmp/kvx") || span.starts_with("~/");
            if ours
                || span.ends_with(".locked") && !span.starts_with("kvexpress.")
                || span.ends_with('~')
                || span.starts_with('.') && span.ends_with(".lock")
            {
                let named = FILES.iter().find(|(page, _)| span.trim_end_matches('/') == *page);
                let is_example = *span == "/var/lib/kvx-in/hosts";
                assert!(is_example || named.is_some_and(|(_, there)| source.contains(there)), "{}: {span}", page.name);
            }
        }
    }
    let metrics = Page::read("docs/metrics.md").text;
    let results = metrics.split("`result`: ").nth(1).unwrap().replace('\n', " ");
    let results: BTreeSet<&str> =
        results.trim().trim_end_matches('.').split(", ").map(|word| word.trim_matches('`')).collect();
    let words = std::fs::read_to_string(project().join("src/telemetry/outcome.rs")).unwrap();
    let words = words.split("impl RunResult").nth(1).unwrap().split("impl ").next().unwrap().to_owned();
    let endings: BTreeSet<&str> = words.split('"').skip(1).step_by(2).collect();
    assert_eq!(results, endings, "docs/metrics.md, and RunResult::word");
}

#[test]
fn every_row_of_how_it_works_names_a_promise_and_a_test() {
    let rows = Page::read("docs/how-it-works.md").rows();
    assert!(rows.len() > 60, "{} rows", rows.len());
    for row in rows {
        let [.., promise, test] = row.as_slice() else { panic!("{row:?}") };
        let promises = promise.trim_matches(['(', ')']).split(", ");
        assert!(promises.clone().all(|number| matches!(number.parse(), Ok(1..=7))), "{row:?}");
        assert!(test.contains("::"), "{row:?}");
    }
}

#[test]
fn every_test_that_a_page_names_is_there() {
    let mut named = 0;
    for page in pages() {
        for span in page.spans() {
            let Some((module, test)) = span.split_once("::") else { continue };
            let is_name = |text: &str| {
                !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
            };
            if !is_name(module) || !is_name(test) {
                continue;
            }
            let source = tests_in(module);
            let (before, _) =
                source.split_once(&format!("fn {test}(")).unwrap_or_else(|| panic!("{}: no {span}", page.name));
            assert!(before.trim_end().ends_with("#[test]"), "{}: {span} is no test", page.name);
            named += 1;
        }
    }
    assert!(named > 40, "only {named} were found");
}

#[test]
fn every_link_leads_somewhere_and_every_page_is_linked() {
    let mut all = pages();
    let others = ["examples/README.md", "CONTRIBUTING.md", "SECURITY.md"];
    all.extend(others.iter().filter(|name| project().join(name).exists()).map(|name| Page::read(name)));
    for page in &all {
        for link in page.links().iter().filter(|link| !link.starts_with("http")) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let at = match path {
                "" => project().join(&page.name),
                path => project().join(&page.name).parent().unwrap().join(path),
            };
            assert!(at.exists(), "{}: {link}", page.name);
            if !anchor.is_empty() {
                let name = at.canonicalize().unwrap();
                let there = Page::read(name.strip_prefix(project().canonicalize().unwrap()).unwrap().to_str().unwrap());
                assert!(there.anchors().iter().any(|known| known == anchor), "{}: {link}", page.name);
            }
        }
    }
    let readme = &all[0];
    for page in all.iter().filter(|page| page.name.starts_with("docs/")) {
        assert!(readme.links().contains(&page.name), "README.md does not link {}", page.name);
    }
}
