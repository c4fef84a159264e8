//! Sum four points at once, one in each 64-bit lane of AVX2 registers.
//!
//! A field element is ten limbs of 26 and 25 bits in turn; a register holds the same limb of four
//! elements, so that nothing ever moves between lanes. What is called reduced has limbs below
//! `2^26.01` and `2^25.01`; a sum or difference of two is below `2^27.6` and `2^26.6`. Loops stand
//! here where iterators would read better: a closure that is called from elsewhere is compiled
//! without the instructions.

#![allow(unsafe_code)]

use std::arch::x86_64::{
    __m128i, __m256i, _mm_loadl_epi64, _mm_loadu_si128, _mm_unpackhi_epi32, _mm_unpackhi_epi64,
    _mm_unpacklo_epi32, _mm_unpacklo_epi64, _mm256_add_epi64, _mm256_and_si256,
    _mm256_cvtepu32_epi64, _mm256_extract_epi64, _mm256_mul_epu32, _mm256_set1_epi64x,
    _mm256_setzero_si256, _mm256_slli_epi64, _mm256_srli_epi64, _mm256_sub_epi64,
};

use super::table::{Point, Step};

/// Points that are summed at once.
pub const LANES: usize = 4;

/// Whether this processor has the instructions.
pub fn is_present() -> bool {
    is_x86_feature_detected!("avx2")
}

/// The sum of the steps of each lane, all of which have as many.
pub fn sum<'a>(lanes: [impl Iterator<Item = Step<'a>>; LANES]) -> [Point; LANES] {
    assert!(is_present(), "kernel avx2 was chosen on a processor without it");
    // SAFETY: the processor has AVX2, which is all that the function asks for.
    unsafe { sum_with_avx2(lanes) }
}

type Element = [__m256i; 10];

/// `2 p`, limb by limb large enough that a reduced element can be taken from it.
const TWICE_P: [i64; 10] = [
    0x7ff_ffda, 0x3ff_fffe, 0x7ff_fffe, 0x3ff_fffe, 0x7ff_fffe, 0x3ff_fffe, 0x7ff_fffe, 0x3ff_fffe,
    0x7ff_fffe, 0x3ff_fffe,
];

#[target_feature(enable = "avx2")]
fn sum_with_avx2<'a>(mut lanes: [impl Iterator<Item = Step<'a>>; LANES]) -> [Point; LANES] {
    let zero = [_mm256_setzero_si256(); 10];
    let mut one = zero;
    one[0] = _mm256_set1_epi64x(1);
    let (mut x, mut y, mut z, mut t) = (zero, one, one, zero);
    let [a, b, c, d] = &mut lanes;
    while let (Some(a), Some(b), Some(c), Some(d)) = (a.next(), b.next(), c.next(), d.next()) {
        // "madd-2008-hwcd-3", as in the table that the steps come from.
        let [a, b, c, d] = [parts(a), parts(b), parts(c), parts(d)];
        let p = mul(&sub(&y, &x), &gather([a.0, b.0, c.0, d.0]));
        let q = mul(&add(&y, &x), &gather([a.1, b.1, c.1, d.1]));
        let c = mul(&t, &gather([a.2, b.2, c.2, d.2]));
        let d = add(&z, &z);
        let (e, f, g, h) = (sub(&q, &p), sub(&d, &c), add(&d, &c), add(&q, &p));
        // `f` is below 2^28, and so is only ever a first factor.
        x = mul(&f, &e);
        y = mul(&g, &h);
        z = mul(&f, &g);
        t = mul(&e, &h);
    }
    let [x, y, z, t] = [scatter(&x), scatter(&y), scatter(&z), scatter(&t)];
    std::array::from_fn(|lane| Point::from_limbs(&[x[lane], y[lane], z[lane], t[lane]]))
}

