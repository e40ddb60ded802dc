//! Hints in headers, in English and in Chinese: how to correct a call, or why an answer may be incomplete.

use counting::Reason;
use datacube::{Day, Granularity, Interface, RangeError};
use i18n::{Text, text};

/// Most bytes of a header's value. Source: the contract.
const BYTES_MAX: usize = 512;
/// Each byte as it is written in a header, and how many bytes that takes. A table, because each answer that touches a
/// gap has hints: one pass is enough, and no cache is needed.
const ENCODED: [([u8; 3], usize); 256] = {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = [([0; 3], 1); 256];
    let mut byte = 0_u8;
    loop {
        let (high, low) = (HEX[(byte >> 4) as usize], HEX[(byte & 15) as usize]);
        // So that any percent-decoder can read the value.
        let is_plain = matches!(byte, b' '..=b'~') && !matches!(byte, b'%' | b'"');
        encoded[byte as usize] = if is_plain { ([byte, 0, 0], 1) } else { ([b'%', high, low], 3) };
        if byte == u8::MAX {
            break encoded;
        }
        byte += 1;
    }
};

/// A hint in two languages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerHint(Text);

impl AnswerHint {
    /// A hint. Its English text should be ASCII; other characters become `?` in the header.
    pub fn new(text: Text) -> AnswerHint {
        AnswerHint(text)
    }

    /// The English header, at most 512 bytes of printable ASCII.
    pub fn header_en(&self) -> String {
        let is_plain = |byte: u8| matches!(byte, b' '..=b'~');
        let english = self.0.english();
        if english.len() <= BYTES_MAX && english.bytes().all(is_plain) {
            return english;
        }
        let plain = english.chars().map(|c| if matches!(c, ' '..='~') { c } else { '?' });
        plain.take(BYTES_MAX).collect()
    }

    /// The Chinese header: percent-encoded UTF-8, at most 512 bytes, cut between characters.
    pub fn header_zh(&self) -> String {
        // Each byte is copied as three bytes. One or three of them count, so the buffer needs two bytes more.
        let mut header = [0; BYTES_MAX + 2];
        let (mut length, mut whole) = (0, 0);
        for byte in self.0.chinese().bytes() {
            let begins_character = byte & 0b1100_0000 != 0b1000_0000;
            if begins_character {
                whole = length;
            }
            let (encoded, count) = &ENCODED[usize::from(byte)];
            if length + count > BYTES_MAX {
                length = whole;
                break;
            }
            header[length..length + encoded.len()].copy_from_slice(encoded);
            length += count;
        }
        String::from_utf8_lossy(&header[..length]).into_owned()
    }

    /// Why a range of dates is refused, and which range is valid.
    pub fn date_range(interface: &Interface, error: RangeError, begin: Day, last: Day) -> AnswerHint {
        match error {
            RangeError::Backwards => AnswerHint::new(text!("begin_date must not be after end_date")),
            RangeError::TooLate { .. } => AnswerHint::new(text!(
                "end_date may be {last} at the latest: figures of a day exist after it is over in Beijing",
                last
            )),
            RangeError::TooLong { days, span_days } => too_long(interface, begin, days, span_days),
        }
    }

    /// Why an answer is empty: no week or month starts in the range. None for hours and days.
    pub fn no_period(interface: &Interface, begin: Day, end: Day) -> Option<AnswerHint> {
        let start = begin.start_of(interface.granularity);
        let rule = match interface.granularity {
            Granularity::Month => text!("rows of months have the date of the 1st"),
            Granularity::Week => text!("rows of weeks have the date of the Monday"),
            Granularity::Day | Granularity::Hour => return None,
        };
        Some(AnswerHint::new(text!(
            "{named}, and {begin} to {end} contains none; ask for {start} to {start}",
            named = rule,
            begin,
            end,
            start
        )))
    }

    /// Why a row is missing: its period is not over. `ends` is the first day after it.
    pub fn not_over(start: Day, ends: Day) -> AnswerHint {
        AnswerHint::new(text!(
            "the period that starts on {start} has figures from {ends} on, after it is over; with live = true, open periods have figures too",
            start,
            ends
        ))
    }

    /// Why rows are missing: their time is not fully covered.
    pub fn withheld(start: Day, why: &[Reason], appid: &str) -> AnswerHint {
        let why = reason_names(why);
        AnswerHint::new(text!(
            "rows of {start} are left out: not all of that time is covered ({why}; partial = withhold); see /v1/accounts/{appid}/coverage",
            start,
            why,
            appid
        ))
    }

    /// Why figures may be too low: their time is not fully covered.
    pub fn partial(start: Day, why: &[Reason], appid: &str) -> AnswerHint {
        let why = reason_names(why);
        AnswerHint::new(text!(
            "figures of {start} may be too low: not all of that time is covered ({why}); see /v1/accounts/{appid}/coverage",
            start,
            why,
            appid
        ))
    }
}

fn reason_names(why: &[Reason]) -> String {
    why.iter().map(Reason::text).collect::<Vec<_>>().join(", ")
}

fn too_long(interface: &Interface, begin: Day, days: i32, span_days: i32) -> AnswerHint {
    let last = begin.plus_days(span_days - 1);
    if interface.granularity == Granularity::Month && begin == begin.first_of_month() {
        return AnswerHint::new(text!(
            "{days} days are asked for and {span_days} are allowed; the row of a month has the date of its 1st: {begin} to {begin} is enough",
            days,
            span_days,
            begin
        ));
    }
    AnswerHint::new(text!(
        "{name} takes at most {span_days} days, both ends counted, and {days} are asked for; ask for {begin} to {last}",
        name = interface.name,
        span_days,
        days,
        begin,
        last
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same result by a library, one character at a time.
    fn encoded(text: &str) -> String {
        use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
        const NOT_PLAIN: &AsciiSet = &CONTROLS.add(b'%').add(b'"');
        let mut header = String::new();
        for character in text.chars() {
            let next = utf8_percent_encode(character.encode_utf8(&mut [0; 4]), NOT_PLAIN).to_string();
            if header.len() + next.len() > BYTES_MAX {
                break;
            }
            header += &next;
        }
        header
    }

    #[test]
    fn headers_are_encoded_as_any_decoder_reads_them_and_cut_between_characters() {
        let every: String = (0..0x250).filter_map(char::from_u32).collect();
        for text in ["", "plain ~", "汉字（为什么）", &every, "é", "汉", "😀", "a%\"b"] {
            for ahead in 500..=BYTES_MAX + 1 {
                for text in [text.to_owned(), format!("{}{text}", "x".repeat(ahead)), text.repeat(ahead)] {
                    assert_eq!(
                        AnswerHint::new(Text::plain(text.clone())).header_zh(),
                        encoded(&text),
                        "{text}"
                    );
                }
            }
        }
        assert_eq!(AnswerHint::new(Text::plain("a\u{7f}é\n~")).header_en(), "a???~");
        assert_eq!(AnswerHint::new(Text::plain("y".repeat(513))).header_en(), "y".repeat(512));
    }

    #[test]
    fn headers_stay_short_and_plain_whatever_is_in_them() {
        let hint = |text: &str| AnswerHint::new(Text::plain(text.repeat(600)));
        let en = hint("é\n").header_en();
        assert!(en.len() <= 512 && en.is_ascii());
        let zh = hint("汉%\"\n").header_zh();
        assert!(zh.len() <= 512 && zh.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '));
        assert!(percent_encoding::percent_decode_str(&zh).decode_utf8().unwrap().starts_with("汉%\"\n汉"));
    }
}
