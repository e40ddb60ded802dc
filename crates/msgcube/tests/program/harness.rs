//! Runs the program for all tests here: in a folder with a configuration, as a command or as a server that is started,
//! queried, stopped and started again.

pub mod callbacks;
mod folder;
mod program;

use std::{error::Error, ffi::OsString};

pub use folder::{Ended, Folder};
pub use program::Program;

pub type TestResult<T> = Result<T, Box<dyn Error + Send + Sync>>;

pub const ADMIN_KEY: &str = "admin-key-of-tests";
pub const APPID: &str = "wx00000000000000a1";
pub const SECRET: &str = "0123456789abcdef0123456789abcdef";
pub const TOKEN: &str = "callbackTokenOne";
pub const AES_KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";

/// The configuration of the usual account, with more settings. Tables may follow them.
pub fn account(more: &str) -> String {
    format!(
        "[[account]]\nappid = \"{APPID}\"\nsecret = \"{SECRET}\"\ntoken = \"{TOKEN}\"\n\
         encoding_aes_key = \"{AES_KEY}\"\n{more}\n"
    )
}

/// The program under test: built by cargo with these tests, or the absolute path in `MSGCUBE_BINARY`.
pub fn binary() -> OsString {
    std::env::var_os("MSGCUBE_BINARY").unwrap_or(env!("CARGO_BIN_EXE_msgcube").into())
}

/// A builder of clients for servers on this machine. It also installs the cryptography for rustls.
pub fn local_http() -> reqwest::ClientBuilder {
    // An error means that it is already installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy()
}

/// A client for servers on this machine.
pub fn client() -> reqwest::Client {
    local_http().build().unwrap()
}

/// A line of the bulk interface.
pub fn bulk_line(user: &str, create_time: i64, kind: &str, msg_id: u64) -> String {
    format!(
        "{{\"FromUserName\":\"{user}\",\"CreateTime\":{create_time},\"MsgType\":\"{kind}\",\"MsgId\":{msg_id}}}\n"
    )
}

/// A form as a browser sends it.
pub fn form(fields: &[(&str, &str)]) -> String {
    let url = reqwest::Url::parse_with_params("http://form/", fields).unwrap();
    url.query().unwrap_or_default().to_owned()
}
