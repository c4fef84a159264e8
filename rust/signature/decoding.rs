//! Decode points side by side, one in each lane.

use super::encoding::{above, canonical};
use super::lanes::{
    ABOVE_COLUMNS, BITS, Element, Lanes, add, bits, carry, from_bytes, from_lanes, lanes_of,
    product, sub,
};
use super::point::{Addend, NOTHING, d, root, twice_d};

/// How many groups are decoded together: a square root is a chain of products, each of which waits
/// for the one before, so that two chains fill each other's waits.
pub const TOGETHER: usize = 2;

/// Encodings, and what each of them adds.
pub type Groups<'a, const N: usize> = [[&'a [u8; 32]; N]; TOGETHER];
pub type Decoded<const N: usize> = [[(Addend, bool); N]; TOGETHER];

type Elements<L> = [Element<L>; TOGETHER];

/// What each encoding adds, as ZIP-215 decodes it: any encoding of `y`, and either sign where `x`
/// is zero. Beside it stands whether the encoding is of a point; where it is not, nothing is added.
#[inline(always)]
pub fn decode<const N: usize, L: Lanes<N>>(encodings: Groups<N>) -> Decoded<N> {
    let mut decoded = [[(NOTHING, false); N]; TOGETHER];
    let constant = |limbs: [u64; 5]| from_lanes::<N, L>([&limbs; N]);
    let (root, d) = (constant(root().limbs()), constant(d().limbs()));
    let twice_d = constant(twice_d().limbs());
    let mut sign = [L::splat(0); TOGETHER];
    let mut y = [[L::splat(0); 5]; TOGETHER];
    for at in 0..TOGETHER {
        let words = from_bytes::<N, L>(encodings[at]);
        sign[at] = words[3].shifted(63);
        for (limb, y) in y[at].iter_mut().enumerate() {
            *y = bits(&words, 64, BITS as usize * limb, BITS as usize);
        }
    }
    let (mut u, mut v) = (y, y);
    for at in 0..TOGETHER {
        let squared = carry(&L::square(&y[at]));
        u[at] = above(&squared);
        u[at][0] = u[at][0].minus(L::splat(1));
        u[at] = carry(&u[at]);
        v[at] = product(&squared, &d);
        v[at][0] = v[at][0].plus(L::splat(1));
        v[at] = carry(&v[at]);
    }
    let v_3 = times(&squared(&v, 1), &v);
    let v_7 = times(&squared(&v_3, 1), &v);
    let x = times(&times(&u, &v_3), &root_power(&times(&u, &v_7)));
    let square = times(&v, &squared(&x, 1));
    for at in 0..TOGETHER {
        let is_root = is_zero(&carry(&sub(&above(&square[at]), &u[at])));
        let is_negative_root = is_zero(&carry(&add(&square[at], &u[at])));
        let turned = carry(&product(&x[at], &root));
        let mut x = x[at];
        for limb in 0..5 {
            x[limb] = L::select(is_root, x[limb], turned[limb]);
        }
        let x = canonical(&x);
        let odd = x[0].and(L::splat(1));
        let other = L::splat(0).minus(odd.xor(sign[at]));
        let negated = carry(&sub(&constant(ABOVE_COLUMNS), &x));
        let mut signed = x;
        for limb in 0..5 {
            signed[limb] = L::select(other, negated[limb], x[limb]);
        }
        let (x, y) = (signed, y[at]);
        let total = lanes_of(&carry(&add(&y, &x)));
        let difference = lanes_of(&carry(&sub(&above(&y), &x)));
        let scaled = carry(&product(&carry(&product(&x, &y)), &twice_d));
        let scaled = lanes_of(&scaled);
        let (first, second) = (is_root.store(), is_negative_root.store());
        for lane in 0..N {
            if first[lane] | second[lane] != 0 {
                let addend = Addend {
                    sum: total[lane],
                    difference: difference[lane],
                    product: scaled[lane],
                };
                decoded[at][lane] = (addend, true);
            }
        }
    }
    decoded
}

/// All bits of the lanes whose reduced element is zero.
#[inline(always)]
fn is_zero<const N: usize, L: Lanes<N>>(element: &Element<L>) -> L {
    let limbs = canonical(element);
    let mut sum = limbs[0];
    for limb in &limbs[1..] {
        sum = sum.plus(*limb);
    }
    L::splat(0).minus(sum.minus(L::splat(1)).shifted(63))
}

#[inline(always)]
fn times<const N: usize, L: Lanes<N>>(f: &Elements<L>, g: &Elements<L>) -> Elements<L> {
    let mut products = *f;
    for at in 0..TOGETHER {
        products[at] = carry(&product(&f[at], &g[at]));
    }
    products
}

#[inline(always)]
fn squared<const N: usize, L: Lanes<N>>(f: &Elements<L>, count: usize) -> Elements<L> {
    let mut squares = *f;
    for _ in 0..count {
        for square in &mut squares {
            *square = carry(&L::square(square));
        }
    }
    squares
}

/// To the power `2^252 - 3`, for square roots (RFC 8032 section 5.1.3).
#[inline(always)]
fn root_power<const N: usize, L: Lanes<N>>(f: &Elements<L>) -> Elements<L> {
    let two = squared(f, 1);
    let nine = times(&squared(&two, 2), f);
    let eleven = times(&nine, &two);
    let ones_5 = times(&squared(&eleven, 1), &nine);
    let ones_10 = times(&squared(&ones_5, 5), &ones_5);
    let ones_20 = times(&squared(&ones_10, 10), &ones_10);
    let ones_40 = times(&squared(&ones_20, 20), &ones_20);
    let ones_50 = times(&squared(&ones_40, 10), &ones_10);
    let ones_100 = times(&squared(&ones_50, 50), &ones_50);
    let ones_200 = times(&squared(&ones_100, 100), &ones_100);
    let ones_250 = times(&squared(&ones_200, 50), &ones_50);
    times(&squared(&ones_250, 2), f)
}

#[cfg(test)]
mod tests {
    use super::super::emulated::{Doubles, Integers};
    use super::super::point::{Point, encode, tests::encodings};
    use super::*;

    fn judged<const N: usize>(decode: impl Fn(Groups<N>) -> Decoded<N>) {
        let encodings = encodings();
        for (first, pair) in encodings.windows(TOGETHER * N).step_by(N + 1).enumerate() {
            let groups = std::array::from_fn(|at| std::array::from_fn(|lane| &pair[at * N + lane]));
            for (at, (addend, is_point)) in decode(groups).as_flattened().iter().enumerate() {
                let want = Point::decode(&pair[at]);
                assert_eq!(*is_point, want.is_some(), "{first} {:?}", pair[at]);
                let got = Point::IDENTITY.plus(addend, false);
                let want = want.unwrap_or(Point::IDENTITY);
                assert_eq!(encode(&[got]), encode(&[want]), "{first} {:?}", pair[at]);
            }
        }
    }

    #[test]
    fn points_side_by_side_are_those_one_by_one() {
        judged(decode::<8, Integers>);
        judged(decode::<4, Doubles>);
    }
}
