//! The lanes of each kernel as plain code, to judge the kernel's own and to test where it is not.

use super::lanes::{
    BITS, Element, FusedMultiplyAdd, Lanes, MIDDLE, MultiplyAdd, TOP, product_of_doubles,
    product_of_integers,
};
use super::point::Addend;
use super::square::{square_of_doubles, square_of_integers};

/// What `vpmadd52luq` and `vpmadd52huq` multiply: the lower 52 bits of each lane.
const FACTOR: u64 = (1 << 52) - 1;

/// Eight lanes of AVX-512 IFMA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Integers([u64; 8]);

/// Four lanes of AVX2 and FMA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Doubles([u64; 4]);

macro_rules! plain_lanes {
    ($lanes:ident, $count:literal, $product:ident, $square:ident) => {
        impl Lanes<$count> for $lanes {
            fn splat(value: u64) -> Self {
                Self([value; $count])
            }

            fn load(values: &[u64; $count]) -> Self {
                Self(*values)
            }

            fn store(self) -> [u64; $count] {
                self.0
            }

            fn words(lines: [&[u8; 64]; $count]) -> [Self; 8] {
                let words = lines.map(|line| line.as_chunks().0);
                let word = |lane: usize, at: usize| u64::from_le_bytes(words[lane][at]);
                std::array::from_fn(|at| Self(std::array::from_fn(|lane| word(lane, at))))
            }

            fn lines(words: [Self; 8]) -> [[u8; 64]; $count] {
                let word = |at: usize, lane: usize| words[at].0[lane].to_le_bytes();
                std::array::from_fn(|lane| std::array::from_fn(|at| word(at / 8, lane)[at % 8]))
            }

            fn reversed(self) -> Self {
                Self(self.0.map(u64::swap_bytes))
            }

            fn plus(self, other: Self) -> Self {
                Self(std::array::from_fn(|lane| self.0[lane].wrapping_add(other.0[lane])))
            }

            fn minus(self, other: Self) -> Self {
                Self(std::array::from_fn(|lane| self.0[lane].wrapping_sub(other.0[lane])))
            }

            fn and(self, other: Self) -> Self {
                Self(std::array::from_fn(|lane| self.0[lane] & other.0[lane]))
            }

            fn xor(self, other: Self) -> Self {
                Self(std::array::from_fn(|lane| self.0[lane] ^ other.0[lane]))
            }

            fn select(chosen: Self, yes: Self, no: Self) -> Self {
                assert!(chosen.0.iter().all(|value| [0, u64::MAX].contains(value)));
                yes.and(chosen).plus(no.and(Self(chosen.0.map(|value| !value))))
            }

            fn rotated(self, bits: u32) -> Self {
                Self(self.0.map(|value| value.rotate_right(bits)))
            }

            fn shifted(self, bits: u32) -> Self {
                Self(self.0.map(|value| value >> bits))
            }

            fn above_limb(self) -> Self {
                Self(self.0.map(|value| value >> BITS))
            }

            fn times_19(self) -> Self {
                Self(self.0.map(|value| value.wrapping_mul(19)))
            }

            fn plus_19_times(self, small: Self) -> Self {
                assert!(small.0.iter().all(|value| *value < 1 << 32));
                self.plus(small.times_19())
            }

            fn gather(addends: &[&Addend; $count], swapped: &[u64; $count]) -> [Element<Self>; 3] {
                assert!(swapped.iter().all(|value| [0, u64::MAX].contains(value)));
                let parts: [[[u64; 5]; 3]; $count] = std::array::from_fn(|lane| {
                    let Addend { sum, difference, product } = *addends[lane];
                    if swapped[lane] == 0 {
                        [sum, difference, product]
                    } else {
                        [difference, sum, product]
                    }
                });
                std::array::from_fn(|part| {
                    std::array::from_fn(|at| Self(parts.map(|parts| parts[part][at])))
                })
            }

            fn product_and(
                f: &Element<Self>,
                g: &Element<Self>,
                offset: [u64; 5],
            ) -> Element<Self> {
                $product(f, g, offset)
            }

            fn square(f: &Element<Self>) -> Element<Self> {
                $square(f)
            }

            fn prefetch(_: &Addend) {}
        }
    };
}

plain_lanes!(Integers, 8, product_of_integers, square_of_integers);
plain_lanes!(Doubles, 4, product_of_doubles, square_of_doubles);

impl Integers {
    fn product_in_full(self, other: Self, lane: usize) -> u128 {
        u128::from(self.0[lane] & FACTOR) * u128::from(other.0[lane] & FACTOR)
    }
}

impl MultiplyAdd for Integers {
    fn madd52lo(self, f: Self, g: Self) -> Self {
        let lower = |lane: usize| (f.product_in_full(g, lane) as u64) & FACTOR;
        self.plus(Self(std::array::from_fn(lower)))
    }

    fn madd52hi(self, f: Self, g: Self) -> Self {
        let upper = |lane: usize| (f.product_in_full(g, lane) >> 52) as u64;
        self.plus(Self(std::array::from_fn(upper)))
    }
}

impl FusedMultiplyAdd<4> for Doubles {
    type Doubles = [f64; 4];

    fn to_doubles(self) -> [f64; 4] {
        assert!(self.0.iter().all(|value| *value <= FACTOR));
        self.0.map(|value| value as f64)
    }

    fn plus_product(lower: Self, upper: Self, f: [f64; 4], g: &[f64; 4]) -> (Self, Self) {
        let rounded: [f64; 4] = std::array::from_fn(|lane| f[lane].mul_add(g[lane], TOP));
        let rest = |lane: usize| f[lane].mul_add(g[lane], TOP + MIDDLE - rounded[lane]);
        let encoded = |doubles: [f64; 4]| Self(doubles.map(f64::to_bits));
        (lower.plus(encoded(std::array::from_fn(rest))), upper.plus(encoded(rounded)))
    }
}
