//! Cloud calls on the router: recorded calls of wx-server-sdk 4.0.2, altered calls, and calls signed here with content that
//! no SDK sends.

mod hosting;
mod recorded;
mod scene;
mod signed;
mod upstream;
