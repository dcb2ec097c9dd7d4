//! The settings have working defaults and refuse what is unknown or out of bounds.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)] // a test fails by panicking

use chat4all_api::ApiSettings;

#[test]
fn an_empty_section_is_the_defaults() {
    let settings: ApiSettings = toml::from_str("").unwrap();
    assert_eq!(settings.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.append_timeout_ms.get(), 4_000);
    assert_eq!(settings.store_timeout_ms.get(), 2_000);
    assert_eq!(settings.default_lifetime_s.get(), 86_400);
}

#[test]
fn what_is_unknown_or_out_of_bounds_is_refused() {
    for bad in [
        "listenn = '127.0.0.1:8080'",
        "listen = 'localhost'",
        "append_timeout_ms = 0",
        "append_timeout_ms = 5000",
        "answer_timeout_ms = 5000",
        "default_lifetime_s = 86401",
        "max_in_flight = 0",
        "max_unprojected = 0",
    ] {
        assert!(toml::from_str::<ApiSettings>(bad).is_err(), "{bad}");
    }
}
