//! Four lanes on a processor with AVX2 and FMA, which multiplies doubles faster than integers.

#![allow(unsafe_code)]

use std::arch::asm;
use std::arch::x86_64::{
    __m256d, __m256i, _MM_HINT_T0, _mm_cvtsi32_si128, _mm_prefetch, _mm_set_epi64x,
    _mm256_add_epi64, _mm256_and_si256, _mm256_broadcastsi128_si256, _mm256_castsi256_pd,
    _mm256_loadu_si256, _mm256_loadu2_m128i, _mm256_mul_epu32, _mm256_or_si256, _mm256_set_epi64x,
    _mm256_set1_epi64x, _mm256_set1_pd, _mm256_shuffle_epi8, _mm256_sll_epi64, _mm256_slli_epi64,
    _mm256_srl_epi64, _mm256_srli_epi64, _mm256_storeu_si256, _mm256_sub_epi64, _mm256_sub_pd,
    _mm256_unpackhi_epi64, _mm256_unpacklo_epi64, _mm256_xor_si256,
};

use super::buckets::Buckets;
use super::coefficient::Coefficient;
use super::lanes::{
    BITS, Element, FusedMultiplyAdd, Lanes, MIDDLE, TOP, product_of_doubles, to_bytes,
};
use super::point::{Addend, Point};
use super::square::square_of_doubles;
use super::steps::Steps;
use super::sum;
use super::terms::Terms;
use super::{encoding, sha512};

/// Points that are summed at once.
pub const LANES: usize = 4;

/// Whether this processor has the instructions, and the system keeps their registers.
pub fn is_present() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
}

/// The sum of the steps of each lane.
pub fn sum(steps: &Steps) -> [Point; LANES] {
    assert!(is_present(), "kernel avx2 was chosen on a processor without it");
    // SAFETY: the processor has the instructions that the function asks for.
    unsafe { sum_with_avx2(steps) }
}

/// The encoding of each sum.
pub fn encodings<const BASE_WIDTH: usize, const KEY_WIDTH: usize>(
    terms: &[Terms<BASE_WIDTH, KEY_WIDTH>],
) -> Vec<[u8; 32]> {
    assert!(is_present(), "kernel avx2 was chosen on a processor without it");
    // SAFETY: the processor has the instructions that the function asks for.
    unsafe { encodings_with_avx2(terms) }
}

/// The first multiples of the addend of each lane, the lowest first.
pub fn multiples(addends: [&Addend; LANES], count: usize) -> Vec<[Addend; LANES]> {
    assert!(is_present(), "kernel avx2 was chosen on a processor without it");
    // SAFETY: the processor has the instructions that the function asks for.
    unsafe { multiples_with_avx2(addends, count) }
}

/// The SHA-512 hashes of padded messages, all of which are as long.
pub fn sha512(padded: [&[u8]; LANES]) -> [[u8; 64]; LANES] {
    assert!(is_present(), "kernel avx2 was chosen on a processor without it");
    // SAFETY: the processor has the instructions that the function asks for.
    unsafe { sha512_with_avx2(padded) }
}

/// Nothing in each bucket.
pub fn buckets() -> Buckets {
    assert!(is_present(), "kernel avx2 was chosen on a processor without it");
    // SAFETY: the processor has the instructions that the function asks for.
    unsafe { buckets_with_avx2() }
}

/// Add the point of each encoding, times its coefficient; and whether each is of a point.
pub fn add(
    buckets: &mut Buckets,
    encodings: &[&[u8; 32]],
    coefficients: &[Coefficient],
) -> Vec<bool> {
    assert!(is_present(), "kernel avx2 was chosen on a processor without it");
    // SAFETY: the processor has the instructions that the function asks for.
    unsafe { add_with_avx2(buckets, encodings, coefficients) }
}

/// The sum of what is in the buckets at each place.
pub fn totals(buckets: &Buckets) -> Vec<Point> {
    assert!(is_present(), "kernel avx2 was chosen on a processor without it");
    // SAFETY: the processor has the instructions that the function asks for.
    unsafe { totals_with_avx2(buckets) }
}

#[target_feature(enable = "avx2,fma")]
fn buckets_with_avx2() -> Buckets {
    Buckets::new::<LANES, Vector>()
}

#[target_feature(enable = "avx2,fma")]
fn add_with_avx2(
    buckets: &mut Buckets,
    encodings: &[&[u8; 32]],
    coefficients: &[Coefficient],
) -> Vec<bool> {
    buckets.add::<LANES, Vector>(encodings, coefficients)
}

#[target_feature(enable = "avx2,fma")]
fn totals_with_avx2(buckets: &Buckets) -> Vec<Point> {
    buckets.totals::<LANES, Vector>()
}

