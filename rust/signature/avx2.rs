//! Four lanes on a processor with AVX2 and FMA, which multiplies doubles faster than integers.

#![allow(unsafe_code)]

use std::arch::x86_64::{
    __m256d, __m256i, _MM_HINT_T0, _mm_cvtsi32_si128, _mm_prefetch, _mm256_add_epi64,
    _mm256_and_si256, _mm256_blendv_epi8, _mm256_castpd_si256, _mm256_castsi256_pd,
    _mm256_fmadd_pd, _mm256_loadu_si256, _mm256_mul_epu32, _mm256_or_si256,
    _mm256_permute2x128_si256, _mm256_set_epi64x, _mm256_set1_epi64x, _mm256_set1_pd,
    _mm256_sll_epi64, _mm256_slli_epi64, _mm256_srl_epi64, _mm256_srli_epi64, _mm256_storeu_si256,
    _mm256_sub_epi64, _mm256_sub_pd, _mm256_unpackhi_epi64, _mm256_unpacklo_epi64,
    _mm256_xor_si256,
};

use super::lanes::{BITS, Element, FusedMultiplyAdd, Lanes, product_of_doubles};
use super::point::{Addend, Point};
use super::sha512;
use super::steps::Steps;
use super::sum;

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

#[target_feature(enable = "avx2,fma")]
fn sum_with_avx2(steps: &Steps) -> [Point; LANES] {
    sum::sum::<LANES, Vector>(steps)
}

#[target_feature(enable = "avx2,fma")]
fn sha512_with_avx2(padded: [&[u8]; LANES]) -> [[u8; 64]; LANES] {
    sha512::hash::<LANES, Vector>(padded)
}

#[target_feature(enable = "avx2,fma")]
fn multiples_with_avx2(addends: [&Addend; LANES], count: usize) -> Vec<[Addend; LANES]> {
    sum::multiples::<LANES, Vector>(addends, count)
}

/// Values of this type are only made beneath `sum` and `multiples`, and in tests where the
/// instructions are.
#[derive(Clone, Copy)]
pub(super) struct Vector(__m256i);

/// `2^52`: doubles from here to `2^53` are the integers.
const INTEGERS: f64 = 4_503_599_627_370_496.0;

// SAFETY, of every call below: only what asked whether the processor has the instructions gets
// here, and pointers are to arrays that are read or written within their length.
impl Lanes<LANES> for Vector {
    type Mask = Self;

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
    fn rotated(self, bits: i32) -> Self {
        Self(unsafe {
            let (right, left) = (_mm_cvtsi32_si128(bits), _mm_cvtsi32_si128(64 - bits));
            _mm256_or_si256(_mm256_srl_epi64(self.0, right), _mm256_sll_epi64(self.0, left))
        })
    }

    #[inline(always)]
    fn shifted<const COUNT: u32>(self) -> Self {
        Self(unsafe { _mm256_srl_epi64(self.0, _mm_cvtsi32_si128(COUNT.cast_signed())) })
    }

    #[inline(always)]
    fn above_limb(self) -> Self {
        Self(unsafe { _mm256_srli_epi64::<{ BITS.cast_signed() }>(self.0) })
    }

    #[inline(always)]
    fn times_19(self) -> Self {
        let (twice, sixteen) =
            unsafe { (_mm256_slli_epi64::<1>(self.0), _mm256_slli_epi64::<4>(self.0)) };
        self.plus(Self(twice)).plus(Self(sixteen))
    }

    #[inline(always)]
    fn plus_19_times(self, small: Self) -> Self {
        self.plus(Self(unsafe { _mm256_mul_epu32(small.0, Self::splat(19).0) }))
    }

    #[inline(always)]
    fn mask(values: &[u64; LANES]) -> Self {
        Self::load(values)
    }

    #[inline(always)]
    fn select(mask: Self, yes: Self, no: Self) -> Self {
        Self(unsafe { _mm256_blendv_epi8(no.0, yes.0, mask.0) })
    }

    #[inline(always)]
    fn gather(addends: &[&Addend; LANES]) -> [Element<Self>; 3] {
        let [a, b, c, d] = addends;
        [
            gather([&a.sum, &b.sum, &c.sum, &d.sum]),
            gather([&a.difference, &b.difference, &c.difference, &d.difference]),
            gather([&a.product, &b.product, &c.product, &d.product]),
        ]
    }

    #[inline(always)]
    fn product_and(f: &Element<Self>, g: &Element<Self>, offset: [u64; 5]) -> Element<Self> {
        product_of_doubles(f, g, offset)
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
    fn doubles(value: f64) -> __m256d {
        unsafe { _mm256_set1_pd(value) }
    }

    #[inline(always)]
    fn to_doubles(self) -> __m256d {
        // The value becomes the fraction of a double from 2^52 on.
        let encoded = Self::splat(INTEGERS.to_bits());
        unsafe {
            let above = _mm256_castsi256_pd(_mm256_or_si256(self.0, encoded.0));
            _mm256_sub_pd(above, Self::doubles(INTEGERS))
        }
    }

    #[inline(always)]
    fn plus_bits(self, doubles: __m256d) -> Self {
        Self(unsafe { _mm256_add_epi64(self.0, _mm256_castpd_si256(doubles)) })
    }

    #[inline(always)]
    fn difference(f: __m256d, g: __m256d) -> __m256d {
        unsafe { _mm256_sub_pd(f, g) }
    }

    #[inline(always)]
    fn fused(f: __m256d, g: __m256d, h: __m256d) -> __m256d {
        unsafe { _mm256_fmadd_pd(f, g, h) }
    }
}

/// The limbs of one element a lane.
#[inline(always)]
fn gather(elements: [&[u64; 5]; LANES]) -> Element<Vector> {
    let mut rows = [Vector::splat(0).0; LANES];
    let mut last = [0; LANES];
    for lane in 0..LANES {
        // SAFETY: as above; four of five limbs are read.
        rows[lane] = unsafe { _mm256_loadu_si256(elements[lane].as_ptr().cast()) };
        last[lane] = elements[lane][4].cast_signed();
    }
    // SAFETY: as above.
    let [c0, c1, c2, c3] = unsafe { transpose(&rows) };
    let c4 = unsafe { _mm256_set_epi64x(last[3], last[2], last[1], last[0]) };
    [Vector(c0), Vector(c1), Vector(c2), Vector(c3), Vector(c4)]
}

/// The columns of four rows.
#[target_feature(enable = "avx2")]
#[inline]
fn transpose(rows: &[__m256i; LANES]) -> [__m256i; 4] {
    let [a, b, c, d] = *rows;
    let (even_ab, odd_ab) = (_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
    let (even_cd, odd_cd) = (_mm256_unpacklo_epi64(c, d), _mm256_unpackhi_epi64(c, d));
    [
        _mm256_permute2x128_si256::<0x20>(even_ab, even_cd),
        _mm256_permute2x128_si256::<0x20>(odd_ab, odd_cd),
        _mm256_permute2x128_si256::<0x31>(even_ab, even_cd),
        _mm256_permute2x128_si256::<0x31>(odd_ab, odd_cd),
    ]
}
