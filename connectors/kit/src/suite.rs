//! What every platform's code must withstand: answers and webhooks changed at random. Each
//! platform's tests bring examples of theirs.

#![allow(clippy::panic)] // a test fails by panicking

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::http::HeaderMap;
use bytes::Bytes;
use chat4all_contracts::{AccountName, AccountSpec, PlatformName, PlatformSpec};
use chat4all_process::Random;
use http::{HeaderValue, Response};
use regex::Regex;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::hub;
use crate::platform::{Entry, Outcome, Platform, SimulatedBy, WebhookEvent, WebhookRefusal};

/// What is spliced into a body: what parsers and limits stumble over.
const SPLICES: [&str; 12] = [
    "\"",
    "\\u0000",
    "\\ud800",
    "99999999999999999999",
    "-1",
    "1e999",
    "null",
    "{}",
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    "\u{2028}",
    "true",
    "",
];

/// A change of `bytes`: some of them replaced, cut out, doubled, or something strange in between.
pub fn changed(bytes: &[u8], random: &Random) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    for _ in 0..random.between(1, 4) {
        let at = random.between(0, changed.len() as u64) as usize;
        let to = (at + random.between(0, 40) as usize).min(changed.len());
        match random.between(0, 4) {
            0 if at < changed.len() => changed[at] = random.between(0, 255) as u8,
            1 => drop(changed.drain(at..to)),
            2 => changed.extend_from_within(at..to),
            3 => changed.truncate(at),
            _ => {
                let splice = SPLICES[random.between(0, SPLICES.len() as u64 - 1) as usize];
                changed.splice(at..at, splice.bytes());
            }
        }
    }
    changed
}

/// Changes each example of an answer `rounds` times. Nothing may panic, and nothing may be taken
/// for an acceptance but a success whose body names the message.
///
/// # Panics
/// If the platform's code does, or accepts what it should not.
pub fn answers(platform: &dyn Platform, examples: &[(u16, &str)], rounds: usize) {
    let random = Random::seeded(1);
    for (status, body) in examples {
        for _ in 0..rounds {
            let body = changed(body.as_bytes(), &random);
            let status =
                if random.chance(1, 4) { random.between(200, 599) as u16 } else { *status };
            let mut answer = Response::new(Bytes::from(body.clone()));
            *answer.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
            let Outcome::Accepted { external_id } = platform.classify(&answer) else { continue };
            assert!(answer.status().is_success(), "accepted with {status}");
            let parsed: Value = serde_json::from_slice(&body).unwrap_or_default();
            // A value that we do not read may be one that the whole parser refuses.
            let id = external_id.as_str();
            let is_named = names(&parsed, id) || String::from_utf8_lossy(&body).contains(id);
            assert!(is_named, "accepted without an id in the answer");
        }
    }
}

fn names(value: &Value, id: &str) -> bool {
    match value {
        Value::String(text) => text == id,
        Value::Array(items) => items.iter().any(|item| names(item, id)),
        Value::Object(fields) => fields.values().any(|field| names(field, id)),
        _ => false,
    }
}

/// A platform's code as it is when the simulator stands in, with one account, `default`, whose id at
/// the platform is `id`; the account's data, and what webhooks are signed with.
///
/// # Panics
/// If the platform refuses that configuration.
pub fn simulated(entry: Entry, id: &str) -> (Arc<dyn Platform>, PlatformSpec, SecretString) {
    let name = PlatformName::new(entry.name).unwrap_or_else(|rule| panic!("{rule}"));
    let account = AccountName::new("default").unwrap_or_else(|rule| panic!("{rule}"));
    let spec = PlatformSpec {
        recipient: Regex::new("^.+$").unwrap_or_else(|error| panic!("{error}")),
        recipient_rule: "anything".to_owned(),
        has_receipts: true,
        accounts: [(account.clone(), AccountSpec { partition: 0 })].into(),
        default_account: account,
    };
    let secret = SecretString::from("secret");
    let simulator = SimulatedBy { url: "http://127.0.0.1:1".to_owned(), secret: secret.clone() };
    let api =
        json!({"base_url": "https://p/", "version": "v1", "accounts": {"default": {"id": id}}});
    let built = (entry.build)(&name, &spec, &api, &simulator);
    let platform = built.unwrap_or_else(|error| panic!("{error}")).platform;
    (platform, spec, secret)
}

/// Changes each example of a webhook `rounds` times, signed as its sender would. Nothing may panic,
/// no more may come out than went in, and nothing about an account that is not ours. With the
/// signature of the unchanged example every change is refused.
///
/// # Panics
/// If the platform's code does, or takes what it should not.
pub fn webhooks(
    platform: &dyn Platform,
    spec: &PlatformSpec,
    secret: &SecretString,
    examples: &[&str],
    rounds: usize,
) {
    let random = Random::seeded(2);
    let accounts: BTreeSet<_> = spec.accounts.keys().collect();
    for example in examples {
        let original = signed(example.as_bytes(), secret);
        assert!(platform.read_webhook(&original, example.as_bytes()).is_ok(), "{example}");
        for round in 0..rounds {
            let body = changed(example.as_bytes(), &random);
            if round % 100 == 0 && body != example.as_bytes() {
                let taken = platform.read_webhook(&original, &body);
                assert_eq!(taken, Err(WebhookRefusal::Signature));
            }
            let Ok(webhook) = platform.read_webhook(&signed(&body, secret), &body) else {
                continue;
            };
            let reported = webhook.events.len() + webhook.ignored;
            assert!(reported <= body.len(), "{reported} reports out of {} bytes", body.len());
            for event in &webhook.events {
                let account = match event {
                    WebhookEvent::Status(report) => &report.account,
                    WebhookEvent::Receipt(receipt) => &receipt.account,
                    WebhookEvent::Inbound(inbound) => &inbound.account,
                    WebhookEvent::Taken(..) => continue,
                };
                assert!(accounts.contains(account), "a report about a foreign account");
            }
        }
    }
}

/// The headers that come with a body.
fn signed(body: &[u8], secret: &SecretString) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let signature = hub::signature(body, secret);
    if let Ok(value) = HeaderValue::from_str(&signature) {
        headers.insert("x-hub-signature-256", value);
    }
    headers
}
