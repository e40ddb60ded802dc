//! Kills, and the figures and gaps that the program shows afterwards.

use jiff::Timestamp;

use crate::{
    crash::ledger::{Message, Totals},
    harness::{APPID, Folder, Program, TestResult},
};

/// The times of a kill and of the start after it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stop {
    killed: Timestamp,
    started_again: Option<Timestamp>,
}

impl Stop {
    /// Kills the program.
    pub(crate) fn kill(program: Program) -> Stop {
        let killed = Timestamp::now();
        program.end("-KILL");
        Stop { killed, started_again: None }
    }
}

/// Starts the program, and notes the time in the last of the kills.
pub(crate) async fn start_after(stops: &mut [Stop], folder: &Folder) -> TestResult<Program> {
    if let Some(stop) = stops.last_mut() {
        stop.started_again = Some(Timestamp::now());
    }
    let program = folder.serve()?;
    let ready = program.http.get(format!("{}/readyz", program.base)).send().await?;
    assert!(ready.status().is_success(), "the program listens but is not ready: {ready:?}");
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
    /// All figures, by type.
    pub(crate) async fn totals(&self) -> Totals {
        let answer = self.stats(APPID, "2011-01-01", "2040-01-01").await;
        let number = |value: &serde_json::Value| value.as_u64().unwrap();
        let rows = answer["rows"].as_array().unwrap().iter();
        rows.map(|row| {
            (row["type"].as_str().unwrap().to_owned(), (number(&row["users"]), number(&row["messages"])))
        })
        .collect()
    }

    pub(crate) async fn send_again(&self, messages: &[Message]) -> TestResult<BulkAnswer> {
        let lines: String = messages.iter().map(Message::line).collect();
        Ok(serde_json::from_value(self.bulk(APPID, lines).await)?)
    }

    /// Checks that a gap covers the time from each kill to the next start, within a second of rounding.
    pub(crate) async fn assert_gaps(&self, stops: &[Stop]) -> TestResult<()> {
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
            assert!(covering, "{stop:?} is in none of the gaps {gaps:?}");
        }
        Ok(())
    }
}
