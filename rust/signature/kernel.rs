//! Sum points and hash messages with the fastest instructions that the processor has.

use std::sync::OnceLock;

#[cfg(target_arch = "x86_64")]
use curve25519_dalek::scalar::Scalar;

use super::buckets::Buckets;
use super::coefficient::Coefficient;
use super::point::{self, Addend, BASE, Point, encode};
use super::sha512;
use super::single::challenge;
use super::steps::{Row, Steps};
use super::table::Table;
use super::terms::Terms;

#[cfg(target_arch = "x86_64")]
use super::{avx2, ifma};
use crate::once::once;

/// What points are summed with, the fastest last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    Portable,
    Avx2,
    Avx512Ifma,
}

impl Kernel {
    const ALL: [Self; 3] = [Self::Portable, Self::Avx2, Self::Avx512Ifma];

    /// The fastest one that this processor has.
    pub fn detected() -> Self {
        Self::available().last().expect("one is portable")
    }

    /// Those that this processor has, the fastest last. Each is first tried once in a process: one
    /// that does not compute what the portable one does is not used.
    ///
    /// What is tried has narrower digits than what runs later, for wide tables take long to make.
    /// Where only that computed another point, signatures would be doubtful, and the rule decides.
    /// Buckets are not tried either: an equation with another point in it would not hold, and
    /// signatures are then summed one by one.
    pub fn available() -> impl DoubleEndedIterator<Item = Self> {
        static TRIED: OnceLock<Vec<Kernel>> = OnceLock::new();
        let tried = once(&TRIED, || {
            let trial = Kernel::Portable.trial();
            let agrees = |kernel: &Kernel| kernel.is_present() && kernel.trial() == trial;
            let others = Kernel::ALL[1..].iter().copied().filter(agrees);
            std::iter::once(Kernel::Portable).chain(others).collect()
        });
        tried.iter().copied()
    }

    /// Signatures that are worth waking another thread for: with AVX-512 IFMA that takes as long as
    /// to verify some fifty, and as long as fewer where each takes longer.
    pub const fn share(self) -> usize {
        match self {
            Self::Avx512Ifma => 64,
            Self::Avx2 | Self::Portable => 32,
        }
    }

    /// As many threads as have a share of the signatures, up to as many as there are. That is asked
    /// only where more than one has a share: the answer starts them, and a fork meanwhile would
    /// find them half begun.
    pub(super) fn threads(self, signatures: usize, most: fn() -> usize) -> usize {
        match signatures / self.share() {
            ..=1 => 1,
            shares => shares.min(most()),
        }
    }

    fn is_present(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => avx2::is_present(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Ifma => ifma::is_present(),
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512Ifma => "avx512ifma",
        }
    }

