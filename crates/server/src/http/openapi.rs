//! `GET /openapi.json`: OpenAPI 3.1 of everything that is answered here, made from the tables of interfaces and of error
//! codes and from one small file for each group of paths. A test holds it to the router.

mod accounts;
mod all_accounts;
pub mod backup;
mod callback;
mod cloud;
mod messages;
mod operation;
mod operator;
mod own;
mod page;
mod platform;
mod quota;
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

use super::answering::KeptForAll;
use crate::{config::Config, http::state::App};

pub use operation::Operation;

/// Paths that belong together.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// Its tag.
    pub name: &'static str,
    /// What they are for.
    pub about: &'static str,
    /// What there is.
    pub operations: fn(&Config) -> Vec<Operation>,
    /// The schemas that they name.
    pub schemas: fn(&Config) -> Value,
}

/// All of them, in the order of the document.
pub static GROUPS: [Group; 12] = [
    messages::GROUP,
    token::GROUP,
    quota::GROUP,
    callback::GROUP,
    platform::GROUP,
    cloud::GROUP,
    own::GROUP,
    all_accounts::GROUP,
    accounts::GROUP,
    operator::GROUP,
    backup::GROUP,
    page::GROUP,
];

/// It depends on nothing but the settings, so it is made anew only when they change.
pub fn router(app: &App) -> Router<Arc<App>> {
    let made = Mutex::new((app.config.get(), text(&app.config.get())));
    let made = Arc::new(made);
    let answer = async move |State(app): State<Arc<App>>| {
        let config = app.config.get();
        let mut made = lock(&made);
        if !Arc::ptr_eq(&made.0, &config) {
            *made = (config.clone(), text(&config));
        }
        let mut response = Response::new(Body::from(made.1.clone()));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response.extensions_mut().insert(KeptForAll);
        response
    };
    Router::new().route("/openapi.json", get(answer))
}

fn text(config: &Config) -> Bytes {
    Bytes::from(document(config, &GROUPS).to_string())
}

/// The document of some groups.
pub fn document<'a>(config: &Config, groups: impl IntoIterator<Item = &'a Group>) -> Value {
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
            "description": "WeChat's seven message analysis interfaces with their tokens and callbacks, as WeChat answers them (HTTP 200 also for errors, which are an errcode in the body), and the interface of msgcube's own below /v1 (status codes, behind keys).",
            "license": { "name": "MIT", "identifier": "MIT" },
        },
        // Relative to this document, so that a proxy may put all of it below a prefix.
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
            "description": "Of /cgi-bin/stable_token or /cgi-bin/token; 7,200 s.",
        },
        "key": {
            "type": "http", "scheme": "bearer",
            "description": "admin_key of the configuration, or a key of POST /v1/keys with the scope that the operation needs.",
        },
    })
}

/// A schema by its name.
fn named(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}
