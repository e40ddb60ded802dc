//! Connections that send until the program is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::crash::ledger::{Ledger, Message};
use crate::harness::{ADMIN_KEY, APPID, Outcome, Program, TOKEN, callbacks::signed_query};

/// One connection of one round.
pub(crate) struct Sender {
    http: reqwest::Client,
    base: String,
    ledger: Arc<Ledger>,
    over: Arc<AtomicBool>,
    round: u64,
    number: u64,
}

impl Sender {
    pub(crate) fn new(
        program: &Program,
        ledger: Arc<Ledger>,
        over: Arc<AtomicBool>,
        round: u64,
        number: u64,
    ) -> Sender {
        Sender { http: program.http.clone(), base: program.base.clone(), ledger, over, round, number }
    }

    /// Callbacks one after another, now and then one that an earlier round left unanswered.
    pub(crate) async fn callbacks(self) -> Outcome<()> {
        let query = signed_query(TOKEN);
        let mut number = 0;
        loop {
            let again =
                if number % 5 == 0 { self.ledger.some_open_of_a_former_round(self.round) } else { None };
            let message = again.unwrap_or_else(|| Message::numbered(self.round, self.number, number));
            self.ledger.sending(std::slice::from_ref(&message));
            match self.callback(&query, &message).await {
                Ok(text) if text == "success" => self.ledger.acknowledged(std::slice::from_ref(&message)),
                Ok(text) => return Err(format!("neither success nor a closed connection: {text:?}").into()),
                Err(_) if self.over.load(Ordering::Relaxed) => return Ok(()),
                // killed a moment before `over` says so, or closed because a commit took too long
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
            number += 1;
        }
    }

    async fn callback(&self, query: &str, message: &Message) -> Outcome<String> {
        let url = format!("{}/callback/{APPID}?{query}", self.base);
        let answer = self.http.post(url).body(message.xml()).send().await?;
        Ok(answer.text().await?)
    }

    /// Bulk of a few hundred lines; only a whole answer is an acknowledgement.
    pub(crate) async fn bulk(self) -> Outcome<()> {
        const LINES: u64 = 300;
        let mut number = 0;
        loop {
            let messages: Vec<Message> = (0..LINES)
                .map(|line| Message::numbered(self.round, self.number, number * LINES + line))
                .collect();
            self.ledger.sending(&messages);
            match self.bulk_once(&messages).await {
                Ok(200) => self.ledger.acknowledged(&messages),
                Ok(status) => return Err(format!("bulk answered {status}").into()),
                Err(_) if self.over.load(Ordering::Relaxed) => return Ok(()),
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
            number += 1;
        }
    }

    async fn bulk_once(&self, messages: &[Message]) -> Outcome<u16> {
        let url = format!("{}/v1/accounts/{APPID}/messages", self.base);
        let body: String = messages.iter().map(Message::line).collect();
        let answer = self.http.post(url).bearer_auth(ADMIN_KEY).body(body).send().await?;
        let status = answer.status().as_u16();
        answer.bytes().await?;
        Ok(status)
    }
}
