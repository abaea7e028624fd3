//! How a text looks once it was written into something else: JSON, a URL, HTML, or base64. A server that shows a secret
//! may show it in any of these, and so may gainsay.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What stays as it is in most URLs (RFC 3986, section 2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// What is shorter than this could stand for anything: it is replaced only where it stands alone, and not at all in its other
/// forms.
pub(crate) const SHORTEST: usize = 6;

/// Base64 that is shorter than this could stand for anything.
const SHORTEST_BASE64: usize = 12;

/// What a text looks like in JSON, in a URL and in HTML, where that is not as it is.
pub(crate) fn escaped(text: &str) -> Vec<String> {
    let json = serde_json::Value::from(text).to_string();
    let strict = utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let usual = utf8_percent_encode(text, RESERVED).to_string();
    let form: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
    let mut all = vec![json[1..json.len() - 1].to_owned()];
    for encoded in [strict, usual, form] {
        all.push(lower_case_hex(&encoded));
        all.push(encoded);
    }
    let html = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    for (double, single) in [
        ("&quot;", "&#39;"),
        ("&#34;", "&#39;"),
        ("&quot;", "&#x27;"),
        ("\"", "'"),
    ] {
        all.push(html.replace('"', double).replace('\'', single));
    }
    all.sort_unstable();
    all.dedup();
    all.retain(|form| form != text);
    all
}

/// Everything that a text may look like, where that is not as it is: also what base64 makes of it, by itself or within
/// something else. Nothing of what is too short to be told from other texts.
pub(crate) fn all(text: &str) -> Vec<String> {
    if text.len() < SHORTEST {
        return Vec::new();
    }
    let mut all = escaped(text);
    for lead in 0..3usize {
        let bytes = [&[0; 2][..lead], text.as_bytes()].concat();
        for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
            let encoded = engine.encode(&bytes);
            // Six bits a letter: the first ones and the last one depend on what stands around it, too.
            let core = &encoded[(lead * 8).div_ceil(6)..bytes.len() * 8 / 6];
            if core.len() >= SHORTEST_BASE64 {
                all.push(core.to_owned());
            }
        }
    }
    all.sort_unstable();
    all.dedup();
    all
}

/// A text, and everything that it may look like.
pub(crate) fn with_itself(text: &str) -> impl Iterator<Item = String> {
    all(text).into_iter().chain([text.to_owned()])
}

/// `%2F` as `%2f`.
fn lower_case_hex(encoded: &str) -> String {
    let mut pieces = encoded.split('%');
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (hex, rest) = piece.split_at_checked(2).unwrap_or((piece, ""));
        out.push('%');
        out.push_str(&hex.to_ascii_lowercase());
        out.push_str(rest);
    }
    out
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};

    use super::*;

    const ODD: &str = "p%q\"r's\\t&<u>/ü\nz+k 9";

    #[test]
    fn each_disguise_is_known() {
        let known = all(ODD);
        for form in [
            r#"p%q\"r's\\t&<u>/ü\nz+k 9"#,
            "p%25q%22r%27s%5Ct%26%3Cu%3E%2F%C3%BC%0Az%2Bk%209",
            "p%25q%22r%27s%5ct%26%3cu%3e%2f%c3%bc%0az%2bk%209",
            "p%25q%22r%27s%5Ct%26%3Cu%3E%2F%C3%BC%0Az%2Bk+9",
            "p%q&quot;r&#39;s\\t&amp;&lt;u&gt;/ü\nz+k 9",
        ] {
            assert!(known.iter().any(|known| known == form), "{form}: {known:?}");
        }
    }

    #[test]
    fn base64_is_known_wherever_it_stands() {
        let known = all(ODD);
        for before in ["", "a", "user:", "x-1:", "longer name"] {
            for after in ["", "!", "##", "and more"] {
                let whole = format!("{before}{ODD}{after}");
                for engine in [STANDARD, URL_SAFE] {
                    let encoded = engine.encode(&whole);
                    let shown = known.iter().any(|known| encoded.contains(known.as_str()));
                    assert!(shown, "{whole}: {encoded}");
                }
            }
        }
    }

    #[test]
    fn a_plain_text_looks_as_it_is() {
        assert!(escaped("abc123").is_empty());
        assert!(all("short").is_empty());
    }
}
