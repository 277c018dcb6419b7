"""The maker's key and signatures: `cryptography` signs, the node's own arithmetic verifies."""

from __future__ import annotations

import hashlib
import os
import random
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_public_key,
)
from typer.testing import CliRunner

from firmware.node.image import header_length
from firmware.node.verify import encoded_block, read_key, verify
from provisioning import firmware_signing
from provisioning.__main__ import app
from tests.shared.firmware_images import image

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def key() -> RSAPrivateKey:
    return generate_private_key(65537, 3072)


def unsigned() -> bytes:
    files = [("main.py", b"print(1)"), ("node/a.py", b"")]
    return bytes(image(files, board="unix", version=(4, 5, 6), security=9, signed=False))  # type: ignore[no-untyped-call]


def test_the_node_agrees_with_cryptography_on_true_and_false_signatures(key: RSAPrivateKey) -> None:
    draw = random.Random(7)
    modulus = read_key(firmware_signing.node_file(key.public_key()))
    assert modulus == key.public_key().public_numbers().n
    for size in (0, 1, 72, 2000):
        message = draw.randbytes(size)
        signature = key.sign(message, PKCS1v15(), SHA256())
        assert verify(modulus, signature, message)
        for _ in range(20):
            changed = bytearray(signature)
            changed[draw.randrange(384)] ^= 1 << draw.randrange(8)
            with pytest.raises(InvalidSignature):
                key.public_key().verify(bytes(changed), message, PKCS1v15(), SHA256())
            assert not verify(modulus, bytes(changed), message)


def test_a_block_with_anything_else_than_full_padding_is_refused(key: RSAPrivateKey) -> None:
    numbers = key.private_numbers()
    modulus = numbers.public_numbers.n
    message = b"image"
    good = encoded_block(hashlib.sha256(message).digest())
    info = good[good.index(b"\x00", 2) :]
    short = (b"\x00\x01" + b"\xff" * 8 + info).ljust(384, b"\x55")
    wrong_kind = b"\x00\x02" + good[2:]
    no_null = good.replace(b"\x05\x00\x04\x20", b"\x04\x20")
    no_null = b"\x00\x01\xff\xff" + no_null[2:]
    for block, valid in ((good, True), (short, False), (wrong_kind, False), (no_null, False)):
        assert len(block) == 384
        forged = pow(int.from_bytes(block, "big"), numbers.d, modulus).to_bytes(384, "big")
        assert verify(modulus, forged, message) is valid


def test_keys_are_made_once_and_the_private_one_is_for_its_owner_only(tmp_path: Path) -> None:
    run = CliRunner()
    done = run.invoke(app, ["firmware-key", "--out", str(tmp_path / "maker")])
    assert done.exit_code == 0, done.output
    private = tmp_path / "maker" / "firmware.key"
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    before = private.read_bytes()
    again = run.invoke(app, ["firmware-key", "--out", str(tmp_path / "maker")])
    assert again.exit_code == 2
    assert "there is a key already" in again.stderr
    assert private.read_bytes() == before
    public = load_pem_public_key((tmp_path / "maker" / "firmware.pub").read_bytes())
    node = (tmp_path / "maker" / "update.key").read_bytes()
    assert read_key(node) == public.public_numbers().n  # type: ignore[union-attr]


def test_a_signed_image_is_one_that_a_node_takes(tmp_path: Path, key: RSAPrivateKey) -> None:
    path = tmp_path / "node.img"
    path.write_bytes(unsigned())
    keyfile = tmp_path / "k"
    keyfile.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )
    done = CliRunner().invoke(app, ["firmware-sign", str(path), "--key", str(keyfile)])
    assert done.exit_code == 0, done.output
    assert "board unix, version 4.5.6, security 9, 2 files" in done.stdout
    data = path.read_bytes()
    size = header_length(data)
    modulus = key.public_key().public_numbers().n
    assert verify(modulus, data[size : size + 384], data[:size])
    assert data[:size] == unsigned()[:size]
    assert data[size + 384 :] == unsigned()[size + 384 :]


def test_an_encrypted_key_wants_its_passphrase(tmp_path: Path) -> None:
    run = CliRunner()
    secret = tmp_path / "passphrase"
    secret.write_text("door and window\n")
    maker = tmp_path / "maker"
    words = ["firmware-key", "--out", str(maker), "--passphrase-file", str(secret)]
    assert run.invoke(app, words).exit_code == 0
    assert b"ENCRYPTED" in (maker / "firmware.key").read_bytes()
    path = tmp_path / "node.img"
    path.write_bytes(unsigned())
    sign = ["firmware-sign", str(path), "--key", str(maker / "firmware.key")]
    refused = run.invoke(app, sign)
    assert refused.exit_code == 2
    assert "needs its passphrase" in refused.stderr
    assert path.read_bytes() == unsigned()
    assert run.invoke(app, [*sign, "--passphrase-file", str(secret)]).exit_code == 0


def test_what_is_no_whole_image_is_not_signed(tmp_path: Path, key: RSAPrivateKey) -> None:
    good = unsigned()
    for data, words in (
        (b"", "is no node image"),
        (b"MZ" + good[2:], "is no node image"),
        (good[:-1], "its header says"),
        (good[:-1] + b"X", "contents do not fit"),
    ):
        path = tmp_path / "node.img"
        path.write_bytes(data)
        with pytest.raises(firmware_signing.SigningError, match=words):
            firmware_signing.sign(path, key)
        assert path.read_bytes() == data


def test_other_keys_are_told_apart_from_ours(tmp_path: Path) -> None:
    path = tmp_path / "k"
    small = generate_private_key(65537, 2048)
    path.write_bytes(small.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(firmware_signing.SigningError, match="RSA key of 3072 bits"):
        firmware_signing.read_key(path)
    path.write_bytes(b"nonsense")
    with pytest.raises(firmware_signing.SigningError, match="no PEM private key"):
        firmware_signing.read_key(path)
    with pytest.raises(firmware_signing.SigningError, match="cannot read the key"):
        firmware_signing.read_key(tmp_path / "absent")


def test_micropython_verifies_what_cryptography_signed(tmp_path: Path, key: RSAPrivateKey) -> None:
    message = random.Random(3).randbytes(1500)
    (tmp_path / "message").write_bytes(message)
    (tmp_path / "signature").write_bytes(key.sign(message, PKCS1v15(), SHA256()))
    (tmp_path / "key").write_bytes(firmware_signing.node_file(key.public_key()))
    program = (
        "from firmware.node.verify import read_key, verify\n"
        "m = open('message','rb').read(); s = open('signature','rb').read()\n"
        "k = read_key(open('key','rb').read())\n"
        "print(verify(k, s, m), verify(k, s, m + b'x'), verify(k, s[:-1] + b'x', m))\n"
    )
    done = subprocess.run(
        [str(Path(sys.executable).with_name("micropython")), "-X", "heapsize=192k", "-c", program],
        env={**os.environ, "MICROPYPATH": f"{ROOT}:.frozen"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["True", "False", "False"]
