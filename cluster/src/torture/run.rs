//! A whole run: start, trouble, calm, judgement.

use std::io;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chat4all_process::{Clock, Random};
use futures::FutureExt;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::act::{Lane, Way};
use super::board::Board;
use super::fleet::Fleet;
use super::load::{Counts, Load, Plan};
use super::platforms::Platforms;
use super::recovery::{PATIENCE, Recovery, within};
use super::reported::Reported;
use super::schedule::Schedule;
use super::shared::Shared;
use super::table::{Answers, Report, troubles};
use super::verdict::{Facts, Verdict, judge};
use super::wires::{Ends, Wires};
use super::{deck, evidence, lanes, progress, settle, setup};
use crate::harness::{Cluster, Place, Role};

/// How long messages may take to end once all trouble is over: those in doubt end with their life.
const SETTLING: Duration = Duration::from_secs(setup::LIFETIME_S + setup::GRACE_S + 120);
/// How long the services may take to show what is in the log already.
const SHOWING: Duration = Duration::from_secs(60);
/// How long the stop of everything may take.
const STOPPING: Duration = Duration::from_secs(120);
/// Between two looks at counters that would be lost with their process.
const LOOK: Duration = Duration::from_millis(500);

/// What a run is like.
#[derive(Clone, Debug)]
pub struct Options {
    /// Makes the schedule.
    pub seed: u64,
    /// How long trouble goes on.
    pub minutes: u64,
    /// New messages in a second.
    pub per_second: u64,
    /// Conversations, each a client of its own.
    pub conversations: usize,
    /// Holds the servers' files and, in a folder for each run, what is kept of it.
    pub root: PathBuf,
}

/// Why there is no report.
#[derive(Debug)]
pub enum NotRun {
    /// It cannot be started, for this reason.
    Unavailable(String),
    /// Somebody stopped it before it had begun.
    Interrupted,
}

/// What a run has come to by itself.
struct Outcome {
    verdict: Verdict,
    overlaps: u64,
    skipped: u64,
}

struct Run {
    options: Options,
    folder: PathBuf,
    schedule: Schedule,
    shared: Shared,
    reported: Arc<Reported>,
}

/// Runs until everything is judged, or until `stop` answers.
///
/// # Errors
/// If it did not begin.
pub async fn run(options: Options, stop: impl Future<Output = ()>) -> Result<Report, NotRun> {
    tokio::pin!(stop);
    let schedule = Schedule::new(options.seed, options.length());
    let folder = options.folder();
    let cannot = |error: io::Error| {
        NotRun::Unavailable(format!("cannot write to {}: {error}", folder.display()))
    };
    evidence::write_schedule(&folder, &schedule).map_err(cannot)?;
    let started = AssertUnwindSafe(start(&options, &folder)).catch_unwind();
    let cluster = tokio::select! {
        biased;
        () = &mut stop => return Err(NotRun::Interrupted),
        started = started => started,
    };
    let (cluster, wires, api) =
        cluster.map_err(|panic| NotRun::Unavailable(lanes::words(&*panic)))?;
    let shared = Shared {
        board: Arc::new(Board::new(&folder).map_err(cannot)?),
        platforms: Platforms::new(cluster.url(Role::Simulator)),
        causes: Arc::default(),
        counts: Arc::default(),
        apis: watch::Sender::new(vec![api]),
        log: Arc::default(),
        store: Arc::default(),
    };
    let run = Run { options, folder: folder.clone(), schedule, shared, reported: Arc::default() };
    let ended = tokio::select! {
        biased;
        () = &mut stop => None,
        ended = AssertUnwindSafe(run.whole(cluster, &wires)).catch_unwind() => Some(ended),
    };
    progress::clear();
    let (outcome, interrupted) = match ended {
        None => (None, true),
        Some(Ok(outcome)) => (Some(outcome), false),
        Some(Err(panic)) => {
            run.shared.board.finds("the run can be judged", None, lanes::words(&*panic));
            (None, false)
        }
    };
    // Whatever the end was like, somebody may look for its cause.
    evidence::keep_logs(&run.options.root, &folder);
    evidence::write_findings(&folder, &run.shared.board).map_err(cannot)?;
    let report = run.report(outcome, interrupted);
    evidence::write_report(&folder, &report).map_err(cannot)?;
    Ok(report)
}

