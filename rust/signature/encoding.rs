//! Sum and encode points side by side, one in each lane.

use super::inversion::inverses;
use super::lanes::{
    ABOVE_COLUMNS, BITS, Element, Lanes, MASK, add, bits, carry, product, sub, to_bytes,
};
use super::steps::Steps;
use super::sum::{Sums, sum_in_lanes};
use super::terms::Terms;

/// The encoding of each sum; where there are no multiple of `N`, some lanes are not used.
#[inline(always)]
pub fn encodings<const N: usize, const BASE_WIDTH: usize, const KEY_WIDTH: usize, L: Lanes<N>>(
    terms: &[Terms<BASE_WIDTH, KEY_WIDTH>],
) -> Vec<[u8; 32]> {
    let mut sums = Vec::with_capacity(terms.len().div_ceil(N));
    let mut steps = Steps::new(N);
    for group in terms.chunks(N) {
        let mut lanes = [&group[0]; N];
        for lane in 0..group.len() {
            lanes[lane] = &group[lane];
        }
        steps.clear_rows();
        Terms::write_rows::<N, L>(lanes, &mut steps);
        sums.push(sum_in_lanes::<N, L>(&steps));
    }
    let mut encodings = encode::<N, L>(&sums).into_flattened();
    encodings.truncate(terms.len());
    encodings
}

/// The canonical encodings.
#[inline(always)]
fn encode<const N: usize, L: Lanes<N>>(sums: &[Sums<L>]) -> Vec<[[u8; 32]; N]> {
    // Sum and difference of Y + X and Y - X are twice what is looked for.
    let mut twice_z = Vec::with_capacity(sums.len());
    for sum in sums {
        twice_z.push(carry(&add(&sum.z, &sum.z)));
    }
    let mut encodings = Vec::with_capacity(sums.len());
    for (Sums { total, difference, .. }, by_z) in sums.iter().zip(&inverses::<N, L>(&twice_z)) {
        let (x, y) = (carry(&sub(&above(total), difference)), carry(&add(total, difference)));
        let x = canonical(&carry(&product(&x, by_z)));
        let y = canonical(&carry(&product(&y, by_z)));
        let mut words = [L::splat(0); 4];
        for (at, word) in words.iter_mut().enumerate() {
            *word = bits(&y, BITS as usize, 64 * at, 64);
        }
        words[3] = words[3].plus(x[0].and(L::splat(1)).rotated(1));
        encodings.push(to_bytes(&words));
    }
    encodings
}

#[inline(always)]
pub fn above<const N: usize, L: Lanes<N>>(element: &Element<L>) -> Element<L> {
    let mut above = *element;
    for at in 0..5 {
        above[at] = above[at].plus(L::splat(ABOVE_COLUMNS[at]));
    }
    above
}

/// The limbs of the value below the modulus, from reduced ones: their value is below twice the
/// modulus, and with 19 added reaches `2^255` if it is not below the modulus.
#[inline(always)]
pub fn canonical<const N: usize, L: Lanes<N>>(reduced: &Element<L>) -> Element<L> {
    let mut over = reduced[0].plus(L::splat(19)).above_limb();
    for limb in &reduced[1..] {
        over = limb.plus(over).above_limb();
    }
    let mut limbs = *reduced;
    let mut carried = over.times_19();
    for limb in &mut limbs {
        let sum = limb.plus(carried);
        (*limb, carried) = (sum.and(L::splat(MASK)), sum.above_limb());
    }
    limbs
}

#[cfg(test)]
mod tests {
    use super::super::emulated::{Doubles, Integers};
    use super::super::field::Tight;
    use super::super::lanes::tests::elements;
    use super::super::lanes::{from_lanes, lanes_of};
    #[cfg(target_arch = "x86_64")]
    use super::super::{avx2, ifma};
    use super::*;

    fn judged<const N: usize, L: Lanes<N>>() {
        let mut elements = elements();
        for small in 0..40 {
            // Beside the modulus, which has more than one form.
            elements.push([MASK - small, MASK, MASK, MASK, MASK]);
            elements.push([small, 0, 0, 0, MASK + 1]);
            elements.push([MASK + 20 - small, MASK - 1, MASK, MASK, MASK]);
        }
        for group in elements.chunks_exact(N) {
            let canonical =
                lanes_of(&canonical::<N, L>(&from_lanes(std::array::from_fn(|lane| &group[lane]))));
            for lane in 0..N {
                let want = Tight::from_limbs(group[lane]).limbs();
                assert_eq!(canonical[lane], want, "{:?}", group[lane]);
            }
        }
    }

    #[test]
    fn canonical_limbs_are_those_of_the_proven_field() {
        judged::<8, Integers>();
        judged::<4, Doubles>();
        #[cfg(target_arch = "x86_64")]
        if avx2::is_present() {
            judged::<{ avx2::LANES }, avx2::Vector>();
        }
        #[cfg(target_arch = "x86_64")]
        if ifma::is_present() {
            judged::<{ ifma::LANES }, ifma::Vector>();
        }
    }
}
