//! A diagram as SVG, drawn from a text that already looks like it. Its first lines are `title:` and `about:`, then come:
//!
//! ```text
//! ╔═╗ one of our programs    ┌─┐ anything else      ╭─╮ what is kept, and exits
//! ┏━┓ a place with others in it
//! ╒═╕ one of which there are many    ─ │ ┄ ┆ ┌ ┐ └ ┘ ▶ ▼ ◀ ▲ lines and arrows
//! ```
//!
//! A line that leaves a box begins in its border (`├ ┤ ┬ ┴`, `╟ ╢ ╤ ╧`), one that enters it ends before it with an arrow.
//! Words are in the middle of a box, its first line stands out; two spaces or a line end them; `code` is code.

use super::grid::{Box, Grid, arms};
use super::svg::{Colours, escaped, picture};

const CELL: (usize, usize) = (8, 18);
const MARGIN: usize = 16;

const STYLE: &str = "text{font:13px -apple-system,BlinkMacSystemFont,\"Segoe UI\",\"Noto Sans\",\"DejaVu Sans Condensed\",Helvetica,Arial,sans-serif}\n\
                     .code{font:12px ui-monospace,SFMono-Regular,Menlo,Consolas,\"DejaVu Sans Mono\",monospace}\n\
                     .strong,.strong .code{font-weight:600}.middle{text-anchor:middle}\n.line{fill:none;stroke-width:1.5}.dashed{stroke-dasharray:4.5}";

const COLOURS: &Colours = &[
    ("soft", "fill:#59636e", "fill:#9198a1"),
    ("good", "fill:#1a7f37;font-weight:600", "fill:#56d364;font-weight:600"),
    ("bad", "fill:#c9252d;font-weight:600", "fill:#ff7b72;font-weight:600"),
    ("line", "stroke:#59636e", "stroke:#9198a1"),
    ("head", "fill:#59636e", "fill:#9198a1"),
    ("place", "fill:#f6f8fa;stroke:#d1d9e0", "fill:#151b23;stroke:#3d444d"),
    ("ours", "fill:#ddf4ff;stroke:#0969da;stroke-width:1.5", "fill:#0b2545;stroke:#4493f8;stroke-width:1.5"),
    ("other", "fill:#ffffff;stroke:#818b98", "fill:#0d1117;stroke:#656c76"),
    ("exit", "fill:#f6f8fa;stroke:#d1d9e0", "fill:#151b23;stroke:#3d444d"),
    ("kept", "fill:#fff8e5;stroke:#bf8700", "fill:#272115;stroke:#9e6a03"),
];

/// In pixels, from cells.
fn px(x: f32, y: f32) -> (f32, f32) {
    (MARGIN as f32 + x * CELL.0 as f32, MARGIN as f32 + y * CELL.1 as f32)
}

pub fn draw(source: &str) -> String {
    let (title, rest) = source.split_once('\n').expect("a title");
    let (about, drawing) = rest.split_once("\n\n").expect("what it is about");
    let grid = Grid::of(drawing);
    let boxes = Box::all(&grid);
    let (width, height) = grid.size();
    let size = (width * CELL.0 + 2 * MARGIN, height * CELL.1 + 2 * MARGIN);
    let body = format!("{}{}{}", rectangles(&boxes), lines(&grid, &boxes), texts(&grid, &boxes));
    let said = |line: &str, what: &str| line.strip_prefix(what).unwrap_or_else(|| panic!("no `{what}`")).to_owned();
    picture(&said(title, "title: "), &said(about, "about: "), size, STYLE, COLOURS, &body)
}

/// Places first, since others are in them.
fn rectangles(boxes: &[Box]) -> String {
    let (places, others): (Vec<&Box>, Vec<&Box>) = boxes.iter().partition(|it| it.is_place());
    let draw = |it: &Box| {
        let (x, y) = px(it.left as f32 + 0.5, it.top as f32 + 0.5);
        let (right, bottom) = px(it.right as f32 + 0.5, it.bottom as f32 + 0.5);
        let round = if matches!(it.class, "kept" | "exit") { 10 } else { 5 };
        let behind: &[f32] = if it.class.ends_with("many") { &[8.0, 4.0, 0.0] } else { &[0.0] };
        let rectangle = |off: &f32| {
            format!(
                "<rect class=\"{}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"{round}\"/>\n",
                it.class,
                x + off,
                y + off,
                right - x,
                bottom - y
            )
        };
        behind.iter().map(rectangle).collect::<String>()
    };
    places.into_iter().chain(others).map(draw).collect()
}

