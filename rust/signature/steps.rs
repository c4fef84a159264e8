//! Write the steps of sums that run side by side, one sum in each lane.

use super::point::{Addend, NOTHING};

/// An addend, and whether it is to be taken away.
pub type Step<'a> = (&'a Addend, bool);

/// A row of steps after the other, of which each has one for every lane.
///
/// Rows are written well before they are read: what is stored piece by piece and loaded as one
/// vector at once makes a processor wait.
pub struct Steps<'a> {
    width: usize,
    addends: Vec<&'a Addend>,
    opposite: Vec<u64>,
    /// How many lanes share the steps of one sum, and the first of these that are written now.
    shares: usize,
    lane: usize,
    written: usize,
}

/// What all lanes add in one step.
#[derive(Clone, Copy)]
pub struct Row<'a, const N: usize> {
    pub addends: &'a [&'a Addend; N],
    /// All bits of a lane whose addend is to be taken away.
    pub opposite: &'a [u64; N],
}

impl<'a> Steps<'a> {
    /// No rows yet, of as many lanes.
    pub fn new(width: usize) -> Self {
        let (addends, opposite) = (Vec::new(), Vec::new());
        Self { width, addends, opposite, shares: 1, lane: 0, written: 0 }
    }

    /// Begin new sums, of whose steps each takes as many lanes.
    pub fn clear(&mut self, shares: usize) {
        self.shares = shares;
        self.addends.fill(&NOTHING);
        self.opposite.fill(0);
    }

    /// Write the steps of this sum next.
    pub fn turn_to(&mut self, sum: usize) {
        self.lane = sum * self.shares;
        self.written = 0;
    }

    /// Write the next steps; where lanes share a sum, they take turns.
    #[inline(always)]
    pub fn extend(&mut self, steps: impl ExactSizeIterator<Item = Step<'a>>) {
        let (mut row, mut share) = (self.written / self.shares, self.written % self.shares);
        self.written += steps.len();
        let lanes = self.written.div_ceil(self.shares) * self.width;
        if lanes > self.addends.len() {
            self.addends.resize(lanes, &NOTHING);
            self.opposite.resize(lanes, 0);
        }
        for (addend, negative) in steps {
            let at = row * self.width + self.lane + share;
            self.addends[at] = addend;
            self.opposite[at] = 0_u64.wrapping_sub(u64::from(negative));
            share += 1;
            if share == self.shares {
                (row, share) = (row + 1, 0);
            }
        }
    }

    /// Begin new sums, whose steps are written row by row.
    pub fn clear_rows(&mut self) {
        self.addends.clear();
        self.opposite.clear();
    }

    /// Write one step of every lane.
    #[inline(always)]
    pub fn push<const N: usize>(&mut self, addends: &[&'a Addend; N], opposite: &[u64; N]) {
        self.addends.extend_from_slice(addends);
        self.opposite.extend_from_slice(opposite);
    }

    /// The rows, of `N` lanes as they were begun with.
    pub fn rows<const N: usize>(&self) -> impl ExactSizeIterator<Item = Row<'_, N>> + Clone {
        let (addends, opposite) = (self.addends.as_chunks(), self.opposite.as_chunks());
        addends.0.iter().zip(opposite.0).map(|(addends, opposite)| Row { addends, opposite })
    }
}
