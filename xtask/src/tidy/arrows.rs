//! Which crate may depend on which. Arrows point one way; a connector never sees the store, and
//! the simulator shares nothing with the connectors: what they share could be wrong in both.

use super::finding::Finding;
use super::manifest::Manifest;

const CONTRACTS: &str = "chat4all-contracts";
const EVENTLOG: &str = "chat4all-eventlog";
const LIBRDKAFKA: &str = "chat4all-librdkafka";
const KIT: &str = "chat4all-connector-kit";
const PROCESS: &str = "chat4all-process";
const SERVICE: &str = "chat4all-service";
const SQLITE: &str = "chat4all-sqlite";
const STORE: &str = "chat4all-store";
/// For tests: nothing that runs in production depends on it.
const WIRE: &str = "chat4all-wire";
/// What the package of a connector is called before its platform's name.
const CONNECTOR: &str = "chat4all-connector-";
/// Packages that put the others together; nothing depends on them.
const WHOLE: &[&str] = &["chat4all", "chat4all-cluster", "xtask"];

/// The crates of this workspace that a package may depend on; `None` if it is not known.
fn allowed(package: &str) -> Option<&'static [&'static str]> {
    Some(match package {
        CONTRACTS | LIBRDKAFKA | SQLITE | WIRE => &[],
        PROCESS => &[CONTRACTS],
        EVENTLOG => &[CONTRACTS, LIBRDKAFKA, PROCESS, SQLITE],
        STORE => &[CONTRACTS, PROCESS, SQLITE],
        SERVICE => &[CONTRACTS, EVENTLOG, PROCESS],
        KIT | "chat4all-router" => &[CONTRACTS, EVENTLOG, PROCESS, SERVICE],
        "chat4all-api" | "chat4all-status-consumer" => {
            &[CONTRACTS, EVENTLOG, PROCESS, SERVICE, STORE]
        }
        // It runs the API on the embedded log and store; its floors are the bare clients.
        "chat4all-bench" => &["chat4all-api", CONTRACTS, EVENTLOG, PROCESS, STORE],
        "chat4all-simulator" => &[CONTRACTS, PROCESS, SQLITE],
        connector if connector.starts_with(CONNECTOR) => &[CONTRACTS, KIT, PROCESS],
        _ => return None,
    })
}

/// Checks the dependencies of a package, those of its tests aside. `packages` are the names of all
/// packages of the workspace.
pub fn check(manifest: &Manifest<'_>, packages: &[String]) -> Vec<Finding> {
    let name = manifest.name.as_str();
    let dependencies = manifest.dependencies().into_iter();
    let ours =
        dependencies.filter(|dependency| !dependency.is_dev && packages.contains(&dependency.name));
    let is_whole = |name: &str| WHOLE.contains(&name);
    let may = match allowed(name) {
        Some(may) => may,
        None if is_whole(name) => &[],
        None => {
            let what = format!("it is not known what {name} may depend on");
            return vec![Finding::new(
                manifest.path,
                1,
                what,
                "add its arrows to xtask/src/tidy/arrows.rs",
            )];
        }
    };
    ours.filter(|dependency| {
        let to = dependency.name.as_str();
        if is_whole(name) { is_whole(to) } else { !may.contains(&to) }
    })
    .map(|dependency| {
        let what = format!("the arrow {name} -> {} points the wrong way", dependency.name);
        let fix = format!("remove it; {name} may depend on: {}", listed(name, may));
        Finding::new(manifest.path, dependency.line, what, fix)
    })
    .collect()
}

fn listed(name: &str, may: &[&str]) -> String {
    match may {
        _ if WHOLE.contains(&name) => "everything but chat4all and xtask".to_owned(),
        [] => "no crate of this workspace".to_owned(),
        some => some.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The wrong arrows of a package that depends on these.
    fn wrong(package: &str, on: &[&str]) -> Vec<String> {
        let lines: String = on.iter().map(|name| format!("{name}.workspace = true\n")).collect();
        let text = format!(
            "[package]\nname = '{package}'\n[dependencies]\n{lines}serde.workspace = true\n"
        );
        let manifest = Manifest::parse("a/Cargo.toml", &text).unwrap().unwrap();
        let packages: Vec<String> = on.iter().map(|&name| name.to_owned()).collect();
        check(&manifest, &packages).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn every_arrow_of_the_design_passes() {
        let good: &[(&str, &[&str])] = &[
            (PROCESS, &[CONTRACTS]),
            (EVENTLOG, &[CONTRACTS, PROCESS, SQLITE]),
            (STORE, &[CONTRACTS, PROCESS, SQLITE]),
            (SERVICE, &[CONTRACTS, PROCESS, EVENTLOG]),
            (KIT, &[CONTRACTS, PROCESS, EVENTLOG, SERVICE]),
            ("chat4all-connector-any", &[KIT, CONTRACTS, PROCESS]),
            ("chat4all-router", &[CONTRACTS, PROCESS, EVENTLOG, SERVICE]),
            ("chat4all-api", &[CONTRACTS, PROCESS, EVENTLOG, SERVICE, STORE]),
            ("chat4all-status-consumer", &[CONTRACTS, PROCESS, EVENTLOG, SERVICE, STORE]),
            ("chat4all-simulator", &[PROCESS, SQLITE]),
            ("chat4all", &[KIT, STORE, "chat4all-simulator"]),
        ];
        for (package, on) in good {
            assert!(wrong(package, on).is_empty(), "{package}");
        }
    }

    #[test]
    fn an_arrow_that_is_not_of_the_design_is_named() {
        let bad = [
            (CONTRACTS, PROCESS),
            (SQLITE, CONTRACTS),
            (PROCESS, SQLITE),
            (STORE, EVENTLOG),
            (KIT, STORE),
            (SERVICE, STORE),
            (SERVICE, KIT),
            ("chat4all-connector-any", EVENTLOG),
            ("chat4all-connector-any", "chat4all-connector-other"),
            ("chat4all-router", STORE),
            ("chat4all-simulator", KIT),
            ("chat4all-simulator", SERVICE),
            ("chat4all-api", "chat4all"),
            ("chat4all", "xtask"),
        ];
        for (from, to) in bad {
            assert_eq!(
                wrong(from, &[to]),
                [format!("the arrow {from} -> {to} points the wrong way")]
            );
        }
    }

    #[test]
    fn an_unknown_package_must_declare_its_arrows() {
        assert_eq!(
            wrong("chat4all-new", &[CONTRACTS]),
            ["it is not known what chat4all-new may depend on"]
        );
    }

    #[test]
    fn tests_may_depend_on_anything() {
        let text = "[package]\nname = 'chat4all-simulator'\n[dev-dependencies]\nchat4all-store.workspace = true\n";
        let manifest = Manifest::parse("a/Cargo.toml", text).unwrap().unwrap();
        assert!(check(&manifest, &[STORE.to_owned()]).is_empty());
    }
}
