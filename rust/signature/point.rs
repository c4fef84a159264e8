//! Add points of the curve, and read and write their encodings.
//!
//! Only public values are added, so time may depend on them.

use super::field::{Loose, Tight, invert};

/// A point of the curve in extended coordinates: `x = X/Z`, `y = Y/Z`, `xy = T/Z`.
#[derive(Clone, Copy)]
pub struct Point {
    x: Tight,
    y: Tight,
    z: Tight,
    t: Tight,
}

/// A point with `Z = 1`, in the form that additions take: `y + x`, `y - x` and `2dxy`, each as five
/// limbs of 51 bits, below `2^51 + 2^18`. It takes two lines of a cache.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub struct Addend {
    pub sum: [u64; 5],
    pub difference: [u64; 5],
    pub product: [u64; 5],
}

/// The encoding of the base point (RFC 8032 section 5.1).
pub const BASE: [u8; 32] = {
    let mut bytes = [0x66; 32];
    bytes[0] = 0x58;
    bytes
};

/// `d` of the curve equation `-x^2 + y^2 = 1 + d x^2 y^2` (RFC 8032 section 5.1).
const D: [u8; 32] = [
    0xa3, 0x78, 0x59, 0x13, 0xca, 0x4d, 0xeb, 0x75, 0xab, 0xd8, 0x41, 0x41, 0x4d, 0x0a, 0x70, 0x00,
    0x98, 0xe8, 0x79, 0x77, 0x79, 0x40, 0xc7, 0x8c, 0x73, 0xfe, 0x6f, 0x2b, 0xee, 0x6c, 0x03, 0x52,
];

/// A square root of -1.
const ROOT: [u8; 32] = [
    0xb0, 0xa0, 0x0e, 0x4a, 0x27, 0x1b, 0xee, 0xc4, 0x78, 0xe4, 0x2f, 0xad, 0x06, 0x18, 0x43, 0x2f,
    0xa7, 0xd7, 0xfb, 0x3d, 0x99, 0x00, 0x4d, 0x2b, 0x0b, 0xdf, 0xc1, 0x4f, 0x80, 0x24, 0x83, 0x2b,
];

/// What adds nothing: `x = 0`, `y = 1`.
pub const NOTHING: Addend =
    Addend { sum: [1, 0, 0, 0, 0], difference: [1, 0, 0, 0, 0], product: [0; 5] };

impl Point {
    pub const IDENTITY: Self =
        Self { x: Tight::ZERO, y: Tight::ONE, z: Tight::ONE, t: Tight::ZERO };

    /// Decode as ZIP-215 does: any encoding of `y`, and either sign where `x` is zero.
    pub fn decode(bytes: &[u8; 32]) -> Option<Self> {
        let y = Tight::from_bytes(bytes);
        let y_squared = y.square();
        let u = y_squared.sub(&Tight::ONE).carry();
        let v = y_squared.mul(&Tight::from_bytes(&D)).add(&Tight::ONE).carry();
        let v3 = v.square().mul(&v);
        let mut x = u.mul(&v3).mul(&u.mul(&v3.square().mul(&v)).root_power());
        let square = v.mul(&x.square());
        if !square.sub(&u).carry().is_zero() {
            if !square.add(&u).carry().is_zero() {
                return None;
            }
            x = x.mul(&Tight::from_bytes(&ROOT));
        }
        if x.to_bytes()[0] & 1 != bytes[31] >> 7 {
            x = x.negated();
        }
        Some(Self { x, y, z: Tight::ONE, t: x.mul(&y) })
    }

    /// From limbs of `Y - X`, `Y + X`, `Z` and `T`, each below `2^52`.
    pub fn from_limbs(limbs: [[u64; 5]; 4]) -> Self {
        let [difference, total, z, t] = limbs.map(Tight::from_limbs);
        let (x, y) = (total.sub(&difference), total.add(&difference));
        Self { x: x.carry(), y: y.carry(), z: z.add(&z).carry(), t: t.add(&t).carry() }
    }

    pub fn negated(&self) -> Self {
        Self { x: self.x.negated(), t: self.t.negated(), ..*self }
    }

    /// "dbl-2008-hwcd" for a = -1, with every sign turned.
    pub fn doubled(&self) -> Self {
        let a = self.x.square();
        let b = self.y.square();
        let c = self.z.square();
        let c = c.add(&c).carry();
        let h = a.add(&b);
        let e = h.carry().sub(&self.x.add(&self.y).square());
        let g = a.sub(&b);
        let f = c.add(&g.carry());
        Self::completed(&e, &f, &g, &h)
    }

