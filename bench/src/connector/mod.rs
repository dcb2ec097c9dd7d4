//! The connector beside a bare loop that does the same work, on real Kafka: each a process of its
//! own, against the same platform, in turn.

mod bare;
mod figures;
mod ledger;
mod load;
mod progress;
mod report;
mod round;
mod scenario;
mod sides;
mod stub;
mod watched;

use tempfile::TempDir;

use crate::Failure;
use crate::options::{Installation, Kafka, Output};

use figures::{Figures, Rounds};
use load::Load;
use progress::Progress;
use round::Run;
use scenario::{Name, Scenario};
use sides::Side;

pub(crate) use bare::{BareArgs, run as run_bare};
pub(crate) use stub::{StubArgs, run as run_stub};

#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct ConnectorArgs {
    /// Only these scenarios, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "SCENARIOS")]
    only: Vec<Name>,
    /// How often each side runs each scenario
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// So many times the messages: 0.05 to see whether everything works
    #[arg(long, default_value_t = 1.0, value_parser = scale)]
    scale: f64,
    /// Decides who gets which message, and how long each call takes
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Ends with 1 if a ratio misses its limit, too
    #[arg(long)]
    enforce: bool,
    #[command(flatten)]
    installation: Installation,
    #[command(flatten)]
    kafka: Kafka,
    #[command(flatten)]
    output: Output,
}

const HELP: &str = "\
Needs Kafka (`cargo xtask stack up kafka`) and the connector in release
(cargo build --release --workspace --bins).
It makes topics of its own and deletes them; statuses go to status-updates, where a status-consumer
that runs would read them.

The floor is a bare loop: records -> a queue for each conversation -> HTTP -> a status record that is
acknowledged -> contiguous commits; no breaker, no retries, no metrics. Both are processes of their
own, with the same messages, the same platform and as many calls at once. Ratios are taken round by
round; their median is shown. CPU counts from the first call on, user and kernel. A first run of each
side, on S4, only warms Kafka up.

Exit codes: 0; 1 if a message was lost or overtaken, or, with --enforce, a limit was missed.

Examples:
  cargo run --release -p chat4all-bench -- connector --only S1,S4
  cargo run --release -p chat4all-bench -- connector --scale 0.05 --rounds 1
  cargo run --release -p chat4all-bench -- connector --json connector.json --enforce";

fn scale(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(scale) if (0.001..=100.0).contains(&scale) => Ok(scale),
        _ => Err("must be a number, 0.001 to 100".to_owned()),
    }
}

/// Measures, prints; `false` if something did not hold that must.
pub(crate) async fn run(args: &ConnectorArgs) -> Result<bool, Failure> {
    let mut load = Load::new(&args.kafka.kafka, &args.installation.receiver, args.seed)?;
    let logs = tempfile::tempdir()?;
    let measured = measure_all(args, &mut load, &logs).await;
    load.clean().await?;
    let all = match measured {
        Ok(all) => all,
        Err(error) => {
            let kept = logs.keep();
            return Err(format!("{error}\n  the logs are in {}", kept.display()).into());
        }
    };
    args.output.show(&report::json(&all, args.seed), || report::table(&all))?;
    let holds = |rounds: &Rounds| rounds.rows().iter().all(|row| row.holds != Some(false));
    let is_enough = !args.enforce || all.iter().all(holds);
    Ok(is_enough && all.iter().all(Rounds::is_sound))
}

async fn measure_all(
    args: &ConnectorArgs,
    load: &mut Load,
    logs: &TempDir,
) -> Result<Vec<Rounds>, Failure> {
    // A Kafka that has just been started compiles its code for a while, on the same cores.
    let warm_up = Scenario::of(Name::S4, args.scale);
    if !measure(args, warm_up, ("warm-up", 1), load, logs).await?.is_sound() {
        return Err("a message was lost or overtaken while Kafka was warmed up".into());
    }
    let mut all = Vec::new();
    for scenario in Scenario::all(args.scale) {
        if args.only.is_empty() || args.only.contains(&scenario.name) {
            let name = format!("{:?}", scenario.name);
            all.push(measure(args, scenario, (&name, args.rounds), load, logs).await?);
        }
    }
    Ok(all)
}

async fn measure(
    args: &ConnectorArgs,
    scenario: Scenario,
    (called, how_often): (&str, u32),
    load: &mut Load,
    logs: &TempDir,
) -> Result<Rounds, Failure> {
    let name = called.to_lowercase();
    // A backlog serves every run, each in a group of its own.
    let backlog = match scenario.rate {
        Some(_) => None,
        None => {
            let topic = load.make_topic(&name).await?;
            load.fill(&topic, &scenario).await?;
            Some(topic)
        }
    };
    let mut rounds = Rounds { scenario, floor: Vec::new(), connector: Vec::new() };
    for round in 1..=how_often {
        for side in sides(&rounds.scenario, round) {
            let unique = format!("{name}-{round}-{}", side.word());
            let topic = match &backlog {
                Some(topic) => topic.clone(),
                None => load.make_topic(&unique).await?,
            };
            let group = load.name(&unique);
            let log = logs.path().join(&unique);
            let what = format!("{called} round {round} of {how_often}, {}", side.word());
            let mut progress = Progress::of(what);
            let scenario = &rounds.scenario;
            let run = Run { args, scenario, load, topic: &topic, group: &group, side, log: &log };
            let figures = run.measure(&mut progress).await?;
            progress.end(&short(scenario, &figures));
            match side {
                Side::Floor => rounds.floor.push(figures),
                Side::Connector => rounds.connector.push(figures),
            }
        }
    }
    load.flush().await?;
    Ok(rounds)
}

/// Who runs, in which order: neither is always the first. A kill says nothing about a floor that
/// has no guarantees.
fn sides(scenario: &Scenario, round: u32) -> Vec<Side> {
    match (scenario.name, round % 2) {
        (Name::S5, _) => vec![Side::Connector],
        (_, 1) => vec![Side::Floor, Side::Connector],
        _ => vec![Side::Connector, Side::Floor],
    }
}

fn short(scenario: &Scenario, figures: &Figures) -> String {
    if scenario.name == Name::S5 {
        return format!(
            "{} duplicates after a kill with {} calls under way",
            figures.duplicates, figures.under_way_at_kill
        );
    }
    format!(
        "{:.0} msg/s, {:.3} CPU-s per 1,000, {:.0} MiB, {:.0} calls at once",
        figures.goodput, figures.cpu_per_1000, figures.memory_at_full_flight, figures.in_flight
    )
}
