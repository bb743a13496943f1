//! A program's output on its way to our stderr: each line marked with whose it is, nothing in it that a terminal would obey, and
//! of very much of it only the beginning, as it comes, and the end.

use crate::telemetry::log::{Format, Logger};
use crate::telemetry::stderr::Stderr;
use crate::util::text;
use crate::util::text::size;

/// So much of it is passed on as it comes.
const BEGINNING: usize = 64 * 1024;
/// Of the rest, so much of its end, where the cause of a failure stands.
const END: usize = 1024;
/// And so much of that with its marks: with our own line, it fits into the 4 KiB that an agent keeps of a handler's output.
const MARKED_END: usize = 3 * 1024;
/// As an object, a line counts so much more than it has: there may be as many of them as bytes.
const AN_OBJECT: usize = 128;
/// What is longer becomes several objects.
const LONGEST_LINE: usize = 4096;

/// What is told of a program's output.
#[derive(Debug)]
pub struct ChildOutput<'j> {
    mark: &'static str,
    logger: &'j Logger,
    stderr: Stderr,
    passed_on: usize,
    left_out: usize,
    /// The beginning of a character whose end is still to come.
    incomplete: Vec<u8>,
    /// At least the last bytes of what was not passed on.
    last: Vec<u8>,
    line: Line,
}

/// What there is of a line that has not ended.
#[derive(Debug)]
enum Line {
    None,
    /// It is passed on already, with its mark.
    Open,
    /// It becomes an object once it is whole.
    Kept(Vec<u8>),
}

impl<'j> ChildOutput<'j> {
    /// Of a program that is known by this word.
    pub fn of(mark: &'static str, logger: &'j Logger) -> ChildOutput<'j> {
        ChildOutput {
            mark,
            logger,
            stderr: Stderr::default(),
            passed_on: 0,
            left_out: 0,
            incomplete: Vec::new(),
            last: Vec::new(),
            line: Line::None,
        }
    }

    /// The next piece of it.
    pub fn take(&mut self, output: &[u8]) {
        if self.is_full() {
            // It would be filtered in vain: of megabytes, most is left out.
            self.keep_for_later(output);
            return;
        }
        let output = self.filtered(output);
        let at = output.iter().position(|&byte| !self.has_room_for(byte)).unwrap_or(output.len());
        let (now, later) = output.split_at(start_of_character(&output, at));
        self.pass_on(now);
        self.keep_for_later(later);
        if self.is_full() {
            let incomplete = std::mem::take(&mut self.incomplete);
            self.keep_for_later(&incomplete);
        }
    }

    fn is_full(&self) -> bool {
        self.passed_on > BEGINNING
    }

    /// For people; objects escape by themselves.
    fn filtered(&mut self, output: &[u8]) -> Vec<u8> {
        if self.logger.format() == Format::Json {
            return output.to_vec();
        }
        let mut all = std::mem::take(&mut self.incomplete);
        all.extend_from_slice(output);
        self.incomplete = all.split_off(all.len().saturating_sub(text::incomplete(&all)));
        text::lines_of(&all).into_bytes()
    }

    fn keep_for_later(&mut self, output: &[u8]) {
        self.last.extend_from_slice(output);
        let too_much = self.last.len().saturating_sub(END);
        if too_much > 0 {
            self.last.drain(..too_much);
            self.left_out = self.left_out.saturating_add(too_much);
        }
    }

    /// Once there is none, there is none for what follows, either.
    fn has_room_for(&mut self, byte: u8) -> bool {
        let more = if byte == b'\n' && self.logger.format() == Format::Json { AN_OBJECT } else { 1 };
        self.passed_on = self.passed_on.saturating_add(more).min(BEGINNING.saturating_add(1));
        self.passed_on <= BEGINNING
    }

    /// There is no more of it. What we say next is a line of its own.
    pub fn end(mut self) {
        let mut end = Vec::new();
        if self.left_out > 0 {
            self.end_line(&mut end);
            let left_out = format!("({} left out)\n", size(self.left_out));
            self.mark(left_out.as_bytes(), &mut end);
        }
        self.stderr.pass_on(&end);
        let mut last = std::mem::take(&mut self.last);
        last.append(&mut self.incomplete);
        if self.left_out > 0 {
            last.drain(..end_of_character(&last, 0));
        }
        if self.logger.format() == Format::Text {
            last = text::lines_of(&last).into_bytes();
        }
        end.clear();
        self.mark(&last, &mut end);
        self.end_line(&mut end);
        let too_much = end.len().saturating_sub(MARKED_END);
        end.drain(
            ..match self.logger.format() {
                Format::Text => end_of_character(&end, too_much),
                Format::Json => whole_lines(&end, too_much),
            },
        );
        self.stderr.pass_on(&end);
    }

    fn pass_on(&mut self, output: &[u8]) {
        let mut marked = Vec::with_capacity(output.len().saturating_mul(2));
        self.mark(output, &mut marked);
        self.stderr.pass_on(&marked);
    }

    fn mark(&mut self, output: &[u8], marked: &mut Vec<u8>) {
        for piece in output.split_inclusive(|&byte| byte == b'\n') {
            match self.logger.format() {
                Format::Text => {
                    if matches!(self.line, Line::None) {
                        marked.extend_from_slice(self.mark.as_bytes());
                        marked.extend_from_slice(b": ");
                    }
                    marked.extend_from_slice(piece);
                    self.line = if piece.ends_with(b"\n") { Line::None } else { Line::Open };
                }
                Format::Json => self.keep(piece, marked),
            }
        }
    }

    fn keep(&mut self, piece: &[u8], marked: &mut Vec<u8>) {
        for piece in piece.chunks(LONGEST_LINE) {
            let mut line = match std::mem::replace(&mut self.line, Line::None) {
                Line::Kept(line) => line,
                Line::None | Line::Open => Vec::new(),
            };
            line.extend_from_slice(piece);
            self.line = Line::Kept(line);
            if piece.ends_with(b"\n") || piece.len() == LONGEST_LINE {
                self.end_line(marked);
            }
        }
    }

    fn end_line(&mut self, marked: &mut Vec<u8>) {
        match std::mem::replace(&mut self.line, Line::None) {
            Line::None => {}
            Line::Open => marked.push(b'\n'),
            Line::Kept(line) => {
                let line = line.strip_suffix(b"\n").unwrap_or(&line);
                marked.extend_from_slice(self.logger.quote(self.mark, line).as_bytes());
            }
        }
    }
}

/// Where the character begins that has this byte.
fn start_of_character(text: &[u8], at: usize) -> usize {
    let before = text.get(..=at).unwrap_or_default().iter().rev();
    at.saturating_sub(before.take(4).take_while(|&&byte| is_continued(byte)).count())
}

/// Where the character has ended that has this byte; the byte itself, where it is one's first.
fn end_of_character(text: &[u8], at: usize) -> usize {
    let from = text.get(at..).unwrap_or_default().iter();
    at.saturating_add(from.take(4).take_while(|&&byte| is_continued(byte)).count())
}

/// In UTF-8.
fn is_continued(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

/// Where the first line begins that leaves out `least` bytes; of one that is longer than all that is left, where it does.
fn whole_lines(lines: &[u8], least: usize) -> usize {
    let starts = || lines.iter().enumerate().filter(|&(_, &byte)| byte == b'\n').map(|(at, _)| at.saturating_add(1));
    let starts = || std::iter::once(0).chain(starts().filter(|&start| start < lines.len()));
    starts().find(|&start| start >= least).or_else(|| starts().last()).unwrap_or(0)
}
