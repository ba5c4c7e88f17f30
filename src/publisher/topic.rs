//! Names of topics.

/// The topic of an aggregate type: its name in kebab case and `-events`.
///
/// ```
/// assert_eq!(messina::publisher::topic_of("Order"), "order-events");
/// assert_eq!(messina::publisher::topic_of("CustomerAccount"), "customer-account-events");
/// ```
pub fn topic_of(aggregate_type: &str) -> String {
    let mut topic = kebab(aggregate_type);
    topic.push_str("-events");
    topic
}

/// Kebab case: `CustomerAccount` becomes `customer-account`, what is neither a letter nor a
/// digit separates words.
pub(super) fn kebab(name: &str) -> String {
    let mut kebab = String::with_capacity(name.len() + 8);
    let mut after_lower = false;
    for c in name.chars() {
        if !c.is_ascii_alphanumeric() {
            if after_lower {
                kebab.push('-');
            }
            after_lower = false;
            continue;
        }
        if c.is_ascii_uppercase() && after_lower {
            kebab.push('-');
        }
        kebab.push(c.to_ascii_lowercase());
        after_lower = !c.is_ascii_uppercase();
    }
    kebab
}

/// A name that no Kafka topic can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{name:?} cannot be a topic's name: 1 to 249 letters, digits, '.', '_' and '-', and not \".\" or \"..\""
)]
pub struct InvalidTopic {
    /// The name.
    pub name: String,
}

/// Kafka's own rule, `Topic.validate`:
/// <https://github.com/apache/kafka/blob/3.9/clients/src/main/java/org/apache/kafka/common/internals/Topic.java>.
pub(super) fn check_topic(name: &str) -> Result<(), InvalidTopic> {
    let valid = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if name.is_empty()
        || name.len() > 249
        || name == "."
        || name == ".."
        || !name.bytes().all(valid)
    {
        return Err(InvalidTopic { name: name.to_owned() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_any_case_make_valid_topics() {
        for (aggregate_type, topic) in [
            ("HTTPServer", "httpserver-events"),
            ("order_line", "order-line-events"),
            ("Order2Cash", "order2-cash-events"),
        ] {
            assert_eq!(topic_of(aggregate_type), topic);
            assert_eq!(check_topic(topic), Ok(()));
        }
    }

    #[test]
    fn names_that_kafka_refuses_are_refused() {
        for name in ["", ".", "..", "a b", "a/b", "ä", &"x".repeat(250)] {
            let error = check_topic(name).unwrap_err();
            assert!(error.to_string().contains("cannot be a topic's name"), "{error}");
        }
    }
}
