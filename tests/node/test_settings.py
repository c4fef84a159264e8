"""Settings are typed; each wrong value is refused with its name and what is wanted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from ledgercore import LedgerError, MalformedError
from ledgercore.cli.node import command as node_command
from ledgercore.node.founding import make_node, make_witness, parse_members
from ledgercore.node.limits import Limits
from ledgercore.node.settings import load_settings, parse_settings
from ledgercore.rules import GOVERNANCE_ROLE, ROLES, engine
from ledgercore.rules.state import PROCESSOR_ROLE
from tests.conftest import REPOSITORY

EXAMPLE = REPOSITORY / "examples" / "node.toml"
TEXT = EXAMPLE.read_text()


def test_the_example_is_read_and_its_paths_are_beside_it() -> None:
    settings = load_settings(EXAMPLE)

    assert settings.address == ("0.0.0.0", 7443)
    assert settings.ledger == str(EXAMPLE.parent / "bank.ledger")
    assert settings.operator is not None and settings.operator.member == "tax-authority"
    assert settings.limits.connections == 1024


def test_a_server_and_a_token_are_no_paths() -> None:
    ledger = "postgresql://db.example/x?directory=/var/lib/ledgercore"
    key = "pkcs11:token=a;object=b?module-path=/x.so"
    text = f'member = "tax"\nrole = "operator"\nledger = "{ledger}"\nkey = "{key}"\n'
    text += 'anchor = "a"\nlisten = "0.0.0.0:1"\n[tls]\ncertificate="a"\nkey="a"\nauthorities="a"\n'

    settings = parse_settings(text, Path("/etc"))

    assert (settings.ledger, settings.key, settings.anchor) == (ledger, key, "/etc/a")


@pytest.mark.parametrize(
    ("found", "put", "named"),
    [
        ('member = "bank"', 'member = "Bank!"', r"member.*want the id of the member"),
        ('role = "follower"', 'role = "boss"', r"role.*want operator or follower"),
        ('role = "follower"', "", r"role.*want operator or follower"),
        ('ledger = "bank.ledger"', 'ledger = "postgresql:///x"', r"want .directory="),
        ('ledger = "bank.ledger"', 'ledger = "mysql://me:secret@h/x"', r"ledger: .*path.*\./NAME"),
        (
            'certificate = "bank.crt"',
            'certificate = "postgres://me:secret@h/x"',
            r"tls.* PEM.*\./NAME",
        ),
        ('ledger = "bank.ledger"', 'ledger = "host=h password=secret"', r"keywords.*postgresql://"),
        ('listen = "0.0.0.0:7443"', "listen = 7443", r"listen.*want an address and a port"),
        ('listen = "0.0.0.0:7443"', 'listen = "0.0.0.0:99999"', r"listen has port 99999"),
        ("requests_per_s = 200", "requests_per_s = 0", r"limits.requests_per_s"),
        ("requests_per_s = 200", "requests = 200", r"requests"),
        ("stop_s = 20.0", "stop_s = true", r"limits.stop_s"),
        (
            'url = "https://node.tax.example:7443"',
            'url = "http://x"',
            r"peer\[0\].url.*https.*TLS alone",
        ),
        ('url = "https://', 'url = "', r"peer\[0\].url.*want https://HOST:PORT"),
        ("operator = true", "operator = false", r"0 peers have operator = true"),
        ('role = "follower"', 'role = "operator"', r"role is operator and so is peer"),
        (
            'member = "regulator"',
            'member = "bank"',
            r"a \[\[peer\]\] is 'bank', whose own node this is: take it away",
        ),
        (
            'member = "regulator"',
            'member = "tax-authority"',
            r"2 \[\[peer\]\] are 'tax-authority', want one: keep the one with its node's url",
        ),
        ("[limits]", "[bounds]", r"bounds is not known here, want only member"),
        ("[limits]", "[witnesses]", r"witnesses is not known here, want witness$"),
        ("[[peer]]", "[[peers]]", r"peers is not known here, want peer$"),
        ("authorities =", "authority =", r"tls: authority is not known here, want authorities$"),
        ("requests_per_s", "request_per_s", r"limits: request_per_s is .*, want requests_per_s or"),
        ("operator = true", "operater = true", r"peer\[0\]: operater is .*, want operator$"),
        (
            'member = "bank"',
            'member = "bank"\noperator = true',
            r"operator is not known here, want",
        ),
        ("[tls]", "[tls", r"not TOML"),
        ('certificate = "bank.crt"', "", r"tls"),
    ],
)
def test_a_wrong_value_is_refused_with_its_name(found: str, put: str, named: str) -> None:
    assert found in TEXT

    with pytest.raises(MalformedError, match=named) as refused:
        parse_settings(TEXT.replace(found, put, 1), Path())
    assert "secret" not in str(refused.value)


def test_all_keys_that_are_not_known_are_told_at_once_in_every_file_of_a_node(
    tmp_path: Path,
) -> None:
    text = TEXT.replace("certificate =", "cert =").replace("operator = true", "orders = true")
    table = make_node(tmp_path, "bank", ("consumer",), "127.0.0.1:7443").table

    with pytest.raises(MalformedError) as refused:
        parse_settings(text, Path())
    assert str(refused.value).startswith("settings: tls: cert is not known here, want certificate")
    assert "; peer[0]: orders is not known here, want only member, url, operator" in str(
        refused.value
    )
    for wrong in ("[[members]]", "[[witnesses]]"):
        with pytest.raises(
            MalformedError, match=f"members: {wrong[2:-2]} is .*, want {wrong[2:5]}"
        ):
            parse_members(f"{table}\n{wrong}\n")


@pytest.mark.parametrize(
    ("limits", "named"),
    [
        ("body_bytes = 50_000_000", r"body_bytes is 50000000, want at most member_bodies_bytes, w"),
        (
            "bodies_bytes = 20_000_000\nmember_bodies_bytes = 20_000_001",
            r"want at most bodies_bytes, which is 20000000.*lower memb",
        ),
        ("open_body_bytes = 5_000_000", r"want at most open_bodies_bytes"),
        ("connections_of_certificate = 2000", r"is 2000, want at most connections, which is 1024"),
        ("connections = 1", r"connections is 1, want 2 to 2147483648: an event stream"),
        ("handshakes_of_address = 300", r"handshakes_of_address is 300, want at most handshakes"),
        ("streams = 10\nmember_streams = 11", r"want at most streams, which is 10, else one memb"),
        ("streams = 2048", r"streams is 2048, want less than connections, which is 1024, else"),
        ("member_streams = 128", r"want less than connections_of_certificate, which is 128"),
        ("answer_s = 90", r"answer_s is 90, want at most promise_s, which is 60"),
        ("header_bytes = 1000", r"header_bytes is 1000, want 8192 to 2147483648: a warrant"),
        ("heartbeat_s = 60", r"heartbeat_s is 60, want 0.1 to 30: who listens"),
        ("ready_s = 1", r"ready_s is 1, want 8 to 3600: a peer"),
        (
            "skew_s = 3600",
            r"nonces is 200000, want at least 2880800: with skew_s 3600 and requests",
        ),
        ("requests_per_s = 2000", r"nonces is 200000, want at least 240800.*lower one of these"),
        ("ready_s = 1\nheartbeat_s = 60", r"ready_s is 1.*; limits.heartbeat_s is 60"),
        ("body_bytes = 10", r"body_bytes is 10, want 65540 to 2147483648: one record takes"),
        ("bodies_bytes = 10", r"bodies_bytes is 10, want 65540 .* all bodies .*have room"),
        (
            "skew_s = 0.5",
            r"skew_s is 0\.5, want 1 to 3600: a request is on its way for some of it",
        ),
        ("answer_s = 0.0001", r"answer_s is 0\.0001, want 0\.1 to 3600$"),
        ("handshake_s = 0.001", r"handshake_s is 0\.001, want 0\.1 to 3600$"),
        ("stop_s = nan", r"stop_s is nan, want 0\.1 to 3600$"),
        (
            "body_bytes = 1_000_000_000_000",
            r"body_bytes is 1000000000000, want 65540 to 2147483648$",
        ),
        (
            "open_body_bytes = 1",
            r"open_body_bytes is 1, want 20480 to 2147483648: a checkpoint to be",
        ),
        ("nonces = 0\nbody_s = 0", r"body_s is 0, want 0.1 to 3600; limits.nonces is 0, want 1 to"),
        ("header_bytes = 1_234", r"header_bytes is 1234, want 8192 to 2147483648: a warrant"),
    ],
)
def test_limits_that_contradict_each_other_are_refused_at_the_start(
    limits: str, named: str
) -> None:
    """Each alone is in the one form; together they would refuse for ever what one of them lets."""
    text = TEXT.partition("[limits]")[0]

    parse_settings(f"{text}[limits]", Path())
    with pytest.raises(MalformedError, match=rf"settings: limits\..*{named}"):
        parse_settings(f"{text}[limits]\n{limits}", Path())


def test_limits_that_a_program_gives_are_held_to_the_same() -> None:
    for given in ({"body_bytes": 10**12}, {"streams": -5}, {"connections": 0}):
        (name, value), *_ = given.items()
        with pytest.raises(
            MalformedError, match=rf"^limits\.{name} is {value}, want [0-9]+ to 2147483648"
        ):
            Limits(**given)


@pytest.mark.parametrize(
    ("limits", "followed"),
    [
        ("connections = 100", {"connections_of_certificate": 100, "streams": 99}),
        ("connections = 20", {"connections_of_certificate": 20, "member_streams": 19}),
        ("connections_of_certificate = 32", {"member_streams": 31, "streams": 256}),
        ("streams = 32", {"member_streams": 32, "connections": 1024}),
        ("bodies_bytes = 8_000_000", {"member_bodies_bytes": 8_000_000, "body_bytes": 8_000_000}),
        ("open_bodies_bytes = 30_000", {"open_body_bytes": 30_000}),
        ("handshakes = 10", {"handshakes_of_address": 10}),
        ("promise_s = 0.5", {"answer_s": 0.5}),
        ("requests_per_s = 200", {"answer_s": 30, "member_streams": 64, "body_bytes": 1 << 24}),
    ],
)
def test_a_share_that_was_not_set_is_never_more_than_the_whole(
    limits: str, followed: dict[str, float]
) -> None:
    """One line that lowers a total is enough."""
    text = TEXT.partition("[limits]")[0]

    found = parse_settings(f"{text}[limits]\n{limits}", Path()).limits

    assert {name: getattr(found, name) for name in followed} == followed
    assert {type(getattr(found, name)) for name in found.__struct_fields__} == {int, float}


def test_a_node_is_made_for_every_role_that_a_rule_asks_for(tmp_path: Path) -> None:
    asked = {role for roles in engine._PARTIES.values() for role in roles}

    assert asked | {PROCESSOR_ROLE, GOVERNANCE_ROLE} <= set(ROLES)
    made = make_node(tmp_path / "a", "a", ROLES, "127.0.0.1:7443")
    assert all(f'"{role}"' in made.table for role in ROLES)
    with pytest.raises(MalformedError, match="role is 'king', want one of provider"):
        make_node(tmp_path / "b", "b", ("king",), "127.0.0.1:7443")


def test_what_init_writes_is_the_members_table_and_names_the_operator(tmp_path: Path) -> None:
    url = "https://tax.example:7443"
    init = ["init", str(tmp_path / "bank"), "--member", "bank", "--operator"]

    done = CliRunner().invoke(node_command, [*init, f"tax={url}"])

    assert done.exit_code == 0, done.output
    assert [each.member for each in parse_members(done.stdout)] == ["bank"]
    assert "bank has no role, and may put nothing but data on the ledger" in done.stderr
    wanted = [f"{tmp_path}/bank/{name}" for name in ("bank.crt", "bank.tls.key", "authority.crt")]
    wanted.append(f"{tmp_path}/bank/anchor.toml")
    assert f"wanted before it runs: {'; '.join(wanted)}\n" in done.stderr
    (operator,) = load_settings(tmp_path / "bank" / "node.toml").peer
    assert (operator.member, operator.url, operator.operator) == ("tax", url, True)
    for wrong in ("tax", "tax=http://tax.example", '"=https://tax.example:1'):
        done = CliRunner().invoke(node_command, ["init", str(tmp_path / "x"), *init[2:], wrong])
        assert done.exit_code != 0
        assert not (tmp_path / "x").exists()


def test_init_says_what_stands_in_the_settings_until_somebody_fills_it_in(tmp_path: Path) -> None:
    """And the operator's, which has its anchor, is told of its certificates."""
    for name, more in {"bank": (), "tax": ("--origin", "tax.example/e")}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "authority.crt").touch()
        command = ["init", str(tmp_path / name), "--member", name, *more, "--json"]

        done = CliRunner().invoke(node_command, command)

        text = (tmp_path / name / "node.toml").read_text()
        certificate, key, *rest = json.loads(done.stdout)["to_fill_in"]
        assert (certificate, key) == tuple(
            f"{tmp_path}/{name}/{name}.{it}" for it in ("crt", "tls.key")
        )
        if name == "tax":
            assert rest == [] and "to be filled in" not in text
        else:
            anchor, peer = rest
            assert anchor == f"{tmp_path}/bank/anchor.toml"
            assert (
                peer
                == f"member and url of [[peer]] in {tmp_path}/bank/node.toml: whose node orders"
            )
            assert "[[peer]]                           # to be filled in: the member whose" in text


