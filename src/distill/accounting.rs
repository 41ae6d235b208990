//! What a student owes to its teacher, and what it gains.

use crate::{
    Result,
    evidence::{Evidence, Exact, LowerBound},
};

/// Three likelihoods of the same rows, and the gaps between them.
///
/// ```text
/// teacher    ELBO of the teacher      E_q log p_θ(x | z) − KL(q(z | x) ‖ p_θ(z))           (2)
/// lvd        the same q, the student  E_q log p_pc(x | z) − KL(q(z | x) ‖ p_pc(z))         (3)
/// student    log p_pc(x)
///
/// LVD gap = teacher − lvd          variational gap = student − lvd = KL(q(z | x) ‖ p_pc(z | x)) ≥ 0
/// student − teacher = variational gap − LVD gap
/// ```
///
/// The student beats its teacher where the variational gap is larger than the LVD gap; it closes for nothing, as the student's
/// own posterior is exact. Where `q` is a point mass, one code a square, its entropy is 0, `lvd = log p_pc(x, z)`, and the
/// variational gap is `−log p_pc(z | x)`. Where a teacher's latent is continuous, `q` here is that of the labels made of it, and
/// its own ELBO is over other latents: the LVD gap then is a difference of two bounds, and may have any sign.
/// Source: Liu et al. 2023, §3, Figure 2.
#[derive(Clone, Debug)]
pub struct Accounting {
    teacher: Evidence<LowerBound>,
    lvd: Evidence<LowerBound>,
    student: Evidence<Exact>,
}

impl Accounting {
    /// # Errors
    /// When the three are not of the same rows, or live in different spaces.
    pub fn new(teacher: Evidence<LowerBound>, lvd: Evidence<LowerBound>, student: Evidence<Exact>) -> Result<Self> {
        teacher.minus(&lvd)?;
        student.gap_to(&lvd)?;
        Ok(Self { teacher, lvd, student })
    }

    /// The teacher's bound.
    pub fn teacher(&self) -> &Evidence<LowerBound> {
        &self.teacher
    }

    /// What distillation maximises.
    pub fn lvd(&self) -> &Evidence<LowerBound> {
        &self.lvd
    }

    /// The student's likelihood.
    pub fn student(&self) -> &Evidence<Exact> {
        &self.student
    }

    /// What the student lost by being another model: the mean over rows and its standard error, nats a row.
    pub fn lvd_gap(&self) -> (f64, f64) {
        self.teacher.minus(&self.lvd).expect("of the same rows")
    }

    /// What it gains by knowing its own posterior: the mean over rows and its standard error, nats a row.
    pub fn variational_gap(&self) -> (f64, f64) {
        self.student.gap_to(&self.lvd).expect("of the same rows")
    }

    /// By how much it beats its teacher: the mean over rows and its standard error, nats a row.
    pub fn advantage(&self) -> (f64, f64) {
        self.student.gap_to(&self.teacher).expect("of the same rows")
    }
}
