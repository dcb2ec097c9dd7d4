//! Whom Prometheus asks.

use std::collections::{BTreeMap, HashMap};

use chat4all::settings::Settings;
use serde::Deserialize;

use crate::files::{list, yaml};

#[derive(Deserialize)]
struct Config {
    global: Global,
    rule_files: Vec<String>,
    scrape_configs: Vec<Job>,
}

#[derive(Deserialize)]
struct Global {
    scrape_interval: String,
    evaluation_interval: String,
}

#[derive(Deserialize)]
struct Job {
    job_name: String,
    static_configs: Vec<Targets>,
}

#[derive(Deserialize)]
struct Targets {
    targets: Vec<String>,
}

/// The target of each job but Prometheus' own.
fn targets(path: &str) -> BTreeMap<String, String> {
    let config: Config = yaml(path);
    assert_eq!(config.rule_files, ["rules/*.yml"], "{path}");
    // Of the dashboards' data source, too.
    let Global { scrape_interval, evaluation_interval } = config.global;
    assert_eq!((scrape_interval.as_str(), evaluation_interval.as_str()), ("5s", "5s"), "{path}");
    let mut targets = BTreeMap::new();
    for job in config.scrape_configs.into_iter().filter(|job| job.job_name != "prometheus") {
        let [group] = job.static_configs.as_slice() else { panic!("{path}: {}", job.job_name) };
        let [target] = group.targets.as_slice() else { panic!("{path}: {}", job.job_name) };
        assert!(targets.insert(job.job_name, target.clone()).is_none(), "{path}");
    }
    targets
}

/// The default port of each service.
fn ports() -> BTreeMap<String, u16> {
    let settings = Settings::load(None, HashMap::new()).unwrap();
    let mut ports = BTreeMap::from([
        ("api".to_owned(), settings.api.listen.port()),
        ("router".to_owned(), settings.router.listen.port()),
        ("status-consumer".to_owned(), settings.status_consumer.listen.port()),
    ]);
    for (platform, connector) in &settings.connectors {
        ports.insert(format!("connector-{platform}"), connector.listen.port());
    }
    ports
}

#[test]
fn every_service_is_asked_at_its_port() {
    let at = |host: fn(&str) -> String| -> BTreeMap<String, String> {
        let target =
            |(name, port): (String, u16)| (name.clone(), format!("{}:{port}", host(&name)));
        ports().into_iter().map(target).collect()
    };
    assert_eq!(targets("prometheus/prometheus.yml"), at(str::to_owned));
    assert_eq!(targets("prometheus/local.yml"), at(|_| "127.0.0.1".to_owned()));
    let one = targets("prometheus/one-process.yml");
    assert_eq!(one, [("chat4all".to_owned(), format!("127.0.0.1:{}", ports()["api"]))].into());
    assert_eq!(list("prometheus", ".yml").len(), 3, "a configuration is not checked");
}
