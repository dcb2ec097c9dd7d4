//! The whole system of a test: servers, the simulator, the services.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::Instant;

use super::autopsy::{Autopsy, LastMoment};
use super::groups::Group;
use super::service::Service;
use super::stack::Stack;
use super::{Config, Http, Ledger, Role, eventually, ports};

/// Where the files of a run are.
pub struct Place {
    /// Holds the servers' files. Of all runs with the same root there is one at a time.
    pub root: PathBuf,
    /// Holds the configuration, and what the processes write. Emptied at the start.
    pub folder: PathBuf,
    /// Where a wire begins that leads to Kafka, for services that are to talk to it through one.
    pub kafka_wire: Option<SocketAddrV4>,
}

/// See the module. Dropping it ends everything.
pub struct Cluster {
    services: BTreeMap<String, Service>,
    /// For questions to all of them.
    pub http: Http,
    /// What they read.
    pub config: Config,
    folder: PathBuf,
    /// What all read whose role has no file of its own.
    file: PathBuf,
    files: BTreeMap<Role, PathBuf>,
    /// Kafka and Cassandra. Last: servers end after their clients.
    pub stack: Stack,
}

impl Cluster {
    /// Starts servers, simulator and the five services.
    pub async fn start(place: Place, config: Config) -> Self {
        let mut cluster = Self::without_services(place, config).await;
        for role in Role::SERVICES {
            cluster.spawn(role, &role.name());
        }
        for role in Role::SERVICES {
            cluster.service(role).started().await;
        }
        cluster
    }

    /// Starts servers and simulator only.
    pub async fn without_services(place: Place, config: Config) -> Self {
        let Place { root, folder, kafka_wire } = place;
        let stack = Stack::start(&root, kafka_wire).await;
        if folder.exists() {
            fs::remove_dir_all(&folder).expect("logs of the last run can be removed");
        }
        fs::create_dir_all(&folder).expect("a folder");
        let data = folder.join("data");
        fs::create_dir(&data).expect("a folder");
        let config = config
            .text("data", &data.display().to_string())
            .text("kafka.bootstrap_servers", &stack.kafka.to_string())
            .set("cassandra.contact_points", format!("[\"{}\"]", stack.cassandra));
        let roles = [Role::Simulator].into_iter().chain(Role::SERVICES);
        let config = roles.fold(config, |config, role| {
            config.text(&role.listen(), &format!("127.0.0.1:{}", ports::free(&[])))
        });
        let file = folder.join("chat4all.toml");
        let http = Http::new();
        let (services, files) = (BTreeMap::new(), BTreeMap::new());
        let mut cluster = Self { services, http, config, folder, file, files, stack };
        let simulator = cluster.url(Role::Simulator);
        cluster.config = cluster.config.clone().text("simulation.url", &simulator);
        fs::write(&cluster.file, cluster.config.whole()).expect("a file");
        cluster.spawn(Role::Simulator, "simulator");
        cluster.service(Role::Simulator).started().await;
        cluster
    }

    /// Another file for what is started from now on.
    pub fn write_config(&self, name: &str, text: &str) -> PathBuf {
        let file = self.folder.join(name);
        fs::write(&file, text).expect("a file");
        file
    }

    /// A file of its own for every process of a role that is started from now on.
    pub fn configure(&mut self, role: Role, config: &Config) {
        let file = self.write_config(&format!("{}.toml", role.name()), &config.whole());
        self.files.insert(role, file);
    }

    /// Starts a process, without waiting for it. Another of the same role gets another port.
    pub fn spawn(&mut self, role: Role, name: &str) {
        let file = self.files.get(&role).unwrap_or(&self.file).clone();
        self.spawn_with(role, name, &file);
    }

    /// As [`Cluster::spawn`], with a file of its own.
    pub fn spawn_with(&mut self, role: Role, name: &str, file: &Path) {
        let is_first = name == role.name();
        let port = if is_first { self.config.port(role) } else { ports::free(&[]) };
        let service = Service::spawn(role, name, port, file, &self.folder);
        self.services.insert(name.to_owned(), service);
    }

    /// Where a process listens.
    pub fn port_of(&self, name: &str) -> Option<u16> {
        self.services.get(name).map(|service| service.port)
    }

    /// Whether there is a process with this name, running or not.
    pub fn has(&self, name: &str) -> bool {
        self.services.contains_key(name)
    }

    /// Ends a process, if it has not ended, and forgets it.
    pub fn remove(&mut self, name: &str) {
        self.services.remove(name);
    }

    /// The first process of a role.
    pub fn service(&mut self, role: Role) -> &mut Service {
        self.named(&role.name())
    }

    /// A process by its name.
    pub fn named(&mut self, name: &str) -> &mut Service {
        self.services.get_mut(name).unwrap_or_else(|| panic!("{name} was started"))
    }

    /// `http://…` of the first process of a role, also while there is none.
    pub fn url(&self, role: Role) -> String {
        format!("http://127.0.0.1:{}", self.config.port(role))
    }

    /// `kill -9` of a service and its restart at once. Answers how long it took until the service
    /// did something again, and what a connector left behind.
    pub async fn kill_and_restart(&mut self, role: Role) -> (Duration, Option<Autopsy>) {
        self.service(role).kill().await;
        let died = Instant::now();
        let last = match role {
            Role::Connector(platform) => Some(LastMoment::of(self, platform).await),
            _ => None,
        };
        let before = self.done(role).await;
        self.spawn(role, &role.name());
        // The dead one keeps its partitions until its session is over: nobody calls until then.
        let autopsy = match last {
            Some(last) => {
                let accepted = Ledger::accepted(self, last.platform).await;
                Some(last.examine(self, &accepted).await)
            }
            None => None,
        };
        self.recovers(role, before).await;
        (died.elapsed(), autopsy)
    }

    /// SIGTERM, and the next start once the old process has ended. Answers how long it took until
    /// the service did something again.
    pub async fn restart(&mut self, role: Role) -> Duration {
        let began = Instant::now();
        let code = self.service(role).terminate().await;
        assert_eq!(code, Some(0), "{} drains and ends well", role.name());
        let before = self.done(role).await;
        self.spawn(role, &role.name());
        self.recovers(role, before).await;
        began.elapsed()
    }

    /// How many records a service has done with, if it reads the log.
    pub async fn done(&self, role: Role) -> Option<u64> {
        Some(Group::of(self, role)?.done().await)
    }

    /// Waits until a service does something again: for one that reads the log, a commit that is
    /// further than before; for another one, an answer.
    pub async fn recovers(&mut self, role: Role, before: Option<u64>) {
        self.service(role).started().await;
        let progress = Group::of(self, role).zip(before);
        if let Some((group, before)) = progress {
            return group.passes(before).await;
        }
        let (http, url) = (self.http.clone(), format!("{}/ready", self.url(role)));
        eventually(&format!("{} is ready", role.name()), async || http.text(&url).await).await;
    }

    /// SIGSTOP: it keeps its connections and does nothing.
    pub fn freeze(&mut self, name: &str) {
        self.named(name).signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn thaw(&mut self, name: &str) {
        self.named(name).signal(Signal::CONT);
    }

    /// Stops every service as an operator does.
    pub async fn stop(mut self) {
        for role in Role::SERVICES {
            let code = self.service(role).terminate().await;
            assert_eq!(code, Some(0), "{} drains and ends well", role.name());
        }
    }
}
