//! Cloud calls, as wx-server-sdk makes them.

use serde_json::json;

use super::{Operation, PathGroup};
use crate::config::Config;

/// The paths of this file.
pub const GROUP: PathGroup = PathGroup {
    name: "cloud calls",
    about: "The seven interfaces as cloud calls: the serviceUrl of wx-server-sdk.",
    operations,
    schemas: |_| json!({}),
};

fn operations(_: &Config) -> Vec<Operation> {
    let text = || json!({ "type": "string" });
    let form = json!({
        "type": "object",
        "required": ["action", "apiName", "requestData", "envName"],
        "properties": {
            "action": { "const": "wx.openApi" },
            "apiName": { "type": "string", "description": "such as officialAccount.datacube.getUpstreamMsg" },
            "requestData": { "type": "string", "contentMediaType": "application/octet-stream", "description": "a protobuf message CommApiData" },
            "envName": text(),
        },
    });
    vec![
        Operation::new("post", "/cloud/admin", "cloudCall", "A cloud call")
            .about("Signed by TC3-HMAC-SHA256 in the header Authorization. The answer is a protobuf message CommOpenApiResp, or a JSON object with code and message.")
            .query("env", false, "the cloud environment", text())
            .query("seqId", false, "the number of the call", text())
            .body(json!({ "multipart/form-data": { "schema": form } }))
            .response(200, json!({ "description": "the interface's answer, or an error" })),
    ]
}
