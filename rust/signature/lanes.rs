//! Multiply field elements side by side, one in each 64-bit lane of a processor's registers.
//!
//! A field element is five limbs of 51 bits, the lowest first; a vector holds the same limb of as
//! many elements as there are lanes, so that nothing ever moves between lanes. Limbs are *reduced*
//! below `2^51 + 2^18`, which is what carries give and products take. Products give *columns*
//! below `2^60`; a few of them may be added and subtracted before they are carried.
//!
//! What processors differ in is `Lanes`. A function that is not inlined would be compiled without
//! the processor's instructions: hence `inline(always)`, and loops where closures would read
//! better.

use super::point::Addend;

/// Bits of a limb.
pub const BITS: u32 = 51;

/// A limb's bits.
pub const MASK: u64 = (1 << BITS) - 1;

/// The limbs of as many elements as there are lanes, or their columns.
pub type Element<L> = [L; 5];

/// Unsigned 64-bit values, one in each of `N` lanes; sums are modulo `2^64`.
pub trait Lanes<const N: usize>: Copy {
    /// The same value in every lane.
    fn splat(value: u64) -> Self;

    fn load(values: &[u64; N]) -> Self;

    fn store(self) -> [u64; N];

    /// The little-endian words of each lane's line.
    fn words(lines: [&[u8; 64]; N]) -> [Self; 8];

    /// The line of each lane, from its little-endian words.
    fn lines(words: [Self; 8]) -> [[u8; 64]; N];

    /// The value with its bytes in the other order.
    fn reversed(self) -> Self;

    fn plus(self, other: Self) -> Self;

    fn minus(self, other: Self) -> Self;

    fn and(self, other: Self) -> Self;

    fn xor(self, other: Self) -> Self;

    /// `yes` where all bits of `chosen` are set, `no` where none is.
    fn select(chosen: Self, yes: Self, no: Self) -> Self;

    /// The value with its bits moved down, and those that fall off come back above.
    fn rotated(self, bits: u32) -> Self;

    /// The value with its bits moved down.
    fn shifted(self, bits: u32) -> Self;

    /// The value without its lowest 51 bits, moved down.
    fn above_limb(self) -> Self;

    fn times_19(self) -> Self;

    /// `self + 19 small`, where `small` is below `2^32`.
    fn plus_19_times(self, small: Self) -> Self;

    /// The sum, the difference and the product of one addend a lane. Where all bits of `swapped`
    /// are set, sum and difference have changed places; elsewhere none is set.
    fn gather(addends: &[&Addend; N], swapped: &[u64; N]) -> [Element<Self>; 3];

    /// The columns of the product of reduced elements, with an offset of even numbers added.
    fn product_and(f: &Element<Self>, g: &Element<Self>, offset: [u64; 5]) -> Element<Self>;

    /// The columns of the square of a reduced element.
    fn square(f: &Element<Self>) -> Element<Self>;

    /// Have the addend in the cache soon.
    fn prefetch(addend: &Addend);
}

/// Lanes of a processor with AVX-512 IFMA.
pub trait MultiplyAdd: Copy {
    /// `self` plus the lower 52 bits of the product of two 52-bit values.
    fn madd52lo(self, f: Self, g: Self) -> Self;

    /// `self` plus the product's bits from the 52nd on.
    fn madd52hi(self, f: Self, g: Self) -> Self;
}

/// Lanes of a processor that multiplies and adds doubles with one rounding.
pub trait FusedMultiplyAdd<const N: usize>: Lanes<N> {
    type Doubles: Copy;

    /// The double of each value, which is below `2^52`.
    fn to_doubles(self) -> Self::Doubles;

    /// Two columns, the upper one with `rounded = f g + TOP` added and the lower one with
    /// `f g + (TOP + MIDDLE - rounded)`, each rounded once and added as it is encoded.
    fn plus_product(lower: Self, upper: Self, f: Self::Doubles, g: &Self::Doubles) -> (Self, Self);
}

