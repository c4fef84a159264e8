//! Sum points side by side, one sum in each lane.

use super::field::{Tight, invert};
use super::lanes::{Element, Lanes, add, carry, sub};
use super::table::{Addend, NOTHING, Point, Step, twice_d};

/// How many steps ahead an addend is asked for: longer than memory takes.
const AHEAD: usize = 3;

/// A sum in each lane: `Y - X`, `Y + X`, `Z` and `T`, of which only `Z` is not reduced.
///
/// An addition needs no more, and each of its seven products is then carried once.
#[derive(Clone, Copy)]
struct Sums<L> {
    difference: Element<L>,
    total: Element<L>,
    z: Element<L>,
    t: Element<L>,
}

/// The sum of the steps of each lane, all of which have as many.
#[inline(always)]
pub fn sum<const N: usize, L: Lanes<N>>(steps: [&[Step]; N]) -> [Point; N] {
    let mut sums = nothing::<N, L>();
    for at in 0..steps[0].len() {
        for lane in steps {
            if let Some((addend, _)) = lane.get(at + AHEAD) {
                L::prefetch(addend);
            }
        }
        sums = plus(&sums, &gather(&steps, at));
    }
    points(&sums)
}

/// The first multiples of the addend of each lane, the lowest first.
#[inline(always)]
pub fn multiples<const N: usize, L: Lanes<N>>(
    addends: [&Addend; N],
    count: usize,
) -> Vec<[Addend; N]> {
    let once = addends.map(|addend| [(addend, false)]);
    let step = gather(&once.each_ref().map(|step| &step[..]), 0);
    let mut multiples = Vec::with_capacity(count);
    let mut last = nothing::<N, L>();
    for _ in 0..count {
        last = plus(&last, &step);
        last.z = carry(&last.z);
        multiples.push(last);
    }
    normalize(&multiples)
}

/// With `Z = 1`, and `2dxy`: of all sums of a lane, only the product of their `Z` is inverted.
#[inline(always)]
fn normalize<const N: usize, L: Lanes<N>>(sums: &[Sums<L>]) -> Vec<[Addend; N]> {
    let mut product = nothing::<N, L>().z;
    let mut before = Vec::with_capacity(sums.len());
    for sum in sums {
        before.push(product);
        product = carry(&L::product(&product, &sum.z));
    }
    let inverses = invert(&lanes_of(&product).map(Tight::from_limbs)).into_iter();
    let inverses: Vec<[u64; 5]> = inverses.map(Tight::limbs).collect();
    let mut inverse = L::gather(std::array::from_fn(|lane| &inverses[lane]));
    let twice_d = L::gather([&twice_d().limbs(); N]);
    let mut addends = Vec::with_capacity(sums.len());
    for (sum, before) in sums.iter().zip(&before).rev() {
        let one_by_z = carry(&L::product(&inverse, before));
        inverse = carry(&L::product(&inverse, &sum.z));
        let scaled = carry(&L::product(&sum.t, &twice_d));
        let [difference, total, product] = [&sum.difference, &sum.total, &scaled];
        let difference = lanes_of(&carry(&L::product(difference, &one_by_z)));
        let total = lanes_of(&carry(&L::product(total, &one_by_z)));
        let product = lanes_of(&carry(&L::product(product, &one_by_z)));
        let mut row = [NOTHING; N];
        for lane in 0..N {
            row[lane].difference = difference[lane];
            row[lane].sum = total[lane];
            row[lane].product = product[lane];
        }
        addends.push(row);
    }
    addends.reverse();
    addends
}

#[inline(always)]
fn nothing<const N: usize, L: Lanes<N>>() -> Sums<L> {
    let zero = [L::splat(0); 5];
    let mut one = zero;
    one[0] = L::splat(1);
    Sums { difference: one, total: one, z: one, t: zero }
}

/// "madd-2008-hwcd-3", as in the table that the steps come from.
#[inline(always)]
fn plus<const N: usize, L: Lanes<N>>(sums: &Sums<L>, step: &Gathered<L>) -> Sums<L> {
    let a = L::product(&sums.difference, &step.parts[0]);
    let b = L::product(&sums.total, &step.parts[1]);
    let c = L::product(&sums.t, &step.parts[2]);
    let d = add(&sums.z, &sums.z);
    let (e, h) = (carry(&sub(&b, &a)), carry(&add(&b, &a)));
    let (less, more) = (sub(&d, &c), add(&d, &c));
    let f = carry(&select(step.opposite, &more, &less));
    let g = carry(&select(step.opposite, &less, &more));
    let (x, y) = (L::product(&e, &f), L::product(&g, &h));
    let (z, t) = (L::product(&f, &g), L::product(&e, &h));
    Sums { difference: carry(&sub(&y, &x)), total: carry(&add(&y, &x)), z, t: carry(&t) }
}

/// What is added in one step.
struct Gathered<L> {
    /// All bits of a lane whose addend is to be taken away.
    opposite: L,
    /// `y - x`, `y + x` and `2dxy`; where the addend is taken away, the first two have changed
    /// places.
    parts: [Element<L>; 3],
}

#[inline(always)]
fn gather<const N: usize, L: Lanes<N>>(steps: &[&[Step]; N], at: usize) -> Gathered<L> {
    let (nothing, _) = &steps[0][at];
    let mut opposite = [0; N];
    let mut parts = [[&nothing.sum; N]; 3];
    for lane in 0..N {
        let (addend, negative) = steps[lane][at];
        opposite[lane] = if negative { u64::MAX } else { 0 };
        let (difference, total) = match negative {
            false => (&addend.difference, &addend.sum),
            true => (&addend.sum, &addend.difference),
        };
        (parts[0][lane], parts[1][lane], parts[2][lane]) = (difference, total, &addend.product);
    }
    let [difference, total, product] = parts;
    Gathered {
        opposite: L::load(&opposite),
        parts: [L::gather(difference), L::gather(total), L::gather(product)],
    }
}

#[inline(always)]
fn select<const N: usize, L: Lanes<N>>(mask: L, yes: &Element<L>, no: &Element<L>) -> Element<L> {
    let mut selected = *no;
    for at in 0..5 {
        selected[at] = mask.select(yes[at], no[at]);
    }
    selected
}

#[inline(always)]
fn points<const N: usize, L: Lanes<N>>(sums: &Sums<L>) -> [Point; N] {
    let (difference, total) = (lanes_of(&sums.difference), lanes_of(&sums.total));
    let (z, t) = (lanes_of(&carry(&sums.z)), lanes_of(&sums.t));
    std::array::from_fn(|lane| Point::from_limbs([difference[lane], total[lane], z[lane], t[lane]]))
}

/// The limbs of each lane's element.
#[inline(always)]
fn lanes_of<const N: usize, L: Lanes<N>>(element: &Element<L>) -> [[u64; 5]; N] {
    let mut limbs = [[0; 5]; N];
    for at in 0..5 {
        let values = element[at].store();
        for lane in 0..N {
            limbs[lane][at] = values[lane];
        }
    }
    limbs
}
