//! The program `msgcube`: a module for each command.

pub mod admin;
pub mod args;
pub mod backup;
pub mod chinese;
pub mod conformance;
pub mod demo;
pub mod doctor;
pub mod import;
pub mod init;
pub mod log;
pub mod manpage;
pub mod output;
pub mod probe;
pub mod progress;
pub mod query;
pub mod restore;
pub mod send;
pub mod serve;
pub mod server_args;
pub mod stats;
pub mod store_command;
pub mod table;
pub mod tls_ca;
pub mod verify;
