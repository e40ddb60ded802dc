//! What would be right, in English and in Chinese, short enough for a header.

use counting::Reason;
use datacube::{Day, Granularity, Interface, RangeError};
use i18n::{Text, text};

/// Bytes of a header's value. Source: the contract.
const BYTES_MAX: usize = 512;
/// Each byte as it stands in a header, and how many bytes that takes. Hints come with every answer that touches a gap, so
/// they are encoded in one pass and without a cache, whatever stands in them.
const ENCODED: [([u8; 3], usize); 256] = {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = [([0; 3], 1); 256];
    let mut byte = 0_u8;
    loop {
        let (high, low) = (HEX[(byte >> 4) as usize], HEX[(byte & 15) as usize]);
        // The value must be read back with any percent-decoder.
        let is_plain = matches!(byte, b' '..=b'~') && !matches!(byte, b'%' | b'"');
        encoded[byte as usize] = if is_plain { ([byte, 0, 0], 1) } else { ([b'%', high, low], 3) };
        if byte == u8::MAX {
            break encoded;
        }
        byte += 1;
    }
};

/// A remedy in two languages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint(Text);

impl Hint {
    /// A hint; English in ASCII.
    pub fn new(text: Text) -> Hint {
        Hint(text)
    }

    /// The English header.
    pub fn header_en(&self) -> String {
        let is_plain = |byte: u8| matches!(byte, b' '..=b'~');
        let english = self.0.english();
        if english.len() <= BYTES_MAX && english.bytes().all(is_plain) {
            return english;
        }
        let plain = english.chars().map(|c| if matches!(c, ' '..='~') { c } else { '?' });
        plain.take(BYTES_MAX).collect()
    }

    /// The Chinese header, percent-encoded; cut between characters if it is too long.
    pub fn header_zh(&self) -> String {
        // Each byte is written as three, of which one or three count.
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

    /// Why a range of dates is refused, and which one to ask for.
    pub fn of_range(interface: &Interface, error: RangeError, begin: Day, last: Day) -> Hint {
        match error {
            RangeError::Backwards => Hint::new(text!("begin_date must not be after end_date")),
            RangeError::TooLate { .. } => Hint::new(text!(
                "end_date may be {last} at the latest: figures of a day are there once it is over in Beijing",
                last
            )),
            RangeError::TooLong { days, span_days } => too_long(interface, begin, days, span_days),
        }
    }

    /// Why an answer is empty: no period is named by a day of the range.
    pub fn no_period(interface: &Interface, begin: Day, end: Day) -> Option<Hint> {
        let start = begin.start_of(interface.granularity);
        let named = match interface.granularity {
            Granularity::Month => text!("month rows carry the 1st of the month"),
            Granularity::Week => text!("week rows carry the Monday"),
            Granularity::Day | Granularity::Hour => return None,
        };
        Some(Hint::new(text!(
            "{named}, and {begin} to {end} holds none; ask for {start} to {start}",
            named,
            begin,
            end,
            start
        )))
    }

    /// Why an answer is empty: its last period is not over.
    pub fn not_over(start: Day, ends: Day) -> Hint {
        Hint::new(text!(
            "the period that starts on {start} is answered from {ends} on, once it is over; live = true answers open periods",
            start,
            ends
        ))
    }

    /// Rows were left out, since their time is not fully covered.
    pub fn withheld(start: Day, why: &[Reason], appid: &str) -> Hint {
        let why = named(why);
        Hint::new(text!(
            "rows of {start} are left out: not all of that time is covered ({why}; partial = withhold); see /v1/accounts/{appid}/coverage",
            start,
            why,
            appid
        ))
    }

    /// The answer touches time that is not covered.
    pub fn partial(start: Day, why: &[Reason], appid: &str) -> Hint {
        let why = named(why);
        Hint::new(text!(
            "figures of {start} may be too low: not all of that time is covered ({why}); see /v1/accounts/{appid}/coverage",
            start,
            why,
            appid
        ))
    }
}

fn named(why: &[Reason]) -> String {
    why.iter().map(Reason::text).collect::<Vec<_>>().join(", ")
}

fn too_long(interface: &Interface, begin: Day, days: i32, span_days: i32) -> Hint {
    let last = begin.plus_days(span_days - 1);
    if interface.granularity == Granularity::Month && begin == begin.first_of_month() {
        return Hint::new(text!(
            "{days} days are asked for and {span_days} are allowed; the row of a month carries its 1st: {begin} to {begin} is enough",
            days,
            span_days,
            begin
        ));
    }
    Hint::new(text!(
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

    /// The meaning, slow and plain.
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
                    assert_eq!(Hint::new(Text::plain(text.clone())).header_zh(), encoded(&text), "{text}");
                }
            }
        }
        assert_eq!(Hint::new(Text::plain("a\u{7f}é\n~")).header_en(), "a???~");
        assert_eq!(Hint::new(Text::plain("y".repeat(513))).header_en(), "y".repeat(512));
    }

    #[test]
    fn headers_stay_short_and_plain_whatever_is_in_them() {
        let hint = |text: &str| Hint::new(Text::plain(text.repeat(600)));
        let en = hint("é\n").header_en();
        assert!(en.len() <= 512 && en.is_ascii());
        let zh = hint("汉%\"\n").header_zh();
        assert!(zh.len() <= 512 && zh.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '));
        assert!(percent_encoding::percent_decode_str(&zh).decode_utf8().unwrap().starts_with("汉%\"\n汉"));
    }
}
