//! Invert field elements side by side.

use super::field::{Tight, invert};
use super::lanes::{Element, Lanes, carry, from_lanes, lanes_of, product};

/// The inverses of many reduced elements a lane, none of which is zero: of all elements of a lane,
/// only the product is inverted, and of all lanes, only the product of these.
#[inline(always)]
pub fn inverses<const N: usize, L: Lanes<N>>(elements: &[Element<L>]) -> Vec<Element<L>> {
    let mut all = from_lanes([&[1, 0, 0, 0, 0]; N]);
    let mut inverses = Vec::with_capacity(elements.len());
    for element in elements {
        inverses.push(all);
        all = carry(&product(&all, element));
    }
    let inverted = invert(&lanes_of(&all).map(Tight::from_limbs));
    let mut limbs = [[0; 5]; N];
    for lane in 0..N {
        limbs[lane] = inverted[lane].limbs();
    }
    let mut inverse = from_lanes(limbs.each_ref());
    for at in (0..elements.len()).rev() {
        inverses[at] = carry(&product(&inverse, &inverses[at]));
        inverse = carry(&product(&inverse, &elements[at]));
    }
    inverses
}

#[cfg(test)]
mod tests {
    use super::super::emulated::{Doubles, Integers};
    use super::super::lanes::tests::elements;
    use super::*;

    fn judged<const N: usize, L: Lanes<N>>() {
        let mut elements = elements();
        elements.retain(|limbs| !Tight::from_limbs(*limbs).is_zero());
        let groups: Vec<&[[u64; 5]]> = elements.chunks_exact(N).collect();
        let lanes = |group: &&[[u64; 5]]| from_lanes(std::array::from_fn(|lane| &group[lane]));
        let inverses = inverses::<N, L>(&groups.iter().map(lanes).collect::<Vec<_>>());
        for (group, inverses) in groups.iter().zip(&inverses) {
            for (element, inverse) in group.iter().zip(lanes_of(inverses)) {
                let product = Tight::from_limbs(*element).mul(&Tight::from_limbs(inverse));
                assert_eq!(product.to_bytes(), Tight::ONE.to_bytes(), "{element:?}");
            }
        }
    }

    #[test]
    fn an_element_times_its_inverse_is_one() {
        judged::<8, Integers>();
        judged::<4, Doubles>();
    }
}
