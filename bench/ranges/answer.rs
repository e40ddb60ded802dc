//! For `bench/compare.py`: writes the year's messages for other databases, and answers questions about it.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufWriter, Write as _},
    time::Instant,
};

use counting::day_of;
use datacube::{Day, Granularity};
use serde_json::json;
use storage::store::{
    AccountNumber, Store,
    statistics::{Grouping, Span},
};

use crate::{Outcome, messages::Messages};

/// Writes a line for each message to standard output: number of the user, day since 1970, month, kind.
pub(crate) fn export(messages: Messages) -> Outcome<()> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut users = BTreeMap::new();
    for message in messages {
        let next = users.len();
        let user = *users.entry(message.user.clone()).or_insert(next);
        let day = day_of(message.create_time);
        let month = &day.to_string()[..7];
        writeln!(out, "{user},{},{month},{}", day.days_since_1970(), message.kind().name())?;
    }
    Ok(out.flush()?)
}

/// Reads a question from each line, `FROM TO total` or `FROM TO month`, and answers with a line of JSON.
pub(crate) fn answer(store: &Store, account: AccountNumber) -> Outcome<()> {
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let [from, to, grouping] = line.split(' ').collect::<Vec<_>>()[..] else {
            return Err(format!("not a question: {line}").into());
        };
        let (from, to) = (from.parse::<Day>()?, to.parse::<Day>()?);
        let grouping = if grouping == "month" { Grouping::By(Granularity::Month) } else { Grouping::Total };
        let start = Instant::now();
        let rows = grouping.spans(from, to).map(|(label, span)| rows_of(store, account, &label, span));
        let rows = rows.collect::<Outcome<Vec<_>>>()?.concat();
        let ms = start.elapsed().as_secs_f64() * 1000.0;
        println!("{}", json!({ "ms": ms, "rows": rows }));
    }
    Ok(())
}

/// For each kind: the row's label, kind, messages and different users. Then all kinds together, as kind `all`.
fn rows_of(
    store: &Store,
    account: AccountNumber,
    label: &str,
    span: Span,
) -> Outcome<Vec<serde_json::Value>> {
    let slice = store.slice(account, span)?;
    let label = &label[..7];
    let mut rows: Vec<_> = slice
        .by_kind
        .iter()
        .map(|(kind, figures)| json!([label, kind.name(), figures.messages, figures.users]))
        .collect();
    rows.push(json!([label, "all", slice.messages_counted, slice.users_counted]));
    Ok(rows)
}
