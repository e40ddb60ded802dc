//! A page of users sorted by openid. It is searched in its stored form, so it takes no more memory than on disk.

use std::ops::Range;

use super::packed_text;
use crate::{Damaged, varint, varint::Reader};

const FORMAT: u8 = 1;
/// Openids of equal length in WeChat's alphabet: six bits for each character after the common prefix.
const PACKED: u8 = 1;
/// All other openids.
const VARIED: u8 = 2;
/// Limit of the length of an openid in the packed form.
const PACKED_CHARACTERS_MAX: usize = 128;
/// Limit of a page: two blocks of the file, minus the file's own header, the key and the checksum.
const PAGE_BYTES_MAX: usize = 8192 - 64;

/// An openid and its number.
pub type User<'a> = (&'a [u8], u32);

/// A page. It contains all users from `first` up to but not including `until`.
#[derive(Debug)]
pub struct SortedPage {
    bytes: Box<[u8]>,
    first: Range<usize>,
    until: Option<Range<usize>>,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Packed {
        length: usize,
        prefix: Range<usize>,
        texts: Range<usize>,
        numbers: Range<usize>,
        width: usize,
    },
    /// Offset of each user.
    Varied {
        starts: Vec<u16>,
    },
}

impl SortedPage {
    /// Reads a page that [`write`] created.
    pub fn read(bytes: Vec<u8>) -> Result<SortedPage, Damaged> {
        let mut reader = Reader::new(&bytes);
        let at = |reader: &Reader<'_>| bytes.len() - reader.rest().len();
        let text = |reader: &mut Reader<'_>| -> Result<Range<usize>, Damaged> {
            let length = reader.bytes()?.len();
            Ok(at(reader) - length..at(reader))
        };
        if reader.byte()? != FORMAT {
            return Err(Damaged("a page of users of a format that this version does not know"));
        }
        let first = text(&mut reader)?;
        let until = if reader.byte()? == 0 { None } else { Some(text(&mut reader)?) };
        let count = reader.number_as::<u16>()?.into();
        let body = match reader.byte()? {
            PACKED => {
                let length = reader.number_as()?;
                let prefix = text(&mut reader)?;
                let width = usize::from(reader.byte()?);
                let stride = packed_text::bytes(usize::saturating_sub(length, prefix.len()));
                if prefix.len() >= length || length > PACKED_CHARACTERS_MAX || !(1..=4).contains(&width) {
                    return Err(Damaged("a page of users whose sizes make no sense"));
                }
                let start = at(&reader);
                reader.take(count * (stride + width))?;
                let texts = start..start + count * stride;
                Body::Packed { length, prefix, numbers: texts.end..at(&reader), texts, width }
            }
            VARIED => {
                let mut starts = Vec::with_capacity(count);
                for _ in 0..count {
                    starts
                        .push(u16::try_from(at(&reader)).map_err(|_| Damaged("a page of users too large"))?);
                    varied(&mut reader)?;
                }
                Body::Varied { starts }
            }
            _ => return Err(Damaged("a page of users of a form that this version does not know")),
        };
        if !reader.is_empty() {
            return Err(Damaged("more than its users in a page of users"));
        }
        Ok(SortedPage { bytes: bytes.into(), first, until, body })
    }

    /// Start of the page's range of openids.
    pub fn first(&self) -> &[u8] {
        &self.bytes[self.first.clone()]
    }

    /// End of the page's range, not included. None for the last page.
    pub fn until(&self) -> Option<&[u8]> {
        self.until.clone().map(|until| &self.bytes[until])
    }

    /// True if this openid is in the page's range.
    pub fn is_about(&self, openid: &[u8]) -> bool {
        self.first() <= openid && self.until().is_none_or(|until| openid < until)
    }

    /// The number of an openid. None if it is unknown.
    pub fn find(&self, openid: &[u8]) -> Option<u32> {
        match &self.body {
            Body::Packed { length, prefix, texts, numbers, width } => {
                let rest = openid.strip_prefix(&self.bytes[prefix.clone()])?;
                let mut wanted = Vec::new();
                if openid.len() != *length || !packed_text::pack(rest, &mut wanted) {
                    return None;
                }
                let texts = &self.bytes[texts.clone()];
                let stride = wanted.len();
                let (mut from, mut to) = (0, texts.len() / stride);
                while from < to {
                    let middle = from.midpoint(to);
                    match texts[middle * stride..][..stride].cmp(&wanted) {
                        std::cmp::Ordering::Less => from = middle + 1,
                        std::cmp::Ordering::Equal => return Some(self.number(numbers, *width, middle)),
                        std::cmp::Ordering::Greater => to = middle,
                    }
                }
                None
            }
            Body::Varied { starts } => {
                let at = starts.binary_search_by(|start| self.varied_at(*start).0.cmp(openid)).ok()?;
                Some(self.varied_at(starts[at]).1)
            }
        }
    }

    /// Visits all users in order.
    pub fn each(&self, mut visit: impl FnMut(User<'_>)) {
        match &self.body {
            Body::Packed { length, prefix, texts, numbers, width } => {
                let prefix = &self.bytes[prefix.clone()];
                let stride = packed_text::bytes(length - prefix.len());
                let mut openid = prefix.to_vec();
                for (at, packed) in self.bytes[texts.clone()].chunks_exact(stride).enumerate() {
                    openid.truncate(prefix.len());
                    packed_text::unpack(packed, length - prefix.len(), &mut openid);
                    visit((&openid, self.number(numbers, *width, at)));
                }
            }
            Body::Varied { starts } => starts.iter().for_each(|start| visit(self.varied_at(*start))),
        }
    }

    fn number(&self, numbers: &Range<usize>, width: usize, at: usize) -> u32 {
        let bytes = &self.bytes[numbers.clone()][at * width..][..width];
        bytes.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte))
    }

    fn varied_at(&self, start: u16) -> User<'_> {
        match varied(&mut Reader::new(&self.bytes[usize::from(start)..])) {
            Ok(user) => user,
            Err(damage) => unreachable!("a page that was read: {damage}"),
        }
    }

    /// Memory in bytes.
    pub fn memory_bytes(&self) -> usize {
        let starts = match &self.body {
            Body::Packed { .. } => 0,
            Body::Varied { starts } => starts.capacity() * 2,
        };
        size_of::<SortedPage>() + self.bytes.len() + starts
    }
}

