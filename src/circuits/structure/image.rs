//! Splits of a picture: quadrants, and all rectangles on a grid.

use super::{SumProduct, regions::Regions};
use crate::{Error, Result, circuits::Graph};
use std::collections::HashMap;

/// Rows and columns of a picture, half open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Rectangle {
    top: usize,
    bottom: usize,
    left: usize,
    right: usize,
}

/// Channels, height and width of a row of data.
fn size(shape: &[usize]) -> Result<[usize; 3]> {
    match *shape {
        [height, width] => Ok([1, height, width]),
        [channels, height, width] => Ok([channels, height, width]),
        _ => Err(Error::invalid(format!(
            "rows of shape {shape:?} are not pictures: (height, width) or (channels, height, width) is needed"
        ))),
    }
}

impl Rectangle {
    fn whole([_, height, width]: [usize; 3]) -> Self {
        Self { top: 0, bottom: height, left: 0, right: width }
    }

    fn rows(&self) -> usize {
        self.bottom - self.top
    }

    fn columns(&self) -> usize {
        self.right - self.left
    }

    /// The variables of all channels.
    fn variables(&self, [channels, height, width]: [usize; 3]) -> Vec<usize> {
        let pixels = (0..channels).flat_map(|c| (self.top..self.bottom).map(move |y| (c, y)));
        pixels.flat_map(|(c, y)| (self.left..self.right).map(move |x| (c * height + y) * width + x)).collect()
    }

    fn cut_row(&self, at: usize) -> [Self; 2] {
        [Self { bottom: at, ..*self }, Self { top: at, ..*self }]
    }

    fn cut_column(&self, at: usize) -> [Self; 2] {
        [Self { right: at, ..*self }, Self { left: at, ..*self }]
    }

    /// The halves by rows, and those by columns, as far as there are.
    fn halves(&self) -> [Option<[Self; 2]>; 2] {
        let rows = (self.rows() > 1).then(|| self.cut_row(self.top + self.rows().div_ceil(2)));
        let columns = (self.columns() > 1).then(|| self.cut_column(self.left + self.columns().div_ceil(2)));
        [rows, columns]
    }
}

/// Every region in four quadrants, down to pixels; or, as a graph, in halves by rows and in halves by columns, both of them
/// split into the same quadrants.
pub(super) fn quad(shape: &[usize], units: usize, layer: SumProduct, tied: bool, graph: bool) -> Result<Graph> {
    let size = size(shape)?;
    let regions = Regions::new(size.iter().product(), units, layer, tied);
    let mut quads = Quads { regions, size, graph, known: HashMap::new() };
    let partitions = quads.partitions(Rectangle::whole(size), 0)?;
    quads.regions.root(0, &partitions)
}

/// Quadrants under construction.
struct Quads {
    regions: Regions,
    size: [usize; 3],
    graph: bool,
    known: HashMap<Rectangle, usize>,
}

impl Quads {
    fn region(&mut self, place: Rectangle, depth: usize) -> Result<usize> {
        if let Some(region) = self.known.get(&place) {
            return Ok(*region);
        }
        let region = if place.rows() * place.columns() == 1 {
            self.regions.leaf(&place.variables(self.size))?
        } else {
            let partitions = self.partitions(place, depth)?;
            self.regions.region(depth, &partitions)?
        };
        self.known.insert(place, region);
        Ok(region)
    }

    /// The regions into which a rectangle is split, in each way; a single pixel is its own.
    fn partitions(&mut self, place: Rectangle, depth: usize) -> Result<Vec<Vec<usize>>> {
        let splits: Vec<Vec<Rectangle>> = match place.halves() {
            [Some(rows), Some(columns)] if self.graph => vec![rows.to_vec(), columns.to_vec()],
            [Some(rows), Some(_)] => {
                vec![rows.iter().flat_map(|half| half.halves()[1].into_iter().flatten()).collect()]
            }
            [Some(halves), None] | [None, Some(halves)] => vec![halves.to_vec()],
            [None, None] => vec![vec![place]],
        };
        splits.iter().map(|parts| parts.iter().map(|part| self.region(*part, depth + 1)).collect()).collect()
    }
}

/// All rectangles whose sides are on a grid of `step` pixels, each split at every line of the grid that crosses it.
/// Source: Poon and Domingos 2011.
pub(super) fn poon_domingos(shape: &[usize], step: usize, units: usize, layer: SumProduct) -> Result<Graph> {
    let size = size(shape)?;
    if step == 0 {
        return Err(Error::out_of_range("step", step, "1 ≤ step"));
    }
    let grid = |end: usize| (0..end).step_by(step).chain([end]).collect::<Vec<_>>();
    let (rows, columns) = (grid(size[1]), grid(size[2]));
    let mut regions = Regions::new(size.iter().product(), units, layer, false);
    let mut known: HashMap<Rectangle, usize> = HashMap::new();
    let splits = |place: &Rectangle| -> Vec<[Rectangle; 2]> {
        let inside = |lines: &[usize], from: usize, to: usize| -> Vec<usize> {
            lines.iter().copied().filter(|at| (from + 1..to).contains(at)).collect()
        };
        let by_row = inside(&rows, place.top, place.bottom).into_iter().map(|at| place.cut_row(at));
        by_row.chain(inside(&columns, place.left, place.right).into_iter().map(|at| place.cut_column(at))).collect()
    };
    // From small rectangles to large ones, so that the parts of each are there.
    let sides = |lines: &[usize]| -> Vec<(usize, usize)> {
        (0..lines.len())
            .flat_map(|a| (a + 1..lines.len()).map(move |b| (a, b)))
            .map(|(a, b)| (lines[a], lines[b]))
            .collect()
    };
    let (vertical, horizontal) = (sides(&rows), sides(&columns));
    let mut places: Vec<Rectangle> = vertical
        .iter()
        .flat_map(|(top, bottom)| {
            horizontal.iter().map(|(left, right)| Rectangle { top: *top, bottom: *bottom, left: *left, right: *right })
        })
        .collect();
    places.sort_by_key(|place| place.rows() * place.columns());
    let whole = Rectangle::whole(size);
    for place in places {
        let mut partitions: Vec<Vec<usize>> =
            splits(&place).iter().map(|halves| halves.iter().map(|half| known[half]).collect()).collect();
        if place == whole {
            if partitions.is_empty() {
                partitions.push(vec![regions.leaf(&place.variables(size))?]);
            }
            return regions.root(0, &partitions);
        }
        let region = if partitions.is_empty() {
            regions.leaf(&place.variables(size))?
        } else {
            regions.region(0, &partitions)?
        };
        known.insert(place, region);
    }
    Err(Error::invalid("a picture without pixels"))
}
