//! The `messaging` webhook: what people read and what they sent to us.
//!
//! Meta, "Instagram messaging: Webhooks". There are no delivery events, and a read event names only
//! the platform's id. Times are milliseconds.

use chat4all_connector_kit::api_settings::ApiAccess;
use chat4all_connector_kit::platform::{Webhook, WebhookEvent, WebhookRefusal};
use chat4all_contracts::{
    AccountName, EpochMs, ExternalId, Inbound, PlatformName, Receipt, Status,
};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Body {
    object: String,
    entry: Vec<EntryBody>,
}

#[derive(Deserialize)]
struct EntryBody {
    id: String,
    #[serde(default)]
    messaging: Vec<Value>,
}

#[derive(Deserialize)]
struct Messaging {
    sender: Party,
    timestamp: u64,
    read: Option<Read>,
    message: Option<MessageBody>,
}

#[derive(Deserialize)]
struct Party {
    id: String,
}

#[derive(Deserialize)]
struct Read {
    mid: String,
}

#[derive(Deserialize)]
struct MessageBody {
    mid: String,
    text: Option<String>,
    #[serde(default)]
    is_echo: bool,
    #[serde(default)]
    is_deleted: bool,
}

pub(crate) fn read(
    platform: &PlatformName,
    access: &ApiAccess,
    body: &[u8],
) -> Result<Webhook, WebhookRefusal> {
    let body: Body = serde_json::from_slice(body).map_err(|_| WebhookRefusal::Body)?;
    if body.object != "instagram" {
        return Err(WebhookRefusal::Body);
    }
    let mut webhook = Webhook::default();
    for entry in body.entry {
        let Some(account) = access.account_with_id(&entry.id) else {
            webhook.ignored += entry.messaging.len();
            continue;
        };
        for messaging in entry.messaging {
            match read_event(platform, account, messaging) {
                Some(event) => webhook.events.push(event),
                None => webhook.ignored += 1,
            }
        }
    }
    Ok(webhook)
}

fn read_event(
    platform: &PlatformName,
    account: &AccountName,
    messaging: Value,
) -> Option<WebhookEvent> {
    let messaging: Messaging = serde_json::from_value(messaging).ok()?;
    let timestamp = EpochMs::new(messaging.timestamp).ok()?;
    let (platform, account) = (platform.clone(), account.clone());
    if let Some(read) = messaging.read {
        return Some(WebhookEvent::Receipt(Receipt {
            platform,
            account,
            external_id: ExternalId::new(&read.mid).ok()?,
            status: Status::Read,
            timestamp,
            reason: None,
        }));
    }
    let message = messaging.message.filter(|message| !message.is_echo && !message.is_deleted)?;
    Some(WebhookEvent::Inbound(Inbound {
        platform,
        account,
        peer: messaging.sender.id,
        external_id: ExternalId::new(&message.mid).ok()?,
        timestamp,
        content: message.text,
    }))
}

#[cfg(test)]
mod tests {
    use chat4all_connector_kit::api_settings::ApiAccount;
    use proptest::prelude::*;
    use secrecy::SecretString;
    use serde_json::json;

    use super::*;

    fn read_bytes(bytes: &[u8]) -> Result<Webhook, WebhookRefusal> {
        let secret = || SecretString::from("s");
        let page = ApiAccount { id: "17".to_owned(), token: secret() };
        let access = ApiAccess {
            base_url: String::new(),
            accounts: [(AccountName::new("main").unwrap(), page)].into(),
            app_secret: secret(),
            verify_token: secret(),
            simulated: false,
        };
        read(&PlatformName::new("instagram").unwrap(), &access, bytes)
    }

    fn body(entry: &str, messaging: Value) -> Vec<u8> {
        let entry = json!({"id": entry, "time": 1_700_000_000_000_u64, "messaging": messaging});
        json!({"object": "instagram", "entry": [entry]}).to_string().into_bytes()
    }

    fn event(extra: Value) -> Value {
        let mut event = json!({"sender": {"id": "42"}, "recipient": {"id": "17"},
            "timestamp": 1_700_000_000_500_u64});
        event.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        event
    }

    #[test]
    fn a_read_event_names_the_platforms_id() {
        let webhook =
            read_bytes(&body("17", json!([event(json!({"read": {"mid": "m1"}}))]))).unwrap();
        let [WebhookEvent::Receipt(receipt)] = &webhook.events[..] else { panic!("{webhook:?}") };
        assert_eq!((receipt.status, receipt.external_id.as_str()), (Status::Read, "m1"));
        assert_eq!(receipt.timestamp.as_ms(), 1_700_000_000_500);
    }

    #[test]
    fn messages_come_in_and_echoes_do_not() {
        let messaging = json!([
            event(json!({"message": {"mid": "m1", "text": "hi"}})),
            event(json!({"message": {"mid": "m2", "text": "ours", "is_echo": true}})),
            event(json!({"reaction": {"mid": "m3", "action": "react"}})),
            {"nonsense": 1},
        ]);
        let webhook = read_bytes(&body("17", messaging)).unwrap();
        let [WebhookEvent::Inbound(inbound)] = &webhook.events[..] else { panic!("{webhook:?}") };
        assert_eq!((inbound.peer.as_str(), inbound.content.as_deref()), ("42", Some("hi")));
        assert_eq!(webhook.ignored, 3);
    }

    #[test]
    fn another_product_is_refused_and_another_account_is_ignored() {
        assert_eq!(read_bytes(br#"{"object":"page","entry":[]}"#), Err(WebhookRefusal::Body));
        let webhook =
            read_bytes(&body("99", json!([event(json!({"read": {"mid": "m1"}}))]))).unwrap();
        assert_eq!((webhook.events.len(), webhook.ignored), (0, 1));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_changed_body_never_panics(at in any::<prop::sample::Index>(), to in any::<u8>()) {
            let mut bytes = body("17", json!([event(json!({"read": {"mid": "m1"}}))]));
            let at = at.index(bytes.len());
            bytes[at] = to;
            if let Ok(webhook) = read_bytes(&bytes) {
                prop_assert!(webhook.events.len() + webhook.ignored <= 1);
            }
        }
    }
}
