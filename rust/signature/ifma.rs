//! Eight lanes on a processor with AVX-512 IFMA, which multiplies integers of 52 bits.

#![allow(unsafe_code)]

use std::arch::x86_64::{
    __m512i, __mmask8, _MM_HINT_T0, _mm_prefetch, _mm_set_epi64x, _mm512_add_epi64,
    _mm512_and_si512, _mm512_broadcast_i32x4, _mm512_loadu_si512, _mm512_madd52hi_epu64,
    _mm512_madd52lo_epu64, _mm512_mask_blend_epi64, _mm512_maskz_loadu_epi64, _mm512_mullo_epi64,
    _mm512_rorv_epi64, _mm512_set1_epi64, _mm512_shuffle_epi8, _mm512_shuffle_i64x2,
    _mm512_srli_epi64, _mm512_srlv_epi64, _mm512_storeu_si512, _mm512_sub_epi64,
    _mm512_test_epi64_mask, _mm512_unpackhi_epi64, _mm512_unpacklo_epi64, _mm512_xor_si512,
};

use super::buckets::Buckets;
use super::coefficient::Coefficient;
use super::lanes::{BITS, Element, Lanes, MultiplyAdd, product_of_integers, to_bytes};
use super::point::{Addend, Point};
use super::square::square_of_integers;
use super::steps::Steps;
use super::sum;
use super::terms::Terms;
use super::{encoding, scalar, sha512};

/// Points that are summed at once.
pub const LANES: usize = 8;

/// Whether this processor has the instructions, and the system keeps their registers.
pub fn is_present() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512ifma")
}

/// The sum of the steps of each lane.
pub fn sum(steps: &Steps) -> [Point; LANES] {
    assert!(is_present(), "kernel avx512ifma was chosen on a processor without it");
    // SAFETY: the processor has the instructions that the function asks for.
    unsafe { sum_with_ifma(steps) }
}

/// The encoding of each sum.
pub fn encodings<const BASE_WIDTH: usize, const KEY_WIDTH: usize>(
    terms: &[Terms<BASE_WIDTH, KEY_WIDTH>],
) -> Vec<[u8; 32]> {
    assert!(is_present(), "kernel avx512ifma was chosen on a processor without it");
    // SAFETY: the processor has the instructions that the function asks for.
    unsafe { encodings_with_ifma(terms) }
}

/// The first multiples of the addend of each lane, the lowest first.
pub fn multiples(addends: [&Addend; LANES], count: usize) -> Vec<[Addend; LANES]> {
    assert!(is_present(), "kernel avx512ifma was chosen on a processor without it");
    // SAFETY: the processor has the instructions that the function asks for.
    unsafe { multiples_with_ifma(addends, count) }
}

/// The SHA-512 hashes of padded messages, all of which are as long, modulo the group order.
pub fn challenges(padded: [&[u8]; LANES]) -> [[u8; 32]; LANES] {
    assert!(is_present(), "kernel avx512ifma was chosen on a processor without it");
    // SAFETY: the processor has the instructions that the function asks for.
    unsafe { challenges_with_ifma(padded) }
}

/// Nothing in each bucket.
pub fn buckets() -> Buckets {
    assert!(is_present(), "kernel avx512ifma was chosen on a processor without it");
    // SAFETY: the processor has the instructions that the function asks for.
    unsafe { buckets_with_ifma() }
}

/// Add the point of each encoding, times its coefficient; and whether each is of a point.
pub fn add(
    buckets: &mut Buckets,
    encodings: &[&[u8; 32]],
    coefficients: &[Coefficient],
) -> Vec<bool> {
    assert!(is_present(), "kernel avx512ifma was chosen on a processor without it");
    // SAFETY: the processor has the instructions that the function asks for.
    unsafe { add_with_ifma(buckets, encodings, coefficients) }
}

