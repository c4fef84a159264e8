//! Hash messages side by side with SHA-512 (FIPS 180-4), one in each lane.

use super::lanes::Lanes;

/// Bytes that are hashed at once.
pub const BLOCK: usize = 128;

/// Section 5.3.5.
const START: [u64; 8] = [
    0x6a09e667f3bcc908,
    0xbb67ae8584caa73b,
    0x3c6ef372fe94f82b,
    0xa54ff53a5f1d36f1,
    0x510e527fade682d1,
    0x9b05688c2b3e6c1f,
    0x1f83d9abfb41bd6b,
    0x5be0cd19137e2179,
];

/// Section 4.2.3.
#[rustfmt::skip]
const ROUNDS: [u64; 80] = [
    0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f, 0xe9b5dba58189dbbc,
    0x3956c25bf348b538, 0x59f111f1b605d019, 0x923f82a4af194f9b, 0xab1c5ed5da6d8118,
    0xd807aa98a3030242, 0x12835b0145706fbe, 0x243185be4ee4b28c, 0x550c7dc3d5ffb4e2,
    0x72be5d74f27b896f, 0x80deb1fe3b1696b1, 0x9bdc06a725c71235, 0xc19bf174cf692694,
    0xe49b69c19ef14ad2, 0xefbe4786384f25e3, 0x0fc19dc68b8cd5b5, 0x240ca1cc77ac9c65,
    0x2de92c6f592b0275, 0x4a7484aa6ea6e483, 0x5cb0a9dcbd41fbd4, 0x76f988da831153b5,
    0x983e5152ee66dfab, 0xa831c66d2db43210, 0xb00327c898fb213f, 0xbf597fc7beef0ee4,
    0xc6e00bf33da88fc2, 0xd5a79147930aa725, 0x06ca6351e003826f, 0x142929670a0e6e70,
    0x27b70a8546d22ffc, 0x2e1b21385c26c926, 0x4d2c6dfc5ac42aed, 0x53380d139d95b3df,
    0x650a73548baf63de, 0x766a0abb3c77b2a8, 0x81c2c92e47edaee6, 0x92722c851482353b,
    0xa2bfe8a14cf10364, 0xa81a664bbc423001, 0xc24b8b70d0f89791, 0xc76c51a30654be30,
    0xd192e819d6ef5218, 0xd69906245565a910, 0xf40e35855771202a, 0x106aa07032bbd1b8,
    0x19a4c116b8d2d0c8, 0x1e376c085141ab53, 0x2748774cdf8eeb99, 0x34b0bcb5e19b48a8,
    0x391c0cb3c5c95a63, 0x4ed8aa4ae3418acb, 0x5b9cca4f7763e373, 0x682e6ff3d6b2b8a3,
    0x748f82ee5defb2fc, 0x78a5636f43172f60, 0x84c87814a1f0ab72, 0x8cc702081a6439ec,
    0x90befffa23631e28, 0xa4506cebde82bde9, 0xbef9a3f7b2c67915, 0xc67178f2e372532b,
    0xca273eceea26619c, 0xd186b8c721c0c207, 0xeada7dd6cde0eb1e, 0xf57d4f7fee6ed178,
    0x06f067aa72176fba, 0x0a637dc5a2c898a6, 0x113f9804bef90dae, 0x1b710b35131c471b,
    0x28db77f523047d84, 0x32caab7b40c72493, 0x3c9ebe0a15c9bebc, 0x431d67c49c100d4c,
    0x4cc5d4becb3e42b6, 0x597f299cfc657e2a, 0x5fcb6fab3ad6faec, 0x6c44198c4a475817,
];

/// Write the parts of a message one after the other, with what stands behind them (section 5.1.2).
pub fn pad(parts: &[&[u8]], padded: &mut Vec<u8>) {
    padded.clear();
    parts.iter().for_each(|part| padded.extend_from_slice(part));
    let bits = padded.len() as u128 * 8;
    padded.push(0x80);
    padded.resize((padded.len() + 16).next_multiple_of(BLOCK) - 16, 0);
    padded.extend_from_slice(&bits.to_be_bytes());
}

