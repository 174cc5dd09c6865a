"""Commands that an ACL user needs."""

import re
from pathlib import Path

from gateway.store.permissions import COMMANDS, acl_rules

PACKAGE = Path("gateway")


def test_every_command_of_a_script_is_listed() -> None:
    """A user with these permissions can run all scripts of the package."""
    scripts = [path.read_text("utf-8") for path in PACKAGE.rglob("*.lua")]
    called = {
        name.lower() for text in scripts for name in re.findall(r"redis\.call\(['\"](\w+)", text)
    }

    assert called
    assert set() == called - {name for group in COMMANDS.values() for name in group}


def test_the_rules_name_the_prefix() -> None:
    """Neither other keys nor other commands are allowed."""
    rules = acl_rules("gw:")

    assert ["~gw:*", "&gw:*", "-@all"] == rules[:3]
    assert {"+"} == {rule[0] for rule in rules[3:]}
    assert "+flushall" not in rules


def test_the_documentation_shows_these_rules() -> None:
    """They can be pasted."""
    page = Path("docs/redis.md").read_text("utf-8").splitlines()
    [shown] = [line for line in page if line.startswith("ACL SETUSER gateway on")]

    assert acl_rules("gw:") == shown.split()[5:]