/// The sum of what is in the buckets at each place.
pub fn totals(buckets: &Buckets) -> Vec<Point> {
    assert!(is_present(), "kernel avx512ifma was chosen on a processor without it");
    // SAFETY: the processor has the instructions that the function asks for.
    unsafe { totals_with_ifma(buckets) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512ifma")]
fn buckets_with_ifma() -> Buckets {
    Buckets::new::<LANES, Vector>()
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512ifma")]
fn add_with_ifma(
    buckets: &mut Buckets,
    encodings: &[&[u8; 32]],
    coefficients: &[Coefficient],
) -> Vec<bool> {
    buckets.add::<LANES, Vector>(encodings, coefficients)
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512ifma")]
fn totals_with_ifma(buckets: &Buckets) -> Vec<Point> {
    buckets.totals::<LANES, Vector>()
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512ifma")]
fn sum_with_ifma(steps: &Steps) -> [Point; LANES] {
    sum::sum::<LANES, Vector>(steps)
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512ifma")]
fn encodings_with_ifma<const BASE_WIDTH: usize, const KEY_WIDTH: usize>(
    terms: &[Terms<BASE_WIDTH, KEY_WIDTH>],
) -> Vec<[u8; 32]> {
    encoding::encodings::<LANES, BASE_WIDTH, KEY_WIDTH, Vector>(terms)
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512ifma")]
fn challenges_with_ifma(padded: [&[u8]; LANES]) -> [[u8; 32]; LANES] {
    to_bytes(&scalar::reduce(&sha512::hash::<LANES, Vector>(padded)))
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512ifma")]
fn multiples_with_ifma(addends: [&Addend; LANES], count: usize) -> Vec<[Addend; LANES]> {
    sum::multiples::<LANES, Vector>(addends, count)
}

/// Values of this type are only made beneath the functions above, which ask for the instructions,
/// and in tests where these are.
#[derive(Clone, Copy)]
pub(super) struct Vector(__m512i);

// SAFETY, of every call below: only what asked whether the processor has the instructions gets
// here, and pointers are to arrays that are read or written within their length.
impl Lanes<LANES> for Vector {
    #[inline(always)]
    fn splat(value: u64) -> Self {
        Self(unsafe { _mm512_set1_epi64(value.cast_signed()) })
    }

    #[inline(always)]
    fn load(values: &[u64; LANES]) -> Self {
        Self(unsafe { _mm512_loadu_si512(values.as_ptr().cast()) })
    }

    #[inline(always)]
    fn store(self) -> [u64; LANES] {
        let mut values = [0; LANES];
        unsafe { _mm512_storeu_si512(values.as_mut_ptr().cast(), self.0) };
        values
    }

    #[inline(always)]
    fn words(lines: [&[u8; 64]; LANES]) -> [Self; 8] {
        let mut rows = [Self::splat(0).0; LANES];
        for lane in 0..LANES {
            rows[lane] = unsafe { _mm512_loadu_si512(lines[lane].as_ptr().cast()) };
        }
        transpose(rows).map(Self)
    }

    #[inline(always)]
    fn lines(words: [Self; 8]) -> [[u8; 64]; LANES] {
        let mut lines = [[0; 64]; LANES];
        let mut rows = [words[0].0; LANES];
        for at in 0..LANES {
            rows[at] = words[at].0;
        }
        let rows = transpose(rows);
        for lane in 0..LANES {
            unsafe { _mm512_storeu_si512(lines[lane].as_mut_ptr().cast(), rows[lane]) };
        }
        lines
    }

    #[inline(always)]
    fn reversed(self) -> Self {
        Self(unsafe {
            let bytes = _mm_set_epi64x(0x0809_0a0b_0c0d_0e0f, 0x0001_0203_0405_0607);
            _mm512_shuffle_epi8(self.0, _mm512_broadcast_i32x4(bytes))
        })
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        Self(unsafe { _mm512_add_epi64(self.0, other.0) })
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        Self(unsafe { _mm512_sub_epi64(self.0, other.0) })
    }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        Self(unsafe { _mm512_and_si512(self.0, other.0) })
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        Self(unsafe { _mm512_xor_si512(self.0, other.0) })
    }

    #[inline(always)]
    fn select(chosen: Self, yes: Self, no: Self) -> Self {
        Self(unsafe {
            let mask = _mm512_test_epi64_mask(chosen.0, chosen.0);
            _mm512_mask_blend_epi64(mask, no.0, yes.0)
        })
    }

    #[inline(always)]
    fn rotated(self, bits: u32) -> Self {
        Self(unsafe { _mm512_rorv_epi64(self.0, _mm512_set1_epi64(i64::from(bits))) })
    }

    #[inline(always)]
    fn shifted(self, bits: u32) -> Self {
        Self(unsafe { _mm512_srlv_epi64(self.0, _mm512_set1_epi64(i64::from(bits))) })
    }

    #[inline(always)]
    fn above_limb(self) -> Self {
        Self(unsafe { _mm512_srli_epi64::<BITS>(self.0) })
    }

    #[inline(always)]
    fn times_19(self) -> Self {
        Self(unsafe { _mm512_mullo_epi64(self.0, Self::splat(19).0) })
    }

    #[inline(always)]
    fn plus_19_times(self, small: Self) -> Self {
        self.madd52lo(small, Self::splat(19))
    }

    #[inline(always)]
    fn gather(addends: &[&Addend; LANES], swapped: &[u64; LANES]) -> [Element<Self>; 3] {
        let mut lines = [[Self::splat(0).0; LANES]; 2];
        for lane in 0..LANES {
            // An addend is two lines of a cache, of which the last word is not used.
            let line = std::ptr::from_ref(addends[lane]).cast::<i64>();
            unsafe {
                lines[0][lane] = _mm512_loadu_si512(line.cast());
                lines[1][lane] = _mm512_maskz_loadu_epi64(0x7f, line.wrapping_add(LANES));
            }
        }
        let [first, second] = [transpose(lines[0]), transpose(lines[1])];
        let words = |line: [__m512i; LANES]| line.map(Self);
        let ([a, b, c, d, e, f, g, h], [i, j, k, l, m, n, o, _]) = (words(first), words(second));
        let (sum, difference) = ([a, b, c, d, e], [f, g, h, i, j]);
        let swapped = Self::load(swapped).0;
        let mask = unsafe { _mm512_test_epi64_mask(swapped, swapped) };
        [select(mask, &difference, &sum), select(mask, &sum, &difference), [k, l, m, n, o]]
    }

    #[inline(always)]
    fn product_and(f: &Element<Self>, g: &Element<Self>, offset: [u64; 5]) -> Element<Self> {
        product_of_integers(f, g, offset)
    }

    #[inline(always)]
    fn square(f: &Element<Self>) -> Element<Self> {
        square_of_integers(f)
    }

    #[inline(always)]
    fn prefetch(addend: &Addend) {
        let line = std::ptr::from_ref(addend).cast::<i8>();
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(line);
            _mm_prefetch::<_MM_HINT_T0>(line.wrapping_add(64));
        }
    }
}

impl MultiplyAdd for Vector {
    #[inline(always)]
    fn madd52lo(self, f: Self, g: Self) -> Self {
        Self(unsafe { _mm512_madd52lo_epu64(self.0, f.0, g.0) })
    }

    #[inline(always)]
    fn madd52hi(self, f: Self, g: Self) -> Self {
        Self(unsafe { _mm512_madd52hi_epu64(self.0, f.0, g.0) })
    }
}

/// `yes` in the lanes that are chosen, `no` in the others.
#[inline(always)]
fn select(mask: __mmask8, yes: &Element<Vector>, no: &Element<Vector>) -> Element<Vector> {
    let mut selected = *no;
    for at in 0..5 {
        // SAFETY: as above.
        selected[at].0 = unsafe { _mm512_mask_blend_epi64(mask, no[at].0, yes[at].0) };
    }
    selected
}

/// The columns of eight rows.
#[inline(always)]
fn transpose(rows: [__m512i; LANES]) -> [__m512i; LANES] {
    let [a, b, c, d, e, f, g, h] = rows;
    // Of two rows, the even columns and the odd ones, each pair of equal columns side by side.
    // SAFETY: as above.
    let [even, odd] = unsafe {
        [
            [
                _mm512_unpacklo_epi64(a, b),
                _mm512_unpacklo_epi64(c, d),
                _mm512_unpacklo_epi64(e, f),
                _mm512_unpacklo_epi64(g, h),
            ],
            [
                _mm512_unpackhi_epi64(a, b),
                _mm512_unpackhi_epi64(c, d),
                _mm512_unpackhi_epi64(e, f),
                _mm512_unpackhi_epi64(g, h),
            ],
        ]
    };
    let ([c0, c4], [c2, c6]) = (quarters::<0x88>(&even), quarters::<0xdd>(&even));
    let ([c1, c5], [c3, c7]) = (quarters::<0x88>(&odd), quarters::<0xdd>(&odd));
    [c0, c1, c2, c3, c4, c5, c6, c7]
}

/// Of quarters 0 and 2 of four vectors (`0x88`), or of 1 and 3 (`0xdd`), the lower ones and the
/// upper ones.
#[inline(always)]
fn quarters<const WHICH: i32>(pairs: &[__m512i; 4]) -> [__m512i; 2] {
    // SAFETY: as above.
    unsafe {
        let first = _mm512_shuffle_i64x2::<WHICH>(pairs[0], pairs[1]);
        let second = _mm512_shuffle_i64x2::<WHICH>(pairs[2], pairs[3]);
        [_mm512_shuffle_i64x2::<0x88>(first, second), _mm512_shuffle_i64x2::<0xdd>(first, second)]
    }
}
