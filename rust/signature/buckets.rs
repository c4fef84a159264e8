//! Sum many points, each times a coefficient of its own, side by side.
//!
//! A coefficient is sixteen signed digits of eight bits. A lane sums what has the same digit at its
//! place: in buckets, one for each distance from zero (Pippenger). All lanes add the same point,
//! each to the bucket that its digit asks for.

use super::coefficient::{Coefficient, PLACES, ZERO};
use super::decoding::{TOGETHER, decode};
use super::lanes::{Element, Lanes};
use super::point::{Addend, Point};
use super::sum::{Summand, Sums, add_sums, nothing, plus, points};

/// What a digit may be: from -128 to 127. The bucket of zero is not looked at.
const DISTANCES: usize = 129;

/// `Y - X`, `Y + X`, `Z` and `T` of a sum, five limbs each, and four words that are not used.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Bucket([[u8; 64]; 3]);

/// The buckets of all places, one place after the other.
#[derive(Clone)]
pub struct Buckets(Vec<Bucket>);

impl Buckets {
    #[inline(always)]
    pub fn new<const N: usize, L: Lanes<N>>() -> Self {
        let mut buckets = vec![Bucket([[0; 64]; 3]); PLACES * DISTANCES];
        let at = [0; N];
        scatter(&mut buckets, &at, &nothing::<N, L>());
        let nothing = buckets[0];
        buckets.fill(nothing);
        Self(buckets)
    }

    /// Add the point of each encoding, times its coefficient; and whether each is of a point.
    #[inline(always)]
    pub fn add<const N: usize, L: Lanes<N>>(
        &mut self,
        encodings: &[&[u8; 32]],
        coefficients: &[Coefficient],
    ) -> Vec<bool> {
        let mut are_points = Vec::with_capacity(encodings.len());
        for (some, theirs) in encodings.chunks(TOGETHER * N).zip(coefficients.chunks(TOGETHER * N))
        {
            let mut groups = [[some[0]; N]; TOGETHER];
            for at in 0..some.len() {
                groups[at / N][at % N] = some[at];
            }
            let decoded = decode::<N, L>(groups);
            for at in 0..some.len() {
                let (addend, is_point) = &decoded[at / N][at % N];
                are_points.push(*is_point);
                if *is_point {
                    self.add_multiple::<N, L>(addend, &theirs[at]);
                }
            }
        }
        are_points
    }

    /// Two groups of places are added to in turn, half of an addition each: they have no bucket in
    /// common, and one's products fill the other's waits.
    #[inline(always)]
    fn add_multiple<const N: usize, L: Lanes<N>>(
        &mut self,
        addend: &Addend,
        coefficient: &Coefficient,
    ) {
        for first in (0..PLACES).step_by(2 * N) {
            let (mut at, mut opposite) = ([[0; N]; 2], [[0; N]; 2]);
            for half in 0..2 {
                for lane in 0..N {
                    let place = first + half * N + lane;
                    let digit = coefficient.0[place];
                    at[half][lane] = place * DISTANCES + usize::from(digit.abs_diff(ZERO));
                    opposite[half][lane] = 0_u64.wrapping_sub(u64::from(digit < ZERO));
                }
            }
            let one = gather::<N, L>(&self.0, &at[0]);
            let other = gather::<N, L>(&self.0, &at[1]);
            let one = plus(&one, &same(addend, &opposite[0]));
            let other = plus(&other, &same(addend, &opposite[1]));
            scatter(&mut self.0, &at[0], &one);
            scatter(&mut self.0, &at[1], &other);
        }
    }

    /// The sum of what is in the buckets, each times its distance, place by place.
    #[inline(always)]
    pub fn totals<const N: usize, L: Lanes<N>>(&self) -> Vec<Point> {
        let mut totals = Vec::with_capacity(PLACES);
        for first in (0..PLACES).step_by(N) {
            let (mut above, mut total) = (nothing::<N, L>(), nothing::<N, L>());
            for distance in (1..DISTANCES).rev() {
                let mut at = [0; N];
                for (lane, at) in at.iter_mut().enumerate() {
                    *at = (first + lane) * DISTANCES + distance;
                }
                above = add_sums(&above, &gather(&self.0, &at));
                total = add_sums(&total, &above);
            }
            totals.extend(points(&total));
        }
        totals
    }
}

/// The addend in every lane, or what takes it away.
#[inline(always)]
fn same<const N: usize, L: Lanes<N>>(addend: &Addend, opposite: &[u64; N]) -> Summand<L> {
    let opposite = L::load(opposite);
    let (mut difference, mut total, mut product) =
        ([L::splat(0); 5], [L::splat(0); 5], [L::splat(0); 5]);
    for limb in 0..5 {
        let (more, less) = (L::splat(addend.sum[limb]), L::splat(addend.difference[limb]));
        difference[limb] = L::select(opposite, more, less);
        total[limb] = L::select(opposite, less, more);
        product[limb] = L::splat(addend.product[limb]);
    }
    Summand { opposite, difference, total, product }
}

