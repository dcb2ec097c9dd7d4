//! Ends a gateway in the middle of its work: counting is the one thing it does that can be reached
//! from outside.

use std::panic::resume_unwind;
use std::sync::Arc;

use metrics::{
    Counter, Gauge, GaugeFn, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};
use metrics_util::debugging::DebuggingRecorder;

use crate::faults::{Dice, Fault};
use crate::log_faults::Injected;
use crate::watch::Watch;

/// Only a gateway raises it, and only within its work.
const RAISED_BY_GATEWAYS: &str = "chat4all_deliveries_parked";

/// See the module.
pub struct PanickyRecorder {
    inner: DebuggingRecorder,
    dice: Dice,
    watch: Watch,
}

impl PanickyRecorder {
    pub fn new(inner: DebuggingRecorder, dice: &Dice, watch: &Watch) -> Self {
        Self { inner, dice: dice.clone(), watch: watch.clone() }
    }
}

impl Recorder for PanickyRecorder {
    fn describe_counter(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.inner.describe_counter(key, unit, description);
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.inner.describe_gauge(key, unit, description);
    }

    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.inner.describe_histogram(key, unit, description);
    }

    fn register_counter(&self, key: &Key, metadata: &Metadata<'_>) -> Counter {
        self.inner.register_counter(key, metadata)
    }

    fn register_gauge(&self, key: &Key, metadata: &Metadata<'_>) -> Gauge {
        let inner = self.inner.register_gauge(key, metadata);
        if key.name() != RAISED_BY_GATEWAYS {
            return inner;
        }
        let (dice, watch) = (self.dice.clone(), self.watch.clone());
        Gauge::from_arc(Arc::new(Panicky { inner, dice, watch }))
    }

    fn register_histogram(&self, key: &Key, metadata: &Metadata<'_>) -> Histogram {
        self.inner.register_histogram(key, metadata)
    }
}

struct Panicky {
    inner: Gauge,
    dice: Dice,
    watch: Watch,
}

impl GaugeFn for Panicky {
    fn increment(&self, value: f64) {
        if value > 0.0 && self.dice.roll_panic(Fault::PanicGateway) {
            self.watch.gateway_restarts();
            resume_unwind(Box::new(Injected));
        }
        self.inner.increment(value);
    }

    fn decrement(&self, value: f64) {
        self.inner.decrement(value);
    }

    fn set(&self, value: f64) {
        self.inner.set(value);
    }
}