/// `count` bits from the `at`th on, of an integer in parts of `width` bits, the lowest first. They
/// stand in at most two parts, and what is behind the last one is zero.
#[inline(always)]
pub fn bits<const N: usize, L: Lanes<N>>(parts: &[L], width: usize, at: usize, count: usize) -> L {
    let (part, shift) = (at / width, at % width);
    let (mask, here) = (u64::MAX >> (64 - count), width - shift);
    let low = parts[part].rotated(shift as u32);
    if here >= count {
        return low.and(L::splat(mask));
    }
    let from_here = u64::MAX >> (64 - here);
    let low = low.and(L::splat(from_here));
    if part + 1 == parts.len() {
        return low;
    }
    low.plus(parts[part + 1].rotated(64 - here as u32).and(L::splat(mask & !from_here)))
}

/// Words of each lane, the lowest first, as bytes little endian.
#[inline(always)]
pub fn to_bytes<const N: usize, const WORDS: usize, const BYTES: usize, L: Lanes<N>>(
    words: &[L; WORDS],
) -> [[u8; BYTES]; N] {
    let mut bytes = [[0; BYTES]; N];
    for (at, word) in words.iter().enumerate() {
        let values = word.store();
        for lane in 0..N {
            bytes[lane].as_chunks_mut().0[at] = values[lane].to_le_bytes();
        }
    }
    bytes
}

/// The words of 32 bytes little endian a lane, the lowest first.
#[inline(always)]
pub fn from_bytes<const N: usize, L: Lanes<N>>(bytes: [&[u8; 32]; N]) -> [L; 4] {
    let mut words = [L::splat(0); 4];
    for (at, word) in words.iter_mut().enumerate() {
        let mut values = [0; N];
        for lane in 0..N {
            values[lane] = u64::from_le_bytes(bytes[lane].as_chunks().0[at]);
        }
        *word = L::load(&values);
    }
    words
}

/// A multiple of the modulus, limb by limb, of which each limb has `51 + log2(times)` bits.
const fn multiple_of_p(times: u64) -> [u64; 5] {
    let (first, other) = (((1 << BITS) - 19) * times, ((1 << BITS) - 1) * times);
    [first, other, other, other, other]
}

/// A multiple of the modulus, more than any column: what columns are subtracted from has it added.
pub const ABOVE_COLUMNS: [u64; 5] = multiple_of_p(1 << 10);

/// The columns of the product of reduced elements.
#[inline(always)]
pub fn product<const N: usize, L: Lanes<N>>(f: &Element<L>, g: &Element<L>) -> Element<L> {
    L::product_and(f, g, [0; 5])
}

/// The same with `ABOVE_COLUMNS`, so that other columns may be subtracted; it costs nothing.
#[inline(always)]
pub fn product_above<const N: usize, L: Lanes<N>>(f: &Element<L>, g: &Element<L>) -> Element<L> {
    L::product_and(f, g, ABOVE_COLUMNS)
}

/// The limbs of one element a lane.
#[inline(always)]
pub fn from_lanes<const N: usize, L: Lanes<N>>(elements: [&[u64; 5]; N]) -> Element<L> {
    let mut limbs = [L::splat(0); 5];
    for at in 0..5 {
        let mut values = [0; N];
        for lane in 0..N {
            values[lane] = elements[lane][at];
        }
        limbs[at] = L::load(&values);
    }
    limbs
}

/// The limbs of each lane's element.
#[inline(always)]
pub fn lanes_of<const N: usize, L: Lanes<N>>(element: &Element<L>) -> [[u64; 5]; N] {
    let mut limbs = [[0; 5]; N];
    for at in 0..5 {
        let values = element[at].store();
        for lane in 0..N {
            limbs[lane][at] = values[lane];
        }
    }
    limbs
}

#[inline(always)]
pub fn add<const N: usize, L: Lanes<N>>(f: &Element<L>, g: &Element<L>) -> Element<L> {
    let mut sum = *f;
    for at in 0..5 {
        sum[at] = sum[at].plus(g[at]);
    }
    sum
}