def test_members_that_cannot_be_read_leave_nothing_behind(tmp_path: Path) -> None:
    command = ["init", str(tmp_path / "tax"), "--member", "tax", "--origin", "tax.example/e"]
    for members in (tmp_path / "none.toml", tmp_path):
        done = CliRunner().invoke(node_command, [*command, "--members", str(members)])
        assert isinstance(done.exception, LedgerError)
        assert not (tmp_path / "tax").exists()


def test_a_member_that_is_listed_wrongly_is_refused() -> None:
    table = '[[member]]\nmember = "a"\nname = "a"\nroles = []\n'
    table += f'signing_key = "{"0" * 63}"\nsealing_key = "{"0" * 64}"\n'

    with pytest.raises(MalformedError, match="signing_key"):
        parse_members(table)


@pytest.mark.parametrize("role", ["foo", "operator"])
def test_a_role_that_no_rule_asks_for_is_refused_in_the_members_file(
    tmp_path: Path, role: str
) -> None:
    """A genesis would keep it for ever."""
    table = make_node(tmp_path, "bank", ("consumer",), "127.0.0.1:7443").table

    assert parse_members(table)[0].roles == ("consumer",)
    with pytest.raises(MalformedError, match=f"bank has a role that is '{role}', want one of pro"):
        parse_members(table.replace("consumer", role))


