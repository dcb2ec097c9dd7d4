//! Answers and webhooks of the Cloud API, changed at random.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

use chat4all_connector_kit::suite;
use chat4all_connector_whatsapp::ENTRY;

const ANSWERS: [(u16, &str); 4] = [
    (200, include_str!("examples/accepted.json")),
    (400, include_str!("examples/throttled.json")),
    (500, include_str!("examples/failing.json")),
    (502, "<html><body>Bad Gateway</body></html>"),
];

const WEBHOOKS: [&str; 2] =
    [include_str!("examples/statuses.json"), include_str!("examples/inbound.json")];

#[test]
fn ten_thousand_changed_answers_are_never_taken_for_what_they_are_not() {
    let (platform, _, _) = suite::simulated(ENTRY, "1001");
    suite::answers(&*platform, &ANSWERS, 2_500);
}

#[test]
fn a_hundred_thousand_changed_webhooks_report_nothing_that_is_not_ours() {
    let (platform, spec, secret) = suite::simulated(ENTRY, "1001");
    suite::webhooks(&*platform, &spec, &secret, &WEBHOOKS, 50_000);
}
