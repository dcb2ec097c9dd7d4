//! `POST /{version}/{ig-id}/messages`, a text.
//!
//! Meta, "Instagram API: Send messages"; a text has at most 1,000 bytes of UTF-8.

use bytes::Bytes;
use chat4all_connector_kit::api_settings::ApiAccess;
use chat4all_connector_kit::platform::Refusal;
use chat4all_contracts::{AccountName, Message, Reason};
use http::{Method, Request, header};
use secrecy::ExposeSecret;
use serde_json::json;

const MAX_TEXT_BYTES: usize = 1000;

pub(crate) fn text(
    access: &ApiAccess,
    account: &AccountName,
    message: &Message,
) -> Result<Request<Bytes>, Refusal> {
    let refuse = |reason, detail: &str| Refusal { reason, detail: detail.to_owned() };
    let page = access
        .accounts
        .get(account)
        .ok_or_else(|| refuse(Reason::UnknownAccount, "no such account"))?;
    if message.content.len() > MAX_TEXT_BYTES {
        return Err(refuse(Reason::UnsupportedContent, "a text has at most 1000 bytes"));
    }
    if message.file_id.is_some() {
        return Err(refuse(Reason::UnsupportedContent, "files are not supported yet"));
    }
    let body = json!({
        "recipient": {"id": message.receiver_id.address()},
        "message": {"text": message.content},
    });
    Request::builder()
        .method(Method::POST)
        .uri(format!("{}/{}/messages", access.base_url, page.id))
        .header(header::AUTHORIZATION, format!("Bearer {}", page.token.expose_secret()))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Bytes::from(body.to_string()))
        .map_err(|_| refuse(Reason::ConnectorBug, "the account's id or token fits no request"))
}

#[cfg(test)]
mod tests {
    use chat4all_connector_kit::api_settings::ApiAccount;
    use chat4all_contracts::EpochMs;
    use secrecy::SecretString;

    use super::*;

    fn encode(content: &str) -> Result<Request<Bytes>, Refusal> {
        let secret = || SecretString::from("s");
        let main = AccountName::new("main").unwrap();
        let access = ApiAccess {
            base_url: "https://host/v26.0".to_owned(),
            accounts: [(main.clone(), ApiAccount { id: "17".to_owned(), token: secret() })].into(),
            app_secret: secret(),
            verify_token: secret(),
            simulated: false,
        };
        let record = json!({"message_id": "m", "conversation_id": "c", "sender_id": "s",
            "receiver_id": "instagram:42", "content": content});
        let message =
            Message::parse(record.to_string().as_bytes(), EpochMs::saturating(0)).unwrap();
        text(&access, &main, &message)
    }

    #[test]
    fn a_text_becomes_the_vendors_call() {
        let request = encode("Olá").unwrap();
        assert_eq!(request.uri(), "https://host/v26.0/17/messages");
        assert_eq!(request.headers()[header::AUTHORIZATION], "Bearer s");
        assert_eq!(request.body(), r#"{"message":{"text":"Olá"},"recipient":{"id":"42"}}"#);
    }

    #[test]
    fn the_limit_is_in_bytes() {
        assert!(encode(&"á".repeat(500)).is_ok());
        let refusal = encode(&"á".repeat(501)).unwrap_err();
        assert_eq!(refusal.reason, Reason::UnsupportedContent);
    }
}