    /// The kernel of that name, where this processor has it.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::available().find(|kernel| kernel.name() == name)
    }

    /// Encoded sums and multiples, and hashes: lanes are filled, shared and left empty.
    fn trial(self) -> [Vec<[u8; 32]>; 3] {
        let point = Point::decode(&BASE).expect("the base point");
        let (base, key) = (self.table::<5>(&point), self.table::<4>(&point.negated()));
        let text: Vec<u8> = (0..200).collect();
        let message = |at: usize| [&BASE[..], &text[at..], &text[..at]];
        let challenges = self.challenges(&(0..19).map(message).collect::<Vec<_>>());
        let terms: Vec<_> = challenges
            .windows(2)
            .map(|two| Terms { base: &base, s: &two[0], key: &key, k: &two[1] })
            .collect();
        let few = [1, 2, 3, 5].into_iter().flat_map(|count| self.encodings(&terms[..count]));
        [few.collect(), self.encodings(&terms), challenges]
    }

    /// The SHA-512 hashes of messages in three parts, modulo the group order.
    pub(super) fn challenges(self, messages: &[[&[u8]; 3]]) -> Vec<[u8; 32]> {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => {
                let challenges = |padded: [&[u8]; avx2::LANES]| {
                    let reduced = |hash| Scalar::from_bytes_mod_order_wide(&hash).to_bytes();
                    avx2::sha512(padded).map(reduced)
                };
                challenges_side_by_side(messages, challenges)
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Ifma => challenges_side_by_side(messages, ifma::challenges),
            _ => messages.iter().map(|parts| challenge(parts).to_bytes()).collect(),
        }
    }

    /// What multiples of the point are summed from.
    pub(super) fn table<const WIDTH: usize>(self, point: &Point) -> Table<WIDTH> {
        Table::new(point, |bases, count| self.multiples(bases, count))
    }

    /// The first multiples of each addend, the lowest first, addend by addend.
    fn multiples(self, bases: &[Addend], count: usize) -> Vec<Addend> {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => multiples_side_by_side(bases, count, avx2::multiples),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Ifma => multiples_side_by_side(bases, count, ifma::multiples),
            _ => point::multiples(bases, count),
        }
    }

    /// Where many points are summed, each times a coefficient of its own; the portable kernel is no
    /// faster so than by tables.
    pub(super) fn buckets(self) -> Option<Buckets> {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => Some(avx2::buckets()),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Ifma => Some(ifma::buckets()),
            _ => None,
        }
    }

    /// Add the point of each encoding, times its coefficient; and whether each is of a point.
    pub(super) fn add(
        self,
        buckets: &mut Buckets,
        encodings: &[&[u8; 32]],
        coefficients: &[Coefficient],
    ) -> Vec<bool> {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => avx2::add(buckets, encodings, coefficients),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Ifma => ifma::add(buckets, encodings, coefficients),
            _ => unreachable!("the kernel has no buckets"),
        }
    }

    /// The sum of what is in the buckets at each place, the lowest first.
    pub(super) fn totals(self, buckets: &Buckets) -> Vec<Point> {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => avx2::totals(buckets),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Ifma => ifma::totals(buckets),
            _ => unreachable!("the kernel has no buckets"),
        }
    }

    /// The sums of a multiple of the base point and one of a key each.
    pub(super) fn sums<const BASE_WIDTH: usize, const KEY_WIDTH: usize>(
        self,
        terms: &[Terms<BASE_WIDTH, KEY_WIDTH>],
    ) -> Vec<Point> {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => side_by_side(terms.len(), |at, s| terms[at].write_steps(s), avx2::sum),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Ifma => {
                side_by_side(terms.len(), |at, steps| terms[at].write_steps(steps), ifma::sum)
            }
            _ => one_by_one(terms.len(), |at, steps| terms[at].write_steps(steps)),
        }
    }

    /// The encoded sums of a multiple of the base point and one of a key each.
    pub(super) fn encodings<const BASE_WIDTH: usize, const KEY_WIDTH: usize>(
        self,
        terms: &[Terms<BASE_WIDTH, KEY_WIDTH>],
    ) -> Vec<[u8; 32]> {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => encodings_side_by_side(terms, avx2::encodings, avx2::sum),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Ifma => encodings_side_by_side(terms, ifma::encodings, ifma::sum),
            _ => encode(&one_by_one(terms.len(), |at, steps| terms[at].write_steps(steps))),
        }
    }
}

/// The hashes, `N` at a time where as many messages that follow each other take as many blocks.
fn challenges_side_by_side<const N: usize>(
    messages: &[[&[u8]; 3]],
    side_by_side: impl Fn([&[u8]; N]) -> [[u8; 32]; N],
) -> Vec<[u8; 32]> {
    let mut challenges = Vec::with_capacity(messages.len());
    let mut padded: [Vec<u8>; N] = std::array::from_fn(|_| Vec::with_capacity(2 * sha512::BLOCK));
    for group in messages.chunks(N) {
        for (parts, padded) in group.iter().zip(&mut padded) {
            sha512::pad(parts, padded);
        }
        if group.len() == N && padded.iter().all(|other| other.len() == padded[0].len()) {
            challenges.extend(side_by_side(padded.each_ref().map(Vec::as_slice)));
        } else {
            challenges.extend(group.iter().map(|parts| challenge(parts).to_bytes()));
        }
    }
    challenges
}

