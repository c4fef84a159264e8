//! Reduce integers modulo the order of the base point side by side, one in each lane.
//!
//! The order is `2^252 + c`, where `c` has 125 bits, so that `2^260` is as much as `-2^8 c`. What
//! stands above it is multiplied and taken away from the rest: twice, and then once above `2^252`.
//! Each time a multiple of the order is added whose limbs are large, so that none falls below zero.

use super::lanes::{Lanes, MultiplyAdd, bits};

/// Bits of a limb.
pub const BITS: usize = 52;

const MASK: u64 = (1 << BITS) - 1;

/// `c`, in limbs.
const C: [u64; 3] = [0x2_631a_5cf5_d3ed, 0xd_ea2f_79cd_6581, 0x14_def9];

/// `2^8 c`, in limbs.
const C_256: [u64; 3] = [0x3_1a5c_f5d3_ed00, 0xa_2f79_cd65_8126, 0x14de_f9de];

/// The order, in limbs.
const ORDER: [u64; 5] = [C[0], C[1], C[2], 0, 1 << 44];

/// A multiple of the order, limb by limb more than the columns of the first product.
const ABOVE_FIRST: [u64; 8] = [
    (1 << 56) + 0xb_8443_398b_1a29,
    (1 << 56) + 0x1_b007_b5fe_f973,
    (1 << 56) + 0x2_1268_bac2_353a,
    (1 << 56) + 0x6_50fe_6dd4_19b1,
    (1 << 56) + 0x07bf_c598_5bc1,
    1 << 56,
    1 << 56,
    1 << 22,
];

/// The same for the second product.
const ABOVE_SECOND: [u64; 5] = [
    (1 << 56) + 0x4_08e9_ba34_a3ed,
    (1 << 56) + 0x0_e1cc_5025_77d4,
    (1 << 56) + 0x1_4e04_7cd4,
    (1 << 56) + 0xf_ffff_ffff_fff0,
    (1 << 56) + 0x0fff_ffff_ffef,
];

/// The order itself; each limb has borrowed from the next.
const ABOVE_THIRD: [u64; 5] = [
    ORDER[0] + (1 << 54),
    ORDER[1] + (1 << 54) - 4,
    ORDER[2] + (1 << 54) - 4,
    ORDER[3] + (1 << 54) - 4,
    ORDER[4] - 4,
];

/// `2^260` less the order.
const BELOW_TOP: [u64; 5] = [MASK + 1 - C[0], MASK - C[1], MASK - C[2], MASK, MASK - ORDER[4]];

/// From 512 bits in eight words, the lowest first, to four words below the order.
#[inline(always)]
pub fn reduce<const N: usize, L: Lanes<N> + MultiplyAdd>(words: &[L; 8]) -> [L; 4] {
    let mut limbs = [L::splat(0); 10];
    for (at, limb) in limbs.iter_mut().enumerate() {
        *limb = bits(words, 64, BITS * at, BITS);
    }
    // The upper limbs have 252 bits, so that the product is below 2^385.
    let product: [L; 8] = product(&[limbs[5], limbs[6], limbs[7], limbs[8], limbs[9]], &C_256);
    let mut first = [L::splat(0); 8];
    for at in 0..8 {
        first[at] = L::splat(ABOVE_FIRST[at]).minus(product[at]);
        if at < 5 {
            first[at] = first[at].plus(limbs[at]);
        }
    }
    carry(&mut first);
    // These have 127 bits, the product is below 2^260, and its sixth column is zero.
    let product: [L; 6] = self::product(&[first[5], first[6], first[7]], &C_256);
    let mut second = [L::splat(0); 5];
    for at in 0..5 {
        second[at] = first[at].plus(L::splat(ABOVE_SECOND[at])).minus(product[at]);
    }
    carry(&mut second);
    // Of the last limb, what is above 2^252 has 13 bits.
    let above = second[4].shifted(44);
    second[4] = second[4].and(L::splat((1 << 44) - 1));
    let product: [L; 4] = self::product(&[above], &C);
    let mut third = [L::splat(0); 5];
    for at in 0..5 {
        third[at] = second[at].plus(L::splat(ABOVE_THIRD[at]));
        if at < 4 {
            third[at] = third[at].minus(product[at]);
        }
    }
    carry(&mut third);
    // Below the sum of 2^252 and the order: the order is taken away at most once.
    let mut less = third;
    for at in 0..5 {
        less[at] = third[at].plus(L::splat(BELOW_TOP[at]));
    }
    carry(&mut less);
    let reaches_order = L::splat(0).minus(less[4].shifted(52));
    less[4] = less[4].and(L::splat(MASK));
    for at in 0..5 {
        third[at] = third[at].xor(third[at].xor(less[at]).and(reaches_order));
    }
    let mut reduced = [L::splat(0); 4];
    for (at, word) in reduced.iter_mut().enumerate() {
        *word = bits(&third, BITS, 64 * at, 64);
    }
    reduced
}

