//! The `messages` webhook: statuses of what we sent, and what people sent to us.
//!
//! Meta, "Cloud API: Webhooks, Components". Times are whole seconds, as text. A batch may mix
//! numbers and kinds; an entry that cannot be read is counted and does not hold the others back.

use chat4all_connector_kit::api_settings::ApiAccess;
use chat4all_connector_kit::platform::{ReportedStatus, Webhook, WebhookEvent, WebhookRefusal};
use chat4all_contracts::{
    AccountName, EpochMs, ExternalId, Inbound, PlatformName, Reason, Receipt, Status,
};
use serde::Deserialize;
use serde_json::Value;

use crate::callback_data;

#[derive(Deserialize)]
struct Body {
    object: String,
    entry: Vec<EntryBody>,
}

#[derive(Deserialize)]
struct EntryBody {
    #[serde(default)]
    changes: Vec<Value>,
}

#[derive(Deserialize)]
struct Change {
    value: ChangeValue,
}

#[derive(Deserialize)]
struct ChangeValue {
    metadata: Metadata,
    #[serde(default)]
    statuses: Vec<Value>,
    #[serde(default)]
    messages: Vec<Value>,
}

#[derive(Deserialize)]
struct Metadata {
    phone_number_id: String,
}

#[derive(Deserialize)]
struct StatusBody {
    id: String,
    status: String,
    timestamp: String,
    biz_opaque_callback_data: Option<String>,
}

#[derive(Deserialize)]
struct MessageBody {
    id: String,
    timestamp: String,
    /// Absent for people who hide their number; then the business-scoped id stands in.
    from: Option<String>,
    from_user_id: Option<String>,
    text: Option<TextBody>,
}

#[derive(Deserialize)]
struct TextBody {
    body: String,
}

pub(crate) fn read(
    platform: &PlatformName,
    access: &ApiAccess,
    body: &[u8],
) -> Result<Webhook, WebhookRefusal> {
    let body: Body = serde_json::from_slice(body).map_err(|_| WebhookRefusal::Body)?;
    if body.object != "whatsapp_business_account" {
        return Err(WebhookRefusal::Body);
    }
    let mut webhook = Webhook::default();
    for change in body.entry.into_iter().flat_map(|entry| entry.changes) {
        let Ok(Change { value }) = serde_json::from_value(change) else {
            webhook.ignored += 1;
            continue;
        };
        let Some(account) = access.account_with_id(&value.metadata.phone_number_id) else {
            webhook.ignored += value.statuses.len() + value.messages.len();
            continue;
        };
        let statuses =
            value.statuses.into_iter().map(|status| read_status(platform, account, status));
        let messages =
            value.messages.into_iter().map(|message| read_message(platform, account, message));
        for event in statuses.chain(messages) {
            match event {
                Some(event) => webhook.events.push(event),
                None => webhook.ignored += 1,
            }
        }
    }
    Ok(webhook)
}

fn seconds(text: &str) -> Option<EpochMs> {
    EpochMs::new(text.parse::<u64>().ok()?.checked_mul(1000)?).ok()
}

fn read_status(
    platform: &PlatformName,
    account: &AccountName,
    status: Value,
) -> Option<WebhookEvent> {
    let body: StatusBody = serde_json::from_value(status).ok()?;
    let ours = body.biz_opaque_callback_data.and_then(|data| callback_data::decode(&data).ok());
    if body.status == "sent" {
        // Repeats what the answer to our call said, without its milliseconds; it settles a call
        // whose answer was lost.
        return ours.map(|data| WebhookEvent::Taken(data.message_id, data.generation));
    }
    let (status, reason) = match body.status.as_str() {
        "delivered" => (Status::Delivered, None),
        "read" | "played" => (Status::Read, None),
        "failed" => (Status::Failed, Some(Reason::Rejected)),
        _ => return None,
    };
    let at = seconds(&body.timestamp)?;
    Some(match ours {
        Some(data) => WebhookEvent::Status(ReportedStatus {
            message_id: data.message_id,
            row: data.row,
            generation: data.generation,
            status,
            at,
            reason,
            account: account.clone(),
        }),
        None => WebhookEvent::Receipt(Receipt {
            platform: platform.clone(),
            account: account.clone(),
            external_id: ExternalId::new(&body.id).ok()?,
            status,
            timestamp: at,
            reason,
        }),
    })
}

fn read_message(
    platform: &PlatformName,
    account: &AccountName,
    message: Value,
) -> Option<WebhookEvent> {
    let body: MessageBody = serde_json::from_value(message).ok()?;
    Some(WebhookEvent::Inbound(Inbound {
        platform: platform.clone(),
        account: account.clone(),
        peer: body.from.or(body.from_user_id)?,
        external_id: ExternalId::new(&body.id).ok()?,
        timestamp: seconds(&body.timestamp)?,
        content: body.text.map(|text| text.body),
    }))
}

