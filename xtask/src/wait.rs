//! Waiting for what another process does, and how long it took. The only clock of this program.
//!
//! Another process gives no signal when it answers or ends: it is asked again at a steady pace,
//! always up to a limit.

use std::thread;
use std::time::{Duration, Instant};

/// How often another process is asked.
const PACE: Duration = Duration::from_millis(50);

/// Measures from its start.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts to measure.
    #[allow(clippy::disallowed_methods)] // no simulated run reaches this program
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The time since the start.
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// Asks until there is an answer; `None` once `limit` has passed without one. `ask` is told how
/// long it has been.
pub fn until<T>(limit: Duration, mut ask: impl FnMut(Duration) -> Option<T>) -> Option<T> {
    let watch = Stopwatch::start();
    loop {
        let elapsed = watch.elapsed();
        if let Some(answer) = ask(elapsed) {
            return Some(answer);
        }
        if elapsed >= limit {
            return None;
        }
        pause();
    }
}

/// Until it is time to ask again.
pub fn pause() {
    thread::park_timeout(PACE);
}

/// As people read it: `0.4 s`, `12.3 s`, `2 min 5 s`, `3 h 20 min`, `2 d 4 h`.
pub fn spoken(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{:.1} s", time.as_secs_f64()),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_asked_until_it_is_answered() {
        let mut asked = 0;
        let answer = until(Duration::from_secs(60), |_| {
            asked += 1;
            (asked == 3).then_some("yes")
        });
        assert_eq!((answer, asked), (Some("yes"), 3));
    }

    #[test]
    fn a_question_without_time_is_asked_once() {
        let mut asked = 0;
        let answer: Option<()> = until(Duration::ZERO, |_| {
            asked += 1;
            None
        });
        assert_eq!((answer, asked), (None, 1));
    }

    #[test]
    fn a_time_is_spoken_in_its_two_largest_units() {
        let spoken_seconds = |seconds| spoken(Duration::from_secs(seconds));
        assert_eq!(spoken(Duration::from_millis(3_240)), "3.2 s");
        assert_eq!(spoken_seconds(125), "2 min 5 s");
        assert_eq!(spoken_seconds(12_000), "3 h 20 min");
        assert_eq!(spoken_seconds(187_200), "2 d 4 h");
    }
}