/// `f - g`, limb by limb modulo `2^64`: a limb of `g` may stand for less than zero, and no
/// difference may.
#[inline(always)]
pub fn sub<const N: usize, L: Lanes<N>>(f: &Element<L>, g: &Element<L>) -> Element<L> {
    let mut difference = *f;
    for at in 0..5 {
        difference[at] = difference[at].minus(g[at]);
    }
    difference
}

/// Reduce columns below `2^63`. Each carry has at most 12 bits and goes one limb up; what goes
/// beyond `2^255` comes back 19 times.
#[inline(always)]
pub fn carry<const N: usize, L: Lanes<N>>(columns: &Element<L>) -> Element<L> {
    let mut limbs = *columns;
    for at in 0..5 {
        let limb = columns[at].and(L::splat(MASK));
        limbs[at] = match at {
            0 => limb.plus_19_times(columns[4].above_limb()),
            _ => limb.plus(columns[at - 1].above_limb()),
        };
    }
    limbs
}

/// The upper five of ten columns come back 19 times.
#[inline(always)]
pub fn fold<const N: usize, L: Lanes<N>>(columns: &[L; 10]) -> Element<L> {
    let mut folded = [columns[0]; 5];
    for at in 0..5 {
        folded[at] = columns[at].plus(columns[at + 5].times_19());
    }
    folded
}

/// The product on lanes that multiply 52-bit integers.
///
/// Limbs are below `2^52`, as the instructions ask. The upper half of a product stands 52 bits
/// above the lower one, where the next limb stands 51: it counts twice. A column is below
/// `5 (2^52 + 2^51.1)`, and 20 times that is below `2^60`.
#[inline(always)]
pub fn product_of_integers<const N: usize, L>(
    f: &Element<L>,
    g: &Element<L>,
    offset: [u64; 5],
) -> Element<L>
where
    L: Lanes<N> + MultiplyAdd,
{
    let mut columns = [L::splat(0); 10];
    for at in 1..5 {
        columns[at] = L::splat(offset[at] / 2);
    }
    for i in 0..5 {
        for j in 0..5 {
            columns[i + j + 1] = columns[i + j + 1].madd52hi(f[i], g[j]);
        }
    }
    for column in &mut columns[1..] {
        *column = column.plus(*column);
    }
    columns[0] = L::splat(offset[0]);
    for i in 0..5 {
        for j in 0..5 {
            columns[i + j] = columns[i + j].madd52lo(f[i], g[j]);
        }
    }
    fold(&columns)
}

/// `2^103`: doubles from here to `2^104` are the multiples of `2^51`.
pub const TOP: f64 = f64::from_bits(EXPONENT_103);
const EXPONENT_103: u64 = (1023 + 103) << 52;

/// `1.5 2^52`: doubles within `2^51` of it are the integers.
pub const MIDDLE: f64 = f64::from_bits(EXPONENT_52_AND_HALF);
const EXPONENT_52_AND_HALF: u64 = (1023 + 52) << 52 | 1 << 51;

/// What each column begins with: once it is folded, this takes away the encodings of `TOP` and
/// `MIDDLE` once for each time that they were added, and gives what keeps the sum above zero.
pub const OFFSETS: [u64; 5] = {
    let mut encodings = [0_u64; 10];
    let mut at = 0;
    while at < 25 {
        let column = at / 5 + at % 5;
        encodings[column] = encodings[column].wrapping_add(EXPONENT_52_AND_HALF);
        encodings[column + 1] = encodings[column + 1].wrapping_add(EXPONENT_103);
        at += 1;
    }
    let mut offsets = multiple_of_p(1 << 8);
    let mut at = 0;
    while at < 5 {
        let folded = encodings[at].wrapping_add(encodings[at + 5].wrapping_mul(19));
        offsets[at] = offsets[at].wrapping_sub(folded);
        at += 1;
    }
    offsets
};

