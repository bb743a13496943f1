//! The frame of all pictures: a background of its own, so that they can be read on light and dark pages, and colours
//! for both.

/// A class, and its declarations in light and in dark.
pub type Colours = [(&'static str, &'static str, &'static str)];

const FRAME: &Colours = &[
    ("ground", "fill:#ffffff;stroke:#d1d9e0", "fill:#0d1117;stroke:#3d444d"),
    ("ink", "fill:#1f2328", "fill:#f0f6fc"),
];

/// A whole picture around its body. `style` is what is the same in light and in dark.
pub fn picture(
    title: &str,
    about: &str,
    (width, height): (usize, usize),
    style: &str,
    colours: &Colours,
    body: &str,
) -> String {
    let rules = |pick: fn(&(&'static str, &'static str, &'static str)) -> &'static str| {
        FRAME.iter().chain(colours).map(|rule| format!(".{}{{{}}}", rule.0, pick(rule))).collect::<Vec<_>>().join("\n")
    };
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" xml:space=\"preserve\" role=\"img\" aria-labelledby=\"title about\" \
         width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\">\n\
         <title id=\"title\">{}</title>\n<desc id=\"about\">{}</desc>\n\
         <style>\n{style}\n{}\n@media (prefers-color-scheme:dark){{\n{}\n}}\n</style>\n\
         <rect class=\"ground\" x=\".5\" y=\".5\" width=\"{}\" height=\"{}\" rx=\"8\"/>\n{body}</svg>\n",
        escaped(title),
        escaped(about),
        rules(|rule| rule.1),
        rules(|rule| rule.2),
        width - 1,
        height - 1,
    )
}

/// As text of XML.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
