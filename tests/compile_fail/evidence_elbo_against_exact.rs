use limbeck::evidence::{Evidence, Exact, LowerBound, Space, rank};

fn main() {
    let exact = Evidence::<Exact>::new(vec![-1.0], Space::Raw, 1).unwrap();
    let elbo = Evidence::<LowerBound>::new(vec![-2.0], Space::Raw, 1).unwrap();
    let _ = rank(&[("circuit", &exact), ("vae", &elbo)]);
}
