"""Record bodies have one encoding, and nothing else decodes."""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from ledgercore import records
from ledgercore.errors import LimitError, MalformedError

ID = bytes(range(32))
KEY = bytes(range(32, 64))

SAMPLES: tuple[records.RecordBody, ...] = (
    records.Genesis(
        origin="example.org/ledger",
        suite="std",
        created_ms=1_700_000_000_000,
        operator_key=KEY,
        witnesses=(records.Witness("witness.example", ID),),
        quorum=1,
        members=(records.Member("bank-a", "Bank A", ("consumer",), ID, KEY),),
    ),
    records.GovernancePropose(ID, "member.retire", b"\x90", 2**40),
    records.GovernanceReport(ID, "bank-a", b"\x90", 2**40),
    records.GovernanceApprove(ID),
    records.MemberAdmit(ID, "bank-b", "Bank B", ("consumer",), KEY, ID, bytes(64)),
    records.MemberSuspend(ID, "bank-a"),
    records.MemberReinstate(ID, "bank-a"),
    records.MemberRetire(ID, "bank-a"),
    records.KeyRotate("bank-a", KEY, ID, bytes(64)),
    records.KeyCompromise("bank-a"),
    records.KeyReplace(ID, "bank-a", KEY, ID, bytes(64)),
    records.AuthorisationGrant(ID, "bank-a", "a clearing house", "cn", "law-1", 2, 2**40),
    records.AuthorisationRevoke(ID, "order-7"),
    records.SchemaRegister(
        schema="tax.sme",
        schema_version=2,
        title="Tax record of a small firm: 小微",
        fields=(records.Field("vat.sales_m", "fen", 4),),
    ),
    records.SchemaRetire("tax.sme", 1),
    records.ProductPublish(
        product="tax.sme.v1",
        title="Tax record of a small firm: 小微",
        version="1",
        schema="tax.sme",
        schema_version=2,
        codes=("vat.sales_m",),
        purposes=("credit.assess",),
    ),
    records.ProductWithdraw("tax.sme.v1"),
    records.AgreementRequest(ID, "tax.sme.v1", ("credit.assess",), KEY, 2**40),
    records.AgreementOffer(ID, "tax.sme.v1", ("credit.assess",), KEY, 2**40, "bank-a"),
    records.AgreementAccept(ID),
    records.AgreementAgree(ID),
    records.AgreementVerify(ID),
    records.AgreementFinalize(ID),
    records.AgreementTerminate(ID, "NO_NEED"),
    records.AgreementSuspend(ID, "INCIDENT"),
    records.AgreementResume(ID),
    records.AgreementRetire(ID, "NO_NEED"),
    records.ConsentRequest(
        ID, "tax.v1", "credit.assess", KEY, ID, 2**40, 2, 2**39, ("agency",), KEY
    ),
    records.ConsentAuthorise(ID, bytes(64)),
    records.ConsentReject(ID),
    records.ConsentRevoke(ID),
    records.ConsentNarrow(ID, KEY, 2**40, 2, ("agency",), 9, (0, 3), (ID, KEY), (ID,)),
    records.ConsentStay(ID, "court-order", KEY),
    records.ConsentLift(ID),
    records.ExchangeIntent(ID, KEY, ID, 2**40),
    records.ExchangeAdmit(ID, KEY, ID, 4096, 2**40, ID),
    records.ExchangeRefuse(ID, "E_SCOPE"),
    records.ExchangeAcknowledge(ID),
    records.ExchangeDecline(ID, "E_PAYLOAD", KEY),
    records.ExchangeUse(ID, KEY, "credit.assess"),
    records.ExchangeErase(ID, "purpose_achieved"),
    records.ExchangeRelease(ID, KEY),
    records.ExchangeTimeOut(ID),
    records.ExchangeForget(ID, "acknowledged"),
    records.ExchangeCorrect(ID, KEY),
    records.DisputeOpen(ID, "E_SCOPE", KEY),
    records.DisputeEvidence(ID, KEY),
    records.DisputeRule(ID, "upheld", KEY),
    records.ExchangeVoid(ID, "E_CONSENT_STATE"),
    records.ExchangeRestrict(ID, "tax-law", 5),
    records.ConsentRevokeOnBehalf(ID, ID),
    records.AuditKey(KEY, 2, (records.ShareHolder("bank-a", KEY), records.ShareHolder("b", ID))),
    records.AuditAccept(KEY),
    records.AuditOrder(KEY, "tax-law-54", ID, 2**40, 2**41),
    records.AuditOpen(ID),
    records.AuditDisclose(ID, (KEY, ID), KEY),
    records.AuditReport(ID, KEY),
    records.RenewalAnchor(bytes(16), "c2sp", 9, b"a checkpoint", KEY),
    records.DecisionExplain(ID),
    records.DecisionContest(ID, KEY),
    records.DecisionReview(ID, KEY, "changed", "approved", KEY, ID),
    records.DecisionRecord((ID, KEY), "approved", ID, ("score above 600",), KEY, None),
)


def plain(value: object) -> object:
    """The value as an independent encoder takes it."""
    if isinstance(value, Struct):
        return [plain(getattr(value, name)) for name in value.__struct_fields__]
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return value


def packed(*fields: object) -> bytes:
    return msgpack.packb(list(fields))


def test_samples_cover_every_kind():
    assert set(records.BODIES) == {body.KIND for body in SAMPLES}


@pytest.mark.parametrize("body", SAMPLES, ids=lambda body: body.KIND)
def test_body_encodes_as_an_independent_encoder_says_and_decodes_to_itself(body):
    data = records.encode(body)

    assert msgpack.packb(plain(body)) == data
    assert body == records.decode(body.KIND, data)


