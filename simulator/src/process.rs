//! The simulator as a process of its own.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chat4all_process::http_client::HttpClient;
use chat4all_process::{Clock, ConfigError, Random, Shutdown, serve};
use chat4all_sqlite::Database;
use tokio::task::JoinSet;

use crate::settings::Settings;
use crate::simulator::{OpenError, Simulator};

/// How long a port that is in use is waited for.
const PORT_PATIENCE: Duration = Duration::from_secs(3);

/// Binds, serves and sends receipts until `shutdown`. `section` is the key of the settings,
/// `data_key` the one that chose `data_file`, for errors. Nothing is written before the port is
/// bound, so a second simulator on the port leaves the ledger alone. `ready` is called once the
/// port is served.
///
/// # Errors
/// What does not allow a start: settings, the port, or the file.
pub async fn serve_process(
    settings: Settings,
    data_file: &Path,
    section: &str,
    data_key: &str,
    ready: impl FnOnce(),
    shutdown: Shutdown,
) -> Result<(), ConfigError> {
    settings.validate(section)?;
    let listen = settings.listen;
    // A predecessor that was just killed may still hold the port.
    let listener = serve::bind_within(&format!("{section}.listen"), listen, PORT_PATIENCE).await?;
    let unusable = |error: OpenError| match error {
        OpenError::Settings(error) => error,
        OpenError::Database(_) | OpenError::Version(_) => {
            let rule = format!("must be a ledger of this program: {error}");
            ConfigError::of(data_key, data_file.display(), rule, "choose another file")
        }
    };
    let database = Database::open_file(data_file, &Simulator::database_options())
        .map_err(|error| unusable(error.into()))?;
    let http = Arc::new(HttpClient::over_tcp());
    let opened = Simulator::open(settings, database, http, Clock::system(), Random::system());
    let simulator = opened.await.map_err(unusable)?;
    tracing::info!(%listen, "the platform simulator is ready");
    ready();
    // On tasks of their own, so that receipts do not take turns with new connections.
    let mut tasks = JoinSet::new();
    tasks.spawn(serve::serve(listener, simulator.router(), shutdown.clone()));
    tasks.spawn(async move { simulator.run(shutdown).await });
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a part of the simulator ended");
        }
    }
    Ok(())
}
