//! The query parameters of each route of the admin API, taken from the OpenAPI document. Unknown parameters are
//! refused: a mistyped name must not change the meaning of a call in silence.

use axum::{extract::Request, http::Method};

use crate::{
    config::Config,
    http::openapi::{GROUPS, Operation},
};

/// At most so many characters of an unknown name are quoted.
const NAME_CHARACTERS_MAX: usize = 64;

/// The operations of the admin API, with the names of their parameters.
#[derive(Clone, Debug)]
pub struct Parameters(Vec<Operation>);

impl Parameters {
    /// Takes the operations below `/v1/` from the OpenAPI document.
    pub fn new(config: &Config) -> Parameters {
        let operations = GROUPS.iter().flat_map(|group| (group.operations)(config));
        Parameters(operations.filter(|operation| operation.path.starts_with("/v1/")).collect())
    }

    /// What is wrong with the query of a request: a parameter that is unknown, or given twice. None for an unknown
    /// method or path, which the router answers.
    pub fn error(&self, request: &Request) -> Option<String> {
        let query = request.uri().query()?;
        let method = if request.method() == Method::HEAD { "GET" } else { request.method().as_str() };
        let is_called = |operation: &&Operation| {
            operation.method.eq_ignore_ascii_case(method)
                && path_matches(&operation.path, request.uri().path())
        };
        let known: Vec<&str> = self.0.iter().find(is_called)?.query_names().collect();
        let given = form_urlencoded::parse(query.as_bytes());
        let mut seen = Vec::new();
        let mut unknown = None;
        for (name, _) in given {
            if seen.contains(&name) {
                return Some(format!("{name}: given more than once; give it once"));
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
            format!("{unknown}: there is no such parameter; this call takes no parameters")
        } else {
            format!("{unknown}: there is no such parameter; use {}", known.join(", "))
        })
    }
}

/// Whether a path matches a template. A name in braces stands for one segment.
fn path_matches(template: &str, path: &str) -> bool {
    let (mut expected, mut found) = (template.split('/'), path.split('/'));
    let all_match = expected
        .by_ref()
        .all(|segment| found.next().is_some_and(|given| segment.starts_with('{') || segment == given));
    all_match && found.next().is_none()
}
