//! Eight lanes on a processor with AVX-512 IFMA, which multiplies integers of 52 bits.

#![allow(unsafe_code)]

use std::arch::x86_64::{
    __m512i, _MM_HINT_T0, _mm_prefetch, _mm512_add_epi64, _mm512_and_si512, _mm512_loadu_si512,
    _mm512_madd52hi_epu64, _mm512_madd52lo_epu64, _mm512_maskz_loadu_epi64, _mm512_rorv_epi64,
    _mm512_set1_epi64, _mm512_shuffle_i64x2, _mm512_slli_epi64, _mm512_srli_epi64,
    _mm512_storeu_si512, _mm512_sub_epi64, _mm512_ternarylogic_epi64, _mm512_unpackhi_epi64,
    _mm512_unpacklo_epi64, _mm512_xor_si512,
};

use super::lanes::{BITS, Element, Lanes, MultiplyAdd, product_of_integers};
use super::sha512;
use super::sum;
use super::table::{Addend, Point, Step};

/// Points that are summed at once.
pub const LANES: usize = 8;

/// Whether this processor has the instructions, and the system keeps their registers.
pub fn is_present() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512ifma")
}

/// The sum of the steps of each lane, all of which have as many.
pub fn sum(steps: [&[Step]; LANES]) -> [Point; LANES] {
    assert!(is_present(), "kernel avx512ifma was chosen on a processor without it");
    // SAFETY: the processor has the instructions that the function asks for.
    unsafe { sum_with_ifma(steps) }
}

/// The first multiples of the addend of each lane, the lowest first.
pub fn multiples(addends: [&Addend; LANES], count: usize) -> Vec<[Addend; LANES]> {
    assert!(is_present(), "kernel avx512ifma was chosen on a processor without it");
    // SAFETY: the processor has the instructions that the function asks for.
    unsafe { multiples_with_ifma(addends, count) }
}

/// The SHA-512 hashes of padded messages, all of which are as long.
pub fn sha512(padded: [&[u8]; LANES]) -> [[u8; 64]; LANES] {
    assert!(is_present(), "kernel avx512ifma was chosen on a processor without it");
    // SAFETY: the processor has the instructions that the function asks for.
    unsafe { sha512_with_ifma(padded) }
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn sum_with_ifma(steps: [&[Step]; LANES]) -> [Point; LANES] {
    sum::sum::<LANES, Vector>(steps)
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn sha512_with_ifma(padded: [&[u8]; LANES]) -> [[u8; 64]; LANES] {
    sha512::hash::<LANES, Vector>(padded)
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn multiples_with_ifma(addends: [&Addend; LANES], count: usize) -> Vec<[Addend; LANES]> {
    sum::multiples::<LANES, Vector>(addends, count)
}

/// Values of this type are only made beneath `sum` and `multiples`, and in tests where the
/// instructions are.
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
    fn rotated(self, bits: i32) -> Self {
        Self(unsafe { _mm512_rorv_epi64(self.0, _mm512_set1_epi64(i64::from(bits))) })
    }

    #[inline(always)]
    fn shifted<const COUNT: u32>(self) -> Self {
        Self(unsafe { _mm512_srli_epi64::<COUNT>(self.0) })
    }

    #[inline(always)]
    fn above_limb(self) -> Self {
        Self(unsafe { _mm512_srli_epi64::<BITS>(self.0) })
    }

    #[inline(always)]
    fn times_19(self) -> Self {
        let (twice, sixteen) =
            unsafe { (_mm512_slli_epi64::<1>(self.0), _mm512_slli_epi64::<4>(self.0)) };
        self.plus(Self(twice)).plus(Self(sixteen))
    }

    #[inline(always)]
    fn plus_19_times(self, small: Self) -> Self {
        self.madd52lo(small, Self::splat(19))
    }

    #[inline(always)]
    fn select(self, yes: Self, no: Self) -> Self {
        // The table of "first ? second : third", bit by bit.
        Self(unsafe { _mm512_ternarylogic_epi64::<0xca>(self.0, yes.0, no.0) })
    }

    #[inline(always)]
    fn gather(elements: [&[u64; 5]; LANES]) -> Element<Self> {
        let mut rows = [Self::splat(0).0; LANES];
        for lane in 0..LANES {
            rows[lane] = unsafe { _mm512_maskz_loadu_epi64(0x1f, elements[lane].as_ptr().cast()) };
        }
        unsafe { transpose(&rows) }
    }

    #[inline(always)]
    fn product(f: &Element<Self>, g: &Element<Self>) -> Element<Self> {
        product_of_integers(f, g)
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

/// The first five columns of eight rows.
#[target_feature(enable = "avx512f")]
#[inline]
fn transpose(rows: &[__m512i; LANES]) -> Element<Vector> {
    // Of two rows, the even columns and the odd ones, each pair of equal columns side by side.
    let [a, b, c, d, e, f, g, h] = *rows;
    let even = [
        _mm512_unpacklo_epi64(a, b),
        _mm512_unpacklo_epi64(c, d),
        _mm512_unpacklo_epi64(e, f),
        _mm512_unpacklo_epi64(g, h),
    ];
    let odd = [
        _mm512_unpackhi_epi64(a, b),
        _mm512_unpackhi_epi64(c, d),
        _mm512_unpackhi_epi64(e, f),
        _mm512_unpackhi_epi64(g, h),
    ];
    let ([c0, c4], [c2, _]) = (quarters::<0x88>(&even), quarters::<0xdd>(&even));
    let ([c1, _], [c3, _]) = (quarters::<0x88>(&odd), quarters::<0xdd>(&odd));
    [Vector(c0), Vector(c1), Vector(c2), Vector(c3), Vector(c4)]
}

/// Quarters 0 and 2 of four vectors (`0x88`), or quarters 1 and 3 (`0xdd`).
#[target_feature(enable = "avx512f")]
#[inline]
fn quarters<const WHICH: i32>(pairs: &[__m512i; 4]) -> [__m512i; 2] {
    let first = _mm512_shuffle_i64x2::<WHICH>(pairs[0], pairs[1]);
    let second = _mm512_shuffle_i64x2::<WHICH>(pairs[2], pairs[3]);
    [_mm512_shuffle_i64x2::<0x88>(first, second), _mm512_shuffle_i64x2::<0xdd>(first, second)]
}