/// Servers and services, with nothing to do yet; the wires between them; and where clients find the
/// API.
async fn start(options: &Options, folder: &Path) -> (Cluster, Wires, String) {
    let ends = Ends::choose();
    let (root, folder) = (options.root.clone(), folder.join("processes"));
    let place = Place { root, folder, kafka_wire: Some(ends.of(Way::Log)) };
    evidence::forget_logs(&options.root);
    let config = ends.of_receipts(setup::config(options.seed));
    let mut cluster = Cluster::without_services(place, config).await;
    ends.configure(&mut cluster);
    let api = format!("http://{}", ends.of(Way::Api));
    let wires = ends.lay(&cluster).await.expect("the ports were free just now");
    for role in Role::SERVICES {
        cluster.spawn(role, &role.name());
    }
    for role in Role::SERVICES {
        cluster.service(role).started().await;
    }
    (cluster, wires, api)
}

impl Options {
    fn length(&self) -> Duration {
        Duration::from_secs(60 * self.minutes)
    }

    /// What is kept of this run.
    fn folder(&self) -> PathBuf {
        let now = Clock::system().now().to_rfc3339();
        let stamp: String = now.chars().filter(char::is_ascii_alphanumeric).take(15).collect();
        self.root.join(format!("{stamp}-seed-{}", self.seed))
    }

    fn plan(&self) -> Plan {
        Plan {
            per_second: self.per_second,
            conversations: self.conversations,
            accounts: setup::config(self.seed).accounts,
            lifetime_s: (setup::reporter(self.seed), setup::LIFETIME_S),
        }
    }
}

impl Run {
    /// Everything from the first message to the judgement.
    async fn whole(&self, cluster: Cluster, wires: &Wires) -> Outcome {
        let kafka = cluster.stack.kafka;
        let _following = self.reported.follow(&kafka.to_string());
        let recovery = Recovery::new(kafka, self.shared.clone());
        let working = async {
            let (mut fleet, load, skipped) = self.trouble(cluster, wires, &recovery).await;
            wires.mend();
            let outcome = self.calm(&mut fleet, load, &recovery, skipped).await;
            self.stop(fleet).await;
            outcome
        };
        tokio::select! {
            biased;
            outcome = working => outcome,
            () = self.look() => unreachable!("it looks for ever"),
            () = progress::say(&self.shared, &self.reported, self.options.length()) => {
                unreachable!("it says so for ever")
            }
        }
    }

    /// Counters of processes, before they end.
    async fn look(&self) {
        let http = crate::harness::Http::new();
        loop {
            self.shared.causes.look(&http).await;
            sleep(LOOK).await;
        }
    }

    /// Load, and everything that goes wrong. The load goes on.
    async fn trouble(
        &self,
        cluster: Cluster,
        wires: &Wires,
        recovery: &Recovery,
    ) -> (Fleet, Load, u64) {
        let Self { shared, schedule, options, .. } = self;
        let plan = options.plan();
        for platform in deck::PLATFORMS {
            let chats = (0..plan.conversations).map(|number| plan.chat(number));
            let refused = chats.filter(|chat| chat.is_refused && chat.account.platform == platform);
            let address = |receiver: &str| receiver.split_once(':').map(|(_, it)| it.to_owned());
            let receivers = refused.filter_map(|chat| address(&chat.receiver));
            shared.platforms.refuse(platform, receivers).await;
        }
        // Not the stream of the schedule: that must not depend on how many messages there are.
        let random = Random::seeded(options.seed ^ u64::MAX);
        let load = plan.start(&random, shared);
        let mut fleet = Fleet::new(cluster, shared.clone());
        let (until, calls) = (options.length(), schedule.lane(Lane::Platforms));
        let processes = schedule.lane(Lane::Processes);
        let harms = schedule.lane(Lane::Network);
        let (skipped, (), late) = tokio::join!(
            lanes::processes(&mut fleet, &processes, until, shared),
            lanes::platforms(&calls, shared, recovery),
            wires.harm(&harms, until, shared, recovery),
        );
        (fleet, load, skipped + late)
    }

