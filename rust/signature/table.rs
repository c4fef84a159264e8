//! Multiply a point that comes often: all that a digit of a scalar can ask for is computed once.
//!
//! A scalar is written in signed digits of `WIDTH` bits, and the table holds every multiple of the
//! point that a digit can stand for at its place. A product is then one addition a digit, without
//! doublings. Only public values are multiplied, so time may depend on them.

use super::kernel::Kernel;
use super::point::{Addend, NOTHING, Point, addends};
use super::steps::Steps;

/// Every multiple `digit * 2^(WIDTH * place)` of a point, for digits from 0 to `2^(WIDTH - 1)`.
pub struct Table<const WIDTH: usize>(Vec<Addend>);

impl<const WIDTH: usize> Table<WIDTH> {
    /// The largest digit.
    const HALF: usize = 1 << (WIDTH - 1);

    /// Scalars are below `2^253`, and a half of what each digit can be is added.
    const PLACES: usize = 255_usize.div_ceil(WIDTH);

    /// A half of what each digit can be, little endian.
    const HALVES: [u64; 6] = {
        let mut halves = [0; 6];
        let mut place = 0;
        while place < Self::PLACES {
            let bit = (place + 1) * WIDTH - 1;
            halves[bit / 64] |= 1 << (bit % 64);
            place += 1;
        }
        halves
    };

    pub fn new(kernel: Kernel, point: &Point) -> Self {
        let mut bases = vec![*point];
        for _ in 1..Self::PLACES {
            let last = bases[bases.len() - 1];
            bases.push((0..WIDTH).fold(last, |point, _| point.doubled()));
        }
        let multiples = kernel.multiples(&addends(&bases), Self::HALF);
        let rows = multiples.chunks_exact(Self::HALF);
        Self(rows.flat_map(|row| std::iter::once(&NOTHING).chain(row)).copied().collect())
    }

    /// Write what the multiple is the sum of, one step a place. The scalar is little endian, below
    /// `2^253`.
    ///
    /// With a half added to each digit at once, no carry goes from one to the next, and signs
    /// that no processor could foresee need no branch.
    #[inline]
    pub fn write_steps<'a>(&'a self, scalar: &[u8; 32], steps: &mut Steps<'a>) {
        let mut words = Self::HALVES;
        let mut sum = 0;
        let (scalar, _) = scalar.as_chunks();
        for (word, bytes) in words.iter_mut().zip(scalar.iter().chain(&[[0; 8]; 2])) {
            sum = (sum >> 64) + u128::from(*word) + u128::from(u64::from_le_bytes(*bytes));
            *word = sum as u64;
        }
        let step = |(place, row): (usize, &'a [Addend])| {
            let (word, bit) = (place * WIDTH / 64, place * WIDTH % 64);
            let two = u128::from(words[word]) | u128::from(words[word + 1]) << 64;
            let digit = (two >> bit) as usize & (2 * Self::HALF - 1);
            (&row[digit.abs_diff(Self::HALF)], digit < Self::HALF)
        };
        steps.extend(self.0.chunks_exact(Self::HALF + 1).enumerate().map(step));
    }
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
    use curve25519_dalek::edwards::EdwardsPoint;
    use curve25519_dalek::scalar::Scalar;

    use super::super::point::encode;
    use super::*;

    fn product<const WIDTH: usize>(kernel: Kernel, point: &Point, scalar: &Scalar) -> [u8; 32] {
        let table = Table::<WIDTH>::new(kernel, point);
        encode(&Kernel::Portable.sums(1, |_, steps| table.write_steps(scalar.as_bytes(), steps)))[0]
    }

    /// By doubling and adding: a point of small order does not mind the order of the group.
    fn times(point: &EdwardsPoint, scalar: &Scalar) -> EdwardsPoint {
        let mut sum = EdwardsPoint::default();
        for bit in (0..256).rev() {
            sum += sum;
            if scalar.as_bytes()[bit / 8] >> (bit % 8) & 1 == 1 {
                sum += point;
            }
        }
        sum
    }

    fn hashed(seed: u64) -> [u8; 64] {
        let mut bytes = [0; 64];
        blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
        bytes
    }

    /// Points of small order, of mixed order, and of the prime order.
    fn points() -> Vec<EdwardsPoint> {
        let prime: Vec<EdwardsPoint> = (0..3)
            .map(|seed| Scalar::from_bytes_mod_order_wide(&hashed(seed)))
            .map(|scalar| ED25519_BASEPOINT_POINT * scalar)
            .collect();
        let mixed = EIGHT_TORSION.map(|torsion| torsion + prime[0]);
        EIGHT_TORSION.into_iter().chain(mixed).chain(prime).collect()
    }

    #[test]
    fn products_are_those_of_another_implementation() {
        let mut scalars = vec![Scalar::ZERO, Scalar::ONE, -Scalar::ONE, -Scalar::from(2_u8)];
        // Digits at the border where a carry begins, all the way up.
        for digit in [0x1f_u8, 0x20, 0x21, 0x7f, 0x80, 0x81, 0xff] {
            let mut bytes = [digit; 32];
            bytes[31] = 0x0f;
            scalars.push(Scalar::from_bytes_mod_order(bytes));
        }
        scalars.extend((0..9).map(|seed| Scalar::from_bytes_mod_order_wide(&hashed(seed + 99))));
        let kernels: Vec<Kernel> = Kernel::available().collect();
        for point in points() {
            let ours = Point::decode(point.compress().as_bytes()).expect("a point");
            for (at, scalar) in scalars.iter().enumerate() {
                let kernel = kernels[at % kernels.len()];
                let want = times(&point, scalar);
                assert_eq!(product::<6>(kernel, &ours, scalar), want.compress().to_bytes());
                assert_eq!(product::<7>(kernel, &ours, scalar), want.compress().to_bytes());
                let negated = product::<6>(kernel, &ours.negated(), scalar);
                assert_eq!(negated, (-want).compress().to_bytes());
            }
        }
    }
}
