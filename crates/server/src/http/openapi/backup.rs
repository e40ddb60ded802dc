//! A backup of the store.

use serde_json::{Value, json};

use super::{Operation, PathGroup};
use crate::config::Config;

/// MiB read in a second if the caller gives no number.
pub const MIB_PER_SECOND: u64 = 50;
/// The largest number that a caller may give. No disk is faster.
pub const MIB_PER_SECOND_MAX: u64 = 100_000;
/// Most bytes of the body. Enough for the names of half a million parts, a backup of some 250 GiB.
pub const KNOWN_BYTES_MAX: usize = 16 << 20;

/// The paths of the backup.
pub const GROUP: PathGroup = PathGroup {
    name: "backup",
    about: "A consistent copy of the data of a running server. `msgcube backup` asks for it and keeps it in a folder.",
    operations,
    schemas,
};

fn operations(_: &Config) -> Vec<Operation> {
    let bytes = json!({ "type": "string", "format": "binary" });
    let known = json!({ "type": "string", "format": "binary", "maxLength": KNOWN_BYTES_MAX });
    let rate =
        json!({ "type": "integer", "minimum": 1, "maximum": MIB_PER_SECOND_MAX, "default": MIB_PER_SECOND });
    vec![
        Operation::new("post", "/v1/backup", "backup", "Send a backup of the store as it is now")
            .about("The body holds the SHA-256 of each part that the caller has, 32 bytes each; it may be missing. The answer is a sequence of pieces: one byte for the type, four bytes for the length (little-endian), then the payload. The types are 1: JSON with the fingerprint of the data key and the number of bytes to read; 2: a part; 3: the SHA-256 of a part that the caller has, and its length in eight bytes; 4: the manifest, which comes last; 5: why the backup failed. The answer does not contain the data key.")
            .query("mib_per_second", false, "most MiB that are read in a second", rate)
            .optional_body(json!({ "application/octet-stream": { "schema": known } }))
            .with_key("admin")
            .answers(200, "the pieces", "application/octet-stream", bytes)
            .fails(&[
                (400, "mib_per_second or the body is wrong"),
                (409, "another backup is running, or the store is not in data_dir"),
            ]),
    ]
}

fn schemas(_: &Config) -> Value {
    json!({})
}
