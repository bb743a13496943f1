//! A program's output on its way to our stderr: each line marked with whose it is, and of very much of it only the
//! beginning, as it comes, and the end.

use crate::document::size;
use crate::stderr::Stderr;

/// So much of it is passed on as it comes.
const BEGINNING: usize = 64 * 1024;
/// Of the rest, so much of its end, where the cause of a failure stands.
const END: usize = 1024;
/// And so much of that with its marks: with our own line, it fits into the 4 KiB that an agent keeps of a handler's output.
const MARKED_END: usize = 3 * 1024;

/// What is told of a program's output.
#[derive(Debug)]
pub struct Excerpt {
    mark: &'static str,
    stderr: Stderr,
    passed_on: usize,
    left_out: usize,
    /// At least the last bytes of what was not passed on.
    last: Vec<u8>,
    line_is_open: bool,
}

impl Excerpt {
    /// Of a program that is known by this word.
    pub fn of(mark: &'static str) -> Excerpt {
        Excerpt { mark, stderr: Stderr::default(), passed_on: 0, left_out: 0, last: Vec::new(), line_is_open: false }
    }

    /// The next piece of it.
    pub fn take(&mut self, output: &[u8]) {
        let at = output.len().min(BEGINNING.saturating_sub(self.passed_on));
        let (now, later) = output.split_at(at);
        self.passed_on = self.passed_on.saturating_add(now.len());
        self.pass_on(now);
        self.last.extend_from_slice(later);
        let too_much = self.last.len().saturating_sub(END);
        if too_much > 0 {
            self.last.drain(..too_much);
            self.left_out = self.left_out.saturating_add(too_much);
        }
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
        let last = std::mem::take(&mut self.last);
        end.clear();
        self.mark(&last, &mut end);
        self.end_line(&mut end);
        end.drain(..end.len().saturating_sub(MARKED_END));
        self.stderr.pass_on(&end);
    }

    fn pass_on(&mut self, output: &[u8]) {
        let mut marked = Vec::with_capacity(output.len().saturating_mul(2));
        self.mark(output, &mut marked);
        self.stderr.pass_on(&marked);
    }

    fn mark(&mut self, output: &[u8], marked: &mut Vec<u8>) {
        for line in output.split_inclusive(|&byte| byte == b'\n') {
            if !self.line_is_open {
                marked.extend_from_slice(self.mark.as_bytes());
                marked.extend_from_slice(b": ");
            }
            marked.extend_from_slice(line);
            self.line_is_open = !line.ends_with(b"\n");
        }
    }

    fn end_line(&mut self, marked: &mut Vec<u8>) {
        if std::mem::take(&mut self.line_is_open) {
            marked.push(b'\n');
        }
    }
}
