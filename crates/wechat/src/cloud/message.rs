//! The protobuf messages of a cloud call and its answer, without the fields that the seven interfaces do not use. Source:
//! wx-server-sdk 4.0.2.

use prost::Message;
use serde_json::{Map, Value};

/// The `apiType` of calls that name their interface.
const OPEN_API: i32 = 0;

/// The call: the content of the form field `requestData`.
#[derive(Clone, PartialEq, Message)]
pub struct CommApiData {
    /// The kind of call; 0 for interfaces that are called by name.
    #[prost(int32, tag = "1")]
    pub api_type: i32,
    /// The parameters of the interface.
    #[prost(message, optional, tag = "2")]
    pub openapi_data: Option<OpenApiData>,
    /// The appid of the account to ask about. Empty: the account of the environment.
    #[prost(string, tag = "6")]
    pub appid: String,
}

/// The parameters of a call.
#[derive(Clone, PartialEq, Message)]
pub struct OpenApiData {
    /// One pair for each parameter.
    #[prost(message, repeated, tag = "1")]
    pub pairs: Vec<KeyValuePair>,
}

/// One parameter.
#[derive(Clone, PartialEq, Message)]
pub struct KeyValuePair {
    /// The name, such as `begin_date`.
    #[prost(string, tag = "1")]
    pub key: String,
    /// The value as JSON; the bytes of a file if `content_type` is not empty.
    #[prost(bytes = "bytes", tag = "2")]
    pub value: bytes::Bytes,
    /// The content type of a file; empty for JSON.
    #[prost(string, tag = "3")]
    pub content_type: String,
}

/// The answer to a call.
#[derive(Clone, PartialEq, Message)]
pub struct CommOpenApiResp {
    /// The body of the interface's answer.
    #[prost(bytes = "bytes", tag = "1")]
    pub resp_data: bytes::Bytes,
    /// The content type of `resp_data`.
    #[prost(string, tag = "2")]
    pub content_type: String,
    /// 0, or the code of an error before the interface was called.
    #[prost(int32, tag = "3")]
    pub error_code: i32,
    /// The HTTP status of the interface's answer.
    #[prost(uint32, tag = "4")]
    pub http_code: u32,
}

impl CommApiData {
    /// Parses a call. None if the bytes are malformed or the call does not name an interface.
    pub fn read(bytes: &[u8]) -> Option<CommApiData> {
        CommApiData::decode(bytes).ok().filter(|data| data.api_type == OPEN_API)
    }

    /// The parameters as one JSON object, the body that the interface expects. None if a parameter is not JSON.
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