/// The product on lanes that multiply doubles.
///
/// A product of limbs is below `2^103`. Added to `TOP` it is rounded to a multiple of `2^51`, which
/// the encoding shows as an integer: what goes to the next limb. Taking that away from the product
/// leaves what was rounded off, exactly, between `-2^51` and `2^51`. This holds however
/// the processor rounds. A folded column is between `-2^57.7` and `2^58.8`, before its offset.
#[inline(always)]
pub fn product_of_doubles<const N: usize, L>(
    f: &Element<L>,
    g: &Element<L>,
    offset: [u64; 5],
) -> Element<L>
where
    L: FusedMultiplyAdd<N>,
{
    let (mut left, mut right) = ([f[0].to_doubles(); 5], [g[0].to_doubles(); 5]);
    let mut columns = [L::splat(0); 10];
    for at in 0..5 {
        (left[at], right[at]) = (f[at].to_doubles(), g[at].to_doubles());
        columns[at] = L::splat(OFFSETS[at].wrapping_add(offset[at]));
    }
    // A loop over these would not be unrolled, and would keep all of them in memory.
    add_column::<N, 0, L>(&mut columns, &left, &right);
    add_column::<N, 1, L>(&mut columns, &left, &right);
    add_column::<N, 2, L>(&mut columns, &left, &right);
    add_column::<N, 3, L>(&mut columns, &left, &right);
    add_column::<N, 4, L>(&mut columns, &left, &right);
    add_column::<N, 5, L>(&mut columns, &left, &right);
    add_column::<N, 6, L>(&mut columns, &left, &right);
    add_column::<N, 7, L>(&mut columns, &left, &right);
    add_column::<N, 8, L>(&mut columns, &left, &right);
    fold(&columns)
}

