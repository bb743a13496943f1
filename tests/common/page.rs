//! Parses the Markdown pages: code blocks, code in prose, tables, links, headings.

use std::path::{Path, PathBuf};

/// A page in Markdown.
pub struct Page {
    /// The path in the project, such as `docs/security.md`.
    pub name: String,
    pub text: String,
}

/// A block of code, fenced or indented.
pub struct Block {
    /// The line of the page where it begins, from 1.
    pub line: usize,
    pub text: String,
}

pub fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// README.md and docs/*.md, in order.
pub fn pages() -> Vec<Page> {
    let mut names = vec!["README.md".to_owned()];
    names.extend(files("docs", "md").iter().map(|path| path.strip_prefix(project()).unwrap().display().to_string()));
    names.iter().map(|name| Page::read(name)).collect()
}

/// All files in and below a directory of the project whose names have this ending.
pub fn files(directory: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(project().join(directory)).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(path.strip_prefix(project()).unwrap().to_str().unwrap(), ending));
        } else if path.extension().is_some_and(|extension| extension == ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The source of the test module with this name, in any folder.
pub fn tests_in(module: &str) -> String {
    let mut named = files("tests", "rs");
    named.retain(|path| path.file_stem().is_some_and(|stem| stem == module) && !path.starts_with(common()));
    assert_eq!(named.len(), 1, "files of the tests `{module}`: {named:?}");
    std::fs::read_to_string(&named[0]).unwrap()
}

/// The directory of the code that tests share.
fn common() -> PathBuf {
    project().join("tests/common")
}

impl Page {
    pub fn read(name: &str) -> Page {
        let text = std::fs::read_to_string(project().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        Page { name: name.to_owned(), text }
    }

    /// Each line, with its number, and whether it is code.
    fn lines(&self) -> Vec<(usize, &str, bool)> {
        let (mut fenced, mut indented, mut blank) = (false, false, true);
        let mut lines = Vec::new();
        for (number, line) in self.text.lines().enumerate() {
            let fence = line.trim_start().starts_with("```");
            indented = line.starts_with("    ") && (blank || indented) || indented && line.trim().is_empty();
            blank = line.trim().is_empty();
            lines.push((number + 1, line, !fence && (fenced || indented)));
            fenced ^= fence;
        }
        lines
    }

    pub fn blocks(&self) -> Vec<Block> {
        let mut blocks: Vec<Block> = Vec::new();
        let mut before = false;
        for (line, text, is_code) in self.lines() {
            if is_code {
                let text = text.strip_prefix("    ").unwrap_or(text);
                match blocks.last_mut().filter(|_| before) {
                    Some(block) => block.text += &format!("{text}\n"),
                    None => blocks.push(Block { line, text: format!("{text}\n") }),
                }
            }
            before = is_code;
        }
        blocks
    }

    /// The text outside of code blocks.
    pub fn prose(&self) -> String {
        self.lines().into_iter().filter(|(.., is_code)| !is_code).map(|(_, line, _)| format!("{line}\n")).collect()
    }

    /// Code in prose, between one or two backticks.
    pub fn spans(&self) -> Vec<String> {
        let prose = self.prose();
        let mut rest = prose.as_str();
        let mut spans = Vec::new();
        while let Some(at) = rest.find('`') {
            let from = &rest[at..];
            let ticks = &from[..from.len() - from.trim_start_matches('`').len()];
            let from = &from[ticks.len()..];
            let Some(end) = from.find(ticks) else { break };
            spans.push(from[..end].trim().replace('\n', " "));
            rest = &from[end + ticks.len()..];
        }
        spans
    }

    /// The rows of all tables, without the head rows. A cell that is one code span has no backticks.
    pub fn rows(&self) -> Vec<Vec<String>> {
        let mut rows = Vec::new();
        let mut lines: Vec<&str> = Vec::new();
        for line in self.text.lines().chain([""]) {
            if line.starts_with('|') {
                lines.push(line);
                continue;
            }
            rows.extend(lines.iter().skip(2).map(|line| {
                let cells = line.trim_matches('|').replace("\\|", "\u{1}");
                cells.split('|').map(|cell| cell.trim().replace('\u{1}', "|")).collect()
            }));
            lines.clear();
        }
        rows
    }

    /// The targets of its links, as written.
    pub fn links(&self) -> Vec<String> {
        let prose = self.prose();
        prose.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())).collect()
    }

    /// The anchors of its headings, as GitHub makes them.
    pub fn anchors(&self) -> Vec<String> {
        let prose = self.prose();
        let headings = prose.lines().filter(|line| line.starts_with('#'));
        let kept = |c: char| match c {
            ' ' => Some('-'),
            '-' | '_' => Some(c),
            c if c.is_alphanumeric() => Some(c.to_ascii_lowercase()),
            _ => None,
        };
        headings.map(|line| line.trim_start_matches('#').trim().chars().filter_map(kept).collect()).collect()
    }
}

/// A cell, or a part of it, without the backticks around it.
pub fn bare(cell: &str) -> &str {
    cell.trim().trim_matches('`').trim()
}