/// The columns of the product: `SUM` is the number of both factors' limbs.
#[inline(always)]
fn product<const N: usize, const FACTOR: usize, const SUM: usize, L: Lanes<N> + MultiplyAdd>(
    factor: &[L; FACTOR],
    constant: &[u64; 3],
) -> [L; SUM] {
    let mut columns = [L::splat(0); SUM];
    for i in 0..FACTOR {
        for j in 0..3 {
            let constant = L::splat(constant[j]);
            columns[i + j] = columns[i + j].madd52lo(factor[i], constant);
            columns[i + j + 1] = columns[i + j + 1].madd52hi(factor[i], constant);
        }
    }
    columns
}

/// Have each limb but the last below `2^52`.
#[inline(always)]
fn carry<const N: usize, const LIMBS: usize, L: Lanes<N>>(limbs: &mut [L; LIMBS]) {
    for at in 1..LIMBS {
        limbs[at] = limbs[at].plus(limbs[at - 1].shifted(52));
        limbs[at - 1] = limbs[at - 1].and(L::splat(MASK));
    }
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::scalar::Scalar;

    use super::super::emulated::Integers;
    #[cfg(target_arch = "x86_64")]
    use super::super::ifma;
    use super::*;

    /// Beside multiples of the order, where a limb is full or empty, and drawn at random.
    fn integers() -> Vec<[u8; 64]> {
        let mut stream = blake3::Hasher::new().update(b"integers").finalize_xof();
        let mut integers = vec![[0; 64], [0xff; 64]];
        for at in 0..64 {
            let mut integer = [0xff; 64];
            integer[at..].fill(0);
            integers.push(integer);
            integer[at] = 1;
            integers.push(integer);
            integers.push(integer.map(|byte| !byte));
        }
        for place in 0..32 {
            for multiple in [1_u8, 2, 15, 16, 255] {
                let order = (-Scalar::ONE).to_bytes();
                let mut integer = [0; 64];
                let mut carry = 0;
                // The order is one more than its greatest scalar.
                for at in 0..(64 - place).min(33) {
                    let byte = order.get(at).map_or(0, |byte| u16::from(*byte));
                    let sum = u16::from(multiple) * (byte + u16::from(at == 0)) + carry;
                    integer[place + at] = sum as u8;
                    carry = sum >> 8;
                }
                integers.push(integer);
                for change in [1, u8::MAX] {
                    let mut beside = integer;
                    beside[0] = beside[0].wrapping_add(change);
                    integers.push(beside);
                }
            }
        }
        for _ in 0..2000 {
            let mut integer = [0; 64];
            stream.fill(&mut integer);
            integers.push(integer);
        }
        integers
    }

    fn judged<const N: usize>(reduce: impl Fn([&[u8; 64]; N]) -> [[u8; 32]; N]) {
        for group in integers().chunks_exact(N) {
            let got = reduce(std::array::from_fn(|lane| &group[lane]));
            for lane in 0..N {
                let want = Scalar::from_bytes_mod_order_wide(&group[lane]).to_bytes();
                assert_eq!(got[lane], want, "{:?}", group[lane]);
            }
        }
    }

    fn through<const N: usize, L: Lanes<N> + MultiplyAdd>(
        integers: [&[u8; 64]; N],
    ) -> [[u8; 32]; N] {
        super::super::lanes::to_bytes(&reduce(&L::words(integers)))
    }

    #[test]
    fn integers_are_reduced_as_another_implementation_reduces_them() {
        judged(through::<8, Integers>);
        #[cfg(target_arch = "x86_64")]
        if ifma::is_present() {
            judged(through::<{ ifma::LANES }, ifma::Vector>);
        }
    }

    #[test]
    fn what_is_added_is_a_multiple_of_the_order() {
        let value = |limbs: &[u64]| {
            let shift = Scalar::from(1_u64 << BITS);
            limbs.iter().rev().fold(Scalar::ZERO, |sum, limb| sum * shift + Scalar::from(*limb))
        };
        for limbs in [&ABOVE_FIRST[..], &ABOVE_SECOND, &ABOVE_THIRD, &ORDER] {
            assert_eq!(value(limbs), Scalar::ZERO, "{limbs:?}");
        }
        assert_eq!(value(&BELOW_TOP), value(&[0, 0, 0, 0, 0, 1]));
        assert_eq!(value(&C_256), value(&C) * Scalar::from(256_u16));
    }
}