/// The hashes of padded messages, all of which are as long, each as little-endian words.
#[inline(always)]
pub fn hash<const N: usize, L: Lanes<N>>(padded: [&[u8]; N]) -> [L; 8] {
    let mut state = [L::splat(0); 8];
    for (word, start) in state.iter_mut().zip(START) {
        *word = L::splat(start);
    }
    for begin in (0..padded[0].len()).step_by(BLOCK) {
        let mut lines = [[&[0; 64]; N]; 2];
        for lane in 0..N {
            for half in 0..2 {
                let line = padded[lane][begin + 64 * half..].first_chunk();
                lines[half][lane] = line.expect("a whole block");
            }
        }
        let (first, second) = (L::words(lines[0]), L::words(lines[1]));
        let mut words = [L::splat(0); 16];
        for at in 0..8 {
            (words[at], words[at + 8]) = (first[at].reversed(), second[at].reversed());
        }
        compress(&mut state, words);
    }
    for word in &mut state {
        *word = word.reversed();
    }
    state
}

/// Section 6.4.2.
#[inline(always)]
fn compress<const N: usize, L: Lanes<N>>(state: &mut [L; 8], mut words: [L; 16]) {
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
    for sixteen in 0..5 {
        for at in 0..16 {
            if sixteen > 0 {
                let (early, late) = (words[(at + 1) % 16], words[(at + 14) % 16]);
                let early = early.rotated(1).xor(early.rotated(8)).xor(early.shifted(7));
                let late = late.rotated(19).xor(late.rotated(61)).xor(late.shifted(6));
                words[at] = words[at].plus(early).plus(words[(at + 9) % 16]).plus(late);
            }
            let constant = L::splat(ROUNDS[16 * sixteen + at]);
            let sum = e.rotated(14).xor(e.rotated(18)).xor(e.rotated(41));
            let choice = g.xor(e.and(f.xor(g)));
            let first = h.plus(sum).plus(choice).plus(constant).plus(words[at]);
            let sum = a.rotated(28).xor(a.rotated(34)).xor(a.rotated(39));
            let majority = a.and(b).xor(c.and(a.xor(b)));
            (h, g, f, e) = (g, f, e, d.plus(first));
            (d, c, b, a) = (c, b, a, first.plus(sum.plus(majority)));
        }
    }
    for (word, change) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
        *word = word.plus(change);
    }
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::scalar::Scalar;
    use sha2::{Digest, Sha512};

    use super::super::emulated::{Doubles, Integers};
    use super::super::lanes::to_bytes;
    use super::*;

    /// Messages of one length, each another one, and what another implementation makes of them.
    fn judged<const N: usize, const BYTES: usize>(
        hash: impl Fn([&[u8]; N]) -> [[u8; BYTES]; N],
        want: impl Fn([u8; 64]) -> [u8; BYTES],
    ) {
        for length in [0, 1, 64, 111, 112, 127, 128, 133, 239, 240, 600] {
            let messages: [Vec<u8>; N] = std::array::from_fn(|lane| {
                (0..length).map(|at| (at * 7 + lane * 31 + length) as u8).collect()
            });
            let padded: [Vec<u8>; N] = std::array::from_fn(|lane| {
                let mut padded = Vec::new();
                let (head, tail) = messages[lane].split_at(length / 3);
                pad(&[head, tail], &mut padded);
                padded
            });
            let want = messages.map(|message| want(Sha512::digest(&message).into()));
            assert_eq!(hash(padded.each_ref().map(Vec::as_slice)), want, "{length} bytes");
        }
    }

    #[test]
    fn hashes_side_by_side_are_those_of_another_implementation() {
        judged(|padded| to_bytes(&hash::<8, Integers>(padded)), |hash| hash);
        judged(|padded| to_bytes(&hash::<4, Doubles>(padded)), |hash| hash);
        #[cfg(target_arch = "x86_64")]
        if super::super::avx2::is_present() {
            judged(super::super::avx2::sha512, |hash| hash);
        }
        #[cfg(target_arch = "x86_64")]
        if super::super::ifma::is_present() {
            let reduced = |hash| Scalar::from_bytes_mod_order_wide(&hash).to_bytes();
            judged(super::super::ifma::challenges, reduced);
        }
    }
}
