//! Formats rows as aligned columns. Pure.

use crate::util::text;

/// The header and the rows; empty if there are no rows.
pub(super) fn table<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let header = header.map(str::to_owned);
    let rows: Vec<[String; N]> =
        rows.iter().map(|row| row.each_ref().map(|cell| text::line(cell).into_owned())).collect();
    let all = || std::iter::once(&header).chain(&rows);
    let mut widths = [0; N];
    for row in all() {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    all().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let row = |a: &str, b: &str| [a.to_owned(), b.to_owned()];
        assert_eq!(table(["KEY", "STATE"], &[]), "");
        let text = table(["KEY", "STATE"], &[row("hosts…", "ok"), row("a", "torn: why")]);
        assert_eq!(text, "KEY     STATE\nhosts…  ok\na       torn: why\n");
        let text = table(["KEY", "STATE"], &[row("a\nok\x1b[1A", "ok")]);
        assert_eq!(text, "KEY          STATE\na ok\\x1b[1A  ok\n");
    }
}
