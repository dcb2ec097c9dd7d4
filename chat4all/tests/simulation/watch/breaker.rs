//! A breaker as the rules describe it, so that every call is known as a probe or not. Where it
//! cannot know, it takes a breaker for closed.

#[derive(Default)]
pub struct Model {
    failures: u32,
    open: bool,
    /// Rises when it opens or closes: what calls of before report does not count.
    era: u64,
    probes: u32,
}

/// What a call was when it began.
#[derive(Clone, Copy, Debug)]
pub struct Began {
    era: u64,
    pub probe: bool,
}

impl Model {
    /// A call begins; the number of probes under way with it.
    pub fn begin(&mut self) -> (Began, u32) {
        self.probes += u32::from(self.open);
        (Began { era: self.era, probe: self.open }, self.probes)
    }

    /// It has ended with this outcome.
    /// `limit` failures in a row open it; `None` = it may open earlier, so nothing is known.
    pub fn end(&mut self, began: Began, outcome: &str, limit: Option<u32>) {
        let Some(limit) = limit else { return };
        if began.probe && began.era == self.era {
            self.probes = self.probes.saturating_sub(1);
        }
        match outcome {
            "cut off" => {}
            "retryable" | "in_doubt" if began.era == self.era => {
                self.failures += 1;
                if self.open || self.failures >= limit {
                    self.change(true);
                }
            }
            "retryable" | "in_doubt" => {}
            "account" if began.era == self.era => self.change(true),
            _ => {
                self.failures = 0;
                if self.open {
                    self.change(false);
                }
            }
        }
    }

    fn change(&mut self, open: bool) {
        (self.open, self.probes) = (open, 0);
        self.era += 1;
    }
}
