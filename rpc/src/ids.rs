//! Request ids that our library does not read. Without this, such a call would be taken for a notification and get no answer.
//!
//! Negative and fractional numbers and booleans, which geth echoes like any other id, travel through the library as strings with a
//! prefix that nobody outside can know, and are put back in the answer. A call whose id is an object or an array is no request.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::value::RawValue;

/// What hides the odd ids of one request or connection.
pub(crate) struct Mask {
    /// An opening quote and 128 random bits.
    prefix: String,
}

/// What the library answers with "invalid request".
const NO_REQUEST: &str = r#"{"id":null}"#;

#[derive(Deserialize)]
struct WithId<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
}

impl Mask {
    pub(crate) fn new() -> Self {
        Self { prefix: format!("\"odd-id-{:032x}:", rand::random::<u128>()) }
    }

    /// The request with strings in place of odd ids, and without the rest of calls that are no requests; `None` when there is
    /// nothing to change, as nearly always.
    pub(crate) fn hide(&self, request: &[u8]) -> Option<Vec<u8>> {
        if !may_be_odd(request) {
            return None;
        }
        let text = std::str::from_utf8(request).ok()?;
        let calls: Vec<&RawValue> = match serde_json::from_str(text) {
            Ok(batch) => batch,
            Err(_) => vec![serde_json::from_str(text).ok()?],
        };
        let mut masked = String::with_capacity(text.len());
        let mut done = 0;
        for call in calls {
            let Ok(WithId { id: Some(id) }) = serde_json::from_str(call.get()) else { continue };
            let (part, instead) = match kind(id.get()) {
                Kind::Plain => continue,
                Kind::Odd => (id.get(), format!("{}{}\"", self.prefix, id.get())),
                Kind::None => (call.get(), NO_REQUEST.to_owned()),
            };
            // Raw values are parts of the text.
            let start = (part.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
            masked.push_str(text.get(done..start)?);
            masked.push_str(&instead);
            done = start.checked_add(part.len())?;
        }
        masked.push_str(text.get(done..)?);
        (done > 0).then(|| masked.into_bytes())
    }

    /// The answer with the ids as the client wrote them.
    pub(crate) fn show(&self, answer: &str) -> String {
        let mut parts = answer.split(&self.prefix);
        let mut shown = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (id, rest) = part.split_once('"').unwrap_or((part, ""));
            shown.push_str(id);
            shown.push_str(rest);
        }
        shown
    }
}

/// Whether any member `id`, at whatever depth, begins like one that is not plain. Cheap: nearly every request ends here.
pub(crate) fn may_be_odd(request: &[u8]) -> bool {
    static ID: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new(b"\"id\""));
    ID.find_iter(request).any(|at| {
        let after = request.get(at.saturating_add(4)..).unwrap_or_default().trim_ascii_start();
        let value = after.strip_prefix(b":").unwrap_or_default().trim_ascii_start();
        let length = value.iter().position(|byte| matches!(byte, b',' | b'}') || byte.is_ascii_whitespace());
        let value = value.get(..length.unwrap_or(value.len())).unwrap_or_default();
        std::str::from_utf8(value).is_ok_and(|value| !matches!(kind(value), Kind::Plain))
    })
}

enum Kind {
    /// A string, `null` or a whole number of 64 bits: the library reads it.
    Plain,
    /// Another number, or a boolean.
    Odd,
    /// Not an id.
    None,
}

fn kind(id: &str) -> Kind {
    match id.as_bytes().first() {
        Some(b'0'..=b'9') if id.parse::<u64>().is_err() => Kind::Odd,
        Some(b'-' | b't' | b'f') => Kind::Odd,
        Some(b'{' | b'[') => Kind::None,
        _ => Kind::Plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_ids_are_hidden_and_shown_again() {
        let mask = Mask::new();
        for id in ["-1", "1.5", "1e3", "true", "18446744073709551616", "-0.0"] {
            let call = format!(r#"{{"jsonrpc":"2.0", "id" : {id} ,"method":"eth_chainId"}}"#);
            let hidden = String::from_utf8(mask.hide(call.as_bytes()).unwrap()).unwrap();
            assert_eq!(hidden, call.replace(&format!(": {id} "), &format!(": {}{id}\" ", mask.prefix)));
            assert_eq!(mask.show(&hidden), call);
            let batch = format!(r#"[{call},{{"id":7}},3,{call}]"#);
            let hidden = String::from_utf8(mask.hide(batch.as_bytes()).unwrap()).unwrap();
            assert_eq!((hidden.matches(&mask.prefix).count(), mask.show(&hidden)), (2, batch));
        }
    }

    #[test]
    fn what_is_no_id_makes_no_request() {
        let mask = Mask::new();
        let hidden = mask.hide(br#"[{"id":[-1],"method":"x"}, {"method":"y","id":{}},{"id":1}]"#).unwrap();
        assert_eq!(String::from_utf8(hidden).unwrap(), r#"[{"id":null}, {"id":null},{"id":1}]"#);
    }

    #[test]
    fn everything_else_is_left_alone() {
        let mask = Mask::new();
        for request in [
            r#"{"id":1}"#,
            r#"{"id":18446744073709551615}"#,
            r#"{"id":"-1"}"#,
            r#"{"id":null}"#,
            r#"{"params":[{"id":-1}],"id":1}"#,
            r#"{"id":-1"#,
            r#"{"id":-1,"id":-2}"#,
            r#"{"id":-}"#,
            "[{\"id\":-1}",
            "\"id\"",
            "",
        ] {
            assert_eq!(mask.hide(request.as_bytes()), None, "{request}");
        }
        assert_eq!(mask.hide(b"{\"id\":-1,\"x\":\"\xff\"}"), None);
    }
}
