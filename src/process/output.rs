//! Passing a program's output on to stderr: each line has a label, control characters that a terminal would obey are
//! escaped, and of a large output only the beginning (while the program runs) and the end are printed.

use crate::telemetry::log::{Format, Logger};
use crate::telemetry::stderr::Stderr;
use crate::util::text;
use crate::util::text::size;

/// The number of bytes that are passed on while the program runs.
const HEAD_LIMIT: usize = 64 * 1024;
/// The number of bytes of the rest that are printed at the end, where the cause of a failure usually is.
const TAIL_LIMIT: usize = 1024;
/// The length of the tail with its labels. Together with kvx's own line, it fits into the 4 KiB that a Consul agent
/// keeps of a handler's output.
const LABELLED_TAIL_LIMIT: usize = 3 * 1024;
/// What a line counts in JSON in addition to its text: an output of nothing but newlines becomes one object for each
/// byte.
const OBJECT_OVERHEAD: usize = 128;
/// A longer line becomes several JSON objects.
const MAX_LINE: usize = 4096;

/// The output of a child program, on its way to stderr.
#[derive(Debug)]
pub struct ChildOutput<'j> {
    label: &'static str,
    logger: &'j Logger,
    stderr: Stderr,
    passed_on: usize,
    omitted: usize,
    /// The first bytes of a UTF-8 character whose other bytes have not arrived yet.
    incomplete: Vec<u8>,
    /// The last bytes of the output that was not passed on while the program ran.
    tail: Vec<u8>,
    line: Line,
}

/// The state of the current line.
#[derive(Debug)]
enum Line {
    None,
    /// The beginning of the line is printed already, with its label.
    Open,
    /// In JSON: the text of the line so far. It becomes an object once the line ends.
    Buffered(Vec<u8>),
}

