//! The HTTP side of the real program, between scripted servers (a bot, WeChat) that record every request. `tests/front`
//! tests it with unmodified bots and SDKs.

mod account_page;
mod accounts;
mod component;
mod connect;
mod copies;
mod gateway;
mod gateway_ours;
mod health;
mod isolation;
mod live;
mod metrics;
mod neighbour;
mod openapi;
mod own_cookies;
mod platform;
mod platforms;
mod relay;
mod reload;
mod share_links;
mod sign_in;
mod statistics;
mod tls;
mod ui_health;
mod ui_live;
