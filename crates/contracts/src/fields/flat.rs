//! A JSON object of which only texts, numbers and flags matter: read without a map and without
//! copying what lies in the document as it is. Every message passes through here several times.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::{FieldError, NOT_AN_OBJECT};

/// An object as it was read, in the order of the document. Of a name that comes twice, the last
/// value counts.
pub struct Flat<'a>(Vec<(Cow<'a, str>, Read<'a>)>);

/// A value as it was read.
type Read<'a> = Any<Cow<'a, str>>;

/// A value that is looked at.
pub(super) type Scalar<'a> = Any<&'a str>;

/// A value, as far as it can be asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Any<T> {
    Null,
    Flag(bool),
    Text(T),
    /// From 0 on.
    Whole(u64),
    /// Below 0, or with a fraction.
    Other(f64),
    /// A list or an object.
    Nested,
}

impl<'a> Read<'a> {
    /// Looks at it.
    pub(super) fn borrowed(&self) -> Scalar<'_> {
        match self {
            Any::Null => Any::Null,
            Any::Flag(flag) => Any::Flag(*flag),
            Any::Text(text) => Any::Text(text),
            Any::Whole(number) => Any::Whole(*number),
            Any::Other(number) => Any::Other(*number),
            Any::Nested => Any::Nested,
        }
    }
}

impl<'a> Flat<'a> {
    /// Reads one JSON object. Nesting deeper than 128 levels is refused by the parser.
    ///
    /// # Errors
    /// If it is none.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FieldError> {
        // The parser's message can quote the document, so it goes no further.
        serde_json::from_slice(bytes).map_err(|_| FieldError::new("", NOT_AN_OBJECT))
    }

    pub(super) fn get(&self, name: &str) -> Option<&Read<'a>> {
        self.0.iter().rev().find(|(own, _)| own == name).map(|(_, value)| value)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Flat<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Object)
    }
}

struct Object;

impl<'de> Visitor<'de> for Object {
    type Value = Flat<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::with_capacity(16);
        while let Some(Text(name)) = map.next_key()? {
            fields.push((name, map.next_value()?));
        }
        Ok(Flat(fields))
    }
}

/// A text that is borrowed where it can be.
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Read::deserialize(deserializer)? {
            Any::Text(text) => Ok(Self(text)),
            _ => Err(D::Error::custom("no text")),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Read<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Value)
    }
}

struct Value;

impl<'de> Visitor<'de> for Value {
    type Value = Read<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Any::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Self::Value, E> {
        Ok(Any::Flag(flag))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Any::Whole(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(u64::try_from(number).map_or(Any::Other(number as f64), Any::Whole))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Any::Other(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Any::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Any::Text(Cow::Borrowed(text)))
    }

    // Read to the end, one level after the other, so that the parser's limit of levels holds.
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element::<Read<'de>>()?.is_some() {}
        Ok(Any::Nested)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<Text<'de>, Read<'de>>()?.is_some() {}
        Ok(Any::Nested)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::super::{Fields, parse_object};
    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn it_answers_as_a_map_does(
            fields in prop::collection::vec(
                (
                    "[a-c\"\\\\é]{1,2}",
                    prop_oneof![
                        Just(Value::Null),
                        any::<bool>().prop_map(Value::from),
                        any::<u64>().prop_map(Value::from),
                        any::<i64>().prop_map(Value::from),
                        any::<f64>().prop_map(Value::from),
                        "[a\"\\\\\n é]{0,4}".prop_map(Value::from),
                        Just(serde_json::json!({"a": [1, {"b": null}]})),
                    ],
                ),
                0..8,
            ),
        ) {
            let one = |(name, value): &(String, Value)| format!("{}:{value}", Value::from(name.as_str()));
            let text = format!("{{{}}}", fields.iter().map(one).collect::<Vec<_>>().join(","));
            let (map, flat) = (parse_object(text.as_bytes()).unwrap(), Flat::parse(text.as_bytes()).unwrap());
            let (by_map, by_flat) = (Fields::new(&map), Fields::of(&flat));
            for name in ["a", "b", "c", "aa", "ab", "é", "\"", "\\"] {
                prop_assert_eq!(by_map.text(name), by_flat.text(name));
                prop_assert_eq!(by_map.number(name), by_flat.number(name));
                prop_assert_eq!(by_map.decimal(name), by_flat.decimal(name));
                prop_assert_eq!(by_map.flag(name), by_flat.flag(name));
            }
        }

        #[test]
        fn it_refuses_what_a_map_refuses(text in "[{}\\[\\]\":,a1 \\\\]{0,12}") {
            prop_assert_eq!(parse_object(text.as_bytes()).is_ok(), Flat::parse(text.as_bytes()).is_ok());
        }
    }

    #[test]
    fn deep_nesting_is_refused_by_both() {
        for levels in [100, 126, 127, 128, 129, 100_000] {
            let text = format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
            let by_map = parse_object(text.as_bytes()).is_ok();
            assert_eq!(Flat::parse(text.as_bytes()).is_ok(), by_map, "{levels}");
        }
    }
}
