//! Integers modulo `2^255 - 19`, on arithmetic that was generated with a proof of correctness.
//!
//! A `Tight` value is reduced enough to be added, a `Loose` one is a sum or difference that may
//! only be multiplied or carried: the types keep the bounds that the proofs of `fiat-crypto` ask.

use fiat_crypto::curve25519_64 as fiat;

/// Reduced: what products and carries give.
#[derive(Clone, Copy)]
pub struct Tight(fiat::fiat_25519_tight_field_element);

/// A sum or difference of two reduced values.
#[derive(Clone, Copy)]
pub struct Loose(fiat::fiat_25519_loose_field_element);

impl Tight {
    pub const ZERO: Self = Self::small(0);
    pub const ONE: Self = Self::small(1);

    const fn small(value: u64) -> Self {
        Self(fiat::fiat_25519_tight_field_element([value, 0, 0, 0, 0]))
    }

    /// From 255 bits little endian; the highest bit is passed over, and values from the modulus on
    /// are taken modulo it.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        let mut masked = *bytes;
        masked[31] &= 0x7f;
        let mut out = Self::ZERO;
        fiat::fiat_25519_from_bytes(&mut out.0, &masked);
        out
    }

    /// The one canonical encoding.
    pub fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        fiat::fiat_25519_to_bytes(&mut bytes, &self.0);
        bytes
    }

    /// From limbs of 51 bits, the lowest first, each below `2^52`.
    pub fn from_limbs(limbs: [u64; 5]) -> Self {
        Loose::from_limbs(&limbs).carry()
    }

    /// As canonical limbs of 51 bits, the lowest first.
    pub fn limbs(self) -> [u64; 5] {
        Self::from_bytes(&self.to_bytes()).0.0
    }

    #[inline]
    pub fn loose(&self) -> Loose {
        Loose(fiat::fiat_25519_loose_field_element(self.0.0))
    }

    #[inline]
    pub fn add(&self, other: &Self) -> Loose {
        let mut out = Self::ZERO.loose();
        fiat::fiat_25519_add(&mut out.0, &self.0, &other.0);
        out
    }

    #[inline]
    pub fn sub(&self, other: &Self) -> Loose {
        let mut out = Self::ZERO.loose();
        fiat::fiat_25519_sub(&mut out.0, &self.0, &other.0);
        out
    }

    pub fn negated(&self) -> Self {
        Self::ZERO.sub(self).carry()
    }

    #[inline]
    pub fn mul(&self, other: &Self) -> Self {
        self.loose().mul(&other.loose())
    }

    #[inline]
    pub fn square(&self) -> Self {
        self.loose().square()
    }

    /// This value squared `count` times.
    fn squared(&self, count: usize) -> Self {
        (0..count).fold(*self, |value, _| value.square())
    }

    /// To the power `2^250 - 1`, and to the power 11: what both chains below begin with.
    fn chain(&self) -> (Self, Self) {
        let two = self.square();
        let nine = two.squared(2).mul(self);
        let eleven = nine.mul(&two);
        let ones_5 = eleven.square().mul(&nine);
        let ones_10 = ones_5.squared(5).mul(&ones_5);
        let ones_20 = ones_10.squared(10).mul(&ones_10);
        let ones_40 = ones_20.squared(20).mul(&ones_20);
        let ones_50 = ones_40.squared(10).mul(&ones_10);
        let ones_100 = ones_50.squared(50).mul(&ones_50);
        let ones_200 = ones_100.squared(100).mul(&ones_100);
        (ones_200.squared(50).mul(&ones_50), eleven)
    }

    /// The inverse, to the power `2^255 - 21`; of zero it is zero.
    pub fn inverse(&self) -> Self {
        let (ones_250, eleven) = self.chain();
        ones_250.squared(5).mul(&eleven)
    }

    /// To the power `2^252 - 3`, for square roots (RFC 8032 section 5.1.3).
    pub fn root_power(&self) -> Self {
        self.chain().0.squared(2).mul(self)
    }

    pub fn is_zero(&self) -> bool {
        self.to_bytes() == [0; 32]
    }
}

impl Loose {
    /// From limbs of 51 bits, the lowest first, each below `2^52`.
    #[inline]
    pub fn from_limbs(limbs: &[u64; 5]) -> Self {
        Self(fiat::fiat_25519_loose_field_element(*limbs))
    }

    #[inline]
    pub fn mul(&self, other: &Self) -> Tight {
        let mut out = Tight::ZERO;
        fiat::fiat_25519_carry_mul(&mut out.0, &self.0, &other.0);
        out
    }

    #[inline]
    pub fn square(&self) -> Tight {
        let mut out = Tight::ZERO;
        fiat::fiat_25519_carry_square(&mut out.0, &self.0);
        out
    }

    #[inline]
    pub fn carry(&self) -> Tight {
        let mut out = Tight::ZERO;
        fiat::fiat_25519_carry(&mut out.0, &self.0);
        out
    }
}

/// The inverses of many values that are not zero, at three products each.
pub fn invert(values: &[Tight]) -> Vec<Tight> {
    let mut product = Tight::ONE;
    let mut inverses = Vec::with_capacity(values.len());
    for value in values {
        inverses.push(product);
        product = product.mul(value);
    }
    let mut inverse = product.inverse();
    for (out, value) in inverses.iter_mut().zip(values).rev() {
        *out = out.mul(&inverse);
        inverse = inverse.mul(value);
    }
    inverses
}
