//! The program's texts in English and Chinese, and the format of sizes and times. Uses no other crate of this workspace.
//!
//! English is in the code, in [`text!`]. Chinese is in the catalogue, `zh/*.po`, under the English template.
//! A test fails for a text without Chinese, for Chinese with other placeholders, and for an entry that no code uses.
//! The program's log and its output for machines are in English only.

#![warn(missing_docs)]

pub mod catalog;
pub mod format;
mod lang;
mod template;
mod text;

pub use catalog::translated;
pub use lang::Lang;
pub use text::{Text, ToText};

#[doc(hidden)]
pub use template::has_placeholder;
