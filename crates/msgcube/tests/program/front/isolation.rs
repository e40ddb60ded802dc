//! Accounts never see or change each other, whatever is sent to which account with whose keys.

use std::{cell::RefCell, collections::BTreeSet};

use proptest::prelude::*;
use reqwest::Method;
use serde_json::json;

use crate::harness::{
    Program,
    callbacks::{CallbackReply, Text, success},
};

/// A request: to which account it goes, and whose keys it uses.
#[derive(Clone, Copy, Debug)]
enum Step {
    Plain {
        to: usize,
        signed_by: usize,
        user: u8,
        id: u8,
    },
    Safe {
        to: usize,
        signed_by: usize,
        encrypted_by: usize,
        appid_of: usize,
        user: u8,
        id: u8,
    },
    /// The seven interfaces, with the token of one account.
    Ask {
        account: usize,
    },
    /// The statistics of the admin API, with the key of one account.
    Read {
        of: usize,
        key_of: usize,
    },
    Bulk {
        to: usize,
        key_of: usize,
        id: u8,
    },
    /// A token request with the secret of another account.
    Token {
        of: usize,
        secret_of: usize,
    },
    Rotate {
        account: usize,
    },
}

fn any_step() -> impl Strategy<Value = Step> {
    let account = || 0..3_usize;
    let small = || 0..4_u8;
    prop_oneof![
        (account(), account(), small(), small()).prop_map(|(to, signed_by, user, id)| Step::Plain {
            to,
            signed_by,
            user,
            id
        }),
        (account(), account(), account(), account(), small(), small()).prop_map(
            |(to, signed_by, encrypted_by, appid_of, user, id)| Step::Safe {
                to,
                signed_by,
                encrypted_by,
                appid_of,
                user,
                id
            }
        ),
        account().prop_map(|account| Step::Ask { account }),
        (account(), account()).prop_map(|(of, key_of)| Step::Read { of, key_of }),
        (account(), account(), small()).prop_map(|(to, key_of, id)| Step::Bulk { to, key_of, id }),
        (account(), account()).prop_map(|(of, secret_of)| Step::Token { of, secret_of }),
        account().prop_map(|account| Step::Rotate { account }),
    ]
}

struct Account {
    appid: String,
    secret: String,
    token: String,
    aes_key: String,
    former_aes_key: Option<String>,
    api_key: String,
    /// User and MsgId of each message that counts.
    counted: BTreeSet<(String, u64)>,
}

/// One server for all cases. Each case adds three accounts.
struct World {
    runtime: tokio::runtime::Runtime,
    program: Program,
    cases: RefCell<u64>,
}

impl World {
    fn accounts(&self) -> Vec<Account> {
        let case = {
            *self.cases.borrow_mut() += 1;
            *self.cases.borrow()
        };
        (0..3).map(|number| self.runtime.block_on(self.account(case, number))).collect()
    }

    async fn account(&self, case: u64, number: u64) -> Account {
        let appid = format!("wx{case:012}{number:04}");
        let (secret, token) = (format!("secret-{case}-{number}"), format!("token{case}x{number}"));
        let aes_key = format!("{:0>41}AA", format!("{case}x{number}"));
        let settings = json!({"appid": appid, "secret": secret, "token": token, "encoding_aes_key": aes_key});
        let (status, answer) = self.program.admin_call(Method::POST, "/v1/accounts", Some(settings)).await;
        assert_eq!(status, 201, "{answer}");
        let scopes = json!({"scopes": [format!("read:{appid}"), format!("write:{appid}")]});
        let (_, key) = self.program.admin_call(Method::POST, "/v1/keys", Some(scopes)).await;
        let api_key = key["key"].as_str().unwrap().to_owned();
        Account { appid, secret, token, aes_key, former_aes_key: None, api_key, counted: BTreeSet::new() }
    }

