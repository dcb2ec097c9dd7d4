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
        r#""conversation_id":"c-1","accepted_at":1700000000000,"#,
        r#""expires_at":1700003600000,"generation":1,"#,
        r#""platform":"whatsapp","account":"main","external_id":"wamid.X","reason":"refused","#,
        r#""vendor_code":"131026","vendor_text":"to +55","attempt":3,"possible_duplicate":true}"#,
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
    assert_eq!(letter.key(), "record:messages:3:42");
}

#[test]
fn a_dead_letter_of_a_message_has_its_golden_bytes() {
    let golden = concat!(
        r#"{"topic":"whatsapp-outbound","partition":0,"offset":7,"reason":"refused","#,
        r#""detail":"131026","raw":"e30=","message_id":"m-1","generation":2,"#,
        r#""platform":"whatsapp","account":"main","conversation_id":"c-1","#,
        r#""accepted_at":1700000000000,"given_up_at":1700000000500,"attempts":3}"#,
    );
    let letter = DeadLetter::parse(golden.as_bytes()).unwrap();
    assert_eq!(json(&letter), golden);
    assert_eq!(letter.key(), "message:m-1:2");
    let older = golden.split(r#","platform""#).next().unwrap().to_owned() + "}";
    let read = DeadLetter::parse(older.as_bytes()).unwrap();
    assert_eq!((read.id(), read.platform, read.accepted_at), (letter.id(), None, None));
}

fn account_record(key: &str, value: &str) -> AccountRecord {
    AccountRecord::parse(key.as_bytes(), value.as_bytes()).unwrap().unwrap()
}

#[test]
fn a_command_has_its_golden_bytes() {
    let golden = concat!(
        r#"{"platform":"whatsapp","account":"main","command":"pause","at":1700000000000,"#,
        r#""by":"maria","reason":"the number is being moved"}"#,
    );
    let AccountRecord::Command(command) = account_record("command/whatsapp:main", golden) else {
        panic!("no command");
    };
    assert_eq!(json(&command), golden);
    assert_eq!(command.key(), "command/whatsapp:main");
    let close = golden.replace("pause", "close_breaker");
    assert!(matches!(account_record("breaker/whatsapp:main", &close), AccountRecord::Command(_)));
    let minimal = r#"{"platform":"whatsapp","account":"main","command":"resume","at":1,"x":[1]}"#;
    let AccountRecord::Command(minimal) = account_record("command/whatsapp:main", minimal) else {
        panic!("no command");
    };
    assert_eq!((&*minimal.by, minimal.reason), (UNKNOWN_OPERATOR, None));
}

#[test]
fn an_accounts_state_has_its_golden_bytes() {
    let golden = concat!(
        r#"{"platform":"whatsapp","account":"main","state":"open","since":1700000000000,"#,
        r#""until":1700000030000,"parked":7,"in_flight":1,"per_second":79.5,"#,
        r#""consecutive_failures":5,"oldest_parked_at":1699999990000,"detail":"190","#,
        r#""applied":12,"at":1700000001000,"owner":"connector-1"}"#,
    );
    let AccountRecord::State(state) = account_record("state/whatsapp:main", golden) else {
        panic!("no state");
    };
    assert_eq!(json(&state), golden);
    let minimal = r#"{"platform":"whatsapp","account":"main","state":"active","at":9}"#;
    let AccountRecord::State(minimal) = account_record("state/whatsapp:main", minimal) else {
        panic!("no state");
    };
    assert_eq!((minimal.since, minimal.parked, minimal.applied), (at(9), 0, None));
}

#[test]
fn a_record_about_an_account_is_read_by_its_key() {
    let command = r#"{"platform":"whatsapp","account":"main","command":"pause","at":1}"#;
    let parse = |key: &str, value: &str| AccountRecord::parse(key.as_bytes(), value.as_bytes());
    assert_eq!(parse("of-a-later-release/whatsapp:main", "?"), Ok(None));
    for (key, value) in [
        ("command/whatsapp:other", command.to_owned()),
        ("breaker/whatsapp:main", command.to_owned()),
        ("state/whatsapp:main", command.to_owned()),
        ("command/whatsapp:main", command.replace("pause", "explode")),
        ("command/whatsapp:main", command.replace("\"at\":1", "\"by\":\"x\"")),
        ("command/whatsapp:main", command.replace("\"at\":1", "\"at\":1,\"by\":\"a\\nb\"")),
        ("command/whatsapp:main", String::new()),
    ] {
        assert!(parse(key, &value).is_err(), "{key} {value}");
    }
}

#[test]
fn what_a_platform_says_is_cut_to_its_bound() {
    let long = "é\n".repeat(MAX_NOTE_BYTES);
    let cut = AccountState::detail(&long).unwrap();
    assert!(cut.len() <= MAX_NOTE_BYTES && cut.chars().all(|c| c == 'é'));
    assert_eq!(AccountState::detail(" \n"), None);
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