def test_init_that_fails_can_be_done_again_and_says_why(tmp_path: Path) -> None:
    def init(*more: str) -> str:
        command = ["init", str(tmp_path / "tax"), "--member", "tax", *more]
        done = CliRunner().invoke(node_command, command)
        return str(done.exception or "done")

    own = make_node(tmp_path / "own", "tax", (), "127.0.0.1:7443").table
    bank = make_node(tmp_path / "bank", "bank", (), "127.0.0.1:7443").table
    members = {"own": own, "twice": bank + bank, "key": bank + bank.replace("bank", "b"), "": bank}
    for name, text in members.items():
        (tmp_path / f"{name}.toml").write_text(text)
    listed = ("--origin", "tax.example/e", "--members")

    said = [init(*listed, str(tmp_path / f"{name}.toml")) for name in ("own", "twice", "key")]
    said.append(init("--origin", "a b"))
    said.append(init("--origin", "tax.example/e", "--suite", "md5"))

    assert said[0].startswith("members: tax is there twice, want each member once; the operator's")
    assert said[1].startswith("members: bank is there twice")
    assert said[2] == "members: bank and b have one signing key, want each its own"
    assert "origin" in said[3] and "suite" in said[4]
    assert not [*(tmp_path / "tax").iterdir()]
    (tmp_path / "tax" / "node.toml").write_text("mine")
    assert "node.toml exists already" in init()
    assert [path.name for path in (tmp_path / "tax").iterdir()] == ["node.toml"]
    (tmp_path / "tax" / "node.toml").unlink()
    assert init(*listed, str(tmp_path / ".toml")) == "done"


def test_a_witness_that_cannot_be_made_leaves_no_key(tmp_path: Path) -> None:
    witness = '[witness]\nname = "a/w"\nkey = "w.key"\nstore = "w.store"\n[limits]'
    settings = parse_settings(TEXT.replace("[limits]", witness), tmp_path)
    (tmp_path / "w.store").write_text("in the way")

    with pytest.raises(LedgerError, match="exists already"):
        make_witness(settings)
    assert [path.name for path in tmp_path.iterdir()] == ["w.store"]
