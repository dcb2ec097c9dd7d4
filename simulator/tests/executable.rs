//! The executable, as an installation starts it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

use std::process::Stdio;

use chat4all_service::conformance::{Executable, PATIENCE};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::time::timeout;

const SIMULATOR: Executable = Executable {
    path: env!("CARGO_BIN_EXE_chat4all-simulator"),
    name: "chat4all-simulator",
    file: "[connectors.whatsapp]\nlisten = '0.0.0.0:8083'\ncolour = 1\n[kafka]\ncolour = 1\n",
    listen_key: "simulation.simulator.listen",
};

#[tokio::test]
async fn the_help_says_what_it_reads_and_how_it_ends() {
    let help = SIMULATOR.run("", &["--help"], &[]).await;
    assert_eq!(help.code, Some(0), "{help:?}");
    for word in ["--check", "--config", "[simulation]", "CHAT4ALL__SECTION__KEY", "64 ", "70 "] {
        assert!(help.stdout.contains(word), "{word} is missing in {}", help.stdout);
    }
    assert_eq!(SIMULATOR.run("", &["--colour"], &[]).await.code, Some(64));
}

#[tokio::test]
async fn receipts_go_where_the_connectors_of_its_file_listen() {
    let checked = SIMULATOR.checked(SIMULATOR.file, &[]).await;
    let connector = json!({"whatsapp": "http://127.0.0.1:8083/webhook"});
    assert_eq!((&checked["event"], &checked["receipts"]), (&json!("checked"), &connector));
    let webhook =
        "[simulation.simulator.webhooks.whatsapp]\nurl = 'http://a/b'\napp_secret = 's'\n";
    let elsewhere = SIMULATOR.checked(&format!("{}{webhook}", SIMULATOR.file), &[]).await;
    assert_eq!(elsewhere["receipts"]["whatsapp"], "http://a/b");
}

#[tokio::test]
async fn a_wrong_configuration_is_refused_with_its_key() {
    for (file, key) in [
        ("[simulations]\n", "simulations is not a known section"),
        ("[simulation]\ncolour = 1\n", "simulation.colour = 1"),
        ("[simulation.simulator]\nlatency_min_ms = 900\n", "simulation.simulator.latency_max_ms"),
    ] {
        let told = SIMULATOR.refused(file, &[]).await;
        assert!(told.contains(key), "{key}: {told}");
    }
}

#[tokio::test]
async fn it_runs_without_an_input_until_it_is_told_to_stop() {
    let folder = tempfile::tempdir().unwrap();
    // The suite's command has no input: whoever started it may be gone.
    let mut command = SIMULATOR.command(&folder);
    command.env("CHAT4ALL__SIMULATION__SIMULATOR__LISTEN", "127.0.0.1:0");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = timeout(PATIENCE, lines.next_line()).await.expect("a line").unwrap();
    let started: Value = serde_json::from_str(&line.expect("it runs")).unwrap();
    assert_eq!((&started["event"], &started["service"]), (&json!("started"), &json!("simulator")));
    assert!(folder.path().join("data/simulator.db").exists());
    assert_eq!(child.try_wait().unwrap(), None, "it goes on");
    let pid = i32::try_from(child.id().unwrap()).unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::TERM).unwrap();
    assert_eq!(timeout(PATIENCE, child.wait()).await.expect("it ends").unwrap().code(), Some(0));
}
