//! Plain callbacks that the running server refused. They were not counted and not relayed, so a bot behind it was silent.
//! The server's metrics have their number.

use i18n::text;

use super::{finding::Finding, installation::Installation};

/// One finding for each reason for which the server has refused callbacks since its start.
pub async fn check(installation: &Installation) -> Vec<Finding> {
    let Some(Ok(answer)) = installation.get_admin("/metrics").await else { return Vec::new() };
    if answer.answer.status != 200 {
        return Vec::new();
    }
    let metrics = String::from_utf8_lossy(&answer.answer.body);
    let found = |reason| refused_count(&metrics, reason).filter(|count| *count > 0);
    let required = found("encryption_required").map(encryption_required);
    let stale = found("stale_timestamp").map(stale_timestamp);
    required.into_iter().chain(stale).collect()
}

fn encryption_required(count: u64) -> Finding {
    let found = text!(
        "plain callbacks refused since the start: {count}; require_encryption is true, so they are neither counted nor relayed",
        count
    );
    let remedy = text!(
        "choose safe mode at WeChat for the account that the server's log names, or set require_encryption = false"
    );
    Finding::warning("plain_refused", found, remedy)
}

fn stale_timestamp(count: u64) -> Finding {
    let found = text!(
        "plain callbacks with an old timestamp refused since the start: {count}; they are neither counted nor relayed",
        count
    );
    let remedy = text!(
        "check the server's clock; if a proxy delays them, raise callback_max_age_s; safe mode has no such limit. If all that is right, somebody replays old callbacks"
    );
    Finding::warning("stale_refused", found, remedy)
}

fn refused_count(metrics: &str, reason: &str) -> Option<u64> {
    let name = format!("msgcube_callbacks_total{{result=\"refused\",reason=\"{reason}\"}} ");
    metrics.lines().find_map(|line| line.strip_prefix(&name)?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metrics_say_how_many() {
        let metrics = "# TYPE msgcube_callbacks counter\n\
            msgcube_callbacks_total{result=\"refused\",reason=\"stale_timestamp\"} 12\n";
        assert_eq!(refused_count(metrics, "stale_timestamp"), Some(12));
        assert_eq!(refused_count(metrics, "encryption_required"), None);
    }
}
