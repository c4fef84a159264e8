//! Read and write canonical MessagePack: one value, one encoding.
//!
//! Arrays, strings, byte strings, integers, booleans and nil, each in its shortest form; maps only
//! with string keys in strictly ascending byte order; text in Unicode normal form C. No floats and
//! no extension types. Nothing may follow the end.
//!
//! `["a", 300]` is `92 a1 61 cd 01 2c`.

use unicode_normalization::is_nfc;

use crate::error::{Result, at_most, malformed};
use crate::limits;

/// Read values from untrusted bytes, front to back.
pub struct Reader<'a> {
    left: &'a [u8],
    count: usize,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { left: bytes, count: bytes.len() }
    }

    /// How many bytes have been read.
    pub fn position(&self) -> usize {
        self.count - self.left.len()
    }

    /// Refuse anything that is left over.
    pub fn finish(self) -> Result<()> {
        match self.left.len() {
            0 => Ok(()),
            left => malformed(format!("{left} bytes follow the end of the value")),
        }
    }

    #[inline]
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let Some((taken, left)) = self.left.split_at_checked(count) else {
            return self.ends_early(count);
        };
        self.left = left;
        Ok(taken)
    }

    #[inline]
    fn take_array<const N: usize>(&mut self) -> Result<&'a [u8; N]> {
        let Some((taken, left)) = self.left.split_first_chunk() else {
            return self.ends_early(N);
        };
        self.left = left;
        Ok(taken)
    }

    #[cold]
    fn ends_early<T>(&self, count: usize) -> Result<T> {
        let left = self.left.len();
        malformed(format!("value ends early: {left} bytes left, want {count}"))
    }

    #[inline]
    fn byte(&mut self) -> Result<u8> {
        let [byte] = self.take_array()?;
        Ok(*byte)
    }

    fn peek(&self) -> Option<u8> {
        self.left.first().copied()
    }

    /// A big-endian integer of `WIDTH` bytes that must need more than `below` to be told.
    #[inline]
    fn length<const WIDTH: usize>(&mut self, below: u64) -> Result<u64> {
        let mut bytes = [0; 8];
        bytes[8 - WIDTH..].copy_from_slice(self.take_array::<WIDTH>()?);
        let value = u64::from_be_bytes(bytes);
        if value < below {
            return malformed(format!("{value} is not in its shortest form"));
        }
        Ok(value)
    }

    /// The number of items of an array.
    #[inline]
    pub fn array(&mut self) -> Result<usize> {
        let count = match self.byte()? {
            marker @ 0x90..=0x9f => u64::from(marker & 0x0f),
            0xdc => self.length::<2>(16)?,
            0xdd => self.length::<4>(1 << 16)?,
            marker => return malformed(format!("marker is {marker:#04x}, want an array")),
        };
        Ok(count as usize)
    }

    /// An array of exactly `count` items.
    #[inline]
    pub fn array_of(&mut self, what: &str, count: usize) -> Result<()> {
        match self.array()? {
            got if got == count => Ok(()),
            got => malformed(format!("{what} has {got} items, want {count}")),
        }
    }

    #[inline]
    pub fn uint(&mut self) -> Result<u64> {
        match self.byte()? {
            marker @ 0..=0x7f => Ok(u64::from(marker)),
            0xcc => self.length::<1>(1 << 7),
            0xcd => self.length::<2>(1 << 8),
            0xce => self.length::<4>(1 << 16),
            0xcf => self.length::<8>(1 << 32),
            marker => malformed(format!("marker is {marker:#04x}, want an unsigned integer")),
        }
    }

    /// A byte string of at most `limit` bytes.
    #[inline]
    pub fn bin(&mut self, what: &'static str, limit: usize) -> Result<&'a [u8]> {
        let count = match self.byte()? {
            0xc4 => self.length::<1>(0)?,
            0xc5 => self.length::<2>(1 << 8)?,
            0xc6 => self.length::<4>(1 << 16)?,
            marker => return malformed(format!("marker is {marker:#04x}, want a byte string")),
        };
        at_most(what, count as usize, limit)?;
        self.take(count as usize)
    }

    /// A byte string of exactly `N` bytes.
    #[inline]
    pub fn bin_of<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N]> {
        const { assert!(N <= 0xff) };
        // Of what is well formed it is the only form.
        if let Some(rest) = self.left.strip_prefix(&[0xc4, N as u8])
            && let Some((array, left)) = rest.split_first_chunk()
        {
            self.left = left;
            return Ok(*array);
        }
        let bytes = self.bin(what, N)?;
        match bytes.try_into() {
            Ok(array) => Ok(array),
            Err(_) => malformed(format!("{what} has {} bytes, want {N}", bytes.len())),
        }
    }

    /// Text of at most `limit` bytes, in normal form C.
    #[inline]
    pub fn text(&mut self, what: &'static str, limit: usize) -> Result<&'a str> {
        let count = match self.byte()? {
            marker @ 0xa0..=0xbf => u64::from(marker & 0x1f),
            0xd9 => self.length::<1>(1 << 5)?,
            0xda => self.length::<2>(1 << 8)?,
            0xdb => self.length::<4>(1 << 16)?,
            marker => return malformed(format!("marker is {marker:#04x}, want text")),
        };
        at_most(what, count as usize, limit)?;
        let Ok(text) = std::str::from_utf8(self.take(count as usize)?) else {
            return malformed(format!("{what} is not UTF-8"));
        };
        if !text.is_ascii() && !is_nfc(text) {
            return malformed(format!("{what} is not in normal form C"));
        }
        Ok(text)
    }

    /// Whether the next value is nil; reads it if so.
    pub fn nil(&mut self) -> bool {
        let is_nil = self.peek() == Some(0xc0);
        self.left = &self.left[usize::from(is_nil)..];
        is_nil
    }

    /// Read any one value and hold it to the canonical form.
    pub fn skip(&mut self) -> Result<()> {
        // The counts of values still to come in each open container: a fixed array, so that
        // nesting costs the sender bytes and the reader nothing.
        let mut open = [0_u64; limits::DEPTH + 1];
        let mut depth = 0;
        open[0] = 1;
        loop {
            while open[depth] == 0 {
                if depth == 0 {
                    return Ok(());
                }
                depth -= 1;
            }
            open[depth] -= 1;
            let Some(marker) = self.peek() else {
                return malformed("value ends early: 0 bytes left, want 1");
            };
            match marker {
                0xc0 | 0xc2 | 0xc3 | 0xe0..=0xff => drop(self.byte()?),
                0..=0x7f | 0xcc..=0xcf => drop(self.uint()?),
                0xd0..=0xd3 => self.negative()?,
                0xc4..=0xc6 => drop(self.bin("byte string", limits::RECORD_BYTES)?),
                0xa0..=0xbf | 0xd9..=0xdb => drop(self.text("text", limits::RECORD_BYTES)?),
                0x90..=0x9f | 0xdc | 0xdd => {
                    let count = self.array()? as u64;
                    depth = self.open(&mut open, depth, count)?;
                }
                0x80..=0x8f | 0xde | 0xdf => {
                    self.map()?;
                }
                0xc7..=0xc9 | 0xd4..=0xd8 => {
                    return malformed("extension types have no canonical form here");
                }
                0xca | 0xcb => return malformed("floats have no canonical form here"),
                0xc1 => return malformed("marker is 0xc1, which nothing uses"),
            }
        }
    }

    fn open(&self, open: &mut [u64; limits::DEPTH + 1], depth: usize, count: u64) -> Result<usize> {
        at_most("nesting", depth + 1, limits::DEPTH)?;
        open[depth + 1] = count;
        Ok(depth + 1)
    }

    /// A map at the top of what `skip` reads: keys ascend, values are scalars.
    fn map(&mut self) -> Result<()> {
        let count = match self.byte()? {
            marker @ 0x80..=0x8f => u64::from(marker & 0x0f),
            0xde => self.length::<2>(16)?,
            _ => self.length::<4>(1 << 16)?,
        };
        let mut last: Option<&str> = None;
        for _ in 0..count {
            let key = self.text("map key", limits::RECORD_BYTES)?;
            if last.is_some_and(|last| last >= key) {
                return malformed("map keys are not in ascending order");
            }
            last = Some(key);
            match self.peek() {
                Some(0x80..=0x9f | 0xdc..=0xdf) => return malformed("a map holds only scalars"),
                _ => self.skip()?,
            }
        }
        Ok(())
    }

    fn negative(&mut self) -> Result<()> {
        let width = 1 << (self.byte()? - 0xd0);
        let bytes = self.take(width)?;
        let fill = if bytes[0] & 0x80 == 0 { 0 } else { u64::MAX };
        let value = bytes.iter().fold(fill, |sum, byte| sum << 8 | u64::from(*byte)) as i64;
        let fits_half = match width {
            1 => value >= -32,
            2 => value >= i64::from(i8::MIN),
            4 => value >= i64::from(i16::MIN),
            _ => value >= i64::from(i32::MIN),
        };
        if fits_half {
            return malformed(format!("{value} is not in its shortest form"));
        }
        Ok(())
    }
}

