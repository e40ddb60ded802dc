//! Runs `msgcube demo`: stores the year like real messages, prints the figures, and serves them.

use std::{
    io::{self, IsTerminal as _, Write as _},
    net::SocketAddr,
    path::Path,
    sync::Arc,
};

use counting::{Period, start_of_day_s};
use datacube::{Day, Granularity, Interface, Row};
use i18n::{Lang, text};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use server::{
    accounts::registry::ServedAccount,
    config::{AccountConfig, AccountKind, Config, Datacube, Networks},
    http::state::{App, StartError},
    key_binding::OtherKey,
    net::sockets::HandedOver,
};
use storage::store::{Change, NotDurable, Outcome, StoreError, statistics::Span};
use system::{clock::Clock, secret::Secret};

use super::{
    AccountReport, AnnouncementContext, DemoAccount, DemoArgs, Year, all_figures, announcement, year,
};
use crate::{
    output::Screen,
    serve::{self, ServerError},
};

/// Messages that become durable together.
const CHUNK: usize = 4096;

/// Why the demo failed.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The store could not be opened.
    #[error("{0}")]
    Start(#[from] StartError),
    /// A message could not be made durable.
    #[error("{0}")]
    NotDurable(#[from] NotDurable),
    /// A figure could not be read.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The server failed.
    #[error("{0}")]
    Server(#[from] ServerError),
    /// A folder cannot be created, or the output cannot be written.
    #[error("{0}")]
    System(#[from] io::Error),
}

/// Generates the year, prints its figures, and serves it unless `--once` is given.
pub async fn run(args: DemoArgs, lang: Lang) -> Result<(), DemoError> {
    let temporary = if args.data_dir.is_none() { Some(tempfile::tempdir()?) } else { None };
    let folder = args.data_dir.as_deref().or(temporary.as_ref().map(tempfile::TempDir::path));
    let folder = folder.unwrap_or(Path::new("demo")).to_owned();
    std::fs::create_dir_all(&folder)?;
    let clock = Clock::real();
    let year = year(args.seed, args.scale, args.accounts, clock.now_s());
    let config = config(&args, &year, &folder, lang);
    let (app, writer) = App::start(config, clock, OtherKey::Refuse)?;
    app.sessions.sign_in_local_viewers().map_err(StartError::from)?;
    let app = Arc::new(app);
    let shown = fill_and_show(&app, year, &args, lang).await;
    serve::stop(app, writer).await?;
    shown
}

async fn fill_and_show(app: &Arc<App>, year: Year, args: &DemoArgs, lang: Lang) -> Result<(), DemoError> {
    // The sockets are not open yet, so no message can be missed before.
    app.ingest.begin_anew();
    let (accounts, last_month, first_day) = (year.accounts().to_vec(), year.last_month(), year.first_day());
    fill(app, year, &accounts, first_day, lang).await?;
    let reports = reports(app, &accounts, last_month).await?;
    let views: Vec<AccountReport<'_>> =
        reports.iter().zip(&accounts).map(|(report, account)| report.view(account)).collect();
    let program = std::env::args().next().unwrap_or_else(|| "msgcube".to_owned());
    let show = |address: SocketAddr| {
        let base_url = format!("http://{address}");
        let context = AnnouncementContext { lang, program: &program, base_url: &base_url, last_month };
        let text = if args.once { all_figures(context, &views) } else { announcement(context, &views) };
        write!(Screen::default(), "\n{text}")
    };
    if args.once {
        return Ok(show(args.listen)?);
    }
    serve::serve(app.clone(), HandedOver::default(), show).await?;
    Ok(())
}

fn config(args: &DemoArgs, year: &Year, folder: &Path, lang: Lang) -> Config {
    Config {
        listen: args.listen,
        admin_listen: None,
        public_url: None,
        ui_url: None,
        data_dir: folder.join("data"),
        data_key_file: folder.join("msgcube.key"),
        admin_key: None,
        callback_max_age_s: 3600,
        memory_mib: 512,
        metrics_accounts: 100,
        proxies: Networks::default(),
        tls: None,
        datacube: Datacube::default(),
        upstream: None,
        accounts: year.accounts().iter().map(|account| account_config(account, lang)).collect(),
        components: Vec::new(),
        clouds: Vec::new(),
    }
}

fn account_config(account: &DemoAccount, lang: Lang) -> AccountConfig {
    AccountConfig {
        appid: account.appid.clone(),
        name: lang.pick(account.name_en, account.name_zh).to_owned(),
        secret: Secret::new(&*account.secret),
        upstream_secret: None,
        // Without it `msgcube send` needs only appid, token and key.
        original_id: None,
        token: Secret::new(&*account.token),
        token_previous: None,
        encoding_aes_key: Some(Secret::new(&*account.encoding_aes_key)),
        encoding_aes_key_previous: None,
        require_encryption: false,
        kind: AccountKind::Service,
        certified: true,
        quota_per_day: 0,
        ip_allow: Networks::default(),
        secret_frozen: false,
        components: None,
        relay: None,
    }
}

/// Stores the year. The next chunk is generated while the one before becomes durable.
async fn fill(
    app: &App,
    year: Year,
    accounts: &[DemoAccount],
    first_day: Day,
    lang: Lang,
) -> Result<(), DemoError> {
    let numbers: Vec<_> = accounts
        .iter()
        .filter_map(|account| app.accounts.get(&account.appid))
        .map(|account| account.number)
        .collect();
    let bar = progress(lang);
    let mut year = year.peekable();
    let mut pending = None;
    while year.peek().is_some() {
        let changes: Vec<Change> = year
            .by_ref()
            .take(CHUNK)
            .filter_map(|(at, message)| Some(Change::Message { account: *numbers.get(at)?, message }))
            .collect();
        bar.inc(changes.len() as u64);
        let next = app.ingest.submit_all(changes)?;
        if let Some(before) = pending.replace(next) {
            all_taken(&before.await?)?;
        }
    }
    // Coverage is claimed only once the last chunk is durable, too.
    if let Some(last) = pending {
        all_taken(&last.await?)?;
    }
    let now_s = app.clock.now_s();
    let claims = numbers.iter().map(|account| Change::Claim {
        account: *account,
        from_s: start_of_day_s(first_day),
        to_s: now_s,
    });
    all_taken(&app.ingest.submit_all(claims.collect())?.await?)?;
    bar.finish_and_clear();
    Ok(())
}

fn all_taken(outcomes: &[Outcome]) -> Result<(), NotDurable> {
    outcomes.iter().try_for_each(Outcome::taken)
}

fn progress(lang: Lang) -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if !io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {human_pos}") {
        bar.set_style(style);
    }
    bar.set_message(text!("messages counted:").in_lang(lang));
    bar
}

/// An account's figures and an access token.
struct DemoFigures {
    rows: Vec<Row>,
    users: u64,
    months: Vec<u64>,
    access_token: String,
}

impl DemoFigures {
    fn view<'a>(&'a self, account: &'a DemoAccount) -> AccountReport<'a> {
        AccountReport {
            account,
            rows: &self.rows,
            users: Some(self.users),
            months: &self.months,
            access_token: &self.access_token,
        }
    }
}

async fn reports(
    app: &App,
    accounts: &[DemoAccount],
    last_month: Day,
) -> Result<Vec<DemoFigures>, DemoError> {
    let mut reports = Vec::new();
    for account in accounts.iter().filter_map(|account| app.accounts.get(&account.appid)) {
        let token = app.tokens.issue_stable(&account.config.appid, false, &app.ingest, &app.clock).await?;
        reports.push(report(app, &account, last_month, token.access_token)?);
    }
    Ok(reports)
}

fn report(
    app: &App,
    account: &ServedAccount,
    last_month: Day,
    access_token: String,
) -> Result<DemoFigures, DemoError> {
    let mut months: Vec<Day> =
        std::iter::successors(Some(last_month), |month| Some(month.plus_days(-1).first_of_month()))
            .take(12)
            .collect();
    months.reverse();
    let messages = |month: &Day| {
        let period = Period::holding(Granularity::Month, *month);
        app.store.slice(account.number, Span::Period(period)).map(|slice| slice.messages_counted)
    };
    let period = Period::holding(Granularity::Month, last_month);
    let rows = match Interface::by_short_name("month") {
        Some(month) => app.store.rows(account.number, month, &[period])?,
        None => Vec::new(),
    };
    Ok(DemoFigures {
        rows,
        users: app.store.slice(account.number, Span::Period(period))?.users_counted,
        months: months.iter().map(messages).collect::<Result<_, _>>()?,
        access_token,
    })
}
