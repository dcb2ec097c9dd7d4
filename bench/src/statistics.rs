//! Medians and percentiles.

use std::time::Duration;

/// Of an even number of values, the middle of the two in the middle; 0 if there is none.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => values[odd / 2],
        even => f64::midpoint(values[even / 2 - 1], values[even / 2]),
    }
}

/// The value that so many per cent are below; the default if there is none.
pub(crate) fn percentile<T: Copy + Default + Ord>(of: &[T], percent: usize) -> T {
    let mut sorted = of.to_vec();
    sorted.sort_unstable();
    let index = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(index).copied().unwrap_or_default()
}

/// A percentile of durations, in milliseconds.
pub(crate) fn percentile_ms(of: &[Duration], percent: usize) -> f64 {
    percentile(of, percent).as_secs_f64() * 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(Vec::new()), 0.0);
    }

    #[test]
    fn percentiles() {
        let values: Vec<u64> = (1..=100).rev().collect();
        assert_eq!((percentile(&values, 50), percentile(&values, 99)), (51, 100));
        assert_eq!(percentile(&values, 100), 100);
        assert_eq!(percentile::<u64>(&[], 50), 0);
        assert_eq!(percentile_ms(&[Duration::from_micros(1_500)], 90), 1.5);
    }
}
