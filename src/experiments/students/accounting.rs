//! Figure 2 of the source, measured: the teacher's bound, what distillation reaches, and the likelihood of the student.
//!
//! The latents of the test rows are the teacher's: its codes, or the clusters of what it sees. Those of a student that grows are its
//! own, the likeliest head of each square, so that its gaps are not those of the teacher's `q`.

use super::pipeline::{Latents, Pictures, Pipeline, unwatched};
use crate::{
    Result,
    circuits::{Circuit, Em, FitCircuit, Structure},
    data::{Discrete, Rows},
    distill::{Accounting, Student},
    evidence::{Evidence, LowerBound},
    experiments::{Claim, Lab, mean_and_error, published},
    growth::Learn,
    plot::{Dots, Table},
    random::Seed,
    teachers::{Coded, Decoder},
    train::{Fit, quiet},
};

const SEEDS: u64 = 5;
/// Of a picture.
const PIXELS: usize = 64;

/// What a student is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Made {
    /// The teacher itself, made tractable: its own decoder and codes, and the prior that its bound has.
    Itself,
    /// Its codes, counted: how often a code has a value of a pixel, and a tree of how often codes go together. No EM.
    Counted,
    /// A circuit that learns.
    Learned(Latents),
}

/// A way from a teacher to a student.
type Way = (Decoder, Made);

const WAYS: [Way; 6] = [
    (Decoder::Independent, Made::Itself),
    (Decoder::Independent, Made::Counted),
    (Decoder::Independent, Made::Learned(Latents::OneShot)),
    (Decoder::Independent, Made::Learned(Latents::Growing)),
    (Decoder::Convolutional, Made::Learned(Latents::OneShot)),
    (Decoder::Convolutional, Made::Learned(Latents::Growing)),
];

fn name((decoder, latents): Way) -> String {
    let decoder = match decoder {
        Decoder::Independent => "independent",
        Decoder::Convolutional => "convolutional",
    };
    let latents = match latents {
        Made::Itself => "its own codes",
        Made::Counted => "its codes, counted",
        Made::Learned(Latents::OneShot) => "one-shot",
        Made::Learned(Latents::Growing) => "growing, own labels",
    };
    format!("{decoder}, {latents}")
}

/// One student of one teacher: nats a picture of the test rows.
struct Line {
    way: Way,
    parameters: usize,
    teacher: f64,
    lvd: f64,
    student: f64,
    tuned: f64,
}

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let pipeline = Pipeline { tuned: lab.budget.pick(30, 200), ..Pipeline::usual(lab.budget) };
    let mut seeds: Vec<Vec<Line>> = Vec::new();
    for i in 0..SEEDS {
        lab.say(format!("two teachers and their students, seed {i}"));
        let seed = lab.seed.child("students", i);
        let rows = Pictures::digits(seed)?;
        let mut lines = Vec::new();
        for decoder in [Decoder::Independent, Decoder::Convolutional] {
            let teacher = pipeline.vq_vae(&rows, decoder, seed)?;
            let (prior, bound) = bound(&pipeline, teacher.as_ref(), &rows, seed)?;
            for way in WAYS.into_iter().filter(|way| way.0 == decoder) {
                let (student, latents) = match way.1 {
                    Made::Itself => {
                        let own = Student::new(teacher.patches().clone(), vec![teacher.heads()?], prior.clone())?;
                        (own, teacher.encode(&rows.test)?)
                    }
                    Made::Counted => (counted(teacher.as_ref(), &rows.train, seed)?, teacher.encode(&rows.test)?),
                    Made::Learned(by) => pipeline.student(&rows, (teacher.as_ref(), by), seed)?,
                };
                let (lvd, circuit) = (student.lvd_of(&rows.test, &latents)?, student.circuit()?);
                let account = Accounting::new(bound.clone(), lvd, circuit.evidence(&rows.test)?)?;
                let [teacher, lvd, student] =
                    [account.teacher().mean(), account.lvd().mean(), account.student().mean()];
                let parameters = circuit.parameters();
                let tuned = pipeline.tune(circuit, &rows, seed)?.evidence(&rows.test)?.mean();
                lines.push(Line { way, parameters, teacher, lvd, student, tuned });
            }
        }
        seeds.push(lines);
    }
    table(lab, &seeds)?;
    ablation(lab, &seeds)?;
    figure(lab, &seeds)?;
    claims(lab, &seeds, &pipeline);
    Ok(())
}

