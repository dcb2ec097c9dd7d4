//! `[cassandra]`: how a service reaches Apache Cassandra or ScyllaDB.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use chat4all_process::ConfigError;
use chat4all_process::config::Bounded;
use secrecy::SecretString;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// `[cassandra]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct CassandraSettings {
    /// Nodes to begin with, `host:port`: a list, or one text with commas. The others are found.
    #[serde(deserialize_with = "addresses")]
    pub contact_points: Vec<String>,
    /// Where the tables are. Created if it is missing.
    pub keyspace: String,
    /// The data centre to ask; required where the cluster has several.
    pub local_datacenter: Option<String>,
    /// Copies of every row, on any nodes; without `data_centers`.
    pub replication_factor: Bounded<1, 9>,
    /// Copies of every row in each data centre, in place of `replication_factor`.
    pub data_centers: BTreeMap<String, Bounded<1, 9>>,
    /// The user.
    pub username: Option<String>,
    /// The user's password.
    #[serde(skip_serializing)]
    pub password: Option<SecretString>,
    /// How the connection is protected.
    pub tls: CassandraTls,
    /// How long a node may take to accept a connection, in milliseconds.
    pub connect_timeout_ms: Bounded<100, 60_000>,
    /// How long a call may take, with all its requests and the wait for `max_in_flight`, in
    /// milliseconds.
    pub request_timeout_ms: Bounded<100, 60_000>,
    /// The most requests under way at once; further ones wait.
    pub max_in_flight: Bounded<1, 30_000>,
    /// Between whom a claim is decided.
    pub claims: ClaimScope,
}

/// `[cassandra.tls]`
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct CassandraTls {
    /// Whether connections use TLS.
    pub enabled: bool,
    /// Whom to trust, PEM.
    pub ca_file: Option<PathBuf>,
    /// Our certificate, PEM, if the nodes ask for one.
    pub certificate_file: Option<PathBuf>,
    /// Its key, PEM.
    pub key_file: Option<PathBuf>,
    /// The name in every node's certificate; absent = the certificates name the nodes' addresses.
    pub server_name: Option<String>,
}

/// Between whom a claim is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ClaimScope {
    /// The replicas of the local data centre: for an API that runs in one data centre.
    LocalDatacenter,
    /// All replicas: for an API that runs in several.
    Cluster,
}

impl Default for CassandraSettings {
    fn default() -> Self {
        Self {
            contact_points: vec!["127.0.0.1:9042".to_owned()],
            keyspace: "chat4all".to_owned(),
            local_datacenter: None,
            replication_factor: Bounded::new(1),
            data_centers: BTreeMap::new(),
            username: None,
            password: None,
            tls: CassandraTls::default(),
            connect_timeout_ms: Bounded::new(5_000),
            request_timeout_ms: Bounded::new(5_000),
            max_in_flight: Bounded::new(512),
            claims: ClaimScope::LocalDatacenter,
        }
    }
}

impl CassandraSettings {
    /// Checks what single values cannot show. `section` is the settings' own key.
    ///
    /// # Errors
    /// The first contradiction, with the key to mend.
    pub fn validate(&self, section: &str) -> Result<(), ConfigError> {
        let key = |name: &str| format!("{section}.{name}");
        let is_address = |text: &String| {
            let parts = text.rsplit_once(':');
            parts.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
        };
        if self.contact_points.is_empty() || !self.contact_points.iter().all(is_address) {
            return Err(ConfigError::of(
                &key("contact_points"),
                self.contact_points.join(","),
                "must be host:port, one or several".to_owned(),
                "write for example [\"cassandra-1:9042\", \"cassandra-2:9042\"]",
            ));
        }
        if !is_keyspace(&self.keyspace) {
            return Err(ConfigError::of(
                &key("keyspace"),
                &self.keyspace,
                "must be a lower-case letter and up to 47 lower-case letters, digits and _"
                    .to_owned(),
                "write for example chat4all",
            ));
        }
        let replicated = self.data_centers.keys().map(|name| ("data_centers", name));
        let local = self.local_datacenter.iter().map(|name| ("local_datacenter", name));
        if let Some((of, name)) = replicated.chain(local).find(|(_, name)| !is_data_center(name)) {
            return Err(ConfigError::of(
                &key(of),
                name,
                "a data centre's name must be 1 to 64 letters, digits, _, -, . and :".to_owned(),
                "write the name that `nodetool status` shows",
            ));
        }
        if self.username.is_some() != self.password.is_some() {
            let absent = if self.username.is_some() { "password" } else { "username" };
            let rule = "username and password belong together".to_owned();
            return Err(ConfigError::missing(&key(absent), rule, "give both, or none"));
        }
        self.validate_tls(&key)
    }

