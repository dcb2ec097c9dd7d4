//! One run of one side: started on a topic, watched until every message was called, stopped.

use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::ConnectorArgs;
use super::figures::Figures;
use super::ledger::Look;
use super::load::{Load, WARM_UP};
use super::progress::Progress;
use super::scenario::{Name, Scenario};
use super::sides::{Platform, Side};
use super::watched::Watched;
use crate::Failure;

/// How often a run is looked at, before and after its first call.
const LOOK: Duration = Duration::from_millis(5);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Statuses, commits: what follows the last call belongs to the work.
const AFTERWARDS: Duration = Duration::from_millis(500);
/// A run without a new call for so long has lost what is left. Longer than the group takes to
/// notice that a member was killed.
const STALL: Duration = Duration::from_secs(60);

/// What a run needs.
pub(super) struct Run<'a> {
    pub(super) args: &'a ConnectorArgs,
    pub(super) scenario: &'a Scenario,
    pub(super) load: &'a Load,
    /// The topic, which is filled unless the scenario has a rate.
    pub(super) topic: &'a str,
    pub(super) group: &'a str,
    pub(super) side: Side,
    pub(super) log: &'a Path,
}

/// What is seen while a run goes on.
#[derive(Clone, Copy, Default)]
struct Seen {
    look: Look,
    /// CPU when the first call had come.
    cpu_before: Option<f64>,
    /// The memory when most calls were under way, in MiB, and how many that were.
    memory_at: (u32, f64),
}

impl Run<'_> {
    pub(super) async fn measure(&self, progress: &mut Progress) -> Result<Figures, Failure> {
        let mut platform = Platform::start(self.scenario, self.args.seed).await?;
        if self.scenario.rate.is_some() {
            self.load.warm_up(self.topic, self.scenario).await?;
        }
        let mut process = self.start(&platform)?;
        let mut kill = None;
        let seen = match (self.scenario.rate, self.scenario.name) {
            (Some(rate), _) => {
                self.until_warm(&mut platform, &mut process).await?;
                let writing = self.load.write_steadily(self.topic, self.scenario, rate);
                let watching = self.watch(&mut platform, &mut process, progress, all);
                let (written, seen) = tokio::join!(writing, watching);
                written?;
                seen?
            }
            (None, Name::S5) => {
                self.watch(&mut platform, &mut process, progress, amid).await?;
                kill = Some(platform.look().await?.in_flight);
                process.kill().await?;
                process = self.start(&platform)?;
                self.watch(&mut platform, &mut process, progress, all).await?
            }
            (None, _) => self.watch(&mut platform, &mut process, progress, all).await?,
        };
        sleep(AFTERWARDS).await;
        let (cpu, memory) = (process.cpu()?, process.memory()?);
        match self.side {
            Side::Connector => process.stop().await?,
            // The bare loop knows no signals.
            Side::Floor => process.kill().await?,
        }
        let report = platform.report().await?;
        Ok(Figures {
            goodput: f64::from(report.called) / report.seconds.max(0.001),
            cpu_per_1000: (cpu - seen.cpu_before.unwrap_or(cpu)) * 1_000.0
                / f64::from(report.called.max(1)),
            memory_at_full_flight: seen.memory_at.1,
            memory_peak: memory.peak,
            in_flight: f64::from(report.in_flight_peak),
            lag_p50_ms: report.lag_p50_ms,
            lag_p99_ms: report.lag_p99_ms,
            duplicates: f64::from(report.duplicates),
            overtaken: f64::from(report.overtaken),
            lost: f64::from(self.scenario.messages - report.called),
            under_way_at_kill: kill.map_or(0.0, f64::from),
        })
    }

    fn start(&self, platform: &Platform) -> Result<Watched, Failure> {
        let source = (self.topic, self.group);
        self.side.start(self.args, self.scenario, source, &platform.url, self.log)
    }

    async fn until_warm(
        &self,
        platform: &mut Platform,
        process: &mut Watched,
    ) -> Result<(), Failure> {
        let begun = Instant::now();
        while platform.look().await?.warm < WARM_UP {
            process.check()?;
            if begun.elapsed() > STALL {
                return Err(format!("the {} does not begin", self.side.word()).into());
            }
            sleep(LOOK_AGAIN).await;
        }
        // Its statuses and commits are not measured.
        sleep(AFTERWARDS).await;
        Ok(())
    }

    /// Watches until `is_over`, or until nothing more comes.
    async fn watch(
        &self,
        platform: &mut Platform,
        process: &mut Watched,
        progress: &mut Progress,
        is_over: fn(&Scenario, &Look) -> bool,
    ) -> Result<Seen, Failure> {
        let (mut seen, mut changed) = (Seen::default(), Instant::now());
        loop {
            let look = platform.look().await?;
            if look.calls != seen.look.calls {
                changed = Instant::now();
            }
            seen.look = look;
            if look.calls > 0 && seen.cpu_before.is_none() {
                seen.cpu_before = Some(process.cpu()?);
            }
            if look.in_flight >= seen.memory_at.0 && look.calls > 0 {
                seen.memory_at = (look.in_flight, process.memory()?.now);
            }
            progress.show(&look, self.scenario.messages);
            if is_over(self.scenario, &look) || changed.elapsed() > STALL {
                return Ok(seen);
            }
            process.check()?;
            sleep(if look.calls == 0 { LOOK } else { LOOK_AGAIN }).await;
        }
    }
}

fn all(scenario: &Scenario, look: &Look) -> bool {
    look.called == scenario.messages && look.in_flight == 0
}

/// Well begun, and about as many calls at once as may be.
fn amid(scenario: &Scenario, look: &Look) -> bool {
    look.called >= scenario.messages / 4
        && look.in_flight * 100 >= scenario.in_flight.min(scenario.messages / 4) * 95
}