    /// "madd-2008-hwcd-3". Of an addend's negative, sum and difference have changed places, and the
    /// product has the other sign.
    #[inline]
    pub fn plus(self, addend: &Addend, negative: bool) -> Self {
        let (sum, difference) = match negative {
            false => (&addend.sum, &addend.difference),
            true => (&addend.difference, &addend.sum),
        };
        let a = self.y.sub(&self.x).mul(&Loose::from_limbs(difference));
        let b = self.y.add(&self.x).mul(&Loose::from_limbs(sum));
        let c = self.t.loose().mul(&Loose::from_limbs(&addend.product));
        let d = self.z.add(&self.z).carry();
        let (less, more) = (d.sub(&c), d.add(&c));
        let (f, g) = if negative { (more, less) } else { (less, more) };
        Self::completed(&b.sub(&a), &f, &g, &b.add(&a))
    }

    /// "add-2008-hwcd-3".
    pub fn add(&self, other: &Self) -> Self {
        let a = self.y.sub(&self.x).mul(&other.y.sub(&other.x));
        let b = self.y.add(&self.x).mul(&other.y.add(&other.x));
        let c = self.t.mul(&other.t).mul(&twice_d());
        let z = self.z.mul(&other.z);
        let d = z.add(&z).carry();
        Self::completed(&b.sub(&a), &d.sub(&c), &d.add(&c), &b.add(&a))
    }

    /// Whether eight times the point is nothing.
    pub fn is_of_small_order(&self) -> bool {
        let multiple = self.doubled().doubled().doubled();
        encode(&[multiple]) == encode(&[Self::IDENTITY])
    }

    #[inline]
    fn completed(e: &Loose, f: &Loose, g: &Loose, h: &Loose) -> Self {
        Self { x: e.mul(f), y: g.mul(h), z: f.mul(g), t: e.mul(h) }
    }
}

/// The canonical encodings of many points.
pub fn encode(points: &[Point]) -> Vec<[u8; 32]> {
    let inverses = invert(&points.iter().map(|point| point.z).collect::<Vec<_>>());
    let encode = |(point, inverse): (&Point, &Tight)| {
        let mut bytes = point.y.mul(inverse).to_bytes();
        bytes[31] |= point.x.mul(inverse).to_bytes()[0] << 7;
        bytes
    };
    points.iter().zip(&inverses).map(encode).collect()
}

/// The first multiples of each addend, the lowest first, addend by addend.
pub fn multiples(bases: &[Addend], count: usize) -> Vec<Addend> {
    let mut multiples = Vec::with_capacity(bases.len() * count);
    for base in bases {
        let mut multiple = Point::IDENTITY;
        for _ in 0..count {
            multiple = multiple.plus(base, false);
            multiples.push(multiple);
        }
    }
    addends(&multiples)
}

pub fn d() -> Tight {
    Tight::from_bytes(&D)
}

pub fn root() -> Tight {
    Tight::from_bytes(&ROOT)
}

pub fn twice_d() -> Tight {
    let d = Tight::from_bytes(&D);
    d.add(&d).carry()
}

pub fn addends(points: &[Point]) -> Vec<Addend> {
    let twice_d = twice_d();
    let inverses = invert(&points.iter().map(|point| point.z).collect::<Vec<_>>());
    let normalize = |(point, inverse): (&Point, &Tight)| {
        let (x, y) = (point.x.mul(inverse), point.y.mul(inverse));
        Addend {
            sum: y.add(&x).carry().limbs(),
            difference: y.sub(&x).carry().limbs(),
            product: x.mul(&y).mul(&twice_d).limbs(),
        }
    };
    points.iter().zip(&inverses).map(normalize).collect()
}

#[cfg(test)]
pub mod tests {
    use curve25519_dalek::edwards::CompressedEdwardsY;

    use super::*;

    fn hashed(seed: u64) -> [u8; 64] {
        let mut bytes = [0; 64];
        blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
        bytes
    }

    /// Canonical encodings, non-canonical ones, and what is no point.
    pub fn encodings() -> Vec<[u8; 32]> {
        let mut encodings: Vec<[u8; 32]> =
            (0..600).map(|seed| *hashed(seed).first_chunk().expect("32 of 64 bytes")).collect();
        for low in 0..=255 {
            for sign in [0x7f, 0xff] {
                let mut bytes = [0xff; 32];
                (bytes[0], bytes[31]) = (low, sign);
                encodings.push(bytes);
                let mut bytes = [0; 32];
                (bytes[0], bytes[31]) = (low, sign & 0x80);
                encodings.push(bytes);
            }
        }
        encodings
    }

    #[test]
    fn encodings_decode_as_another_implementation_decodes_them() {
        let encodings = encodings();
        let mut points = 0;
        for bytes in &encodings {
            let want = CompressedEdwardsY(*bytes).decompress();
            let got = Point::decode(bytes);
            assert_eq!(got.is_some(), want.is_some(), "{bytes:?}");
            if let (Some(got), Some(want)) = (got, want) {
                assert_eq!(encode(&[got])[0], want.compress().to_bytes());
                points += 1;
            }
        }
        assert!(points > 300 && points < encodings.len());
    }
}
