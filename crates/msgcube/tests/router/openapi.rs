//! The OpenAPI document describes exactly the paths that the server has.

use std::collections::BTreeSet;

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, StatusCode},
};
use serde_json::Value;
use server::{
    config::Config,
    http::{
        self,
        openapi::{GROUPS, Operation, PathGroup, document},
        state::App,
    },
    intake::path::CallbackPath,
};
use storage::store::{Memory, Store};
use system::{clock::Clock, data_key::DataKey};
use tempfile::TempDir;
use tower::ServiceExt as _;

const CONFIG: &str = "admin_key = \"openapi-admin-key\"\n[[account]]\nappid = \"wx00000000000000a1\"\nsecret = \"0123456789abcdef0123456789abcdef\"\ntoken = \"callbackTokenOne\"\n";
/// Routes that answer that the path does not exist.
const CATCH_ALL: [&str; 3] = ["/v1", "/v1/", "/v1/{*rest}"];
/// Pages for browsers, which no tool calls: the document leaves them out.
const PAGES: [&str; 2] = ["/", "/ui"];
/// Paths with answers in WeChat's form: HTTP 200 for every method.
const OF_WECHAT: [&str; 2] = ["/cgi-bin/", "/datacube/"];

struct ServedApi {
    config: Config,
    router: Router,
    admin_router: Router,
    /// The folder with the data key.
    _folder: TempDir,
}

/// The server with all its routes, without a socket.
fn served() -> ServedApi {
    let folder = tempfile::tempdir().unwrap();
    let config = Config::parse(CONFIG, &folder.path().join("msgcube.toml"), |_| None).unwrap();
    let key = DataKey::load_or_create(&config.data_key_file).unwrap();
    let store = Store::Memory(Memory::default());
    let (app, _) = App::start_with(config.clone(), Clock::starting_at(1_417_881_600), store, key).unwrap();
    let (router, admin_router) = (http::router(app.clone()).router, http::admin_router(app).router);
    ServedApi { config, router, admin_router, _folder: folder }
}

/// The paths of a router. axum shows them only in its `Debug` output.
fn paths(router: &Router) -> BTreeSet<String> {
    let text = format!("{router:?}");
    let (_, after) = text.split_once("paths: {").expect("axum shows its paths");
    let (inside, _) = after.split_once("\"}").expect("and where they end");
    let paths: BTreeSet<String> = inside.split('"').skip(1).step_by(2).map(ToOwned::to_owned).collect();
    assert!(paths.len() > 10, "the paths were not found in {text}");
    let is_page = |path: &str| PAGES.contains(&path) || path.starts_with("/ui/");
    paths.into_iter().filter(|path| !is_page(path)).collect()
}

fn operations<'a>(config: &Config, groups: impl Iterator<Item = &'a PathGroup>) -> Vec<Operation> {
    groups.flat_map(|group| (group.operations)(config)).collect()
}

/// Whether a route matches a path. A parameter matches one segment.
fn matches_path(route: &str, path: &str) -> bool {
    let (route, path): (Vec<&str>, Vec<&str>) = (route.split('/').collect(), path.split('/').collect());
    route.len() == path.len()
        && route.iter().zip(&path).all(|(one, other)| one.starts_with('{') || one == other)
}

#[test]
fn every_route_is_described() {
    let served = served();
    let described = operations(&served.config, GROUPS.iter());
    for router in [&served.router, &served.admin_router] {
        for route in paths(router).iter().filter(|route| !CATCH_ALL.contains(&route.as_str())) {
            let is_described = described.iter().any(|operation| matches_path(route, &operation.path));
            assert!(is_described, "{route} is not in crates/server/src/http/openapi/");
        }
    }
}

#[test]
fn every_described_path_has_a_route() {
    let served = served();
    let mut routes = paths(&served.router);
    routes.retain(|route| !CATCH_ALL.contains(&route.as_str()));
    for group in &GROUPS {
        let lacking: Vec<String> = operations(&served.config, std::iter::once(group))
            .into_iter()
            .map(|operation| operation.path)
            .filter(|path| !routes.iter().any(|route| matches_path(route, path)))
            .collect();
        assert!(lacking.is_empty(), "{}: nothing answers {lacking:?}", group.name);
    }
}

fn request(method: &str, path: &str) -> Request<Body> {
    let path = path.replace("{appid}", "wx00000000000000a1").replace("{id}", "x");
    Request::builder()
        .method(method.to_uppercase().as_str())
        .uri(path)
        .header("Authorization", "Bearer openapi-admin-key")
        .body(Body::empty())
        .unwrap()
}

