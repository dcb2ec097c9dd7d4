//! Reads the fields of a JSON object so that every refusal names the field and the rule, and
//! never repeats the value: a value may be personal data.

mod flat;

use std::borrow::Cow;
use std::fmt;

use serde_json::{Map, Value};
use thiserror::Error;

pub use flat::Flat;
use flat::Scalar;

/// What a value has to satisfy, in words: `must be 1 to 128 bytes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule(Cow<'static, str>);

impl Rule {
    /// A rule known when the program was written.
    pub const fn new(text: &'static str) -> Self {
        Self(Cow::Borrowed(text))
    }

    /// A rule that names a configured bound. The text must not contain the refused value.
    pub fn of(text: String) -> Self {
        Self(Cow::Owned(text))
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A field that does not satisfy its rule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{field} {rule}")]
pub struct FieldError {
    /// The field's name as the sender wrote it; empty for the document as a whole.
    pub field: &'static str,
    /// What the field must satisfy.
    pub rule: Rule,
    /// Whether the field was absent (or null), rather than wrong.
    pub missing: bool,
}

impl FieldError {
    /// A field that is there and wrong.
    pub fn new(field: &'static str, rule: Rule) -> Self {
        Self { field, rule, missing: false }
    }

    /// A required field that is not there.
    pub fn missing(field: &'static str) -> Self {
        Self { field, rule: Rule::new("is required"), missing: true }
    }
}

/// The document is no JSON object.
pub const NOT_AN_OBJECT: Rule = Rule::new("the document must be one JSON object");

/// A JSON object being read.
pub struct Fields<'a>(Source<'a>);

enum Source<'a> {
    Map(&'a Map<String, Value>),
    Flat(&'a Flat<'a>),
}

/// Parses one JSON object. Nesting deeper than 128 levels is refused by the parser.
pub fn parse_object(bytes: &[u8]) -> Result<Map<String, Value>, FieldError> {
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(map)) => Ok(map),
        // The parser's message can quote the document, so it goes no further.
        Ok(_) | Err(_) => Err(FieldError::new("", NOT_AN_OBJECT)),
    }
}

fn scalar(value: &Value) -> Scalar<'_> {
    match value {
        Value::Null => Scalar::Null,
        Value::Bool(flag) => Scalar::Flag(*flag),
        Value::String(text) => Scalar::Text(text),
        Value::Number(number) => match number.as_u64() {
            Some(whole) => Scalar::Whole(whole),
            None => Scalar::Other(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::Array(_) | Value::Object(_) => Scalar::Nested,
    }
}

impl<'a> Fields<'a> {
    /// Reads from `map`; a null counts as absent.
    pub fn new(map: &'a Map<String, Value>) -> Self {
        Self(Source::Map(map))
    }

    /// Reads from `flat`; a null counts as absent.
    pub fn of(flat: &'a Flat<'a>) -> Self {
        Self(Source::Flat(flat))
    }

    fn get(&self, field: &'static str) -> Option<Scalar<'a>> {
        let found = match self.0 {
            Source::Map(map) => map.get(field).map(scalar),
            Source::Flat(flat) => flat.get(field).map(|value| value.borrowed()),
        };
        found.filter(|value| *value != Scalar::Null)
    }

    /// A string, if the field is there.
    pub fn text(&self, field: &'static str) -> Result<Option<&'a str>, FieldError> {
        match self.get(field) {
            None => Ok(None),
            Some(Scalar::Text(text)) => Ok(Some(text)),
            Some(_) => Err(FieldError::new(field, Rule::new("must be a string"))),
        }
    }

    /// A whole number from 0 on, if the field is there.
    pub fn number(&self, field: &'static str) -> Result<Option<u64>, FieldError> {
        match self.get(field) {
            None => Ok(None),
            Some(Scalar::Whole(number)) => Ok(Some(number)),
            Some(_) => Err(FieldError::new(field, Rule::new("must be a whole number, 0 or more"))),
        }
    }

    /// A number from 0 on, with or without a fraction, if the field is there.
    pub fn decimal(&self, field: &'static str) -> Result<Option<f64>, FieldError> {
        match self.get(field) {
            None => Ok(None),
            Some(Scalar::Whole(number)) => Ok(Some(number as f64)),
            Some(Scalar::Other(number)) if number.is_finite() && number >= 0.0 => Ok(Some(number)),
            Some(_) => Err(FieldError::new(field, Rule::new("must be a number, 0 or more"))),
        }
    }

    /// True or false; an absent field is false.
    pub fn flag(&self, field: &'static str) -> Result<bool, FieldError> {
        match self.get(field) {
            None => Ok(false),
            Some(Scalar::Flag(flag)) => Ok(flag),
            Some(_) => Err(FieldError::new(field, Rule::new("must be true or false"))),
        }
    }

    /// A string checked by `parse`, if the field is there.
    pub fn optional<T>(
        &self,
        field: &'static str,
        parse: impl FnOnce(&str) -> Result<T, Rule>,
    ) -> Result<Option<T>, FieldError> {
        let text = self.text(field)?;
        text.map(parse).transpose().map_err(|rule| FieldError::new(field, rule))
    }

    /// A string checked by `parse`.
    pub fn required<T>(
        &self,
        field: &'static str,
        parse: impl FnOnce(&str) -> Result<T, Rule>,
    ) -> Result<T, FieldError> {
        self.optional(field, parse)?.ok_or_else(|| FieldError::missing(field))
    }

    /// A number checked by `parse`, if the field is there.
    pub fn optional_number<T>(
        &self,
        field: &'static str,
        parse: impl FnOnce(u64) -> Result<T, Rule>,
    ) -> Result<Option<T>, FieldError> {
        let number = self.number(field)?;
        number.map(parse).transpose().map_err(|rule| FieldError::new(field, rule))
    }
}