/// What stands for `y - x`, `y + x` and `2dxy` of a step.
#[inline]
fn parts<'a>((addend, negative): Step<'a>) -> (&'a [u32; 10], &'a [u32; 10], &'a [u32; 10]) {
    match negative {
        false => (&addend.difference, &addend.sum, &addend.product),
        true => (&addend.sum, &addend.difference, &addend.opposite),
    }
}

/// The limbs of four elements, each limb of all four in one register.
#[target_feature(enable = "avx2")]
#[inline]
fn gather([a, b, c, d]: [&[u32; 10]; LANES]) -> Element {
    // SAFETY: each load is of limbs 0 to 3, 4 to 7 or 8 to 9 of ten.
    let (first, second, last) = unsafe {
        let four = |limbs: &[u32; 10], at: usize| _mm_loadu_si128(limbs.as_ptr().add(at).cast());
        let two = |limbs: &[u32; 10]| _mm_loadl_epi64(limbs.as_ptr().add(8).cast());
        (
            [four(a, 0), four(b, 0), four(c, 0), four(d, 0)],
            [four(a, 4), four(b, 4), four(c, 4), four(d, 4)],
            [two(a), two(b), two(c), two(d)],
        )
    };
    let [e0, e1, e2, e3] = transpose(first);
    let [e4, e5, e6, e7] = transpose(second);
    let [e8, e9, ..] = transpose(last);
    [e0, e1, e2, e3, e4, e5, e6, e7, e8, e9]
}

/// The columns of four rows, each value widened to 64 bits.
#[target_feature(enable = "avx2")]
#[inline]
fn transpose([a, b, c, d]: [__m128i; LANES]) -> [__m256i; 4] {
    let (low_ab, low_cd) = (_mm_unpacklo_epi32(a, b), _mm_unpacklo_epi32(c, d));
    let (high_ab, high_cd) = (_mm_unpackhi_epi32(a, b), _mm_unpackhi_epi32(c, d));
    [
        _mm256_cvtepu32_epi64(_mm_unpacklo_epi64(low_ab, low_cd)),
        _mm256_cvtepu32_epi64(_mm_unpackhi_epi64(low_ab, low_cd)),
        _mm256_cvtepu32_epi64(_mm_unpacklo_epi64(high_ab, high_cd)),
        _mm256_cvtepu32_epi64(_mm_unpackhi_epi64(high_ab, high_cd)),
    ]
}

#[target_feature(enable = "avx2")]
fn scatter(element: &Element) -> [[u32; 10]; LANES] {
    let mut lanes = [[0; 10]; LANES];
    for (at, limbs) in element.iter().enumerate() {
        lanes[0][at] = _mm256_extract_epi64::<0>(*limbs) as u32;
        lanes[1][at] = _mm256_extract_epi64::<1>(*limbs) as u32;
        lanes[2][at] = _mm256_extract_epi64::<2>(*limbs) as u32;
        lanes[3][at] = _mm256_extract_epi64::<3>(*limbs) as u32;
    }
    lanes
}

#[target_feature(enable = "avx2")]
#[inline]
fn add(f: &Element, g: &Element) -> Element {
    let mut sum = *f;
    for (limb, other) in sum.iter_mut().zip(g) {
        *limb = _mm256_add_epi64(*limb, *other);
    }
    sum
}

/// `f + 2 p - g`.
#[target_feature(enable = "avx2")]
#[inline]
fn sub(f: &Element, g: &Element) -> Element {
    let mut difference = *f;
    for (at, limb) in difference.iter_mut().enumerate() {
        let large = _mm256_add_epi64(*limb, _mm256_set1_epi64x(TWICE_P[at]));
        *limb = _mm256_sub_epi64(large, g[at]);
    }
    difference
}

