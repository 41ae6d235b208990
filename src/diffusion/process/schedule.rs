//! How much of the data is left at each moment.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::f64::consts::FRAC_PI_2;

/// How the share of the data that is left falls from 1 to (almost) 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fall {
    /// `α_t = √max(c_t / c_{t−1}, 0.001)` with `c = cos²`: the released code of Hoogeboom et al. 2021, whose last step keeps a little.
    #[default]
    Cosine,
    /// `ᾱ_t = f(t) / f(0)` with `f = cos`: their paper, appendix B. The same but for the last step, which keeps nothing.
    CosineOfPaper,
    /// `ᾱ_t = 1 − t / T`. Of an absorbing process each step then hides as much of what is known (Austin et al. 2021).
    Linear,
}

/// The offset of the cosine.
const OFFSET: f64 = 0.008;
/// The least `c_t / c_{t−1}` of the released code.
const LEAST: f64 = 0.001;

/// The most steps of a schedule.
const MOST: usize = 1 << 16;

/// `f(t) = cos((t/T + s) / (1 + s) · π/2)` over `f(0)`.
fn cosine(time: f64) -> f64 {
    let f = |time: f64| ((time + OFFSET) / (1.0 + OFFSET) * FRAC_PI_2).cos();
    (f(time) / f(0.0)).max(0.0)
}

/// What is left of the data at a moment, and what is not: `ᾱ` and `1 − ᾱ`, each to its own last digit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// `ᾱ`
    pub kept: f64,
    /// `1 − ᾱ`
    pub lost: f64,
}

impl Level {
    /// Nothing is lost.
    pub const WHOLE: Self = Self { kept: 1.0, lost: 0.0 };

    fn of(kept: f64) -> Self {
        Self { kept, lost: 1.0 - kept }
    }

    /// From this moment to a later one: `ᾱ_t / ᾱ_s` and `1 − ᾱ_t / ᾱ_s`.
    pub fn to(self, later: Self) -> Self {
        Self { kept: later.kept / self.kept, lost: (later.lost - self.lost) / self.kept }
    }
}

/// What is left at each of `T` steps, `ᾱ_0 = 1` to `ᾱ_T`; where the fall is a function of time, also in between.
///
/// ```
/// # use limbeck::diffusion::{Fall, Schedule};
/// let schedule = Schedule::new(Fall::Cosine, 1000)?;
/// assert!((schedule.at(500).kept - 0.702_740_058_941).abs() < 1e-12);
/// assert_eq!(Schedule::new(Fall::Linear, 4)?.at(1).kept, 0.75);
/// # Ok::<(), limbeck::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    fall: Option<Fall>,
    levels: Vec<Level>,
}

impl Schedule {
    /// A fall in so many steps.
    ///
    /// # Errors
    /// When there is no step, or more than 65,536.
    pub fn new(fall: Fall, steps: usize) -> Result<Self> {
        if !(1..=MOST).contains(&steps) {
            return Err(Error::out_of_range("steps", steps, "1 ≤ steps ≤ 65536"));
        }
        let mut levels = vec![Level::WHOLE];
        for t in 1..=steps {
            let (time, before) = (t as f64 / steps as f64, (t - 1) as f64 / steps as f64);
            levels.push(match fall {
                Fall::Linear => Level { kept: (steps - t) as f64 / steps as f64, lost: time },
                Fall::CosineOfPaper => Level::of(if t == steps { 0.0 } else { cosine(time) }),
                Fall::Cosine => {
                    let ratio = (cosine(time) / cosine(before)).powi(2).clamp(LEAST, 1.0);
                    Level::of(levels[t - 1].kept * ratio.sqrt())
                }
            });
        }
        Ok(Self { fall: Some(fall), levels })
    }

    /// One whose steps keep these shares of what was left: `α_1, …, α_T`.
    ///
    /// # Errors
    /// When there is none, or one is not within 0..=1.
    pub fn of_steps(kept: &[f64]) -> Result<Self> {
        if kept.is_empty() || kept.len() > MOST {
            return Err(Error::out_of_range("steps", kept.len(), "1 ≤ steps ≤ 65536"));
        }
        if let Some(t) = kept.iter().position(|share| !(0.0..=1.0).contains(share)) {
            return Err(Error::invalid(format!("step {} keeps {}; it must be within 0..=1", t + 1, kept[t])));
        }
        let mut levels = vec![Level::WHOLE];
        kept.iter().for_each(|share| levels.push(Level::of(levels[levels.len() - 1].kept * share)));
        Ok(Self { fall: None, levels })
    }

    /// `T`
    pub fn steps(&self) -> usize {
        self.levels.len() - 1
    }

    /// What is left after `t` steps.
    pub fn at(&self, t: usize) -> Level {
        self.levels[t]
    }