    /// Nothing goes wrong any more: every message must end.
    async fn calm(
        &self,
        fleet: &mut Fleet,
        load: Load,
        recovery: &Recovery,
        skipped: u64,
    ) -> Outcome {
        let Self { shared, reported, folder, .. } = self;
        shared.platforms.calm().await;
        fleet.heal().await;
        let chats = load.stop().await;
        if chats.len() < self.options.conversations {
            let missing = self.options.conversations - chats.len();
            let text = format!("{missing} clients panicked, and their messages are not known");
            shared.board.finds("the run can be judged", None, text);
        }
        shared.board.note("calm", serde_json::json!({}));
        settle::ends(&chats, reported, SETTLING).await;
        settle::quiet(recovery).await;
        let api = fleet.cluster.url(Role::Api);
        let shown = settle::shown(&api, &chats, SHOWING).await;
        let mut ledger = std::collections::BTreeMap::new();
        for platform in deck::PLATFORMS {
            let read =
                within(PATIENCE, async || shared.platforms.messages(platform, 0).await).await;
            ledger.extend(read.map(|(messages, _)| messages).unwrap_or_default());
        }
        let totals = within(PATIENCE, async || shared.platforms.totals().await).await;
        let total = |name: &str| totals.as_ref().and_then(|it| it[name].as_u64()).unwrap_or(0);
        let facts = Facts {
            chats,
            shown,
            ledger,
            receipts_lost: total("receipts_lost") + total("receipts_expired"),
            unknown: shared.counts.unknown.load(Ordering::Relaxed),
        };
        let verdict = judge(&facts, reported, &shared.causes, &shared.board);
        let kept =
            evidence::keep(folder, &facts, reported, &shared.board, fleet.cluster.stack.kafka);
        if let Err(error) = kept.await {
            shared.board.note("not kept", serde_json::json!({ "error": error.to_string() }));
        }
        Outcome { verdict, overlaps: total("overlaps"), skipped }
    }

    /// Everything ends as an operator ends it.
    async fn stop(&self, mut fleet: Fleet) {
        let stopped = AssertUnwindSafe(fleet.stop()).catch_unwind();
        if !matches!(timeout(STOPPING, stopped).await, Ok(Ok(()))) {
            let text = format!("not within {STOPPING:?}");
            self.shared.board.finds("a planned stop ends with 0", None, text);
        }
    }

    fn report(&self, outcome: Option<Outcome>, interrupted: bool) -> Report {
        let Self { options, shared, .. } = self;
        let Counts { unavailable, unanswered, slowest_ms, .. } = &*shared.counts;
        let count = |of: &std::sync::atomic::AtomicU64| of.load(Ordering::Relaxed);
        let (overlaps, skipped) = outcome.as_ref().map_or((0, 0), |it| (it.overlaps, it.skipped));
        Report {
            seed: options.seed,
            minutes: options.minutes,
            folder: self.folder.clone(),
            interrupted,
            verdict: outcome.map(|outcome| outcome.verdict),
            overlaps,
            answers: Answers {
                unavailable: count(unavailable),
                unanswered: count(unanswered),
                slowest_ms: count(slowest_ms),
            },
            troubles: troubles(&shared.board),
            skipped,
            findings: shared.board.findings(),
        }
    }
}
