//! The words of a check: where the path of the staged file belongs, and where it must not be. Pure.
//!
//! A path may contain anything: a local user may have named a directory above it `x;id;`. As a word of its own it is a path,
//! whatever it contains. In the text of a script it would be a part of the script.

/// Stands for the path.
const PLACEHOLDER: &[u8] = b"{}";
/// Stands for a literal `{}`.
const LITERAL: &[u8] = b"{{}}";

/// Besides white space, what means something to a shell or another interpreter. A word that has one of these may be a script.
const OF_A_SCRIPT: &[u8] = br#";|&<>()$`"'\*?!#"#;

/// They run the argument of their `-c`, which comes before other words.
const SHELLS: [&[u8]; 12] =
    [b"sh", b"bash", b"dash", b"ash", b"rbash", b"zsh", b"ksh", b"mksh", b"yash", b"fish", b"csh", b"tcsh"];
/// They have a shell run the argument of their `-c`, wherever it stands; but `runuser -u USER --` runs a program.
const LOGINS: [&[u8]; 3] = [b"su", b"runuser", b"sg"];
/// Long names of `-c`.
const LONG: [&[u8]; 3] = [b"--command", b"--session-command", b"--init-command"];
/// Options of shells that have a value, besides those that end with `o` or `O`.
const WITH_VALUE: [&[u8]; 2] = [b"--rcfile", b"--init-file"];

/// Whether the word has a place for the path.
pub fn has_placeholder(word: &[u8]) -> bool {
    pieces(word).any(|piece| piece == Piece::Path)
}

/// The word, with the path in its place.
pub fn filled(word: &[u8], path: &[u8]) -> Vec<u8> {
    let filled = pieces(word).map(|piece| match piece {
        Piece::Path => path,
        Piece::Text(text) => text,
    });
    filled.collect::<Vec<_>>().concat()
}

/// Whether a shell, or whatever else understands more than a path, would find the path inside of its script.
pub fn has_path_in_a_script(words: &[&[u8]]) -> bool {
    let is_script = |word: &[u8]| word.iter().any(|byte| byte.is_ascii_whitespace() || OF_A_SCRIPT.contains(byte));
    let scripts = (0..words.len()).filter_map(|at| script_of(words.get(at..)?));
    words.iter().copied().filter(|word| is_script(word)).chain(scripts).any(has_placeholder)
}

/// The script that a shell is given here, if the first of these words is one.
fn script_of<'a>(words: &[&'a [u8]]) -> Option<&'a [u8]> {
    let (name, arguments) = words.split_first()?;
    let name = name.rsplit(|&byte| byte == b'/').next().unwrap_or(name);
    let is_login = LOGINS.contains(&name);
    if !is_login && !SHELLS.contains(&name) {
        return None;
    }
    let (mut is_next, mut has_user) = (false, false);
    let mut arguments = arguments.iter().copied();
    while let Some(word) = arguments.next() {
        match word {
            b"--" if has_user => return None,
            [b'-', b'-', name @ ..] if !name.is_empty() => {
                if let Some(at) = name.iter().position(|&byte| byte == b'=') {
                    let long = word.get(..at.saturating_add(2)).unwrap_or_default();
                    if LONG.contains(&long) {
                        return Some(word);
                    }
                }
                is_next = is_next || LONG.contains(&word);
                if WITH_VALUE.contains(&word) {
                    arguments.next();
                }
            }
            // `-c` may be followed by its script in the same word.
            [b'-', letters @ ..] if is_login && letters.contains(&b'c') && !letters.ends_with(b"c") => {
                return Some(word);
            }
            [b'-' | b'+', letters @ ..] if !letters.is_empty() => {
                is_next = is_next || letters.contains(&b'c');
                has_user = has_user || (is_login && letters.contains(&b'u'));
                if letters.ends_with(b"o") || letters.ends_with(b"O") {
                    arguments.next();
                }
            }
            _ if is_next => return Some(word),
            _ if is_login => {}
            _ => return None, // A script's file, and its arguments.
        }
    }
    None
}

/// Whether the word has this somewhere.
pub fn contains(word: &[u8], what: &[u8]) -> bool {
    word.windows(what.len()).any(|window| window == what)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece<'a> {
    Text(&'a [u8]),
    Path,
}

fn pieces(word: &[u8]) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = word;
    std::iter::from_fn(move || {
        let (piece, length) = if rest.is_empty() {
            return None;
        } else if rest.starts_with(LITERAL) {
            (Piece::Text(PLACEHOLDER), LITERAL.len())
        } else if rest.starts_with(PLACEHOLDER) {
            (Piece::Path, PLACEHOLDER.len())
        } else {
            let is_next = |at: &usize| {
                rest.get(*at..).is_some_and(|rest| rest.starts_with(LITERAL) || rest.starts_with(PLACEHOLDER))
            };
            let length = (1..rest.len()).find(is_next).unwrap_or(rest.len());
            (Piece::Text(rest.get(..length)?), length)
        };
        rest = rest.get(length..).unwrap_or_default();
        Some(piece)
    })
}