def test_documented_instance_has_the_documented_bytes():
    data = records.encode(records.ProductWithdraw("tax.sme.v1"))

    assert "91aa7461782e736d652e7631" == data.hex()
    assert "92a77461782e736d6501" == records.encode(records.SchemaRetire("tax.sme", 1)).hex()


@pytest.mark.parametrize("body", SAMPLES, ids=lambda body: body.KIND)
def test_every_truncation_and_extension_is_refused(body):
    data = records.encode(body)

    for end in range(len(data)):
        with pytest.raises(MalformedError):
            records.decode(body.KIND, data[:end])
    with pytest.raises(MalformedError):
        records.decode(body.KIND, data + b"\x00")


@pytest.mark.parametrize("body", SAMPLES, ids=lambda body: body.KIND)
def test_one_field_too_many_or_too_few_is_refused(body):
    fields = plain(body)
    assert isinstance(fields, list)

    for wrong in (fields[:-1], [*fields, 0], {"a": 1}):
        with pytest.raises(MalformedError):
            records.decode(body.KIND, msgpack.packb(wrong))


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        pytest.param("consent.revoke", packed(ID[:-1]), id="id of 31 bytes"),
        pytest.param("consent.revoke", packed(ID + b"\0"), id="id of 33 bytes"),
        pytest.param("consent.revoke", packed("a" * 32), id="text for bytes"),
        pytest.param("consent.authorise", packed(ID, bytes(63)), id="endorsement of 63 bytes"),
        pytest.param("product.withdraw", packed(b"tax"), id="bytes for text"),
        pytest.param("product.withdraw", packed(""), id="empty identifier"),
        pytest.param("product.withdraw", packed("Tax"), id="capital in identifier"),
        pytest.param("product.withdraw", packed("tax\n"), id="newline after identifier"),
        pytest.param("product.withdraw", packed("a" * 65), id="identifier of 65 characters"),
        pytest.param("product.withdraw", bytes.fromhex("91d903746178"), id="long form of text"),
        pytest.param("product.withdraw", packed(None), id="nil for text"),
        pytest.param("exchange.refuse", packed(ID, "no"), id="code in small letters"),
        pytest.param("exchange.admit", packed(ID, ID, ID, -1), id="negative size"),
        pytest.param("exchange.admit", packed(ID, ID, ID, 2**53), id="size of 2^53"),
        pytest.param("exchange.admit", packed(ID, ID, ID, 1.0), id="float for size"),
        pytest.param("exchange.admit", packed(ID, ID, ID, True), id="boolean for size"),
        pytest.param("decision.record", packed([], "approved", ID, [], ID), id="no inputs"),
        pytest.param("decision.record", packed([ID], "maybe", ID, [], ID), id="unknown outcome"),
        pytest.param(
            "decision.record", packed([ID], "approved", ID, ["e\u0301"], ID), id="text not NFC"
        ),
        pytest.param("schema.register", packed("a", 1, "", [["f", "", 6]]), id="level of 6"),
        pytest.param("schema.retire", packed("a", 0), id="version of 0"),
        pytest.param("data", packed(1), id="opaque kind"),
        pytest.param("mint", packed(1), id="unknown kind"),
        pytest.param("consent.revoke", b"", id="nothing"),
    ],
)
def test_wrong_body_is_refused(kind, data):
    with pytest.raises(MalformedError):
        records.decode(kind, data)


def test_lists_hold_256_items_and_no_more():
    purposes = tuple(f"purpose-{number}" for number in range(257))
    fits = records.ProductPublish("a", "", "", "s", 1, (), purposes[:256])
    passes = records.ProductPublish("a", "", "", "s", 1, (), purposes)

    assert fits == records.decode(fits.KIND, records.encode(fits))
    with pytest.raises(LimitError, match="purposes has 257 items, want at most 256"):
        records.encode(passes)


def test_list_inside_a_member_is_limited_too():
    roles = ("consumer",) * 257
    member = records.Member("bank-a", "", roles, ID, KEY)
    body = records.Genesis("o", "std", 0, KEY, (), 0, (member,))

    with pytest.raises(LimitError, match="roles has 257 items"):
        records.encode(body)


def test_encode_refuses_what_decode_would_refuse():
    with pytest.raises(MalformedError, match="consent"):
        records.encode(records.ConsentRevoke(b"short"))
    with pytest.raises(MalformedError, match=r"^body of product.withdraw: .* not allowed"):
        records.encode(records.ProductWithdraw("\udcff"))
    for size in (2**64, -(2**63) - 1):
        with pytest.raises(MalformedError, match=r"^body of exchange.admit: "):
            records.encode(records.ExchangeAdmit(ID, ID, ID, size, 0, None))


def test_endorsement_message_is_pinned():
    network, key, root = b"n" * 16, b"k" * 32, b"r" * 32

    message = records.endorsement_message(network, key, root)

    assert b"ledgercore endorsement v1\n" + b"n" * 16 + b"k" * 32 + b"r" * 32 == message


@given(st.sampled_from(sorted(records.BODIES)), st.binary(max_size=120))
def test_any_bytes_are_refused_or_are_the_one_encoding(kind, data):
    try:
        body = records.decode(kind, data)
    except MalformedError:
        return
    assert data == records.encode(body)


@given(st.sampled_from(SAMPLES), st.data())
def test_a_changed_byte_is_refused_or_gives_another_body(body, data):
    encoded = bytearray(records.encode(body))
    position = data.draw(st.integers(0, len(encoded) - 1))
    encoded[position] ^= data.draw(st.integers(1, 255))

    try:
        other = records.decode(body.KIND, bytes(encoded))
    except MalformedError:
        return
    assert other != body
    assert bytes(encoded) == records.encode(other)
