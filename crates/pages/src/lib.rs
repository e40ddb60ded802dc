//! Draws the dashboard: from view models to HTML, SVG charts, one style sheet and one script. No I/O, no clock, no HTTP.
//!
//! A page is `Frame` plus its view model. Nothing in the HTML has a `style` attribute or an event handler, so the style
//! sheet and the script can be allowed by their hash alone. Every page works without the script.

#![warn(missing_docs)]

mod account;
mod charts;
mod layout;
mod overview;
mod parts;
mod view;
mod words;

pub use account::{account, account_svg_files};
pub use layout::{SCRIPT, STYLE};
pub use overview::overview;

pub use view::{
    account::*, connect::*, figures::*, frame::*, health::*, keys::*, live::*, overview::*, sign_in::*,
    time::*,
};
