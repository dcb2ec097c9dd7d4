//! `chat4all simulator`: the stand-in for the platforms, as a process of its own.

use std::io::Read;

use chat4all::installation::Installation;
use chat4all::settings::Settings;
use chat4all_process::{Failure, Shutdown, descriptors, exit, shutdown, telemetry};

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
    shutdown::on_stop_signal(stop.clone()).map_err(|error| Failure::new(exit::SOFTWARE, error))?;
    let served = installation.served.iter();
    let listening = served.map(|(name, served)| (name.to_string(), served.listen)).collect();
    let settings = installation.settings.simulation.for_connectors(&listening);
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
        .map_err(|error| Failure::new(exit::SOFTWARE, error))
}
