//! `cargo xtask monitor-check`: a real Prometheus on the services that run.
//!
//! Under load every panel has something to show and no alert fires. A platform that is taken away
//! in the simulator opens its breaker: the alert fires, resolves once the platform is back, and
//! every message has an outcome.

mod http;
mod load;
mod panels;
mod prometheus;

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;

use crate::cli::MonitorArgs;
use crate::console::Console;
use crate::failure::{Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::project;
use crate::wait::{self, Stopwatch, spoken};

use load::{Load, Sent};
use panels::Question;
use prometheus::{Alert, Prometheus};

/// How long Prometheus may take to have asked every service.
const SERVICES: Duration = Duration::from_secs(60);
/// How long a panel may be empty under load.
const PANELS: Duration = Duration::from_secs(90);
/// How long the alert may take: five failures, and the 30 s that the breaker has to stay open.
const FIRES: Duration = Duration::from_secs(120);
/// How long it may take to be quiet again: the longest wait between two probes is a minute.
const RESOLVES: Duration = Duration::from_secs(180);
/// How long the messages that waited may take.
const SETTLES: Duration = Duration::from_secs(180);

/// The alert that a platform's outage fires.
const ALERT: &str = "BreakerOpen";

/// What is checked, and how somebody may end it.
struct Check<'a> {
    args: &'a MonitorArgs,
    prometheus: Prometheus,
    interrupt: Interrupt,
}

/// Checks rules and dashboards on what runs.
///
/// # Errors
/// If a service does not answer, a panel is empty, or an alert does not do what it should.
pub fn check(args: &MonitorArgs, console: &mut Console<'_>) -> Outcome {
    let interrupt = Interrupt::watch()?;
    let prometheus = Prometheus::start(&args.prometheus_config)?;
    let check = Check { args, prometheus, interrupt };
    let services = check.wait_for_services()?;
    console.line("services", &format!("{services} answer"))?;
    let platforms = check.platforms()?;
    let receivers = platforms.iter().map(|platform| receiver(platform)).collect::<Outcome<_>>()?;
    let load = Load::start(args.api, receivers);
    let checked = check.under_load(&platforms, console);
    let sent = load.stop();
    checked?;
    check.settled(sent, console)
}

/// An example of a receiver: its rule ends with one.
fn receiver(platform: &str) -> Outcome<String> {
    let file = project::root().join(format!("connectors/{platform}/platform.toml"));
    let text = fs::read_to_string(&file).map_err(|error| Failure::file(file.display(), &error))?;
    let config: toml::Value = toml::from_str(&text)
        .map_err(|error| Failure::unsuccessful(format!("{}: {error}", file.display())))?;
    let rule = config
        .get("platforms")
        .and_then(|platforms| platforms.get(platform)?.get("recipient_rule")?.as_str());
    let example = rule.and_then(|rule| Some(rule.split_once("such as ")?.1));
    let missing = || Failure::unsuccessful(format!("{}: no example of a receiver", file.display()));
    example.map(|example| format!("{platform}:{example}")).ok_or_else(missing)
}

