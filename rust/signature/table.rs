//! Multiply a point that comes often: all that a digit of a scalar can ask for is computed once.
//!
//! A scalar is written in signed digits of `WIDTH` bits, and the table holds every multiple of the
//! point that a digit can stand for at its place. A product is then one addition a digit, without
//! doublings. Only public values are multiplied, so time may depend on them.

use super::lanes::{Lanes, bits};
use super::point::{Addend, NOTHING, Point, addends};
use super::scalar;
use super::steps::Steps;

/// Every multiple `digit * 2^(WIDTH * place)` of a point, for digits from 0 to `2^(WIDTH - 1)`.
pub struct Table<const WIDTH: usize>(Vec<Addend>);

impl<const WIDTH: usize> Table<WIDTH> {
    /// The largest digit.
    const HALF: usize = 1 << (WIDTH - 1);

    /// Scalars are below `2^253`, and a half of what each digit can be is added.
    const PLACES: usize = 255_usize.div_ceil(WIDTH);

    /// A half of what each digit can be, in parts of so many bits, the lowest first.
    const fn halves(width: usize) -> [u64; 6] {
        let mut halves = [0; 6];
        let mut place = 0;
        while place < Self::PLACES {
            let bit = (place + 1) * WIDTH - 1;
            halves[bit / width] |= 1 << (bit % width);
            place += 1;
        }
        halves
    }

    /// From what gives the first multiples of each addend, addend by addend.
    pub fn new(point: &Point, multiples: impl Fn(&[Addend], usize) -> Vec<Addend>) -> Self {
        let mut bases = vec![*point];
        for _ in 1..Self::PLACES {
            let last = bases[bases.len() - 1];
            bases.push((0..WIDTH).fold(last, |point, _| point.doubled()));
        }
        let multiples = multiples(&addends(&bases), Self::HALF);
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
        let mut words = const { Self::halves(64) };
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

    /// The same for a scalar and a table a lane, in rows; the scalars are in words.
    #[inline(always)]
    pub fn write_rows<'a, const N: usize, L: Lanes<N>>(
        tables: [&'a Self; N],
        scalars: &[L; 4],
        steps: &mut Steps<'a>,
    ) {
        let halves = const { Self::halves(scalar::BITS) };
        let (mut limbs, mut carried) = ([L::splat(0); 6], L::splat(0));
        for at in 0..6 {
            if at < 5 {
                carried = carried.plus(bits(scalars, 64, scalar::BITS * at, scalar::BITS));
            }
            let sum = L::splat(halves[at]).plus(carried);
            limbs[at] = sum.and(L::splat((1 << scalar::BITS) - 1));
            carried = sum.shifted(scalar::BITS as u32);
        }
        for place in 0..Self::PLACES {
            let digit = bits(&limbs, scalar::BITS, place * WIDTH, WIDTH);
            let highest = digit.rotated(WIDTH as u32 - 1).and(L::splat(1));
            let opposite = highest.minus(L::splat(1));
            let distance = digit.minus(L::splat(Self::HALF as u64)).xor(opposite).minus(opposite);
            let distance = distance.store();
            let mut addends = [&NOTHING; N];
            for lane in 0..N {
                let row = place * (Self::HALF + 1);
                addends[lane] = &tables[lane].0[row + distance[lane] as usize];
            }
            steps.push(&addends, &opposite.store());
        }
    }
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
    use curve25519_dalek::edwards::EdwardsPoint;
    use curve25519_dalek::scalar::Scalar;

    use super::super::emulated::{Doubles, Integers};
    use super::super::kernel::Kernel;
    use super::super::lanes::from_bytes;
    use super::super::terms::Terms;
    use super::*;

    /// Of the multiples that fill lanes and that share them, the last ones.
    fn product<const WIDTH: usize>(kernel: Kernel, point: &Point, scalar: &Scalar) -> [u8; 32] {
        let (base, key) = (kernel.table::<WIDTH>(point), kernel.table::<3>(&Point::IDENTITY));
        let terms = Terms { base: &base, s: scalar.as_bytes(), key: &key, k: &[0; 32] };
        let (filled, shared) = (kernel.encodings(&[terms; 8]), kernel.encodings(&[terms]));
        assert_eq!(filled, [shared[0]; 8]);
        shared[0]
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

    fn scalars() -> Vec<Scalar> {
        let mut scalars = vec![Scalar::ZERO, Scalar::ONE, -Scalar::ONE, -Scalar::from(2_u8)];
        // Digits at the border where a carry begins, all the way up.
        for digit in [0x1f_u8, 0x20, 0x21, 0x7f, 0x80, 0x81, 0xff] {
            let mut bytes = [digit; 32];
            bytes[31] = 0x0f;
            scalars.push(Scalar::from_bytes_mod_order(bytes));
        }
        scalars.extend((0..9).map(|seed| Scalar::from_bytes_mod_order_wide(&hashed(seed + 99))));
        scalars
    }

    /// Steps written row by row are those written sum by sum.
    fn rows_are_steps<const WIDTH: usize, const N: usize, L: Lanes<N>>() {
        let points = points();
        let tables = points[7..].iter().map(|point| {
            let point = Point::decode(point.compress().as_bytes()).expect("a point");
            Kernel::Portable.table(&point)
        });
        let tables: Vec<Table<WIDTH>> = tables.take(N).collect();
        let lanes = std::array::from_fn(|lane| &tables[lane]);
        for first in scalars().windows(N) {
            let bytes: [[u8; 32]; N] = std::array::from_fn(|lane| first[lane].to_bytes());
            let (mut steps, mut rows) = (Steps::new(N), Steps::new(N));
            for lane in 0..N {
                steps.turn_to(lane);
                lanes[lane].write_steps(&bytes[lane], &mut steps);
            }
            Table::write_rows::<N, L>(lanes, &from_bytes(bytes.each_ref()), &mut rows);
            assert_eq!(steps.rows::<N>().len(), rows.rows::<N>().len());
            for (row, step) in rows.rows::<N>().zip(steps.rows::<N>()) {
                assert_eq!(row.opposite, step.opposite);
                assert!((0..N).all(|lane| std::ptr::eq(row.addends[lane], step.addends[lane])));
            }
        }
    }

    #[test]
    fn steps_in_rows_are_those_of_each_sum() {
        rows_are_steps::<7, 8, Integers>();
        rows_are_steps::<12, 8, Integers>();
        rows_are_steps::<7, 4, Doubles>();
        rows_are_steps::<6, 4, Doubles>();
    }

    #[test]
    fn products_are_those_of_another_implementation() {
        let scalars = scalars();
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
