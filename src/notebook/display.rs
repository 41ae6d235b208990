//! Output by type: the blocks that the kernel turns into what Jupyter shows.
//!
//! A cell shows one value of each type, the last one; several figures in one cell go into a [`Page`].

use std::{
    fmt::Write as _,
    io::{self, Write},
};

/// Shows `content` as the type `mime`, for instance `("text/html", "<b>3</b>")`. Binary types are [`base64`].
pub fn emit(mime: &str, content: &str) {
    emit_all(&[(mime, content)]);
}

/// Shows one value in several forms, of which the viewer picks the richest it trusts.
///
/// A type's inherent `evcxr_display(&self)` calls this; the kernel calls that for a cell's last expression.
pub fn emit_all(forms: &[(&str, &str)]) {
    // One lock for all blocks: a line of another thread inside a block would become part of it.
    let mut out = io::stdout().lock();
    // Where stdout is gone there is no notebook left to show anything in.
    let _ = write_blocks(&mut out, forms);
}

fn write_blocks(out: &mut impl Write, forms: &[(&str, &str)]) -> io::Result<()> {
    for (mime, content) in forms {
        writeln!(out, "EVCXR_BEGIN_CONTENT {mime}\n{}\nEVCXR_END_CONTENT", content.trim_end_matches('\n'))?;
    }
    out.flush()
}

/// `bytes` in base64 (RFC 4648 §4), as Jupyter wants a PNG.
///
/// ```
/// assert_eq!(limbeck::notebook::base64(b"still"), "c3RpbGw=");
/// ```
pub fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let bits = (0..3).fold(0, |bits, i| bits << 8 | u32::from(*three.get(i).unwrap_or(&0)));
        for i in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * i) & 63) as usize];
            text.push(if i <= three.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

/// Headings, text, figures and tables, one under the other, as one output of a cell.
///
/// ```
/// # use limbeck::notebook::Page;
/// let page = Page::new().heading("Before").svg("<svg/>").text("It moved.");
/// assert!(page.to_html().contains("<h4>Before</h4>"));
/// ```
#[derive(Clone, Default)]
pub struct Page {
    html: String,
    plain: String,
}

impl Page {
    /// An empty page.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a heading. Markup in it is shown, not obeyed.
    pub fn heading(self, text: &str) -> Self {
        let html = format!("<h4>{}</h4>", escape(text));
        self.add(&html, text)
    }

    /// Adds a paragraph; `$…$` is typeset where the viewer does so, other markup is shown, not obeyed.
    pub fn text(self, text: &str) -> Self {
        let html = format!("<p>{}</p>", escape(text));
        self.add(&html, text)
    }

    /// Adds a drawing, as an image of its own, so that ids and styles of two drawings cannot meet.
    pub fn svg(self, svg: &str) -> Self {
        let html = format!("<p><img src=\"data:image/svg+xml;base64,{}\"></p>", base64(svg.as_bytes()));
        self.add(&html, "[figure]")
    }

    /// Adds a picture from the bytes of a PNG file. Viewers that refuse foreign SVG still show it.
    pub fn png(self, png: &[u8]) -> Self {
        let html = format!("<p><img src=\"data:image/png;base64,{}\"></p>", base64(png));
        self.add(&html, "[figure]")
    }

    /// Adds a fragment of HTML as it is, for instance a table.
    pub fn html(self, html: &str) -> Self {
        self.add(html, "[table]")
    }

    /// The page as one HTML fragment.
    pub fn to_html(&self) -> String {
        format!("<div>\n{}</div>", self.html)
    }

    /// Shows the page, with its text alone for viewers without HTML.
    pub fn evcxr_display(&self) {
        emit_all(&[("text/html", &self.to_html()), ("text/plain", &self.plain)]);
    }

    fn add(mut self, html: &str, plain: &str) -> Self {
        // Writing to a String cannot fail.
        let _ = writeln!(self.html, "{html}");
        let _ = writeln!(self.plain, "{plain}");
        self
    }
}

impl std::fmt::Debug for Page {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "Page of {} bytes", self.html.len())
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_gives_the_vectors_of_rfc_4648() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[0xfb, 0xff, 0xfe]), "+//+");
    }

    #[test]
    fn a_block_begins_and_ends_on_lines_of_its_own() {
        let mut out = Vec::new();
        write_blocks(&mut out, &[("text/html", "<b>1</b>\n"), ("text/plain", "1")]).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "EVCXR_BEGIN_CONTENT text/html\n<b>1</b>\nEVCXR_END_CONTENT\nEVCXR_BEGIN_CONTENT text/plain\n1\nEVCXR_END_CONTENT\n"
        );
    }

    #[test]
    fn a_page_keeps_the_order_and_shows_markup_instead_of_obeying_it() {
        let page = Page::new().heading("a < b").svg("<svg/>").png(&[1, 2, 3]).html("<table></table>").text("done");
        let html = page.to_html();
        let places: Vec<usize> = ["a &lt; b", "svg+xml;base64,PHN2Zy8+", "png;base64,AQID", "<table>", "<p>done"]
            .iter()
            .map(|part| html.find(part).unwrap_or_else(|| panic!("{part} is not in {html}")))
            .collect();
        assert!(places.is_sorted(), "{places:?}");
        assert_eq!(page.plain, "a < b\n[figure]\n[figure]\n[table]\ndone\n");
    }
}
