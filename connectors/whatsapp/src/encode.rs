//! `POST /{version}/{phone-number-id}/messages`, type text.
//!
//! Meta, "WhatsApp Cloud API: Messages"; the body of a text has at most 4,096 characters.

use bytes::Bytes;
use chat4all_connector_kit::api_settings::ApiAccess;
use chat4all_connector_kit::platform::Refusal;
use chat4all_contracts::{AccountName, Message, Reason};
use http::{Method, Request, header};
use secrecy::ExposeSecret;
use serde::Serialize;

use crate::callback_data;

const MAX_TEXT_CHARS: usize = 4096;

#[derive(Serialize)]
struct Text<'a> {
    messaging_product: &'a str,
    recipient_type: &'a str,
    to: &'a str,
    r#type: &'a str,
    text: Content<'a>,
    biz_opaque_callback_data: &'a str,
}

#[derive(Serialize)]
struct Content<'a> {
    preview_url: bool,
    body: &'a str,
}

pub(crate) fn text(
    access: &ApiAccess,
    account: &AccountName,
    message: &Message,
) -> Result<Request<Bytes>, Refusal> {
    let refuse = |reason, detail: &str| Refusal { reason, detail: detail.to_owned() };
    let number = access
        .accounts
        .get(account)
        .ok_or_else(|| refuse(Reason::UnknownAccount, "no such account"))?;
    if message.content.chars().count() > MAX_TEXT_CHARS {
        return Err(refuse(Reason::UnsupportedContent, "a text has at most 4096 characters"));
    }
    if message.file_id.is_some() {
        return Err(refuse(Reason::UnsupportedContent, "files are not supported yet"));
    }
    let callback_data = callback_data::encode(message);
    let body = Text {
        messaging_product: "whatsapp",
        recipient_type: "individual",
        to: message.receiver_id.address(),
        r#type: "text",
        text: Content { preview_url: false, body: &message.content },
        biz_opaque_callback_data: &callback_data,
    };
    let body = serde_json::to_vec(&body)
        .map_err(|_| refuse(Reason::ConnectorBug, "the text fits no request"))?;
    let token = number.token.expose_secret();
    Request::builder()
        .method(Method::POST)
        .uri(format!("{}/{}/messages", access.base_url, number.id))
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Bytes::from(body))
        .map_err(|_| refuse(Reason::ConnectorBug, "the account's id or token fits no request"))
}
