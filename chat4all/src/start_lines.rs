//! What a person reads after the start: what runs where, what is simulated, what to try.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;

use chat4all::installation::Installation;
use serde_json::json;

/// Prints the lines; JSON if the output is no terminal.
pub(crate) fn print(installation: &Installation, endpoints: &[(String, SocketAddr)]) {
    let text = if std::io::stdout().is_terminal() {
        for_people(installation, endpoints)
    } else {
        for_programs(installation, endpoints)
    };
    // Whoever started us need not be listening.
    let _closed = writeln!(std::io::stdout(), "{text}");
}

fn simulated(installation: &Installation) -> Vec<String> {
    installation.simulated.iter().map(ToString::to_string).collect()
}

fn for_programs(installation: &Installation, endpoints: &[(String, SocketAddr)]) -> String {
    let endpoints: serde_json::Map<_, _> =
        endpoints.iter().map(|(name, at)| (name.clone(), json!(format!("http://{at}")))).collect();
    json!({
        "event": "started",
        "version": env!("CARGO_PKG_VERSION"),
        "data": installation.settings.data,
        "endpoints": endpoints,
        "simulated": simulated(installation),
        "simulator": installation.settings.simulation.address(),
    })
    .to_string()
}

fn for_people(installation: &Installation, endpoints: &[(String, SocketAddr)]) -> String {
    let mut lines = vec![format!(
        "chat4all {} is running, with its data in {}",
        env!("CARGO_PKG_VERSION"),
        installation.settings.data.display()
    )];
    for (name, at) in endpoints {
        lines.push(format!("  {name:<16} http://{at}"));
    }
    let simulated = simulated(installation);
    if !simulated.is_empty() {
        lines.push(format!(
            "  {:<16} {} (no credentials), by {}",
            "simulated",
            simulated.join(", "),
            installation.settings.simulation.address()
        ));
    }
    let api = endpoints.first().map(|(_, at)| at.to_string()).unwrap_or_default();
    lines.push("Try, in another terminal:".to_owned());
    lines.push("  cargo run --release -- send whatsapp:+5511999990000 \"Olá\" --follow".to_owned());
    lines.push(format!("  curl http://{api}/openapi.json"));
    lines.push("Ctrl-C drains and stops.".to_owned());
    lines.join("\n")
}
