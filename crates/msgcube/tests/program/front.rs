//! The front door from outside: the real program between scripted neighbours (a bot, WeChat) that note all they are
//! sent. What unmodified bots and SDKs make of it is tested in `tests/front`.

mod accounts;
mod component;
mod copies;
mod gateway;
mod gateway_ours;
mod isolation;
mod neighbour;
mod openapi;
mod platform;
mod platforms;
mod relay;
mod reload;
mod statistics;
mod tls;
