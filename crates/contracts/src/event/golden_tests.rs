//! The bytes that other releases and other programs rely on.

use super::*;
use crate::id::*;
use crate::reason::Reason;
use crate::status::Status;

fn at(ms: u64) -> EpochMs {
    EpochMs::new(ms).unwrap()
}

fn json(event: &impl serde::Serialize) -> String {
    String::from_utf8(encode(event)).unwrap()
}

#[test]
fn a_message_has_its_golden_bytes() {
    let golden = concat!(
        r#"{"message_id":"m-1","conversation_id":"c-1","sender_id":"shop","#,
        r#""receiver_id":"whatsapp:+5511999990000","content":"Olá","file_id":"f-1","#,
        r#""account":"main","accepted_at":1700000000000,"expires_at":1700003600000,"#,
        r#""generation":2}"#,
    );
    let message = Message::parse(golden.as_bytes(), at(1)).unwrap();
    assert_eq!(json(&message), golden);
}

#[test]
fn a_minimal_message_is_read_like_a_full_one() {
    let minimal = concat!(
        r#"{"message_id":"m-1","conversation_id":"c-1","sender_id":"shop","#,
        r#""receiver_id":"whatsapp:+5511999990000","content":"Olá","file_id":null,"#,
        r#""of_a_later_release":{"a":[1]}}"#,
    );
    let message = Message::parse(minimal.as_bytes(), at(1_700_000_000_000)).unwrap();
    assert_eq!(message.accepted_at, at(1_700_000_000_000));
    assert_eq!(message.expires_at, at(1_700_086_400_000));
    assert_eq!((message.generation, &message.account), (Generation::FIRST, &None));
}

#[test]
fn every_required_field_of_a_message_is_required() {
    let full = r#"{"message_id":"m","conversation_id":"c","sender_id":"s","receiver_id":"p:r","content":"t"}"#;
    let map = parse(full);
    for field in ["message_id", "conversation_id", "sender_id", "receiver_id", "content"] {
        let mut without = map.clone();
        without.remove(field);
        let bytes = serde_json::to_vec(&without).unwrap();
        let error = Message::parse(&bytes, at(0)).unwrap_err();
        assert!(error.missing && error.field == field, "{error}");
    }
}

fn parse(text: &str) -> serde_json::Map<String, serde_json::Value> {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_status_update_has_its_golden_bytes() {
    let golden = concat!(
        r#"{"message_id":"m-1","status":"FAILED","timestamp":1700000000500,"#,
        r#""conversation_id":"c-1","accepted_at":1700000000000,"generation":1,"#,
        r#""platform":"whatsapp","account":"main","external_id":"wamid.X","reason":"refused","#,
        r#""attempt":3,"possible_duplicate":true}"#,
    );
    let update = StatusUpdate::parse(golden.as_bytes()).unwrap();
    assert_eq!(json(&update), golden);
    assert_eq!(update.reason, Some(Reason::Refused));
}

#[test]
fn a_minimal_status_update_is_read() {
    let minimal = r#"{"message_id":"m-1","status":"DELIVERED","timestamp":1700000000500}"#;
    let id = MessageId::new("m-1").unwrap();
    let expected = StatusUpdate::minimal(id, Status::Delivered, at(1_700_000_000_500));
    assert_eq!(StatusUpdate::parse(minimal.as_bytes()).unwrap(), expected);
    for bad in [
        r#"{"message_id":"m-1","status":"delivered","timestamp":1}"#,
        r#"{"message_id":"m-1","status":"SENT","timestamp":-1}"#,
        r#"{"message_id":"m-1","status":"SENT","timestamp":8796093022208}"#,
        r#"{"message_id":"m-1","status":"SENT"}"#,
        r#"{"message_id":"m-1","timestamp":1}"#,
        r#"{"status":"SENT","timestamp":1}"#,
        "[]",
        "{",
        "",
    ] {
        assert!(StatusUpdate::parse(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn a_receipt_has_its_golden_bytes() {
    let golden = concat!(
        r#"{"platform":"instagram","account":"page","external_id":"mid.1","status":"READ","#,
        r#""timestamp":1700000000500}"#,
    );
    assert_eq!(json(&Receipt::parse(golden.as_bytes()).unwrap()), golden);
    let accepted = golden.replace("READ", "ACCEPTED");
    assert_eq!(Receipt::parse(accepted.as_bytes()).unwrap_err().field, "status");
}

#[test]
fn an_inbound_message_has_its_golden_bytes() {
    let golden = concat!(
        r#"{"platform":"instagram","account":"page","peer":"1789","external_id":"mid.1","#,
        r#""timestamp":1700000000500,"content":"hi"}"#,
    );
    let inbound = Inbound::parse(golden.as_bytes()).unwrap();
    assert_eq!(json(&inbound), golden);
    assert_eq!(inbound.key(), "instagram:page:1789");
}

#[test]
fn a_dead_letter_keeps_the_raw_bytes() {
    let golden = concat!(
        r#"{"topic":"messages","partition":3,"offset":42,"reason":"unreadable","#,
        r#""detail":"content is required","raw":"/wD+","generation":0}"#,
    );
    let letter = DeadLetter::parse(golden.as_bytes()).unwrap();
    assert_eq!(letter.raw, [0xff, 0x00, 0xfe]);
    assert_eq!(json(&letter), golden);
    assert_eq!(letter.key(), "messages/3/42");
}

#[test]
fn neither_debug_output_nor_errors_show_content_or_numbers() {
    let full = concat!(
        r#"{"message_id":"m","conversation_id":"secret-c","sender_id":"secret-s","#,
        r#""receiver_id":"whatsapp:+5511secret","content":"secret-t","file_id":7}"#,
    );
    let error = format!("{:?}", Message::parse(full.as_bytes(), at(0)).unwrap_err());
    assert!(!error.contains("secret") && error.contains("file_id"), "{error}");
    let good = full.replace(",\"file_id\":7", "");
    let shown = format!("{:?}", Message::parse(good.as_bytes(), at(0)).unwrap());
    assert!(!shown.contains("secret"), "{shown}");
}