/// The encodings, `N` at a time; few that are left over share the lanes, which is sooner done.
fn encodings_side_by_side<const N: usize, const BASE_WIDTH: usize, const KEY_WIDTH: usize>(
    terms: &[Terms<BASE_WIDTH, KEY_WIDTH>],
    encodings: impl Fn(&[Terms<BASE_WIDTH, KEY_WIDTH>]) -> Vec<[u8; 32]>,
    sum: impl Fn(&Steps) -> [Point; N],
) -> Vec<[u8; 32]> {
    let rest = terms.len() % N;
    let (whole, rest) = terms.split_at(if rest > N / 2 { terms.len() } else { terms.len() - rest });
    let mut all = if whole.is_empty() { Vec::new() } else { encodings(whole) };
    if !rest.is_empty() {
        all.extend(encode(&side_by_side(rest.len(), |at, steps| rest[at].write_steps(steps), sum)));
    }
    all
}

/// The multiples, those of `N` addends at a time.
fn multiples_side_by_side<const N: usize>(
    bases: &[Addend],
    count: usize,
    multiples: impl Fn([&Addend; N], usize) -> Vec<[Addend; N]>,
) -> Vec<Addend> {
    let mut all = Vec::with_capacity(bases.len() * count);
    for group in bases.chunks(N) {
        let rows =
            multiples(std::array::from_fn(|lane| group.get(lane).unwrap_or(&group[0])), count);
        for lane in 0..group.len() {
            all.extend(rows.iter().map(|row| row[lane]));
        }
    }
    all
}

/// The sums, one after the other.
fn one_by_one<'a>(count: usize, write: impl Fn(usize, &mut Steps<'a>)) -> Vec<Point> {
    let mut steps = Steps::new(1);
    let mut sum = |at: usize| {
        steps.clear(1);
        steps.turn_to(0);
        write(at, &mut steps);
        let plus = |sum: Point, row: Row<1>| sum.plus(row.addends[0], row.opposite[0] != 0);
        steps.rows().fold(Point::IDENTITY, plus)
    };
    (0..count).map(&mut sum).collect()
}

