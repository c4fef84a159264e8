//! Sign text so that a person can read what was signed (C2SP signed-note, tlog-cosignature).
//!
//! A note is its text, an empty line, and signature lines:
//!
//! ```text
//! — tax.example/exchange Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
//! ```
//!
//! Lines of unknown signers are passed over. A line of a known key whose signature is wrong makes
//! the whole note invalid.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result, at_most, malformed};
use crate::key::{PublicKey, Signature, SigningKey};
use crate::limits;
use crate::signature::{self, Claim};

/// Seconds since 1970 that a cosignature may state at most (tlog-cosignature).
const TIME_LIMIT_S: u64 = i64::MAX as u64;

/// What a key signs, and the byte that C2SP knows it by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// Ed25519 over the text alone: an operator's (signed-note).
    Signature = 0x01,
    /// Ed25519 over the time and the text: a witness's (tlog-cosignature, cosignature/v1).
    Cosignature = 0x04,
}

/// The name of a key, or of what it signs for: printable, without spaces or plus signs, so that it
/// can stand in a line and before a plus sign.
pub fn check_name(what: &str, name: &str) -> Result<()> {
    at_most("name bytes", name.len(), limits::ORIGIN_BYTES)?;
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && c != '+';
    if name.is_empty() || !name.chars().all(plain) {
        return malformed(format!(
            "{what} is {name:?}, want a name without spaces, control characters or plus signs"
        ));
    }
    Ok(())
}

/// A parsed note: the text with its last newline, and the signature lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    pub text: String,
    lines: Vec<Line>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    name: String,
    key_id: [u8; 4],
    signature: Vec<u8>,
}

impl Note {
    /// A note that nobody has signed yet.
    pub fn new(text: String) -> Self {
        Self { text, lines: Vec::new() }
    }

    pub fn parse(note: &str) -> Result<Self> {
        at_most("note bytes", note.len(), limits::CHECKPOINT_BYTES)?;
        let Some((text, signatures)) = note.rsplit_once("\n\n") else {
            return malformed("note has no empty line before its signatures");
        };
        let Some(signatures) = signatures.strip_suffix('\n') else {
            return malformed(match signatures {
                "" => "note ends in an empty line, want its signatures there",
                _ => "note does not end in a newline",
            });
        };
        let lines = signatures.split('\n').map(Line::parse).collect::<Result<Vec<_>>>()?;
        at_most("signature lines", lines.len(), limits::CHECKPOINT_SIGNATURES)?;
        Ok(Self { text: format!("{text}\n"), lines })
    }

    pub fn format(&self) -> String {
        let lines: String = self.lines.iter().map(Line::format).collect();
        format!("{}\n{lines}", self.text)
    }

    /// Add a signature over the text.
    pub fn sign(&mut self, name: &str, key: &SigningKey) -> Result<()> {
        let signature = key.sign(self.text.as_bytes());
        self.attach(name, &key.public_key(), &signature)
    }

    /// Add a signature over the text that was made elsewhere; it is not checked.
    pub fn attach(&mut self, name: &str, key: &PublicKey, signature: &Signature) -> Result<()> {
        let id = key_id(name, Algorithm::Signature as u8, key);
        self.add(name, id, signature.to_vec())
    }

    /// Add a cosignature, which says when the signer saw the text.
    pub fn cosign(&mut self, name: &str, key: &SigningKey, time_s: u64) -> Result<()> {
        let signature = key.sign(&self.cosigned(time_s)?);
        self.attach_cosignature(name, &key.public_key(), time_s, &signature)
    }

    /// What a cosigner signs.
    pub fn cosigned(&self, time_s: u64) -> Result<Vec<u8>> {
        if time_s > TIME_LIMIT_S {
            return Err(Error::Limit { what: "cosigning time", got: time_s, limit: TIME_LIMIT_S });
        }
        Ok(cosigned(time_s, &self.text))
    }

    /// Add a cosignature that was made elsewhere; it is not checked.
    pub fn attach_cosignature(
        &mut self,
        name: &str,
        key: &PublicKey,
        time_s: u64,
        signature: &Signature,
    ) -> Result<()> {
        let body = [&time_s.to_be_bytes(), &signature[..]].concat();
        let id = key_id(name, Algorithm::Cosignature as u8, key);
        self.add(name, id, body)
    }

    /// Take over the newest cosignature of a key from a note over the same text.
    pub fn replace_cosignature(&mut self, name: &str, key: &PublicKey, from: &Self) -> Result<()> {
        let newest = from.lines_of(name, Algorithm::Cosignature, key).max_by_key(|line| {
            line.signature.first_chunk::<8>().map(|time| u64::from_be_bytes(*time))
        });
        let id = key_id(name, Algorithm::Cosignature as u8, key);
        self.lines.retain(|line| line.name != name || line.key_id != id);
        match newest {
            Some(line) => self.add(name, line.key_id, line.signature.clone()),
            None => Ok(()),
        }
    }

    fn add(&mut self, name: &str, key_id: [u8; 4], signature: Vec<u8>) -> Result<()> {
        check_name("signer", name)?;
        at_most("signature lines", self.lines.len() + 1, limits::CHECKPOINT_SIGNATURES)?;
        self.lines.push(Line { name: name.to_owned(), key_id, signature });
        Ok(())
    }

    /// Accept the signature of a key that must have signed the text.
    ///
    /// The thread that asks verifies it alone: a forked process, which has no others, may ask.
    pub fn verify(&self, name: &str, key: &PublicKey) -> Result<()> {
        for line in self.signed_by(name, key)? {
            let signature = line.signature_bytes(&line.signature)?;
            signature::verify(key, self.text.as_bytes(), &signature).map_err(|_| line.wrong())?;
        }
        Ok(())
    }