    /// What each step keeps of what was left: `α_1, …, α_T`.
    pub fn of_each(&self) -> Vec<f64> {
        self.levels.windows(2).map(|pair| pair[0].to(pair[1]).kept).collect()
    }

    /// What is left at a time from 0 to 1, where the fall is a function of time; and how fast it falls, `dᾱ/dtime`.
    pub fn at_time(&self, time: f64) -> Option<(Level, f64)> {
        match self.fall? {
            Fall::Linear => Some((Level { kept: 1.0 - time, lost: time }, -1.0)),
            Fall::Cosine | Fall::CosineOfPaper => {
                let angle = |time: f64| (time + OFFSET) / (1.0 + OFFSET) * FRAC_PI_2;
                let slope = -angle(time).sin() * FRAC_PI_2 / (1.0 + OFFSET) / angle(0.0).cos();
                Some((Level::of(cosine(time)), slope))
            }
        }
    }

    /// The same fall in another number of steps.
    ///
    /// # Errors
    /// As [`Self::new`]; also when the shares of the steps were given one by one.
    pub fn in_steps(&self, steps: usize) -> Result<Self> {
        let fall =
            self.fall.ok_or_else(|| Error::invalid("a schedule given step by step has no other number of steps"))?;
        Self::new(fall, steps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64, tolerance: f64) {
        assert!((a - b).abs() <= tolerance * b.abs(), "{a} for {b}");
    }

    #[test]
    fn the_cosine_is_that_of_the_released_code() {
        let four = Schedule::new(Fall::Cosine, 4).unwrap();
        let alphas = [0.920_332_636_239, 0.763_571_812_267, 0.540_500_959_854, 0.031_622_776_602];
        let left = [0.920_332_636_239, 0.702_740_058_941, 0.379_831_676_385, 0.012_011_332_249];
        for (t, (alpha, left)) in alphas.into_iter().zip(left).enumerate() {
            close(four.of_each()[t], alpha, 1e-11);
            close(four.at(t + 1).kept, left, 1e-10);
        }
        let thousand = Schedule::new(Fall::Cosine, 1000).unwrap();
        close(thousand.of_each()[0], 0.999_979_357_674_536, 1e-14);
        close(thousand.at(500).kept, 0.702_740_058_941_170, 1e-13);
        close(thousand.at(999).kept, 1.558_450_161_871e-3, 1e-10);
        close(thousand.at(1000).kept, 4.928_252_131_370e-5, 1e-10);
        let long = Schedule::new(Fall::Cosine, 4000).unwrap();
        close(long.of_each()[0], 0.999_995_067_078_426, 1e-14);
        close(long.at(4000).kept, 1.232_063_500_332e-5, 1e-9);
    }

    #[test]
    fn falls_agree_where_they_say_so() {
        let (code, paper) = (Schedule::new(Fall::Cosine, 50).unwrap(), Schedule::new(Fall::CosineOfPaper, 50).unwrap());
        (0..50).for_each(|t| close(code.at(t).kept, paper.at(t).kept, 1e-12));
        assert_eq!((paper.at(50).kept, paper.at(50).lost), (0.0, 1.0));
        assert!(code.at(50).kept > 0.0);
        for fall in [Fall::Cosine, Fall::CosineOfPaper, Fall::Linear] {
            let schedule = Schedule::new(fall, 50).unwrap();
            let (level, slope) = schedule.at_time(0.4).unwrap();
            close(level.kept, schedule.at(20).kept, 1e-12);
            let at = |time| schedule.at_time(time).unwrap().0.kept;
            close((at(0.4 + 1e-6) - at(0.4 - 1e-6)) / 2e-6, slope, 1e-8);
            assert_eq!(schedule.in_steps(7).unwrap(), Schedule::new(fall, 7).unwrap());
        }
        // A step at the beginning of a long schedule is not lost in the last digits.
        let linear = Schedule::new(Fall::Linear, 1 << 16).unwrap();
        assert_eq!(linear.at(0).to(linear.at(1)).lost, (1.0 / (1 << 16) as f64));
    }

    #[test]
    fn impossible_schedules_are_refused() {
        assert!(Schedule::new(Fall::Linear, 0).is_err());
        assert!(Schedule::new(Fall::Linear, usize::MAX).is_err());
        let error = Schedule::of_steps(&[0.5, f64::NAN]).unwrap_err().to_string();
        assert_eq!(error, "step 2 keeps NaN; it must be within 0..=1");
        let given = Schedule::of_steps(&[0.5, 0.5]).unwrap();
        assert_eq!((given.at(2).kept, given.at_time(0.5)), (0.25, None));
        assert!(given.in_steps(3).is_err());
    }
}