impl Check<'_> {
    /// Asks until there is an answer, the time is over, or somebody has had enough. `trouble` says
    /// what is missing.
    fn wait<T>(
        &self,
        limit: Duration,
        mut ask: impl FnMut() -> Result<T, String>,
    ) -> Outcome<(T, Duration)> {
        let watch = Stopwatch::start();
        let mut trouble = String::new();
        let answer = wait::until(limit, |_| {
            if self.interrupt.is_raised() {
                trouble = "interrupted".to_owned();
                return Some(None);
            }
            match ask() {
                Ok(answer) => Some(Some(answer)),
                Err(why) => {
                    trouble = why;
                    None
                }
            }
        });
        let took = watch.elapsed();
        let failed = || Failure::unsuccessful(format!("{trouble} (after {})", spoken(took)));
        answer.flatten().map(|answer| (answer, took)).ok_or_else(failed)
    }

    /// How many services answer: all that are asked.
    fn wait_for_services(&self) -> Outcome<usize> {
        let (services, _) = self.wait(SERVICES, || {
            let targets = self.prometheus.targets()?;
            let silent: Vec<String> = targets
                .iter()
                .filter(|target| !target.answers)
                .map(|target| format!("{} at {}", target.job, target.instance))
                .collect();
            match silent.is_empty() && !targets.is_empty() {
                true => Ok(targets.len()),
                false => Err(format!("no answer yet from {}: do they run?", silent.join(", "))),
            }
        })?;
        Ok(services)
    }

    /// The platforms that the services serve, as the dashboard's variable finds them.
    fn platforms(&self) -> Outcome<Vec<String>> {
        let ask = || {
            let found =
                self.prometheus.query("sum by (platform) (chat4all_deliveries_in_flight)")?;
            let mut platforms: Vec<String> = found
                .iter()
                .filter_map(|sample| sample["metric"]["platform"].as_str().map(str::to_owned))
                .collect();
            platforms.sort();
            match platforms.is_empty() {
                true => Err("no connector shows its platform".to_owned()),
                false => Ok(platforms),
            }
        };
        self.wait(SERVICES, ask).map(|(platforms, _)| platforms)
    }

    fn under_load(&self, platforms: &[String], console: &mut Console<'_>) -> Outcome {
        let folder = project::root().join("grafana/dashboards");
        let questions = panels::questions(&folder, platforms)?;
        let (about_alerts, others): (Vec<Question>, Vec<Question>) =
            questions.into_iter().partition(Question::is_about_alerts);
        let took = self.answered(&others)?;
        let count = others.len();
        console
            .line("panels", &format!("{count} questions have an answer, after {}", spoken(took)))?;
        let alerts = self.prometheus.alerts().map_err(Failure::unsuccessful)?;
        let firing: Vec<&str> =
            alerts.iter().filter(|alert| alert.fires).map(|alert| alert.name.as_str()).collect();
        if !firing.is_empty() {
            let firing = firing.join(", ");
            return Err(Failure::unsuccessful(format!(
                "although all is well there fire: {firing}"
            )));
        }
        console.line("alerts", "none fires")?;
        let platform = match &self.args.platform {
            Some(platform) => platform,
            None => platforms.first().ok_or_else(|| Failure::unsuccessful("no platform"))?,
        };
        self.outage(platform, &about_alerts, console)
    }

    /// Waits until every question has at least one answer that is a number.
    fn answered(&self, questions: &[Question]) -> Outcome<Duration> {
        let mut left: Vec<&Question> = questions.iter().collect();
        let ((), took) = self.wait(PANELS, || {
            let mut troubles = Vec::new();
            left.retain(|question| match self.has_an_answer(&question.expr) {
                Ok(()) => false,
                Err(why) => {
                    troubles.push(format!("  {}: {why}\n    {}", question.place, question.expr));
                    true
                }
            });
            match troubles.is_empty() {
                true => Ok(()),
                false => Err(format!("panels have nothing to show:\n{}\n", troubles.join("\n"))),
            }
        })?;
        Ok(took)
    }

    fn has_an_answer(&self, expr: &str) -> Result<(), String> {
        let found = self.prometheus.query(expr)?;
        let is_number = |sample: &serde_json::Value| sample["value"][1] != "NaN";
        match found.iter().any(is_number) {
            true => Ok(()),
            false => Err("no data".to_owned()),
        }
    }

    fn outage(&self, platform: &str, about: &[Question], console: &mut Console<'_>) -> Outcome {
        let is_ours =
            |alert: &Alert| alert.name == ALERT && alert.platform.as_deref() == Some(platform);
        let simulator = self.args.simulator;
        let fault = Fault::switch_on(simulator, platform)?;
        let ((), took) = self.wait(FIRES, || {
            let alerts = self.prometheus.alerts()?;
            let fires = alerts.iter().any(|alert| is_ours(alert) && alert.fires);
            fires.then_some(()).ok_or_else(|| format!("{ALERT} does not fire for {platform}"))
        })?;
        console.line("outage", &format!("{ALERT} fires for {platform}, after {}", spoken(took)))?;
        self.answered(about)?;
        fault.switch_off()?;
        let ((), took) = self.wait(RESOLVES, || {
            let alerts = self.prometheus.alerts()?;
            let is_quiet = !alerts.iter().any(is_ours);
            is_quiet.then_some(()).ok_or_else(|| format!("{ALERT} does not resolve"))
        })?;
        console.line(
            "outage",
            &format!("{ALERT} resolved, {} after the platform's return", spoken(took)),
        )?;
        Ok(())
    }

    /// Whether every message has got its outcome; those that waited for the platform, too.
    fn settled(&self, sent: Sent, console: &mut Console<'_>) -> Outcome {
        if let Some(refused) = sent.refused.first() {
            let count = sent.refused.len();
            return Err(Failure::unsuccessful(format!("{count} messages were refused: {refused}")));
        }
        let total = sent.accepted.len();
        let mut open = sent.accepted;
        let ((), took) = self.wait(SETTLES, || {
            open.retain(|id| !self.is_settled(id));
            match open.first() {
                None => Ok(()),
                Some(id) => Err(format!("{} of {total} have no outcome, {id} too", open.len())),
            }
        })?;
        console.line("messages", &format!("{total} have an outcome, {} later", spoken(took)))?;
        Ok(())
    }

    fn is_settled(&self, id: &str) -> bool {
        let answer = http::ask("GET", self.args.api, &format!("/v1/messages/{id}"));
        let Ok(answer) = answer else { return false };
        let status = answer.json()["status"].as_str().map(str::to_owned);
        status.is_some_and(|status| ["SENT", "DELIVERED", "READ"].contains(&status.as_str()))
    }
}

/// A platform that is away. It comes back when this is dropped, whatever has failed.
struct Fault(SocketAddr);

impl Fault {
    fn switch_on(simulator: SocketAddr, platform: &str) -> Outcome<Self> {
        let fault = json!({"kind": "down", "platform": platform, "times": 1_000_000});
        let answer = http::post(simulator, "/_sim/faults", "application/json", &fault.to_string());
        match answer {
            Ok(answer) if answer.status == 201 => Ok(Self(simulator)),
            Ok(answer) => Err(Failure::unsuccessful(format!("the simulator says {}", answer.body))),
            Err(error) => {
                Err(Failure::unavailable(format!("the simulator at {simulator}: {error}")))
            }
        }
    }

    fn switch_off(self) -> Outcome {
        let answer = http::ask("DELETE", self.0, "/_sim/faults");
        match answer {
            Ok(answer) if answer.status == 200 => Ok(()),
            other => Err(Failure::unsuccessful(format!("the fault cannot be cleared: {other:?}"))),
        }
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        // Again, if it was switched off: that does no harm.
        let _simulator_is_away = http::ask("DELETE", self.0, "/_sim/faults");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_platform_has_an_example_of_a_receiver() {
        let folders = fs::read_dir(project::root().join("connectors")).unwrap();
        let names = folders.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let platforms: Vec<String> = names.filter(|name| name != "kit").collect();
        assert!(!platforms.is_empty());
        for platform in platforms {
            let receiver = receiver(&platform).unwrap();
            assert!(receiver.len() > platform.len() + 5, "{receiver}");
        }
    }
}
