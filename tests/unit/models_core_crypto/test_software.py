"""Cryptography in software: known answers of the standards, what is refused, keys that come and go."""

import base64
import stat
from pathlib import Path
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import SM4
from cryptography.hazmat.primitives.hashes import SM3
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from models.core.crypto.service import Place, provider
from models.core.crypto.software import SoftwareProvider
from models.domain.errors import YiwangError
from models.domain.settings import Settings

OLD, NEW, AUDIT, DIGEST = (bytes([number]) * 32 for number in range(1, 5))
HERE = Place("party", "number", UUID(int=1))
CRYPTO = SoftwareProvider({"k1": OLD}, {"a1": AUDIT}, DIGEST, "sm4-gcm")


def of(keys: dict[str, bytes], cipher: str = "sm4-gcm") -> SoftwareProvider:
    return SoftwareProvider(keys, {"a1": AUDIT}, DIGEST, cipher)


def refused(crypto: SoftwareProvider, ciphertext: str, place: Place = HERE) -> str:
    with pytest.raises(YiwangError) as caught:
        crypto.decrypt(ciphertext, place)
    return caught.value.code


def test_sm4_as_gbt_32907_says() -> None:
    key = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
    block = Cipher(SM4(key), modes.ECB()).encryptor()  # noqa: S305 - one block of the standard's example
    assert block.update(key).hex() == "681edf34d206965e86b3e94f536e4246"


