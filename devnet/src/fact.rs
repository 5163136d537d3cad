//! What a scenario found out: one JSON line a fact, and a verdict that is good only if all facts hold.

use std::time::Instant;

use serde::Serialize;
use serde_json::{Value, json};

/// Collects and prints facts.
#[derive(Debug)]
pub struct Facts {
    scenario: &'static str,
    begin: Instant,
    count: usize,
    failed: Vec<String>,
}

impl Facts {
    /// No facts yet.
    #[must_use]
    pub fn new(scenario: &'static str) -> Self {
        Self { scenario, begin: Instant::now(), count: 0, failed: Vec::new() }
    }

    fn record(&mut self, name: &str, ok: bool, mut line: Value) {
        self.count = self.count.saturating_add(1);
        if !ok {
            self.failed.push(name.to_owned());
        }
        if let Some(object) = line.as_object_mut() {
            object.insert("ok".to_owned(), json!(ok));
            object.insert("at".to_owned(), json!(seconds(self.begin)));
        }
        println!("{line}");
    }

    /// A fact that holds or not.
    pub fn holds(&mut self, name: &str, value: impl Serialize, ok: bool) {
        self.record(name, ok, json!({ "fact": name, "value": value }));
    }

    /// A figure that must not exceed its limit.
    pub fn at_most(&mut self, name: &str, value: f64, limit: f64) {
        self.record(name, value <= limit, json!({ "fact": name, "value": rounded(value), "limit": limit }));
    }

    /// A count that must be reached.
    pub fn at_least(&mut self, name: &str, value: usize, least: usize) {
        self.record(name, value >= least, json!({ "fact": name, "value": value, "least": least }));
    }

    /// Two values that must be equal.
    pub fn equal<T: Serialize + PartialEq>(&mut self, name: &str, value: T, expected: T) {
        let ok = value == expected;
        self.record(name, ok, json!({ "fact": name, "value": value, "expected": expected }));
    }

    /// A figure without a limit.
    pub fn figure(&mut self, name: &str, value: impl Serialize) {
        self.record(name, true, json!({ "fact": name, "value": value }));
    }

    /// Prints the verdict.
    pub fn verdict(&self) -> bool {
        let ok = self.count > 0 && self.failed.is_empty();
        let word = if ok { "ok" } else { "failed" };
        println!(
            "{}",
            json!({ "scenario": self.scenario, "verdict": word, "facts": self.count, "failed": self.failed, "seconds": seconds(self.begin) })
        );
        ok
    }
}

fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

fn seconds(begin: Instant) -> f64 {
    rounded(begin.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_fact_that_does_not_hold_or_none_at_all_fails() {
        assert!(!Facts::new("empty").verdict());
        let mut facts = Facts::new("good");
        facts.at_most("a", 4.0, 4.0);
        facts.at_least("b", 3, 3);
        facts.equal("c", 1, 1);
        assert!(facts.verdict());
        facts.at_most("d", 4.1, 4.0);
        facts.holds("e", true, true);
        assert!(!facts.verdict());
    }
}