    fn validate_tls(&self, key: &dyn Fn(&str) -> String) -> Result<(), ConfigError> {
        let tls = &self.tls;
        let pair = (&tls.certificate_file, &tls.key_file);
        let is_given = tls.ca_file.is_some() || tls.server_name.is_some() || pair != (&None, &None);
        if is_given && !tls.enabled {
            let rule = "has no effect without tls.enabled = true".to_owned();
            let fix = "set tls.enabled = true, or remove the section";
            return Err(ConfigError::missing(&key("tls"), rule, fix));
        }
        if tls.enabled && tls.ca_file.is_none() {
            let rule = "is required with tls.enabled = true".to_owned();
            let fix = "give the certificate of the authority that signed the nodes' certificates";
            return Err(ConfigError::missing(&key("tls.ca_file"), rule, fix));
        }
        if pair.0.is_some() != pair.1.is_some() {
            let rule = "certificate_file and key_file belong together".to_owned();
            return Err(ConfigError::missing(&key("tls"), rule, "give both, or none"));
        }
        Ok(())
    }

    /// The replication of a keyspace that is created, as CQL. Of the validated grammar, so nothing
    /// in it needs quoting.
    pub(super) fn replication(&self) -> String {
        let factors: BTreeMap<String, String> = self.replication_options();
        let options: Vec<String> =
            factors.iter().map(|(name, value)| format!("'{name}': '{value}'")).collect();
        format!("{{{}}}", options.join(", "))
    }

    /// The same as options.
    pub(super) fn replication_options(&self) -> BTreeMap<String, String> {
        let option = |name: &str, value: String| (name.to_owned(), value);
        if self.data_centers.is_empty() {
            let factor = self.replication_factor.get().to_string();
            let class = option("class", "SimpleStrategy".to_owned());
            return [class, option("replication_factor", factor)].into();
        }
        let class = option("class", "NetworkTopologyStrategy".to_owned());
        let centers = self.data_centers.iter();
        centers
            .map(|(name, factor)| option(name, factor.get().to_string()))
            .chain([class])
            .collect()
    }
}

/// CQL's unquoted identifiers, of which keyspaces may have 48 characters.
fn is_keyspace(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.len() <= 48
        && name.chars().all(allowed)
}

fn is_data_center(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.:".contains(c);
    (1..=64).contains(&name.len()) && name.chars().all(allowed)
}

