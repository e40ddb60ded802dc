//! How every test here runs the program: a folder with a configuration, commands run to their end, and `serve` started,
//! asked, ended and started again.

pub mod callbacks;
mod folder;
mod program;

use std::{error::Error, ffi::OsString};

pub use folder::{Ended, Folder};
pub use program::Program;

pub type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

pub const ADMIN_KEY: &str = "admin-key-of-tests";
pub const APPID: &str = "wx00000000000000a1";
pub const SECRET: &str = "0123456789abcdef0123456789abcdef";
pub const TOKEN: &str = "callbackTokenOne";
pub const AES_KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";

/// The usual account, with further settings. Tables may follow them.
pub fn account(more: &str) -> String {
    format!(
        "[[account]]\nappid = \"{APPID}\"\nsecret = \"{SECRET}\"\ntoken = \"{TOKEN}\"\n\
         encoding_aes_key = \"{AES_KEY}\"\n{more}\n"
    )
}

/// The build that cargo made with these tests, or the one that `MSGCUBE_BINARY` names by its whole path.
pub fn binary() -> OsString {
    std::env::var_os("MSGCUBE_BINARY").unwrap_or(env!("CARGO_BIN_EXE_msgcube").into())
}

/// Settings of a client for servers on this machine. reqwest leaves the choice of the cryptography to the program.
pub fn local_http() -> reqwest::ClientBuilder {
    // Fails if it was chosen before, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy()
}

/// A client for servers on this machine.
pub fn client() -> reqwest::Client {
    local_http().build().unwrap()
}

/// A message as a line of the bulk interface.
pub fn bulk_line(user: &str, create_time: i64, kind: &str, msg_id: u64) -> String {
    format!(
        "{{\"FromUserName\":\"{user}\",\"CreateTime\":{create_time},\"MsgType\":\"{kind}\",\"MsgId\":{msg_id}}}\n"
    )
}
