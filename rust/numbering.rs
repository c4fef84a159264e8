//! Number the distinct keys of a batch, in the order in which they come.

use std::collections::HashMap;

use crate::key::PublicKey;

/// Signers take turns, or go on: the key behind another one is mostly the one that stood there
/// before, and two keys are compared sooner than one is hashed.
#[derive(Default)]
pub struct Numbering<'a> {
    keys: Vec<&'a PublicKey>,
    numbers: HashMap<&'a PublicKey, usize>,
    /// The number that came after each one, the last time.
    after: Vec<usize>,
    last: usize,
}

impl<'a> Numbering<'a> {
    /// The key's number: that of the first time, or how many there were before it.
    pub fn number(&mut self, key: &'a PublicKey) -> usize {
        let expected = self.after.get(self.last).copied().unwrap_or_default();
        let number = match self.keys.get(expected) {
            Some(known) if *known == key => expected,
            _ => self.look_up(key),
        };
        if let Some(after) = self.after.get_mut(self.last) {
            *after = number;
        }
        self.last = number;
        number
    }

    fn look_up(&mut self, key: &'a PublicKey) -> usize {
        *self.numbers.entry(key).or_insert_with(|| {
            self.keys.push(key);
            self.after.push(0);
            self.keys.len() - 1
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_one_number_wherever_it_stands() {
        let keys: Vec<PublicKey> = (0..5).map(|at| [at; 32]).collect();
        for order in ["0", "00000", "012012012", "0011220", "01021304", "0120210201", "01234432100"]
        {
            let (mut numbering, mut seen) = (Numbering::default(), Vec::new());
            for letter in order.bytes() {
                let key = &keys[usize::from(letter - b'0')];
                let want = seen.iter().position(|other| *other == key).unwrap_or(seen.len());
                if want == seen.len() {
                    seen.push(key);
                }
                assert_eq!(numbering.number(key), want, "{order}");
            }
        }
    }
}