/// A student of a teacher's own codes by counting alone: a product of categorical pixels for each code, and a Chow-Liu tree of the
/// codes of a picture's squares.
fn counted(teacher: &dyn Coded, rows: &Discrete, seed: Seed) -> Result<Student> {
    let patches = teacher.patches().clone();
    let (codes, squares) = (teacher.encode(rows)?, patches.of(rows)?);
    let labels: Vec<u32> = codes.codes().iter().map(|code| u32::from(*code)).collect();
    // The graph of its heads: with labels every flow is known, and one exact step counts.
    let count = Learn { epochs: 1, batch: squares.len(), em: Em { pseudocount: 0.1, ..Em::exact() }, unused: 0.0 };
    let heads = count.run(teacher.heads()?, &squares, &labels, unwatched(seed, &mut quiet))?.0;
    let tree = FitCircuit { em: Em { pseudocount: 0.1, ..Em::exact() }, ..FitCircuit::new(Structure::ChowLiu) };
    Student::new(patches, vec![heads], tree.fit(&codes, None, seed)?.0)
}

/// A prior over the codes of a teacher, and the bound under it.
fn bound(
    pipeline: &Pipeline,
    teacher: &dyn Coded,
    rows: &Pictures,
    seed: Seed,
) -> Result<(Circuit, Evidence<LowerBound>)> {
    let settings = FitCircuit { epochs: pipeline.learned, ..FitCircuit::new(Structure::hclt(pipeline.prior)) };
    let prior = settings.fit(&teacher.encode(&rows.train)?, None, seed)?.0;
    let bound = teacher.elbo_of(&rows.test, &prior)?;
    Ok((prior, bound))
}

fn table(lab: &mut Lab, seeds: &[Vec<Line>]) -> Result<()> {
    let all = || seeds.iter().enumerate().flat_map(|(seed, lines)| lines.iter().map(move |line| (seed, line)));
    let table = Table::new()
        .text("student", all().map(|(_, l)| name(l.way)))?
        .counts("seed", all().map(|(seed, _)| seed))?
        .counts("parameters", all().map(|(_, l)| l.parameters))?
        .numbers("ELBO of the teacher, nats", all().map(|(_, l)| l.teacher))?
        .numbers("LVD objective, nats", all().map(|(_, l)| l.lvd))?
        .numbers("student, nats", all().map(|(_, l)| l.student))?
        .numbers("LVD gap, nats", all().map(|(_, l)| l.teacher - l.lvd))?
        .numbers("variational gap, nats", all().map(|(_, l)| l.student - l.lvd))?
        .numbers("tuned as a whole, nats", all().map(|(_, l)| l.tuned))?;
    lab.table("students-accounting-table", table);
    Ok(())
}

/// The full method and two without a part of it, on digits; and what is published of pictures that are not here, as it is. Ours are
/// not of one size: `students-sizes` compares those that are.
fn ablation(lab: &mut Lab, seeds: &[Vec<Line>]) -> Result<()> {
    const ROWS: [(&str, Way); 3] = [
        ("full method", (Decoder::Independent, Made::Learned(Latents::Growing))),
        ("without progressive growing", (Decoder::Independent, Made::Learned(Latents::OneShot))),
        ("with a convolutional decoder", (Decoder::Convolutional, Made::Learned(Latents::Growing))),
    ];
    let bits = |way, what: fn(&Line) -> f64| {
        let (mean, error) = mean_and_error(&of(seeds, way, what));
        [-mean, error].map(|nats| nats / (PIXELS as f64 * std::f64::consts::LN_2))
    };
    let size = |way| mean_and_error(&of(seeds, way, |l| l.parameters as f64)).0;
    let ours = ROWS.map(|(name, way)| (name, bits(way, |l| l.student), bits(way, |l| l.tuned), size(way)));
    let theirs = published(&["bits/dim"], |data| ["CIFAR-10", "ImageNet32", "ImageNet64"].contains(&data))?;
    let blank = || theirs.iter().map(|_| f64::NAN);
    let table = Table::new()
        .text("method", ours.iter().map(|o| o.0).chain(theirs.iter().map(|p| p.model.as_str())))?
        .text("data", ours.iter().map(|_| "digits").chain(theirs.iter().map(|p| p.data.as_str())))?
        .numbers("parameters, mean", ours.iter().map(|o| o.3).chain(blank()))?
        .numbers("bits/dim", ours.iter().map(|o| o.1[0]).chain(theirs.iter().map(|p| p.value)))?
        .numbers("standard error", ours.iter().map(|o| o.1[1]).chain(blank()))?
        .numbers("tuned as a whole", ours.iter().map(|o| o.2[0]).chain(blank()))?
        .numbers("its standard error", ours.iter().map(|o| o.2[1]).chain(blank()))?
        .text("source", ours.iter().map(|_| "").chain(theirs.iter().map(|p| p.source.as_str())))?;
    lab.table("students-ablation", table);
    Ok(())
}

