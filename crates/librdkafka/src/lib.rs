//! The one call of librdkafka that rdkafka does not offer, and the only unsafe code of this workspace.

use std::ffi::CString;

use rdkafka::ClientContext;
use rdkafka::bindings::rd_kafka_brokers_add;
use rdkafka::client::Client;

/// Names brokers to a client (`host:port`, separated by commas), beside those that it knows. Never waits
/// for them; may be called from any thread. librdkafka keeps each list that it is given for as long as
/// the client lives: not for every second.
///
/// `false` = none of them can be understood.
///
/// Since 2.10 librdkafka forgets every broker that an answer about metadata does not name. A broker
/// that has just woken up, and is not yet part of the cluster again, names none at all: then the client
/// has no broker left that it could ask, and stays so for ever (librdkafka's issue 5301, open in 2.15).
pub fn name_brokers<C: ClientContext>(client: &Client<C>, brokers: &str) -> bool {
    let Ok(list) = CString::new(brokers) else { return false };
    // SAFETY: `native_ptr` is a live handle for as long as `client` is borrowed, and this function of it
    // may be called from any thread. `list` ends with a NUL and outlives the call, which copies it.
    let named = unsafe { rd_kafka_brokers_add(client.native_ptr(), list.as_ptr()) };
    named > 0
}
