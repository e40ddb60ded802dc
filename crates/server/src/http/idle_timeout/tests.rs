//! Tests on a paused clock: which connections are closed, when, and how much memory answers hold.

use std::convert::Infallible;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::StreamBody;
use hyper::{body::Frame, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use super::*;
use crate::http::answer_progress::CachedAnswer;

const SECOND: Duration = Duration::from_secs(1);
const REQUEST_1: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

/// Opens a connection with a buffer of 4 KiB. Each request on it gets `answer` after the time `after`.
fn connect(
    idle: &IdleTimeout,
    after: Duration,
    answer: impl Fn() -> Body + Clone + Send + 'static,
) -> DuplexStream {
    let (client, server) = tokio::io::duplex(4 << 10);
    let activity = idle.activity();
    let of_service = activity.clone();
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (activity, answer) = (of_service.clone(), answer.clone());
        async move {
            activity.arrived(&request);
            let running = activity.begin();
            tokio::time::sleep(after).await;
            let mut response = Response::new(answer());
            if request.uri().path() == "/kept" {
                response.extensions_mut().insert(CachedAnswer);
            }
            Ok::<_, Infallible>(running.until_sent(response, request.version()).await)
        }
    });
    let io = TokioIo::new(TimedStream::new(server, activity.clone()));
    let task = tokio::spawn(async move {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().max_buf_size(64 << 10).writev(false);
        let _ = builder.serve_connection(io, service).await;
    });
    idle.watch(activity, task.abort_handle());
    client
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The start of an HTTP/2 connection whose streams have this flow-control window.
fn preface(window: u32) -> Vec<u8> {
    let settings = [&[0_u8, 4][..], &window.to_be_bytes()].concat();
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &frame(4, 0, 0, &settings)[..]].concat()
}

fn get(stream: u32, path: &str) -> Vec<u8> {
    let fields = [(":method", "GET"), (":path", path), (":scheme", "http"), (":authority", "x")];
    let literal = |text: &str| [&[u8::try_from(text.len()).unwrap()][..], text.as_bytes()].concat();
    let field = |(name, value): (&str, &str)| [&[0_u8][..], &literal(name), &literal(value)].concat();
    frame(1, 5, stream, &fields.map(field).concat())
}

fn more_window(stream: u32, bytes: u32) -> Vec<u8> {
    frame(8, 0, stream, &bytes.to_be_bytes())
}

fn long() -> Body {
    Body::from(vec![b'Z'; 100 << 10])
}

fn short() -> Body {
    Body::from("short")
}

/// An answer in two pieces. The second one is made 300 s after the first.
fn paused() -> Body {
    let mut sent = 0;
    let mut sleep = Box::pin(tokio::time::sleep(SECOND * 300));
    let pieces = move |context: &mut Context<'_>| {
        if sent == 1 {
            std::task::ready!(sleep.as_mut().poll(context));
        }
        sent += 1;
        Poll::Ready((sent <= 2).then(|| Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"ZZZZZ")))))
    };
    Body::new(StreamBody::new(PollStream(pieces)))
}

struct PollStream<F>(F);

impl<F: FnMut(&mut Context<'_>) -> Poll<Option<T>> + Unpin, T> futures_core::Stream for PollStream<F> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        (self.0)(context)
    }
}

/// Reads until the connection is closed. Returns all bytes.
async fn until_closed(client: &mut DuplexStream) -> Vec<u8> {
    let mut all = Vec::new();
    let _ = tokio::time::timeout(SECOND * 1000, client.read_to_end(&mut all)).await.expect("it is closed");
    all
}

/// Waits until the server closes the connection. Sends only bytes that are no request, and reads nothing.
async fn until_gone(client: &mut DuplexStream, nothing: &[u8]) {
    for _ in 0..1000 {
        if client.write_all(nothing).await.is_err() {
            return;
        }
        tokio::time::sleep(SECOND).await;
    }
    panic!("it is still there");
}

fn is_in_time(since: Instant) -> bool {
    (IDLE_MAX / 2..=IDLE_MAX + SECOND).contains(&since.elapsed())
}

#[tokio::test(start_paused = true)]
async fn whoever_gives_no_window_is_closed_after_45_to_90_s_whatever_the_length_of_the_answer() {
    let idle = IdleTimeout::start();
    for answer in [long as fn() -> Body, short as fn() -> Body, paused as fn() -> Body] {
        let since = Instant::now();
        let mut client = connect(&idle, Duration::ZERO, answer);
        client.write_all(&[preface(0), get(1, "/")].concat()).await.unwrap();
        until_closed(&mut client).await;
        assert!(is_in_time(since), "{:?}", since.elapsed());
    }
    tokio::time::sleep(SECOND).await;
    assert_eq!(idle.memory.bytes(), 0, "all memory is freed");
}

#[tokio::test(start_paused = true)]
async fn single_bytes_of_window_pings_and_other_streams_do_not_keep_a_connection() {
    let idle = IdleTimeout::start();
    let since = Instant::now();
    let mut client = connect(&idle, Duration::ZERO, long);
    client.write_all(&[preface(0), get(1, "/")].concat()).await.unwrap();
    let (mut reader, mut writer) = tokio::io::split(&mut client);
    let little = async {
        let mut stream = 3;
        // Every 5 s: one more byte of window for the first request, and a second request with enough window.
        while writer.write_all(&[more_window(1, 1), frame(6, 0, 0, &[0; 8])].concat()).await.is_ok() {
            if writer
                .write_all(
                    &[get(stream, "/"), more_window(stream, 200 << 10), more_window(0, 200 << 10)].concat(),
                )
                .await
                .is_err()
            {
                return;
            }
            stream += 2;
            tokio::time::sleep(SECOND * 5).await;
        }
    };
    let read = async {
        let mut all = Vec::new();
        let _ = reader.read_to_end(&mut all).await;
    };
    tokio::time::timeout(SECOND * 1000, async { tokio::join!(little, read) }).await.expect("it is closed");
    assert!(since.elapsed() <= IDLE_MAX + SECOND * 6, "{:?}", since.elapsed());
}

