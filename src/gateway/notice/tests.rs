use std::io::Write;

use super::*;

const NOTICE: &str = "<p id=n>N</p>";

fn inject_chunks(plan: InjectionPlan, coding: ContentCoding, chunks: &[&[u8]]) -> Vec<u8> {
    let mut injector = Injector::new(plan, coding);
    let mut out = Vec::new();
    for chunk in chunks {
        out.extend_from_slice(&injector.push(Bytes::copy_from_slice(chunk)).expect("good coding"));
    }
    out.extend_from_slice(&injector.finish().expect("good coding"));
    out
}

fn inject(plan: InjectionPlan, page: &str) -> String {
    let out = inject_chunks(plan, ContentCoding::Identity, &[page.as_bytes()]);
    String::from_utf8(out).expect("text")
}

fn notice() -> InjectionPlan {
    InjectionPlan::new().at_body_begin(NOTICE)
}

fn selector(text: &str) -> PageSelector {
    text.parse().expect("selector")
}

/// R-A2: the notice is the first thing in the page; `^` marks where.
#[test]
fn the_notice_begins_the_body_however_the_page_is_written() {
    for marked in [
        "<!doctype html><html><head><title>x</title></head><body>^<h1>y</h1></body></html>",
        "<HTML><BODY CLASS='a>b' onload=\"x('<body>')\">^text</BODY></HTML>",
        "<!-- <body> --><head><script>var x = '<body>';</script></head>\n<body\n>^y",
        "<title><body></title><style><body></style><body>^y",
        "<html><head><meta charset=utf-8></head>^<div>no body tag</div></html>",
        "<head><noscript><img src=x></noscript><link rel=x></head><body>^y",
        "<head><template><div>hidden</div></template></head><body>^y",
        "text only^",
        "<title>head only</title>^",
        "just text ^<b>then</b> an element",
        "<body>^",
        "<body><body>",
        "<frameset cols='1,1'><frame src=a><frame src=b></frameset>^",
    ] {
        let page = marked.replace('^', "");
        let expected = match marked {
            "<body><body>" => "<body>^<body>".replace('^', NOTICE),
            _ => marked.replace('^', NOTICE),
        };
        assert_eq!(inject(notice(), &page), expected, "{marked}");
    }
    assert_eq!(inject(notice(), ""), "");
}

/// R-C4: a script stands at the end of the head, where it moves nothing of the page: behind the
/// character set, in front of the body; `^` marks where.
#[test]
fn a_script_ends_the_head_however_the_page_is_written() {
    for marked in [
        "<html><head lang=en><meta charset=utf-8><title>x</title>^</head><body>y",
        "<head><script>var x = '</head>';</script><!-- </head> -->^</HEAD ><body>y",
        "<html><head><title>x</title>^<body class=a>y",
        "<title>x</title>^<div>y</div>",
        "<body>^",
        "text only",
        "<head><title>x</title>^</head><frameset cols='1,1'><frame src=a></frameset>",
        "<frameset cols='1,1'><frame src=a><frame src=b></frameset>",
    ] {
        let page = marked.replace('^', "");
        let plan = InjectionPlan::new().at_head_end("<script></script>");
        let expected = match marked {
            "<body>^" => "<script></script><body>".to_owned(),
            _ => marked.replace('^', "<script></script>"),
        };
        assert_eq!(inject(plan, &page), expected, "{marked}");
    }
    let plan = notice().at_head_end("<script></script>");
    assert_eq!(inject(plan, "<b>y"), format!("<script></script>{NOTICE}<b>y"));
}

/// R-D5: in a portal's menu that is a list, a link becomes an item of the list; elsewhere it stands
/// by itself.
#[test]
fn what_goes_into_a_list_becomes_an_item_of_it() {
    let link = |page: &str, place| {
        inject(InjectionPlan::new().at(&selector("#menu, .menu"), place, "<a>s</a>"), page)
    };
    for (page, expected) in [
        ("<ul id=menu><li>a</ul>", "<ul id=menu><li>a<li><a>s</a></li></ul>"),
        ("<OL class='x menu'></OL>", "<OL class='x menu'><li><a>s</a></li></OL>"),
        ("<ul><li><div id=menu>a</div></ul>", "<ul><li><div id=menu>a<a>s</a></div></ul>"),
        (
            "<div id=menu><a>b</a></div><p id=menu>",
            "<div id=menu><a>b</a><a>s</a></div><p id=menu>",
        ),
        ("<p>no menu</p>", "<p>no menu</p>"),
    ] {
        assert_eq!(link(page, Place::End), expected);
    }
    let at_once = link("<menu id=menu><li>a</menu>", Place::Begin);
    assert_eq!(at_once, "<menu id=menu><li><a>s</a></li><li>a</menu>");
    assert_eq!(link("<ul id=menu></ul>", Place::After), "<ul id=menu></ul><a>s</a>");
}

