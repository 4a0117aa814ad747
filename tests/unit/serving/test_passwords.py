"""Rules of passwords, one-time codes, and the file of the local provider's users."""

import string
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from models.core.access.passwords import LONGEST, Rules, faults, hashed, is_due, matches
from models.domain.errors import YiwangError
from serving.auth.provider import totp
from serving.auth.provider.users import Users
from serving.cli.provider import app

AT = datetime(2026, 3, 2, tzinfo=UTC)
GOOD = "Qingfeng-2026"


@pytest.mark.parametrize(
    ("password", "wrong"),
    [(GOOD, 0), ("Ab1-xyz", 1), ("Abcdefgh", 1), ("abcdefg1", 1), ("ABCDEFG1-", 0), ("清风明月楼Ab1", 0), ("Zhangsan-2026", 1), ("naSgnahz-1", 1), ("zhangsan", 2),
     ("", 2), ("Aa1-" * 60, 1)],
)  # fmt: skip
def test_a_password_has_length_kinds_and_not_the_account(password: str, wrong: int) -> None:
    assert len(faults(password, "zhangsan", Rules())) == wrong


@given(st.text(st.sampled_from(string.ascii_letters + string.digits + "-_！ "), max_size=30))
def test_what_is_taken_is_long_and_mixed(password: str) -> None:
    kinds = [any(each.islower() for each in password), any(each.isupper() for each in password), any(each.isdigit() for each in password),
             any(not each.isalnum() for each in password)]  # fmt: skip
    assert (faults(password, "", Rules()) == []) == (len(password) >= 8 and sum(kinds) >= 3)


def test_recent_passwords_do_not_come_back() -> None:
    earlier = [hashed(f"Qingfeng-{number}") for number in (3, 2, 1)]
    assert [len(faults(f"Qingfeng-{number}", "", Rules(history=1), earlier)) for number in (2, 1)] == [1, 0]


@settings(max_examples=3)
@given(st.text(min_size=1, max_size=40), st.text(min_size=1, max_size=40))
def test_a_hash_knows_its_password_only_and_is_never_the_same(password: str, other: str) -> None:
    kept = hashed(password)
    assert matches(password, kept) and matches(other, kept) == (other == password) and kept != hashed(password) and password not in kept.split("$")


@pytest.mark.parametrize("kept", ["", "x", "scrypt$1$2$3$4", "bcrypt$16384$8$5$AAAA$AAAA", "scrypt$a$8$5$AAAA$AAAA", "scrypt$16384$8$5$?$?"])
def test_what_is_no_hash_is_said(kept: str) -> None:
    with pytest.raises(YiwangError) as caught:
        matches("x", kept)
    assert caught.value.code == "YW-ACCESS-008"


def test_a_password_is_due_after_its_days() -> None:
    assert not is_due(AT, AT + timedelta(days=89, hours=23), Rules()) and is_due(AT, AT + timedelta(days=90), Rules())


@pytest.mark.parametrize(("at", "expected"), [(59, "287082"), (1111111109, "081804"), (1111111111, "050471"), (1234567890, "005924"), (2000000000, "279037"), (20000000000, "353130")])
def test_codes_are_those_of_rfc_6238(at: int, expected: str) -> None:
    assert totp.code("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", totp.step_at(datetime.fromtimestamp(at, UTC))) == expected


def test_a_code_counts_once_and_for_a_minute_and_a_half() -> None:
    secret, here = totp.new_secret(), totp.step_at(AT)
    for distance in (-2, -1, 0, 1, 2):
        taken = totp.accepted(secret, totp.code(secret, here + distance), AT, -1)
        assert taken == (here + distance if abs(distance) < 2 else None)
    given = totp.code(secret, here)
    assert totp.accepted(secret, f"{given[:3]} {given[3:]}", AT, here - 1) == here and totp.accepted(secret, given, AT, here) is None
    assert totp.accepted(secret, "", AT, -1) is None and totp.accepted(secret, "一二三四五六", AT, -1) is None


def test_users_are_kept_privately_and_only_with_good_passwords(tmp_path: Path) -> None:
    users = Users(tmp_path / "home" / "login-users.json")
    assert users.all() == {}
    users.set("zhang", GOOD, Rules(), AT, name="张某", claims={"unit": "B01"})
    again = users.set("zhang", GOOD + "!", Rules(), AT + timedelta(days=1))
    assert again.name == "张某" and again.claims == {"unit": "B01"} and len(again.passwords) == 2
    assert users.all()["zhang"] == again and (tmp_path / "home" / "login-users.json").stat().st_mode & 0o777 == 0o600
    assert GOOD not in (tmp_path / "home" / "login-users.json").read_text()
    for account, password, claims in (("zhang", GOOD, {}), ("zhang", "short", {}), ("li si", GOOD, {}), ("", GOOD, {}), ("li", GOOD, {"sub": "zhang"}), ("li", GOOD, {"amr": ["otp"]})):
        with pytest.raises(YiwangError) as caught:
            users.set(account, password, Rules(), AT, claims=claims)
        assert caught.value.code == "YW-ACCESS-008"
    (tmp_path / "home" / "login-users.json").write_text("{}")
    with pytest.raises(YiwangError):
        users.all()
    assert LONGEST >= 64


def test_the_command_keeps_users_and_serves_on_this_machine_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YIWANG_HOME", str(tmp_path))
    run = CliRunner()
    made = run.invoke(app, ["user", "zhang", "--name", "张某", "--otp", "--home", str(tmp_path)], input=f"{GOOD}\n{GOOD}\n")
    assert made.exit_code == 0 and "otpauth://totp/" in made.output and GOOD not in made.output
    assert Users(tmp_path / "login-users.json").all()["zhang"].otp
    refused = run.invoke(app, ["user", "zhang", "--home", str(tmp_path)], input="short\nshort\n")
    assert refused.exit_code == 2 and "YW-ACCESS-008" in refused.output
    assert run.invoke(app, ["user", "li", "--claims", "[]", "--home", str(tmp_path)], input=f"{GOOD}\n{GOOD}\n").exit_code == 2
    outside = run.invoke(app, ["serve", "--host", "0.0.0.0", "--home", str(tmp_path)])  # noqa: S104
    assert outside.exit_code == 2 and "YW-ACCESS-007" in outside.output
