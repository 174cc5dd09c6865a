"""Places of addresses."""

from pathlib import Path

import pytest

from gateway.core.errors import StartError
from gateway.sessions.places import PlaceDatabase
from tests.fakes.places import CITIES, write


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("places") / "cities.mmdb", CITIES)


@pytest.mark.parametrize(
    ("address", "language", "expected"),
    [
        ("81.2.69.142", "en", "London, United Kingdom"),
        ("81.2.69.142", "de-AT", "London, Vereinigtes Königreich"),
        ("81.2.69.142", "fr", "Londres, United Kingdom"),
        ("81.2.69.142", "nl", "London, United Kingdom"),
        ("::ffff:81.2.69.142", "en", "London, United Kingdom"),
        ("89.160.20.1", "de", "Schweden"),
        ("103.6.92.9", "en", "Singapore"),
        ("2a02:d300::1", "en", "Ukraine"),
        ("8.8.8.8", "en", ""),
        ("10.1.2.3", "en", ""),
        ("127.0.0.1", "en", ""),
        ("", "en", ""),
        ("unix", "en", ""),
    ],
)
def test_the_place_of_an_address(file: Path, address: str, language: str, expected: str) -> None:
    """In the language of the page, else in English; none for private and unknown addresses."""
    with PlaceDatabase(str(file)) as places:
        assert expected == places.place(address, language)


async def test_the_places_of_a_list(file: Path) -> None:
    """Those that are known, by address; none at all without a database."""
    with PlaceDatabase(str(file)) as places:
        found = await places.find(["89.160.20.1", "127.0.0.1", "89.160.20.1"], "en")
    assert {"89.160.20.1": "Sweden"} == found
    with PlaceDatabase("") as places:
        assert {} == await places.find(["89.160.20.1"], "en")
        assert (False, "") == (places.has_names(), places.place("89.160.20.1", "en"))


@pytest.mark.parametrize(
    "record",
    [
        "London",
        {"city": "London"},
        {"city": {"names": "London"}},
        {"city": {"names": {"en": 5}}},
        {"city": {"names": {"en": ""}}, "country": []},
        {"autonomous_system_number": 5},
    ],
)
def test_records_of_another_kind(tmp_path: Path, record: object) -> None:
    """They have no place."""
    with PlaceDatabase(str(write(tmp_path / "a.mmdb", {"81.2.69.0/24": record}))) as places:
        assert ("", False) == (places.place("81.2.69.1", "en"), places.has_names())


def test_a_database_with_names(file: Path) -> None:
    """One of its records names a city or a country."""
    with PlaceDatabase(str(file)) as places:
        assert places.has_names()


def test_a_damaged_record(file: Path, tmp_path: Path) -> None:
    """It has no place, others keep theirs; so too where the open file is shortened."""
    whole = file.read_bytes()
    damaged = tmp_path / "damaged.mmdb"
    damaged.write_bytes(
        whole.replace(b"ELondon", b"E\xff\xfendon").replace(b"Sweden", b"Sw\xffden")
    )
    with PlaceDatabase(str(damaged)) as places:
        assert "" == places.place("89.160.20.1", "en")
        assert "Ukraine" == places.place("2a02:d300::1", "en")
        damaged.write_bytes(whole[:100])
        assert "" == places.place("2a02:d300::1", "en")
        assert not places.has_names()


@pytest.mark.parametrize("contents", [b"", b"rubbish", b"\xab\xcd\xefMaxMind.com", None])
def test_a_file_that_is_no_database(tmp_path: Path, contents: bytes | None) -> None:
    """The start names it."""
    file = tmp_path / "cities.mmdb"
    if contents is not None:
        file.write_bytes(contents)
    with pytest.raises(StartError, match=r"pages\.places: .*cities\.mmdb: "):
        PlaceDatabase(str(file))
