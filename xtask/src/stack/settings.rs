//! Where the servers of this stack listen, and where they keep their files.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Outcome};

/// What the variables of this program begin with.
pub const PREFIX: &str = "CHAT4ALL_STACK_";
/// Overrides where Kafka listens.
pub const KAFKA: &str = "CHAT4ALL_STACK_KAFKA";
/// Overrides where Cassandra listens.
pub const CASSANDRA: &str = "CHAT4ALL_STACK_CASSANDRA";
/// Where a proxy listens through which some clients reach Kafka.
pub const KAFKA_WIRE: &str = "CHAT4ALL_STACK_KAFKA_WIRE";
/// Overrides where the servers keep their files.
pub const FOLDER: &str = "CHAT4ALL_STACK_FOLDER";

const DEFAULT_KAFKA: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 19092);
const DEFAULT_CASSANDRA: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 19042);
/// The folder's name in the repository. Not in target/: `cargo clean` would take the files of
/// servers that run.
const DEFAULT_FOLDER: &str = ".stack";
/// The other ports of a server lie up to this far from the one that clients use.
const LARGEST_DISTANCE: u16 = 2_042;

/// The settings of one stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What belongs to this stack alone.
    pub folder: PathBuf,
    /// What every stack of this repository shares: jars and certificates.
    pub shared: PathBuf,
    /// Where clients reach Kafka without TLS.
    pub kafka: SocketAddrV4,
    /// Where clients reach Cassandra.
    pub cassandra: SocketAddrV4,
    /// Where a proxy listens, if there is one in front of a listener of Kafka's that is only for it.
    pub kafka_wire: Option<SocketAddrV4>,
}

impl Settings {
    /// From the environment of this process.
    ///
    /// # Errors
    /// If a variable has a value that cannot be used.
    pub fn load() -> Outcome<Self> {
        Self::new(&crate::project::root(), |name| std::env::var(name).ok())
    }

    /// The jars of every server.
    pub fn jars(&self) -> PathBuf {
        self.shared.join("jars")
    }

    /// The certificates, for every server and client.
    pub fn certificates(&self) -> PathBuf {
        self.shared.join("certificates")
    }

    /// A configuration that names the usual addresses, with those of this stack.
    pub fn adapt(&self, text: &str) -> String {
        text.replace(&DEFAULT_KAFKA.to_string(), &self.kafka.to_string())
            .replace(&DEFAULT_CASSANDRA.to_string(), &self.cassandra.to_string())
    }

    fn new(root: &Path, variable: impl Fn(&str) -> Option<String>) -> Outcome<Self> {
        let own = root.join(DEFAULT_FOLDER);
        let address = |name, default| match variable(name) {
            Some(text) => parse(name, &text),
            None => Ok(default),
        };
        let settings = Self {
            folder: variable(FOLDER).map_or_else(|| own.clone(), |folder| root.join(folder)),
            shared: own,
            kafka: address(KAFKA, DEFAULT_KAFKA)?,
            cassandra: address(CASSANDRA, DEFAULT_CASSANDRA)?,
            kafka_wire: variable(KAFKA_WIRE).map(|text| parse(KAFKA_WIRE, &text)).transpose()?,
        };
        Ok(settings)
    }
}

fn parse(name: &str, text: &str) -> Outcome<SocketAddrV4> {
    let range = LARGEST_DISTANCE + 1_024..=u16::MAX - LARGEST_DISTANCE;
    let address: Option<SocketAddrV4> = text.parse().ok();
    match address {
        Some(address) if address.ip().is_loopback() && range.contains(&address.port()) => {
            Ok(address)
        }
        _ => Err(Failure::usage(format!(
            "{name}={text}: must be an address of this machine and a port, {} to {}\n  \
             fix: for example {name}=127.0.0.1:29092",
            range.start(),
            range.end()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Outcome<Settings> {
        Settings::new(Path::new("/repository"), |name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn without_variables_the_servers_listen_on_the_documented_ports() {
        let settings = with(&[]).unwrap();
        assert_eq!(settings.kafka.to_string(), "127.0.0.1:19092");
        assert_eq!(settings.cassandra.to_string(), "127.0.0.1:19042");
        assert_eq!(settings.folder, Path::new("/repository/.stack"));
        assert_eq!(settings.kafka_wire, None);
    }

    #[test]
    fn a_second_stack_has_ports_and_a_folder_of_its_own_and_the_same_jars() {
        let second =
            [(KAFKA, "127.0.0.1:29092"), (CASSANDRA, "127.0.0.2:29042"), (FOLDER, "/tmp/x")];
        let settings = with(&second).unwrap();
        assert_eq!(settings.kafka.port(), 29092);
        assert_eq!(settings.cassandra.to_string(), "127.0.0.2:29042");
        assert_eq!(settings.folder, Path::new("/tmp/x"));
        assert_eq!(settings.jars(), with(&[]).unwrap().jars());
    }

    #[test]
    fn a_configuration_follows_the_stack() {
        let text = "kafka = '127.0.0.1:19092'\ncassandra = ['127.0.0.1:19042']\n";
        assert_eq!(with(&[]).unwrap().adapt(text), text);
        let other = with(&[(KAFKA, "127.0.0.1:29092")]).unwrap().adapt(text);
        assert_eq!(other, text.replace("19092", "29092"));
    }

    #[test]
    fn an_address_that_cannot_be_used_is_refused_with_its_name_and_a_fix() {
        for text in
            ["", "localhost:29092", "0.0.0.0:29092", "10.0.0.1:29092", "127.0.0.1:80", "127.0.0.1"]
        {
            let failure = with(&[(KAFKA, text)]).unwrap_err();
            assert_eq!(failure.code, crate::failure::USAGE);
            assert!(
                failure.text.contains(KAFKA) && failure.text.contains("fix: "),
                "{}",
                failure.text
            );
        }
    }
}
