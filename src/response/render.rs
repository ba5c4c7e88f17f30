//! One pass over JSON text: keys become camelCase, objects get their `__typename`.

use super::{Responder, ResponseError};

/// Deeper nesting is refused, so that the memory for it is bounded.
const MAX_DEPTH: usize = 128;

/// An object or array that is open.
#[derive(Clone, Copy)]
struct Level<'r> {
    object: bool,
    /// A key comes next.
    at_key: bool,
    /// `__typename` of this object, or of the objects in this array.
    typename: Option<&'r str>,
    /// Keys are data and stay as they are.
    verbatim: bool,
}

/// What applies to the value that comes next.
#[derive(Clone, Copy)]
struct Next<'r> {
    typename: Option<&'r str>,
    verbatim: bool,
}

/// Appends `json` to `out` as `responder` says.
pub(super) fn render<'r>(
    responder: &'r Responder,
    json: &str,
    out: &mut String,
) -> Result<(), ResponseError> {
    let bytes = json.as_bytes();
    let wrong = |reason, at| Err(ResponseError { reason, at });
    let mut levels: Vec<Level<'r>> = Vec::with_capacity(8);
    let mut next = Next { typename: Some(responder.typename()), verbatim: false };
    let mut done = false;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if byte.is_ascii_whitespace() {
            at += 1;
            continue;
        }
        if done {
            return wrong("something follows the value", at);
        }
        match byte {
            b'{' | b'[' => {
                if levels.len() == MAX_DEPTH {
                    return wrong("too deep", at);
                }
                let object = byte == b'{';
                let Next { typename, verbatim } = next;
                levels.push(Level { object, at_key: object, typename, verbatim });
                out.push(byte as char);
                at += 1;
                if object {
                    // A map of data is no object of a type; its values are.
                    at += inject(bytes, at, typename.filter(|_| !verbatim), out);
                }
            }
            b'}' | b']' => {
                match levels.pop() {
                    Some(level) if level.object == (byte == b'}') => {}
                    _ => return wrong("a bracket that was not opened", at),
                }
                out.push(byte as char);
                at += 1;
                done = levels.is_empty();
            }
            b',' => {
                let Some(level) = levels.last_mut() else { return wrong("a comma", at) };
                level.at_key = level.object;
                // Elements of an array are alike; what a key said is over.
                next = Next { typename: level.typename, verbatim: level.verbatim };
                out.push(',');
                at += 1;
            }
            b':' => {
                out.push(':');
                at += 1;
            }
            b'"' => {
                let Some(length) = string_length(&bytes[at..]) else {
                    return wrong("a string without end", at);
                };
                let text = &json[at..at + length];
                match levels.last_mut() {
                    Some(level) if level.at_key => {
                        level.at_key = false;
                        let key = &text[1..length - 1];
                        next = Next {
                            typename: responder.nested_typename(key),
                            verbatim: responder.is_verbatim(key),
                        };
                        if level.verbatim {
                            // Data: its values are what the field's values are.
                            next = Next { typename: level.typename, verbatim: false };
                            out.push_str(text);
                        } else {
                            out.push('"');
                            camel_case(key, out);
                            out.push('"');
                        }
                    }
                    _ => out.push_str(text),
                }
                at += length;
                done = levels.is_empty();
            }
            _ => {
                let rest = &bytes[at..];
                let scalar = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'+' | b'.');
                let length = rest.iter().take_while(|b| scalar(b)).count();
                if length == 0 {
                    return wrong("an unexpected character", at);
                }
                out.push_str(&json[at..at + length]);
                at += length;
                done = levels.is_empty();
            }
        }
        // An array hands its own rules to its elements; an object's come with its keys, but
        // the values of data keys are what the field's values are.
        if matches!(byte, b'{' | b'[')
            && let Some(level) = levels.last()
        {
            next = Next {
                typename: level.typename.filter(|_| !level.object || level.verbatim),
                verbatim: level.verbatim && !level.object,
            };
        }
    }
    if done { Ok(()) } else { wrong("it ends too early", bytes.len()) }
}

/// Writes the type's name as the first field of an object that has just been opened, unless
/// it has one; returns how many bytes of the input it has dealt with.
fn inject(bytes: &[u8], at: usize, typename: Option<&str>, out: &mut String) -> usize {
    let Some(typename) = typename else { return 0 };
    let rest = &bytes[at..];
    let blank = rest.iter().take_while(|b| b.is_ascii_whitespace()).count();
    let rest = &rest[blank..];
    if rest.starts_with(b"\"__typename\"") {
        return blank;
    }
    out.push_str("\"__typename\":");
    write_string(typename, out);
    if !rest.starts_with(b"}") {
        out.push(',');
    }
    blank
}