/// Accept exactly one canonical value.
pub fn check_canonical(bytes: &[u8]) -> Result<()> {
    at_most("value bytes", bytes.len(), limits::RECORD_BYTES)?;
    let mut reader = Reader::new(bytes);
    reader.skip()?;
    reader.finish()
}

/// Write values in their canonical form.
#[derive(Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub fn with_capacity(capacity: usize) -> Self {
        Self { bytes: Vec::with_capacity(capacity) }
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn sized(&mut self, count: usize, markers: [u8; 3]) {
        match count {
            0..=0xff => self.bytes.extend([markers[0], count as u8]),
            0x100..=0xffff => {
                self.bytes.push(markers[1]);
                self.bytes.extend((count as u16).to_be_bytes());
            }
            _ => {
                self.bytes.push(markers[2]);
                self.bytes.extend((count as u32).to_be_bytes());
            }
        }
    }

    pub fn array(&mut self, count: usize) {
        match count {
            0..=15 => self.bytes.push(0x90 | count as u8),
            16..=0xffff => {
                self.bytes.push(0xdc);
                self.bytes.extend((count as u16).to_be_bytes());
            }
            _ => {
                self.bytes.push(0xdd);
                self.bytes.extend((count as u32).to_be_bytes());
            }
        }
    }

    pub fn uint(&mut self, value: u64) {
        match value {
            0..=0x7f => self.bytes.push(value as u8),
            0x80..=0xff => self.bytes.extend([0xcc, value as u8]),
            0x100..=0xffff => {
                self.bytes.push(0xcd);
                self.bytes.extend((value as u16).to_be_bytes());
            }
            0x1_0000..=0xffff_ffff => {
                self.bytes.push(0xce);
                self.bytes.extend((value as u32).to_be_bytes());
            }
            _ => {
                self.bytes.push(0xcf);
                self.bytes.extend(value.to_be_bytes());
            }
        }
    }

    pub fn bin(&mut self, value: &[u8]) {
        self.sized(value.len(), [0xc4, 0xc5, 0xc6]);
        self.bytes.extend_from_slice(value);
    }

    pub fn text(&mut self, value: &str) {
        match value.len() {
            count @ 0..=31 => self.bytes.push(0xa0 | count as u8),
            count => self.sized(count, [0xd9, 0xda, 0xdb]),
        }
        self.bytes.extend_from_slice(value.as_bytes());
    }

    pub fn nil(&mut self) {
        self.bytes.push(0xc0);
    }

    /// Bytes that are already canonical.
    pub fn raw(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_canonical() {
        let mut writer = Writer::default();
        writer.array(2);
        writer.text("a");
        writer.uint(300);
        let bytes = writer.into_bytes();

        assert_eq!(bytes, [0x92, 0xa1, 0x61, 0xcd, 0x01, 0x2c]);
        assert_eq!(check_canonical(&bytes), Ok(()));
    }

    #[test]
    fn hostile_values_are_refused() {
        let refused: [&[u8]; 18] = [
            b"",
            &[0xc1],
            &[0xcc, 0x7f],
            &[0xcd, 0, 0xff],
            &[0xd0, 0xe0],
            &[0xd1, 0xff, 0x80],
            &[0xd0, 5],
            &[0xdc, 0, 1, 0],
            &[0xdd, 0xff, 0xff, 0xff, 0xff],
            &[0xc6, 0xff, 0xff, 0xff, 0xff],
            &[0xd9, 1, 0x61],
            &[0xca, 0, 0, 0, 0],
            &[0xd4, 0, 0],
            &[0x82, 0xa1, 0x61, 0, 0xa1, 0x61, 0],
            &[0x82, 0xa1, 0x62, 0, 0xa1, 0x61, 0],
            &[0xa3, 0x65, 0xcc, 0x81],
            &[0, 0],
            &[0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0],
        ];
        for bytes in refused {
            assert!(check_canonical(bytes).is_err(), "{bytes:02x?}");
        }
    }

    #[test]
    fn negative_integers_have_one_form() {
        for (bytes, canonical) in [
            (&[0xff_u8][..], true),
            (&[0xe0], true),
            (&[0xd0, 0xdf], true),
            (&[0xd0, 0x80], true),
            (&[0xd1, 0xff, 0x7f], true),
            (&[0xd2, 0xff, 0xff, 0x80, 0x00], false),
            (&[0xd2, 0xff, 0xff, 0x7f, 0xff], true),
        ] {
            assert_eq!(check_canonical(bytes).is_ok(), canonical, "{bytes:02x?}");
        }
    }
}
