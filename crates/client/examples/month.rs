//! Prints the users and messages of each month of a range, from any server of the interface:
//!
//! ```sh
//! APPID=wx… SECRET=… BASE=http://127.0.0.1:8060 \
//!     cargo run -p msgcube-client --example month -- 2025-01-01 2025-12-31
//! ```
#![allow(
    clippy::disallowed_methods,
    reason = "an example is a program of its own and may read its environment"
)]

use std::{env, error::Error};

use datacube::Interface;
use msgcube_client::{Client, WECHAT_BASE};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut days = env::args().skip(1);
    let (Some(from), Some(to)) = (days.next(), days.next()) else {
        return Err("usage: month FROM TO, such as: month 2025-01-01 2025-12-31".into());
    };
    let base = env::var("BASE").unwrap_or_else(|_| WECHAT_BASE.to_owned());
    let client = Client::builder(env::var("APPID")?, env::var("SECRET")?).base(&base).build()?;
    let month = Interface::by_short_name("month").ok_or("no such interface")?;
    for row in client.rows(month, from.parse()?, to.parse()?).await? {
        let messages = row.msg_count.unwrap_or_default();
        println!("{}  type {:?}  {} users, {messages} messages", row.ref_date, row.msg_type, row.msg_user);
    }
    Ok(())
}
