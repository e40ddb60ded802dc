//! `GET /debug`: a page that calls the seven interfaces, explains their answers, and proposes valid dates. It can do
//! only what any caller can do, with the secret or token that the user enters.

mod texts;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{Response, StatusCode},
    routing::get,
};
use bytes::Bytes;
use counting::{COUNT_INTERVALS, COUNTED_TYPES};
use datacube::{ERROR_CODES, Figures, Granularity, INTERFACES, Interface};
use i18n::Lang;
use serde_json::{Value, json};
use system::sync::lock;
use wechat::{
    error_guide::Meaning,
    labels::{interval_name, type_name},
};

use super::{
    answer_progress::CachedAnswer,
    page::{Page, lang_of},
};
use crate::http::state::App;
use texts::TEXTS;

const TEMPLATE: &str = include_str!("debug/debug.html");
const SCRIPT: &str =
    concat!(include_str!("debug/dates.js"), include_str!("debug/chart.js"), include_str!("debug/debug.js"));

/// The last rendered page of each language. Requests in the same second share its bytes.
#[derive(Default)]
struct PageCache(Mutex<[Option<PageOfSecond>; 2]>);

/// The Unix second in which a page was rendered, and the page.
type PageOfSecond = (i64, Response<Bytes>);

/// The route of the page.
pub fn router() -> Router<Arc<App>> {
    let cache = Arc::new(PageCache::default());
    Router::new().route(
        "/debug",
        get(async move |State(app): State<Arc<App>>, request: Request| {
            let lang = lang_of(request.uri().query().unwrap_or(""), request.headers());
            cache.page(&app, lang)
        }),
    )
}

impl PageCache {
    fn page(&self, app: &App, lang: Lang) -> Response<Body> {
        let now_s = app.clock.now_s();
        let slot = lang.pick(0, 1);
        let mut pages = lock(&self.0);
        let last = pages[slot].take().filter(|(rendered_s, _)| *rendered_s == now_s);
        let (_, page) = pages[slot].insert(last.unwrap_or_else(|| (now_s, render(app, lang, now_s))));
        let mut response = page.clone().map(Body::from);
        response.extensions_mut().insert(CachedAnswer);
        response
    }
}

fn render(app: &App, lang: Lang, now_s: i64) -> Response<Bytes> {
    // Without `<` the data cannot end the script element.
    let data = data(app, lang, now_s).to_string().replace('<', "\\u003c");
    let body = format!("{TEMPLATE}<script type=\"application/json\" id=\"data\">{data}</script>");
    let title = texts(lang).remove("title").unwrap_or_default();
    Page { status: StatusCode::OK, lang, title: format!("{title} · msgcube"), body, script: Some(SCRIPT) }
        .render()
}

/// The data of the page: interfaces, error codes, labels, settings and texts.
fn data(app: &App, lang: Lang, now_s: i64) -> Value {
    let datacube = app.config.get().datacube;
    let in_both = |name: &dyn Fn(Lang) -> String| json!({ "en": name(Lang::En), "zh": name(Lang::Zh) });
    let interface = |interface: &Interface| {
        json!({
            "name": interface.name,
            // Relative, so that a proxy may put the page below a prefix.
            "path": interface.path().trim_start_matches('/'),
            "granularity": granularity(interface),
            "figures": if interface.figures == Figures::Totals { "totals" } else { "distribution" },
            "span": interface.span_days(datacube.date_profile),
        })
    };
    let text = |text: &i18n::Text| json!({ "en": text.english(), "zh": text.chinese() });
    let meaning = |meaning: &Meaning| json!({ "when": text(&meaning.when), "remedy": text(&meaning.remedy) });
    let error = |error: &datacube::ErrorCode| {
        (error.code.to_string(), json!(Meaning::by_code(error.code).map(meaning)))
    };
    json!({
        "lang": lang.pick("en", "zh"),
        "now_s": now_s,
        "live": datacube.live,
        "not_ready_before_minute": datacube.not_ready_before_minute,
        "interfaces": INTERFACES.iter().map(interface).collect::<Vec<_>>(),
        "types": COUNTED_TYPES.map(|number| (number.to_string(), in_both(&|lang| type_name(number, lang))))
            .into_iter().collect::<BTreeMap<_, _>>(),
        "intervals": COUNT_INTERVALS.map(|number| (number.to_string(), in_both(&|lang| interval_name(number, lang).replace('\n', " "))))
            .into_iter().collect::<BTreeMap<_, _>>(),
        "errors": ERROR_CODES.iter().map(error).collect::<BTreeMap<_, _>>(),
        "words": { "en": texts(Lang::En), "zh": texts(Lang::Zh) },
    })
}

fn granularity(interface: &Interface) -> &'static str {
    match interface.granularity {
        Granularity::Hour => "hour",
        Granularity::Day => "day",
        Granularity::Week => "week",
        Granularity::Month => "month",
    }
}

fn texts(lang: Lang) -> BTreeMap<&'static str, String> {
    let texts = TEXTS.iter().map(|(name, text)| (*name, text.in_lang(lang)));
    texts.chain([("other_language", lang.other().name().to_owned())]).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The names after each mark, up to the next quote.
    fn names_after<'a>(text: &'a str, mark: &str) -> impl Iterator<Item = &'a str> {
        text.split(mark).skip(1).filter_map(|rest| rest.split('"').next()).collect::<Vec<_>>().into_iter()
    }

    #[test]
    fn the_page_uses_exactly_the_texts_of_the_list() {
        let mut used: BTreeSet<&str> =
            names_after(TEMPLATE, "data-word=\"").chain(names_after(SCRIPT, "word(\"")).collect();
        // Some names come from fields of the data, others from the checks of the dates.
        let tables = ["totals", "distribution", "hour", "day", "week", "month"];
        let about = ["about_hour", "about_day", "about_week", "about_month", "no_week", "no_month"];
        let fields =
            ["ref_date", "ref_hour", "user_source", "msg_type", "count_interval", "msg_user", "msg_count"];
        used.extend(tables.into_iter().chain(about).chain(fields).chain(names_after(SCRIPT, "why: \"")));
        let known: BTreeSet<&str> = texts(Lang::En).into_keys().collect();
        assert_eq!(used, known);
    }
}
