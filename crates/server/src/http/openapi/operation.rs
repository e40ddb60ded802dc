//! Builds one operation of the OpenAPI document.

use std::fmt::Write as _;

use datacube::ErrorCode;
use serde_json::{Map, Value, json};
use wechat::error_guide::Meaning;

use super::schema_ref;

const JSON: &str = "application/json";
/// The content type of WeChat's answers.
pub const WECHAT_JSON: &str = "application/json; encoding=utf-8";

/// An operation: a method of a path.
#[derive(Clone, Debug)]
pub struct Operation {
    /// In lower case.
    pub method: &'static str,
    /// Parameters are in braces.
    pub path: String,
    id: &'static str,
    summary: &'static str,
    about: String,
    parameters: Vec<Value>,
    body: Option<Value>,
    responses: Map<String, Value>,
    /// The name of the security scheme. None: no token or key is needed.
    security: Option<&'static str>,
}

impl Operation {
    /// An operation without parameters, body and responses.
    pub fn new(
        method: &'static str,
        path: impl Into<String>,
        id: &'static str,
        summary: &'static str,
    ) -> Operation {
        Operation {
            method,
            path: path.into(),
            id,
            summary,
            about: String::new(),
            parameters: Vec::new(),
            body: None,
            responses: Map::new(),
            security: None,
        }
    }

    /// Adds to the description.
    #[must_use]
    pub fn about(mut self, text: &str) -> Operation {
        self.about.push_str(text);
        self
    }

    /// Adds a query parameter.
    #[must_use]
    pub fn query(mut self, name: &str, is_required: bool, about: &str, schema: Value) -> Operation {
        let mut parameter =
            json!({ "name": name, "in": "query", "required": is_required, "description": about });
        parameter["schema"] = schema;
        self.parameters.push(parameter);
        self
    }

    /// The names of the query parameters.
    pub fn query_names(&self) -> impl Iterator<Item = &str> {
        let of_query = self.parameters.iter().filter(|parameter| parameter["in"] == "query");
        of_query.filter_map(|parameter| parameter["name"].as_str())
    }

    /// Adds a path parameter.
    #[must_use]
    pub fn part(mut self, name: &str, about: &str) -> Operation {
        let schema = json!({ "type": "string", "minLength": 1, "maxLength": 128 });
        let parameter =
            json!({ "name": name, "in": "path", "required": true, "description": about, "schema": schema });
        self.parameters.push(parameter);
        self
    }

    /// Sets the request body: `content` has a schema for each media type.
    #[must_use]
    pub fn body(mut self, content: Value) -> Operation {
        self.body = Some(request_body(true, content));
        self
    }

    /// Sets a request body that may be missing.
    #[must_use]
    pub fn optional_body(mut self, content: Value) -> Operation {
        self.body = Some(request_body(false, content));
        self
    }

    /// Sets a request body of JSON.
    #[must_use]
    pub fn takes(self, schema: Value, example: Value) -> Operation {
        let mut content = content(JSON, schema);
        content[JSON]["example"] = example;
        self.body(content)
    }

    /// Adds a response with one media type.
    #[must_use]
    pub fn answers(self, status: u16, about: &str, media_type: &str, schema: Value) -> Operation {
        let mut response = json!({ "description": about });
        response["content"] = content(media_type, schema);
        self.response(status, response)
    }

    /// Adds any Response Object.
    #[must_use]
    pub fn response(mut self, status: u16, response: Value) -> Operation {
        self.responses.insert(status.to_string(), response);
        self
    }

    /// Adds a response of JSON.
    #[must_use]
    pub fn gives(self, status: u16, about: &str, schema: Value) -> Operation {
        self.answers(status, about, JSON, schema)
    }

    /// Adds errors of the admin API.
    #[must_use]
    pub fn fails(self, errors: &[(u16, &str)]) -> Operation {
        let add = |operation: Operation, (status, about): &(u16, &str)| {
            operation.gives(*status, about, schema_ref("OwnError"))
        };
        errors.iter().fold(self, add)
    }

