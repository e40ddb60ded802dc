//! Kills, and what the program says of its figures and gaps after them.

use jiff::Timestamp;

use crate::{
    crash::ledger::{Message, Totals},
    harness::{APPID, Folder, Outcome, Program},
};

/// A kill, and when the program was started again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stop {
    killed: Timestamp,
    started_again: Option<Timestamp>,
}

impl Stop {
    /// Kills it, at once.
    pub(crate) fn kill(program: Program) -> Stop {
        let killed = Timestamp::now();
        program.end("-KILL");
        Stop { killed, started_again: None }
    }
}

/// Starts it after these kills, on the last of which this is noted.
pub(crate) async fn start_after(stops: &mut [Stop], folder: &Folder) -> Outcome<Program> {
    if let Some(stop) = stops.last_mut() {
        stop.started_again = Some(Timestamp::now());
    }
    let program = folder.serve()?;
    let ready = program.http.get(format!("{}/readyz", program.base)).send().await?;
    assert!(ready.status().is_success(), "it listens before it is ready: {ready:?}");
    Ok(program)
}

/// The answer to a bulk request.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct BulkAnswer {
    pub(crate) accepted: u64,
    pub(crate) duplicate: u64,
    pub(crate) rejected: u64,
}

impl Program {
    /// Everything counted, by type.
    pub(crate) async fn totals(&self) -> Totals {
        let answer = self.stats(APPID, "2011-01-01", "2040-01-01").await;
        let number = |value: &serde_json::Value| value.as_u64().unwrap();
        let rows = answer["rows"].as_array().unwrap().iter();
        rows.map(|row| {
            (row["type"].as_str().unwrap().to_owned(), (number(&row["users"]), number(&row["messages"])))
        })
        .collect()
    }

    pub(crate) async fn send_again(&self, messages: &[Message]) -> Outcome<BulkAnswer> {
        let lines: String = messages.iter().map(Message::line).collect();
        Ok(serde_json::from_value(self.bulk(APPID, lines).await)?)
    }

    /// Every kill lies in a gap, from the kill until the program was started again, give or take a second of rounding.
    pub(crate) async fn assert_gaps(&self, stops: &[Stop]) -> Outcome<()> {
        let coverage = self.coverage(APPID).await;
        let gaps = coverage["gaps"].as_array().ok_or("no gaps")?;
        for stop in stops {
            let again = stop.started_again.ok_or("never started again")?;
            let mut covering = false;
            for gap in gaps {
                let moment = |at: usize| gap[at].as_str().unwrap_or_default().parse::<Timestamp>();
                let (from, to) = (moment(0)?, moment(1)?);
                covering |= from.as_second() <= stop.killed.as_second() + 1
                    && to.as_second() + 1 >= again.as_second();
            }
            assert!(covering, "{stop:?} lies in none of the gaps {gaps:?}");
        }
        Ok(())
    }
}
