//! The command line of a service, and where its configuration comes from.

// Never iterated here: the environment comes as the standard library's map.
use std::collections::HashMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use chat4all_process::config::part;
use chat4all_process::config::plain::{self, PlainVariable};
use chat4all_process::{ConfigError, Failure, config, exit, health, telemetry};
use clap::{Arg, ArgAction, Command};
use serde::de::DeserializeOwned;

use crate::prepared::Prepared;
use crate::{run, say};

/// An executable: what its help says, and which keys it reads.
pub struct Program {
    /// What the executable is called: `chat4all-api`.
    pub name: &'static str,
    /// What it does, in a sentence or two.
    pub about: String,
    /// The keys that it reads, dotted, and what each is for. What is not here is left alone.
    pub sections: Vec<(String, &'static str)>,
    /// Variables without our prefix, beside `KAFKA_BOOTSTRAP_SERVERS`.
    pub variables: Vec<PlainVariable>,
    /// Defaults beside those in the code, as TOML.
    pub defaults: &'static str,
}

/// Where the configuration comes from.
pub struct Sources<'a> {
    program: &'a Program,
    file: Option<PathBuf>,
    environment: HashMap<String, String>,
}

impl Program {
    fn variables(&self) -> Vec<PlainVariable> {
        let servers = PlainVariable::new("KAFKA_BOOTSTRAP_SERVERS", "kafka.bootstrap_servers");
        [servers].into_iter().chain(self.variables.clone()).collect()
    }

    fn command(&self) -> Command {
        let config = Arg::new("config")
            .long("config")
            .short('c')
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help("The configuration file [default: chat4all.toml, if it is there]");
        let check = Arg::new("check")
            .long("check")
            .action(ArgAction::SetTrue)
            .help("Check the configuration, say what would run, and end; touches nothing");
        let probe = Arg::new("probe")
            .long("probe")
            .action(ArgAction::SetTrue)
            .conflicts_with("check")
            .help("Ask the process that runs with this configuration whether it is healthy: 0 yes, 1 no");
        Command::new(self.name)
            .version(env!("CARGO_PKG_VERSION"))
            .about(self.about.clone())
            .after_help(self.after_help())
            .args([config, check, probe])
    }

    fn after_help(&self) -> String {
        let name = self.name;
        let width = self.sections.iter().map(|(key, _)| key.len()).max().unwrap_or(0);
        let mut text =
            String::from("Reads from the file (sections of other services may be in it):\n");
        for (key, what) in &self.sections {
            text += &format!("  {key:<width$}  {what}\n");
        }
        text += "\nReads from the environment, each stronger than the file:\n";
        for variable in self.variables() {
            text += &format!("  {:<25} {}\n", variable.name, variable.key);
        }
        text += "  CHAT4ALL__SECTION__KEY    any key: upper case, __ for each dot; stronger than the \
                 above\n";
        text += "  CHAT4ALL_LOG=debug        what is logged, to standard error\n";
        text + &format!(
            "\nExamples:\n  \
             {name} --check\n  \
             {name} --config /etc/chat4all/chat4all.toml\n  \
             KAFKA_BOOTSTRAP_SERVERS=kafka-1:9092,kafka-2:9092 {name}\n\n\
             Serves /health, /ready and /metrics from the start on, also while Kafka is away.\n\
             SIGTERM and Ctrl-C drain and stop.\n\n\
             Exit codes:\n  \
             0 done   1 --probe: not healthy   64 bad configuration, arguments or surroundings   \
             70 internal, or a fatal error of the log"
        )
    }
}

impl Sources<'_> {
    /// Reads what the program reads, and remarks about it.
    ///
    /// # Errors
    /// The first key that is no section, unknown, of the wrong type or out of its bounds.
    pub fn load<T: DeserializeOwned>(&self) -> Result<(T, Vec<String>), ConfigError> {
        let mut environment = self.environment.clone();
        let remarks = plain::adopt(&mut environment, &self.program.variables());
        let own: Vec<&str> = self.program.sections.iter().map(|(key, _)| key.as_str()).collect();
        let file = config::file_or_default(self.file.as_deref());
        let settings = part::load(&[self.program.defaults], file, environment, &own)?;
        Ok((settings, remarks))
    }

    /// Whether the file or the environment says anything under a dotted key.
    ///
    /// # Errors
    /// If the file is not TOML.
    pub fn is_given(&self, key: &str) -> Result<bool, ConfigError> {
        let file = config::file_or_default(self.file.as_deref());
        part::is_given(key, file, self.environment.clone())
    }
}

