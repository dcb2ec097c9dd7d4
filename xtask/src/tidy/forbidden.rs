//! What Rust code must not say: unfinished work, unbounded queues, sleeps that hide a race, a
//! `select!` in random order.

use super::finding::Finding;
use super::source::{Source, is_word, words};
use super::test_code::is_test_path;

/// Checks a Rust file.
pub fn check(source: &Source<'_>) -> Vec<Finding> {
    let mut findings = ignored_tests(source);
    findings.extend(unfinished(source));
    findings.extend(boundless_queues(source));
    findings.extend(sleeps(source));
    findings.extend(selects(source));
    findings
}

/// Words in a comment that promise work for later. For .toml, see [`check_toml`].
const PROMISES: &[&str] = &["TODO", "FIXME", "XXX", "HACK"];
const PROMISE_FIX: &str = "do it now, or say what is and why";

/// Checks the comments of a .toml file.
pub fn check_toml(path: &str, text: &str) -> Vec<Finding> {
    let comments = text.lines().map(|line| line.split_once('#').map_or("", |(_, comment)| comment));
    let found = comments.enumerate().flat_map(|(index, comment)| {
        let promises = PROMISES.iter().filter(|word| words(comment, word).next().is_some());
        promises.map(move |word| {
            Finding::new(path, index + 1, format!("{word} in a comment"), PROMISE_FIX)
        })
    });
    found.collect()
}

fn ignored_tests(source: &Source<'_>) -> Vec<Finding> {
    let fix = "make the test pass, or delete it";
    let mut findings = Vec::new();
    for at in words(&source.code, "ignore") {
        let before = &source.code[..at];
        let attribute = before.rfind("#[").map(|start| &before[start + 2..]);
        let is_ignore = attribute.is_some_and(|text| {
            text.trim().is_empty()
                || (text.trim_start().starts_with("cfg_attr") && !text.contains(']'))
        });
        if is_ignore {
            findings.push(Finding::new(source.path, source.line(at), "an ignored test", fix));
        }
    }
    for (at, _) in source.comments.match_indices("```") {
        let rest = source.comments[at..].lines().next().unwrap_or_default();
        if words(rest, "ignore").next().is_some() {
            let what = "an ignored example in a comment";
            findings.push(Finding::new(
                source.path,
                source.line(at),
                what,
                "make it run, or mark it `text`",
            ));
        }
    }
    findings
}

fn unfinished(source: &Source<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for name in ["todo!", "unimplemented!", "dbg!"] {
        for at in words(&source.code, name) {
            findings.push(Finding::new(source.path, source.line(at), name, "write the real code"));
        }
    }
    for word in PROMISES {
        for at in words(&source.comments, word) {
            let what = format!("{word} in a comment");
            findings.push(Finding::new(source.path, source.line(at), what, PROMISE_FIX));
        }
    }
    findings
}

fn boundless_queues(source: &Source<'_>) -> Vec<Finding> {
    let is_call = |at: usize, word: &str| {
        let rest = source.code[at + word.len()..].trim_start();
        rest.starts_with('(') || rest.starts_with("::<")
    };
    let named = words(&source.code, "unbounded_channel");
    let short = words(&source.code, "unbounded").filter(|&at| is_call(at, "unbounded"));
    // Tokio's takes a bound; std's of the same name, without an argument, has none.
    let of_std = words(&source.code, "mpsc::channel").filter(|&at| {
        let rest = source.code[at + "mpsc::channel".len()..].trim_start();
        let arguments = match rest.strip_prefix("::<") {
            Some(_) => rest.find('(').map_or("", |open| &rest[open..]),
            None => rest,
        };
        arguments.strip_prefix('(').is_some_and(|inside| inside.trim_start().starts_with(')'))
    });
    named
        .chain(short)
        .chain(of_std)
        .filter(|&at| !source.in_test(at))
        .map(|at| {
            let fix = "use a bounded channel and decide what happens when it is full";
            Finding::new(source.path, source.line(at), "a queue without a bound", fix)
        })
        .collect()
}

fn sleeps(source: &Source<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for at in words(&source.code, "thread::sleep") {
        let fix = "wait for the event itself, or use tokio::time";
        findings.push(Finding::new(
            source.path,
            source.line(at),
            "a sleeping thread hides a race",
            fix,
        ));
    }
    if !is_test_path(source.path) {
        return findings;
    }
    for name in ["sleep", "sleep_until"] {
        for at in words(&source.code, name) {
            let before = source.code[..at].trim_end();
            let is_call = source.code[at + name.len()..].starts_with('(');
            let is_other = ["fn", ".", "thread::"].iter().any(|end| before.ends_with(end));
            if is_call && !is_other && !has_reason(source, source.line(at)) {
                let fix = "wait for the event itself, or say why: `// sleep: <reason>`";
                findings.push(Finding::new(source.path, source.line(at), "a sleep in a test", fix));
            }
        }
    }
    findings
}

/// Whether the line, or the comment right above it, gives the reason of a sleep.
fn has_reason(source: &Source<'_>, line: usize) -> bool {
    let comments: Vec<&str> = source.comments.lines().take(line).collect();
    let code: Vec<&str> = source.code.lines().take(line).collect();
    let gives = |index: usize| {
        let reason = comments[index].split_once("// sleep:").map(|(_, reason)| reason);
        reason.is_some_and(|reason| !reason.trim().is_empty())
    };
    let is_comment =
        |&index: &usize| code[index].trim().is_empty() && !comments[index].trim().is_empty();
    gives(line - 1) || (0..line - 1).rev().take_while(is_comment).any(gives)
}

