"""Sign with a key that stays in a PKCS#11 token: a smart card, an HSM, or SoftHSM.

A key is named by a URI (RFC 7512), such as

    pkcs11:token=ledger;object=operator?module-path=/usr/lib/softhsm/libsofthsm2.so

``token`` or ``serial`` names the token, ``object`` or ``id`` the key, ``module-path`` the
maker's library, ``pin-source`` a file with the PIN on its one line; a PIN that is passed in goes
before it. The private key must be one that the token does not give out.

A token that was away, or has forgotten its session, is logged in to anew at the next signature.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple
from urllib.parse import unquote, unquote_to_bytes

from ledgercore.disk import read_bytes
from ledgercore.errors import (
    InvalidError,
    LedgerError,
    MalformedError,
    PassphraseError,
    SignerAwayError,
    UnavailableError,
    UntrustedError,
)

__all__ = ["TOKEN_SCHEME", "TokenKey", "TokenName", "open_token_key", "parse_uri"]

TOKEN_SCHEME = "pkcs11:"
PIN_BYTES = 256

_PATH = ("token", "serial", "object", "id")
_QUERY = ("module-path", "pin-source")
_ED25519 = bytes.fromhex("06032b6570")  # 1.3.101.112 as EC_PARAMS, RFC 8410 section 3
_POINT = bytes.fromhex("0420")  # a DER OCTET STRING of 32 bytes


class TokenName(NamedTuple):
    """A parsed URI."""

    uri: str
    """Without its query: what messages show."""
    token: str | None
    serial: bytes | None
    label: str | None
    key_id: bytes | None
    module: str
    pin_source: str | None


def parse_uri(uri: str) -> TokenName:
    """The parts of a PKCS#11 URI; MalformedError with what is wanted."""
    path, _, query = uri.partition("?")
    parts = _split(uri, path.removeprefix(TOKEN_SCHEME), ";", _PATH)
    queried = _split(uri, query, "&", _QUERY)
    wanted = "pkcs11:token=NAME;object=NAME?module-path=/path/to/the/makers/library.so"
    if not uri.startswith(TOKEN_SCHEME) or not parts.keys() & {"token", "serial"}:
        raise MalformedError(f"key {path!r} names no token, want {wanted}")
    if not parts.keys() & {"object", "id"} or "module-path" not in queried:
        missing = "module-path" if parts.keys() & {"object", "id"} else "object or id"
        raise MalformedError(f"key {path!r} has no {missing}, want {wanted}")
    return TokenName(
        uri=path,
        token=unquote(parts["token"]) if "token" in parts else None,
        serial=unquote_to_bytes(parts["serial"]) if "serial" in parts else None,
        label=unquote(parts["object"]) if "object" in parts else None,
        key_id=unquote_to_bytes(parts["id"]) if "id" in parts else None,
        module=unquote(queried["module-path"]),
        pin_source=unquote(queried["pin-source"]) if "pin-source" in queried else None,
    )


