//! How long ago: `90m`, `36h`, `7d`.

use std::time::Duration;

use chat4all_contracts::EpochMs;
use chat4all_contracts::fields::Rule;

/// The rule of an age, and its most.
const RULE: Rule =
    Rule::new("must be a whole number with s, m, h or d, such as 90m, and at most 400d");
const MOST: Duration = Duration::from_secs(400 * 86_400);

/// Reads an age.
pub(crate) fn parse(text: &str) -> Result<Duration, Rule> {
    let seconds = || {
        let at = text.len().checked_sub(1)?;
        let (digits, unit) = text.split_at_checked(at)?;
        let unit = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return None,
        };
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        digits.parse::<u64>().ok()?.checked_mul(unit)
    };
    seconds().map(Duration::from_secs).filter(|age| *age <= MOST).ok_or(RULE)
}

/// The time that lies an age before `now`.
pub(crate) fn before(now: EpochMs, age: Duration) -> EpochMs {
    // At most 400 days, so it fits.
    EpochMs::saturating(now.as_ms().saturating_sub(age.as_millis() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_a_number_with_a_unit() {
        let seconds = |text| parse(text).ok().map(|age| age.as_secs());
        assert_eq!(seconds("0s"), Some(0));
        assert_eq!(seconds("90m"), Some(5_400));
        assert_eq!(seconds("2h"), Some(7_200));
        assert_eq!(seconds("400d"), Some(34_560_000));
        for bad in ["", "s", "5", "m5", "-1h", "+1h", "1.5h", "401d", "1é", "99999999999999999999d"]
        {
            assert_eq!(seconds(bad), None, "{bad:?}");
        }
    }
}
