"""What a party, a vault or a function of the exchange is given is held to its type, in words."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import pytest

from ledgercore import MalformedError, SigningKey, Vault, exchange
from ledgercore.arguments import typed, typed_methods
from ledgercore.exchange import Accepted, Draft, sharing
from ledgercore.exchange.agreement import ConsumerAgreements, Negotiator, ProviderAgreements
from ledgercore.exchange.dispute import Complainant
from ledgercore.exchange.recipient import Recipient
from ledgercore.keys import Signer
from tests.town import Town

PARTIES = (
    *(exchange.Provider, exchange.Consumer, exchange.Processor, exchange.Subject),
    *(exchange.Supervisor, exchange.Authority, exchange.Holder),
    *(Recipient, Negotiator, ConsumerAgreements, ProviderAgreements, Complainant, Vault),
)
FUNCTIONS = (
    *(exchange.submit, exchange.submit_one, exchange.resume, exchange.sign),
    *(exchange.build_pack, exchange.verify_pack, exchange.make_member),
    *(exchange.verify_totals_proof, exchange.find_products),
    *(sharing.deal, sharing.share_of, sharing.audit_key_of),
)


class Other:
    """Of no type that anything wants."""


def methods(kind: type) -> Iterator[tuple[str, Callable[..., Any]]]:
    """The public methods that a class has, and what makes one."""
    for name, method in inspect.getmembers(kind, inspect.isfunction):
        if name == "__init__" or name[0] != "_":
            yield f"{kind.__name__}.{name}", method


def arguments() -> Iterator[Any]:
    """Each argument of each of them, but for a dataclass's own, which is made inside."""
    named = [each for kind in PARTIES for each in methods(kind)]
    named += [(function.__name__, function) for function in FUNCTIONS]
    for name, function in named:
        if name.endswith("__init__") and not hasattr(function, "__wrapped__"):
            continue
        for argument in inspect.signature(function).parameters:
            # A pack's ledger and vault are known to type checkers alone.
            if argument not in ("self", "_") and (name, argument) not in (
                ("build_pack", "ledger"),
                ("build_pack", "vault"),
            ):
                yield pytest.param(function, argument, id=f"{name}-{argument}")


@pytest.mark.parametrize(("function", "argument"), [*arguments()])
def test_every_argument_is_held_to_its_type(function: Any, argument: str) -> None:
    with pytest.raises(TypeError, match=f"^{argument} (is|are|hold) Other, want "):
        function(**{argument: Other()})


def test_the_arguments_were_found() -> None:
    """Without any the test above would pass."""
    assert len([*arguments()]) > 150


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    town = Town(tmp_path_factory.mktemp("town"))
    yield town
    town.parties.close()


BYTES = "want bytes: of text encode() makes them, of hexadecimal digits bytes.fromhex()"
CALLS: list[tuple[Callable[[Town], object], str]] = [
    (lambda town: town.parties.provider.delivery("abc"), f"intent is str, {BYTES}"),
    (
        lambda town: town.parties.provider.release(bytes(32), None),
        "admit is NoneType, want Accepted or RefusedError",
    ),
    (
        lambda town: town.parties.provider.answer([(bytes(32), None)]),
        "intents hold (bytes, NoneType), want (bytes, Request)",
    ),
    (
        lambda town: town.parties.provider.answer(bytes(32)),
        "intents are bytes, want a list of (bytes, Request)",
    ),
    (
        lambda town: exchange.submit(town.parties.ledger, town.parties.consumer.acknowledge(b"")),
        "drafts hold RecordSigner, want Draft",
    ),
    (
        lambda town: exchange.submit(town.parties.ledger, [Draft(None, None)]),
        "draft holds (NoneType, NoneType), want (RecordSigner, RecordBody)",
    ),
    (
        lambda town: exchange.sign(
            town.parties.ledger,
            [Draft(SigningKey(bytes(32)), town.parties.consumer.acknowledge(bytes(32)).body)],
        ),
        "draft holds (SigningKey, ExchangeAcknowledge), want (RecordSigner, RecordBody)",
    ),
    (
        lambda town: exchange.submit_one(
            town.parties.ledger, Draft(town.parties.provider.signer, None)
        ),
        "draft holds (RecordSigner, NoneType), want (RecordSigner, RecordBody)",
    ),
    (
        lambda town: exchange.resume(town.parties.ledger, [town.parties.consumer]),
        "signers hold Consumer, want RecordSigner",
    ),
    (
        lambda town: town.parties.provider.release(bytes(32), Accepted(bytes(32), "1")),
        "index of admit is str, want int",
    ),
    (
        lambda town: town.parties.provider.release(bytes(32), Accepted(bytes(32), True)),
        "index of admit is bool, want int",
    ),
    (
        lambda town: town.subject.narrow(town.ask(town.terms()), "cr.grade"),
        "fields are str, want a list of str",
    ),
    (
        lambda town: town.parties.consumer.decide([], "approved", b"", (), amount=True),
        "amount is bool, want int or None",
    ),
    (
        lambda town: town.parties.vaults["bank"].store([("name", "text")]),
        "items hold (str, str), want (str, bytes)",
    ),
    (lambda town: town.parties.vaults["bank"].store(["name"]), "items hold str, want (str, bytes)"),
    (lambda town: town.parties.vaults["bank"].erase(["name", 7]), "names hold int, want str"),
    (lambda town: town.parties.vaults["bank"].erase("name"), "names are str, want a list of str"),
]


