"""The compiled core. Private: import from ``ledgercore`` instead.

Everything here is pure but ``OwnLock`` and ``Bracket``, which hold and call what is Python's: no
clock, no files, and no randomness but the seeds passed in. Batches cross this boundary and release
the interpreter lock; errors are those of ``ledgercore.errors``.
"""

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Generic, TypeVar, final

from typing_extensions import disjoint_base

__all__ = [
    "BODY_BYTES",
    "BUNDLE_RECORDS",
    "ORIGIN_BYTES",
    "PROOF_HASHES",
    "RECEIPT_BYTES",
    "RECORD_BYTES",
    "Anchor",
    "Batch",
    "Block",
    "Bracket",
    "Checkpoint",
    "Equivocation",
    "Frontier",
    "Guard",
    "Map",
    "OwnLock",
    "Receipt",
    "Record",
    "SigningKey",
    "StateMultiproof",
    "StateProof",
    "TileTree",
    "UnsignedBatch",
    "Verification",
    "VerifiedBatch",
    "VerifiedRecord",
    "attach_cosignature",
    "attach_signature",
    "bucket_of",
    "build_info",
    "bundle_record",
    "check_canonical",
    "check_public_key",
    "consistency_tiles",
    "cosign_checkpoint",
    "cosigned_message",
    "find_id",
    "format_verifier_key",
    "group_add_numbers",
    "group_add_points",
    "group_combine",
    "group_commit",
    "group_deal",
    "group_number",
    "group_open_part",
    "group_prove_seal",
    "group_seal",
    "group_share_keys",
    "group_verify_deal",
    "group_verify_dealer",
    "group_verify_part",
    "group_verify_seal",
    "group_verify_share_keys",
    "hash_bundles",
    "hash_domain",
    "inclusion_tiles",
    "leaf_hash",
    "leaf_hashes",
    "make_receipts",
    "merge_buckets",
    "multiproof_tiles",
    "node_hash",
    "parse_verifier_key",
    "prove_consistency",
    "prove_inclusion",
    "prove_inclusions",
    "prove_multi",
    "sign_checkpoint",
    "sort_ids",
    "state_keys",
    "tree_root",
    "verify_consistency",
    "verify_inclusion",
    "verify_inclusions",
    "verify_multi",
    "verify_receipts",
    "verify_signature",
    "verify_signatures",
    "verify_states",
]

BODY_BYTES: int
"""Bytes of a record's body at most."""
BUNDLE_RECORDS: int
"""Records in a full bundle."""
ORIGIN_BYTES: int
"""Bytes of an origin or of a cosigner's name at most."""
PROOF_HASHES: int
"""Hashes of an inclusion or consistency proof at most."""
RECEIPT_BYTES: int
"""Bytes of an encoded receipt at most."""
RECORD_BYTES: int
"""Bytes of an encoded record at most."""

def build_info() -> dict[str, str]:
    """Version, profile (release or debug), cpu_features and kernels.

    ``signature_kernel`` is the one in use, ``signature_kernels`` names all that this processor has.
    """

# Hashing. A suite is "std" or "c2sp"; every hash has 32 bytes.

def hash_domain(suite: str, domain: str, data: bytes) -> bytes: ...
def leaf_hash(suite: str, data: bytes) -> bytes: ...
def leaf_hashes(suite: str, data: Sequence[bytes]) -> bytes:
    """The leaf hashes of many items, one after the other."""

def node_hash(suite: str, left: bytes, right: bytes) -> bytes: ...
def tree_root(suite: str, leaf_hashes: bytes) -> bytes:
    """The RFC 9162 section 2.1.1 root over leaf hashes that stand one after the other."""

def check_canonical(data: bytes) -> None:
    """Accept exactly one canonical MessagePack value, or raise MalformedError."""

# Keys and signatures.

@final
class SigningKey:
    """An Ed25519 key that signs (RFC 8032); its repr shows the public half only."""

    def __new__(cls, seed: bytes) -> SigningKey: ...
    @property
    def public_key(self) -> bytes: ...
    def sign(self, message: bytes) -> bytes: ...
    def sign_record(
        self,
        suite: str,
        network: bytes,
        kind: str,
        body: bytes,
        *,
        sequence: int,
        previous: bytes,
        references: Sequence[bytes] = ...,
        not_before_ms: int = 0,
        expiry_ms: int = 0,
    ) -> Record: ...
    def sign_batch(
        self,
        suite: str,
        network: bytes,
        kind: str,
        bodies: Sequence[bytes],
        *,
        sequence: int,
        previous: bytes,
        expiry_ms: int = 0,
    ) -> Batch:
        """A chain of records, one a body, signed over all cores."""

