//! Sum points side by side, one sum in each lane.

use super::inversion::inverses;
use super::lanes::{
    ABOVE_COLUMNS, Element, Lanes, add, carry, from_lanes, lanes_of, product, product_above, sub,
};
use super::point::{Addend, NOTHING, Point, twice_d};
use super::steps::{Row, Steps};

/// How many steps ahead an addend is asked for: longer than memory takes.
const AHEAD: usize = 3;

/// A sum in each lane: `Y - X`, `Y + X`, `Z` and `T`, of which only `Z` is not reduced: it is
/// columns with `ABOVE_COLUMNS`.
///
/// An addition needs no more, and each of its seven products is then carried once.
#[derive(Clone, Copy)]
pub struct Sums<L> {
    pub difference: Element<L>,
    pub total: Element<L>,
    pub z: Element<L>,
    pub t: Element<L>,
}

/// The sum of the steps of each lane.
#[inline(always)]
pub fn sum<const N: usize, L: Lanes<N>>(steps: &Steps) -> [Point; N] {
    points(&sum_in_lanes::<N, L>(steps))
}

/// The same, in lanes.
#[inline(always)]
pub fn sum_in_lanes<const N: usize, L: Lanes<N>>(steps: &Steps) -> Sums<L> {
    let mut sums = nothing::<N, L>();
    let mut ahead = steps.rows::<N>().skip(AHEAD);
    for row in steps.rows() {
        if let Some(ahead) = ahead.next() {
            for lane in 0..N {
                L::prefetch(ahead.addends[lane]);
            }
        }
        sums = plus(&sums, &gather(row));
    }
    sums
}

/// The first multiples of the addend of each lane, the lowest first.
#[inline(always)]
pub fn multiples<const N: usize, L: Lanes<N>>(
    addends: [&Addend; N],
    count: usize,
) -> Vec<[Addend; N]> {
    let step = gather(Row { addends: &addends, opposite: &[0; N] });
    let mut multiples = Vec::with_capacity(count);
    let mut last = nothing::<N, L>();
    for _ in 0..count {
        last = plus(&last, &step);
        multiples.push(last);
    }
    normalize(&multiples)
}

/// With `Z = 1`, and `2dxy`.
#[inline(always)]
fn normalize<const N: usize, L: Lanes<N>>(sums: &[Sums<L>]) -> Vec<[Addend; N]> {
    let mut all_z = Vec::with_capacity(sums.len());
    for sum in sums {
        all_z.push(carry(&sum.z));
    }
    let twice_d = from_lanes([&twice_d().limbs(); N]);
    let mut addends = Vec::with_capacity(sums.len());
    for (sum, by_z) in sums.iter().zip(&inverses::<N, L>(&all_z)) {
        let scaled = carry(&product(&sum.t, &twice_d));
        let difference = lanes_of(&carry(&product(&sum.difference, by_z)));
        let total = lanes_of(&carry(&product(&sum.total, by_z)));
        let scaled = lanes_of(&carry(&product(&scaled, by_z)));
        let mut row = [NOTHING; N];
        for lane in 0..N {
            row[lane].difference = difference[lane];
            row[lane].sum = total[lane];
            row[lane].product = scaled[lane];
        }
        addends.push(row);
    }
    addends
}

#[inline(always)]
pub fn nothing<const N: usize, L: Lanes<N>>() -> Sums<L> {
    let (mut one, mut z) = ([L::splat(0); 5], [L::splat(0); 5]);
    let t = one;
    one[0] = L::splat(1);
    for at in 0..5 {
        z[at] = one[at].plus(L::splat(ABOVE_COLUMNS[at]));
    }
    Sums { difference: one, total: one, z, t }
}

/// "madd-2008-hwcd-3", as in the table that the steps come from.
#[inline(always)]
pub fn plus<const N: usize, L: Lanes<N>>(sums: &Sums<L>, step: &Summand<L>) -> Sums<L> {
    let a = product(&sums.difference, &step.difference);
    let b = product_above(&sums.total, &step.total);
    let c = product(&sums.t, &step.product);
    let d = add(&sums.z, &sums.z);
    let (e, h) = (carry(&sub(&b, &a)), carry(&add(&b, &a)));
    let c = negated(step.opposite, &c);
    let (f, g) = (carry(&sub(&d, &c)), carry(&add(&d, &c)));
    let (x, y) = (product(&e, &f), product_above(&g, &h));
    let (z, t) = (product_above(&f, &g), product(&e, &h));
    Sums { difference: carry(&sub(&y, &x)), total: carry(&add(&y, &x)), z, t: carry(&t) }
}

/// "add-2008-hwcd-3".
#[inline(always)]
pub fn add_sums<const N: usize, L: Lanes<N>>(left: &Sums<L>, right: &Sums<L>) -> Sums<L> {
    let twice_d = from_lanes([&twice_d().limbs(); N]);
    let a = product(&left.difference, &right.difference);
    let b = product_above(&left.total, &right.total);
    let c = product(&left.t, &carry(&product(&right.t, &twice_d)));
    let d = product_above(&carry(&left.z), &carry(&right.z));
    let d = add(&d, &d);
    let (e, h) = (carry(&sub(&b, &a)), carry(&add(&b, &a)));
    let (f, g) = (carry(&sub(&d, &c)), carry(&add(&d, &c)));
    let (x, y) = (product(&e, &f), product_above(&g, &h));
    let (z, t) = (product_above(&f, &g), product(&e, &h));
    Sums { difference: carry(&sub(&y, &x)), total: carry(&add(&y, &x)), z, t: carry(&t) }
}

/// What is added in one step: `y - x`, `y + x` and `2dxy`; where the addend is taken away, the
/// first two have changed places.
pub struct Summand<L> {
    pub opposite: L,
    pub difference: Element<L>,
    pub total: Element<L>,
    pub product: Element<L>,
}

#[inline(always)]
fn gather<const N: usize, L: Lanes<N>>(row: Row<N>) -> Summand<L> {
    let [total, difference, product] = L::gather(row.addends, row.opposite);
    Summand { opposite: L::load(row.opposite), difference, total, product }
}

/// The columns, with the other sign in lanes whose bits are all set in `opposite`: modulo `2^64`,
/// so that they may be added to what is larger.
#[inline(always)]
fn negated<const N: usize, L: Lanes<N>>(opposite: L, columns: &Element<L>) -> Element<L> {
    let mut negated = *columns;
    for at in 0..5 {
        negated[at] = columns[at].xor(opposite).minus(opposite);
    }
    negated
}

#[inline(always)]
pub fn points<const N: usize, L: Lanes<N>>(sums: &Sums<L>) -> [Point; N] {
    let (difference, total) = (lanes_of(&sums.difference), lanes_of(&sums.total));
    let (z, t) = (lanes_of(&carry(&sums.z)), lanes_of(&sums.t));
    std::array::from_fn(|lane| Point::from_limbs([difference[lane], total[lane], z[lane], t[lane]]))
}