#[cfg(test)]
mod tests {
    use chat4all_connector_kit::api_settings::ApiAccount;
    use proptest::prelude::*;
    use secrecy::SecretString;
    use serde_json::json;

    use super::*;

    fn access() -> ApiAccess {
        let secret = || SecretString::from("s");
        let number = ApiAccount { id: "1001".to_owned(), token: secret() };
        ApiAccess {
            base_url: String::new(),
            accounts: [(AccountName::new("main").unwrap(), number)].into(),
            app_secret: secret(),
            verify_token: secret(),
            simulated: false,
        }
    }

    fn read_json(body: &Value) -> Result<Webhook, WebhookRefusal> {
        read(&PlatformName::new("whatsapp").unwrap(), &access(), body.to_string().as_bytes())
    }

    fn body(number: &str, statuses: Value, messages: Value) -> Value {
        json!({"object": "whatsapp_business_account", "entry": [{"id": "WABA", "changes": [{
            "field": "messages",
            "value": {
                "messaging_product": "whatsapp",
                "metadata": {"display_phone_number": "1", "phone_number_id": number},
                "statuses": statuses, "messages": messages,
            },
        }]}]})
    }

    #[test]
    fn a_receipt_with_our_data_names_the_message() {
        let status = json!({"id": "wamid.1", "status": "delivered", "timestamp": "1700000000",
            "recipient_id": "55", "biz_opaque_callback_data": r#"{"m":"m-1","c":"c-1","a":5,"g":0}"#});
        let webhook = read_json(&body("1001", json!([status]), json!([]))).unwrap();
        let [WebhookEvent::Status(report)] = &webhook.events[..] else { panic!("{webhook:?}") };
        assert_eq!(report.message_id.as_str(), "m-1");
        assert_eq!((report.status, report.at.as_ms()), (Status::Delivered, 1_700_000_000_000));
        assert_eq!(report.account.as_str(), "main");
    }

    #[test]
    fn a_receipt_with_foreign_data_names_the_platforms_id() {
        let status = json!({"id": "wamid.1", "status": "failed", "timestamp": "1700000000",
            "biz_opaque_callback_data": "order 42", "errors": [{"code": 131_026}]});
        let webhook = read_json(&body("1001", json!([status]), json!([]))).unwrap();
        let [WebhookEvent::Receipt(receipt)] = &webhook.events[..] else { panic!("{webhook:?}") };
        assert_eq!((receipt.status, receipt.reason), (Status::Failed, Some(Reason::Rejected)));
    }

    #[test]
    fn a_sent_status_of_ours_only_says_that_the_platform_took_the_message() {
        let data = r#"{"m":"m-1","c":"c-1","a":5,"g":0}"#;
        let status = json!({"id": "wamid.1", "status": "sent", "timestamp": "1700000000",
            "biz_opaque_callback_data": data});
        let webhook = read_json(&body("1001", json!([status]), json!([]))).unwrap();
        let [WebhookEvent::Taken(message_id, generation)] = &webhook.events[..] else {
            panic!("{webhook:?}");
        };
        assert_eq!((message_id.as_str(), generation.as_u32()), ("m-1", 0));
    }

    #[test]
    fn what_cannot_be_read_does_not_hold_the_others_back() {
        let statuses = json!([{"id": 7}, {"id": "wamid.1", "status": "sent", "timestamp": "1"},
            {"id": "wamid.2", "status": "read", "timestamp": "x"},
            {"id": "wamid.3", "status": "read", "timestamp": "1700000000"}]);
        let messages = json!([{"id": "wamid.4", "from": "5511", "timestamp": "1700000000",
            "type": "text", "text": {"body": "hi"}}]);
        let webhook = read_json(&body("1001", statuses, messages)).unwrap();
        assert_eq!((webhook.events.len(), webhook.ignored), (2, 3));
    }

    #[test]
    fn a_number_that_is_not_ours_is_ignored() {
        let status = json!({"id": "wamid.1", "status": "read", "timestamp": "1700000000"});
        let webhook = read_json(&body("9999", json!([status]), json!([]))).unwrap();
        assert_eq!((webhook.events.len(), webhook.ignored), (0, 1));
    }

    #[test]
    fn a_body_of_another_product_is_refused() {
        let other = json!({"object": "page", "entry": []});
        assert_eq!(read_json(&other), Err(WebhookRefusal::Body));
        assert_eq!(read_json(&json!([])), Err(WebhookRefusal::Body));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_changed_body_never_panics(at in any::<prop::sample::Index>(), to in any::<u8>()) {
            let status = json!({"id": "wamid.1", "status": "read", "timestamp": "1700000000"});
            let mut bytes = body("1001", json!([status]), json!([])).to_string().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = to;
            let platform = PlatformName::new("whatsapp").unwrap();
            if let Ok(webhook) = read(&platform, &access(), &bytes) {
                prop_assert!(webhook.events.len() + webhook.ignored <= 1);
            }
        }
    }
}