@final
class UnsignedBatch:
    """A chain of records, one a body, that wait for signatures which are made elsewhere."""

    def __new__(
        cls,
        suite: str,
        network: bytes,
        kind: str,
        bodies: Sequence[bytes],
        public_key: bytes,
        *,
        sequence: int,
        previous: bytes,
        references: Sequence[bytes] = ...,
        not_before_ms: int = 0,
        expiry_ms: int = 0,
    ) -> UnsignedBatch: ...
    def messages(self) -> list[bytes]:
        """What the key must sign, 69 bytes a record."""

    def attach(self, signatures: Sequence[bytes]) -> Batch:
        """The records with their signatures, which are not checked before ``Batch.verify``."""

    def __len__(self) -> int: ...

def check_public_key(public_key: bytes) -> None:
    """Raise MalformedError for what is no point, or one of small order, which signs for anyone."""

def verify_signature(public_key: bytes, message: bytes, signature: bytes) -> None:
    """ZIP-215 acceptance, or raise InvalidSignature."""

def verify_signatures(
    public_keys: Sequence[bytes],
    messages: Sequence[bytes],
    signatures: Sequence[bytes],
    seed: bytes,
    *,
    kernel: str | None = None,
) -> None:
    """The same rule over a batch; InvalidSignature.indices names every bad one.

    The seed is 32 random bytes. The kernel is the fastest one unless another one is named.
    """

# Records.

@disjoint_base
class Record:
    """A decoded record: well formed, its signature not yet checked."""

    @staticmethod
    def decode(data: bytes) -> Record: ...
    @staticmethod
    def from_envelope(envelope: bytes, body: bytes) -> Record: ...
    def encode(self) -> bytes: ...
    def envelope(self) -> bytes:
        """The record without its body, from which the body restores it."""

    def verify(self) -> VerifiedRecord: ...
    @property
    def id(self) -> bytes: ...
    @property
    def network(self) -> bytes: ...
    @property
    def kind(self) -> str: ...
    @property
    def suite(self) -> str: ...
    @property
    def key(self) -> bytes: ...
    @property
    def sequence(self) -> int: ...
    @property
    def previous(self) -> bytes: ...
    @property
    def references(self) -> list[bytes]: ...
    @property
    def not_before_ms(self) -> int: ...
    @property
    def expiry_ms(self) -> int: ...
    @property
    def body(self) -> bytes: ...
    @property
    def signature(self) -> bytes: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self, /) -> int: ...

@final
class VerifiedRecord(Record):
    """A record whose signature was checked; only these reach a tree."""

