//! Draws the dashboard: from view models to HTML, SVG charts, one style sheet and one script. No I/O, no clock, no HTTP.
//!
//! A page is [`Frame`] plus its view model: `pages::account(&frame, &page)` returns the complete document. Paths and names
//! of fields that a page sends back are in the documentation of its view model.
//!
//! Nothing in the HTML has a `style` attribute or an event handler, so the style sheet and the script can be allowed by
//! their hash alone. Every page works without the script.

#![warn(missing_docs)]

mod account;
mod charts;
mod connect;
mod health;
mod keys;
mod layout;
mod live;
mod overview;
mod parts;
mod sign_in;
mod view;
mod words;

pub use account::{account, account_svg_files};
pub use connect::connect;
pub use health::health;
pub use keys::keys;
pub use layout::{SCRIPT, STYLE};
pub use live::live;
pub use overview::overview;
pub use sign_in::{error, login};
pub use words::Words;

pub use view::{
    account::*, connect::*, figures::*, frame::*, health::*, keys::*, live::*, overview::*, sign_in::*,
    time::*,
};
