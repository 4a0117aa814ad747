"""Signs manifests and tells whether a signature is right; keys come from the environment or a key file, never from a package.

The level above verifies with the public key alone: Ed25519 or ECDSA over the manifest's bytes, which any tool can check.
SM2 is not in the ``cryptography`` library; where a certified module is the platform's crypto provider, its signatures
(SM2 with SM3) are taken by ``report_signature = "provider"``.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256, SM3
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from models.core.crypto.keys import MADE
from models.core.crypto.service import provider
from models.domain.errors import YiwangError
from models.domain.settings import Settings
from models.store.key_files import made_once

ED25519, ECDSA, PROVIDER = "ed25519", "ecdsa-p256", "provider"
"""Algorithms that the setting ``report_signature`` names."""
_FILE = "report.key"
"""Key file in the home, made for development."""
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Order of the curve P-256 (FIPS 186-5)."""

PrivateKey = Ed25519PrivateKey | ec.EllipticCurvePrivateKey
PublicKey = Ed25519PublicKey | ec.EllipticCurvePublicKey


@dataclass(frozen=True)
class Signature:
    """A signature of a manifest.

    Attributes:
        algorithm: One of the algorithms of this module.
        key: Identifier of the key that made it.
        value: The signature, base64; of the provider, as it gave it.
    """

    algorithm: str
    key: str
    value: str

    def to_json(self) -> bytes:
        """As the file beside the manifest holds it."""
        return (json.dumps({"algorithm": self.algorithm, "key": self.key, "signature": self.value}, indent=1) + "\n").encode()

    @classmethod
    def from_json(cls, content: bytes) -> "Signature | None":
        """What :meth:`to_json` wrote, None where it is something else."""
        try:
            values = json.loads(content)
            signature = cls(values["algorithm"], values["key"], values["signature"])
        except (ValueError, TypeError, KeyError, RecursionError):
            return None
        return signature if all(isinstance(value, str) for value in vars(signature).values()) else None


def sign(settings: Settings, data: bytes) -> Signature:
    """Signs with the key in use.

    Args:
        settings: ``report_signature`` and ``report_keys``; without keys one is made once in the home.
        data: The manifest as its file holds it.
    """
    if settings.report_signature == PROVIDER:
        value = provider(settings).sign(data)
        return Signature(PROVIDER, value.partition(":")[0], value)
    identifier, secret = next(iter(_ring(settings).items()))
    key = _private(settings.report_signature, secret)
    made = key.sign(data) if isinstance(key, Ed25519PrivateKey) else key.sign(data, ec.ECDSA(SHA256()))
    return Signature(settings.report_signature, identifier, base64.b64encode(made).decode())


def public_key(settings: Settings) -> str:
    """The public key (PEM) that the level above needs to verify; made by the key in use.

    Raises:
        YiwangError: YW-REPORT-009 where the provider signs: its public key comes from the module.
    """
    if settings.report_signature == PROVIDER:
        raise YiwangError("YW-REPORT-009", detail="签名由密码模块完成，公钥请从密码模块导出")
    key = _private(settings.report_signature, next(iter(_ring(settings).values())))
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def is_signed(settings: Settings, data: bytes, signature: Signature, key_file: Path | None = None) -> bool:
    """Whether a signature is of the data.

    Args:
        settings: Its keys count where no file is given.
        data: The manifest as its file holds it.
        signature: What the package says.
        key_file: Public key (PEM) to verify with, in place of the settings' keys.

    Raises:
        YiwangError: YW-REPORT-009 where there is no key to verify with.
    """
    if key_file is not None:
        key = _read(key_file)
    elif signature.algorithm == PROVIDER:
        return provider(settings).verify(data, signature.value)
    elif signature.algorithm not in (ED25519, ECDSA):
        return False
    elif settings.report_keys is None and not (settings.home / _FILE).exists():  # none is made in order to verify
        raise YiwangError("YW-REPORT-009", detail="没有可用来核验的密钥，请用 --key 给出公钥文件")
    elif (secret := _ring(settings).get(signature.key)) is None:
        raise YiwangError("YW-REPORT-009", detail=f"手头没有签名所用的密钥 {signature.key}，请用 --key 给出公钥文件，或把它加回 YIWANG_REPORT_KEYS")
    else:
        key = _private(signature.algorithm, secret).public_key()
    try:
        value = base64.b64decode(signature.value, validate=True)
        if isinstance(key, Ed25519PublicKey):
            key.verify(value, data)
        else:
            key.verify(value, data, ec.ECDSA(SHA256()))
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return (signature.algorithm == ED25519) == isinstance(key, Ed25519PublicKey)


def _read(path: Path) -> PublicKey:
    try:
        key = load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise YiwangError("YW-REPORT-009", detail=f"读不到公钥文件 {path}（{error.strerror}）") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise YiwangError("YW-REPORT-009", detail=f"{path} 不是 PEM 格式的公钥") from error
    if not isinstance(key, PublicKey):
        raise YiwangError("YW-REPORT-009", detail=f"{path} 的算法不是 Ed25519 或 ECDSA P-256")
    return key


def _ring(settings: Settings) -> Mapping[str, bytes]:
    if settings.report_keys is None:
        return {MADE: bytes.fromhex(made_once(settings.home / _FILE))}
    entries = (entry.strip().partition(":") for entry in settings.report_keys.get_secret_value().split(","))
    return {identifier: bytes.fromhex(key) for identifier, _, key in entries}


def _private(algorithm: str, secret: bytes) -> PrivateKey:
    """A key for one algorithm only, derived from the ring's."""
    seed = HKDF(SM3(), 48, salt=None, info=f"yiwang report {algorithm}".encode()).derive(secret)
    if algorithm == ED25519:
        return Ed25519PrivateKey.from_private_bytes(seed[:32])
    return ec.derive_private_key(int.from_bytes(seed) % (_ORDER - 1) + 1, ec.SECP256R1())
