//! Line charts as SVG files in target/bench.

use std::fmt::Write;
use std::path::Path;

const WIDTH: f64 = 780.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 220.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 55.0;
/// Colours that people with a colour vision deficiency can distinguish.
const COLOURS: [&str; 6] = ["#000000", "#0072b2", "#009e73", "#d55e00", "#cc79a7", "#e69f00"];

pub struct Plot {
    pub title: String,
    pub x: Axis,
    pub y: Axis,
    pub lines: Vec<Line>,
}

pub struct Line {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

pub struct Axis {
    label: &'static str,
    logarithmic: bool,
}

impl Axis {
    pub fn linear(label: &'static str) -> Axis {
        Axis { label, logarithmic: false }
    }

    pub fn logarithmic(label: &'static str) -> Axis {
        Axis { label, logarithmic: true }
    }

    fn scale(&self, values: impl Iterator<Item = f64>) -> Scale {
        let (least, most) = values.fold((f64::MAX, f64::MIN), |(least, most), n| (least.min(n), most.max(n)));
        match self.logarithmic {
            // The ends are 1, 2 or 5 times a power of ten.
            true => {
                let all = (-9..9).flat_map(|power| [1.0, 2.0, 5.0].map(|n| n * 10f64.powi(power)));
                let below = all.clone().take_while(|&n| n <= least).last().unwrap_or(least);
                let above = all.clone().find(|&n| n >= most).unwrap_or(most);
                let ticks = all.filter(|&n| (below..=above).contains(&n)).collect();
                Scale { from: below.ln(), to: above.ln(), ticks, logarithmic: true }
            }
            false => {
                let step = [1.0, 2.0, 5.0, 10.0].map(|n| n * 10f64.powf((most / 5.0).log10().floor()));
                let step = step.into_iter().find(|step| most / step <= 6.0).unwrap_or(most);
                let steps = (most / step).ceil() as u32;
                let ticks = (0..=steps).map(|n| f64::from(n) * step).collect();
                Scale { from: 0.0, to: f64::from(steps) * step, ticks, logarithmic: false }
            }
        }
    }
}

/// Maps figures to positions on an axis.
struct Scale {
    from: f64,
    to: f64,
    ticks: Vec<f64>,
    logarithmic: bool,
}

impl Scale {
    fn share(&self, figure: f64) -> f64 {
        let figure = if self.logarithmic { figure.ln() } else { figure };
        (figure - self.from) / (self.to - self.from)
    }
}

impl Plot {
    pub fn write(&self, name: &str) {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench");
        let file = dir.join(name).with_extension("svg");
        let written = std::fs::create_dir_all(dir).and_then(|()| std::fs::write(&file, self.svg()));
        written.expect("a plot to be written");
        println!("As a picture: {}\n", file.display());
    }

    fn svg(&self) -> String {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let (x, y) = (self.x.scale(points().map(|point| point.0)), self.y.scale(points().map(|point| point.1)));
        let across = |figure| LEFT + x.share(figure) * (WIDTH - LEFT - RIGHT);
        let down = |figure| HEIGHT - BOTTOM - y.share(figure) * (HEIGHT - TOP - BOTTOM);
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        let mut svg = Svg::new();
        svg.text(LEFT, TOP / 2.0, "start", &self.title);
        for &tick in &x.ticks {
            svg.path("#ddd", 1.0, &[(across(tick), TOP), (across(tick), bottom)]);
            svg.text(across(tick), bottom + 18.0, "middle", &tick.to_string());
        }
        for &tick in &y.ticks {
            svg.path("#ddd", 1.0, &[(LEFT, down(tick)), (right, down(tick))]);
            svg.text(LEFT - 8.0, down(tick) + 4.0, "end", &tick.to_string());
        }
        svg.text((LEFT + right) / 2.0, HEIGHT - 12.0, "middle", self.x.label);
        svg.text(LEFT, TOP - 6.0, "start", self.y.label);
        for (at, (line, colour)) in self.lines.iter().zip(COLOURS.iter().cycle()).enumerate() {
            let drawn: Vec<(f64, f64)> = line.points.iter().map(|&(x, y)| (across(x), down(y))).collect();
            svg.path(colour, 2.0, &drawn);
            let height = TOP + 10.0 + 20.0 * at as f64;
            svg.path(colour, 2.0, &[(right + 12.0, height), (right + 32.0, height)]);
            svg.text(right + 38.0, height + 4.0, "start", &line.name);
        }
        svg.end()
    }
}

struct Svg(String);

impl Svg {
    fn new() -> Svg {
        Svg(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
             font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
        ))
    }

    fn text(&mut self, x: f64, y: f64, anchor: &str, text: &str) {
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        self.line(format_args!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"));
    }

    fn path(&mut self, colour: &str, width: f64, points: &[(f64, f64)]) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let points = points.join(" ");
        self.line(format_args!(
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\" points=\"{points}\"/>"
        ));
    }

    fn line(&mut self, line: std::fmt::Arguments) {
        let _ = writeln!(self.0, "{line}");
    }

    fn end(self) -> String {
        self.0 + "</svg>\n"
    }
}
