//! The images: which versions they are of, and what our Dockerfile puts into ours.

use std::collections::BTreeSet;

use regex::Regex;

use crate::files::{
    Compose, Stage, dockerfile, read, root, rust_version, services, workspace_members,
    workspace_version,
};
use crate::listens;

/// What comes before a service's own layer.
const BUILD: &str = "build";
const RUNTIME: &str = "runtime";

fn stage(name: &str) -> Stage {
    dockerfile().into_iter().find(|stage| stage.name == name).unwrap_or_else(|| panic!("{name}"))
}

/// The version of a server that `cargo xtask stack` fetches, which the tests run against.
fn tested_version(server: &str) -> String {
    let source = read(&format!("xtask/src/stack/{server}.rs"));
    let version = Regex::new(&format!(r#"name: "{server}",\s*version: "([\d.]+)""#)).unwrap();
    version.captures(&source).unwrap_or_else(|| panic!("{server} has no version"))[1].to_owned()
}

#[test]
fn images_of_others_are_pinned_and_servers_are_those_of_the_tests() {
    let compose = Compose::read();
    let pinned = Regex::new(r"^[a-z/]+:v?\d+\.\d+\.\d+$").unwrap();
    for (name, entry) in compose.services() {
        let image = entry.text("image");
        let is_ours = image == format!("chat4all-{name}:${{IMAGE_TAG:-{}}}", workspace_version());
        assert!(is_ours || pinned.is_match(&image), "{name}: {image}");
        assert_eq!(is_ours, entry.0.get("build").is_some(), "{name}: {image}");
    }
    for (server, repository) in [("kafka", "apache/kafka"), ("cassandra", "cassandra")] {
        let expected = format!("{repository}:{}", tested_version(server));
        assert_eq!(compose.services()[server].text("image"), expected);
    }
}

#[test]
fn the_builder_is_the_toolchain_of_the_repository_on_the_system_of_the_runtime() {
    assert_eq!(stage(BUILD).base, format!("rust:{}-slim-bookworm", rust_version()));
    assert_eq!(stage(RUNTIME).base, "debian:bookworm-slim");
}

#[test]
fn every_service_is_built_and_its_image_holds_its_executable_only() {
    let build = stage(BUILD);
    let command = build.all("RUN").into_iter().find(|run| run.contains("cargo build")).unwrap();
    let packages = Regex::new(r"--package chat4all-(\S+)").unwrap();
    let built: BTreeSet<&str> =
        packages.captures_iter(command).map(|found| found.get(1).unwrap().as_str()).collect();
    let services = services();
    assert_eq!(built.into_iter().collect::<Vec<_>>(), services);
    for word in ["--release", "--locked", "--features kafka-tls"] {
        assert!(command.contains(word), "{word}");
    }
    let names: Vec<String> = dockerfile().into_iter().map(|stage| stage.name).collect();
    assert_eq!(names.len(), services.len() + 2, "{names:?}");
    let file = "\"--config\", \"/etc/chat4all/chat4all.toml\"";
    for service in services {
        let stage = stage(&service);
        assert_eq!(stage.base, RUNTIME, "{service}");
        let copied = format!("--from={BUILD} /out/chat4all-{service} /usr/local/bin/");
        assert_eq!(stage.one("COPY"), copied);
        assert_eq!(stage.one("ENTRYPOINT"), format!("[\"chat4all-{service}\", {file}]"));
        let probe = format!("CMD [\"chat4all-{service}\", {file}, \"--probe\"]");
        assert!(stage.one("HEALTHCHECK").ends_with(&probe), "{service}");
        assert_eq!(stage.one("EXPOSE"), listens()[&service].1.port().to_string(), "{service}");
    }
}

#[test]
fn a_service_is_built_as_its_target_and_finds_its_file() {
    for (name, entry) in Compose::read().ours() {
        let build = &entry.0["build"];
        let expected = serde_json::json!({
            "context": ".", "dockerfile": "deploy/Dockerfile", "target": name,
        });
        assert_eq!(*build, expected, "{name}");
        let configs = serde_json::json!([
            {"source": "installation", "target": "/etc/chat4all/chat4all.toml"},
        ]);
        assert_eq!(entry.0["configs"], configs, "{name}");
    }
}

#[test]
fn a_service_is_nobody_in_particular_and_is_asked_to_stop() {
    let runtime = stage(RUNTIME);
    assert_eq!((runtime.one("USER"), runtime.one("STOPSIGNAL")), ("10001:10001", "SIGTERM"));
    let folder = runtime.one("WORKDIR");
    let run = runtime.one("RUN");
    let owned = format!("install --directory --owner=10001 --group=10001 {folder}");
    assert!(run.contains(&owned) && !run.contains("curl"), "{run}");
    // What the simulator writes goes where it may.
    let data = Compose::read().services()["simulator"].environment()["CHAT4ALL__DATA"].clone();
    assert_eq!(data.as_deref(), Some(folder));
}

#[test]
fn the_builder_sees_every_crate_and_nothing_else() {
    assert_eq!(stage(BUILD).one("COPY"), ". .");
    let ignore = read(".dockerignore");
    let mut lines = ignore.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    assert_eq!(lines.next(), Some("*"), "everything is refused first");
    let seen: BTreeSet<String> =
        lines.map(|line| line.strip_prefix('!').unwrap().to_owned()).collect();
    let folder = |member: String| member.split('/').next().unwrap().to_owned();
    let needed: BTreeSet<String> = workspace_members()
        .into_iter()
        .map(folder)
        .chain(["Cargo.lock".to_owned(), "Cargo.toml".to_owned()])
        .collect();
    assert_eq!(seen, needed);
    for path in seen {
        assert!(root().join(&path).exists(), "{path}");
    }
}
