//! The texts of the debugging page. The script finds each by its name and puts values in place of `{…}`.

use i18n::{Text, text};

/// Names and texts.
pub static TEXTS: &[(&str, Text)] = &[
    ("title", text!("Debugging")),
    ("clock", text!("Beijing time {{now}}; figures can be asked for up to {{last}}.")),
    ("account", text!("Account")),
    ("by_secret", text!("AppID and secret")),
    ("by_token", text!("access_token")),
    ("no_appid", text!("Enter the AppID.")),
    ("no_secret", text!("Enter the AppSecret.")),
    ("no_token", text!("Enter an access_token.")),
    ("kept", text!("Stays in this tab and is sent to this server only.")),
    ("interface", text!("Interface")),
    ("totals", text!("Messages by type")),
    ("distribution", text!("Users by number of messages")),
    ("hour", text!("hour")),
    ("day", text!("day")),
    ("week", text!("week")),
    ("month", text!("month")),
    ("about_hour", text!("Rows have the date and the hour; begin_date and end_date are the same day.")),
    ("about_day", text!("Rows have the date of the day; at most {{span}} days, both ends counted.")),
    (
        "about_week",
        text!(
            "Rows have the date of the Monday and exist after the week is over; at most {{span}} days, both ends counted."
        ),
    ),
    (
        "about_month",
        text!(
            "Rows have the date of the 1st and exist after the month is over; at most {{span}} days, both ends counted."
        ),
    ),
    ("dates", text!("Dates")),
    ("body", text!("Body (editable)")),
    ("by_hand", text!("These dates are not used: the body was edited by hand and is not a JSON object.")),
    ("use", text!("Use {{dates}}")),
    ("use_and_send", text!("Send again with {{dates}}")),
    ("from_to", text!("{{from}} to {{to}}")),
    ("bad_date", text!("This will give 61500: a date is missing, or is not a day of the calendar.")),
    ("backwards", text!("This will give 61501: begin_date is after end_date.")),
    ("too_long", text!("This will give 61501: {{days}} days are asked for, at most {{span}} are allowed.")),
    ("too_late", text!("This will give 61501: end_date may be {{last}} at the latest, in Beijing.")),
    ("not_ready", text!("This will give 61503: figures of {{last}} are ready at {{time}}, Beijing time.")),
    ("no_week", text!("No rows: these days contain no Monday of a week that is over.")),
    ("no_month", text!("No rows: these days contain no 1st of a month that is over.")),
    ("send", text!("Send")),
    ("sending", text!("Sending…")),
    ("nothing_yet", text!("Result")),
    (
        "start",
        text!(
            "Choose an account, an interface and dates, then send. Request, answer, time, and what to do about an error appear here."
        ),
    ),
    ("rows", text!("{{count}} rows")),
    ("one_row", text!("1 row")),
    ("no_rows", text!("No rows")),
    ("no_messages", text!("Nobody sent a counted message on these days.")),
    ("no_answer", text!("No answer")),
    (
        "unreachable",
        text!(
            "The server could not be reached, or closed the connection ({{why}}). Check that it runs, and check the proxy in front of it."
        ),
    ),
    ("odd", text!("HTTP {{status}}, not an answer of the interface")),
    (
        "odd_about",
        text!(
            "Something in front of this server answered, or the server does not have this path: see the answer below."
        ),
    ),
    ("unknown_code", text!("msgcube itself does not return this code.")),
    ("see_list", text!("See it in WeChat's list of return codes.")),
    ("when", text!("Meaning")),
    ("remedy", text!("What to do")),
    ("hint", text!("Hint of the server")),
    ("at_token", text!("while fetching the token")),
    ("request", text!("Request")),
    ("copy", text!("Copy")),
    ("copied", text!("Copied")),
    ("answer", text!("Answer")),
    ("took", text!("{{ms}} ms, {{bytes}} bytes")),
    ("raw", text!("Raw answer")),
    ("token_request", text!("Fetching the token: {{ms}} ms")),
    ("ask_rid", text!("Ask rid/get")),
    ("rid_not_stored", text!("rid/get does not have this call: calls of unknown callers are not stored.")),
    ("rid_needs", text!("rid/get shows this call, with a valid access_token of the account.")),
    ("rid_answer", text!("Answer of rid/get: HTTP {{status}}, {{ms}} ms")),
    ("ref_date", text!("date")),
    ("ref_hour", text!("hour")),
    ("user_source", text!("source")),
    ("msg_type", text!("type")),
    ("count_interval", text!("messages per user")),
    ("msg_user", text!("users")),
    ("msg_count", text!("messages")),
];
