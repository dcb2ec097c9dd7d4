//! Product code names a platform only where that platform is served: everything else about it is
//! data. The names are those of the folders in connectors/.

use super::exception::Exception;
use super::finding::Finding;
use super::source::Source;
use super::tree::Tree;

/// The folder of connectors/ that serves every platform.
const SHARED: &str = "kit";
/// Where a platform may be named beside its connector.
const PLACES: &[&str] = &["simulator/src/platform/", "chat4all/src/registry.rs"];

/// Examples that people read, in strings.
pub const EXCEPTIONS: &[Exception] = &[
    Exception {
        path: "api/src/send_request.rs",
        text: "example = \"whatsapp:+5511999990000\"",
        reason: "an example in the API's description that can be sent as it is",
    },
    Exception {
        path: "crates/contracts/src/id.rs",
        text: "for example whatsapp:+5511999990000",
        reason: "an error says what a right value looks like",
    },
    Exception {
        path: "chat4all/src/cli.rs",
        text: "send whatsapp:+5511999990000",
        reason: "the help shows a command that works as it is",
    },
    Exception {
        path: "chat4all/src/cli.rs",
        text: "account pause whatsapp:default",
        reason: "the help shows a command that works as it is",
    },
    Exception {
        path: "chat4all/src/cli.rs",
        text: "account resume whatsapp:default",
        reason: "the help shows a command that works as it is",
    },
    Exception {
        path: "chat4all/src/start_lines.rs",
        text: "send whatsapp:+5511999990000",
        reason: "the first thing that a newcomer copies must work as it is",
    },
    Exception {
        path: "bench/src/options.rs",
        text: "const RECEIVER: &str = \"whatsapp:+5511999990000\"",
        reason: "a receiver that works as it is; any other can be named",
    },
    Exception {
        path: "xtask/src/services/mod.rs",
        text: "whatsapp:+5511999990000",
        reason: "what to try next must work as it is",
    },
];

/// The platforms that have a connector.
pub fn platforms(tree: &Tree) -> Vec<String> {
    let of_manifest = |path: &String| {
        let name = path.strip_prefix("connectors/")?.strip_suffix("/Cargo.toml")?;
        (name != SHARED && !name.contains('/')).then(|| name.to_owned())
    };
    tree.keys().filter_map(of_manifest).collect()
}

/// Checks a Rust file.
pub fn check(source: &Source<'_>, platforms: &[String]) -> Vec<Finding> {
    if !source.is_product() || PLACES.iter().any(|place| source.path.starts_with(place)) {
        return Vec::new();
    }
    let mut spoken = source.spoken.clone();
    for exception in EXCEPTIONS.iter().filter(|exception| exception.path == source.path) {
        spoken = spoken.replace(exception.text, &" ".repeat(exception.text.len()));
    }
    spoken.make_ascii_lowercase();
    let mut findings = Vec::new();
    for platform in platforms {
        if source.path.starts_with(&format!("connectors/{platform}/")) {
            continue;
        }
        for (at, _) in spoken.match_indices(platform.as_str()) {
            if !source.in_test(at) {
                let what = format!("product code names the platform {platform}");
                let fix = format!(
                    "make it data of the configuration, or move it to connectors/{platform}/"
                );
                findings.push(Finding::new(source.path, source.line(at), what, fix));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> usize {
        check(&Source::new(path, text), &["whatsapp".to_owned(), "instagram".to_owned()]).len()
    }

    #[test]
    fn a_platform_named_elsewhere_is_found_in_code_and_in_strings() {
        let bad =
            ["if platform == \"whatsapp\" {}", "struct WhatsAppThing;", "use a_instagram::b;"];
        for text in bad {
            for path in [
                "api/src/a.rs",
                "chat4all/src/main.rs",
                "connectors/kit/src/a.rs",
                "simulator/src/a.rs",
            ] {
                assert_eq!(found(path, text), 1, "{path} {text}");
            }
        }
        assert_eq!(found("connectors/whatsapp/src/a.rs", "struct Instagram;"), 1);
    }

    #[test]
    fn a_platform_named_where_it_is_served_passes() {
        let homes = [
            "connectors/whatsapp/src/a.rs",
            "simulator/src/platform/b.rs",
            "chat4all/src/registry.rs",
        ];
        for path in homes {
            assert_eq!(found(path, "struct WhatsApp;"), 0, "{path}");
        }
    }

    #[test]
    fn comments_tests_and_examples_pass() {
        assert_eq!(found("api/src/a.rs", "/// As `whatsapp:+55`.\n// instagram\n"), 0);
        assert_eq!(found("api/tests/a.rs", "let a = \"whatsapp\";"), 0);
        assert_eq!(
            found("api/src/a.rs", "#[cfg(test)]\nmod t { const A: &str = \"whatsapp\"; }"),
            0
        );
        let Exception { path, text, .. } = EXCEPTIONS[0];
        assert_eq!((found(path, text), found("api/src/a.rs", text)), (0, 1));
    }

    #[test]
    fn the_platforms_are_the_folders_of_the_connectors() {
        let paths = [
            "connectors/kit/Cargo.toml",
            "connectors/a/Cargo.toml",
            "connectors/a/src/lib.rs",
            "b/Cargo.toml",
        ];
        let tree = paths.iter().map(|path| ((*path).to_owned(), String::new())).collect();
        assert_eq!(platforms(&tree), ["a"]);
    }
}
