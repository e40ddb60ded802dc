//! `msgcube demo`: generates a year of messages, prints figures, serves them, and sends itself further messages. Only
//! `run` and `callbacks` do I/O and read the clock.

mod account;
mod announce;
mod callbacks;
mod crowd;
mod live;
mod openid;
mod random;
mod rhythm;
mod run;
mod settings;
mod year;

use std::{net::SocketAddr, path::PathBuf};

pub use account::DemoAccount;
pub use announce::{AccountReport, AnnouncementContext, all_figures, announcement};
pub use run::run;
pub use year::{Year, year};

/// Arguments of `msgcube demo`.
#[derive(Clone, Debug, clap::Args)]
pub struct DemoArgs {
    /// The same seed gives the same accounts and, at the same moment, the same messages
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// How many messages: 1 is about 300,000 over all accounts
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = parse_scale)]
    pub scale: f64,
    /// How many accounts
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=3))]
    pub accounts: u8,
    /// Address to serve on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0", value_parser = server::config::listen_address)]
    pub listen: SocketAddr,
    /// Where to keep the data [default: a temporary folder, removed at the end]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Print the figures and exit instead of serving
    #[arg(long)]
    pub once: bool,
}

/// The bounds of `--scale`: 300 and 300 million messages.
const SCALE_MIN: f64 = 0.001;
const SCALE_MAX: f64 = 1000.0;

fn parse_scale(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(scale) if (SCALE_MIN..=SCALE_MAX).contains(&scale) => Ok(scale),
        _ => Err(format!("a number from {SCALE_MIN} to {SCALE_MAX} is wanted")),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct DemoCommandLine {
        #[command(flatten)]
        demo: DemoArgs,
    }

    fn parse(line: &str) -> Option<DemoArgs> {
        DemoCommandLine::try_parse_from(line.split(' ')).ok().map(|cli| cli.demo)
    }

    #[test]
    fn without_arguments_three_accounts_are_served_on_a_free_port() {
        let args = parse("demo").unwrap();
        assert_eq!((args.seed, args.accounts, args.once), (1, 3, false));
        assert_eq!(args.listen.to_string(), "127.0.0.1:0");
    }

    #[test]
    fn figures_out_of_bounds_are_refused() {
        for line in [
            "demo --accounts 0",
            "demo --accounts 4",
            "demo --scale 0",
            "demo --scale NaN",
            "demo --scale 1e9",
        ] {
            assert!(parse(line).is_none(), "{line}");
        }
        assert!(parse("demo --accounts 1 --scale 0.001 --once").is_some());
    }
}