/// A list, or a text with commas: all that an environment variable can say.
fn addresses<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct Addresses;

    impl<'de> Visitor<'de> for Addresses {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("addresses host:port, as a list or separated by commas")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
            Ok(text.split(',').map(|address| address.trim().to_owned()).collect())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut addresses = Vec::new();
            while let Some(address) = list.next_element::<String>()? {
                addresses.push(address);
            }
            Ok(addresses)
        }
    }

    deserializer.deserialize_any(Addresses)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashMap};

    use chat4all_process::config::load;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct File {
        cassandra: CassandraSettings,
    }

    fn read(text: &str, environment: &[(&str, &str)]) -> Result<CassandraSettings, ConfigError> {
        let environment: HashMap<String, String> =
            environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let settings = load::<File>(&["[cassandra]\n", text], None, environment)?.cassandra;
        settings.validate("cassandra").map(|()| settings)
    }

    fn refused(text: &str) -> ConfigError {
        read(&format!("[cassandra]\n{text}\n"), &[]).unwrap_err()
    }

    #[test]
    fn the_defaults_are_one_node_on_this_machine() {
        let settings = read("", &[]).unwrap();
        assert_eq!(settings.contact_points, ["127.0.0.1:9042"]);
        let replication = "{'class': 'SimpleStrategy', 'replication_factor': '1'}";
        assert_eq!(settings.replication(), replication);
    }

    #[test]
    fn contact_points_are_a_list_or_a_text_with_commas() {
        let settings = read("[cassandra]\ncontact_points = ['a:1', '[::1]:2']", &[]).unwrap();
        assert_eq!(settings.contact_points, ["a:1", "[::1]:2"]);
        let variable = [("CHAT4ALL__CASSANDRA__CONTACT_POINTS", "a:1, b:2")];
        assert_eq!(read("", &variable).unwrap().contact_points, ["a:1", "b:2"]);
        for text in ["[]", "['a']", "['a:']", "[':1']", "['a:70000']", "''", "['a:1', 'b']"] {
            let error = refused(&format!("contact_points = {text}"));
            assert_eq!(error.key, "cassandra.contact_points", "{text}");
        }
    }

    #[test]
    fn a_keyspace_is_a_plain_name() {
        for name in ["", "Chat", "4all", "_a", "a-b", "a.b", "a;drop", &"a".repeat(49)] {
            assert_eq!(refused(&format!("keyspace = '{name}'")).key, "cassandra.keyspace");
        }
        assert!(read(&format!("[cassandra]\nkeyspace = '{}'", "a".repeat(48)), &[]).is_ok());
    }

    #[test]
    fn data_centers_take_the_place_of_the_factor() {
        let text = "[cassandra]\nreplication_factor = 2\n\
                    data_centers = { 'eu-west' = 3, DC2 = 2 }";
        let expected = "{'DC2': '2', 'class': 'NetworkTopologyStrategy', 'eu-west': '3'}";
        assert_eq!(read(text, &[]).unwrap().replication(), expected);
        assert_eq!(refused("data_centers = { \"a'b\" = 3 }").key, "cassandra.data_centers");
        assert_eq!(refused("local_datacenter = ''").key, "cassandra.local_datacenter");
        let error = refused("data_centers = { dc1 = 0 }");
        assert_eq!(error.key, "cassandra.data_centers.dc1");
    }

    #[test]
    fn numbers_have_bounds_and_unknown_keys_are_refused() {
        for (text, key) in [
            ("max_in_flight = 0", "cassandra.max_in_flight"),
            ("request_timeout_ms = 99", "cassandra.request_timeout_ms"),
            ("replication_factor = 10", "cassandra.replication_factor"),
            ("consistency = 'ONE'", "cassandra.consistency"),
            ("claims = 'nobody'", "cassandra.claims"),
        ] {
            assert_eq!(refused(text).key, key);
        }
    }

    #[test]
    fn what_belongs_together_is_given_together() {
        for (text, key) in [
            ("username = 'a'", "cassandra.password"),
            ("password = 'hunter2'", "cassandra.username"),
            ("tls = { enabled = true }", "cassandra.tls.ca_file"),
            ("tls = { ca_file = 'a.pem' }", "cassandra.tls"),
            ("tls = { enabled = true, ca_file = 'a', key_file = 'b' }", "cassandra.tls"),
        ] {
            assert_eq!(refused(text).key, key);
        }
    }

    fn documentation() -> String {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
        std::fs::read_to_string(page).unwrap()
    }

    #[test]
    fn the_example_in_the_documentation_is_accepted() {
        let page = documentation();
        let start = page.find("[cassandra]\n").unwrap();
        let example = page[start..].split("```").next().unwrap();
        let password = [("CHAT4ALL__CASSANDRA__PASSWORD", "hunter2")];
        let settings = read(example, &password).unwrap();
        assert!(settings.tls.enabled && settings.data_centers.len() == 2);
    }

    /// Every key has a row with its default; every row is a key.
    #[test]
    fn the_documentation_has_every_key_and_its_default() {
        let page = documentation();
        let rows = page.lines().filter(|line| line.starts_with("| `cassandra."));
        let cell = |line: &str, at: usize| {
            line.split('|').nth(at).unwrap_or_default().trim().trim_matches('`').to_owned()
        };
        let documented: BTreeMap<String, String> =
            rows.map(|line| (cell(line, 1), cell(line, 2))).collect();
        let d = CassandraSettings::default();
        let number = |number: u64| number.to_string();
        let none = || "—".to_owned();
        let expected = [
            ("contact_points", d.contact_points.join(",")),
            ("keyspace", d.keyspace),
            ("local_datacenter", none()),
            ("replication_factor", number(d.replication_factor.get())),
            ("data_centers.<name>", none()),
            ("username", none()),
            ("password", none()),
            ("tls.enabled", d.tls.enabled.to_string()),
            ("tls.ca_file", none()),
            ("tls.certificate_file", none()),
            ("tls.key_file", none()),
            ("tls.server_name", none()),
            ("connect_timeout_ms", number(d.connect_timeout_ms.get())),
            ("request_timeout_ms", number(d.request_timeout_ms.get())),
            ("max_in_flight", number(d.max_in_flight.get())),
            ("claims", "local_datacenter".to_owned()),
        ];
        let expected: BTreeMap<String, String> =
            expected.into_iter().map(|(key, value)| (format!("cassandra.{key}"), value)).collect();
        assert_eq!(documented, expected);
        // The list above is complete: a key that is left out would be known to the program.
        let known = refused("no_such_key = 1").fix;
        let top: BTreeSet<&str> = expected.keys().filter_map(|key| key.split('.').nth(1)).collect();
        let known: BTreeSet<&str> = known.split('`').skip(1).step_by(2).collect();
        assert_eq!(top, known);
    }

    #[test]
    fn a_password_is_in_no_debug_output_and_in_no_error() {
        let text = "[cassandra]\nusername = 'user'\npassword = 'hunter2'";
        let settings = read(text, &[]).unwrap();
        assert!(!format!("{settings:?}").contains("hunter2"));
        assert!(!refused("password = 'hunter2'").to_string().contains("hunter2"));
    }
}
