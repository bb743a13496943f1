//! A terminal's output as SVG: its text, with the few colours that the demo uses.

use super::svg::{Colours, escaped, picture};

const LINE: usize = 18;
const MARGIN: usize = 20;
const BAR: usize = 36;
const WIDTH: usize = 700;

const STYLE: &str = "text{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,\"DejaVu Sans Mono\",monospace}\n\
                     .b{font-weight:700}";

const COLOURS: &Colours = &[
    ("bar", "fill:#d1d9e0", "fill:#3d444d"),
    ("d", "fill:#59636e", "fill:#9198a1"),
    ("r", "fill:#c9252d", "fill:#ff7b72"),
    ("g", "fill:#1a7f37", "fill:#56d364"),
];

pub fn draw(title: &str, about: &str, output: &str) -> String {
    let output = output.replace('\r', "");
    let mut body: String =
        (0..3).map(|n| format!("<circle class=\"bar\" cx=\"{}\" cy=\"20\" r=\"5\"/>\n", 22 + n * 18)).collect();
    let mut height = BAR;
    for line in output.lines() {
        height += LINE;
        if !line.is_empty() {
            body += &format!("<text class=\"ink\" x=\"{MARGIN}\" y=\"{height}\">{}</text>\n", coloured(line));
        }
    }
    picture(title, about, (WIDTH, height + MARGIN), STYLE, COLOURS, &body)
}

/// `ESC [ 32 m` and the like begin a span, `ESC [ m` ends it.
fn coloured(line: &str) -> String {
    let mut spans = line.split('\u{1b}');
    let mut text = escaped(spans.next().unwrap_or_default());
    for span in spans {
        let (code, words) =
            span.strip_prefix('[').and_then(|span| span.split_once('m')).expect("a colour, and nothing else");
        let class = match code {
            "" | "0" => "",
            "1" => "b",
            "2" => "d",
            "31" => "r",
            "32" => "g",
            other => panic!("the demo has no colour {other}"),
        };
        text += &match (class, words) {
            (_, "") => String::new(),
            ("", words) => escaped(words),
            (class, words) => format!("<tspan class=\"{class}\">{}</tspan>", escaped(words)),
        };
    }
    text
}
