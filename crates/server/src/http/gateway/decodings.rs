//! The ways to decode a text: percent-decoding, JSON escapes, and both in any order.

use std::borrow::Cow;

use percent_encoding::percent_decode;

/// Layers of encoding that are decoded.
const LAYERS_MAX: usize = 3;

/// All decodings of a text. The first is the text itself.
pub fn decodings(text: &[u8]) -> Vec<Cow<'_, [u8]>> {
    let mut all = vec![Cow::Borrowed(text)];
    let mut newest = 0;
    for _ in 0..LAYERS_MAX {
        let mut further: Vec<Cow<'_, [u8]>> = Vec::new();
        for decoding in &all[newest..] {
            let decoded = [percent_decoded(decoding), unescaped(decoding)].into_iter().flatten();
            decoded.for_each(|bytes| further.push(Cow::Owned(bytes)));
        }
        further.dedup();
        newest = all.len();
        all.append(&mut further);
    }
    all
}

fn percent_decoded(text: &[u8]) -> Option<Vec<u8>> {
    text.contains(&b'%').then(|| percent_decode(text).collect()).filter(|decoded: &Vec<u8>| decoded != text)
}

/// Decodes JSON escapes anywhere, also outside JSON strings, because a reader may treat any part as JSON.
fn unescaped(text: &[u8]) -> Option<Vec<u8>> {
    if !text.contains(&b'\\') {
        return None;
    }
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
        plain.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        let (character, length) = escape(rest);
        plain.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        rest = &rest[length..];
    }
    plain.extend_from_slice(rest);
    Some(plain).filter(|plain| plain != text)
}

/// The character of the escape at the start, and the length of the escape. A backslash that begins no escape stays.
fn escape(text: &[u8]) -> (char, usize) {
    match text.get(1) {
        Some(b'u') => {
            let digits = text.get(2..6).and_then(|digits| std::str::from_utf8(digits).ok());
            let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
            code.and_then(char::from_u32).map_or(('\\', 1), |character| (character, 6))
        }
        Some(byte @ (b'"' | b'\\' | b'/')) => (char::from(*byte), 2),
        _ => ('\\', 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_decoded_in_all_ways() {
        for written in [
            "a/Z",
            "%61/%5A",
            "%61%2f%5a",
            "\\u0061\\/\\u005A",
            "\\u0061\\u002f\\u005a",
            "%2561/Z",
            "%5Cu0061/Z",
            "\\u002561/Z",
            "%25255A/a a/%25255A",
            "\\\\u0061/Z",
            "%zz%61/Z%",
            "\\u00\\q\\a/Z\\",
        ] {
            let found = decodings(written.as_bytes());
            assert_eq!(found[0].as_ref(), written.as_bytes());
            assert!(found.iter().any(|decoding| decoding.windows(3).any(|part| part == b"a/Z")), "{written}");
        }
        assert_eq!(decodings(b"plain + text").len(), 1);
        assert!(decodings("%25\\\\".repeat(99).as_bytes()).len() <= 15);
    }
}
