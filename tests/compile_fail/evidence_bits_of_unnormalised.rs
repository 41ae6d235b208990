use limbeck::evidence::{Evidence, Space, Unnormalised};

fn main() {
    let energy = Evidence::<Unnormalised>::new(vec![-1.0], Space::Continuous, 1).unwrap();
    let _ = energy.bits_per_dim();
}
