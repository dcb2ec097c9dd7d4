//! Reads a fault from JSON; an error names the field and the rule, never a value.

use serde::Deserialize;

use crate::fault::{Fault, FaultKind, FieldError};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    kind: String,
    platform: Option<String>,
    account: Option<String>,
    recipient: Option<String>,
    times: Option<u64>,
    code: Option<i64>,
    subcode: Option<i64>,
    http_status: Option<u16>,
    retry_after_s: Option<u64>,
    delay_ms: Option<u64>,
    accept: Option<bool>,
}

/// Reads `{kind, platform?, account?, recipient?, times?, …}`.
pub(crate) fn parse(body: &[u8]) -> Result<Fault, FieldError> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let request: Request = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        explain(&path, &error.into_inner().to_string())
    })?;
    json.end().map_err(|_| FieldError::new("body", "must be one JSON object"))?;
    let kind = kind(&request)?;
    let mut fault = Fault::new(kind).times(request.times.unwrap_or(1));
    if let Some(platform) = &request.platform {
        fault = fault.platform(platform);
    }
    if let Some(account) = &request.account {
        fault = fault.account(account);
    }
    if let Some(recipient) = &request.recipient {
        fault = fault.recipient(recipient);
    }
    Ok(fault)
}

fn kind(request: &Request) -> Result<FaultKind, FieldError> {
    let kind = request.kind.as_str();
    let given = [
        ("code", request.code.is_some(), "error"),
        ("subcode", request.subcode.is_some(), "error"),
        ("http_status", request.http_status.is_some(), "error"),
        ("retry_after_s", request.retry_after_s.is_some(), "error"),
        ("delay_ms", request.delay_ms.is_some(), "slow"),
        ("accept", request.accept.is_some(), "hang or cut"),
    ];
    for (field, given, kinds) in given {
        if given && !kinds.split(" or ").any(|allowed| allowed == kind) {
            return Err(FieldError::new(field, &format!("is only for kind {kinds}")));
        }
    }
    let required = |field: &str| FieldError::new(field, "is required for this kind");
    match kind {
        "error" => Ok(FaultKind::Error {
            code: request.code.ok_or_else(|| required("code"))?,
            subcode: request.subcode,
            http_status: request.http_status,
            retry_after_s: request.retry_after_s,
        }),
        "slow" => {
            let delay_ms = request.delay_ms.ok_or_else(|| required("delay_ms"))?;
            Ok(FaultKind::Slow { delay_ms })
        }
        "hang" => Ok(FaultKind::Hang { accept: request.accept.ok_or_else(|| required("accept"))? }),
        "cut" => Ok(FaultKind::Cut { accept: request.accept.ok_or_else(|| required("accept"))? }),
        "down" => Ok(FaultKind::Down),
        _ => Err(FieldError::new("kind", "must be one of error, slow, hang, cut, down")),
    }
}

/// Turns the deserializer's words into field and rule.
fn explain(path: &str, message: &str) -> FieldError {
    let quoted = message.split('`').nth(1).unwrap_or_default();
    if message.starts_with("unknown field") {
        return FieldError::new(quoted, "is not a known field");
    }
    if message.starts_with("missing field") {
        return FieldError::new(quoted, "is required");
    }
    if path == "." || path.is_empty() || path == "?" {
        return FieldError::new("body", "must be one JSON object");
    }
    let rule = match path {
        "accept" => "must be true or false",
        "kind" | "platform" | "account" | "recipient" => "must be a text",
        _ => "must be a whole number",
    };
    FieldError::new(path, rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_input_is_answered_with_field_and_rule() {
        let cases = [
            ("", "body"),
            ("[]", "body"),
            ("{} {}", "kind"),
            (r#"{"kind":"down"} x"#, "body"),
            (r#"{"kind":7}"#, "kind"),
            (r#"{"kind":"explode"}"#, "kind"),
            (r#"{"kind":"down","time":2}"#, "time"),
            (r#"{"kind":"down","times":"2"}"#, "times"),
            (r#"{"kind":"down","times":-2}"#, "times"),
            (r#"{"kind":"error"}"#, "code"),
            (r#"{"kind":"slow"}"#, "delay_ms"),
            (r#"{"kind":"cut","accept":1}"#, "accept"),
            (r#"{"kind":"hang"}"#, "accept"),
            (r#"{"kind":"down","delay_ms":5}"#, "delay_ms"),
        ];
        for (body, field) in cases {
            assert_eq!(parse(body.as_bytes()).unwrap_err().field, field, "{body}");
        }
    }

    #[test]
    fn a_fault_is_shown_without_its_recipient() {
        let body = br#"{"kind":"error","code":190,"recipient":"5511999990001","times":3}"#;
        let fault = parse(body).unwrap();
        let json = serde_json::to_value(&fault).unwrap();
        assert_eq!(
            (&json["kind"], &json["code"], &json["times"]),
            (&"error".into(), &190.into(), &3.into())
        );
        assert!(!format!("{json} {fault:?}").contains("99999"));
    }
}
