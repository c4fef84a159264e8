//! Decide whom a verifier trusts: the operator's key, and how many of which witnesses.

use crate::block::Block;
use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result, malformed};
use crate::key::{self, PublicKey};
use crate::note::{Note, check_name};
use crate::record::{Network, Record, Signed};
use crate::suite::Suite;

/// What a verifier must be given; everything else is proven from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    pub origin: String,
    pub network: Network,
    pub suite: Suite,
    pub operator_key: PublicKey,
    pub witnesses: Vec<(String, PublicKey)>,
    /// How many distinct witnesses must have cosigned a checkpoint.
    pub quorum: usize,
}

impl Anchor {
    /// Hold the anchor's own parts to their rules.
    pub fn check(self) -> Result<Self> {
        check_name("origin", &self.origin)?;
        self.witnesses.iter().try_for_each(|(name, _)| check_name("witness", name))?;
        key::check("operator key", &self.operator_key)?;
        for (name, key) in &self.witnesses {
            key::check(&format!("key of witness {name}"), key)?;
        }
        let mut names: Vec<&str> = self.witnesses.iter().map(|(name, _)| name.as_str()).collect();
        names.push(&self.origin);
        let mut keys: Vec<&PublicKey> = self.witnesses.iter().map(|(_, key)| key).collect();
        keys.push(&self.operator_key);
        names.sort_unstable();
        keys.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1])
            || keys.windows(2).any(|pair| pair[0] == pair[1])
        {
            return malformed("two signers share a name or a key, want each its own");
        }
        if self.quorum > self.witnesses.len() {
            let (got, most) = (self.quorum, self.witnesses.len());
            return malformed(format!("quorum is {got}, want at most the {most} witnesses"));
        }
        Ok(self)
    }

    /// The checkpoint in a signed note, once operator and quorum are found to have signed it.
    pub fn verify_checkpoint(&self, note: &str) -> Result<Checkpoint> {
        let note = Note::parse(note)?;
        let checkpoint = self.verify_signed(&note)?;
        let mut cosigned = 0;
        for (name, key) in &self.witnesses {
            cosigned += usize::from(note.verify_cosignature(name, key)?.is_some());
        }
        if cosigned < self.quorum {
            let want = self.quorum;
            return Err(Error::Untrusted(format!(
                "checkpoint is cosigned by {cosigned} witnesses, want {want}"
            )));
        }
        Ok(checkpoint)
    }

    /// The checkpoint in a note, once the operator is found to have signed it: what the operator's
    /// own store holds notes to, for witnesses cosign what is stored already.
    pub fn verify_operator(&self, note: &str) -> Result<Checkpoint> {
        self.verify_signed(&Note::parse(note)?)
    }

    /// What is to be signed of a block of this ledger.
    pub fn checkpoint(&self, block: &Block) -> Checkpoint {
        Checkpoint::of(&self.origin, self.suite, block)
    }

    /// The checkpoint of a block, once the operator is found to have signed it and no other; and
    /// its records, of those that are given here, to be signed by their keys.
    pub fn verify_block(
        &self,
        block: &Block,
        note: &str,
        records: &[Record],
    ) -> Result<Checkpoint> {
        let (note, checkpoint) = (Note::parse(note)?, self.checkpoint(block));
        if note.text != checkpoint.format() {
            self.verify_signed(&note)?;
            return Err(Error::Untrusted("header is not the one that was signed".into()));
        }
        note.verify_with(&self.origin, &self.operator_key, &Signed::of(records).claims())?;
        Ok(checkpoint)
    }

    fn verify_signed(&self, note: &Note) -> Result<Checkpoint> {
        let checkpoint = Checkpoint::parse(&note.text)?;
        if checkpoint.origin != self.origin {
            let (got, want) = (&checkpoint.origin, &self.origin);
            return Err(Error::Untrusted(format!("checkpoint is of {got}, want {want}")));
        }
        note.verify(&self.origin, &self.operator_key)?;
        Ok(checkpoint)
    }

    /// A signed note with the cosignatures of this anchor's witnesses that another note brings for
    /// the same text; of a witness that cosigned in both the newer one.
    pub fn merge_cosignatures(&self, note: &str, cosigned: &str) -> Result<String> {
        let (mut note, cosigned) = (Note::parse(note)?, Note::parse(cosigned)?);
        if note.text != cosigned.text {
            return Err(Error::Untrusted("cosigned checkpoint is another than is stored".into()));
        }
        for (name, key) in &self.witnesses {
            let (old, new) =
                (note.verify_cosignature(name, key)?, cosigned.verify_cosignature(name, key)?);
            if new > old {
                note.replace_cosignature(name, key, &cosigned)?;
            }
        }
        Ok(note.format())
    }
}
