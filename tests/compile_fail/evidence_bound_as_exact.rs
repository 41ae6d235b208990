use limbeck::evidence::{Evidence, Exact, LowerBound, Space};

fn only_exact(_: &Evidence<Exact>) {}

fn main() {
    let elbo = Evidence::<LowerBound>::new(vec![-2.0], Space::Raw, 1).unwrap();
    only_exact(&elbo);
}
