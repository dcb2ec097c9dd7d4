//! What a command says at its end: a table for people, JSON for programs.

use std::io::{self, IsTerminal, Write};

use serde_json::{Map, Value, json};

use crate::mutants::Hunted;
use crate::options::Options;
use crate::runner::{Failed, Total};

/// Everything that a command did.
#[derive(Default)]
pub struct Report {
    pub seeds: Option<Total>,
    /// What never occurred and had to.
    pub missing: Vec<String>,
    pub mutants: Vec<Hunted>,
    pub scenarios: Vec<Played>,
}

/// A scenario that was played.
pub struct Played {
    pub name: &'static str,
    pub seconds: f64,
    /// Figures, and what was wrong if anything was.
    pub result: Result<String, String>,
}

impl Report {
    pub fn is_good(&self) -> bool {
        self.seeds.as_ref().is_none_or(|total| total.failed.is_empty())
            && self.missing.is_empty()
            && self.mutants.iter().all(|hunted| hunted.caught.is_some())
            && self.scenarios.iter().all(|played| played.result.is_ok())
    }

    /// # Errors
    /// If standard output cannot be written.
    pub fn print(&self, options: &Options) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if options.json || !out.is_terminal() {
            serde_json::to_writer_pretty(&mut out, &self.json())?;
            return writeln!(out);
        }
        self.table(&mut out)
    }

    fn json(&self) -> Value {
        let mut all = Map::new();
        all.insert("ok".to_owned(), json!(self.is_good()));
        if let Some(total) = &self.seeds {
            let mut coverage = Map::new();
            for (kind, name, count) in total.coverage.iter() {
                let names = coverage.entry(kind).or_insert_with(|| json!({}));
                names[name] = json!(count);
            }
            let failed: Vec<Value> = total.failed.iter().map(failure_json).collect();
            let seconds = total.took.as_secs_f64();
            all.insert("seeds".to_owned(), json!({"count": total.seeds, "seconds": seconds}));
            all.insert("failed".to_owned(), json!(failed));
            all.insert("coverage".to_owned(), Value::Object(coverage));
            all.insert("never_occurred".to_owned(), json!(self.missing));
        }
        let mutants = self.mutants.iter().map(|hunted| {
            let caught = hunted.caught.as_ref();
            json!({
                "mutant": hunted.mutant.words(),
                "caught_by": caught.map(|failed| failed.violation.check),
                "seed": caught.map(|failed| failed.seed),
                "seeds": hunted.seeds,
                "seconds": hunted.took.as_secs_f64(),
            })
        });
        all.insert("mutants".to_owned(), mutants.collect());
        let scenarios = self.scenarios.iter().map(|played| {
            let (result, seconds) = (&played.result, played.seconds);
            let (ok, text) = (result.is_ok(), result.as_ref().unwrap_or_else(|text| text));
            json!({"scenario": played.name, "ok": ok, "result": text, "seconds": seconds})
        });
        all.insert("scenarios".to_owned(), scenarios.collect());
        Value::Object(all)
    }

    fn table(&self, out: &mut dyn Write) -> io::Result<()> {
        for hunted in &self.mutants {
            let (seeds, seconds) = (hunted.seeds, hunted.took.as_secs_f64());
            let caught = match &hunted.caught {
                Some(failed) => format!("caught by \"{}\"", failed.violation.check),
                None => "SURVIVED".to_owned(),
            };
            let words = hunted.mutant.words();
            writeln!(out, "mutant    {words:<40} {caught}, {seeds} seeds, {seconds:.1} s")?;
        }
        for Played { name, seconds, result } in &self.scenarios {
            let (word, text) = match result {
                Ok(text) => ("ok", text),
                Err(text) => ("FAILED", text),
            };
            writeln!(out, "scenario  {name:<20} {word}, {seconds:.1} s: {text}")?;
        }
        let Some(total) = &self.seeds else { return Ok(()) };
        for (kind, name, count) in total.coverage.iter() {
            writeln!(out, "{kind:<9} {name:<40} {count:>10}")?;
        }
        for missing in &self.missing {
            writeln!(out, "NEVER     {missing}")?;
        }
        let (seeds, failed, seconds) = (total.seeds, total.failed.len(), total.took.as_secs_f64());
        writeln!(out, "{seeds} seeds in {seconds:.1} s, {failed} failed")
    }
}

fn failure_json(failed: &Failed) -> Value {
    json!({
        "seed": failed.seed,
        "check": failed.violation.check,
        "text": failed.violation.text,
        "message": failed.violation.message.as_ref().map(|id| id.as_str()),
        "story": failed.story,
        "replay": replay(failed.seed),
    })
}

/// The command that shows a seed again.
pub fn replay(seed: u64) -> String {
    format!("cargo xtask simulate --seed {seed}")
}

/// Tells a failure to whoever looks on.
pub fn tell_failure(failed: &Failed) {
    let Failed { seed, violation, story } = failed;
    let mut text = format!("\nseed {seed} breaks \"{}\": {}\n", violation.check, violation.text);
    for line in story {
        text.push_str(line);
        text.push('\n');
    }
    text.push_str(&format!("replay: {}\n", replay(*seed)));
    // The report and the exit code say the same.
    let _unseen = io::stderr().write_all(text.as_bytes());
}