    /// The same with other claims in one go, which takes little longer; the error names those of
    /// them that do not hold, by their positions, or else the signer of the note.
    pub fn verify_with(&self, name: &str, key: &PublicKey, others: &[Claim]) -> Result<()> {
        let lines = self.signed_by(name, key)?;
        let signature = |line: &&Line| line.signature_bytes(&line.signature);
        let signatures = lines.iter().map(signature).collect::<Result<Vec<_>>>()?;
        let message = self.text.as_bytes();
        let own = signatures.iter().map(|signature| Claim { key, message, signature });
        let claims: Vec<Claim> = others.iter().copied().chain(own).collect();
        // Coefficients that a batch takes are bound to its claims, so that no seed has to be drawn.
        signature::verify_all(&claims, &[0; 32]).map_err(|error| match error {
            Error::Signature { mut indices, .. } if indices[0] < others.len() => {
                indices.retain(|index| *index < others.len());
                Error::Signature { indices, count: others.len() }
            }
            Error::Signature { indices, .. } => lines[indices[0] - others.len()].wrong(),
            other => other,
        })
    }

    /// The time at which a cosigner saw the text, if it cosigned; the newest where it did twice.
    pub fn verify_cosignature(&self, name: &str, key: &PublicKey) -> Result<Option<u64>> {
        let mut newest = None;
        for line in self.lines_of(name, Algorithm::Cosignature, key) {
            let Some((time, signature)) = line.signature.split_first_chunk::<8>() else {
                return Err(line.wrong());
            };
            let time_s = u64::from_be_bytes(*time);
            if time_s > TIME_LIMIT_S {
                return Err(line.wrong());
            }
            let signature = line.signature_bytes(signature)?;
            signature::verify(key, &cosigned(time_s, &self.text), &signature)
                .map_err(|_| line.wrong())?;
            newest = newest.max(Some(time_s));
        }
        Ok(newest)
    }

    /// The lines of a key that must have signed the text.
    fn signed_by(&self, name: &str, key: &PublicKey) -> Result<Vec<&Line>> {
        let lines: Vec<&Line> = self.lines_of(name, Algorithm::Signature, key).collect();
        if lines.is_empty() {
            return Err(Error::Untrusted(format!("note is not signed by {name}")));
        }
        Ok(lines)
    }

    fn lines_of(
        &self,
        name: &str,
        algorithm: Algorithm,
        key: &PublicKey,
    ) -> impl Iterator<Item = &Line> {
        let id = key_id(name, algorithm as u8, key);
        self.lines.iter().filter(move |line| line.name == name && line.key_id == id)
    }
}

impl Line {
    fn parse(line: &str) -> Result<Self> {
        let parse = || {
            let (name, body) = line.strip_prefix("— ")?.split_once(' ')?;
            check_name("signer", name).ok()?;
            let bytes = STANDARD.decode(body).ok()?;
            let (key_id, signature) = bytes.split_first_chunk::<4>()?;
            let (key_id, signature) = (*key_id, signature.to_vec());
            (!signature.is_empty()).then(|| Self { name: name.to_owned(), key_id, signature })
        };
        match parse() {
            Some(line) => Ok(line),
            None => malformed(format!("signature line is {line:?}, want a dash, name and base64")),
        }
    }

    fn format(&self) -> String {
        let body = [&self.key_id[..], &self.signature].concat();
        format!("— {} {}\n", self.name, STANDARD.encode(body))
    }

    fn signature_bytes(&self, bytes: &[u8]) -> Result<[u8; 64]> {
        bytes.try_into().map_err(|_| self.wrong())
    }

    fn wrong(&self) -> Error {
        Error::NoteSignature(self.name.clone())
    }
}

fn cosigned(time_s: u64, text: &str) -> Vec<u8> {
    format!("cosignature/v1\ntime {time_s}\n{text}").into_bytes()
}

/// Four bytes that tell a signer's keys apart.
fn key_id(name: &str, algorithm: u8, key: &PublicKey) -> [u8; 4] {
    let hash = Sha256::new()
        .chain_update(name)
        .chain_update([b'\n', algorithm])
        .chain_update(key)
        .finalize();
    hash[..4].try_into().expect("SHA-256 has 32 bytes")
}

/// A signer's key as text: `name+89abcdef+base64(algorithm, key)`.
pub fn format_verifier_key(name: &str, algorithm: Algorithm, key: &PublicKey) -> String {
    verifier_key(name, algorithm as u8, key)
}

/// The name and key of a verifier key's text, which must be for this algorithm.
pub fn parse_verifier_key(text: &str, want: Algorithm) -> Result<(String, PublicKey)> {
    let parse = || {
        let mut parts = text.splitn(3, '+');
        let (name, _, body) = (parts.next()?, parts.next()?, parts.next()?);
        check_name("signer", name).ok()?;
        let body = STANDARD.decode(body).ok()?;
        let (algorithm, key) = body.split_first()?;
        let key: PublicKey = key.try_into().ok()?;
        (verifier_key(name, *algorithm, &key) == text).then_some((name, *algorithm, key))
    };
    match parse() {
        Some((name, got, key)) if got == want as u8 => Ok((name.to_owned(), key)),
        Some((name, got, _)) => {
            let want = want as u8;
            malformed(format!("verifier key of {name} has algorithm {got:#04x}, want {want:#04x}"))
        }
        None => malformed(format!("verifier key is {text:?}, want name+id+base64")),
    }
}

fn verifier_key(name: &str, algorithm: u8, key: &PublicKey) -> String {
    let id: String =
        key_id(name, algorithm, key).iter().map(|byte| format!("{byte:02x}")).collect();
    let body = [&[algorithm][..], key].concat();
    format!("{name}+{id}+{}", STANDARD.encode(body))
}
