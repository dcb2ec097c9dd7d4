//! Apache Cassandra, one node: its ports, configuration and command line.

use std::net::SocketAddrV4;
use std::path::Path;

use super::certificates::{KEY_STORE, STORE_PASSWORD};
use super::maven::Artifacts;

/// What is fetched.
pub const ARTIFACTS: Artifacts = Artifacts {
    name: "cassandra",
    version: "5.0.5",
    artifacts: &[["org.apache.cassandra", "cassandra-all", "5.0.5"]],
};

/// Where it would meet other nodes.
pub fn storage(address: SocketAddrV4) -> SocketAddrV4 {
    SocketAddrV4::new(*address.ip(), address.port() - 2_042)
}

/// Where its own tools reach it.
pub fn jmx(address: SocketAddrV4) -> SocketAddrV4 {
    SocketAddrV4::new(*address.ip(), address.port() - 1_843)
}

/// The files that Cassandra reads, by their names in its folder.
pub fn files(
    folder: &Path,
    certificates: &Path,
    address: SocketAddrV4,
) -> Vec<(&'static str, String)> {
    vec![("cassandra.yaml", yaml(folder, certificates, address)), ("logback.xml", LOGGING.into())]
}

/// What follows `java -cp ...` to run the server.
pub fn run(folder: &Path, address: SocketAddrV4) -> Vec<String> {
    let file = |name: &str| folder.join(name).display().to_string();
    let mut arguments: Vec<String> =
        ["-Xms1g", "-Xmx1g", "-Xss256k", "-XX:+UseG1GC", "-Djava.awt.headless=true"]
            .map(Into::into)
            .into();
    arguments.extend([
        format!("-Dcassandra.config=file://{}", file("cassandra.yaml")),
        format!("-Dcassandra.storagedir={}", file("data")),
        format!("-Dlogback.configurationFile={}", file("logback.xml")),
        format!("-Dcassandra.jmx.local.port={}", jmx(address).port()),
    ]);
    arguments.push("-Dcassandra-foreground=yes".into());
    // The only node has nobody to wait for.
    arguments.push("-Dcassandra.skip_wait_for_gossip_to_settle=0".into());
    arguments.push("-Dcassandra.ring_delay_ms=0".into());
    arguments.extend(opened_modules());
    arguments.push("org.apache.cassandra.service.CassandraDaemon".into());
    arguments
}

/// What Cassandra uses of the JDK's inner parts, which Java 17 closes.
fn opened_modules() -> Vec<String> {
    const EXPORTED: &[(&str, &[&str])] = &[
        ("java.base", &["jdk.internal.misc", "jdk.internal.ref", "sun.nio.ch", "java.lang.ref"]),
        ("java.management.rmi", &["com.sun.jmx.remote.internal.rmi"]),
        ("java.rmi", &["sun.rmi.registry", "sun.rmi.server"]),
        ("java.sql", &["java.sql"]),
        ("jdk.unsupported", &["sun.misc"]),
    ];
    const OPENED: &[(&str, &[&str])] = &[
        (
            "java.base",
            &[
                "java.lang",
                "java.lang.module",
                "java.io",
                "java.util",
                "java.util.concurrent",
                "java.util.concurrent.atomic",
                "java.nio",
                "sun.nio.ch",
                "jdk.internal.loader",
                "jdk.internal.ref",
                "jdk.internal.reflect",
                "jdk.internal.math",
                "jdk.internal.module",
                "jdk.internal.util.jar",
            ],
        ),
        ("jdk.management", &["com.sun.management.internal"]),
    ];
    let mut arguments = Vec::new();
    for (option, modules) in [("--add-exports", EXPORTED), ("--add-opens", OPENED)] {
        for (module, packages) in modules {
            let named = |package| format!("{option}={module}/{package}=ALL-UNNAMED");
            arguments.extend(packages.iter().map(named));
        }
    }
    arguments
}

/// To standard output, which goes to the server's log file.
const LOGGING: &str = r#"<configuration>
  <appender name="STDOUT" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>[%d] %p [%t] %m \(%c\)%n</pattern></encoder>
  </appender>
  <root level="INFO"><appender-ref ref="STDOUT"/></root>
</configuration>
"#;

fn yaml(folder: &Path, certificates: &Path, address: SocketAddrV4) -> String {
    let (ip, port, storage) = (address.ip(), address.port(), storage(address));
    let data = folder.join("data");
    let key_store = certificates.join(KEY_STORE);
    format!(
        "\
# Written anew at every start by `cargo xtask stack up`.
cluster_name: chat4all-stack
num_tokens: 1
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
endpoint_snitch: SimpleSnitch
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters:
      - seeds: \"{storage}\"
listen_address: {ip}
storage_port: {storage_port}
start_native_transport: true
rpc_address: {ip}
native_transport_port: {port}
authenticator: AllowAllAuthenticator
authorizer: AllowAllAuthorizer
# An acknowledged write is on the disk: `periodic` loses some when the process is killed.
commitlog_sync: batch
auto_snapshot: false
data_file_directories:
  - \"{data}/data\"
commitlog_directory: \"{data}/commitlog\"
saved_caches_directory: \"{data}/saved_caches\"
hints_directory: \"{data}/hints\"
cdc_raw_directory: \"{data}/cdc_raw\"
# Clients may use TLS, on the same port.
client_encryption_options:
  enabled: true
  optional: true
  keystore: \"{key_store}\"
  keystore_password: {STORE_PASSWORD}
  store_type: PKCS12
",
        storage_port = storage.port(),
        data = data.display(),
        key_store = key_store.display(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address() -> SocketAddrV4 {
        "127.0.0.1:19042".parse().unwrap()
    }

    #[test]
    fn the_documented_ports_belong_together() {
        assert_eq!(storage(address()).port(), 17000);
        assert_eq!(jmx(address()).port(), 17199);
        let text = yaml(Path::new("/s/cassandra"), Path::new("/c"), address());
        for line in
            ["storage_port: 17000", "native_transport_port: 19042", "rpc_address: 127.0.0.1"]
        {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(text.contains("- seeds: \"127.0.0.1:17000\""));
    }

    #[test]
    fn an_acknowledged_write_survives_a_killed_process() {
        let text = yaml(Path::new("/s/cassandra"), Path::new("/c"), address());
        assert!(text.contains("\ncommitlog_sync: batch\n") && !text.contains("periodic:"));
    }

    #[test]
    fn the_command_line_opens_what_java_closes_and_ends_with_the_main_class() {
        let arguments = run(Path::new("/s/cassandra"), address());
        let has = |wanted: &str| arguments.iter().any(|argument| argument == wanted);
        assert!(has("--add-exports=java.base/jdk.internal.misc=ALL-UNNAMED"));
        assert!(has("--add-opens=jdk.management/com.sun.management.internal=ALL-UNNAMED"));
        assert!(has("-Dcassandra-foreground=yes") && has("-Dcassandra.ring_delay_ms=0"));
        assert!(has("-Dcassandra.jmx.local.port=17199"));
        let main = "org.apache.cassandra.service.CassandraDaemon";
        assert_eq!(arguments.last().map(String::as_str), Some(main));
    }
}