fn varied<'a>(reader: &mut Reader<'a>) -> Result<User<'a>, Damaged> {
    Ok((reader.bytes()?, reader.number_as()?))
}

/// Number of these sorted users that fit into a page; at least one.
pub fn fitting<'a>(first: &[u8], users: impl Iterator<Item = User<'a>>) -> usize {
    let room = PAGE_BYTES_MAX.saturating_sub(2 * first.len() + 160);
    let mut shape = Shape::default();
    let too_many = |user| {
        shape.add(user);
        shape.bytes() > room
    };
    let mut users = users.peekable();
    let lead = users.peek().copied();
    let count = users.map(too_many).take_while(|is_too_many| !is_too_many).count();
    count.max(usize::from(lead.is_some()))
}

/// Properties of users that determine form and size of their page.
#[derive(Default)]
struct Shape<'a> {
    count: usize,
    lead: &'a [u8],
    /// Length of the common prefix of all openids.
    prefix: usize,
    is_packed: bool,
    varied_bytes: usize,
    number_max: u32,
}

impl<'a> Shape<'a> {
    fn add(&mut self, (openid, number): User<'a>) {
        if self.count == 0 {
            // At least one character is left to pack.
            (self.lead, self.prefix, self.is_packed) = (openid, openid.len().saturating_sub(1), true);
        }
        self.count += 1;
        let equal = self.lead.iter().zip(openid).take_while(|(one, other)| one == other).count();
        self.prefix = self.prefix.min(equal);
        self.is_packed &= openid.len() == self.lead.len()
            && (1..=PACKED_CHARACTERS_MAX).contains(&openid.len())
            && packed_text::can_pack(openid);
        self.varied_bytes += openid.len() + 7;
        self.number_max = self.number_max.max(number);
    }

    fn width(&self) -> usize {
        (4 - self.number_max.leading_zeros() as usize / 8).max(1)
    }

    fn bytes(&self) -> usize {
        if self.is_packed {
            self.count * (packed_text::bytes(self.lead.len() - self.prefix) + self.width())
        } else {
            self.varied_bytes
        }
    }
}