@pytest.mark.parametrize(("call", "message"), CALLS, ids=[message[:30] for _, message in CALLS])
def test_a_wrong_type_is_said_to_be_so_and_nothing_is_kept(
    town: Town, call: Callable[[Town], object], message: str
) -> None:
    before = town.parties.vaults["tax-authority"].names()

    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        call(town)

    assert town.parties.vaults["tax-authority"].names() == before


def test_an_admit_of_no_index_is_said_to_be_so(town: Town) -> None:
    with pytest.raises(MalformedError, match=r"index of admit is .* want one of at most 64 bits"):
        town.parties.provider.release(bytes(32), Accepted(bytes(32), 10**5000))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"passphrase": "secret"}, "passphrase is str, want bytes or None: of text encode"),
        ({"key": "00" * 32}, "key is str, want bytes or None: of text encode"),
        ({"path": 7}, "path is int, want str or Path"),
        ({"at_least": "1"}, "at_least is str, want int"),
    ],
)
def test_a_vault_of_a_wrong_type_is_not_made(
    tmp_path: Path, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        Vault(**{"path": tmp_path / "a.vault"} | given)

    assert list(tmp_path.iterdir()) == []


Count = Annotated[int, "below 2^53"]


@typed_methods
class Shapes:
    """Every shape of annotation that ``typed`` knows."""

    def one(self, count: Count, maybe: bytes | None = None, *, text: str = "") -> tuple[Any, ...]:
        return count, maybe, text

    def many(self, pairs: Sequence[tuple[str, int]], names: Collection[str] = ()) -> int:
        return len(pairs) + len(names)

    def read(self, lines: Iterable[str], row: tuple[int, ...] = ()) -> list[str]:
        return [*lines]

    def kept(self, file: BinaryIO, signer: Signer | None = None) -> None:
        """A file and a protocol."""

    def called(self, function: Callable[[], None], other: Later | None = None) -> None:
        """``Later`` stands below."""

    def _inside(self, count: int) -> int:
        return count


class Later:
    """Named before it was there."""


@typed
def unknown(value: Nowhere, other: int) -> int:  # noqa: F821
    """An annotation that only type checkers know is not looked at."""
    return other


def test_every_shape_is_taken_and_nothing_else() -> None:
    shapes = Shapes()

    assert shapes.one(1, b"x", text="t") == (1, b"x", "t")
    assert shapes.one(count=1) == (1, None, "")
    assert shapes.many([("a", 1)], {"b", "c"}) == 3
    assert shapes.read(iter("ab"), (1, 2)) == ["a", "b"]
    shapes.called(print, Later())
    assert shapes._inside("text") == "text"
    assert unknown("anything", 1) == 1
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'count'"):
        shapes.one()
    for call, message in (
        (lambda: shapes.one(True), "count is bool, want int"),
        (lambda: shapes.one(1, 2), "maybe is int, want bytes or None"),
        (lambda: shapes.one(1, text=b""), "text is bytes, want str"),
        (lambda: shapes.many([("a", "1")]), r"pairs hold \(str, str\), want \(str, int\)"),
        (lambda: shapes.many("ab"), r"pairs are str, want a list of \(str, int\)"),
        (lambda: shapes.read([], (1, "2")), "row hold str, want int"),
        (lambda: shapes.kept(7), "file is int, want a binary file"),
        (lambda: shapes.kept(open, b"key"), "file is builtin_function_or_method, want a bin"),
        (lambda: shapes.called(7), "function is int, want a function"),
        (lambda: shapes.called(print, 7), "other is int, want Later or None"),
        (lambda: unknown(1, "2"), "other is str, want int"),
    ):
        with pytest.raises(TypeError, match=f"^{message}"):
            call()