#[tokio::test(start_paused = true)]
async fn whoever_reads_nothing_is_closed_on_both_protocols() {
    let idle = IdleTimeout::start();
    let wide = [preface(1 << 30), more_window(0, 1 << 30), get(1, "/")].concat();
    for (request, nothing) in [(REQUEST_1.to_vec(), b"\n".to_vec()), (wide, frame(6, 0, 0, &[0; 8]))] {
        let since = Instant::now();
        let mut client = connect(&idle, Duration::ZERO, || Body::from(vec![b'a'; 1 << 20]));
        client.write_all(&request).await.unwrap();
        until_gone(&mut client, &nothing).await;
        assert!(is_in_time(since), "{:?}", since.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn slow_work_and_answers_with_pauses_go_on() {
    let idle = IdleTimeout::start();
    let cases =
        [(SECOND * 300, long as fn() -> Body, 100 << 10), (Duration::ZERO, paused as fn() -> Body, 10)];
    for (after, answer, bytes) in cases {
        let mut client = connect(&idle, after, answer);
        client.write_all(REQUEST_1).await.unwrap();
        let came = until_closed(&mut client).await;
        assert_eq!(String::from_utf8(came).unwrap().matches('Z').count(), bytes);
        let mut client = connect(&idle, after, answer);
        let window = 1 << 30;
        client.write_all(&[preface(window), more_window(0, window), get(1, "/")].concat()).await.unwrap();
        assert_eq!(data_bytes(&until_closed(&mut client).await), bytes);
    }
}

/// The number of bytes in all DATA frames.
fn data_bytes(mut frames: &[u8]) -> usize {
    let mut bytes = 0;
    while let [a, b, c, kind, rest @ ..] = frames {
        let length = usize::try_from(u32::from_be_bytes([0, *a, *b, *c])).unwrap();
        bytes += if *kind == 0 { length } else { 0 };
        frames = &rest[5 + length..];
    }
    bytes
}

#[tokio::test(start_paused = true)]
async fn whoever_takes_16_kib_in_45_s_gets_all_of_it() {
    let idle = IdleTimeout::start();
    let mut client = connect(&idle, Duration::ZERO, long);
    client.write_all(&[preface(0), more_window(0, 1 << 20), get(1, "/")].concat()).await.unwrap();
    let (mut reader, mut writer) = tokio::io::split(&mut client);
    let take = async {
        for _ in 0..7 {
            tokio::time::sleep(SECOND * 40).await;
            writer.write_all(&more_window(1, 16 << 10)).await.unwrap();
        }
    };
    let mut all = Vec::new();
    let (read, ()) = tokio::join!(reader.read_to_end(&mut all), take);
    read.unwrap();
    assert_eq!(data_bytes(&all), 100 << 10);
}

#[tokio::test(start_paused = true)]
async fn answers_that_nobody_takes_stay_within_a_bound_and_those_that_wait_longest_go() {
    let idle = IdleTimeout::start();
    let megabyte = || Body::from(vec![b'a'; 1 << 20]);
    let mut clients = Vec::new();
    for _ in 0..80 {
        let mut client = connect(&idle, Duration::ZERO, megabyte);
        client.write_all(&[preface(0), get(1, "/")].concat()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert!(idle.memory.bytes() <= 64 << 20, "{}", idle.memory.bytes());
        clients.push(client);
    }
    let mut gone = Vec::new();
    for client in &mut clients {
        gone.push(client.write_all(&frame(6, 0, 0, &[0; 8])).await.is_err());
    }
    let first_kept = gone.iter().position(|gone| !gone).unwrap();
    assert!(gone[0] && first_kept < 40 && !gone[first_kept..].contains(&true), "{gone:?}");
    let mut kept_for_all = connect(&idle, Duration::ZERO, megabyte);
    let before = idle.memory.bytes();
    kept_for_all.write_all(&[preface(0), get(1, "/kept")].concat()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert!((before + 1..before + (8 << 10)).contains(&idle.memory.bytes()), "only its head counts");
}

#[tokio::test(start_paused = true)]
async fn at_the_end_stuck_connections_close_at_once_and_those_at_work_do_not() {
    let mut idle = IdleTimeout::start();
    let mut stuck = connect(&idle, Duration::ZERO, long);
    stuck.write_all(&[preface(0), get(1, "/")].concat()).await.unwrap();
    let mut at_work = connect(&idle, SECOND * 5, || Body::from("done"));
    at_work.write_all(REQUEST_1).await.unwrap();
    tokio::time::sleep(SECOND).await;
    let since = Instant::now();
    idle.shorten();
    until_closed(&mut stuck).await;
    assert!(since.elapsed() <= IDLE_AT_END_MAX, "{:?}", since.elapsed());
    assert!(until_closed(&mut at_work).await.ends_with(b"done"));
}

#[tokio::test(start_paused = true)]
async fn connections_that_are_over_are_let_go_between_two_looks() {
    let idle = IdleTimeout::start();
    for _ in 0..1000 {
        let task = tokio::spawn(async {});
        let connection = task.abort_handle();
        task.await.unwrap();
        idle.watch(idle.activity(), connection);
    }
    assert!(lock(&idle.connections).len() < 10);
}
