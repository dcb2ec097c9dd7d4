//! A real Prometheus for the time of a check, on the repository's own configuration.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::http;
use crate::failure::{Failure, Outcome};
use crate::wait;

/// How long it may take to start.
const START: Duration = Duration::from_secs(30);

/// A running Prometheus; it ends with this.
#[derive(Debug)]
pub struct Prometheus {
    child: Child,
    address: SocketAddr,
    _folder: TempDir,
}

/// An alert that waits for its time, or fires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Its name.
    pub name: String,
    /// Its platform, if it is about one.
    pub platform: Option<String>,
    /// Whether it fires.
    pub fires: bool,
}

/// Somebody whom Prometheus asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its job.
    pub job: String,
    /// Where it is.
    pub instance: String,
    /// Whether it has answered.
    pub answers: bool,
}

impl Prometheus {
    /// Starts it on a copy of `config` that asks every second instead of every five, so that a
    /// check takes a minute less. What alerts wait for (`for:`) stays as it is.
    ///
    /// # Errors
    /// If the program or the file is not there, or does not fit.
    pub fn start(config: &Path) -> Outcome<Self> {
        let folder = tempfile::tempdir()
            .map_err(|error| Failure::file("a folder for Prometheus", &error))?;
        let address = free_address()?;
        let text =
            fs::read_to_string(config).map_err(|error| Failure::file(config.display(), &error))?;
        let text = hurried(&text, config, address)?;
        let copy = folder.path().join("prometheus.yml");
        fs::write(&copy, text).map_err(|error| Failure::file(copy.display(), &error))?;
        let log_path = folder.path().join("log");
        let log =
            File::create(&log_path).map_err(|error| Failure::file(log_path.display(), &error))?;
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", copy.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|error| {
                Failure::unavailable(format!(
                    "prometheus cannot be started: {error}\n  fix: install it (Debian: apt-get install prometheus)"
                ))
            })?;
        let mut this = Self { child, address, _folder: folder };
        match this.wait_until_it_answers() {
            true => Ok(this),
            false => {
                let log = fs::read_to_string(log_path).unwrap_or_default();
                Err(Failure::unavailable(format!("Prometheus does not answer:\n{log}")))
            }
        }
    }

    fn wait_until_it_answers(&mut self) -> bool {
        let answered = wait::until(START, |_| {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return Some(false);
            }
            let ready = http::ask("GET", self.address, "/-/ready");
            ready.is_ok_and(|answer| answer.status == 200).then_some(true)
        });
        answered == Some(true)
    }

    /// Asks for an expression as of now.
    ///
    /// # Errors
    /// In words: no answer, or what Prometheus says is wrong with the expression.
    pub fn query(&self, expr: &str) -> Result<Vec<Value>, String> {
        let form = format!("query={}", http::encoded(expr));
        let kind = "application/x-www-form-urlencoded";
        let answer = http::post(self.address, "/api/v1/query", kind, &form)
            .map_err(|error| error.to_string())?
            .json();
        if answer["status"] != "success" {
            return Err(answer["error"].as_str().unwrap_or("no answer of Prometheus").to_owned());
        }
        Ok(answer["data"]["result"].as_array().cloned().unwrap_or_default())
    }

    /// Whom it asks, but itself.
    ///
    /// # Errors
    /// As [`Prometheus::query`].
    pub fn targets(&self) -> Result<Vec<Target>, String> {
        let answer = http::ask("GET", self.address, "/api/v1/targets?state=active");
        let answer = answer.map_err(|error| error.to_string())?.json();
        let targets = answer["data"]["activeTargets"].as_array();
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let target = |target: &Value| Target {
            job: word(&target["labels"]["job"]),
            instance: word(&target["labels"]["instance"]),
            answers: target["health"] == "up",
        };
        let targets = targets.ok_or("no answer of Prometheus")?.iter().map(target);
        Ok(targets.filter(|target| target.job != "prometheus").collect())
    }

    /// The alerts that are not quiet.
    ///
    /// # Errors
    /// As [`Prometheus::query`].
    pub fn alerts(&self) -> Result<Vec<Alert>, String> {
        let answer = http::ask("GET", self.address, "/api/v1/alerts");
        let answer = answer.map_err(|error| error.to_string())?.json();
        let alerts = answer["data"]["alerts"].as_array().ok_or("no answer of Prometheus")?;
        let word = |value: &Value| value.as_str().map(str::to_owned);
        let alert = |alert: &Value| Alert {
            name: word(&alert["labels"]["alertname"]).unwrap_or_default(),
            platform: word(&alert["labels"]["platform"]),
            fires: alert["state"] == "firing",
        };
        Ok(alerts.iter().map(alert).collect())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // Its data goes with the folder, so there is nothing that it would have to save.
        let _has_ended = self.child.kill();
        let _has_ended = self.child.wait();
    }
}

/// An address that nobody listens on. Somebody else could take it in between: then Prometheus
/// says so.
fn free_address() -> Outcome<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map_err(|error| Failure::unavailable(format!("no port is free: {error}")))
}

/// The configuration for a check: faster, with the rules where they are, and itself where it is.
fn hurried(text: &str, config: &Path, itself: SocketAddr) -> Outcome<String> {
    let folder = config.parent().map(Path::to_owned).unwrap_or_default();
    let folder: PathBuf =
        folder.canonicalize().map_err(|error| Failure::file(folder.display(), &error))?;
    let rules = format!("rule_files: [\"{}/rules/*.yml\"]", folder.display());
    let changes = [
        ("scrape_interval: 5s", "scrape_interval: 1s".to_owned()),
        ("scrape_timeout: 4s", "scrape_timeout: 1s".to_owned()),
        ("evaluation_interval: 5s", "evaluation_interval: 1s".to_owned()),
        ("rule_files: [rules/*.yml]", rules),
        ("127.0.0.1:9090", itself.to_string()),
    ];
    let mut text: String = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| format!("{line}\n"))
        .collect();
    for (from, to) in changes {
        if !text.contains(from) {
            let what = format!("{} does not say `{from}`", config.display());
            return Err(Failure::unsuccessful(format!("{what}: this check builds on it")));
        }
        text = text.replace(from, &to);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project;

    #[test]
    fn the_repositorys_configuration_can_be_hurried() {
        let config = project::root().join("prometheus/local.yml");
        let text = fs::read_to_string(&config).unwrap();
        let hurried = hurried(&text, &config, "127.0.0.1:1234".parse().unwrap()).unwrap();
        assert!(hurried.contains("evaluation_interval: 1s"), "{hurried}");
        assert!(hurried.contains("/prometheus/rules/*.yml"), "{hurried}");
        assert!(!hurried.contains(":9090"), "{hurried}");
        let error = super::hurried("global: {}", &config, "127.0.0.1:1".parse().unwrap());
        assert!(error.unwrap_err().text.contains("scrape_interval"));
    }
}
