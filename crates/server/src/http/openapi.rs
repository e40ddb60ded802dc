//! `GET /openapi.json`: an OpenAPI 3.1 document of all paths. It is built from the tables of interfaces and of error
//! codes, and from one file for each group of paths. A test compares it with the router.

mod account_statistics;
mod accounts;
mod all_accounts;
pub mod backup;
mod callback;
mod cloud;
mod messages;
mod operation;
mod operator;
mod page;
mod platform;
mod quota;
mod share_links;
mod summary;
mod token;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderValue, Response, header},
    routing::get,
};
use bytes::Bytes;
use serde_json::{Map, Value, json};
use system::sync::lock;

use super::answer_progress::CachedAnswer;
use crate::{config::Config, http::state::App};

pub use operation::Operation;

/// Paths that belong together, and their schemas.
#[derive(Clone, Copy, Debug)]
pub struct PathGroup {
    /// The tag in the document.
    pub name: &'static str,
    /// The description of the tag.
    pub about: &'static str,
    /// The operations. They depend on the configuration.
    pub operations: fn(&Config) -> Vec<Operation>,
    /// The schemas that the operations refer to, by name.
    pub schemas: fn(&Config) -> Value,
}

/// All groups, in the order of the document.
pub static GROUPS: [PathGroup; 14] = [
    messages::GROUP,
    token::GROUP,
    quota::GROUP,
    callback::GROUP,
    platform::GROUP,
    cloud::GROUP,
    account_statistics::GROUP,
    all_accounts::GROUP,
    summary::GROUP,
    accounts::GROUP,
    share_links::GROUP,
    operator::GROUP,
    backup::GROUP,
    page::GROUP,
];

/// The route of the document. The document depends on the configuration only, so it is built again only after a reload.
pub fn router(app: &App) -> Router<Arc<App>> {
    let cached = Mutex::new((app.config.get(), document_json(&app.config.get())));
    let cached = Arc::new(cached);
    let answer = async move |State(app): State<Arc<App>>| {
        let config = app.config.get();
        let mut cached = lock(&cached);
        if !Arc::ptr_eq(&cached.0, &config) {
            *cached = (config.clone(), document_json(&config));
        }
        let mut response = Response::new(Body::from(cached.1.clone()));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response.extensions_mut().insert(CachedAnswer);
        response
    };
    Router::new().route("/openapi.json", get(answer))
}

fn document_json(config: &Config) -> Bytes {
    Bytes::from(document(config, &GROUPS).to_string())
}

/// The document of these groups.
pub fn document<'a>(config: &Config, groups: impl IntoIterator<Item = &'a PathGroup>) -> Value {
    let (mut tags, mut schemas) = (Vec::new(), Map::new());
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for group in groups {
        tags.push(json!({ "name": group.name, "description": group.about }));
        if let Value::Object(of_group) = (group.schemas)(config) {
            schemas.extend(of_group);
        }
        for operation in (group.operations)(config) {
            let object = operation.object(group.name);
            paths.entry(operation.path).or_default().insert(operation.method.to_owned(), object);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "msgcube",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Exact message analysis of WeChat Official Accounts",
            "description": "WeChat's seven message analysis interfaces with their tokens and callbacks, as WeChat answers them (HTTP 200 also for errors, which are an errcode in the body), and msgcube's admin API below /v1 (with status codes, protected by keys).",
            "license": { "name": "MIT", "identifier": "MIT" },
        },
        // Relative to this document, so that a proxy can serve everything below a prefix.
        "servers": [{ "url": "." }],
        "tags": tags,
        "paths": paths,
        "components": { "schemas": schemas, "securitySchemes": security_schemes() },
    })
}

fn security_schemes() -> Value {
    json!({
        "access_token": {
            "type": "apiKey", "in": "query", "name": "access_token",
            "description": "From /cgi-bin/stable_token or /cgi-bin/token; valid for 7,200 s.",
        },
        "key": {
            "type": "http", "scheme": "bearer",
            "description": "admin_key of the configuration, or a key of POST /v1/keys with the scope that the operation needs.",
        },
    })
}

/// A reference to a schema of the document.
fn schema_ref(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}