@final
class Batch:
    """Decoded records of one block at most.

    What is done ``ahead`` of need gives way, on the processors, to the rest of the process.
    """

    @staticmethod
    def decode(records: Sequence[bytes], *, ahead: bool = False) -> Batch:
        """Raise MalformedError with .index of the first record that is not well formed."""

    @staticmethod
    def decode_within(
        records: Sequence[bytes], most_bytes: int, *, ahead: bool = False
    ) -> tuple[int, Batch] | None:
        """How many bytes the records have, and the records as ``decode`` gives them; None where
        they have more, and nothing was decoded."""

    @staticmethod
    def decode_bundles(bundles: Sequence[bytes | memoryview]) -> Batch:
        """A view must be of bytes."""

    def verify(self, seed: bytes, *, ahead: bool = False) -> VerifiedBatch:
        """Raise InvalidSignature with .indices of every bad signature."""

    def chains(
        self, network: bytes, suite: str
    ) -> list[tuple[bytes, int, int, bytes, bytes]] | None:
        """As those of a ``VerifiedBatch``."""

    def bundles(self) -> list[bytes]:
        """As those of a ``VerifiedBatch``."""

    def ids(self) -> list[bytes]: ...
    def joined_ids(self) -> bytes:
        """The ids one after the other, for whoever needs no object of each."""

    def leaf_hashes(self) -> bytes:
        """For records that are stored already, or are verified once they are."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Record: ...

@final
class Verification:
    """A batch that is being verified beside whatever else its caller does.

    As many threads take it part by part as there are cores beside the caller's. What is verified
    ``ahead`` of need is on threads that give way, one for each core.
    """

    def __new__(cls, batch: Batch, seed: bytes, *, ahead: bool = False) -> Verification: ...
    def verify(self) -> None:
        """Do what nobody has begun, and wait for the rest. Raises InvalidSignature with .indices of
        every bad signature."""

    def result(self) -> VerifiedBatch:
        """The same, and the batch with it."""

@final
class VerifiedBatch:
    def chains(
        self, network: bytes, suite: str
    ) -> list[tuple[bytes, int, int, bytes, bytes]] | None:
        """Each signer's records, where all are of kind data, without a window, and consecutive.

        The signer's key, the first sequence, the one after the last, the id before the first, and
        the last id. None where a record is another's, or of another network or suite.
        """

    @staticmethod
    def join(batches: Sequence[VerifiedBatch]) -> VerifiedBatch:
        """The records of all batches, one batch after the other."""

    def select(self, indices: Sequence[int]) -> VerifiedBatch: ...
    def bundles(self) -> list[bytes]:
        """Canonical arrays of up to 256 encoded records each, as a block stores them."""

    def ids(self) -> list[bytes]: ...
    def joined_ids(self) -> bytes:
        """The ids one after the other, for whoever needs no object of each."""

    def leaf_hashes(self) -> bytes: ...
    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> VerifiedRecord: ...

def bundle_record(bundle: bytes, position: int) -> bytes:
    """One record's bytes out of a bundle."""

def hash_bundles(suite: str, bundles: Sequence[bytes]) -> tuple[bytes, bytes]:
    """The ids and the leaf hashes of stored bundles' records, 32 bytes each, joined. What they say
    is not looked at: who has the hashes of records that were decoded sees whether it is these.
    Raises MalformedError for what is no bundle, or has a record that is too short for one."""

# Sorted runs of ids: bytes of 12 an entry, the first 8 of an id and its record's offset in the run.

def sort_ids(level: int, ids: bytes) -> list[bytes]:
    """The buckets of each run of a level, 0 to 3, over joined ids, a run after the other. Raises
    MalformedError where the ids make no whole runs."""

def merge_buckets(level: int, buckets: Sequence[bytes]) -> list[bytes]:
    """Sixteen runs' buckets as those of the run of the level, 1 or more, that the sixteen make: the
    first bucket of each, then the second of each, and so on."""

def bucket_of(level: int, id: bytes) -> int:
    """The bucket that an id stands in, in a run of a level."""

def find_id(bucket: bytes, id: bytes) -> list[int]:
    """The offsets of the records that may have the id: ids may begin alike."""

# The history tree. Tiles are (level, index) -> up to 256 hashes, as in C2SP tlog-tiles.

@final
class Frontier:
    """What an appender must keep of a tree: immutable, appending gives a new one."""

    def __new__(cls, suite: str, size: int = 0, tails: Sequence[bytes] = ...) -> Frontier:
        """Tails are the unfinished tiles, lowest level first."""

    @property
    def suite(self) -> str: ...
    @property
    def size(self) -> int: ...
    def root(self) -> bytes: ...
    def tails(self) -> list[bytes]: ...
    def append(self, leaf_hashes: bytes) -> tuple[Frontier, list[tuple[int, int, bytes]]]:
        """The tree with these leaves, and the tiles they completed: (level, index, 8192 bytes)."""

@final
class TileTree:
    """A tile's hashes, fewer than 256 at the right edge, and the nodes over them, hashed once."""

    @staticmethod
    def build(suite: str, tiles: Sequence[bytes]) -> list[TileTree]:
        """Many at once are hashed side by side."""

    @property
    def hashes(self) -> bytes: ...
    @property
    def root(self) -> bytes | None:
        """The node over a full tile, which is a hash of the tile above it."""

def inclusion_tiles(indices: Sequence[int], size: int) -> list[tuple[int, int]]:
    """The tiles that inclusion proofs are read from."""