impl<'j> ChildOutput<'j> {
    /// The output of a program; `label` is printed in front of each line.
    pub fn new(label: &'static str, logger: &'j Logger) -> ChildOutput<'j> {
        ChildOutput {
            label,
            logger,
            stderr: Stderr::default(),
            passed_on: 0,
            omitted: 0,
            incomplete: Vec::new(),
            tail: Vec::new(),
            line: Line::None,
        }
    }

    /// Takes the next piece of the output.
    pub fn take(&mut self, output: &[u8]) {
        if self.is_full() {
            // Not filtered: most of a large output is discarded.
            self.add_to_tail(output);
            return;
        }
        let output = self.filtered(output);
        let at = output.iter().position(|&byte| !self.count(byte)).unwrap_or(output.len());
        let (now, later) = output.split_at(start_of_character(&output, at));
        self.pass_on(now);
        self.add_to_tail(later);
        if self.is_full() {
            let incomplete = std::mem::take(&mut self.incomplete);
            self.add_to_tail(&incomplete);
        }
    }

    fn is_full(&self) -> bool {
        self.passed_on > HEAD_LIMIT
    }

    /// The output with its control characters escaped. In JSON, the log does that itself.
    fn filtered(&mut self, output: &[u8]) -> Vec<u8> {
        if self.logger.format() == Format::Json {
            return output.to_vec();
        }
        let mut all = std::mem::take(&mut self.incomplete);
        all.extend_from_slice(output);
        self.incomplete = all.split_off(all.len().saturating_sub(text::incomplete(&all)));
        text::lines_of(&all).into_bytes()
    }

    fn add_to_tail(&mut self, output: &[u8]) {
        self.tail.extend_from_slice(output);
        let too_much = self.tail.len().saturating_sub(TAIL_LIMIT);
        if too_much > 0 {
            self.tail.drain(..too_much);
            self.omitted = self.omitted.saturating_add(too_much);
        }
    }

    /// Counts a byte as passed on. Returns whether it still fits into the head; once one does not, no later one does.
    fn count(&mut self, byte: u8) -> bool {
        let more = if byte == b'\n' && self.logger.format() == Format::Json { OBJECT_OVERHEAD } else { 1 };
        self.passed_on = self.passed_on.saturating_add(more).min(HEAD_LIMIT.saturating_add(1));
        self.passed_on <= HEAD_LIMIT
    }

    /// Prints the end of the output, and ends its last line, so that kvx's next line is a line of its own.
    pub fn finish(mut self) {
        let mut end = Vec::new();
        if self.omitted > 0 {
            self.end_line(&mut end);
            let omitted = format!("({} left out)\n", size(self.omitted));
            self.label_lines(omitted.as_bytes(), &mut end);
        }
        self.stderr.pass_on(&end);
        let mut last = std::mem::take(&mut self.tail);
        last.append(&mut self.incomplete);
        if self.omitted > 0 {
            last.drain(..end_of_character(&last, 0));
        }
        if self.logger.format() == Format::Text {
            last = text::lines_of(&last).into_bytes();
        }
        end.clear();
        self.label_lines(&last, &mut end);
        self.end_line(&mut end);
        let too_much = end.len().saturating_sub(LABELLED_TAIL_LIMIT);
        end.drain(
            ..match self.logger.format() {
                Format::Text => end_of_character(&end, too_much),
                Format::Json => start_of_line(&end, too_much),
            },
        );
        self.stderr.pass_on(&end);
    }

    fn pass_on(&mut self, output: &[u8]) {
        let mut labelled = Vec::with_capacity(output.len().saturating_mul(2));
        self.label_lines(output, &mut labelled);
        self.stderr.pass_on(&labelled);
    }

    fn label_lines(&mut self, output: &[u8], labelled: &mut Vec<u8>) {
        for piece in output.split_inclusive(|&byte| byte == b'\n') {
            match self.logger.format() {
                Format::Text => {
                    if matches!(self.line, Line::None) {
                        labelled.extend_from_slice(self.label.as_bytes());
                        labelled.extend_from_slice(b": ");
                    }
                    labelled.extend_from_slice(piece);
                    self.line = if piece.ends_with(b"\n") { Line::None } else { Line::Open };
                }
                Format::Json => self.buffer(piece, labelled),
            }
        }
    }

    fn buffer(&mut self, piece: &[u8], labelled: &mut Vec<u8>) {
        for piece in piece.chunks(MAX_LINE) {
            let mut line = match std::mem::replace(&mut self.line, Line::None) {
                Line::Buffered(line) => line,
                Line::None | Line::Open => Vec::new(),
            };
            line.extend_from_slice(piece);
            self.line = Line::Buffered(line);
            if piece.ends_with(b"\n") || piece.len() == MAX_LINE {
                self.end_line(labelled);
            }
        }
    }

    fn end_line(&mut self, labelled: &mut Vec<u8>) {
        match std::mem::replace(&mut self.line, Line::None) {
            Line::None => {}
            Line::Open => labelled.push(b'\n'),
            Line::Buffered(line) => {
                let line = line.strip_suffix(b"\n").unwrap_or(&line);
                labelled.extend_from_slice(self.logger.quote(self.label, line).as_bytes());
            }
        }
    }
}

/// The start of the character that this byte belongs to.
fn start_of_character(text: &[u8], at: usize) -> usize {
    let before = text.get(..=at).unwrap_or_default().iter().rev();
    at.saturating_sub(before.take(4).take_while(|&&byte| is_continuation(byte)).count())
}

/// The end of the character that this byte belongs to; `at` itself if the byte is the first of a character.
fn end_of_character(text: &[u8], at: usize) -> usize {
    let from = text.get(at..).unwrap_or_default().iter();
    at.saturating_add(from.take(4).take_while(|&&byte| is_continuation(byte)).count())
}

/// Whether the byte is a continuation byte in UTF-8.
fn is_continuation(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

/// The start of the first line that begins at or after `at_least`. If the last line begins earlier, its start.
fn start_of_line(lines: &[u8], at_least: usize) -> usize {
    let starts = || lines.iter().enumerate().filter(|&(_, &byte)| byte == b'\n').map(|(at, _)| at.saturating_add(1));
    let starts = || std::iter::once(0).chain(starts().filter(|&start| start < lines.len()));
    starts().find(|&start| start >= at_least).or_else(|| starts().last()).unwrap_or(0)
}
