//! `GET /debug`: a page that asks the seven interfaces and says what an answer means and which dates would be right.
//! It does nothing that a caller cannot do, with the secret or token that is typed into it.

mod words;

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
    answering::KeptForAll,
    page::{Page, lang_of},
};
use crate::http::state::App;
use words::WORDS;

const TEMPLATE: &str = include_str!("debug/debug.html");
const SCRIPT: &str =
    concat!(include_str!("debug/dates.js"), include_str!("debug/chart.js"), include_str!("debug/debug.js"));

/// The page of each language as it was drawn last: whoever asks in the same second shares its bytes.
#[derive(Default)]
struct Drawn(Mutex<[Option<PageOfSecond>; 2]>);

/// In which second it was drawn, and what it is.
type PageOfSecond = (i64, Response<Bytes>);

pub fn router() -> Router<Arc<App>> {
    let drawn = Arc::new(Drawn::default());
    Router::new().route(
        "/debug",
        get(async move |State(app): State<Arc<App>>, request: Request| {
            let lang = lang_of(request.uri().query().unwrap_or(""), request.headers());
            drawn.page(&app, lang)
        }),
    )
}

impl Drawn {
    fn page(&self, app: &App, lang: Lang) -> Response<Body> {
        let now_s = app.clock.now_s();
        let place = lang.pick(0, 1);
        let mut drawn = lock(&self.0);
        let last = drawn[place].take().filter(|(drawn_s, _)| *drawn_s == now_s);
        let (_, page) = drawn[place].insert(last.unwrap_or_else(|| (now_s, draw(app, lang, now_s))));
        let mut response = page.clone().map(Body::from);
        response.extensions_mut().insert(KeptForAll);
        response
    }
}

fn draw(app: &App, lang: Lang, now_s: i64) -> Response<Bytes> {
    // No `<` in it, so that nothing in it can end the element.
    let data = data(app, lang, now_s).to_string().replace('<', "\\u003c");
    let body = format!("{TEMPLATE}<script type=\"application/json\" id=\"data\">{data}</script>");
    let title = words(lang).remove("title").unwrap_or_default();
    Page { status: StatusCode::OK, lang, title: format!("{title} · msgcube"), body, script: Some(SCRIPT) }
        .drawn()
}

/// What the page knows of the tables and the settings.
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
    let error =
        |error: &datacube::ErrorCode| (error.code.to_string(), json!(Meaning::of(error.code).map(meaning)));
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
        "words": { "en": words(Lang::En), "zh": words(Lang::Zh) },
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

fn words(lang: Lang) -> BTreeMap<&'static str, String> {
    let words = WORDS.iter().map(|(name, text)| (*name, text.in_lang(lang)));
    words.chain([("other_language", lang.other().name().to_owned())]).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// What stands between the mark and the next quote, each time.
    fn named<'a>(text: &'a str, mark: &str) -> impl Iterator<Item = &'a str> {
        text.split(mark).skip(1).filter_map(|rest| rest.split('"').next()).collect::<Vec<_>>().into_iter()
    }

    #[test]
    fn the_page_says_nothing_but_its_words_and_all_of_them() {
        let mut used: BTreeSet<&str> =
            named(TEMPLATE, "data-word=\"").chain(named(SCRIPT, "word(\"")).collect();
        // Those named by a field of the tables, and those that a check of the dates names.
        let tables = ["totals", "distribution", "hour", "day", "week", "month"];
        let about = ["about_hour", "about_day", "about_week", "about_month", "no_week", "no_month"];
        let fields =
            ["ref_date", "ref_hour", "user_source", "msg_type", "count_interval", "msg_user", "msg_count"];
        used.extend(tables.into_iter().chain(about).chain(fields).chain(named(SCRIPT, "why: \"")));
        let known: BTreeSet<&str> = words(Lang::En).into_keys().collect();
        assert_eq!(used, known);
    }
}
