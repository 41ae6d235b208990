//! Filters to choose from.

use super::Filter;
use crate::{
    Result,
    data::{Discrete, Schema},
    plot::{Figure, Tiles},
};

/// Filters in an order: what a potential is put on, or what pursuit chooses from.
///
/// ```
/// # use limbeck::frame::{Bank, Filter};
/// let bank = Bank::small();
/// assert_eq!(bank.filters()[0], Filter::intensity());
/// assert!(bank.len() < Bank::of_1998().len());
/// # let figure = bank.figure()?;
/// # Ok::<(), limbeck::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Bank {
    filters: Vec<Filter>,
}

/// Directions of the waves, degrees.
const SIX: [f64; 6] = [0.0, 30.0, 60.0, 90.0, 120.0, 150.0];

impl Bank {
    /// These filters.
    pub fn new(filters: Vec<Filter>) -> Self {
        Self { filters }
    }

    /// The bank of Zhu, Wu and Mumford (1998): intensity; Laplacians of Gaussians at `T` = √2/2, 1, 2 … 6; Gabor filters of periods
    /// 2, 4 … 12 in six directions, even, odd, and their energies. Odd waves of which whole pixels see nothing are left out.
    pub fn of_1998() -> Self {
        let spots = [std::f64::consts::FRAC_1_SQRT_2, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        Self::made([].into(), &spots, &[2.0, 4.0, 6.0, 8.0, 10.0, 12.0], &SIX)
    }

    /// A bank for small pictures: intensity, both gradients, Laplacians of Gaussians at `T` = √2/2, 1 and 2, Gabor filters of periods
    /// 2, 4 and 6 in six directions, even, odd, and their energies.
    pub fn small() -> Self {
        let gradients = vec![Filter::gradient_x(), Filter::gradient_y()];
        Self::made(gradients, &[std::f64::consts::FRAC_1_SQRT_2, 1.0, 2.0], &[2.0, 4.0, 6.0], &SIX)
    }

    fn made(gradients: Vec<Filter>, spots: &[f64], periods: &[f64], degrees: &[f64]) -> Self {
        let waves = |wave: fn(f64, f64) -> Result<Filter>| {
            let of = move |period: f64| degrees.iter().filter_map(move |angle| wave(period, *angle).ok());
            periods.iter().copied().flat_map(of)
        };
        let filters = std::iter::once(Filter::intensity())
            .chain(gradients)
            .chain(spots.iter().filter_map(|scale| Filter::laplacian_of_gaussian(*scale).ok()))
            .chain(waves(Filter::gabor_cosine))
            .chain(waves(Filter::gabor_sine))
            .chain(waves(Filter::gabor_energy));
        Self { filters: filters.collect() }
    }

    /// The filters.
    pub fn filters(&self) -> &[Filter] {
        &self.filters
    }

    /// Number of filters.
    pub fn len(&self) -> usize {
        self.filters.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.filters.is_empty()
    }

    /// The windows as pictures, grey where a weight is 0, each as bright and as dark as it goes. Of an energy the cosine is drawn.
    ///
    /// # Errors
    /// When there is no filter.
    pub fn figure(&self) -> Result<Figure> {
        // Those that differ in their direction alone stand in one row.
        let kind = |filter: &Filter| filter.name().split(',').next().unwrap_or_default().to_owned();
        let rows: Vec<&[Filter]> = self.filters.chunk_by(|a, b| kind(a) == kind(b)).collect();
        let columns = rows.iter().map(|row| row.len()).max().unwrap_or(1);
        let side = self.filters.iter().flat_map(|f| f.windows()[0].size()).max().unwrap_or(1);
        let mut tiles = Tiles::new("Filters", columns, 48);
        for row in rows {
            let pixels = row.iter().flat_map(|filter| picture(filter, side)).collect();
            tiles = tiles.with(&kind(&row[0]), &Discrete::new(Schema::uniform(&[side, side], 256), pixels)?)?;
        }
        Figure::new(&tiles)
    }
}

/// A filter in the middle of a square.
fn picture(filter: &Filter, side: usize) -> Vec<u16> {
    let window = &filter.windows()[0];
    let [height, width] = window.size();
    let largest = window.weights().iter().fold(0.0_f64, |most, w| most.max(w.abs()));
    let mut pixels = vec![128; side * side];
    let (top, left) = ((side - height) / 2, (side - width) / 2);
    for (u, weight) in window.weights().iter().enumerate() {
        let level = 128.0 + 127.0 * weight / largest.max(f64::MIN_POSITIVE);
        pixels[(top + u / width) * side + left + u % width] = level.round() as u16;
    }
    pixels
}
