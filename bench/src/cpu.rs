//! Processor time of a process, as the kernel counts it.

use std::time::Duration;

use crate::Failure;

/// What the process has used so far, in user space and in the kernel, of all its threads.
///
/// # Errors
/// If there is no such process, or no /proc.
pub(crate) fn of(pid: u32) -> Result<Duration, Failure> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .map_err(|error| format!("/proc/{pid}/stat: {error}"))?;
    parse(&text).ok_or_else(|| format!("/proc/{pid}/stat cannot be understood").into())
}

/// The fields `utime` and `stime`, the 14th and 15th, counted after the name, which may hold spaces.
fn parse(stat: &str) -> Option<Duration> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let ticks = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_kernel_time_are_added() {
        let ticks = rustix::param::clock_ticks_per_second();
        let fields = "S 1 2 3 4 5 6 7 8 9 10".to_owned();
        let stat = format!("42 (a name) {fields} {} {} 0 0 20", ticks, 2 * ticks);
        assert_eq!(parse(&stat), Some(Duration::from_secs(3)));
        assert_eq!(parse("no stat"), None);
    }
}