/// The sums, `N` at a time. Where there are fewer, the steps of each are dealt to several lanes.
fn side_by_side<'a, const N: usize>(
    count: usize,
    write: impl Fn(usize, &mut Steps<'a>),
    sum: impl Fn(&Steps<'a>) -> [Point; N],
) -> Vec<Point> {
    let mut sums = Vec::with_capacity(count);
    let mut steps = Steps::new(N);
    while sums.len() < count {
        let together = N.min(count - sums.len());
        let shares = N / together;
        steps.clear(shares);
        for at in 0..together {
            steps.turn_to(at);
            write(sums.len() + at, &mut steps);
        }
        let summed = sum(&steps);
        let whole = |parts: &[Point]| parts[1..].iter().fold(parts[0], |sum, part| sum.add(part));
        sums.extend(summed.chunks_exact(shares).take(together).map(whole));
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::super::emulated::{Doubles, Integers};
    use super::super::encoding;
    use super::super::point::NOTHING;
    use super::super::sum;
    use super::*;

    /// A scalar of each number, below `2^253`.
    fn scalar(number: usize) -> [u8; 32] {
        let mut scalar = *blake3::hash(&number.to_le_bytes()).as_bytes();
        scalar[31] &= 0x1f;
        scalar
    }

    /// The steps of two scalars.
    fn steps_from<'a>(wide: &'a Table<6>, narrow: &'a Table<3>) -> impl Fn(usize, &mut Steps<'a>) {
        |at, steps| {
            wide.write_steps(&scalar(at), steps);
            narrow.write_steps(&scalar(at + 1000), steps);
        }
    }

    /// Sums of `count` scalars' steps, each scalar times the base point and times another one.
    fn judged<const N: usize>(count: usize, sum: impl Fn(&Steps) -> [Point; N]) {
        let point = Point::decode(&BASE).expect("the base point");
        let narrow = Kernel::Portable.table::<3>(&point.negated());
        let wide = Kernel::Portable.table::<6>(&point);
        let write = steps_from(&wide, &narrow);
        let one_by_one = one_by_one(count, &write);
        let sums = side_by_side(count, &write, sum);
        assert_eq!(encode(&sums), encode(&one_by_one), "{count} sums in {N} lanes");
    }

    /// Lanes that are filled, shared out and left empty; also of a processor that is not here.
    #[test]
    fn sums_side_by_side_are_those_one_by_one() {
        for count in [0, 1, 2, 3, 4, 5, 7, 8, 9, 12, 17] {
            judged(count, sum::sum::<8, Integers>);
            judged(count, sum::sum::<4, Doubles>);
            #[cfg(target_arch = "x86_64")]
            if avx2::is_present() {
                judged(count, avx2::sum);
            }
            #[cfg(target_arch = "x86_64")]
            if ifma::is_present() {
                judged(count, ifma::sum);
            }
        }
    }

    /// Encoded sums of `count` signatures' terms.
    fn encodings_are<const N: usize>(
        count: usize,
        encodings: impl Fn(&[Terms<7, 6>]) -> Vec<[u8; 32]>,
        sum: impl Fn(&Steps) -> [Point; N],
    ) {
        let point = Point::decode(&BASE).expect("the base point");
        let base = Kernel::Portable.table::<7>(&point);
        let keys = [point.negated(), point.doubled(), Point::IDENTITY]
            .map(|point| Kernel::Portable.table::<6>(&point));
        let scalars: Vec<[u8; 32]> = (0..2 * count).map(scalar).collect();
        let terms = |at: usize| Terms {
            base: &base,
            s: &scalars[2 * at],
            key: &keys[at % 3],
            k: &scalars[2 * at + 1],
        };
        let terms: Vec<_> = (0..count).map(terms).collect();
        let want = Kernel::Portable.encodings(&terms);
        assert_eq!(encodings_side_by_side(&terms, encodings, sum), want, "{count} in {N} lanes");
    }

    #[test]
    fn encodings_side_by_side_are_those_one_by_one() {
        for count in [0, 1, 2, 3, 4, 5, 7, 8, 9, 12, 13, 17, 40] {
            encodings_are(count, encoding::encodings::<8, 7, 6, Integers>, sum::sum::<8, Integers>);
            encodings_are(count, encoding::encodings::<4, 7, 6, Doubles>, sum::sum::<4, Doubles>);
            #[cfg(target_arch = "x86_64")]
            if avx2::is_present() {
                encodings_are(count, avx2::encodings, avx2::sum);
            }
            #[cfg(target_arch = "x86_64")]
            if ifma::is_present() {
                encodings_are(count, ifma::encodings, ifma::sum);
            }
        }
    }

    /// The multiples of an addend, each as the encoding of the point that it adds.
    fn multiples_are<const N: usize>(
        bases: &[Addend],
        multiples: impl Fn([&Addend; N], usize) -> Vec<[Addend; N]>,
    ) {
        let added = |addends: Vec<Addend>| {
            let point = |addend: &Addend| Point::IDENTITY.plus(addend, false).plus(addend, true);
            let once = |addend: &Addend| Point::IDENTITY.plus(addend, false);
            assert!(
                encode(&addends.iter().map(point).collect::<Vec<_>>())
                    .iter()
                    .all(|zero| { *zero == encode(&[Point::IDENTITY])[0] })
            );
            encode(&addends.iter().map(once).collect::<Vec<_>>())
        };
        let want = added(point::multiples(bases, 5));
        assert_eq!(added(multiples_side_by_side(bases, 5, multiples)), want, "{N} lanes");
    }

    #[test]
    fn multiples_side_by_side_are_those_one_by_one() {
        let point = Point::decode(&BASE).expect("the base point");
        // Ten addends leave lanes empty, and one adds nothing.
        let mut bases = Kernel::Portable.multiples(&point::addends(&[point]), 9);
        bases.push(NOTHING);
        multiples_are(&bases, sum::multiples::<8, Integers>);
        multiples_are(&bases, sum::multiples::<4, Doubles>);
        #[cfg(target_arch = "x86_64")]
        if avx2::is_present() {
            multiples_are(&bases, avx2::multiples);
        }
        #[cfg(target_arch = "x86_64")]
        if ifma::is_present() {
            multiples_are(&bases, ifma::multiples);
        }
    }

    #[test]
    fn kernels_are_named() {
        assert_eq!(Kernel::available().next(), Some(Kernel::Portable));
        assert_eq!(Kernel::from_name("portable"), Some(Kernel::Portable));
        assert_eq!(Kernel::from_name(Kernel::detected().name()), Some(Kernel::detected()));
        assert_eq!(Kernel::from_name("sse2"), None);
    }
}
