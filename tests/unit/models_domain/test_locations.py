"""What of a location is shown, and which environment variables a page-edited configuration may name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.domain.locations import shown, variables
from models.domain.settings import SECRETS, Settings

SECRET = st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789!$%^*()_+-.~", min_size=4, max_size=30)


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("data/cases/*.parquet", "data/cases/*.parquet"),
        ("${YIWANG_SOURCE_DB}", "${YIWANG_SOURCE_DB}"),
        ("postgresql://reader:pa55@db.city/cases", "postgresql://***@db.city/cases"),
        ("https://api.city/cases?token=abc&page=1", "https://api.city/cases?token=***&page=***"),
        ("host=db user=me password=pa55 dbname=x", "host=db user=me password=*** dbname=x"),
        ("postgresql://${USER}:${PASSWORD}@db/cases", "postgresql://***@db/cases"),
    ],
)
def test_a_location_is_shown_without_what_lets_somebody_in(location: str, expected: str) -> None:
    assert shown(location) == expected


@given(SECRET)
def test_no_secret_of_an_address_is_shown(secret: str) -> None:
    hidden = f"<{secret}>"
    assert hidden not in shown(f"postgresql://reader:{hidden}@db/cases")
    assert hidden not in shown(f"https://city/cases?key={hidden}&x=1")
    assert hidden not in shown(f"host=db password={hidden}")


def test_only_variables_for_sources_may_be_named() -> None:
    settings = Settings(source_variables="CITY_EXPORT, YIWANG_API_TOKENS,")
    current = "location: ${OLD_FOLDER}/x.csv  # ${YIWANG_SESSION_KEY} ${YIWANG_SOURCE_ROOTS}"
    allowed = variables(settings, current, ["YIWANG_SOURCE_DB", "YIWANG_DIGEST_KEY", "HOME", "AWS_SECRET_ACCESS_KEY"])
    assert allowed == {"CITY_EXPORT", "OLD_FOLDER", "YIWANG_SOURCE_DB"}


@pytest.mark.parametrize("secret", SECRETS)
def test_the_platforms_secrets_may_never_be_named(secret: str) -> None:
    name = f"YIWANG_{secret.upper()}"
    assert name not in variables(Settings(source_variables=name), f"${{{name}}}", [name])