    /// Adds errors in WeChat's format with a status other than 200.
    #[must_use]
    pub fn fails_as_wechat(self, errors: &[(u16, &str)]) -> Operation {
        let add = |operation: Operation, (status, about): &(u16, &str)| {
            operation.gives(*status, about, schema_ref("AnyError"))
        };
        errors.iter().fold(self, add)
    }

    /// The operation needs an access token.
    #[must_use]
    pub fn with_token(mut self) -> Operation {
        self.security = Some("access_token");
        self
    }

    /// The operation needs an API key with this scope. Adds the responses 401 and 403.
    #[must_use]
    pub fn with_key(mut self, scope: &str) -> Operation {
        self.security = Some("key");
        // Writing to a String cannot fail.
        let _ = write!(self.about, " Needs the scope {scope}.");
        self.response(
            401,
            json!({
                "description": "the key is missing or not valid",
                "headers": { "WWW-Authenticate": { "required": true, "schema": { "const": "Bearer" } } },
                "content": { JSON: { "schema": schema_ref("OwnError") } },
            }),
        )
        .fails(&[(403, "the key does not have the scope")])
    }

    /// Adds a response in WeChat's format: HTTP 200 with the result, or with one of these error codes. With `is_open`
    /// any other code may come too, because WeChat itself may have answered.
    #[must_use]
    pub fn answers_as_wechat(mut self, success: Value, codes: &[ErrorCode], is_open: bool) -> Operation {
        self.about.push_str("\n\n| errcode | errmsg | when |\n|---|---|---|\n");
        for code in codes {
            let when = Meaning::by_code(code.code).map(|meaning| meaning.when.english()).unwrap_or_default();
            let _ = writeln!(self.about, "| {} | {} | {when} |", code.code, code.text);
        }
        let error = if is_open { schema_ref("AnyError") } else { error_of(codes) };
        let mut response = json!({
            "description": "the result, or errcode and errmsg",
            "headers": { "X-Msgcube-Hint": hint_en(), "X-Msgcube-Hint-Zh": hint_zh() },
        });
        let either = Value::Array(vec![success, error]);
        response["content"] = content(WECHAT_JSON, json!({ "oneOf": either }));
        self.response(200, response)
    }

    /// The Operation Object of OpenAPI.
    pub fn object(&self, tag: &str) -> Value {
        let mut responses = self.responses.clone();
        if self.path.starts_with("/v1/") && !responses.contains_key("400") {
            let response = json!({
                "description": "an unknown parameter",
                "content": content(JSON, schema_ref("OwnError")),
            });
            responses.insert("400".to_owned(), response);
        }
        let mut object = json!({
            "operationId": self.id,
            "summary": self.summary,
            "tags": [tag],
            "parameters": self.parameters,
            "responses": responses,
            "security": self.security.map_or(json!([]), |scheme| json!([{ scheme: [] }])),
        });
        if !self.about.is_empty() {
            object["description"] = self.about.trim_start().into();
        }
        if let Some(body) = &self.body {
            object["requestBody"] = body.clone();
        }
        object
    }
}

fn request_body(is_required: bool, content: Value) -> Value {
    Value::from_iter([("required", Value::from(is_required)), ("content", content)])
}

/// A Content Object with one media type.
pub fn content(media_type: &str, schema: Value) -> Value {
    Value::from_iter([(media_type, Value::from_iter([("schema", schema)]))])
}

fn error_of(codes: &[ErrorCode]) -> Value {
    let code = |code: &ErrorCode| json!({ "const": code.code, "title": code.text });
    json!({
        "type": "object",
        "required": ["errcode", "errmsg"],
        "properties": {
            "errcode": { "oneOf": codes.iter().map(code).collect::<Vec<_>>() },
            "errmsg": { "type": "string", "pattern": "^.+ rid: [0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}$" },
        },
        "additionalProperties": false,
    })
}

fn hint_en() -> Value {
    json!({
        "description": "How to correct the call, or why the answer may be incomplete; in English.",
        "schema": { "type": "string", "maxLength": 512, "pattern": "^[ -~]+$" },
    })
}

fn hint_zh() -> Value {
    json!({
        "description": "The hint in Chinese, as percent-encoded UTF-8.",
        "schema": { "type": "string", "maxLength": 512, "pattern": "^[ -~]+$" },
    })
}
