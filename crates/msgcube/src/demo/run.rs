//! Runs `msgcube demo`: stores the year like real messages, prints the figures, and serves them.

use std::{
    io::{self, IsTerminal as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};

use counting::{Period, start_of_day_s};
use datacube::{Day, Granularity, Interface, Row};
use i18n::{Lang, text};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use server::{
    accounts::registry::ServedAccount,
    http::state::{App, StartError},
    key_binding::OtherKey,
    net::sockets::HandedOver,
};
use storage::store::{Change, NotDurable, Outcome, StoreError, statistics::Span};
use system::{
    clock::Clock,
    random::{self, RandomError},
};

use super::{
    AccountReport, AnnouncementContext, DemoAccount, DemoArgs, Year, all_figures, announcement,
    callbacks::CallbackSender, live::LiveMessages, settings, year,
};
use crate::{
    output::Screen,
    serve::{self, ServerError},
};

/// The admin key has about 142 random bits.
const ADMIN_KEY_CHARACTERS: usize = 24;
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
    /// There are no random bytes for the admin key.
    #[error("{0}")]
    Random(#[from] RandomError),
    /// A folder cannot be created, or the output cannot be written.
    #[error("{0}")]
    System(#[from] io::Error),
}

/// The file that names the demo to other commands. No other program calls its configuration so.
const SETTINGS_FILE: &str = "demo.toml";

/// Generates the year, prints its figures, and serves it unless `--once` is given.
pub async fn run(args: DemoArgs, lang: Lang) -> Result<(), DemoError> {
    let temporary = if args.data_dir.is_none() { Some(tempfile::tempdir()?) } else { None };
    let folder = args.data_dir.as_deref().or(temporary.as_ref().map(tempfile::TempDir::path));
    let folder = folder.unwrap_or(Path::new("demo")).to_owned();
    std::fs::create_dir_all(&folder)?;
    let clock = Clock::real();
    let year = year(args.seed, args.scale, args.accounts, clock.now_s());
    let admin_key = random::alphanumeric(ADMIN_KEY_CHARACTERS)?;
    let config = settings::config(&args, year.accounts(), &folder, &admin_key, lang);
    let (app, writer) = App::start(config, clock, OtherKey::Refuse)?;
    app.sessions.sign_in_local_viewers().map_err(StartError::from)?;
    let demo = Demo { app, folder, admin_key, lang, args };
    let shown = demo.fill_and_show(year).await;
    serve::stop(demo.app, writer).await?;
    shown
}

/// A demo that is running.
struct Demo {
    app: Arc<App>,
    folder: PathBuf,
    admin_key: String,
    lang: Lang,
    args: DemoArgs,
}

impl Demo {
    async fn fill_and_show(&self, mut year: Year) -> Result<(), DemoError> {
        let (app, lang) = (&self.app, self.lang);
        // The sockets are not open yet, so no message can be missed before.
        app.ingest.begin_anew();
        let (accounts, last_month) = (year.accounts().to_vec(), year.last_month());
        fill(app, &mut year, lang).await?;
        let figures = reports(app, &accounts, last_month).await?;
        let reports: Vec<AccountReport<'_>> =
            figures.iter().zip(&accounts).map(|(figures, account)| figures.view(account)).collect();
        if self.args.once {
            let text = all_figures(lang, last_month, &reports);
            return Ok(write!(Screen::default(), "\n{text}")?);
        }
        let mut sending = None;
        let ready = |address: SocketAddr| {
            self.announce(address, last_month, &reports)?;
            let sender = CallbackSender::new(app.clock.clone(), base_url(address), accounts.clone());
            let sender = sender.map_err(io::Error::other)?;
            sending = Some(tokio::spawn(sender.run(LiveMessages::after(year.end()))));
            Ok(())
        };
        let served = serve::serve(app.clone(), HandedOver::default(), ready).await;
        if let Some(sending) = sending {
            sending.abort();
        }
        Ok(served?)
    }

    fn announce(
        &self,
        address: SocketAddr,
        last_month: Day,
        reports: &[AccountReport<'_>],
    ) -> io::Result<()> {
        let config_path = self.folder.join(SETTINGS_FILE);
        settings::write_file(&config_path, &self.app.config.get(), address, self.lang)?;
        let program = std::env::args().next().unwrap_or_else(|| "msgcube".to_owned());
        let context = AnnouncementContext {
            lang: self.lang,
            program: &program,
            base_url: &base_url(address),
            config_path: &config_path,
            admin_key: &self.admin_key,
            is_signed_in: here(address).ip().is_loopback(),
            is_temporary: self.args.data_dir.is_none(),
            last_month,
        };
        write!(Screen::default(), "\n{}", announcement(context, reports))
    }
}

/// Where this machine reaches a socket. One that listens on all addresses also listens on the loopback address.
fn here(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::from(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::from(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn base_url(address: SocketAddr) -> String {
    format!("http://{}", here(address))
}

/// Stores the year. The next chunk is generated while the one before becomes durable.
async fn fill(app: &App, year: &mut Year, lang: Lang) -> Result<(), DemoError> {
    let first_day = year.first_day();
    let numbers: Vec<_> = year
        .accounts()
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
    // Serving began with the first chunk, from the next whole second on. Until then nothing could be missed.
    let served_s = app.clock.now_s() + 1;
    let claims = numbers.iter().map(|account| Change::Claim {
        account: *account,
        from_s: start_of_day_s(first_day),
        to_s: served_s,
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