def _split(uri: str, text: str, separator: str, known: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for part in filter(None, text.split(separator)):
        name, equals, value = part.partition("=")
        if name not in known or not equals or name in found:
            raise MalformedError(
                f"attribute {name!r} of {uri.partition('?')[0]!r} is unknown or there twice, want "
                f"some of {', '.join(known)}"
            )
        found[name] = value
    return found


class _Opened(NamedTuple):
    """A key pair in a token, and the session that it is used in."""

    session: Any
    private: Any
    public_key: bytes


class TokenKey:
    """A signer whose private key never leaves its token."""

    def __init__(self, name: TokenName, pin: bytes | None, opened: _Opened) -> None:
        """Made by ``open_token_key``; a PIN that was passed in stays in memory, to log in anew."""
        self._name = name
        self._pin = pin
        self._opened = opened
        self._closed = False
        self._lock = Lock()

    @property
    def public_key(self) -> bytes:
        return self._opened.public_key

    def sign(self, message: bytes) -> bytes:
        """One signature, made by the token.

        Raises ``SignerAwayError`` where the token is not there, and logging in anew changes
        nothing: it gave no signature.
        """
        with self._lock:
            if self._closed:
                raise UnavailableError(f"{self._name.uri} is closed: open it anew")
            try:
                return self._sign(message)
            except SignerAwayError:
                self._open_anew()
            return self._sign(message)

    def _sign(self, message: bytes) -> bytes:
        from pkcs11 import Mechanism

        with _Translated(self._name):
            return bytes(self._opened.private.sign(message, mechanism=Mechanism.EDDSA))

    def _open_anew(self) -> None:
        """Log in to the token that was away. What else is wrong with it by now, such as another
        PIN, ends the key: some tokens lock after three wrong ones."""
        _end(self._name, self._opened.session)
        try:
            opened = _open_key(self._name, self._pin)
            if opened.public_key != self.public_key:
                _end(self._name, opened.session)
                raise UntrustedError(
                    f"{self._name.uri} is another key than before: put the right token back"
                )
        except LedgerError as error:
            self._closed = not isinstance(error, SignerAwayError)
            raise
        self._opened = opened

    def close(self) -> None:
        """End the session; closing again does nothing."""
        with self._lock:
            if not self._closed:
                self._closed = True
                _end(self._name, self._opened.session)


def open_token_key(uri: str, pin: bytes | None = None, *, make: bool = False) -> TokenKey:
    """The key that a URI names, its token opened with the PIN.

    With ``make`` a key that is not there is made in the token, which does not give it out.
    """
    name = parse_uri(uri)
    return TokenKey(name, pin, _open_key(name, pin, make=make))


def _open_key(name: TokenName, pin: bytes | None, *, make: bool = False) -> _Opened:
    session = _open(name, _pin(name, pin), writes=make)
    try:
        with _Translated(name):
            if make and not _keys(name, session, private=True):
                _make(name, session)
            return _find(name, session)
    except BaseException:
        _end(name, session)
        raise


def _end(name: TokenName, session: Any) -> None:
    """End a session, if it is there still."""
    with suppress(LedgerError), _Translated(name):
        session.close()


def _make(name: TokenName, session: Any) -> None:
    from pkcs11 import Attribute, KeyType, Mechanism

    parameters = session.create_domain_parameters(
        KeyType.EC_EDWARDS, {Attribute.EC_PARAMS: _ED25519}, local=True
    )
    parameters.generate_keypair(
        mechanism=Mechanism.EC_EDWARDS_KEY_PAIR_GEN,
        store=True,
        label=name.label,
        id=name.key_id or (name.label or "").encode(),
        private_template={Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False},
    )


def _pin(name: TokenName, pin: bytes | None) -> str:
    if pin is None and name.pin_source is not None:
        path = name.pin_source.removeprefix("file:")
        pin = read_bytes(path, PIN_BYTES + 2, "a PIN").partition(b"\n")[0].removesuffix(b"\r")
    if pin is None:
        raise PassphraseError(f"{name.uri} needs the token's PIN: give it as the passphrase")
    return pin.decode(errors="replace")


def _open(name: TokenName, pin: str, *, writes: bool) -> Any:
    try:
        import pkcs11
    except ImportError as error:
        raise UnavailableError(
            f"cannot use {name.uri}: {error}; pip install '.[hsm]' in the source tree"
        ) from error
    if not Path(name.module).is_absolute():
        raise MalformedError(f"module-path is {name.module!r}, want an absolute path")
    with _Translated(name):
        library = pkcs11.lib(name.module)
        token = library.get_token(token_label=name.token, token_serial=name.serial)
        try:
            return token.open(rw=writes, user_pin=pin)
        except pkcs11.exceptions.UserAlreadyLoggedIn:
            # All sessions of a process share one login, until the one that made it is closed.
            return token.open(rw=writes)


def _keys(name: TokenName, session: Any, *, private: bool) -> list[Any]:
    from pkcs11 import Attribute, KeyType, ObjectClass

    wanted: dict[Any, Any] = {
        Attribute.CLASS: ObjectClass.PRIVATE_KEY if private else ObjectClass.PUBLIC_KEY,
        Attribute.KEY_TYPE: KeyType.EC_EDWARDS,
    }
    if name.label is not None:
        wanted[Attribute.LABEL] = name.label
    if name.key_id is not None:
        wanted[Attribute.ID] = name.key_id
    return list(session.get_objects(wanted))


def _find(name: TokenName, session: Any) -> _Opened:
    from pkcs11 import Attribute

    found = [_keys(name, session, private=private) for private in (True, False)]
    if not found[0]:
        raise UnavailableError(
            f"{name.uri} is not in the token: see its objects with pkcs11-tool --list-objects, or "
            "make a key there with ledgercore init"
        )
    if [len(some) for some in found] != [1, 1]:
        raise UnavailableError(
            f"{name.uri} names {len(found[0])} private and {len(found[1])} public keys, want one "
            "of each: add id= to the name, or put the public key back beside its private one"
        )
    (private,), (public,) = found
    if private[Attribute.EXTRACTABLE] or not private[Attribute.SENSITIVE]:
        raise UntrustedError(
            f"{name.uri} can be read out of the token: make one that is sensitive and not "
            "extractable, as ledgercore init does"
        )
    point = bytes(public[Attribute.EC_POINT])
    if len(point) == 34 and point.startswith(_POINT):
        point = point[2:]
    if len(point) != 32:
        raise MalformedError(f"{name.uri} has a public key of {len(point)} bytes, want 32")
    return _Opened(session, private, point)


class _Translated:
    """Turn the token's errors into ours, each with its remedy."""

    def __init__(self, name: TokenName) -> None:
        self._name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, LedgerError) or not isinstance(error, Exception):
            return
        uri, what = self._name.uri, f"{type(error).__name__} {error}".strip()
        raise _TRANSLATIONS.get(type(error).__name__, _other)(uri, what) from error


