"""TSIG key files: the forms that tools write, and what is refused."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from tlsgate.dns.errors import KeyRefusedError
from tlsgate.dns.tsig import parse_tsig_key, read_tsig_key

SECRET = base64.b64encode(b"thirty-two octets of a secret...").decode()


@pytest.mark.parametrize(
    ("text", "name", "algorithm"),
    [
        (
            f'key "stack" {{\n\talgorithm hmac-sha256;\n\tsecret "{SECRET}";\n}};\n',
            "stack",
            "hmac-sha256",
        ),
        (f"key stack.example. {{algorithm HMAC-SHA512; secret {SECRET};}};", "stack.example", None),
        (f'key "k" {{ secret "{SECRET}"; algorithm hmac-sha384; }}', "k", "hmac-sha384"),
        (
            f'# hmac-sha256:k:{SECRET}\n// one\n/* key "x" {{ }}; */\n'
            f'key "k" {{ algorithm hmac-sha224; secret "{SECRET}"; }};',
            "k",
            "hmac-sha224",
        ),
    ],
    ids=["tsig-keygen", "unquoted", "other order", "comments"],
)
def test_what_tools_write_is_read(
    tmp_path: Path, text: str, name: str, algorithm: str | None
) -> None:
    file = tmp_path / "stack.key"
    file.write_text(text)
    key = read_tsig_key(file)
    assert (key.name, key.secret) == (name, base64.b64decode(SECRET))
    assert key.algorithm == (algorithm or "hmac-sha512")
    assert key.key().secret == key.secret


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "contains no TSIG key"),
        ("hmac-sha256:k:c2VjcmV0", "contains no TSIG key"),
        (
            'key "a" { algorithm hmac-sha256; secret "c2VjcmV0"; };\n'
            'key "b" { algorithm hmac-sha256; secret "c2VjcmV0"; };',
            "contains 2 TSIG keys",
        ),
        ('key "k" { secret "c2VjcmV0"; };', "algorithm must be one of hmac-sha224"),
        ('key "k" { algorithm hmac-md5; secret "c2VjcmV0"; };', "algorithm must be one of"),
        ('key "k" { algorithm hmac-sha256; };', "cannot be read"),
        ('key "k" { algorithm hmac-sha256; secret "c2VjcmV"; };', "cannot be read"),
        ('key "k" { algorithm hmac-sha256; secret "c2Vj!mV0"; };', "cannot be read"),
        ('key "" { algorithm hmac-sha256; secret "c2VjcmV0"; };', "cannot be read"),
        ('key "a..b" { algorithm hmac-sha256; secret "c2VjcmV0"; };', "cannot be read"),
    ],
)
def test_a_bad_file_is_named_with_its_remedy_and_without_its_secret(
    tmp_path: Path, text: str, expected: str
) -> None:
    file = tmp_path / "stack.key"
    file.write_text(text)
    with pytest.raises(KeyRefusedError) as caught:
        read_tsig_key(file)
    message = str(caught.value)
    assert message.startswith(f"{file}: ")
    assert expected in message
    assert "tsig-keygen" in message
    assert "c2V" not in message


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda file: None, "No such file"),
        (lambda file: file.mkdir(), "Is a directory"),
        (lambda file: file.write_bytes(b"\xff\xfe"), "is not UTF-8 text"),
    ],
)
def test_an_unreadable_file_is_named(tmp_path: Path, make: object, message: str) -> None:
    file = tmp_path / "stack.key"
    assert callable(make)
    make(file)
    with pytest.raises(KeyRefusedError, match=message) as caught:
        read_tsig_key(file)
    assert str(file) in str(caught.value)


def test_the_secret_never_shows() -> None:
    key = parse_tsig_key(f'key "k" {{ algorithm hmac-sha256; secret "{SECRET}"; }};')
    for shown in (repr(key), str(key), f"{key}"):
        assert "thirty-two" not in shown
        assert SECRET not in shown


@pytest.mark.parametrize("secret", ["//////////////////////8=", "AAAA//8AAAAAAAAA", "+/+//+//+/8="])
def test_slashes_in_a_secret_are_no_comment(secret: str) -> None:
    text = (
        f'// a comment\nkey "k" {{ algorithm hmac-sha256; /* "x" */ secret "{secret}"; }}; // y\n'
    )
    assert parse_tsig_key(text).secret == base64.b64decode(secret)