/// R-C1: links and messages at configured places, the login name kept.
#[test]
fn the_login_page_gets_links_message_and_login_name() {
    let page = "<body><form id=f><INPUT name='data[Login][username]' value=''><input type=submit>\
                </form><form>other</form></body>";
    let plan = InjectionPlan::new()
        .at(&selector("form"), Place::After, "<nav></nav>")
        .at_or_end(&selector("form"), Place::Before, "<p role=alert>no</p>")
        .at(&selector("form"), Place::Begin, "<i></i>")
        .at(&selector("form"), Place::End, "<u></u>")
        .input_value(&selector("input[name=\"data[Login][username]\"]"), "1001@\"><script>é");
    assert_eq!(
        inject(plan, page),
        "<body><p role=alert>no</p><form id=f><i></i>\
         <INPUT value=\"1001@&#34;&#62;&#60;script&#62;&#233;\" name='data[Login][username]' value=''>\
         <input type=submit><u></u></form><nav></nav><form>other</form></body>"
    );
    let plan = InjectionPlan::new().at(&selector("input"), Place::After, "<b>");
    assert_eq!(inject(plan, "<input><i>"), "<input><b><i>");
}

/// A place that is nowhere: what must be said goes to the end, the rest is left out.
#[test]
fn what_must_be_said_is_said_anyway() {
    let plan = InjectionPlan::new().at_or_end(&selector("#none"), Place::Begin, "<p>must</p>").at(
        &selector("#none"),
        Place::Begin,
        "<p>may</p>",
    );
    assert_eq!(inject(plan, "<body>y</body>"), "<body>y</body><p>must</p>");
}

/// R-A2: the page is otherwise byte-identical, in any character set, however it is cut.
#[test]
fn every_cut_gives_the_same_page() {
    let pages: [&[u8]; 5] = [
        b"<!doctype html><html><head><title>a &lt; b</title></head><body class=\"x\"><form><p>1</form></body>",
        b"<head><script>if (a<b && c>d) { x = '<body>' }</script></head><div a=\"</div>\"><form></form>",
        b"\xe9\xe8 <b>latin\xff</b> \x83\x5c<body>\xc3(\r\n\0</body",
        b"<html><!-- <body> <!-- --> <![CDATA[x]]> <body ><form",
        b"<",
    ];
    for page in pages {
        for cut in 0..=page.len() {
            check_properties(page, cut);
        }
    }
}

#[test]
fn replay_pages_are_otherwise_unchanged() {
    use crate::gateway::replay;
    const PIECES: &[&str] = &[
        "<html>",
        "<head>",
        "</head>",
        "<body>",
        "<body class='a'>",
        "</body>",
        "<form>",
        "</form>",
        "<form",
        ">",
        "<",
        "</",
        "<!--",
        "-->",
        "<script>",
        "</script>",
        "<title>",
        "</title>",
        "<template>",
        "</template>",
        "<textarea>",
        "<select>",
        "<option>",
        "<svg>",
        "<math>",
        "</svg>",
        "<plaintext>",
        "<table>",
        "<td>",
        "text",
        " ",
        "\"",
        "'",
        "=",
        "&amp;",
        "é",
        "\0",
        "<noscript>",
        "</noscript>",
        "<frameset>",
        "<input name=a>",
        "<![CDATA[",
        "]]>",
        "<xmp>",
    ];
    let mut draw = replay::Draw::seeded(7);
    replay::pieces(PIECES, 3_000, |page| {
        check_properties(page.as_bytes(), draw.below(page.len() + 1));
    });
}

