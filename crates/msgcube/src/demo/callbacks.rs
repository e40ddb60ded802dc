//! Sends callbacks to the demo's own server as WeChat does: signed, encrypted, over HTTP.

use std::time::Duration;

use axum::http::{Error as InvalidRequest, Request, Response, StatusCode, header};
use bytes::Bytes;
use counting::{Content, Message};
use http_body_util::Full;
use msgcube_client::http::{Address, HttpClient, HttpError, Limits, Trust};
use server::intake::path;
use system::{
    clock::Clock,
    random::{self, RandomError},
};
use tokio::signal::unix::{SignalKind, signal};
use wechat::callback::{
    cipher::{AesKey, AesKeyError},
    seal::{CallbackSigner, Draft, Encryption},
};

use super::{DemoAccount, live::LiveMessages};
use crate::send;

/// WeChat waits 5 s for an answer.
const LIMITS: Limits = Limits { time: Duration::from_secs(5), bytes: 1 << 16 };
/// What each text says. It is not stored.
const TEXT: &str = "hi";

/// Why a callback did not arrive.
#[derive(Debug, thiserror::Error)]
pub enum LiveCallbackError {
    /// The server's address is not usable.
    #[error("{0}")]
    Address(String),
    /// The request cannot be made.
    #[error("{0}")]
    Request(#[from] InvalidRequest),
    /// There was no answer.
    #[error("{0}")]
    Http(#[from] HttpError),
    /// The answer was not the one that WeChat wants.
    #[error("{0}")]
    Refused(StatusCode),
    /// The account's key is not usable.
    #[error("{0}")]
    Key(#[from] AesKeyError),
    /// The system gives no random bytes.
    #[error("{0}")]
    Random(#[from] RandomError),
}

/// The accounts of the demo, and where their callbacks go.
pub struct CallbackSender {
    clock: Clock,
    client: HttpClient,
    base_url: String,
    accounts: Vec<DemoAccount>,
}

impl CallbackSender {
    /// Sends to this server, such as `http://127.0.0.1:8060`.
    ///
    /// # Errors
    /// The address is not usable.
    pub fn new(
        clock: Clock,
        base_url: String,
        accounts: Vec<DemoAccount>,
    ) -> Result<CallbackSender, LiveCallbackError> {
        let address = Address::parse_base(&base_url).map_err(LiveCallbackError::Address)?;
        let client = HttpClient::to(&address, Trust::Authorities, Some(LIMITS.time));
        Ok(CallbackSender { clock, client, base_url, accounts })
    }

    /// Checks the address of every account, then sends messages until SIGINT or SIGTERM. The log says what fails.
    pub async fn run(self, mut messages: LiveMessages) -> std::io::Result<()> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let send_all = async {
            for account in &self.accounts {
                Self::note(self.check(account).await);
            }
            let since_s = self.clock.now_s();
            loop {
                let now_s = self.clock.now_s();
                let next = messages.next(now_s);
                if let Some((account, message)) =
                    next.and_then(|(at, sent)| Some((self.accounts.get(at)?, sent)))
                {
                    Self::note(self.send(account, &message).await);
                }
                tokio::time::sleep(Duration::from_millis(messages.pause_ms(since_s, now_s))).await;
            }
        };
        tokio::select! {
            () = send_all => {}
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        Ok(())
    }

    fn note(result: Result<(), LiveCallbackError>) {
        if let Err(error) = result {
            tracing::warn!(%error, "a callback of the demo did not arrive");
        }
    }

    /// What WeChat does when the address is entered in its console.
    async fn check(&self, account: &DemoAccount) -> Result<(), LiveCallbackError> {
        let (nonce, echostr) = (random::alphanumeric(10)?, random::alphanumeric(19)?);
        let signer = CallbackSigner { token: &account.token, timestamp: self.clock.now_s(), nonce: &nonce };
        let request = Request::get(self.url(account, &signer.check_query(&echostr)));
        let answer = self.client.exchange(request.body(Full::default())?, LIMITS).await?;
        right(&answer, &echostr)
    }

    async fn send(&self, account: &DemoAccount, message: &Message) -> Result<(), LiveCallbackError> {
        let nonce = random::alphanumeric(10)?;
        let signer = CallbackSigner { token: &account.token, timestamp: self.clock.now_s(), nonce: &nonce };
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(RandomError::from)?;
        let key = AesKey::parse(&account.encoding_aes_key)?;
        let encryption = Encryption { key: &key, appid: &account.appid, random, compatible: false };
        let sealed = signer.encrypted(&encryption, &draft(account, message));
        let request =
            Request::post(self.url(account, &sealed.query)).header(header::CONTENT_TYPE, "text/xml");
        let answer = self.client.exchange(request.body(Full::from(sealed.body))?, LIMITS).await?;
        right(&answer, "success")
    }

    fn url(&self, account: &DemoAccount, query: &str) -> String {
        format!("{}{}?{query}", self.base_url, path::of_account(&account.appid))
    }
}

fn right(answer: &Response<Bytes>, wanted: &str) -> Result<(), LiveCallbackError> {
    let is_right = answer.status().is_success() && answer.body() == wanted.as_bytes();
    if is_right { Ok(()) } else { Err(LiveCallbackError::Refused(answer.status())) }
}

fn draft<'a>(account: &'a DemoAccount, message: &'a Message) -> Draft<'a> {
    let kind = message.kind();
    let (event, event_key, msg_id) = match &message.content {
        Content::Message { msg_id, .. } => ("", "", Some(*msg_id)),
        Content::Event { name, key, msg_id } => (&**name, &**key, *msg_id),
    };
    Draft {
        to_user: &account.original_id,
        from_user: &message.user,
        create_time: message.create_time,
        msg_type: kind.name(),
        fields: send::fields(kind, TEXT, event, event_key),
        msg_id,
    }
}
