//! Checks of the whole process: real tokens, copies, disk, memory, certificate, version.

use i18n::{Text, format, text};
use pages::HealthCheck;

use super::{bad, good, moment, warning};
use crate::{forward::upstream_token::UpstreamTokenReport, http::state::App};

/// Less free space is a problem. As in `msgcube doctor`.
const FREE_BYTES_MIN: u64 = 256 << 20;
/// Less free space is a warning.
const FREE_BYTES_FEW: u64 = 2 << 30;
/// More bytes of waiting copies are a warning: a target has at most 64 MiB.
const COPIES_BYTES_MANY: u64 = 32 << 20;
/// A certificate that ends in so many seconds is a warning: 14 days.
const CERTIFICATE_S_FEW: i64 = 14 * 24 * 3600;

/// All checks at this time, in Unix seconds.
pub fn checks(app: &App, now_s: i64) -> Vec<HealthCheck> {
    let mut checks = vec![disk(app), copies(app.outbox.waiting_bytes()), version()];
    // With `[store]`, figures and users are not in this process.
    checks.extend((!app.store.is_shared()).then(|| memory(app)));
    checks.extend(app.upstream().map(|upstream| tokens(now_s, &upstream.report(now_s))));
    let end_s = app.tls.get().and_then(|tls| tls.certificate_end_s());
    checks.extend(end_s.map(|end_s| certificate(now_s, end_s)));
    checks
}

fn disk(app: &App) -> HealthCheck {
    if app.store.is_shared() {
        return disk_of_copies(app);
    }
    let sizes = app.store.sizes();
    let (log, pages) = (format::size(sizes.log_bytes), format::size(sizes.page_bytes));
    let title = text!("Disk");
    let Ok(about) = rustix::fs::statvfs(&app.config.get().data_dir) else {
        return good(title, text!("The log has {log}, the pages have {pages}.", log, pages));
    };
    let free = about.f_bavail.saturating_mul(about.f_frsize);
    let found = text!(
        "The log has {log}, the pages have {pages}, and {free} are free in data_dir.",
        log,
        pages,
        free = format::size(free)
    );
    let remedy =
        text!("make room: on a full disk callbacks are not accepted (a message needs about 15 bytes)");
    match free {
        0..FREE_BYTES_MIN => bad(title, found, remedy),
        FREE_BYTES_MIN..FREE_BYTES_FEW => warning(title, found, remedy),
        _ => good(title, found),
    }
}

/// With `[store]`, `data_dir` holds no messages.
fn disk_of_copies(app: &App) -> HealthCheck {
    let title = text!("Disk");
    let Ok(about) = rustix::fs::statvfs(&app.config.get().data_dir) else {
        return good(
            title,
            text!("Messages are in ClickHouse. data_dir holds only copies that wait for listeners."),
        );
    };
    let free = about.f_bavail.saturating_mul(about.f_frsize);
    let found = text!(
        "Messages are in ClickHouse. data_dir holds only copies that wait for listeners; {free} are free there.",
        free = format::size(free)
    );
    if free < FREE_BYTES_MIN {
        return warning(
            title,
            found,
            text!("make room: without it, copies that wait for listeners can be lost"),
        );
    }
    good(title, found)
}

fn copies(bytes: u64) -> HealthCheck {
    let title = text!("Waiting copies");
    if bytes == 0 {
        return good(title, text!("No copy waits for a listener or a platform."));
    }
    let found = text!("{size} of copies wait for listeners or platforms.", size = format::size(bytes));
    if bytes < COPIES_BYTES_MANY {
        return good(title, found);
    }
    let remedy = text!(
        "A target does not take its copies. Each may have 64 MiB waiting; what is more is dropped. The log names the target."
    );
    warning(title, found, remedy)
}

fn memory(app: &App) -> HealthCheck {
    let found = text!(
        "Users and pages take {used}; memory_mib allows {allowed}.",
        used = format::size(app.store.sizes().memory_bytes),
        allowed = format::size((app.config.get().memory_mib as u64) << 20)
    );
    good(text!("Memory"), found)
}

fn version() -> HealthCheck {
    good(text!("Version"), Text::plain(format!("msgcube {}", env!("CARGO_PKG_VERSION"))))
}

fn tokens(now_s: i64, report: &UpstreamTokenReport) -> HealthCheck {
    let title = text!("Real tokens");
    let valid = report.valid;
    let Some((appid, failure)) = report.failures.first() else {
        let of_valid = |oldest_s: i64| {
            text!(
                "{valid} accounts have a valid token of WeChat's; the oldest is {span} old.",
                valid,
                span = format::span(now_s - oldest_s)
            )
        };
        let found = report.oldest_s.map_or_else(|| text!("No real token was needed yet."), of_valid);
        return good(title, found);
    };
    let found = text!(
        "{failed} accounts get no new token. {appid}: {failure}",
        failed = report.failures.len(),
        appid,
        failure = Text::from_english(failure)
    );
    let remedy = text!(
        "See the secret of the account (upstream_secret), and whether WeChat allows the address of this machine (IP list in its console)."
    );
    if valid == 0 { bad(title, found, remedy) } else { warning(title, found, remedy) }
}

fn certificate(now_s: i64, end_s: i64) -> HealthCheck {
    let (title, end) = (text!("Certificate"), moment(end_s));
    let remedy = text!("Renew it. msgcube reads the new files by itself.");
    if end_s <= now_s {
        return bad(title, text!("It has ended at {end}. WeChat refuses it.", end), remedy);
    }
    let found = text!("It ends at {end}, in {span}.", end, span = format::span(end_s - now_s));
    if end_s - now_s < CERTIFICATE_S_FEW { warning(title, found, remedy) } else { good(title, found) }
}

#[cfg(test)]
mod tests {
    use pages::AlertLevel::{Bad, Good, Warning};

    use super::*;

    #[test]
    fn a_certificate_is_told_two_weeks_before_its_end() {
        let day_s = 24 * 3600;
        for (left_s, level) in
            [(-1, Bad), (0, Bad), (1, Warning), (14 * day_s - 1, Warning), (14 * day_s, Good)]
        {
            assert_eq!(certificate(1_800_000_000, 1_800_000_000 + left_s).level, level, "{left_s}");
        }
    }

    #[test]
    fn failing_tokens_are_worse_while_no_other_is_valid() {
        let failures = vec![("wx1".to_owned(), "WeChat answered 40001 invalid credential".to_owned())];
        let report = |valid, failures| UpstreamTokenReport { valid, oldest_s: Some(1000), failures };
        assert_eq!(tokens(1090, &UpstreamTokenReport::default()).level, Good);
        let found = tokens(1090, &report(3, Vec::new()));
        assert_eq!((found.level, found.remedy.is_none()), (Good, true));
        assert!(found.finding.english().contains("90 s"), "{}", found.finding.english());
        assert_eq!(tokens(1090, &report(1, failures.clone())).level, Warning);
        let found = tokens(1090, &report(0, failures));
        assert!(found.level == Bad && found.finding.english().contains("wx1: WeChat answered 40001"));
    }

    #[test]
    fn many_waiting_copies_are_a_warning() {
        let levels = [0, 1, COPIES_BYTES_MANY].map(|bytes| copies(bytes).level);
        assert_eq!(levels, [Good, Good, Warning]);
    }
}
