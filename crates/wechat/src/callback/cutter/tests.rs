//! Tests of the cutter. The bytes are pushed in pieces of several sizes.

use proptest::prelude::*;

use super::*;

/// All items that are not blank. The bytes are pushed in pieces of `piece` bytes.
fn cut(bytes: &[u8], piece: usize) -> Vec<(u64, Result<String, &'static str>)> {
    let (mut cutter, mut items) = (Cutter::default(), Vec::new());
    let take = |cutter: &mut Cutter, items: &mut Vec<_>| {
        while let Some((number, item)) = cutter.next_item() {
            items.push(match item {
                CutItem::Whole(item) => (number, Ok(String::from_utf8_lossy(item).into_owned())),
                CutItem::Bad(why) => (number, Err(why)),
            });
        }
        assert!(cutter.buffer.len() - cutter.start <= ITEM_BYTES_MAX + 1);
    };
    for piece in bytes.chunks(piece) {
        cutter.push(piece);
        take(&mut cutter, &mut items);
    }
    cutter.end();
    take(&mut cutter, &mut items);
    items.retain(|(_, item)| item.as_ref().map_or(true, |item| !item.trim().is_empty()));
    items
}

fn whole(number: u64, item: &str) -> (u64, Result<String, &'static str>) {
    (number, Ok(item.to_owned()))
}

/// Checks that pieces of each size give the expected items.
fn check(text: &[u8], expected: &[(u64, Result<String, &'static str>)]) {
    for piece in [1, 2, 3, 7, 70_000, usize::MAX] {
        if piece > 3 || text.len() < 1_000 {
            assert_eq!(
                cut(text, piece),
                expected,
                "in pieces of {piece}: {:.200}",
                String::from_utf8_lossy(text)
            );
        }
    }
}

#[test]
fn items_have_the_number_of_their_first_line() {
    check(b"", &[]);
    check(b"{}\r\n\n {} \nx", &[whole(1, "{}\r"), whole(3, " {} "), whole(4, "x")]);
    let document = "<xml>\n<a>1</a>\n</xml>";
    let text = format!("{{}}\n{document}\n\n{document} \t\r\n{{}}\n");
    check(text.as_bytes(), &[whole(1, "{}"), whole(2, document), whole(6, document), whole(9, "{}")]);
}

#[test]
fn one_line_may_hold_several_documents() {
    let one = "<xml><a>1</a></xml>";
    let text = format!("{one}{one} {one}{{}}\n<?xml version=\"1.0\"?>{one}\r\n<xml a='b'></xml\n >{one} x\n");
    check(
        text.as_bytes(),
        &[
            whole(1, one),
            whole(1, one),
            whole(1, one),
            whole(1, "{}"),
            whole(2, &format!("<?xml version=\"1.0\"?>{one}")),
            whole(3, "<xml a='b'></xml\n >"),
            whole(4, one),
            whole(4, "x"),
        ],
    );
    let many = one.repeat(20_000);
    assert_eq!(cut(many.as_bytes(), 1000), vec![whole(1, one); 20_000]);
}

#[test]
fn tags_in_cdata_do_not_begin_or_end_a_document() {
    let document = "<xml><Content><![CDATA[</xml>\n<xml>\n{}\n<![CDATA[ ]] ]>]]></Content>\n</xml>";
    check(format!("{document}\n{{}}").as_bytes(), &[whole(1, document), whole(6, "{}")]);
}

#[test]
fn the_next_document_is_read_after_one_without_an_end() {
    let good = "<xml><a/></xml>";
    let text = format!("<xml><a>\n  {good}\n<?xml version='1.0'?>\n<xml>\n{good}\n<xml>");
    check(
        text.as_bytes(),
        &[(1, Err(NO_END)), whole(2, good), (3, Err(NO_END)), whole(5, good), (6, Err(NO_END))],
    );
    let lines = "<xm>\n<html>\n<xmlx>\n<\n";
    check(lines.as_bytes(), &[whole(1, "<xm>"), whole(2, "<html>"), whole(3, "<xmlx>"), whole(4, "<")]);
}

#[test]
fn after_a_document_without_an_end_within_64_kib_reading_resumes_at_the_next_callback() {
    let filler = "x</a>\n".repeat(11_000);
    let good = "<xml><a/></xml>";
    let lines = 11_000 + 1;
    for next in [good, "{}", "\u{feff}{}", "  {}"] {
        let text = format!("<xml><a><![CDATA[{filler}{next}\nx\n{good}");
        let next = next.trim_start_matches('\u{feff}');
        check(
            text.as_bytes(),
            &[(1, Err(NO_END_WITHIN)), whole(lines, next), whole(lines + 1, "x"), whole(lines + 2, good)],
        );
    }
    check(format!("<xml>{filler}").as_bytes(), &[(1, Err(NO_END_WITHIN))]);
}

#[test]
fn items_of_more_than_64_kib_are_refused() {
    for (more, is_taken) in [(0, true), (1, false)] {
        let line = format!("{{{}", " ".repeat(ITEM_BYTES_MAX - 1 + more));
        let document = format!("<xml>{}</xml>", "\n".repeat(ITEM_BYTES_MAX - 11 + more));
        let lines = 1 + (ITEM_BYTES_MAX - 11 + more) as u64;
        let expected =
            |number, text: &str, why| if is_taken { whole(number, text) } else { (number, Err(why)) };
        check(format!("{line}\n{{}}").as_bytes(), &[expected(1, &line, TOO_LONG), whole(2, "{}")]);
        check(
            format!("{document}\n{{}}").as_bytes(),
            &[expected(1, &document, NO_END_WITHIN), whole(lines + 1, "{}")],
        );
    }
}

#[test]
fn byte_order_marks_between_items_are_skipped() {
    let marked = "\u{feff}{}\n\u{feff}<xml></xml>\u{feff}{}\n\u{feff}";
    check(marked.as_bytes(), &[whole(1, "{}"), whole(2, "<xml></xml>"), whole(2, "{}")]);
}

#[test]
fn a_line_is_done_once_nothing_of_it_is_left() {
    let done = |text: &str| {
        let mut cutter = Cutter::default();
        cutter.push(text.as_bytes());
        while cutter.next_item().is_some() {}
        (cutter.is_between(), cutter.lines_done(), cutter.number())
    };
    assert_eq!(done("{}\n{}\n"), (true, 2, 2));
    assert_eq!(done("{}\n<xml>\n</xml>"), (false, 2, 2));
    assert_eq!(done("{}\n<xml>\n</xml>\n"), (true, 3, 2));
    assert_eq!(done("{}\n<xml>\n</xml> <"), (true, 2, 2));
}

proptest! {
    #[test]
    fn pieces_of_each_size_give_the_same_items(
        parts in prop::collection::vec(prop::sample::select(vec![
            "<xml>", "</xml>", "<![CDATA[", "]]>", "\n", "{}", " ", "<", "]", "x", "\u{feff}", "<?xml?>", "</xml", "\r\n",
        ]), 0..40),
        piece in 1..9_usize,
    ) {
        let text = parts.concat();
        prop_assert_eq!(cut(text.as_bytes(), piece), cut(text.as_bytes(), usize::MAX), "{}", text);
    }
}