#[inline(always)]
fn gather<const N: usize, L: Lanes<N>>(buckets: &[Bucket], at: &[usize; N]) -> Sums<L> {
    let mut lines = [[&buckets[0].0[0]; N]; 3];
    for lane in 0..N {
        let Bucket([first, second, third]) = &buckets[at[lane]];
        (lines[0][lane], lines[1][lane], lines[2][lane]) = (first, second, third);
    }
    let [a, b, c, d, e, f, g, h] = L::words(lines[0]);
    let [i, j, k, l, m, n, o, p] = L::words(lines[1]);
    let [q, r, s, t, ..] = L::words(lines[2]);
    Sums {
        difference: [a, b, c, d, e],
        total: [f, g, h, i, j],
        z: [k, l, m, n, o],
        t: [p, q, r, s, t],
    }
}

#[inline(always)]
fn scatter<const N: usize, L: Lanes<N>>(buckets: &mut [Bucket], at: &[usize; N], sums: &Sums<L>) {
    let [a, b, c, d, e]: Element<L> = sums.difference;
    let [f, g, h, i, j] = sums.total;
    let [k, l, m, n, o] = sums.z;
    let [p, q, r, s, t] = sums.t;
    let first = L::lines([a, b, c, d, e, f, g, h]);
    let second = L::lines([i, j, k, l, m, n, o, p]);
    let third = L::lines([q, r, s, t, q, r, s, t]);
    for lane in 0..N {
        buckets[at[lane]] = Bucket([first[lane], second[lane], third[lane]]);
    }
}

#[cfg(test)]
mod tests {
    use super::super::coefficient::DIGIT_BITS;
    use super::super::emulated::{Doubles, Integers};
    use super::super::kernel::Kernel;
    use super::super::point::{encode, tests::encodings};
    use super::*;

    /// Digits at their bounds, and others.
    fn coefficient(number: usize) -> Coefficient {
        let bytes = *blake3::hash(&number.to_le_bytes()).as_bytes();
        let bounds = [0, 1, 127, ZERO, 129, 255];
        Coefficient(std::array::from_fn(|at| match number % 3 {
            0 => bounds[usize::from(bytes[at]) % bounds.len()],
            _ => bytes[at],
        }))
    }

    /// By doubling and adding, digit by digit.
    fn times(point: &Point, coefficient: &Coefficient) -> Point {
        let mut sum = Point::IDENTITY;
        for digit in coefficient.0.iter().rev() {
            sum = (0..DIGIT_BITS).fold(sum, |sum, _| sum.doubled());
            let part = if *digit < ZERO { point.negated() } else { *point };
            sum = (0..digit.abs_diff(ZERO)).fold(sum, |sum, _| sum.add(&part));
        }
        sum
    }

    fn judged(totals: impl Fn(&[&[u8; 32]], &[Coefficient]) -> (Vec<bool>, Vec<Point>)) {
        let encodings = encodings();
        for count in [1, 3, 8, 17, 40] {
            let some: Vec<&[u8; 32]> = encodings.iter().rev().step_by(7).take(count).collect();
            let coefficients: Vec<Coefficient> = (0..count).map(coefficient).collect();
            let decoded: Vec<_> = some.iter().map(|bytes| Point::decode(bytes)).collect();
            let products = decoded.iter().zip(&coefficients);
            let products = products.filter_map(|(point, by)| Some(times(point.as_ref()?, by)));
            let want = products.fold(Point::IDENTITY, |sum, product| sum.add(&product));
            let (are_points, totals) = totals(&some, &coefficients);
            assert_eq!(are_points, decoded.iter().map(Option::is_some).collect::<Vec<_>>());
            let got = totals.iter().rev().fold(Point::IDENTITY, |sum, total| {
                (0..DIGIT_BITS).fold(sum, |sum, _| sum.doubled()).add(total)
            });
            assert_eq!(encode(&[got]), encode(&[want]), "{count} points");
        }
    }

    fn in_lanes<const N: usize, L: Lanes<N>>() {
        judged(|encodings, coefficients| {
            let mut buckets = Buckets::new::<N, L>();
            let are_points = buckets.add::<N, L>(encodings, coefficients);
            (are_points, buckets.totals::<N, L>())
        });
    }

    #[test]
    fn what_is_in_buckets_is_what_was_added_one_by_one() {
        in_lanes::<8, Integers>();
        in_lanes::<4, Doubles>();
        for kernel in Kernel::available() {
            let Some(empty) = kernel.buckets() else { continue };
            judged(|encodings, coefficients| {
                let mut buckets = empty.clone();
                let are_points = kernel.add(&mut buckets, encodings, coefficients);
                (are_points, kernel.totals(&buckets))
            });
        }
    }
}