/// Add the products whose lower halves are in one column. Column by column, few registers are in
/// use at once.
#[inline(always)]
fn add_column<const N: usize, const AT: usize, L: FusedMultiplyAdd<N>>(
    columns: &mut [L; 10],
    left: &[L::Doubles; 5],
    right: &[L::Doubles; 5],
) {
    let (mut lower, mut upper) = (columns[AT], columns[AT + 1]);
    for i in 0..5 {
        if i <= AT && AT - i < 5 {
            (lower, upper) = L::plus_product(lower, upper, left[i], &right[AT - i]);
        }
    }
    (columns[AT], columns[AT + 1]) = (lower, upper);
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::emulated::{Doubles, Integers};
    use super::super::field::Tight;
    use super::*;

    /// What a limb may be, at its bounds and between them.
    const LIMBS: [u64; 9] = [
        0,
        1,
        18,
        MASK - 19,
        MASK,
        MASK + 1,
        MASK + (1 << 17),
        (1 << 51) + (1 << 18) - 1,
        0x5_5555_5555_5555,
    ];

    /// Elements whose limbs are at the bounds, in every mixture, and elements drawn at random.
    pub fn elements() -> Vec<[u64; 5]> {
        let mut elements: Vec<[u64; 5]> = LIMBS.iter().map(|limb| [*limb; 5]).collect();
        let mut stream = blake3::Hasher::new().update(b"limbs").finalize_xof();
        let mut draw = |below: u64| {
            let mut bytes = [0; 8];
            stream.fill(&mut bytes);
            u64::from_le_bytes(bytes) % below
        };
        for _ in 0..400 {
            elements.push(std::array::from_fn(|_| LIMBS[draw(9) as usize]));
            elements.push(std::array::from_fn(|_| draw((1 << 51) + (1 << 18))));
        }
        elements
    }

    fn value(limbs: [u64; 5]) -> [u8; 32] {
        Tight::from_limbs(limbs).to_bytes()
    }

    fn load<const N: usize, L: Lanes<N>>(elements: &[[u64; 5]]) -> Element<L> {
        std::array::from_fn(|at| L::load(&std::array::from_fn(|lane| elements[lane][at])))
    }

    fn store<const N: usize, L: Lanes<N>>(element: &Element<L>) -> Vec<[u64; 5]> {
        let limbs = element.map(L::store);
        (0..N).map(|lane| std::array::from_fn(|at| limbs[at][lane])).collect()
    }

    /// Products, their sums and differences, carried, are those of the proven field; and within the
    /// bounds that the next product asks for.
    fn is_the_field<const N: usize, L: Lanes<N>>() {
        let elements = elements();
        for (left, right) in elements.chunks_exact(N).zip(elements.chunks_exact(N).rev()) {
            let (f, g) = (load::<N, L>(left), load::<N, L>(right));
            let (product, square) = (product(&f, &g), L::square(&f));
            let sum = add(&add(&square, &square), &product);
            let above = product_above(&f, &f);
            let difference = sub(&add(&above, &square), &product);
            for columns in [&product, &square] {
                let largest = columns.iter().flat_map(|column| column.store()).max();
                assert!(largest < Some(1 << 60));
            }
            let results = [product, square, sum, difference, above].map(|columns| {
                let limbs = store(&carry::<N, L>(&columns));
                assert!(limbs.iter().flatten().all(|limb| *limb < (1 << 51) + (1 << 18)));
                limbs
            });
            for lane in 0..N {
                let (f, g) = (Tight::from_limbs(left[lane]), Tight::from_limbs(right[lane]));
                let (product, square) = (f.mul(&g), f.square());
                let twice = square.add(&square).carry();
                let (sum, difference) = (twice.add(&product), twice.sub(&product));
                let want = [product, square, sum.carry(), difference.carry(), square];
                for (result, want) in results.iter().zip(want) {
                    assert_eq!(value(result[lane]), want.to_bytes(), "{left:?} {right:?}");
                }
            }
        }
    }

    /// What each operation makes of two elements' limbs and a small value.
    fn operations<const N: usize, L: Lanes<N>>(f: L, g: L, small: L) -> Vec<[u64; N]> {
        let difference = f.minus(g);
        let made = [
            f,
            f.plus(g),
            difference,
            f.and(g),
            f.above_limb(),
            f.xor(g),
            f.rotated(0),
            f.rotated(41),
            g.shifted(7),
            difference.shifted(44),
            difference.shifted(52),
            difference.above_limb(),
            f.times_19(),
            f.plus_19_times(small),
        ];
        made.iter().map(|lanes| lanes.store()).collect()
    }

    /// Every operation of a processor's lanes does what the emulated ones do.
    fn are_as_emulated<const N: usize, L: Lanes<N>, Plain: Lanes<N>>() {
        let elements = elements();
        let mut rows = elements.chunks_exact(N);
        while let (Some(f), Some(g)) = (rows.next(), rows.next()) {
            let addends: [Addend; N] = std::array::from_fn(|lane| Addend {
                sum: f[lane],
                difference: g[lane],
                product: f[N - 1 - lane],
            });
            let swapped =
                std::array::from_fn(|lane| if f[lane][0] & 1 == 1 { u64::MAX } else { 0 });
            let got = L::gather(&addends.each_ref(), &swapped);
            let want = Plain::gather(&addends.each_ref(), &swapped);
            assert_eq!(got.each_ref().map(store), want.each_ref().map(store));
            let ([left, right, _], [want_left, want_right, _]) = (got, want);
            for (got, want) in [
                (product(&left, &right), product(&want_left, &want_right)),
                (product_above(&left, &right), product_above(&want_left, &want_right)),
                (L::square(&left), Plain::square(&want_left)),
            ] {
                assert_eq!(store(&got), store(&want));
            }
            let lines: [[u8; 64]; N] = std::array::from_fn(|lane| {
                let limbs = f[lane].iter().chain(&g[lane]).copied();
                let mut words = [0; 8];
                words.iter_mut().zip(limbs).for_each(|(word, limb)| *word = limb * 0x1001);
                std::array::from_fn(|at| words[at / 8].to_le_bytes()[at % 8])
            });
            let (got, want) = (L::words(lines.each_ref()), Plain::words(lines.each_ref()));
            assert_eq!(got.map(L::store), want.map(Plain::store));
            assert_eq!((L::lines(got), Plain::lines(want)), (lines, lines));
            let chosen = L::select(L::load(&swapped), left[0], right[1]);
            let want_chosen = Plain::select(Plain::load(&swapped), want_left[0], want_right[1]);
            assert_eq!(chosen.store(), want_chosen.store());
            assert_eq!(
                got.map(|word| word.reversed().store()),
                want.map(|word| word.reversed().store())
            );
            for at in 0..5 {
                let (f, g) = (left[at], right[at]);
                let (p, q) = (want_left[at], want_right[at]);
                let small = L::splat((1 << 13) + at as u64);
                let want_small = Plain::splat((1 << 13) + at as u64);
                assert_eq!(operations(f, g, small), operations(p, q, want_small));
            }
        }
    }

    /// Factors of 52 bits and beyond, whose upper bits are not looked at, and summands.
    fn multiplies_and_adds_as_emulated<const N: usize, L, Plain>()
    where
        L: Lanes<N> + MultiplyAdd,
        Plain: Lanes<N> + MultiplyAdd,
    {
        let factors = [0, 1, MASK, MASK + 1, (1 << 52) - 1, (1 << 52) | 3, u64::MAX];
        let mut values: Vec<u64> = factors.to_vec();
        values.extend(elements().concat().iter().map(|limb| limb.wrapping_mul(0x9e37_79b9)));
        for three in values.windows(3 * N) {
            let three = [&three[..N], &three[N..2 * N], &three[2 * N..]]
                .map(|values| std::array::from_fn(|lane| values[lane]));
            let ([sum, f, g], [want_sum, p, q]) =
                (three.each_ref().map(L::load), three.each_ref().map(Plain::load));
            assert_eq!(sum.madd52lo(f, g).store(), want_sum.madd52lo(p, q).store());
            assert_eq!(sum.madd52hi(f, g).store(), want_sum.madd52hi(p, q).store());
        }
        for (f, g) in factors.iter().flat_map(|f| factors.map(|g| (*f, g))) {
            let ([sum, f, g], [want_sum, p, q]) =
                ([g, f, g].map(L::splat), [g, f, g].map(Plain::splat));
            assert_eq!(sum.madd52lo(f, g).store(), want_sum.madd52lo(p, q).store());
            assert_eq!(sum.madd52hi(f, g).store(), want_sum.madd52hi(p, q).store());
        }
    }

    /// What the manual of the instructions says, on numbers worked out by hand.
    #[test]
    fn emulated_multiply_add_keeps_52_bits_of_a_half() {
        let top = Integers::splat((1 << 52) - 1);
        let beyond = Integers::splat((1 << 52) | 3);
        let one = Integers::splat(1);
        // (2^52 - 1)^2 = (2^52 - 2) 2^52 + 1, and bits from the 52nd on are not looked at.
        assert_eq!(one.madd52lo(top, top), Integers::splat(2));
        assert_eq!(one.madd52hi(top, top), Integers::splat((1 << 52) - 1));
        assert_eq!(one.madd52lo(beyond, beyond), Integers::splat(10));
        assert_eq!(one.madd52hi(beyond, beyond), one);
        assert_eq!(Integers::splat(u64::MAX).madd52lo(one, one), Integers::splat(0));
    }

    #[test]
    fn emulated_lanes_are_the_field() {
        is_the_field::<8, Integers>();
        is_the_field::<4, Doubles>();
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn lanes_of_avx2_are_as_emulated() {
        use super::super::avx2;
        if !avx2::is_present() {
            return println!("skipped: this processor has no AVX2 with FMA");
        }
        are_as_emulated::<{ avx2::LANES }, avx2::Vector, Doubles>();
        is_the_field::<{ avx2::LANES }, avx2::Vector>();
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn lanes_of_avx512ifma_are_as_emulated() {
        use super::super::ifma;
        if !ifma::is_present() {
            return println!("skipped: this processor has no AVX-512 IFMA");
        }
        are_as_emulated::<{ ifma::LANES }, ifma::Vector, Integers>();
        multiplies_and_adds_as_emulated::<{ ifma::LANES }, ifma::Vector, Integers>();
        is_the_field::<{ ifma::LANES }, ifma::Vector>();
    }
}
