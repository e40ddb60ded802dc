//! Cloud calls on the router: those that wx-server-sdk 4.0.2 made, as they were written down, altered ones, and ones signed
//! here with contents that no SDK sends.

mod hosting;
mod recorded;
mod scene;
mod signed;
mod upstream;