fn of(seeds: &[Vec<Line>], way: Way, what: impl Fn(&Line) -> f64) -> Vec<f64> {
    seeds.iter().flatten().filter(|line| line.way == way).map(what).collect()
}

fn figure(lab: &mut Lab, seeds: &[Vec<Line>]) -> Result<()> {
    type Part = (&'static str, fn(&Line) -> f64);
    let parts: [Part; 4] = [
        ("ELBO of the teacher", |l| l.teacher),
        ("LVD objective", |l| l.lvd),
        ("student", |l| l.student),
        ("tuned as a whole", |l| l.tuned),
    ];
    let mut dots = Dots::new("Teachers and students on digits", "nats a test picture, mean of five seeds ± s.e.");
    for way in WAYS {
        dots = dots.with_each(
            &name(way),
            parts.map(|(what, part)| {
                let (mean, error) = mean_and_error(&of(seeds, way, part));
                (what, mean, error)
            }),
        );
    }
    lab.figure("students-accounting", &dots)
}

fn claims(lab: &mut Lab, seeds: &[Vec<Line>], pipeline: &Pipeline) {
    let source = "Liu et al. 2023";
    let budget = format!(
        "digits 8 × 8, teacher {} epochs, {} heads of {} epochs, HCLT of {} states over latents; tuned {} epochs where it says so",
        pipeline.taught, pipeline.heads, pipeline.learned, pipeline.prior, pipeline.tuned
    );
    let [independent, convolutional] =
        [Decoder::Independent, Decoder::Convolutional].map(|decoder| (decoder, Made::Learned(Latents::OneShot)));
    let ahead = of(seeds, independent, |l| l.student - l.teacher);
    let gap = |way| of(seeds, way, |l| l.teacher - l.lvd);
    let pairs = |a: Vec<f64>, b: Vec<f64>| a.into_iter().zip(b).map(|(a, b)| a - b).collect::<Vec<_>>();
    let better = pairs(of(seeds, independent, |l| l.student), of(seeds, convolutional, |l| l.student));
    let worse = pairs(of(seeds, convolutional, |l| l.teacher), of(seeds, independent, |l| l.teacher));
    let both: Vec<f64> = better.iter().zip(worse).map(|(a, b)| a.min(b)).collect();
    for (sentence, section, measure, values) in [
        (
            "The likelihood of a student exceeds the ELBO of its teacher, where the decoder is independent",
            "§6.1",
            "student − ELBO of its teacher (independent decoder, one-shot), nats a test picture",
            ahead,
        ),
        (
            "The LVD gap is smaller where the assumptions of teacher and student match",
            "§3",
            "LVD gap with a convolutional decoder − with an independent one, one-shot, nats a test picture",
            pairs(gap(convolutional), gap(independent)),
        ),
        (
            "An independent decoder teaches better than a convolutional one, though it is the worse model, before the whole is tuned",
            "§5",
            "the smaller of: students' likelihoods, independent − convolutional; teachers' ELBOs, convolutional − \
             independent; one-shot, nats a test picture",
            both,
        ),
        (
            "An independent decoder teaches better than a convolutional one, once the whole is tuned",
            "§5",
            "tuned students' likelihoods, independent − convolutional, one-shot, nats a test picture",
            pairs(of(seeds, independent, |l| l.tuned), of(seeds, convolutional, |l| l.tuned)),
        ),
    ] {
        lab.claim(Claim::new(sentence, &format!("{source}, {section}"), measure, &values).budget(&budget));
    }
}