#[tokio::test]
async fn each_path_takes_exactly_the_described_methods() {
    let served = served();
    let built = operations(&served.config, GROUPS.iter());
    for path in built.iter().map(|operation| &operation.path).collect::<BTreeSet<_>>() {
        if OF_WECHAT.iter().any(|prefix| path.starts_with(prefix)) {
            continue;
        }
        let methods = || built.iter().filter(|operation| operation.path == *path).map(|one| one.method);
        for method in ["get", "post", "put", "patch", "delete"] {
            // Callbacks do not pass through the router. tests/front posts them to the program.
            if method == "post" && CallbackPath::parse(path).is_some() {
                continue;
            }
            let is_described = methods().any(|described| described == method);
            let answer = served.router.clone().oneshot(request(method, path)).await.unwrap();
            let is_taken = answer.status() != StatusCode::METHOD_NOT_ALLOWED;
            assert_eq!(is_taken, is_described, "{method} {path}: {}", answer.status());
            if !is_taken {
                let allowed = answer.headers()["allow"].to_str().unwrap().to_lowercase();
                let allowed: BTreeSet<&str> = allowed.split(',').filter(|one| *one != "head").collect();
                assert_eq!(allowed, methods().collect(), "{path}");
            }
        }
    }
}

/// Tests all routes below `/v1`. A new route cannot be forgotten, because a test above fails if it is not described.
#[tokio::test]
async fn the_admin_api_refuses_unknown_parameters() {
    let served = served();
    let (mut asked, described) = (0, operations(&served.config, GROUPS.iter()));
    for operation in described.iter().filter(|operation| operation.path.starts_with("/v1/")) {
        let named = |path: &str| format!("{} {path}", operation.method);
        for query in ["bogus=1", "bogus", "from=2026-11-01&%62ogus=", "Format=csv"] {
            let path = format!("{}?{query}", operation.path);
            let request = request(operation.method, &path.replace("{component_appid}", "wxc"));
            let answer = served.router.clone().oneshot(request).await.unwrap();
            assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{}", named(&path));
            let body: Value =
                serde_json::from_slice(&to_bytes(answer.into_body(), 1 << 16).await.unwrap()).unwrap();
            let error = body["error"].as_str().unwrap();
            assert!(error.contains("there is no such parameter"), "{}: {error}", named(&path));
            let names: Vec<&str> = operation.query_names().collect();
            let told = if names.is_empty() { "takes no parameters".to_owned() } else { names.join(", ") };
            assert!(error.contains(&told), "{}: {error}", named(&path));
        }
        // Known parameters are not refused for their name.
        for name in operation.query_names() {
            let path = format!("{}?{name}=", operation.path);
            let answer = served.router.clone().oneshot(request(operation.method, &path)).await.unwrap();
            let body = to_bytes(answer.into_body(), 1 << 16).await.unwrap();
            assert!(!String::from_utf8_lossy(&body).contains("no such parameter"), "{}", named(&path));
        }
        asked += 1;
    }
    assert!(asked > 15, "{asked}");
    // A caller without a key learns nothing about parameters.
    let path = "/v1/stats?bogus=1";
    let request = Request::builder().uri(path).body(Body::empty()).unwrap();
    assert_eq!(served.router.clone().oneshot(request).await.unwrap().status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_server_sends_this_document() {
    let served = served();
    for router in [served.router, served.admin_router] {
        let answer = router.oneshot(request("get", "/openapi.json")).await.unwrap();
        assert_eq!(answer.headers()["content-type"], "application/json");
        let body = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        let found: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(found, document(&served.config, GROUPS.iter()));
    }
}

#[test]
fn operation_names_are_unique_and_references_exist() {
    let served = served();
    let all = document(&served.config, &GROUPS);
    let mut names = BTreeSet::new();
    for methods in all["paths"].as_object().unwrap().values() {
        for operation in methods.as_object().unwrap().values() {
            let name = operation["operationId"].as_str().unwrap();
            assert!(names.insert(name), "{name} twice");
        }
    }
    assert_eq!(names.len(), operations(&served.config, GROUPS.iter()).len(), "a path twice with one method");
    let text = all.to_string();
    let references = text.split("\"#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next());
    let references: BTreeSet<&str> = references.collect();
    let schemas: BTreeSet<&str> =
        all["components"]["schemas"].as_object().unwrap().keys().map(String::as_str).collect();
    let lost: Vec<_> = references.difference(&schemas).collect();
    assert!(lost.is_empty() && references.len() > 10, "{lost:?}");
}

#[test]
fn rows_are_described_as_the_settings_require() {
    let served = served();
    let mut config = served.config;
    let row = |config: &Config| document(config, &GROUPS)["components"]["schemas"]["HourRow"].clone();
    let names = |row: &Value| {
        row["required"]
            .as_array()
            .unwrap()
            .iter()
            .map(|name| name.as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&row(&config)), ["ref_date", "ref_hour", "msg_type", "msg_user", "msg_count"]);
    config.datacube.user_source = true;
    assert_eq!(names(&row(&config))[2], "user_source");
}