/// Creates a page of these users. They must be sorted, each openid once.
pub fn write(first: &[u8], until: Option<&[u8]>, users: &[User<'_>]) -> Vec<u8> {
    let mut shape = Shape::default();
    users.iter().for_each(|user| shape.add(*user));
    let mut page = vec![FORMAT];
    varint::put_bytes(&mut page, first);
    page.push(u8::from(until.is_some()));
    until.iter().for_each(|until| varint::put_bytes(&mut page, until));
    varint::put(&mut page, users.len() as u64);
    if shape.is_packed {
        page.push(PACKED);
        varint::put(&mut page, shape.lead.len() as u64);
        varint::put_bytes(&mut page, &shape.lead[..shape.prefix]);
        page.push(shape.width() as u8);
        for (openid, _) in users {
            let is_packed = packed_text::pack(&openid[shape.prefix..], &mut page);
            debug_assert!(is_packed, "the shape says so");
        }
        users.iter().for_each(|(_, number)| page.extend_from_slice(&number.to_le_bytes()[..shape.width()]));
    } else {
        page.push(VARIED);
        for (openid, number) in users {
            varint::put_bytes(&mut page, openid);
            varint::put(&mut page, u64::from(*number));
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use proptest::prelude::*;

    fn any_users() -> impl Strategy<Value = BTreeMap<Vec<u8>, u32>> {
        let real = prop::collection::btree_map("oAbC[A-Ca-c0-1_-]{5}", any::<u32>(), 0..200);
        let any = prop::collection::btree_map("[a-c]{1,3}|o.{1,40}|[A-Za-z0-9_-]{128}", 0..9_000_u32, 0..100);
        prop_oneof![real, any].prop_map(|users| {
            users.into_iter().map(|(openid, number)| (openid.into_bytes(), number)).collect()
        })
    }

    fn real_users() -> BTreeMap<Vec<u8>, u32> {
        let openid = |number| format!("oAbC{:024}", number * 7919 % 100_003).into_bytes();
        (0..2000_u32).map(|number| (openid(number), number)).collect()
    }

    #[test]
    fn a_page_is_filled() {
        let users = real_users();
        let list: Vec<User<'_>> = users.iter().map(|(openid, number)| (openid.as_slice(), *number)).collect();
        let count = fitting(b"oAbC", list.iter().copied());
        assert!(count > 600, "{count} users");
        assert!(write(b"oAbC", Some(b"oAbD"), &list[..count]).len() > PAGE_BYTES_MAX - 300);
    }

    proptest! {
        #[test]
        fn users_are_found_as_they_were_written(users in any_users(), others in any_users()) {
            let list: Vec<User<'_>> = users.iter().map(|(openid, number)| (openid.as_slice(), *number)).collect();
            let page = SortedPage::read(write(b"a", Some(b"z"), &list)).unwrap();
            prop_assert_eq!((page.first(), page.until()), (&b"a"[..], Some(&b"z"[..])));
            for openid in users.keys().chain(others.keys()) {
                prop_assert_eq!(page.find(openid), users.get(openid).copied());
            }
            let mut found = BTreeMap::new();
            page.each(|(openid, number)| found.extend([(openid.to_vec(), number)]));
            prop_assert_eq!(found, users);
        }

        #[test]
        fn a_page_never_holds_more_than_its_blocks(users in any_users()) {
            let all: BTreeMap<Vec<u8>, u32> = real_users().into_iter().chain(users).collect();
            let list: Vec<User<'_>> = all.iter().map(|(openid, number)| (openid.as_slice(), *number)).collect();
            let count = fitting(b"oAbC", list.iter().copied());
            prop_assert!(count >= 1);
            prop_assert!(write(b"oAbC", Some(&[b'z'; 128]), &list[..count]).len() <= PAGE_BYTES_MAX);
        }

        #[test]
        fn damaged_pages_are_errors_and_not_panics(users in any_users(), at: prop::sample::Index, byte: u8, cut: bool) {
            let list: Vec<User<'_>> = users.iter().map(|(openid, number)| (openid.as_slice(), *number)).collect();
            let mut bytes = write(b"a", None, &list);
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes.truncate(if cut { at } else { bytes.len() });
            if let Ok(page) = SortedPage::read(bytes) {
                let _ = users.keys().filter_map(|openid| page.find(openid)).count();
                page.each(|_| {});
            }
        }
    }
}
