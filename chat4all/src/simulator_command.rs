//! `chat4all simulator`: the stand-in for the platforms, as a process of its own.

use std::collections::BTreeMap;
use std::io::Read;

use chat4all::installation::Installation;
use chat4all::settings::Settings;
use chat4all_process::{Shutdown, descriptors, shutdown, telemetry};
use chat4all_simulator::Webhook;
use secrecy::SecretString;

use crate::Failure;
use crate::cli::{ConfigArgs, SimulatorArgs};
use crate::simulator_process::READY;

pub(crate) async fn run(config: &ConfigArgs, args: &SimulatorArgs) -> Result<u8, Failure> {
    let environment = std::env::vars().collect();
    let settings = Settings::load(config.config.as_deref(), environment)?;
    let installation = Installation::new(settings)?;
    telemetry::start_logging();
    descriptors::raise_limit();
    let stop = Shutdown::new();
    if !args.detached {
        stop_when_input_closes(stop.clone())?;
    }
    shutdown::on_stop_signal(stop.clone())
        .map_err(|error| Failure::new(chat4all_process::exit::SOFTWARE, error))?;
    let mut settings = installation.settings.simulation.simulator.clone();
    settings.webhooks = webhooks(&installation, settings.webhooks);
    let data = &installation.settings.data;
    std::fs::create_dir_all(data).map_err(|error| {
        let rule = format!("must be a folder that can be written: {error}");
        let fix = "choose another folder";
        chat4all_process::ConfigError::of("data", data.display(), rule, fix)
    })?;
    let ready = || {
        use std::io::Write;
        // A parent that has gone away closes our input, too.
        let _closed = writeln!(std::io::stdout(), "{READY}");
    };
    let file = data.join("simulator.db");
    let section = "simulation.simulator";
    chat4all_simulator::serve_process(settings, &file, section, "data", ready, stop).await?;
    Ok(0)
}

/// Every served platform's connector, unless the configuration names another address.
fn webhooks(
    installation: &Installation,
    configured: BTreeMap<String, Webhook>,
) -> BTreeMap<String, Webhook> {
    let secret = || SecretString::from(installation.settings.simulation.shared_secret.clone());
    let served = installation.served.iter().map(|(name, served)| {
        let url = format!("http://{}/webhook", served.listen);
        (name.to_string(), Webhook { url, app_secret: secret(), accounts: BTreeMap::new() })
    });
    served.chain(configured).collect()
}

/// The parent holds the other end, also when it is killed.
fn stop_when_input_closes(stop: Shutdown) -> Result<(), Failure> {
    let body = move || {
        let mut input = std::io::stdin().lock();
        let mut buffer = [0; 256];
        while matches!(input.read(&mut buffer), Ok(read) if read > 0) {}
        stop.trigger();
    };
    std::thread::Builder::new()
        .name("stdin".to_owned())
        .spawn(body)
        .map(drop)
        .map_err(|error| Failure::new(chat4all_process::exit::SOFTWARE, error))
}
