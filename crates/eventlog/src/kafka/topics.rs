//! Topics: created as they must be if that is allowed, and checked at every start. Nothing that
//! exists is changed: an error says the command that would. Blocks.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigResource, NewPartitions, NewTopic, ResourceSpecifier,
    TopicReplication, TopicResult,
};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::runtime::Handle;

use super::context::Reporter;
use super::producer::OVERHEAD_BYTES;
use super::settings::KafkaSettings;
use crate::spec::check_topic;
use crate::{Cleanup, LogError, Placement, TopicSpec};

/// How long the brokers may take for one request.
const ANSWER: Duration = Duration::from_secs(10);
/// How often the brokers are asked whether they all know a new topic.
const LOOKS: usize = 100;

/// What the topics of one log have in common.
pub(super) struct Topics<'a> {
    pub(super) settings: &'a KafkaSettings,
    pub(super) max_record_bytes: usize,
    pub(super) reporter: Reporter,
    pub(super) runtime: Handle,
}

fn unavailable(error: KafkaError) -> LogError {
    LogError::Unavailable(error.to_string())
}

fn mismatch(topic: &str, rule: String) -> LogError {
    LogError::TopicMismatch { topic: topic.to_owned(), rule }
}

/// What Kafka calls the time that a topic keeps its records; -1 = for ever.
fn retention_ms(spec: &TopicSpec) -> i64 {
    i64::try_from(spec.retention.as_millis()).unwrap_or(-1)
}

fn policy(cleanup: Cleanup) -> &'static str {
    match cleanup {
        Cleanup::Delete => "delete",
        Cleanup::Compact => "compact",
    }
}

/// What a new topic's segments are like. A segment is compacted once it is closed, and everybody
/// reads a compacted topic whole: with Kafka's own 1 GiB and 7 days that would take too long.
const SMALL_SEGMENTS: [(&str, &str); 2] = [("segment.bytes", "8388608"), ("segment.ms", "3600000")];

fn segments(cleanup: Cleanup) -> &'static [(&'static str, &'static str)] {
    match cleanup {
        Cleanup::Delete => &[],
        Cleanup::Compact => &SMALL_SEGMENTS,
    }
}

type Admin = AdminClient<Reporter>;