#[target_feature(enable = "avx2,fma")]
fn sum_with_avx2(steps: &Steps) -> [Point; LANES] {
    sum::sum::<LANES, Vector>(steps)
}

#[target_feature(enable = "avx2,fma")]
fn encodings_with_avx2<const BASE_WIDTH: usize, const KEY_WIDTH: usize>(
    terms: &[Terms<BASE_WIDTH, KEY_WIDTH>],
) -> Vec<[u8; 32]> {
    encoding::encodings::<LANES, BASE_WIDTH, KEY_WIDTH, Vector>(terms)
}

#[target_feature(enable = "avx2,fma")]
fn sha512_with_avx2(padded: [&[u8]; LANES]) -> [[u8; 64]; LANES] {
    to_bytes(&sha512::hash::<LANES, Vector>(padded))
}

#[target_feature(enable = "avx2,fma")]
fn multiples_with_avx2(addends: [&Addend; LANES], count: usize) -> Vec<[Addend; LANES]> {
    sum::multiples::<LANES, Vector>(addends, count)
}

/// Values of this type are only made beneath the functions above, which ask for the instructions,
/// and in tests where these are.
#[derive(Clone, Copy)]
pub(super) struct Vector(__m256i);

/// `2^52`: doubles from here to `2^53` are the integers.
const INTEGERS: f64 = 4_503_599_627_370_496.0;

// SAFETY, of every call below: only what asked whether the processor has the instructions gets
// here, and pointers are to arrays that are read or written within their length.
impl Lanes<LANES> for Vector {
    #[inline(always)]
    fn splat(value: u64) -> Self {
        Self(unsafe { _mm256_set1_epi64x(value.cast_signed()) })
    }

    #[inline(always)]
    fn load(values: &[u64; LANES]) -> Self {
        Self(unsafe { _mm256_loadu_si256(values.as_ptr().cast()) })
    }

    #[inline(always)]
    fn store(self) -> [u64; LANES] {
        let mut values = [0; LANES];
        unsafe { _mm256_storeu_si256(values.as_mut_ptr().cast(), self.0) };
        values
    }

    #[inline(always)]
    fn words([a, b, c, d]: [&[u8; 64]; LANES]) -> [Self; 8] {
        let mut words = [Self::splat(0); 8];
        for at in [0, 2, 4, 6] {
            let two = |line: &[u8; 64]| line.as_ptr().cast::<i64>().wrapping_add(at);
            let two = unsafe { pairs([two(a), two(b), two(c), two(d)]) };
            [words[at], words[at + 1]] = two;
        }
        words
    }

    #[inline(always)]
    fn lines(words: [Self; 8]) -> [[u8; 64]; LANES] {
        to_bytes(&words)
    }

