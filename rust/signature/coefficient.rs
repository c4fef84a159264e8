//! The coefficients of a batch's equation, and the scalars that they multiply.

use curve25519_dalek::scalar::Scalar;

/// Digits of a coefficient.
pub const PLACES: usize = 16;

/// Bits of a digit.
pub const DIGIT_BITS: u32 = 8;

/// The byte of the digit that is zero.
pub const ZERO: u8 = 128;

/// A coefficient of sixteen signed digits of eight bits, the lowest first: bytes less 128.
///
/// Sixteen bytes that are drawn so are as many coefficients as 128 bits, and no digit carries.
#[derive(Clone, Copy)]
pub struct Coefficient(pub [u8; PLACES]);

/// What is subtracted from the integer of the bytes: 128 at each place.
const HALVES: u128 = 0x8080_8080_8080_8080_8080_8080_8080_8080;

/// A sum of scalars, each times a coefficient of its own.
#[derive(Clone, Default)]
pub struct WeightedSum {
    /// Scalars times the integers of the coefficients' bytes.
    products: [u64; 8],
    scalars: [u64; 8],
}

impl WeightedSum {
    /// Add a scalar, little endian, times the coefficient.
    pub fn add(&mut self, scalar: &[u8; 32], Coefficient(bytes): &Coefficient) {
        let (words, _) = scalar.as_chunks();
        let words: [u64; 4] = std::array::from_fn(|at| u64::from_le_bytes(words[at]));
        let coefficient = u128::from_le_bytes(*bytes);
        add_product(&mut self.products, &words, coefficient as u64);
        add_product(&mut self.products[1..], &words, (coefficient >> 64) as u64);
        add_product(&mut self.scalars, &words, 1);
    }

    /// Modulo the order of the base point.
    pub fn total(&self) -> Scalar {
        scalar(&self.products) - Scalar::from(HALVES) * scalar(&self.scalars)
    }
}

/// Add the product to the words, the lowest first, of which there are enough for as many sums as
/// memory holds.
#[inline]
fn add_product(sum: &mut [u64], words: &[u64; 4], factor: u64) {
    let mut carried = 0;
    let (low, high) = sum.split_at_mut(4);
    for (sum, word) in low.iter_mut().zip(words) {
        let total = u128::from(*sum) + u128::from(*word) * u128::from(factor) + carried;
        (*sum, carried) = (total as u64, total >> 64);
    }
    for sum in high {
        if carried == 0 {
            return;
        }
        let total = u128::from(*sum) + carried;
        (*sum, carried) = (total as u64, total >> 64);
    }
}

fn scalar(words: &[u64; 8]) -> Scalar {
    let mut bytes = [0; 64];
    for (word, bytes) in words.iter().zip(bytes.as_chunks_mut().0) {
        *bytes = word.to_le_bytes();
    }
    Scalar::from_bytes_mod_order_wide(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By adding the scalar, digit by digit.
    fn product(scalar: &Scalar, coefficient: &Coefficient) -> Scalar {
        coefficient.0.iter().rev().fold(Scalar::ZERO, |sum, digit| {
            let digit = Scalar::from(*digit) - Scalar::from(ZERO);
            sum * Scalar::from(1_u64 << DIGIT_BITS) + digit * scalar
        })
    }

    #[test]
    fn sums_are_those_of_another_implementation() {
        let mut scalars = vec![Scalar::ZERO, Scalar::ONE, -Scalar::ONE];
        let mut coefficients = vec![Coefficient([0; 16]), Coefficient([ZERO; 16])];
        coefficients.push(Coefficient([255; 16]));
        for seed in 0..60_u64 {
            let bytes = *blake3::hash(&seed.to_le_bytes()).as_bytes();
            scalars.push(Scalar::from_bytes_mod_order(bytes));
            coefficients.push(Coefficient(bytes[..16].try_into().expect("half of 32 bytes")));
        }
        let (mut sum, mut want) = (WeightedSum::default(), Scalar::ZERO);
        for coefficient in &coefficients {
            for scalar in &scalars {
                sum.add(scalar.as_bytes(), coefficient);
                want += product(scalar, coefficient);
                assert_eq!(sum.total(), want);
            }
        }
    }
}