def test_sm4_gcm_as_rfc_8998_says() -> None:
    text = bytes.fromhex("".join(letter * 16 for letter in "ABCDEFEA"))
    sealing = Cipher(SM4(bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")), modes.GCM(bytes.fromhex("00001234567800000000ABCD"))).encryptor()
    sealing.authenticate_additional_data(bytes.fromhex("FEEDFACEDEADBEEFFEEDFACEDEADBEEFABADDAD2"))
    assert (sealing.update(text) + sealing.finalize()).hex() == (
        "17f399f08c67d5ee19d0dc9969c4bb7d5fd46fd3756489069157b282bb200735d82710ca5c22f0ccfa7cbf93d496ac15a56834cbcf98c397b4024a2691233b8d"
    )
    assert sealing.tag.hex() == "83de3541e4c2b58177e065a9bf7b62ec"


@pytest.mark.parametrize(
    ("text", "digest"),
    [
        (b"abc", "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"),
        (b"abcd" * 16, "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732"),
    ],
)
def test_sm3_as_gbt_32905_says(text: bytes, digest: str) -> None:
    assert CRYPTO.hash(text).hex() == digest


def test_a_ciphertext_is_sm4_gcm_with_its_place_as_associated_data() -> None:
    head, _, body = CRYPTO.encrypt("张三", HERE).rpartition(".")
    sealed = base64.urlsafe_b64decode(body)
    key = HKDF(SM3(), 16, salt=None, info=b"yiwang sm4-gcm").derive(OLD)
    opening = Cipher(SM4(key), modes.GCM(sealed[:12], sealed[-16:])).decryptor()
    opening.authenticate_additional_data(b"k1.s.|party|number|00000000-0000-0000-0000-000000000001")
    assert head == "k1.s" and (opening.update(sealed[12:-16]) + opening.finalize()).decode() == "张三"


@given(text=st.text(st.characters(exclude_categories=("Cs",))), cipher=st.sampled_from(["sm4-gcm", "aes-256-gcm"]))
def test_what_is_encrypted_comes_back_and_looks_different_each_time(text: str, cipher: str) -> None:
    crypto = of({"k1": OLD}, cipher)
    one, two = crypto.encrypt(text, HERE), crypto.encrypt(text, HERE)
    assert crypto.decrypt(one, HERE) == crypto.decrypt(two, HERE) == text and one != two


@pytest.mark.parametrize("place", [Place("party", "number", UUID(int=2)), Place("party", "phone", UUID(int=1)), Place("other", "number", UUID(int=1))])
def test_a_ciphertext_copied_elsewhere_is_refused(place: Place) -> None:
    assert refused(CRYPTO, CRYPTO.encrypt("a", HERE), place) == "YW-CRYPTO-001"


def test_every_changed_or_cut_ciphertext_is_refused() -> None:
    ciphertext = CRYPTO.encrypt("110101199003070118", HERE)
    for index in range(len(ciphertext)):
        other = "A" if ciphertext[index] != "A" else "B"
        assert refused(CRYPTO, ciphertext[:index] + other + ciphertext[index + 1 :]).startswith("YW-CRYPTO-00")
        assert refused(CRYPTO, ciphertext[:index]).startswith("YW-CRYPTO-00")
    for text in ("", ".", "k1.s.", "k1.s.====", "k1.s.一", ciphertext + "A", ciphertext + "\n", ciphertext.replace(".s.", ".a.")):
        assert refused(CRYPTO, text) == "YW-CRYPTO-001"


def test_another_key_of_the_same_name_is_refused_and_a_missing_one_is_named() -> None:
    ciphertext = CRYPTO.encrypt("a", HERE)
    assert refused(of({"k1": NEW}), ciphertext) == "YW-CRYPTO-001"
    with pytest.raises(YiwangError, match="k1") as caught:
        of({"k2": NEW}).decrypt(ciphertext, HERE)
    assert caught.value.code == "YW-CRYPTO-002" and "party.number/00000000" in caught.value.message


def test_keys_and_ciphers_change_while_old_values_stay_readable() -> None:
    old = CRYPTO.encrypt("a", HERE)
    later = of({"k2": NEW, "k1": OLD}, "aes-256-gcm")
    new = later.encrypt("a", HERE)
    assert later.decrypt(old, HERE) == later.decrypt(new, HERE) == "a"
    assert new.startswith("k2.a.") and later.current_prefix() == "k2.a." and not old.startswith(later.current_prefix())
    assert of({"k1": OLD, "k2": NEW}).decrypt(new, HERE) == "a", "a process that has the new key but does not use it yet"


def test_digests_know_the_normal_form_and_their_purpose() -> None:
    assert CRYPTO.digest("number 111", " １１０１０１199003070１1x ") == CRYPTO.digest("number 111", "11010119900307011X")
    assert CRYPTO.digest("number 111", "1") != CRYPTO.digest("phone", "1")
    assert CRYPTO.digest("phone", "1") != SoftwareProvider({"k1": OLD}, {"a1": AUDIT}, NEW, "sm4-gcm").digest("phone", "1")
    assert CRYPTO.digest("phone", "1") == of({"k2": NEW}).digest("phone", "1"), "keys of encryption rotate, digests stay"


def test_signatures_of_all_keys_at_hand_hold_and_no_others() -> None:
    signature = CRYPTO.sign(b"head")
    later = SoftwareProvider({"k1": OLD}, {"a2": NEW, "a1": AUDIT}, DIGEST, "sm4-gcm")
    assert later.verify(b"head", signature) and later.verify(b"head", later.sign(b"head")) and later.sign(b"head").startswith("a2:")
    assert not CRYPTO.verify(b"head", later.sign(b"head")) and not CRYPTO.verify(b"other", signature)
    assert not any(CRYPTO.verify(b"head", text) for text in ("", "a1", "a1:", f"a1:{'0' * 64}", "a1:é", signature.upper()))


def test_without_settings_keys_are_made_once_and_for_nobody_else(tmp_path: Path) -> None:
    ciphertext = provider(Settings(home=tmp_path)).encrypt("a", HERE)
    assert provider(Settings(home=tmp_path)).decrypt(ciphertext, HERE) == "a"
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == dict.fromkeys(("encryption.key", "audit.key", "digest.key"), 0o600)


def test_keys_of_the_environment_leave_nothing_in_the_home(tmp_path: Path) -> None:
    ring = SecretStr(f"k2:{NEW.hex()}, k1:{OLD.hex()}")
    settings = Settings(home=tmp_path, keys=ring, audit_keys=ring, digest_key=SecretStr("0123456789abcdef"), cipher="aes-256-gcm")
    assert provider(settings).encrypt("a", HERE).startswith("k2.a.") and provider(settings).decrypt(CRYPTO.encrypt("b", HERE), HERE) == "b"
    assert list(tmp_path.iterdir()) == [] and NEW.hex() not in repr(settings)


@pytest.mark.parametrize("ring", ["", "k1", f"k1:{'0' * 63}", f"K1:{'0' * 64}", f"k.1:{'0' * 64}", f"k1:{'0' * 64},k1:{'1' * 64}", f"k1:{'0' * 64},"])
def test_a_wrong_ring_of_keys_is_refused_without_showing_it(ring: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings(keys=SecretStr(ring))
    assert caught.value.errors()[0]["msg"].startswith("Value error, ")
    assert not ring or ring not in str(caught.value)


def test_a_certified_module_takes_the_place_by_a_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "city_module.py").write_text("def attach(settings):\n    return ('module', settings.cipher)\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert provider(Settings(home=tmp_path, crypto_provider="city_module:attach")) == ("module", "sm4-gcm")
    for name in ("nowhere:attach", "city_module:other", "city_module", ":x"):
        with pytest.raises(YiwangError, match="CRYPTO_PROVIDER"):
            provider(Settings(home=tmp_path, crypto_provider=name))