fn selects(source: &Source<'_>) -> Vec<Finding> {
    let is_biased = |at: usize| {
        let body = source.code[at + "select!".len()..].trim_start();
        let first = body.strip_prefix(['{', '(', '[']).unwrap_or(body).trim_start();
        let rest = first.strip_prefix("biased");
        rest.is_some_and(|rest| !rest.starts_with(is_word) && rest.trim_start().starts_with(';'))
    };
    words(&source.code, "select!")
        .filter(|&at| !is_biased(at))
        .map(|at| {
            let fix = "begin with `biased;` and put the branches in the order that must win";
            Finding::new(source.path, source.line(at), "select! picks a branch at random", fix)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<(usize, String)> {
        let findings = check(&Source::new(path, text));
        findings.into_iter().map(|finding| (finding.line, finding.what)).collect()
    }

    fn assert_each_is_found(path: &str, what: &str, samples: &[&str]) {
        for sample in samples {
            assert_eq!(found(path, &format!("\n{sample}\n")), [(2, what.to_owned())], "{sample}");
        }
    }

    fn assert_none_is_found(path: &str, samples: &[&str]) {
        for sample in samples {
            assert_eq!(found(path, sample), [], "{sample}");
        }
    }

    #[test]
    fn an_ignored_test_is_found() {
        let bad = ["#[ignore]", "#[ignore = \"slow\"]", "#[cfg_attr(unix, ignore)]"];
        assert_each_is_found("x/src/a.rs", "an ignored test", &bad);
        assert_each_is_found("x/src/a.rs", "an ignored example in a comment", &["/// ```ignore"]);
        let good = [
            "#[test] fn f() { ignore(x); }",
            "// #[ignore]",
            "let a = \"#[ignore]\";",
            "/// ```text",
        ];
        assert_none_is_found("x/src/a.rs", &good);
    }

    #[test]
    fn unfinished_work_is_found() {
        assert_each_is_found("x/src/a.rs", "todo!", &["todo!()", "std::todo!(\"x\")"]);
        assert_each_is_found("x/src/a.rs", "unimplemented!", &["unimplemented!()"]);
        assert_each_is_found("x/src/a.rs", "dbg!", &["f(dbg!(x))"]);
        assert_each_is_found(
            "x/src/a.rs",
            "FIXME in a comment",
            &["x(); // FIXME: later", "/* FIXME */"],
        );
        let good = ["my_todo!()", "let a = \"todo!()\";", "// wamid.HBgXXX=", "let b = \"TODO\";"];
        assert_none_is_found("x/src/a.rs", &good);
    }

    #[test]
    fn unfinished_work_in_a_manifest_is_found() {
        assert_eq!(check_toml("a.toml", "a = 1\nb = 2 # TODO: c\n")[0].line, 2);
        assert!(check_toml("a.toml", "TODO = 1 # done\n").is_empty());
    }

    #[test]
    fn an_unbounded_queue_is_found_outside_tests() {
        let bad = [
            "let (a, b) = mpsc::unbounded_channel();",
            "use tokio::sync::mpsc::unbounded_channel;",
            "let (a, b) = unbounded::<u8>();",
            "let (a, b) = mpsc::unbounded();",
            "let (a, b) = std::sync::mpsc::channel();",
            "let (a, b) = mpsc::channel::<Vec<u8>>();",
        ];
        assert_each_is_found("x/src/a.rs", "a queue without a bound", &bad);
        let good = [
            "let (a, b) = mpsc::channel(8);",
            "let (a, b) = mpsc::channel::<(u8, u8)>(8);",
            "let (a, b) = oneshot::channel();",
            "let unbounded = 1;",
            "#[cfg(test)] mod t { fn f() { unbounded_channel(); } }",
        ];
        assert_none_is_found("x/src/a.rs", &good);
        assert_none_is_found("x/tests/a.rs", &bad);
    }

    #[test]
    fn a_sleeping_thread_is_found_everywhere() {
        let what = "a sleeping thread hides a race";
        for path in ["x/src/a.rs", "x/tests/a.rs"] {
            assert_each_is_found(path, what, &["std::thread::sleep(d);", "thread::sleep(d)"]);
        }
    }

    #[test]
    fn a_sleep_in_a_test_needs_its_reason() {
        let bad = [
            "tokio::time::sleep(d).await;",
            "sleep(d).await;",
            "sleep_until(t).await;",
            "sleep(d).await; // sleep:",
        ];
        assert_each_is_found("x/tests/a.rs", "a sleep in a test", &bad);
        let good = [
            "tokio::time::sleep(d).await; // sleep: the clock is paused",
            "// sleep: the clock\n// is paused\nsleep(d).await;",
            "use tokio::time::sleep;",
            "fn sleep(d: u8) {}",
            "world.sleep(d);",
        ];
        assert_none_is_found("x/tests/a.rs", &good);
        assert_none_is_found("x/src/a.rs", &["sleep(d).await;"]);
        assert_eq!(found("x/tests/a.rs", "// sleep: one\nsleep(a);\nsleep(b);\n").len(), 1);
    }

    #[test]
    fn a_select_in_random_order_is_found() {
        let bad = [
            "tokio::select! { a = b => {} }",
            "select!(a = b => {})",
            "tokio::select! { biased = b => {} }",
            "tokio::select! { // biased;\n a = b => {} }",
        ];
        assert_each_is_found("x/src/a.rs", "select! picks a branch at random", &bad);
        let good = [
            "tokio::select! {\n    // Stop first.\n    biased;\n    a = b => {}\n}",
            "my_select!{}",
        ];
        assert_none_is_found("x/src/a.rs", &good);
    }
}