def consistency_tiles(first_size: int, second_size: int) -> list[tuple[int, int]]: ...
def multiproof_tiles(indices: Sequence[int], size: int) -> list[tuple[int, int]]: ...
def prove_inclusion(
    suite: str, index: int, size: int, tiles: dict[tuple[int, int], TileTree]
) -> list[bytes]: ...
def prove_inclusions(
    suite: str, indices: Sequence[int], size: int, tiles: dict[tuple[int, int], TileTree]
) -> list[list[bytes]]:
    """Many inclusion proofs in one call."""

def prove_consistency(
    suite: str, first_size: int, second_size: int, tiles: dict[tuple[int, int], TileTree]
) -> list[bytes]: ...
def prove_multi(
    suite: str, indices: Sequence[int], size: int, tiles: dict[tuple[int, int], TileTree]
) -> bytes:
    """One proof for many leaves, its hashes one after the other; indices strictly ascend."""

def verify_inclusion(
    suite: str, leaf_hash: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> None: ...
def verify_inclusions(
    suite: str,
    leaf_hashes: bytes,
    indices: Sequence[int],
    size: int,
    proofs: Sequence[Sequence[bytes]],
    root: bytes,
) -> None:
    """Many inclusion proofs in one call; InvalidProof names the first that fails."""

def verify_consistency(
    suite: str,
    first_size: int,
    second_size: int,
    proof: Sequence[bytes],
    first_root: bytes,
    second_root: bytes,
) -> None: ...
def verify_multi(
    suite: str,
    leaf_hashes: bytes,
    indices: Sequence[int],
    size: int,
    proof: bytes | Sequence[bytes],
    root: bytes,
) -> None:
    """Accept a proof as ``prove_multi`` gives it, or hash by hash as records and packs have it."""

# Shared keys and sums of commitments, on ristretto255 (RFC 9496): see rust/group.rs. Points and
# numbers have 32 bytes, ``wide`` random bytes 64; holders are counted from one.

def group_number(wide: bytes) -> bytes: ...
def group_deal(
    coefficients: Sequence[bytes], dealer: int, holders: int
) -> tuple[list[bytes], bytes, list[bytes]]: ...
def group_verify_dealer(
    commitments: Sequence[bytes], proof: bytes, dealer: int, holders: int
) -> None: ...
def group_verify_deal(commitments: Sequence[bytes], holder: int, number: bytes) -> None: ...
def group_share_keys(
    dealt: Sequence[Sequence[bytes]], holders: int
) -> tuple[bytes, list[bytes]]: ...
def group_verify_share_keys(key: bytes, share_keys: Sequence[bytes], threshold: int) -> None: ...
def group_seal(key: bytes, wide: bytes) -> tuple[bytes, bytes]: ...
def group_prove_seal(key: bytes, wide: bytes, nonce: bytes, context: bytes) -> bytes: ...
def group_verify_seal(key: bytes, ephemeral: bytes, proof: bytes, context: bytes) -> None: ...
def group_open_part(
    share: bytes, ephemeral: bytes, context: bytes, seed: bytes
) -> tuple[bytes, bytes]: ...
def group_verify_part(
    share_key: bytes, ephemeral: bytes, part: bytes, proof: bytes, context: bytes
) -> None: ...
def group_combine(holders: Sequence[int], parts: Sequence[bytes]) -> bytes: ...
def group_commit(amounts: Sequence[int], blindings: Sequence[bytes]) -> list[bytes]: ...
def group_add_points(points: Sequence[bytes]) -> bytes: ...
def group_add_numbers(numbers: Sequence[bytes]) -> bytes: ...

# The state map: object name -> state, with proofs of presence and of absence.

@final
class Map:
    """An immutable map; updating gives a new one that shares what did not change."""

    def __new__(cls, suite: str) -> Map: ...
    def __len__(self) -> int: ...
    def root(self) -> bytes: ...
    def update(self, changes: Sequence[tuple[bytes, bytes | None]]) -> Map:
        """Set each object's state, or remove it with None."""

    def overwrite(self, changes: Sequence[tuple[bytes, bytes | None]]) -> Map:
        """As ``update``, where an absent page is replaced by all that it holds from now on."""

    def absent(self, objects: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
        """The first and last key of each page that these objects need and that is not in memory."""

    def fill(
        self, pages: Sequence[tuple[bytes, bytes]], states: Sequence[tuple[bytes, bytes]]
    ) -> None:
        """Fill absent pages, for all versions of the map that share them.

        ``states`` are the names and states of all objects whose keys belong in them; raise
        InvalidProof where they are not those that the map holds.
        """

    def forget(self, limit: int, but: bytes | None = None) -> None:
        """Forget all pages but that of one object, where more entries than the limit are in memory.

        What this version holds must be stored by then. Whatever meets an absent page raises
        UnavailableError.
        """

    @property
    def in_memory(self) -> int:
        """How many entries are in memory, of this version."""

    def value_hash(self, object: bytes) -> bytes | None: ...
    def prove(self, object: bytes, value: bytes | None) -> StateProof:
        """Prove that the object has this state, or with None that it has none.

        Raise InvalidProof where that is not so.
        """

    def prove_all(self, claims: Sequence[tuple[bytes, bytes | None]]) -> list[StateProof]:
        """A proof of each, as ``prove`` makes it, over all threads."""

    def prove_multi(self, claims: Sequence[tuple[bytes, bytes | None]]) -> StateMultiproof:
        """One proof of them all; each object is named once, in any order."""

@final
class StateProof:
    @staticmethod
    def decode(data: bytes) -> StateProof: ...
    def encode(self) -> bytes: ...
    @property
    def object(self) -> bytes: ...
    @property
    def value(self) -> bytes | None: ...
    def verify(self, suite: str, state_root: bytes) -> None: ...

def state_keys(suite: str, objects: Sequence[bytes]) -> list[bytes]:
    """The keys under which objects stand in the map: hashes of their names."""

def verify_states(suite: str, proofs: Sequence[bytes], state_root: bytes) -> list[StateProof]:
    """Decode and verify encoded state proofs under a root; the error names the first that fails."""

@final
class StateMultiproof:
    @staticmethod
    def decode(data: bytes) -> StateMultiproof: ...
    def encode(self) -> bytes: ...
    @property
    def states(self) -> list[tuple[bytes, bytes | None]]:
        """Each object's name, and its state or None, in the order of their keys."""

    def verify(self, suite: str, state_root: bytes) -> None:
        """Raise InvalidProof unless every claim holds under the root."""

# Blocks, checkpoints, receipts.

@final
class Block:
    """A block's header: what a checkpoint signs through its hash."""

    def __new__(
        cls,
        *,
        height: int,
        parent: bytes,
        time_ms: int,
        first_index: int,
        count: int,
        tree_root: bytes,
        state_root: bytes,
    ) -> Block: ...
    def next(
        self,
        frontier: Frontier,
        states: Map,
        leaf_hashes: bytes,
        changes: Sequence[tuple[bytes, bytes | None]],
        time_ms: int,
    ) -> tuple[Block, Frontier, list[tuple[int, int, bytes]], Map]:
        """The block after this one, which left this tree and these states; the tree after it, the
        tiles that it filled as ``Frontier.append`` gives them, and the states after it."""

    def again(
        self,
        frontier: Frontier,
        states: Map,
        leaf_hashes: bytes,
        changes: Sequence[tuple[bytes, bytes]],
        time_ms: int,
    ) -> tuple[Block, list[tuple[int, int, bytes]]]:
        """The block after this one as it follows from stored states, and from what ``hash_bundles``
        made of the stored records, joined: the block, and the tiles that it filled. Raises
        MalformedError where tree and states are not those that this block left."""

    @staticmethod
    def decode(data: bytes) -> Block: ...
    def encode(self) -> bytes: ...
    def hash(self, suite: str) -> bytes: ...
    @property
    def height(self) -> int: ...
    @property
    def parent(self) -> bytes: ...
    @property
    def time_ms(self) -> int: ...
    @property
    def first_index(self) -> int: ...
    @property
    def count(self) -> int: ...
    @property
    def tree_root(self) -> bytes: ...
    @property
    def state_root(self) -> bytes: ...
    def __eq__(self, other: object, /) -> bool: ...

@final
class Checkpoint:
    """Origin, size, tree root, and extension lines for block and state."""

    def __new__(
        cls,
        *,
        origin: str,
        size: int,
        root: bytes,
        height: int,
        block_hash: bytes,
        state_root: bytes,
    ) -> Checkpoint: ...
    @staticmethod
    def parse(text: str) -> Checkpoint:
        """Parse the text of a checkpoint, or of a signed one; signatures are not checked here."""

    def format(self) -> str: ...
    @property
    def origin(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def root(self) -> bytes: ...
    @property
    def height(self) -> int: ...
    @property
    def block_hash(self) -> bytes: ...
    @property
    def state_root(self) -> bytes: ...
    def __eq__(self, other: object, /) -> bool: ...

def sign_checkpoint(checkpoint: Checkpoint, key: SigningKey) -> str:
    """The signed note (C2SP signed-note), under the checkpoint's origin as key name."""

def cosign_checkpoint(note: str, name: str, key: SigningKey, time_s: int) -> str:
    """The note with one more cosignature line (C2SP tlog-cosignature, cosignature/v1)."""

def attach_signature(checkpoint: Checkpoint, public_key: bytes, signature: bytes) -> str:
    """The note of ``sign_checkpoint`` with a signature made elsewhere, which is not checked."""

def cosigned_message(note: str, time_s: int) -> bytes: ...
def attach_cosignature(
    note: str, name: str, public_key: bytes, time_s: int, signature: bytes
) -> str: ...
def format_verifier_key(name: str, public_key: bytes, *, cosigner: bool = False) -> str:
    """A key as text, `name+id+base64` (C2SP signed-note); a cosigner's is of another algorithm."""

def parse_verifier_key(text: str, *, cosigner: bool = False) -> tuple[str, bytes]:
    """Name and key in the text of a signer's key, or of a cosigner's."""

@final
class Anchor:
    """What a verifier must be given: everything else is proven from it."""

    def __new__(
        cls,
        *,
        origin: str,
        network: bytes,
        suite: str,
        operator_key: bytes,
        witnesses: Sequence[tuple[str, bytes]] = ...,
        quorum: int = 0,
    ) -> Anchor: ...
    def __getnewargs_ex__(self) -> tuple[tuple[()], dict[str, object]]: ...
    @property
    def origin(self) -> str: ...
    @property
    def network(self) -> bytes: ...
    @property
    def suite(self) -> str: ...
    @property
    def operator_key(self) -> bytes: ...
    @property
    def operator_vkey(self) -> str:
        """The operator's verifier key as text (C2SP signed-note)."""

    @property
    def witnesses(self) -> list[tuple[str, bytes]]: ...
    @property
    def quorum(self) -> int: ...
    def verify_checkpoint(self, note: str) -> Checkpoint:
        """The checkpoint, if the operator signed it and the quorum of witnesses cosigned it."""

    def verify_operator(self, note: str) -> Checkpoint:
        """The checkpoint, if the operator signed it, whoever cosigned it."""

    def checkpoint(self, block: Block) -> Checkpoint:
        """What is to be signed of a block."""

    def verify_block(
        self, header: bytes, note: str, records: Batch | None = None
    ) -> tuple[Block, Checkpoint]:
        """The block, and its checkpoint, if the operator signed it and no other with the note; and
        if the records are signed by their keys, or InvalidSignature with .indices of every bad
        signature."""

    def merge_cosignatures(self, note: str, cosigned: str) -> str:
        """The note with the cosignatures of witnesses that another note of the same text brings."""

    def __eq__(self, other: object, /) -> bool: ...

@final
class Receipt:
    """Index, inclusion path, signed checkpoint, the record's envelope; and maybe a state proof."""

    def __new__(
        cls,
        *,
        index: int,
        path: Sequence[bytes],
        checkpoint: str,
        envelope: bytes,
        state: StateProof | None = None,
    ) -> Receipt: ...
    @staticmethod
    def decode(data: bytes) -> Receipt: ...
    def encode(self) -> bytes: ...
    def verify(self, body: bytes, anchor: Anchor) -> VerifiedRecord:
        """Restore the record from its body, and check it.

        Its signature, path, checkpoint, cosignatures and state.
        """

    @property
    def index(self) -> int: ...
    @property
    def path(self) -> list[bytes]: ...
    @property
    def checkpoint(self) -> str: ...
    @property
    def envelope(self) -> bytes: ...
    @property
    def state(self) -> StateProof | None: ...
    def __eq__(self, other: object, /) -> bool: ...

def make_receipts(
    bundle: bytes,
    first_index: int,
    indices: Sequence[int],
    checkpoint: Checkpoint,
    note: str,
    tiles: dict[tuple[int, int], TileTree],
    suite: str,
    states: Sequence[StateProof] = ...,
) -> list[Receipt]:
    """The receipts of a bundle's records under a checkpoint, each found to lead to its root.

    The bundle's first record has ``first_index``; the indices ascend. There is a state proof for
    each receipt, or none. Raises InvalidProof naming
    the record that does not stand there.
    """

def verify_receipts(
    receipts: Sequence[bytes], bodies: Sequence[bytes], anchor: Anchor, seed: bytes
) -> VerifiedBatch:
    """The records of encoded receipts, verified as ``Receipt.verify`` would each.

    A checkpoint that many carry is verified once. Errors name the first receipt at fault;
    InvalidSignature.indices names all whose record's signature does not hold. The seed is 32
    random bytes.
    """

@final
class Equivocation:
    """Two records of one key with one sequence: a proof against the signer, whole in itself."""

    def __new__(cls, first: Record, second: Record) -> Equivocation:
        """Raise InvalidProof unless both verify, share network, key and sequence, and differ."""

    @staticmethod
    def decode(data: bytes) -> Equivocation: ...
    def encode(self) -> bytes: ...
    @property
    def first(self) -> VerifiedRecord: ...
    @property
    def second(self) -> VerifiedRecord: ...

# Locks.

@final
class OwnLock:
    """A lock that a thread may take again, for the threads of the process that made it.

    A forked process has none of the threads that may hold a lock when it begins: it would wait for
    them for ever. And what SQLite opened must not be used there
    (https://sqlite.org/howtocorrupt.html, section 2.6). So it raises ``UnavailableError`` there.
    A fork is known by ``os.register_at_fork``: one that a host makes in C without telling Python
    (``PyOS_AfterFork_Child``) is not, and its child must leave alone what its parent opened.

    No interrupt (``KeyboardInterrupt``) leaves it held, wherever Python may raise it.
    """

    def __new__(cls, what: str) -> OwnLock:
        """``what`` was opened, as the error is to say."""

    @property
    def is_foreign(self) -> bool:
        """Whether a process made it that this one was forked from."""

    def check(self) -> None:
        """Raise ``UnavailableError`` in any other process."""

    def __enter__(self) -> None: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

_Value = TypeVar("_Value")

@final
class Bracket(Generic[_Value]):
    """What is begun before a block and ended after it, under a lock if there is one.

    It may be entered again inside. ``begin`` is called with how many blocks are entered already, 0
    for the outermost, and gives what ``with`` binds. ``end`` is called with that number, and with
    what was raised or None; where ``begin`` or ``end`` itself raises, ``end`` is called once more,
    with that: what was half begun or half ended is taken back, and what was ended already is left.

    No interrupt (``KeyboardInterrupt``) leaves the lock held, wherever Python may raise it, nor one
    alone what was begun. Where a second one ends the second call of ``end``, the next outermost
    ``begin`` finds what is left.

    A block under a lock is left by the thread that entered it: in any other ``RuntimeError`` is
    raised, and nothing is ended. A forked process that leaves a block of its parent's calls no
    ``end``: what was begun is the parent's.

    Enter it by a ``guard`` of each block, which also ends it where Python does not: some versions
    pass over ``__exit__`` where an interrupt comes as a loop inside goes round (3.13), or before
    the block begins (3.14).
    """

    def __new__(
        cls,
        begin: Callable[[int], _Value],
        end: Callable[[int, BaseException | None], object],
        lock: OwnLock | None = None,
    ) -> Bracket[_Value]: ...
    @property
    def depth(self) -> int:
        """How many blocks are entered."""

    def guard(self) -> Guard[_Value]:
        """Enter the bracket by it: for one block."""

    def __enter__(self) -> _Value: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

@final
class Guard(Generic[_Value]):
    """One block of a bracket: dropped before it is left, it leaves it, as one that has raised.

    It does so in the thread that entered it. In any other, and where ``end`` raises then, Python
    tells of it as of whatever is raised while something is dropped (``sys.unraisablehook``).
    """

    def __enter__(self) -> _Value: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
