"""Reading a config again when its files change."""

import os
from hashlib import sha256
from pathlib import Path

import pytest

from gateway.config.source import ConfigFile, ConfigSnapshot
from gateway.core.errors import ConfigError
from tests.unit.config.conftest import ENV, SECTIONS

KEY = "k" * 32


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text(KEY)
    return path


@pytest.fixture
def file(tmp_path: Path, secret: Path) -> Path:
    """A config that names another file."""
    path = tmp_path / "gateway.yaml"
    sections = {**SECTIONS, "session": f"session: {{keys: ['${{file:{secret}}}']}}"}
    path.write_text("\n".join(sections.values()))
    return path


def changes(config: ConfigFile, times: int) -> list[bool]:
    return [config.has_changed() for _ in range(times)]


def test_a_file_knows_its_path_and_the_hash_of_its_text(file: Path) -> None:
    """As the audit log names a config that was read."""
    config = ConfigFile(file, ENV)
    config.load()
    assert (file, sha256(file.read_bytes()).hexdigest()) == (config.path, config.sha256)


def test_a_snapshot_does_not_change(file: Path, secret: Path) -> None:
    """Workers parse the config that the supervisor read, even if the files are gone."""
    settings, snapshot = ConfigFile(file, ENV).load()
    file.unlink()
    secret.unlink()
    assert settings == snapshot.settings(ENV)
    assert KEY == settings.session.keys[0].get_secret_value()


def test_a_snapshot_holds_what_was_read(file: Path) -> None:
    """A snapshot reads no file that is not part of it."""
    with pytest.raises(ConfigError, match="cannot read"):
        ConfigSnapshot("gateway.yaml", file.read_text(), {}).settings(ENV)


def test_unchanged(file: Path) -> None:
    """A config that was not loaded yet, or whose files are unchanged, has not changed."""
    config = ConfigFile(file, ENV)
    assert not config.has_changed()
    config.load()
    assert [False, False] == changes(config, 2)


@pytest.mark.parametrize("name", ["gateway.yaml", "secret"])
def test_changed(file: Path, name: str) -> None:
    """A change is reported from the second equal look on, until the config is loaded again."""
    config = ConfigFile(file, ENV)
    config.load()
    with (file.parent / name).open("a") as changed:
        changed.write("# more")
    assert [False, True, True] == changes(config, 3)
    config.load()
    assert [False, False] == changes(config, 2)


def test_written_slowly(file: Path) -> None:
    """A file that is still being written is not reported yet."""
    config = ConfigFile(file, ENV)
    config.load()
    for _ in range(3):
        file.write_text(file.read_text() + "#")
        assert not config.has_changed()
    assert config.has_changed()


def test_swapped_symlinks(file: Path) -> None:
    """Kubernetes replaces the folder of a config map by swapping a symlink."""
    old, new, link = (file.parent / name for name in ("old", "new", "link"))
    for folder in (old, new):
        folder.mkdir()
        (folder / "gateway.yaml").write_text(file.read_text())
        os.utime(folder / "gateway.yaml", (1, 1))
    link.symlink_to(old)
    config = ConfigFile(link / "gateway.yaml", ENV)
    config.load()

    link.unlink()
    link.symlink_to(new)
    assert [False, True] == changes(config, 2)


def test_unreadable_files_are_watched(file: Path, secret: Path) -> None:
    """A missing file that appears is a change, and so is a config that is removed."""
    config = ConfigFile(file, ENV)
    secret.unlink()
    with pytest.raises(ConfigError, match="cannot read"):
        config.load()
    assert [False, False] == changes(config, 2)
    secret.write_text(KEY)
    assert [False, True] == changes(config, 2)
    file.unlink()
    with pytest.raises(ConfigError, match="cannot be read"):
        config.load()


def keys(path: Path, *written: str) -> None:
    """Write a config with these keys of sessions."""
    sections = {**SECTIONS, "session": f"session: {{keys: {list(written)}}}"}
    path.write_text("\n".join(sections.values()))


def warnings(config: ConfigFile) -> list[str]:
    """Load the config; return the warnings."""
    config.load()
    return [*config.warnings]


OLD_VALUES = ("a reload reads the environment of the start", "${file:/path}")


def test_keys_in_variables_are_those_of_the_start(tmp_path: Path) -> None:
    """A reload that was asked for without any change, or after one of the keys, says so."""
    path = tmp_path / "gateway.yaml"
    keys(path, "${OLD}")
    config = ConfigFile(path, {**ENV, "OLD": KEY, "NEW": KEY})
    assert [] == warnings(config)
    (warning,) = warnings(config)
    assert f"{path}:3: session.keys[0]: " in warning
    assert all(part in warning for part in OLD_VALUES)
    keys(path, "${NEW}", "${OLD}")
    assert 2 == len(warnings(config))


def test_other_changes_say_nothing_of_keys(tmp_path: Path) -> None:
    """An operator who changed another part of the file is not told again."""
    path = tmp_path / "gateway.yaml"
    keys(path, "${OLD}")
    config = ConfigFile(path, {**ENV, "OLD": KEY})
    config.load()
    path.write_text(path.read_text() + "\nlogin: {enabled: false}\n")
    config.load()
    assert () == config.warnings


def test_keys_in_files_are_rotated_by_a_reload(file: Path, secret: Path) -> None:
    """The new text of a file is used, without a warning."""
    config = ConfigFile(file, ENV)
    config.load()
    secret.write_text("n" * 32)
    settings, _ = config.load()
    assert ("n" * 32, ()) == (settings.session.keys[0].get_secret_value(), config.warnings)
