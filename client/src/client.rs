//! The typed client.

/// Placeholder replaced by the client's own commit.
pub struct Client;
/// Same.
pub struct ClientBuilder;
/// Same.
pub struct ClientError;