    #[inline(always)]
    fn reversed(self) -> Self {
        Self(unsafe {
            let bytes = _mm_set_epi64x(0x0809_0a0b_0c0d_0e0f, 0x0001_0203_0405_0607);
            _mm256_shuffle_epi8(self.0, _mm256_broadcastsi128_si256(bytes))
        })
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        Self(unsafe { _mm256_add_epi64(self.0, other.0) })
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        Self(unsafe { _mm256_sub_epi64(self.0, other.0) })
    }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        Self(unsafe { _mm256_and_si256(self.0, other.0) })
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        Self(unsafe { _mm256_xor_si256(self.0, other.0) })
    }

    #[inline(always)]
    fn select(chosen: Self, yes: Self, no: Self) -> Self {
        no.xor(yes.xor(no).and(chosen))
    }

    #[inline(always)]
    fn rotated(self, bits: u32) -> Self {
        Self(unsafe {
            let left = _mm_cvtsi32_si128(64 - bits.cast_signed());
            _mm256_or_si256(self.shifted(bits).0, _mm256_sll_epi64(self.0, left))
        })
    }

    #[inline(always)]
    fn shifted(self, bits: u32) -> Self {
        Self(unsafe { _mm256_srl_epi64(self.0, _mm_cvtsi32_si128(bits.cast_signed())) })
    }

    #[inline(always)]
    fn above_limb(self) -> Self {
        Self(unsafe { _mm256_srli_epi64::<{ BITS.cast_signed() }>(self.0) })
    }

    #[inline(always)]
    fn times_19(self) -> Self {
        // The compiler would multiply, which takes longer.
        let sixteen = Self(unsafe { in_order(_mm256_slli_epi64::<4>(self.0)) });
        self.plus(self).plus(self).plus(sixteen)
    }

    #[inline(always)]
    fn plus_19_times(self, small: Self) -> Self {
        self.plus(Self(unsafe { _mm256_mul_epu32(small.0, Self::splat(19).0) }))
    }

    #[inline(always)]
    fn gather(addends: &[&Addend; LANES], swapped: &[u64; LANES]) -> [Element<Self>; 3] {
        let mut parts = [[std::ptr::null(); LANES]; 3];
        for lane in 0..LANES {
            // Of an addend's fifteen words, five are the sum and the next five the difference.
            let words = std::ptr::from_ref(addends[lane]).cast::<i64>();
            let moved = (swapped[lane] & 5) as usize;
            parts[0][lane] = words.wrapping_add(moved);
            parts[1][lane] = words.wrapping_add(5 - moved);
            parts[2][lane] = words.wrapping_add(10);
        }
        unsafe { [gather(parts[0]), gather(parts[1]), gather(parts[2])] }
    }

    #[inline(always)]
    fn product_and(f: &Element<Self>, g: &Element<Self>, offset: [u64; 5]) -> Element<Self> {
        product_of_doubles(f, g, offset)
    }

    #[inline(always)]
    fn square(f: &Element<Self>) -> Element<Self> {
        square_of_doubles(f)
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

impl FusedMultiplyAdd<LANES> for Vector {
    type Doubles = __m256d;

    #[inline(always)]
    fn to_doubles(self) -> __m256d {
        // The value becomes the fraction of a double from 2^52 on.
        let encoded = Self::splat(INTEGERS.to_bits());
        unsafe {
            let above = _mm256_castsi256_pd(_mm256_or_si256(self.0, encoded.0));
            _mm256_sub_pd(above, _mm256_set1_pd(INTEGERS))
        }
    }

    #[inline(always)]
    fn plus_product(lower: Self, upper: Self, f: __m256d, g: &__m256d) -> (Self, Self) {
        unsafe { plus_product(lower, upper, f, g) }
    }
}

/// The instructions in this order: the compiler would move all additions behind all products, and
/// keep the fifty halves of products in memory until then.
#[target_feature(enable = "avx2,fma")]
#[inline]
fn plus_product(
    Vector(mut lower): Vector,
    Vector(mut upper): Vector,
    f: __m256d,
    g: &__m256d,
) -> (Vector, Vector) {
    // SAFETY: of memory, only `g` is read; of flags, rounding sets one that nobody asks for, which
    // `preserves_flags` would deny.
    unsafe {
        asm!(
            "vmovapd {rounded}, {top}",
            "vfmadd231pd {rounded}, {f}, [{g}]",
            "vsubpd {rest}, {both}, {rounded}",
            "vfmadd231pd {rest}, {f}, [{g}]",
            "vpaddq {upper}, {upper}, {rounded}",
            "vpaddq {lower}, {lower}, {rest}",
            f = in(ymm_reg) f,
            g = in(reg) g,
            top = in(ymm_reg) _mm256_set1_pd(TOP),
            both = in(ymm_reg) _mm256_set1_pd(TOP + MIDDLE),
            lower = inout(ymm_reg) lower,
            upper = inout(ymm_reg) upper,
            rounded = out(ymm_reg) _,
            rest = out(ymm_reg) _,
            options(pure, readonly, nostack),
        );
    }
    (Vector(lower), Vector(upper))
}

/// The same value, of which the compiler does not know how it was made.
#[target_feature(enable = "avx2")]
#[inline]
fn in_order(mut value: __m256i) -> __m256i {
    // SAFETY: no instruction is written.
    unsafe {
        asm!("/* {0} */", inout(ymm_reg) value, options(pure, nomem, nostack, preserves_flags));
    };
    value
}

/// The limbs of one element a lane, from where each begins.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn gather([a, b, c, d]: [*const i64; LANES]) -> Element<Vector> {
    // SAFETY: as above; all five limbs of each are read.
    unsafe {
        let ([limb_0, limb_1], [limb_2, limb_3]) =
            (pairs([a, b, c, d]), pairs([a.add(2), b.add(2), c.add(2), d.add(2)]));
        let limb_4 = Vector(_mm256_set_epi64x(*d.add(4), *c.add(4), *b.add(4), *a.add(4)));
        [limb_0, limb_1, limb_2, limb_3, limb_4]
    }
}

/// Two words a lane. Halves that are loaded apart need not be moved from one half to the other.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn pairs([a, b, c, d]: [*const i64; LANES]) -> [Vector; 2] {
    // SAFETY: as above; two words of each are read.
    let (even, odd) = unsafe {
        (_mm256_loadu2_m128i(c.cast(), a.cast()), _mm256_loadu2_m128i(d.cast(), b.cast()))
    };
    [Vector(_mm256_unpacklo_epi64(even, odd)), Vector(_mm256_unpackhi_epi64(even, odd))]
}
