//! Apache Kafka in KRaft mode, one node: its ports, configuration and command line.

use std::net::SocketAddrV4;
use std::path::Path;

use super::certificates::{KEY_STORE, STORE_PASSWORD};
use super::maven::Artifacts;

/// What is fetched.
pub const ARTIFACTS: Artifacts = Artifacts {
    name: "kafka",
    version: "4.1.1",
    artifacts: &[
        ["org.apache.kafka", "kafka_2.13", "4.1.1"],
        ["org.apache.kafka", "kafka-tools", "4.1.1"],
        // Without it Kafka logs nothing.
        ["org.apache.logging.log4j", "log4j-slf4j-impl", "2.24.3"],
    ],
};

/// The user of the listener with TLS and SASL. A password for tests, printed in the documentation.
pub const USER: &str = "chat4all";
/// Its password.
pub const PASSWORD: &str = "chat4all-test";

/// Any 16 bytes in base64 would do; the same every time, so that clients meet the same cluster.
const CLUSTER_ID: &str = "Y2hhdDRhbGwtc3RhY2stMQ";

/// Where the controller listens, for Kafka itself.
pub fn controller(address: SocketAddrV4) -> SocketAddrV4 {
    SocketAddrV4::new(*address.ip(), address.port() + 1)
}

/// Where clients with TLS and SASL are served.
pub fn sasl_ssl(address: SocketAddrV4) -> SocketAddrV4 {
    SocketAddrV4::new(*address.ip(), address.port() + 2)
}

/// Where Kafka listens behind a proxy.
pub fn behind_wire(address: SocketAddrV4) -> SocketAddrV4 {
    SocketAddrV4::new(*address.ip(), address.port() + 3)
}

/// The files that Kafka reads, by their names in its folder.
///
/// Kafka tells its clients where it is: to those that come through a proxy, `wire`, it must name
/// the proxy.
pub fn files(
    folder: &Path,
    certificates: &Path,
    address: SocketAddrV4,
    wire: Option<SocketAddrV4>,
) -> Vec<(&'static str, String)> {
    vec![
        ("server.properties", properties(folder, certificates, address, wire)),
        ("log4j2.properties", LOGGING.into()),
    ]
}

/// What follows `java -cp ...` to run the server.
pub fn run(folder: &Path) -> Vec<String> {
    let file = |name: &str| folder.join(name).display().to_string();
    let mut arguments: Vec<String> =
        ["-Xms256m", "-Xmx512m", "-XX:+UseG1GC", "-Djava.awt.headless=true"].map(Into::into).into();
    arguments.push(logging(folder));
    arguments.extend(["kafka.Kafka".into(), file("server.properties")]);
    arguments
}

/// What follows `java -cp ...` to prepare an empty data folder.
pub fn format(folder: &Path) -> Vec<String> {
    let properties = folder.join("server.properties").display().to_string();
    let tool = ["kafka.tools.StorageTool", "format", "--ignore-formatted", "-t", CLUSTER_ID, "-c"];
    let mut arguments = vec!["-Xmx128m".to_owned(), logging(folder)];
    arguments.extend(tool.map(str::to_owned));
    arguments.push(properties);
    arguments
}

/// What the data folder holds once it is prepared.
pub const FORMATTED: &str = "data/meta.properties";

fn logging(folder: &Path) -> String {
    format!("-Dlog4j2.configurationFile={}", folder.join("log4j2.properties").display())
}

/// To standard output, which goes to the server's log file.
const LOGGING: &str = "\
status = warn
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = [%d] %p %m (%c)%n
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
";

fn properties(
    folder: &Path,
    certificates: &Path,
    address: SocketAddrV4,
    wire: Option<SocketAddrV4>,
) -> String {
    let (controller, sasl_ssl) = (controller(address), sasl_ssl(address));
    let named = |end: SocketAddrV4| wire.map(|_| format!(",WIRE://{end}")).unwrap_or_default();
    let (behind, before) = (named(behind_wire(address)), named(wire.unwrap_or(address)));
    let data = folder.join("data");
    let key_store = certificates.join(KEY_STORE);
    let listener = "listener.name.sasl_ssl";
    format!(
        "\
# Written anew at every start by `cargo xtask stack up`.
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://{address},CONTROLLER://{controller},SASL_SSL://{sasl_ssl}{behind}
advertised.listeners=PLAINTEXT://{address},SASL_SSL://{sasl_ssl}{before}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL,WIRE:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs={data}

# TLS and SASL, for tests: a certificate and a password of this stack alone.
{listener}.ssl.keystore.type=PKCS12
{listener}.ssl.keystore.location={key_store}
{listener}.ssl.keystore.password={STORE_PASSWORD}
{listener}.ssl.key.password={STORE_PASSWORD}
{listener}.sasl.enabled.mechanisms=PLAIN
{listener}.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule \
required user_{USER}=\"{PASSWORD}\";

# One node is all there is.
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1

# Topics are created on purpose, never by a mistyped name.
auto.create.topics.enable=false
num.partitions=1
# The first rebalance does not wait for more members.
group.initial.rebalance.delay.ms=0
# A broker that was killed cannot register again while its last session goes on (default: 9 s).
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=500
# 30 days: longer than any topic keeps its records.
offsets.retention.minutes=43200
# Tests write records of long ago, and say themselves when those expire.
log.retention.check.interval.ms=86400000
# Created at a group's first commit; fewer partitions are created and recovered faster.
offsets.topic.num.partitions=10
transaction.state.log.num.partitions=10
",
        data = data.display(),
        key_store = key_store.display(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address() -> SocketAddrV4 {
        "127.0.0.1:19092".parse().unwrap()
    }

    #[test]
    fn every_listener_has_a_port_of_its_own_beside_the_clients() {
        let text = properties(Path::new("/s/kafka"), Path::new("/c"), address(), None);
        let listeners = "\nlisteners=PLAINTEXT://127.0.0.1:19092,CONTROLLER://127.0.0.1:19093,\
                         SASL_SSL://127.0.0.1:19094\n";
        assert!(text.contains(listeners), "{text}");
        assert!(text.contains("\ncontroller.quorum.voters=1@127.0.0.1:19093\n"));
    }

    #[test]
    fn clients_that_come_through_a_proxy_are_told_to_stay_there() {
        let wire = "127.0.0.1:4000".parse().ok();
        let text = properties(Path::new("/s/kafka"), Path::new("/c"), address(), wire);
        for words in [",WIRE://127.0.0.1:19095\nadvertised", ",WIRE://127.0.0.1:4000\nlistener"] {
            assert!(text.contains(words), "{words} is not in\n{text}");
        }
    }

    #[test]
    fn offsets_outlive_records_and_no_topic_comes_from_a_typing_error() {
        let text = properties(Path::new("/s/kafka"), Path::new("/c"), address(), None);
        for line in [
            "auto.create.topics.enable=false",
            "group.initial.rebalance.delay.ms=0",
            "offsets.retention.minutes=43200",
            "offsets.topic.replication.factor=1",
            "log.dirs=/s/kafka/data",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn a_setting_is_one_line_also_when_it_is_long() {
        let text = properties(Path::new("/s/kafka"), Path::new("/c"), address(), None);
        let user = "listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.\
                    plain.PlainLoginModule required user_chat4all=\"chat4all-test\";";
        assert!(text.lines().any(|line| line == user), "{text}");
        assert!(!text.lines().any(|line| line.starts_with(' ')));
    }

    #[test]
    fn the_cluster_id_is_16_bytes_in_base64() {
        assert_eq!(CLUSTER_ID.len(), 22);
    }
}