    async fn step(&self, accounts: &mut [Account], step: Step) {
        match step {
            Step::Plain { to, signed_by, user, id } => {
                let user = format!("o{user}");
                let sealed = Text { user: &user, id: id.into(), create_time: 1_700_000_000, to: "gh_front" }
                    .plain(&accounts[signed_by].token);
                self.receive(&mut accounts[to], &sealed, to == signed_by, &user, id).await;
            }
            Step::Safe { to, signed_by, encrypted_by, appid_of, user, id } => {
                let user = format!("o{user}");
                let text = Text { user: &user, id: id.into(), create_time: 1_700_000_000, to: "gh_front" };
                let (token, key) = (&accounts[signed_by].token, &accounts[encrypted_by].aes_key);
                let sealed = text.safe(token, key, &accounts[appid_of].appid);
                let is_right = to == signed_by && to == encrypted_by && to == appid_of;
                self.receive(&mut accounts[to], &sealed, is_right, &user, id).await;
            }
            Step::Ask { account } => self.check_the_seven(&accounts[account]).await,
            Step::Read { of, key_of } => {
                let path = format!("/v1/accounts/{}/coverage", accounts[of].appid);
                let status =
                    self.program.call(Method::GET, &path, &accounts[key_of].api_key, None).await.status();
                assert_eq!(status, if of == key_of { 200 } else { 403 });
            }
            Step::Bulk { to, key_of, id } => self.bulk(accounts, to, key_of, id).await,
            Step::Token { of, secret_of } => {
                let answer = self.program.token(&accounts[of].appid, &accounts[secret_of].secret).await;
                assert_eq!(answer["access_token"].is_string(), of == secret_of, "{answer}");
            }
            Step::Rotate { account } => {
                let path = format!("/v1/accounts/{}/rotate", accounts[account].appid);
                let (_, new) = self
                    .program
                    .admin_call(Method::POST, &path, Some(json!({"what": "encoding_aes_key"})))
                    .await;
                let new = new["encoding_aes_key"].as_str().unwrap().to_owned();
                accounts[account].former_aes_key =
                    Some(std::mem::replace(&mut accounts[account].aes_key, new));
            }
        }
    }

    async fn receive(
        &self,
        account: &mut Account,
        sealed: &wechat::callback::seal::Sealed,
        is_right: bool,
        user: &str,
        id: u8,
    ) {
        let reply = self.program.receive(&account.appid, sealed).await;
        if is_right {
            assert_eq!(reply, success());
            account.counted.insert((user.to_owned(), id.into()));
        } else {
            assert!(matches!(reply, CallbackReply::Reply(400..=499, _)), "{reply:?}");
        }
    }

    async fn bulk(&self, accounts: &mut [Account], to: usize, key_of: usize, id: u8) {
        let url = format!("{}/v1/accounts/{}/messages", self.program.base, accounts[to].appid);
        let line =
            json!({"FromUserName": "oBulk", "CreateTime": 1_700_000_000, "MsgType": "text", "MsgId": id});
        let request =
            self.program.http.post(url).bearer_auth(&accounts[key_of].api_key).body(line.to_string());
        let status = request.send().await.unwrap().status();
        assert_eq!(status, if to == key_of { 200 } else { 403 });
        if to == key_of {
            accounts[to].counted.insert(("oBulk".to_owned(), id.into()));
        }
    }

    /// Checks that the seven interfaces show exactly the users and messages of this account.
    async fn check_the_seven(&self, account: &Account) {
        let token = self.program.token(&account.appid, &account.secret).await["access_token"]
            .as_str()
            .unwrap()
            .to_owned();
        let url = format!("{}/datacube/getupstreammsg?access_token={token}", self.program.base);
        let body = r#"{"begin_date":"2023-11-15","end_date":"2023-11-15"}"#;
        let answer: serde_json::Value =
            self.program.http.post(url).body(body).send().await.unwrap().json().await.unwrap();
        let users: BTreeSet<&String> = account.counted.iter().map(|(user, _)| user).collect();
        let expected = match account.counted.len() {
            0 => json!({"list": []}),
            messages => {
                json!({"list": [{"ref_date": "2023-11-15", "msg_type": 1, "msg_user": users.len(), "msg_count": messages}]})
            }
        };
        assert_eq!(answer, expected);
    }
}

#[test]
fn no_account_sees_or_changes_another() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // Old timestamps must not be the reason for a refusal here.
    let program = runtime.block_on(async { Program::start("callback_max_age_s = 0", "") });
    let world = World { runtime, program, cases: RefCell::new(0) };
    let config = ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() };
    proptest!(config, |(steps in prop::collection::vec(any_step(), 1..24))| {
        let mut accounts = world.accounts();
        for step in steps {
            world.runtime.block_on(world.step(&mut accounts, step));
        }
        for account in &accounts {
            world.runtime.block_on(world.check_the_seven(account));
        }
    });
}
