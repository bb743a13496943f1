//! Prints versions as a table.

use super::VersionState;
use crate::document::Checksum;
use crate::operator::table;
use crate::util::text::size;

/// The table, with a mark at the current version.
pub fn table(versions: &[VersionState]) -> String {
    let rows: Vec<_> = versions.iter().map(row).collect();
    table::table(["", "TIME", "CHECKSUM", "LINES", "SIZE", "BY", "NOTE"], &rows)
}

fn row(version: &VersionState) -> [String; 7] {
    let bytes = |bytes: u64| size(usize::try_from(bytes).unwrap_or(usize::MAX));
    let short = Checksum::parse(version.checksum.as_bytes()).map(|checksum| checksum.short().to_string());
    let lines = version.lines.map(|lines| lines.to_string()).or(version.problem.map(str::to_owned));
    let mark = if version.current { "*" } else { "" };
    [
        mark.to_owned(),
        or_dash(version.time.clone()),
        or_dash(short),
        or_dash(lines),
        or_dash(version.size.map(bytes)),
        or_dash(version.by.clone()),
        note(version),
    ]
}

fn note(version: &VersionState) -> String {
    let remark = version.remark.map(|remark| format!("({remark})"));
    let rollback = version.rollback.then(|| "rollback".to_owned());
    let parts: Vec<String> = [remark, rollback, version.note.clone()].into_iter().flatten().collect();
    parts.join(": ")
}

fn or_dash(cell: Option<String>) -> String {
    cell.unwrap_or("-".into())
}
