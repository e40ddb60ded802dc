//! The protobuf messages of a cloud call: what is asked, and the answer. Source: the messages of wx-server-sdk 4.0.2;
//! fields that the seven interfaces have no use for are left out.

use prost::Message;
use serde_json::{Map, Value};

/// The `apiType` of interfaces that are called by name.
const OPEN_API: i32 = 0;

/// `requestData`.
#[derive(Clone, PartialEq, Message)]
pub struct CommApiData {
    #[prost(int32, tag = "1")]
    pub api_type: i32,
    #[prost(message, optional, tag = "2")]
    pub openapi_data: Option<OpenApiData>,
    /// The account that is asked for; empty: the environment's own.
    #[prost(string, tag = "6")]
    pub appid: String,
}

/// The parameters.
#[derive(Clone, PartialEq, Message)]
pub struct OpenApiData {
    #[prost(message, repeated, tag = "1")]
    pub pairs: Vec<KeyValuePair>,
}

/// One parameter. Its value is a JSON text, or the bytes of a file if there is a type.
#[derive(Clone, PartialEq, Message)]
pub struct KeyValuePair {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(bytes = "bytes", tag = "2")]
    pub value: bytes::Bytes,
    #[prost(string, tag = "3")]
    pub content_type: String,
}

/// The answer.
#[derive(Clone, PartialEq, Message)]
pub struct CommOpenApiResp {
    #[prost(bytes = "bytes", tag = "1")]
    pub resp_data: bytes::Bytes,
    #[prost(string, tag = "2")]
    pub content_type: String,
    /// Not 0: the interface was not called at all.
    #[prost(int32, tag = "3")]
    pub error_code: i32,
    #[prost(uint32, tag = "4")]
    pub http_code: u32,
}

impl CommApiData {
    /// What is asked; nothing if the bytes are no call of an interface by its name.
    pub fn read(bytes: &[u8]) -> Option<CommApiData> {
        CommApiData::decode(bytes).ok().filter(|data| data.api_type == OPEN_API)
    }

    /// The parameters as the JSON object that the interface takes; nothing if one of them is not JSON.
    pub fn body(&self) -> Option<Vec<u8>> {
        let pairs = self.openapi_data.iter().flat_map(|data| &data.pairs);
        let object: Option<Map<String, Value>> = pairs
            .map(|pair| {
                let value = serde_json::from_slice(&pair.value).ok()?;
                pair.content_type.is_empty().then(|| (pair.key.clone(), value))
            })
            .collect();
        serde_json::to_vec(&object?).ok()
    }
}
