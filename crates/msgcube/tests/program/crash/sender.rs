//! Connections that send until the program is killed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::crash::ledger::{Ledger, Message};
use crate::harness::{ADMIN_KEY, APPID, Program, TOKEN, TestResult, callbacks::signed_query};

/// A connection of one round.
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

    /// Sends callbacks one after the other. Every fifth may be an unanswered one of an earlier round.
    pub(crate) async fn callbacks(self) -> TestResult<()> {
        let query = signed_query(TOKEN);
        let mut number = 0;
        loop {
            let again =
                if number % 5 == 0 { self.ledger.open_message_of_earlier_round(self.round) } else { None };
            let message = again.unwrap_or_else(|| Message::numbered(self.round, self.number, number));
            self.ledger.sending(std::slice::from_ref(&message));
            match self.callback(&query, &message).await {
                Ok(text) if text == "success" => self.ledger.acknowledged(std::slice::from_ref(&message)),
                Ok(text) => return Err(format!("an answer that is not success: {text:?}").into()),
                Err(_) if self.over.load(Ordering::Relaxed) => return Ok(()),
                // The program was just killed, or it closed the connection because a commit took too long.
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
            number += 1;
        }
    }

    async fn callback(&self, query: &str, message: &Message) -> TestResult<String> {
        let url = format!("{}/callback/{APPID}?{query}", self.base);
        let answer = self.http.post(url).body(message.xml()).send().await?;
        Ok(answer.text().await?)
    }

    /// Sends bulk requests of a few hundred lines. Only a complete answer is an acknowledgement.
    pub(crate) async fn bulk(self) -> TestResult<()> {
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

    async fn bulk_once(&self, messages: &[Message]) -> TestResult<u16> {
        let url = format!("{}/v1/accounts/{APPID}/messages", self.base);
        let body: String = messages.iter().map(Message::line).collect();
        let answer = self.http.post(url).bearer_auth(ADMIN_KEY).body(body).send().await?;
        let status = answer.status().as_u16();
        answer.bytes().await?;
        Ok(status)
    }
}
