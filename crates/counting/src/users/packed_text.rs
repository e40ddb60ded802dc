//! Texts in the alphabet of openids, six bits a character, in an order that is that of the texts.

/// In the order of their bytes.
const ALPHABET: &[u8; 64] = b"-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz";
const NONE: u8 = 64;
const CODES: [u8; 256] = {
    let mut codes = [NONE; 256];
    let mut code = 0;
    while code < 64 {
        codes[ALPHABET[code] as usize] = code as u8;
        code += 1;
    }
    codes
};

/// How many bytes so many characters take.
pub fn bytes(characters: usize) -> usize {
    (characters * 6).div_ceil(8)
}

/// True if all characters are of the alphabet.
pub fn can_pack(text: &[u8]) -> bool {
    text.iter().all(|character| CODES[usize::from(*character)] != NONE)
}

/// Appends a text; false if it is of other characters.
pub fn pack(text: &[u8], out: &mut Vec<u8>) -> bool {
    let (mut bits, mut count) = (0_u32, 0);
    for character in text {
        let code = CODES[usize::from(*character)];
        if code == NONE {
            return false;
        }
        bits = bits << 6 | u32::from(code);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    if count > 0 {
        out.push((bits << (8 - count)) as u8);
    }
    true
}

/// Appends the text of so many characters.
pub fn unpack(packed: &[u8], characters: usize, out: &mut Vec<u8>) {
    let mut bytes = packed.iter();
    let (mut bits, mut count) = (0_u32, 0);
    for _ in 0..characters {
        if count < 6 {
            bits = bits << 8 | u32::from(bytes.next().copied().unwrap_or(0));
            count += 8;
        }
        count -= 6;
        out.push(ALPHABET[(bits >> count & 63) as usize]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn texts_are_read_as_they_were_written_and_keep_their_order(
            codes in prop::collection::vec((0..64_usize, 0..64_usize), 1..40)
        ) {
            let (one, other): (Vec<u8>, Vec<u8>) =
                codes.iter().map(|(one, other)| (ALPHABET[*one], ALPHABET[*other])).unzip();
            let packed = |text: &[u8]| {
                let mut out = Vec::new();
                assert!(pack(text, &mut out) && can_pack(text));
                assert_eq!(out.len(), bytes(text.len()));
                let mut read = Vec::new();
                unpack(&out, text.len(), &mut read);
                assert_eq!(read, text);
                out
            };
            prop_assert_eq!(packed(&one).cmp(&packed(&other)), one.cmp(&other));
        }
    }

    #[test]
    fn other_characters_are_not_packed() {
        assert!(!pack(b"abc.", &mut Vec::new()) && !can_pack("é".as_bytes()));
    }
}
