//! Progress as a few whole lines: a notebook shows nothing else while a cell runs (no bar can be redrawn in place).

use std::time::{Duration, Instant};

use super::strict;

/// Prints how far a loop is: at most one line every two seconds, at most 20 lines spread over the work, and a last one.
///
/// ```
/// # use limbeck::notebook::ProgressLines;
/// let mut lines = ProgressLines::new();
/// for step in 0..100 {
///     lines.update(step + 1, 100, "loss 0.3"); // step 100 is the last: this prints even in a hurry
/// }
/// ```
///
/// In an unattended run ([`strict`]) only the last line is printed, and without times: two runs write the same.
#[derive(Clone, Debug)]
pub struct ProgressLines {
    rule: Rule,
    started: Instant,
    timed: bool,
}

impl ProgressLines {
    /// Starts the clock. The first line is due two seconds from now.
    pub fn new() -> Self {
        let timed = !strict();
        let most = if timed { 20 } else { 0 };
        Self { rule: Rule { every: Duration::from_secs(2), most, ..Rule::default() }, started: Instant::now(), timed }
    }

    /// At most `most` lines before the last one (in an unattended run still none).
    pub fn at_most(mut self, most: usize) -> Self {
        if self.timed {
            self.rule.most = most;
        }
        self
    }

    /// `done` of `total` units are done; `total` 0 means that nobody knows how many there are. Prints if a line is due,
    /// and always when `done` reaches `total` for the first time.
    pub fn update(&mut self, done: usize, total: usize, message: &str) {
        if self.due(done, total) {
            println!("{}", line(done, total, message, self.timed.then_some(self.started.elapsed())));
        }
    }

    /// As [`update`](ProgressLines::update), for a caller that prints the line itself.
    pub(super) fn due(&mut self, done: usize, total: usize) -> bool {
        self.rule.due(self.started.elapsed(), done, total)
    }

    /// Prints the last line of work that stopped before its total, or that had none. Nothing follows it.
    pub fn finish(&mut self, message: &str) {
        if !std::mem::replace(&mut self.rule.ended, true) {
            let time = if self.timed { format!("  {}", seconds(self.started.elapsed())) } else { String::new() };
            println!("{message}{time}");
        }
    }
}

impl Default for ProgressLines {
    fn default() -> Self {
        Self::new()
    }
}

/// When a line is due. Knows no clock and no stdout.
#[derive(Clone, Debug, Default)]
struct Rule {
    every: Duration,
    most: usize,
    printed: usize,
    last: Duration,
    ended: bool,
}

impl Rule {
    fn due(&mut self, elapsed: Duration, done: usize, total: usize) -> bool {
        if self.ended {
            return false;
        }
        if total > 0 && done >= total {
            self.ended = true;
            return true;
        }
        // Without a total the lines get rarer instead: each waits a quarter of the time so far.
        let wait = if total == 0 { self.every.max(elapsed / 4) } else { self.every };
        let early = total > 0 && (done as u128 * self.most as u128) < self.printed as u128 * total as u128;
        if self.printed >= self.most || early || elapsed < self.last + wait {
            return false;
        }
        self.printed += 1;
        self.last = elapsed;
        true
    }
}

fn line(done: usize, total: usize, message: &str, elapsed: Option<Duration>) -> String {
    let mut text = match total {
        0 => format!("{done}"),
        _ => format!("{:3.0}%  {done}/{total}", 100.0 * done as f64 / total as f64),
    };
    if !message.is_empty() {
        text += &format!("  {message}");
    }
    if let Some(elapsed) = elapsed {
        text += &format!("  {}", seconds(elapsed));
        if 0 < done && done < total {
            text += &format!(", about {} to go", seconds(elapsed.mul_f64((total - done) as f64 / done as f64)));
        }
    }
    text
}

pub(super) fn seconds(time: Duration) -> String {
    match time.as_secs_f64() {
        s if s < 10.0 => format!("{s:.1} s"),
        s if s < 120.0 => format!("{s:.0} s"),
        s => format!("{:.0} min", s / 60.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(rule: &mut Rule, total: usize, steps: usize, per_step: Duration) -> Vec<usize> {
        (1..=steps).filter(|&step| rule.due(per_step * step as u32, step, total)).collect()
    }

    fn rule(most: usize) -> Rule {
        Rule { every: Duration::from_secs(2), most, ..Rule::default() }
    }

    #[test]
    fn quick_work_prints_the_last_line_alone() {
        assert_eq!(printed(&mut rule(20), 1000, 1000, Duration::from_micros(1)), [1000]);
    }

    #[test]
    fn no_two_lines_within_two_seconds() {
        let steps = printed(&mut rule(100), 100, 100, Duration::from_millis(300));
        assert!(steps[..steps.len() - 1].windows(2).all(|w| (w[1] - w[0]) * 300 >= 2000), "{steps:?}");
        assert_eq!(steps.last(), Some(&100));
    }

    #[test]
    fn long_work_spreads_its_lines_and_stops_at_the_limit() {
        let steps = printed(&mut rule(4), 1000, 1000, Duration::from_secs(10));
        assert_eq!(steps, [1, 250, 500, 750, 1000]);
        assert_eq!(printed(&mut rule(0), 10, 10, Duration::from_secs(10)), [10]);
    }

    #[test]
    fn nothing_follows_the_last_line() {
        let mut rule = rule(9);
        assert!(rule.due(Duration::ZERO, 5, 5));
        assert!(!rule.due(Duration::from_secs(100), 5, 5));
    }

    #[test]
    fn without_a_total_the_lines_get_rarer_and_end() {
        let steps = printed(&mut rule(6), 0, 100_000, Duration::from_secs(1));
        assert_eq!(steps.len(), 6);
        assert!(steps.windows(3).all(|w| w[2] - w[1] >= w[1] - w[0]), "{steps:?}");
    }

    #[test]
    fn a_line_says_how_far_and_how_long() {
        assert_eq!(line(1, 4, "loss 2", Some(Duration::from_secs(4))), " 25%  1/4  loss 2  4.0 s, about 12 s to go");
        assert_eq!(line(4, 4, "", None), "100%  4/4");
        assert_eq!(line(7, 0, "warm", Some(Duration::from_secs(300))), "7  warm  5 min");
    }
}