impl Topics<'_> {
    /// Creates what is missing and checks everything.
    pub(super) fn ensure(&self, specs: &[TopicSpec]) -> Result<(), LogError> {
        let config = self.settings.client(self.reporter.service);
        let admin =
            Admin::from_config_and_context(&config, self.reporter.clone()).map_err(unavailable)?;
        let present = self.counts(&admin)?;
        for spec in specs {
            check_topic(spec, present.get(&spec.name).copied())?;
        }
        let missing: Vec<&TopicSpec> =
            specs.iter().filter(|spec| !present.contains_key(&spec.name)).collect();
        self.create(&admin, &missing)?;
        for spec in specs {
            self.grow(&admin, spec, present.get(&spec.name).copied())?;
        }
        self.wait_until_known(&admin, specs)?;
        self.check_settings(&admin, specs)?;
        self.check_offsets_retention(&admin, specs)
    }

    fn wait<T>(&self, future: impl Future<Output = Result<T, KafkaError>>) -> Result<T, LogError> {
        self.runtime.block_on(future).map_err(unavailable)
    }

    fn options() -> AdminOptions {
        AdminOptions::new().request_timeout(Some(ANSWER)).operation_timeout(Some(ANSWER))
    }

    /// The partition count of every topic that there is.
    fn counts(&self, admin: &Admin) -> Result<BTreeMap<String, u32>, LogError> {
        let metadata = admin.inner().fetch_metadata(None, ANSWER).map_err(unavailable)?;
        let topics = metadata.topics().iter().filter(|topic| topic.error().is_none());
        let count = |partitions: usize| u32::try_from(partitions).unwrap_or(u32::MAX);
        Ok(topics.map(|t| (t.name().to_owned(), count(t.partitions().len()))).collect())
    }

    fn create(&self, admin: &Admin, missing: &[&TopicSpec]) -> Result<(), LogError> {
        let Some(first) = missing.first() else { return Ok(()) };
        if !self.settings.create_topics {
            return Err(mismatch(
                &first.name,
                format!("is missing; {}", self.how_to_create(first)),
            ));
        }
        let retention: Vec<String> =
            missing.iter().map(|spec| retention_ms(spec).to_string()).collect();
        let bytes = self.max_message_bytes().to_string();
        // -1 = as the brokers are set.
        let copies = self.settings.replication_factor.map_or(-1, |copies| copies.get() as i32);
        let topics: Vec<NewTopic<'_>> = missing
            .iter()
            .zip(&retention)
            .map(|(spec, retention)| {
                let partitions = i32::try_from(spec.partitions).unwrap_or(i32::MAX);
                let new = NewTopic::new(&spec.name, partitions, TopicReplication::Fixed(copies))
                    .set("cleanup.policy", policy(spec.cleanup))
                    .set("retention.ms", retention)
                    .set("max.message.bytes", &bytes);
                segments(spec.cleanup).iter().fold(new, |new, (key, value)| new.set(key, value))
            })
            .collect();
        let results = self.wait(admin.create_topics(&topics, &Self::options()))?;
        accept(results, RDKafkaErrorCode::TopicAlreadyExists)
    }

    /// Adds partitions to a topic whose partitions are named by configuration.
    fn grow(&self, admin: &Admin, spec: &TopicSpec, present: Option<u32>) -> Result<(), LogError> {
        let needs = spec.partitions;
        if spec.placement == Placement::ByKey || present.is_none_or(|present| present >= needs) {
            return Ok(());
        }
        if !self.settings.create_topics {
            let command = format!("kafka-topics.sh --alter --partitions {needs}");
            let rule = format!(
                "has too few partitions, an account is on partition {}: {}",
                needs - 1,
                self.command(&command, &spec.name)
            );
            return Err(mismatch(&spec.name, rule));
        }
        let partitions = [NewPartitions::new(&spec.name, needs as usize)];
        let results = self.wait(admin.create_partitions(&partitions, &Self::options()))?;
        // Another process may have done the same meanwhile.
        accept(results, RDKafkaErrorCode::InvalidPartitions)
    }

    /// A topic that has just been made is not known to every broker at once.
    fn wait_until_known(&self, admin: &Admin, specs: &[TopicSpec]) -> Result<(), LogError> {
        for _ in 0..LOOKS {
            let counts = self.counts(admin)?;
            let unknown = |spec: &&TopicSpec| {
                counts.get(&spec.name).is_none_or(|count| *count < spec.partitions)
            };
            if specs.iter().find(unknown).is_none() {
                return specs.iter().try_for_each(|spec| {
                    // Another process may have made it, with other settings.
                    check_topic(spec, counts.get(&spec.name).copied())
                });
            }
            self.runtime.block_on(tokio::time::sleep(Duration::from_millis(50)));
        }
        Err(LogError::Unavailable("new topics are not known to the brokers yet".to_owned()))
    }

    fn check_settings(&self, admin: &Admin, specs: &[TopicSpec]) -> Result<(), LogError> {
        let topics: Vec<_> = specs.iter().map(|s| ResourceSpecifier::Topic(&s.name)).collect();
        let described = self.wait(admin.describe_configs(&topics, &Self::options()))?;
        for (spec, described) in specs.iter().zip(described) {
            let described = described
                .map_err(|code| LogError::Unavailable(format!("{}: {code}", spec.name)))?;
            self.check_topic_settings(spec, &described)?;
        }
        Ok(())
    }

    fn check_topic_settings(
        &self,
        spec: &TopicSpec,
        described: &ConfigResource,
    ) -> Result<(), LogError> {
        let text = |name: &str| described.get(name).and_then(|entry| entry.value.as_deref());
        let number = |name: &str| text(name).and_then(|value| value.parse::<i64>().ok());
        let wrong = |name: &str, rule: &str, value: String| {
            let is = text(name).unwrap_or("unknown");
            let alter = format!(
                "kafka-configs.sh --alter --entity-type topics --add-config {name}={value}"
            );
            let rule = format!("has {name} = {is}, {rule}: {}", self.command(&alter, &spec.name));
            Err(mismatch(&spec.name, rule))
        };
        let needed_policy = policy(spec.cleanup);
        if text("cleanup.policy") != Some(needed_policy) {
            let rule = match spec.cleanup {
                Cleanup::Delete => "and must be delete (compaction would drop messages of a key)",
                Cleanup::Compact => "and must be compact (deletion would forget what was said)",
            };
            return wrong("cleanup.policy", rule, needed_policy.to_owned());
        }
        let needed = retention_ms(spec);
        // A compacted topic keeps the newest record of a key whatever its retention is.
        let is_kept = spec.cleanup == Cleanup::Compact
            || number("retention.ms").is_some_and(|ms| ms == -1 || (needed >= 0 && ms >= needed));
        if !is_kept {
            let rule = format!("and must be at least {needed} (topics.retention_hours)");
            return wrong("retention.ms", &rule, needed.to_string());
        }
        let bytes = self.max_message_bytes();
        if number("max.message.bytes").is_none_or(|max| max < bytes) {
            let rule = format!("and must be at least {bytes} (log.max_record_bytes and overhead)");
            return wrong("max.message.bytes", &rule, bytes.to_string());
        }
        Ok(())
    }

    /// Offsets that are forgotten before the records they point at would stop every group.
    fn check_offsets_retention(&self, admin: &Admin, specs: &[TopicSpec]) -> Result<(), LogError> {
        let metadata = admin.inner().fetch_metadata(None, ANSWER).map_err(unavailable)?;
        let Some(broker) = metadata.brokers().first().map(|broker| broker.id()) else {
            return Ok(());
        };
        let options = Self::options().broker_id(broker);
        let asked = [ResourceSpecifier::Broker(broker)];
        let described = self.runtime.block_on(admin.describe_configs(&asked, &options));
        let described = described.ok().and_then(|all| all.into_iter().next()?.ok());
        let minutes = described
            .as_ref()
            .and_then(|broker| broker.get("offsets.retention.minutes")?.value.as_ref())
            .and_then(|value| value.parse::<i64>().ok());
        let Some(minutes) = minutes else {
            // The right to describe the brokers is not everybody's.
            tracing::warn!("offsets.retention.minutes of the brokers could not be checked");
            return Ok(());
        };
        let Some(longest) = specs.iter().max_by_key(|spec| spec.retention) else { return Ok(()) };
        let needed = retention_ms(longest) / 60_000;
        if minutes >= needed {
            return Ok(());
        }
        let rule = format!(
            "is kept for {needed} minutes, and the brokers forget offsets after {minutes}: set \
             offsets.retention.minutes={needed} in the brokers' server.properties, or lower \
             topics.retention_hours"
        );
        Err(mismatch(&longest.name, rule))
    }

    fn max_message_bytes(&self) -> i64 {
        i64::try_from(self.max_record_bytes + OVERHEAD_BYTES).unwrap_or(i64::MAX)
    }

    fn how_to_create(&self, spec: &TopicSpec) -> String {
        let mut create = format!(
            "kafka-topics.sh --create --partitions {} --config cleanup.policy={} --config \
             retention.ms={} --config max.message.bytes={}",
            spec.partitions,
            policy(spec.cleanup),
            retention_ms(spec),
            self.max_message_bytes()
        );
        for (key, value) in segments(spec.cleanup) {
            create.push_str(&format!(" --config {key}={value}"));
        }
        self.command(&create, &spec.name)
    }

    /// The whole command: what `tool` does, for a topic of these brokers.
    fn command(&self, tool: &str, topic: &str) -> String {
        let bootstrap = &self.settings.bootstrap_servers;
        let named = if tool.starts_with("kafka-configs") { "--entity-name" } else { "--topic" };
        format!("run: {tool} --bootstrap-server {bootstrap} {named} {topic}")
    }
}

/// What another process has done meanwhile is done.
fn accept(results: Vec<TopicResult>, done_already: RDKafkaErrorCode) -> Result<(), LogError> {
    for result in results {
        match result {
            Ok(_) => {}
            Err((_, code)) if code == done_already => {}
            Err((topic, code @ RDKafkaErrorCode::InvalidReplicationFactor)) => {
                let rule = format!("cannot be created: {code}: set kafka.replication_factor");
                return Err(mismatch(&topic, rule));
            }
            Err((
                topic,
                code @ (RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::ClusterAuthorizationFailed
                | RDKafkaErrorCode::PolicyViolation),
            )) => {
                let rule = format!(
                    "cannot be created: {code}: set kafka.create_topics = false \
                     and create it yourself"
                );
                return Err(mismatch(&topic, rule));
            }
            Err((topic, code)) => return Err(LogError::Unavailable(format!("{topic}: {code}"))),
        }
    }
    Ok(())
}