def _other(uri: str, what: str) -> LedgerError:
    return UnavailableError(
        f"cannot use {uri}: {what}; see that the token is there, then open it anew"
    )


def _no_token(uri: str, what: str) -> LedgerError:
    return SignerAwayError(
        f"token of {uri} is not there: plug it in, or see the names with pkcs11-tool --list-slots"
    )


def _wrong_pin(uri: str, what: str) -> LedgerError:
    return InvalidError(
        f"PIN does not open the token of {uri}: give the right one; some tokens lock after three "
        "wrong ones"
    )


def _locked(uri: str, what: str) -> LedgerError:
    return UnavailableError(
        f"token of {uri} is locked after wrong PINs: its security officer sets a new PIN with "
        "pkcs11-tool --init-pin"
    )


def _away(uri: str, what: str) -> LedgerError:
    return SignerAwayError(
        f"token of {uri} does not answer as it should: {what}; see that it is there, then try again"
    )


def _no_module(uri: str, what: str) -> LedgerError:
    if "loading" not in what:
        return _other(uri, what)
    return UnavailableError(
        f"library of {uri} cannot be loaded: {what}; install it (softhsm2, opensc, or the maker's) "
        "and name it by module-path"
    )


def _unable(uri: str, what: str) -> LedgerError:
    return UnavailableError(
        f"token of {uri} cannot do Ed25519 ({what}): use one with CKM_EDDSA, PKCS#11 3.0"
    )


_TRANSLATIONS = {
    "NoSuchToken": _no_token,
    "TokenNotPresent": _no_token,
    "DeviceRemoved": _no_token,
    "SlotIDInvalid": _no_token,
    "PinIncorrect": _wrong_pin,
    "PinInvalid": _wrong_pin,
    "PinLenRange": _wrong_pin,
    "PinLocked": _locked,
    "SessionHandleInvalid": _away,
    "SessionClosed": _away,
    "UserNotLoggedIn": _away,
    "ObjectHandleInvalid": _away,
    "KeyHandleInvalid": _away,
    "TokenNotRecognised": _away,
    "DeviceError": _away,
    "GeneralError": _away,
    "FunctionFailed": _away,
    "PKCS11Error": _no_module,
    "MechanismInvalid": _unable,
    "DomainParamsInvalid": _unable,
    "CurveNotSupported": _unable,
}
