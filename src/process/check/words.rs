//! The words of a check: where the path of the staged file is inserted, and where it must not be. No I/O.
//!
//! A path may contain anything: a local user may have named a directory above it `x;id;`. As a word of its own, the
//! path is only ever a path. Inside the text of a script, it would become a part of the script.

/// Replaced by the path.
const PLACEHOLDER: &[u8] = b"{}";
/// Replaced by a literal `{}`.
const LITERAL: &[u8] = b"{{}}";

/// Characters, in addition to white space, that have a meaning to a shell or another interpreter. A word with one of
/// them may be a script.
const SCRIPT_CHARACTERS: &[u8] = br#";|&<>()$`"'\*?!#"#;

/// Programs that run the argument of `-c`, which comes before all words that are not options.
const SHELLS: [&[u8]; 12] =
    [b"sh", b"bash", b"dash", b"ash", b"rbash", b"zsh", b"ksh", b"mksh", b"yash", b"fish", b"csh", b"tcsh"];
/// Programs that pass the argument of `-c` to a shell, wherever in their arguments it is. But `runuser -u USER --` runs
/// a program.
const LOGINS: [&[u8]; 3] = [b"su", b"runuser", b"sg"];
/// Long names of `-c`.
const LONG_OPTIONS: [&[u8]; 3] = [b"--command", b"--session-command", b"--init-command"];
/// Options of shells that take a value, in addition to those that end with `o` or `O`.
const WITH_VALUE: [&[u8]; 2] = [b"--rcfile", b"--init-file"];

/// Whether the word contains the placeholder.
pub fn has_placeholder(word: &[u8]) -> bool {
    pieces(word).any(|piece| piece == Piece::Path)
}

/// The word, with the path in place of the placeholder.
pub fn filled(word: &[u8], path: &[u8]) -> Vec<u8> {
    let filled = pieces(word).map(|piece| match piece {
        Piece::Path => path,
        Piece::Text(text) => text,
    });
    filled.collect::<Vec<_>>().concat()
}

/// Whether a shell or another interpreter would find the path inside its script.
pub fn has_path_in_a_script(words: &[&[u8]]) -> bool {
    let is_script =
        |word: &[u8]| word.iter().any(|byte| byte.is_ascii_whitespace() || SCRIPT_CHARACTERS.contains(byte));
    let scripts = (0..words.len()).filter_map(|at| script_of(words.get(at..)?));
    words.iter().copied().filter(|word| is_script(word)).chain(scripts).any(has_placeholder)
}

/// The script in the arguments, if the first of these words is a shell.
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
                    if LONG_OPTIONS.contains(&long) {
                        return Some(word);
                    }
                }
                is_next = is_next || LONG_OPTIONS.contains(&word);
                if WITH_VALUE.contains(&word) {
                    arguments.next();
                }
            }
            // The script may follow `-c` in the same word.
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
            _ => return None, // The file of a script; its arguments follow.
        }
    }
    None
}

/// Whether the word contains this text.
pub fn contains(word: &[u8], text: &[u8]) -> bool {
    word.windows(text.len()).any(|window| window == text)
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