/// Appends a text as a JSON string.
pub(super) fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if (c as u32) < 0x20 => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Bytes of the string that begins here, with its quotes.
fn string_length(bytes: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// `order_total_cents` as `orderTotalCents`; underscores that lead or trail stay.
fn camel_case(key: &str, out: &mut String) {
    let body = key.trim_start_matches('_');
    out.push_str(&key[..key.len() - body.len()]);
    let mut rest = body;
    while let Some((head, tail)) = rest.split_once('_') {
        out.push_str(head);
        match tail.as_bytes().first() {
            Some(letter) if letter.is_ascii_alphanumeric() => {
                out.push(letter.to_ascii_uppercase() as char);
                rest = &tail[1..];
            }
            _ => {
                out.push('_');
                rest = tail;
            }
        }
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(responder: &Responder, json: &str) -> String {
        let mut out = String::new();
        render(responder, json, &mut out).unwrap_or_else(|e| panic!("{json}: {e}"));
        serde_json::from_str::<serde_json::Value>(&out).unwrap_or_else(|e| panic!("{out}: {e}"));
        out
    }

    #[test]
    fn keys_become_camel_case_and_values_stay() {
        let order = Responder::new("Order");
        assert_eq!(
            rendered(&order, r#"{"order_id":"a_b","_x":1,"line_1":[true,null],"a__b_":"\"x_y\""}"#),
            r#"{"__typename":"Order","orderId":"a_b","_x":1,"line1":[true,null],"a_B_":"\"x_y\""}"#
        );
        assert_eq!(rendered(&order, " { } "), r#"{"__typename":"Order"}"#);
        assert_eq!(rendered(&order, "null"), "null");
        assert_eq!(rendered(&order, "[1.5e3, \"a_b\"]"), "[1.5e3,\"a_b\"]");
        assert_eq!(
            rendered(&order, r#"{"__typename":"Draft","ship_to":{"zip_code":"1"}}"#),
            r#"{"__typename":"Draft","shipTo":{"zipCode":"1"}}"#
        );
        assert_eq!(
            rendered(&order, r#"[{"a_b":1},{"a_b":2}]"#),
            r#"[{"__typename":"Order","aB":1},{"__typename":"Order","aB":2}]"#
        );
    }

    #[test]
    fn fields_have_types_of_their_own() {
        let order = Responder::new("Order").nested("items", "Item").nested("ship_to", "Address");
        assert_eq!(
            rendered(&order, r#"{"items":[{"unit_price":1,"x":{}},{}],"ship_to":{"a":1},"y":{}}"#),
            "{\"__typename\":\"Order\",\"items\":[{\"__typename\":\"Item\",\"unitPrice\":1,\"x\":{}},\
             {\"__typename\":\"Item\"}],\"shipTo\":{\"__typename\":\"Address\",\"a\":1},\"y\":{}}"
        );
    }

    #[test]
    fn keys_that_are_data_stay_and_their_values_have_the_field_s_type() {
        let order = Responder::new("Order").verbatim("by_sku").nested("by_sku", "Item");
        assert_eq!(
            rendered(
                &order,
                r#"{"by_sku":{"a_1":{"unit_price":1},"b_2":{"unit_price":2}},"c_d":1}"#
            ),
            "{\"__typename\":\"Order\",\"bySku\":{\"a_1\":{\"__typename\":\"Item\",\"unitPrice\":1},\
             \"b_2\":{\"__typename\":\"Item\",\"unitPrice\":2}},\"cD\":1}"
        );
    }

    #[test]
    fn what_is_not_json_is_refused_with_its_place() {
        let order = Responder::new("Order");
        let deep = "[".repeat(129);
        for (json, reason, at) in [
            ("", "it ends too early", 0),
            (r#"{"a":1"#, "it ends too early", 6),
            (r#"{"a"#, "a string without end", 1),
            ("[1}", "a bracket that was not opened", 2),
            ("1 2", "something follows the value", 2),
            ("[#]", "an unexpected character", 1),
            (deep.as_str(), "too deep", 128),
        ] {
            let error = render(&order, json, &mut String::new()).unwrap_err();
            assert_eq!(error, ResponseError { reason, at }, "{json}");
        }
    }
}