/// The whole life of a service's process.
pub fn main(
    program: &Program,
    prepare: impl FnOnce(&Sources<'_>) -> Result<Prepared, ConfigError>,
) -> ExitCode {
    let matches = match program.command().try_get_matches_from(std::env::args_os()) {
        Ok(matches) => matches,
        Err(error) => {
            let code = if error.use_stderr() { exit::CONFIGURATION } else { 0 };
            // Nothing can be done about a closed terminal.
            let _closed = error.print();
            return ExitCode::from(code);
        }
    };
    let environment = std::env::vars_os().filter_map(readable).collect();
    let file = matches.get_one::<PathBuf>("config").cloned();
    let sources = Sources { program, file, environment };
    let prepared = match prepare(&sources) {
        Ok(prepared) => prepared,
        Err(error) => return Failure::from(error).say(program.name),
    };
    if let Err(error) = prepared.kafka.validate("kafka") {
        return Failure::from(error).say(program.name);
    }
    if matches.get_flag("check") {
        say::Said::checked(&prepared).print();
        return ExitCode::SUCCESS;
    }
    if matches.get_flag("probe") {
        return health::probe(program.name, prepared.listen);
    }
    telemetry::start_logging();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return Failure::new(exit::SOFTWARE, format!("no runtime: {error}")).say(program.name);
        }
    };
    let result = runtime.block_on(run::run(prepared));
    // What is left are idle connections, timers and questions to brokers that do not answer.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.say(program.name),
    }
}

/// A variable that is no text cannot be one of ours.
fn readable((name, value): (OsString, OsString)) -> Option<(String, String)> {
    Some((name.into_string().ok()?, value.into_string().ok()?))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Mine {
        kafka: BTreeMap<String, String>,
        connectors: BTreeMap<String, BTreeMap<String, String>>,
    }

    fn program() -> Program {
        Program {
            name: "chat4all-connector-a",
            about: "Tests.".to_owned(),
            sections: vec![("kafka".to_owned(), "the log"), ("connectors.a".to_owned(), "itself")],
            variables: vec![PlainVariable::new("KAFKA_TOPIC", "connectors.a.topic")],
            defaults: "[kafka]\nbootstrap_servers = 'default'\n[connectors.a]\ntopic = 'default'\n",
        }
    }

    /// What is read with a file and variables.
    fn load(file: &str, variables: &[(&str, &str)]) -> (Mine, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chat4all.toml");
        std::fs::write(&path, file).unwrap();
        let environment =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let program = program();
        let sources =
            Sources { program: &program, file: Some(path), environment: environment.collect() };
        sources.load().unwrap()
    }

    #[test]
    fn our_variable_beats_the_plain_one_which_beats_the_file_which_beats_the_default() {
        let file = "[connectors.a]\ntopic = 'file'\n[connectors.b]\ntopic = 'other'\n";
        let ours = ("CHAT4ALL__CONNECTORS__A__TOPIC", "ours");
        let plain = ("KAFKA_TOPIC", "plain");
        let topic = |file: &str, variables: &[(&str, &str)]| {
            load(file, variables).0.connectors["a"]["topic"].clone()
        };
        assert_eq!(topic("", &[]), "default");
        assert_eq!(topic(file, &[]), "file");
        assert_eq!(topic(file, &[plain]), "plain");
        assert_eq!(topic(file, &[plain, ours]), "ours");
        assert_eq!(load(file, &[plain, ours]).1.len(), 1, "and a remark says so");
        let servers = load("", &[("KAFKA_BOOTSTRAP_SERVERS", "a:1,b:2")]).0;
        assert_eq!(servers.kafka["bootstrap_servers"], "a:1,b:2");
    }

    #[test]
    fn the_help_names_every_section_variable_and_exit_code() {
        let help = program().command().render_long_help().to_string();
        for word in ["  kafka ", "connectors.a", "KAFKA_BOOTSTRAP_SERVERS", "KAFKA_TOPIC"] {
            assert!(help.contains(word), "{word} is missing in {help}");
        }
        for word in ["--check", "--probe", "--config", "64 ", "70 ", "CHAT4ALL__SECTION__KEY"] {
            assert!(help.contains(word), "{word} is missing in {help}");
        }
    }

    #[test]
    fn the_command_line_is_well_formed() {
        program().command().debug_assert();
    }
}