/// Compressed answers of the PBX work too, cut anywhere.
#[test]
fn compressed_pages_are_unpacked() {
    let page = format!("<html><body>{}</body></html>", "content ".repeat(5_000));
    let expected = page.replace("<body>", &format!("<body>{NOTICE}")).into_bytes();
    let level = flate2::Compression::default();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), level);
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), level);
    let mut raw = flate2::write::DeflateEncoder::new(Vec::new(), level);
    let mut brotli = brotli::CompressorWriter::new(Vec::new(), 4096, 5, 20);
    for encoder in [&mut gzip as &mut dyn Write, &mut zlib, &mut raw, &mut brotli] {
        encoder.write_all(page.as_bytes()).expect("in memory");
    }
    for (coding, packed) in [
        (ContentCoding::Gzip, gzip.finish().expect("in memory")),
        (ContentCoding::Deflate, zlib.finish().expect("in memory")),
        (ContentCoding::Deflate, raw.finish().expect("in memory")),
        (ContentCoding::Brotli, brotli.into_inner()),
    ] {
        let single: Vec<&[u8]> = packed.chunks(1).collect();
        for chunks in [vec![packed.as_slice()], single, packed.chunks(7).collect()] {
            assert!(inject_chunks(notice(), coding, &chunks) == expected, "{coding:?}");
        }
        let mut cut_off = Injector::new(notice(), coding);
        let half = Bytes::copy_from_slice(&packed[..packed.len() / 2]);
        assert!(cut_off.push(half).is_ok_and(|_| cut_off.finish().is_err()), "{coding:?}");
    }
    let mut broken = Injector::new(notice(), ContentCoding::Gzip);
    assert_eq!(broken.push(Bytes::from_static(b"not gzip at all")), Err(BrokenPage));
    let mut empty = Injector::new(notice(), ContentCoding::Deflate);
    assert_eq!(empty.finish(), Ok(Bytes::new()));
}

/// After the last place the page passes through without being copied.
#[test]
fn the_rest_of_the_page_is_not_touched() {
    let mut injector = Injector::new(notice(), ContentCoding::Identity);
    injector.push(Bytes::from_static(b"<body>")).expect("identity");
    let chunk = Bytes::from(vec![b'x'; 4096]);
    let address = chunk.as_ptr();
    assert_eq!(injector.push(chunk).expect("identity").as_ptr(), address);
}

/// A page that comes bit by bit goes on bit by bit, also while its place is still being looked
/// for; a tag without end does not grow without bound.
#[test]
fn pages_stream() {
    let mut injector = Injector::new(notice(), ContentCoding::Identity);
    let first =
        injector.push(Bytes::from_static(b"<html><head><title>x</title>")).expect("identity");
    assert_eq!(&first[..], b"<html><head><title>x</title>");
    let mut injector = Injector::new(notice(), ContentCoding::Identity);
    injector.push(Bytes::from_static(b"<div class=\"")).expect("identity");
    for _ in 0..100 {
        injector.push(Bytes::from(vec![b'x'; 16 * 1024])).expect("identity");
        assert!(injector.held.len() <= MAX_SEARCHED);
    }
    assert!(injector.finder.is_none());
    assert_eq!(injector.finish().expect("identity"), NOTICE);
}

#[test]
fn pages_in_utf16_are_left_alone() {
    let page: Vec<u8> = "\u{feff}<body>x".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(inject_chunks(notice(), ContentCoding::Identity, &[&page]), page);
}

#[test]
fn what_we_add_is_ascii_and_escaped() {
    let html = "<p>Ihr PIN läuft ab — 5 Tage</p>";
    let out = inject(InjectionPlan::new().at_body_begin(html), "<body>");
    assert_eq!(out, "<body><p>Ihr PIN l&#228;uft ab &#8212; 5 Tage</p>");
    assert_eq!(
        escape_text("a<b>&\"'/\\`=\n\0"),
        "a&#60;b&#62;&#38;&#34;&#39;&#47;&#92;&#96;&#61;&#10;&#65533;"
    );
    assert!("form >".parse::<PageSelector>().is_err());
}

/// The pipeline keeps an injector across awaits.
#[test]
fn an_injector_can_move_between_threads() {
    fn is_send<T: Send>(_: &T) {}
    is_send(&Injector::new(notice(), ContentCoding::Brotli));
}
