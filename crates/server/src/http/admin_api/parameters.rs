//! Which parameters each route of the own interface takes: those that the OpenAPI document names. Any other is refused, so
//! that a mistyped one does not silently ask for something else.

use std::{borrow::Cow, collections::BTreeMap};

use axum::{extract::Request, http::Method};

use crate::{
    config::Config,
    http::openapi::{GROUPS, Operation},
};

/// Of an unknown name that is quoted.
const NAME_CHARACTERS_MAX: usize = 64;

/// What a query names, the last of each name.
pub type Values<'a> = BTreeMap<Cow<'a, str>, Cow<'a, str>>;

/// The operations of the own interface.
#[derive(Clone, Debug)]
pub struct Parameters(Vec<Operation>);

impl Parameters {
    pub fn new(config: &Config) -> Parameters {
        let operations = GROUPS.iter().flat_map(|group| (group.operations)(config));
        Parameters(operations.filter(|operation| operation.path.starts_with("/v1/")).collect())
    }

    /// What is wrong with the query of a request, if anything. Other methods and paths than those that there are get an
    /// error of their own.
    pub fn flaw(&self, request: &Request) -> Option<String> {
        let query = request.uri().query()?;
        let method = if request.method() == Method::HEAD { "GET" } else { request.method().as_str() };
        let is_it = |operation: &&Operation| {
            operation.method.eq_ignore_ascii_case(method) && takes(&operation.path, request.uri().path())
        };
        let known: Vec<&str> = self.0.iter().find(is_it)?.query_names().collect();
        let given = form_urlencoded::parse(query.as_bytes());
        let mut seen = Vec::new();
        let mut unknown = None;
        for (name, _) in given {
            if seen.contains(&name) {
                return Some(format!("{name}: stands more than once; give it once"));
            }
            if known.contains(&name.as_ref()) {
                seen.push(name);
            } else {
                unknown.get_or_insert(name);
            }
        }
        let unknown = unknown?;
        let unknown: String = unknown.chars().take(NAME_CHARACTERS_MAX).collect();
        Some(if known.is_empty() {
            format!("{unknown}: there is no such parameter; this call takes none")
        } else {
            format!("{unknown}: there is no such parameter; there are {}", known.join(", "))
        })
    }
}

/// Whether a path is of this form; a name in braces stands for any one part.
fn takes(form: &str, path: &str) -> bool {
    let (mut parts, mut found) = (form.split('/'), path.split('/'));
    let all_fit =
        parts.by_ref().all(|part| found.next().is_some_and(|given| part.starts_with('{') || part == given));
    all_fit && found.next().is_none()
}
