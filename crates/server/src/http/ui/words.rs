//! What names of the metrics and of the counting mean, in words, and what to do about them.

use counting::{Kind, Reason};
use i18n::{Text, text};

/// The name of a type of message.
pub fn kind(kind: Kind) -> Text {
    match kind {
        Kind::Text => text!("text"),
        Kind::Image => text!("image"),
        Kind::Voice => text!("voice"),
        Kind::Video | Kind::ShortVideo => text!("video"),
        Kind::Link => text!("link"),
        Kind::Location => text!("location"),
        Kind::File => text!("file"),
        Kind::Event => text!("event"),
        Kind::Other => text!("another type"),
    }
}

/// Why a callback or a check of the address was refused, and what to do. `reason` is named as in the metrics.
pub fn refusal(reason: &str) -> (Text, Text) {
    match reason {
        "wrong_signature" => (
            text!("The signature is wrong: it was made with another Token."),
            text!(
                "Copy the Token to WeChat's console again. Anybody can send such a request, so it need not come from WeChat."
            ),
        ),
        "echostr_missing" => (
            text!("The parameter echostr is missing."),
            text!(
                "WeChat always sends it. See whether a proxy in front of msgcube drops a part of the query."
            ),
        ),
        "wrong_appid" => (
            text!("It is encrypted for another AppID."),
            text!(
                "Compare the AppID here with the one in WeChat's console. The callback address must end with the account's own AppID."
            ),
        ),
        "undecryptable" => (
            text!("It cannot be decrypted with the EncodingAESKey of the account."),
            text!("Copy the EncodingAESKey to WeChat's console again."),
        ),
        "encryption_required" => {
            (text!("It is not encrypted."), text!("Choose safe mode in WeChat's console."))
        }
        "key_missing" => (
            text!("It is encrypted, and the account has no EncodingAESKey."),
            text!("Set encoding_aes_key, or choose plain text in WeChat's console."),
        ),
        "stale_timestamp" => (
            text!("It is plain, and its time is far from the time of this machine."),
            text!("Check the clock of this machine, or choose safe mode in WeChat's console."),
        ),
        "wrong_to_user" => (
            text!("It is addressed to another account."),
            text!(
                "Compare original_id of the account with the one in WeChat's console, and the callback address."
            ),
        ),
        "no_ciphertext" => (
            text!("The query says that it is encrypted, and its body is not."),
            text!("See whether a proxy in front of msgcube changes the body."),
        ),
        "malformed" | "document_type" | "body_too_large" | "body_incomplete" => (
            text!("Its body is no callback of WeChat's, or did not arrive as a whole."),
            text!(
                "See what else sends to the callback address, and whether a proxy in front of msgcube changes the body."
            ),
        ),
        "not_of_platform" => (
            text!("It came through a platform that the account does not name."),
            text!("Add the platform to components of the account."),
        ),
        "loop" => (
            text!("It was sent by msgcube itself."),
            text!("The address of a bot leads back to msgcube. Correct relay.url."),
        ),
        other => {
            (text!("It was refused: {reason}.", reason = other), text!("The log of the server says more."))
        }
    }
}

/// Why messages of some time are missing, and what to do.
pub fn gap(reason: &Reason) -> (Text, Text) {
    match reason {
        Reason::Unknown => {
            (text!("The cause is not known."), text!("The log of the server at that time may say more."))
        }
        Reason::Refused(_) => (
            text!("Messages of WeChat's were refused."),
            text!("The refused callbacks on this page say why. What was refused is lost."),
        ),
        Reason::TooMany => (
            text!("More callbacks were waiting than msgcube takes."),
            text!("See how long the disk takes, or the servers of [store]: run msgcube doctor."),
        ),
        Reason::NoConnectionTaken => (
            text!("No connection could be taken."),
            text!("The process had no more file descriptors. Raise its limit (LimitNOFILE)."),
        ),
        Reason::NotDurable => (
            text!("Messages could not be stored."),
            text!(
                "Make room on the disk of data_dir, or see what is wrong with the servers of [store]: run msgcube doctor."
            ),
        ),
        Reason::NotRunning => (
            text!("msgcube was not running, or did not serve the account."),
            text!("If the messages are kept elsewhere, import them: msgcube import fills the gap."),
        ),
    }
}
