"""Where a config is read, again and again: its file, the files it names, and when they change."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from gateway.config.load import load_text, parse, read_file
from gateway.config.schema import Settings
from gateway.util.file_stamp import Stamp, stamp_if_there


class ConfigSnapshot(NamedTuple):
    """A config as it was read at one time, so that several processes can read the same."""

    name: str
    text: str
    files: Mapping[str, str]
    """What stood in the files behind ``${file:…}``, by their paths."""

    def settings(self, env: Mapping[str, str]) -> Settings:
        """What it says. Raises `ConfigError`."""
        return parse(self.text, self.name, env, self._file)

    def _file(self, path: str) -> str:
        try:
            return self.files[path]
        except KeyError:
            raise FileNotFoundError(2, "was not read", path) from None


class ConfigFile:
    """A config file. It is watched by asking: that sees swapped symlinks and works on any disk."""

    def __init__(self, path: Path, env: Mapping[str, str]) -> None:
        self._path = path
        self._env = env
        self._read: dict[str, Stamp | None] = {}
        """What was read last, and how it looked just before."""
        self._seen: dict[str, Stamp | None] = {}

    def load(self) -> tuple[Settings, ConfigSnapshot]:
        """What it says now. Raises `ConfigError`."""
        self._read, self._seen = {}, {}
        files: dict[str, str] = {}

        def read(path: str) -> str:
            files[path] = text = self._noted(path)
            return text

        self._stamp(str(self._path))
        text = load_text(self._path)
        settings = parse(text, str(self._path), self._env, read)
        return settings, ConfigSnapshot(str(self._path), text, files)

    def has_changed(self) -> bool:
        """
        Whether a file is another one than was read, and the same as when this was asked last.

        So a file that is still being written is not read yet.
        """
        seen, self._seen = self._seen, {path: stamp_if_there(path) for path in self._read}
        return self._seen not in (self._read, {}) and self._seen == seen

    def _noted(self, path: str) -> str:
        self._stamp(path)
        return read_file(path)

    def _stamp(self, path: str) -> None:
        self._read.setdefault(path, stamp_if_there(path))
