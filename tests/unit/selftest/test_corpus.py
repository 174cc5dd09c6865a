"""The corpus of attacks: it is in the package, so that an installed gateway has it."""

import subprocess
import tomllib
from collections import Counter
from pathlib import Path

import gateway.selftest.corpus
from gateway.selftest.corpus.answers import HOSTILE_ANSWERS
from gateway.selftest.corpus.paths import HOSTILE_TARGETS
from gateway.selftest.corpus.redirects import PAYLOADS
from gateway.selftest.corpus.requests import HOSTILE_REQUESTS
from gateway.selftest.corpus.tokens import HOSTILE_TOKENS

ROOT = Path(__file__).parents[3]
CORPUS = Path(gateway.selftest.corpus.__path__[0])


def test_no_case_is_lost() -> None:
    """The tables are no shorter than they were when they came into the package."""
    assert len(HOSTILE_REQUESTS) >= 640
    assert len(HOSTILE_TOKENS) >= 220
    assert len(PAYLOADS) >= 249
    assert len(HOSTILE_ANSWERS) >= 127
    assert len(HOSTILE_TARGETS) >= 64


def test_ids_are_unique() -> None:
    """A finding that names a case names one."""
    for names in ([case.id for case in HOSTILE_REQUESTS], [case.id for case in HOSTILE_TOKENS]):
        assert [] == [name for name, times in Counter(names).items() if times > 1]


def test_the_wheel_has_the_corpus() -> None:
    """The wheel holds the whole folder of the package, and nothing keeps the corpus out of it."""
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    assert ["gateway"] == wheel["targets"]["wheel"]["packages"]
    assert not {"exclude", "only-include"} & (wheel.keys() | wheel["targets"]["wheel"].keys())
    files = sorted(str(path.relative_to(ROOT)) for path in CORPUS.glob("*.py"))
    assert "gateway/selftest/corpus/requests.py" in files
    ignored = subprocess.run(  # hatchling leaves out what git ignores
        ["git", "check-ignore", "--no-index", *files], cwd=ROOT, capture_output=True, check=False
    )
    assert b"" == ignored.stdout
