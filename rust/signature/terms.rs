//! What is summed for one signature: a multiple of the base point and one of its key.

use super::lanes::{Lanes, from_bytes};
use super::steps::Steps;
use super::table::Table;

/// `[s]B` and `[k]A`, from tables of both points; scalars are little endian, below `2^253`.
#[derive(Clone, Copy)]
pub struct Terms<'a, const BASE_WIDTH: usize, const KEY_WIDTH: usize> {
    pub base: &'a Table<BASE_WIDTH>,
    pub s: &'a [u8; 32],
    pub key: &'a Table<KEY_WIDTH>,
    pub k: &'a [u8; 32],
}

impl<'a, const BASE_WIDTH: usize, const KEY_WIDTH: usize> Terms<'a, BASE_WIDTH, KEY_WIDTH> {
    /// Write all steps of this sum.
    pub fn write_steps(&self, steps: &mut Steps<'a>) {
        self.base.write_steps(self.s, steps);
        self.key.write_steps(self.k, steps);
    }

    /// Write all steps of one sum a lane.
    #[inline(always)]
    pub fn write_rows<const N: usize, L: Lanes<N>>(terms: [&Self; N], steps: &mut Steps<'a>) {
        let (mut base, mut s) = ([terms[0].base; N], [terms[0].s; N]);
        let (mut key, mut k) = ([terms[0].key; N], [terms[0].k; N]);
        for lane in 0..N {
            (base[lane], s[lane]) = (terms[lane].base, terms[lane].s);
            (key[lane], k[lane]) = (terms[lane].key, terms[lane].k);
        }
        Table::write_rows::<N, L>(base, &from_bytes(s), steps);
        Table::write_rows::<N, L>(key, &from_bytes(k), steps);
    }
}