/// The product, reduced. Limbs of `f` are below `2^28` and `2^27`, of `g` below `2^27.6` and
/// `2^26.6`: then `19 g` fits 32 bits, and each sum of ten products is below `2^62.6`.
#[target_feature(enable = "avx2")]
#[inline]
fn mul(f: &Element, g: &Element) -> Element {
    // What goes beyond 2^255 comes back 19 times.
    let mut n = *g;
    for limb in &mut n {
        *limb = _mm256_mul_epu32(*limb, _mm256_set1_epi64x(19));
    }
    let mut h = [_mm256_setzero_si256(); 10];
    macro_rules! rows {
        ($($i:literal: $($k:literal $j:literal $right:ident)*;)*) => {
            $(let (once, twice) = (f[$i], _mm256_add_epi64(f[$i], f[$i]));
            // Two limbs of 25 bits meet half a bit above their place.
            $(let left = if $i % 2 == 1 && $j % 2 == 1 { twice } else { once };
            h[$k] = _mm256_add_epi64(h[$k], _mm256_mul_epu32(left, $right[$j]));)*)*
        };
    }
    rows! {
        0: 0 0 g 1 1 g 2 2 g 3 3 g 4 4 g 5 5 g 6 6 g 7 7 g 8 8 g 9 9 g;
        1: 1 0 g 2 1 g 3 2 g 4 3 g 5 4 g 6 5 g 7 6 g 8 7 g 9 8 g 0 9 n;
        2: 2 0 g 3 1 g 4 2 g 5 3 g 6 4 g 7 5 g 8 6 g 9 7 g 0 8 n 1 9 n;
        3: 3 0 g 4 1 g 5 2 g 6 3 g 7 4 g 8 5 g 9 6 g 0 7 n 1 8 n 2 9 n;
        4: 4 0 g 5 1 g 6 2 g 7 3 g 8 4 g 9 5 g 0 6 n 1 7 n 2 8 n 3 9 n;
        5: 5 0 g 6 1 g 7 2 g 8 3 g 9 4 g 0 5 n 1 6 n 2 7 n 3 8 n 4 9 n;
        6: 6 0 g 7 1 g 8 2 g 9 3 g 0 4 n 1 5 n 2 6 n 3 7 n 4 8 n 5 9 n;
        7: 7 0 g 8 1 g 9 2 g 0 3 n 1 4 n 2 5 n 3 6 n 4 7 n 5 8 n 6 9 n;
        8: 8 0 g 9 1 g 0 2 n 1 3 n 2 4 n 3 5 n 4 6 n 5 7 n 6 8 n 7 9 n;
        9: 9 0 g 0 1 n 1 2 n 2 3 n 3 4 n 4 5 n 5 6 n 6 7 n 7 8 n 8 9 n;
    }
    carry(h)
}

/// Carry along two chains that meet: from limb 0 to 4 and from limb 4 to 9 and over to 0.
#[target_feature(enable = "avx2")]
#[inline]
fn carry(mut h: Element) -> Element {
    let masks = [_mm256_set1_epi64x((1 << 26) - 1), _mm256_set1_epi64x((1 << 25) - 1)];
    macro_rules! carry {
        ($($at:literal $next:literal $bits:literal),*) => {
            $(let rest = _mm256_srli_epi64::<$bits>(h[$at]);
            h[$at] = _mm256_and_si256(h[$at], masks[$at % 2]);
            h[$next] = _mm256_add_epi64(h[$next], rest);)*
        };
    }
    carry!(0 1 26, 4 5 26, 1 2 25, 5 6 25, 2 3 26, 6 7 26, 3 4 25, 7 8 25, 4 5 26, 8 9 26);
    // 2^255 is 19: the rest comes 1 + 2 + 16 times.
    let rest = _mm256_srli_epi64::<25>(h[9]);
    h[9] = _mm256_and_si256(h[9], masks[1]);
    let thrice = _mm256_add_epi64(rest, _mm256_slli_epi64::<1>(rest));
    let rest = _mm256_add_epi64(thrice, _mm256_slli_epi64::<4>(rest));
    h[0] = _mm256_add_epi64(h[0], rest);
    carry!(0 1 26);
    h
}
