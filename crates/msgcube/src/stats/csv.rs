//! Rows as CSV, with the columns of the server's own CSV.

use super::{StatsBy, answers::AskedRow};

/// The rows with a header. Source: RFC 4180.
pub(super) fn csv(rows: &[AskedRow], by: Option<StatsBy>, new: bool) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    let split = match by {
        None => None,
        Some(StatsBy::Count) => Some("count"),
        Some(StatsBy::Type | StatsBy::Official) => Some("type"),
    };
    let messages = (by != Some(StatsBy::Count)).then_some("messages");
    let new = if new { &["new", "new_is_early"][..] } else { &[] };
    let header = ["account", "period"].into_iter().chain(split).chain(["users"]).chain(messages);
    // Writing to memory cannot fail.
    let _ = writer.write_record(header.chain(new.iter().copied()).chain(["covered", "bridged"]));
    for row in rows {
        let split = split.map(|_| row.kind.clone().or(row.count.clone()).unwrap_or_default());
        let messages = messages.map(|_| row.messages.unwrap_or(0).to_string());
        let early = row.new_is_early.unwrap_or(false);
        let new = (!new.is_empty()).then(|| [row.new.unwrap_or(0).to_string(), early.to_string()]);
        let names = [row.account.clone(), row.period.clone()].into_iter().chain(split);
        let figures = [row.users.to_string()].into_iter().chain(messages).chain(new.into_iter().flatten());
        let coverage = [row.covered.to_string(), row.bridged.to_string()];
        let _ = writer.write_record(names.chain(figures).chain(coverage));
    }
    writer.into_inner().unwrap_or_default()
}
