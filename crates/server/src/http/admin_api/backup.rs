//! `POST /v1/backup`: sends a backup of the store as it is now. The server takes messages meanwhile.

use std::{collections::HashSet, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, Response, StatusCode, header},
};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use storage::{
    backup::{
        BackupError, PartId,
        export::{Wanted, export},
        stream::Piece,
    },
    store::Store,
};
use tokio::sync::mpsc;

use super::answer;
use crate::{
    http::{
        openapi::backup::{KNOWN_BYTES_MAX, MIB_PER_SECOND, MIB_PER_SECOND_MAX},
        poll_body,
        state::App,
    },
    key_binding,
    net::body::read_within,
};

const BODY_TIME_MAX: Duration = Duration::from_secs(30);
const NONE_WITH_SERVERS: &str = "there is no backup of msgcube's own with [store]: back up ClickHouse and PostgreSQL with their own tools, and keep a copy of data_key_file; docs/scaling.md says how";
/// Pieces that wait for the caller.
const PIECES_WAITING: usize = 2;

/// Answers a stream of pieces. The body names the parts that the caller has.
pub async fn send(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let Store::Embedded(_) = &*app.store else {
        let why = if app.store.is_shared() { NONE_WITH_SERVERS } else { "the store in memory has no backup" };
        return answer::api_error(StatusCode::CONFLICT, why);
    };
    let query = request.uri().query().unwrap_or_default();
    let Some(mib_per_second) = mib_per_second(query) else {
        let error = format!("mib_per_second: write a whole number from 1 to {MIB_PER_SECOND_MAX}");
        return answer::api_error(StatusCode::BAD_REQUEST, error);
    };
    let Ok(permit) = app.backup_permit.clone().try_acquire_owned() else {
        return answer::api_error(
            StatusCode::CONFLICT,
            "another backup is running; try again once it has ended",
        );
    };
    let body = read_within(request.into_body(), KNOWN_BYTES_MAX, BODY_TIME_MAX).await;
    let Some(known) = body.ok().and_then(|body| known_parts(&body)) else {
        let (mib, seconds) = (KNOWN_BYTES_MAX >> 20, BODY_TIME_MAX.as_secs());
        let error = format!(
            "the body: send the SHA-256 of each part that you have, 32 bytes each, at most {mib} MiB within {seconds} s"
        );
        return answer::api_error(StatusCode::BAD_REQUEST, error);
    };
    let wanted = Wanted {
        known,
        bytes_per_second: mib_per_second << 20,
        identity: key_binding::fingerprint(&app.store).unwrap_or_default(),
        at_s: app.clock.now_s(),
    };
    let (sender, mut pieces) = mpsc::channel(PIECES_WAITING);
    tokio::task::spawn_blocking(move || {
        let _permit = permit;
        run(&app, &wanted, &sender);
    });
    let body = poll_body::body(&SizeHint::default(), move |context, _| {
        pieces.poll_recv(context).map(|bytes| bytes.map(|bytes| Ok::<_, Infallible>(Frame::data(bytes))))
    });
    let mut response = Response::new(body);
    let octets = HeaderValue::from_static("application/octet-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, octets);
    response
}

fn mib_per_second(query: &str) -> Option<u64> {
    let given = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "mib_per_second");
    let number = given.map_or(Some(MIB_PER_SECOND), |(_, value)| value.parse().ok())?;
    (1..=MIB_PER_SECOND_MAX).contains(&number).then_some(number)
}

fn known_parts(body: &[u8]) -> Option<HashSet<PartId>> {
    let (parts, rest) = body.as_chunks::<32>();
    rest.is_empty().then(|| parts.iter().copied().map(PartId).collect())
}

fn run(app: &App, wanted: &Wanted, sender: &mpsc::Sender<Bytes>) {
    let Store::Embedded(store) = &*app.store else { return };
    let mut send = |piece: Piece| sender.blocking_send(Bytes::from(piece.encode())).is_ok();
    let done = store.snapshot().map_err(BackupError::from);
    match done.and_then(|snapshot| export(&snapshot, wanted, &mut send)) {
        Ok(()) => tracing::info!("a backup was sent"),
        Err(BackupError::Stopped) => tracing::info!("a backup was not completed: the caller hung up"),
        Err(error) => {
            tracing::error!(%error, "a backup failed");
            send(Piece::Failed(error.to_string()));
        }
    }
}
