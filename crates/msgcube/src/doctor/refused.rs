//! Plain callbacks that the running server refused: neither counted nor passed on, so that a bot behind is silent. Its
//! metrics say how many, and each reason has its own remedy.

use i18n::Lang;
use i18n::text;

use super::{finding::Finding, installation::Installation};

/// What the server has refused since its start, one finding a reason; none if it refused none, or does not say.
pub async fn check(scene: &Installation) -> Vec<Finding> {
    let Some(Ok(answer)) = scene.get_own("/metrics").await else { return Vec::new() };
    if answer.said.status != 200 {
        return Vec::new();
    }
    let metrics = String::from_utf8_lossy(&answer.said.body);
    let lang = scene.lang;
    let found = |reason| refused(&metrics, reason).filter(|count| *count > 0);
    let required = found("encryption_required").map(|count| encryption_required(lang, count));
    let stale = found("stale_timestamp").map(|count| stale_timestamp(lang, count));
    required.into_iter().chain(stale).collect()
}

fn encryption_required(lang: Lang, count: u64) -> Finding {
    let found = text!("since its start it refused plain callbacks: {count}. require_encryption is true, so they are neither counted nor passed on", count).in_lang(lang);
    let remedy = text!("choose safe mode at WeChat for the account that the server's log names, or set require_encryption = false").in_lang(lang);
    Finding::warning("plain_refused", found, remedy)
}

fn stale_timestamp(lang: Lang, count: u64) -> Finding {
    let found = text!("since its start it refused plain callbacks with an old timestamp: {count}. They are neither counted nor passed on", count).in_lang(lang);
    let remedy = text!("check the server's clock; if a proxy delays them, raise callback_max_age_s; safe mode has no such limit. If \
         all that is right, somebody sends old ones again").in_lang(lang);
    Finding::warning("stale_refused", found, remedy)
}

fn refused(metrics: &str, reason: &str) -> Option<u64> {
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
        assert_eq!(refused(metrics, "stale_timestamp"), Some(12));
        assert_eq!(refused(metrics, "encryption_required"), None);
    }
}
