//! Sum points and hash messages with the fastest instructions that the processor has.

use std::sync::LazyLock;

use super::point::{self, Addend, BASE, Point, encode};
use super::steps::{Row, Steps};

#[cfg(target_arch = "x86_64")]
use super::{avx2, ifma};
use super::{sha512, single};

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
    pub fn available() -> impl DoubleEndedIterator<Item = Self> {
        static TRIED: LazyLock<Vec<Kernel>> = LazyLock::new(|| {
            let trial = Kernel::Portable.trial();
            let agrees = |kernel: &Kernel| kernel.is_present() && kernel.trial() == trial;
            Kernel::ALL.into_iter().filter(agrees).collect()
        });
        TRIED.iter().copied()
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
    fn trial(self) -> (Vec<[u8; 32]>, Vec<[u8; 64]>) {
        let base = Point::decode(&BASE).expect("the base point");
        let multiples = self.multiples(&point::addends(&[base, base.negated()]), 5);
        let mut points = self.sums(13, |at, steps| {
            let step = |place: usize| (&multiples[place * at % 10], (place * at).is_multiple_of(3));
            steps.extend((1..12).map(step));
        });
        points.extend(multiples.iter().map(|addend| Point::IDENTITY.plus(addend, false)));
        let text: Vec<u8> = (0..200).collect();
        let message = |at: usize| [&BASE[..], &text[at..], &text[..at]];
        (encode(&points), self.hashes(&(0..17).map(message).collect::<Vec<_>>()))
    }

    /// The SHA-512 hashes of messages in three parts.
    pub(super) fn hashes(self, messages: &[[&[u8]; 3]]) -> Vec<[u8; 64]> {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => hashes_side_by_side(messages, avx2::sha512),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Ifma => hashes_side_by_side(messages, ifma::sha512),
            _ => messages.iter().map(single::hash).collect(),
        }
    }

    /// The first multiples of each addend, the lowest first, addend by addend.
    pub(super) fn multiples(self, bases: &[Addend], count: usize) -> Vec<Addend> {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => multiples_side_by_side(bases, count, avx2::multiples),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Ifma => multiples_side_by_side(bases, count, ifma::multiples),
            _ => point::multiples(bases, count),
        }
    }

    /// The sums of as many sequences of steps, each of which is written when its turn comes.
    pub(super) fn sums<'a>(
        self,
        count: usize,
        write: impl Fn(usize, &mut Steps<'a>),
    ) -> Vec<Point> {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => side_by_side(count, write, avx2::sum),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Ifma => side_by_side(count, write, ifma::sum),
            _ => one_by_one(count, write),
        }
    }
}

/// The hashes, `N` at a time where as many messages that follow each other take as many blocks.
fn hashes_side_by_side<const N: usize>(
    messages: &[[&[u8]; 3]],
    sha512: impl Fn([&[u8]; N]) -> [[u8; 64]; N],
) -> Vec<[u8; 64]> {
    let mut hashes = Vec::with_capacity(messages.len());
    let mut padded: [Vec<u8>; N] = std::array::from_fn(|_| Vec::new());
    for group in messages.chunks(N) {
        for (parts, padded) in group.iter().zip(&mut padded) {
            sha512::pad(parts, padded);
        }
        if group.len() == N && padded.iter().all(|other| other.len() == padded[0].len()) {
            hashes.extend(sha512(padded.each_ref().map(Vec::as_slice)));
        } else {
            hashes.extend(group.iter().map(single::hash));
        }
    }
    hashes
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
    use super::super::point::NOTHING;
    use super::super::sum;
    use super::super::table::Table;
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
        let narrow = Table::<3>::new(Kernel::Portable, &point.negated());
        let wide = Table::<6>::new(Kernel::Portable, &point);
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