fn lines(grid: &Grid, boxes: &[Box]) -> String {
    let (mut solid, mut dashed, mut heads) = (String::new(), String::new(), String::new());
    for (x, y) in grid.cells() {
        let c = grid.at(x, y);
        let of_box = boxes.iter().find_map(|it| it.border(grid, x, y));
        let [up, right, down, left] =
            of_box.map_or(arms(c), |out| std::array::from_fn(|side| out[side] && arms(c)[side]));
        let path = if is_dashed(grid, x, y) { &mut dashed } else { &mut solid };
        let (x, y) = (x as f32, y as f32);
        let ((x0, y0), (cx, cy), (x1, y1)) = (px(x, y), px(x + 0.5, y + 0.5), px(x + 1.0, y + 1.0));
        *path += &match ([up, right, down, left], of_box) {
            // The corner of a line is round.
            ([false, true, true, false], None) => format!("M{x1} {cy}Q{cx} {cy} {cx} {y1}"),
            ([false, false, true, true], None) => format!("M{x0} {cy}Q{cx} {cy} {cx} {y1}"),
            ([true, true, false, false], None) => format!("M{x1} {cy}Q{cx} {cy} {cx} {y0}"),
            ([true, false, false, true], None) => format!("M{x0} {cy}Q{cx} {cy} {cx} {y0}"),
            ([up, right, down, left], _) => {
                let from_to = |is: bool, other: bool, from, middle, to| match (is, other) {
                    (true, true) => Some((from, to)),
                    (true, false) => Some((from, middle)),
                    (false, true) => Some((middle, to)),
                    (false, false) => None,
                };
                let across = from_to(left, right, x0, cx, x1).map(|(from, to)| format!("M{from} {cy}H{to}"));
                let along = from_to(up, down, y0, cy, y1).map(|(from, to)| format!("M{cx} {from}V{to}"));
                across.into_iter().chain(along).collect()
            }
        };
        // The tip touches the border of the box, half a cell further.
        heads += &match c {
            '▶' => format!("M{} {cy}l-9 -4.5v9z", x1 + 3.0),
            '◀' => format!("M{} {cy}l9 -4.5v9z", x0 - 3.0),
            '▼' => format!("M{cx} {}l-4.5 -9h9z", y1 + 8.0),
            '▲' => format!("M{cx} {}l-4.5 9h9z", y0 - 8.0),
            _ => continue,
        };
    }
    format!(
        "<path class=\"line\" d=\"{solid}\"/>\n<path class=\"line dashed\" d=\"{dashed}\"/>\n<path class=\"head\" d=\"{heads}\"/>\n"
    )
}

/// So is the corner of a dashed line, and where it leaves a box.
fn is_dashed(grid: &Grid, x: usize, y: usize) -> bool {
    let beside = [(x, y + 1), (x + 1, y), (x, y.wrapping_sub(1)), (x.wrapping_sub(1), y), (x, y)];
    beside.iter().any(|(x, y)| "┄┆".contains(grid.at(*x, *y))) && !"─│".contains(grid.at(x, y))
}

fn texts(grid: &Grid, boxes: &[Box]) -> String {
    let mut texts = String::new();
    for (y, row) in grid.rows().enumerate() {
        let is_drawn =
            |x: usize| arms(row[x]).contains(&true) || boxes.iter().any(|it| it.border(grid, x, y).is_some());
        let mut x = 0;
        while x < row.len() {
            if row[x] == ' ' || is_drawn(x) {
                x += 1;
                continue;
            }
            let ends = |end: usize| {
                end >= row.len() || is_drawn(end) || (row[end] == ' ' && matches!(row.get(end + 1), None | Some(' ')))
            };
            let end = (x..).find(|&end| ends(end)).unwrap_or(x);
            let words: String = row[x..end].iter().collect();
            texts += &text(words.trim_end(), x, y, grid, boxes);
            x = end;
        }
    }
    texts
}

fn text(words: &str, x: usize, y: usize, grid: &Grid, boxes: &[Box]) -> String {
    let length = words.chars().count();
    let inside = boxes.iter().filter(|it| it.holds(x, y)).min_by_key(|it| it.right - it.left);
    let is_first = inside.is_some_and(|it| y == it.top + 1);
    let is_exit = inside.is_some_and(|it| it.class == "exit");
    let is_on_a_line = x > 1 && arms(grid.at(x - 2, y))[1] && arms(grid.at(x + length + 1, y))[3];
    let (class, at) = match inside {
        _ if is_exit => ("ink", x as f32),
        Some(it) if !it.is_place() => (if is_first { "ink strong middle" } else { "soft middle" }, it.middle()),
        _ if is_on_a_line => ("soft middle", x as f32 + length as f32 / 2.0),
        Some(_) if is_first => ("ink strong", x as f32),
        _ => ("soft", x as f32),
    };
    let (number, words) = words.split_at(if is_exit { words.find(' ').unwrap_or(length) } else { 0 });
    let number = match number {
        "" => String::new(),
        number => format!("<tspan class=\"{}\">{number}</tspan>", if number == "0" { "good" } else { "bad" }),
    };
    let parts = words.split('`').enumerate();
    let words: String = parts
        .map(|(n, part)| match (n % 2, escaped(part)) {
            (0, part) => part,
            (_, part) => format!("<tspan class=\"code\">{part}</tspan>"),
        })
        .collect();
    let (x, y) = px(at, y as f32 + 0.5);
    format!("<text class=\"{class}\" x=\"{x}\" y=\"{}\">{number}{words}</text>\n", y + 4.5)
}
