"""The config file on disk: reading it with the files it names, and detecting changes."""

from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from gateway.config.document import Document
from gateway.config.lint_written import keys_that_reloads_keep, rotated_keys
from gateway.config.load import load_text, parse, parse_document, read_file
from gateway.config.schema import Settings
from gateway.util.file_stamp import Stamp, stamp_if_there


class ConfigSnapshot(NamedTuple):
    """The text of a config and of the files it names, so that all workers parse the same."""

    name: str
    text: str
    files: Mapping[str, str]
    """Texts of the files behind ``${file:…}``, by path."""

    def settings(self, env: Mapping[str, str]) -> Settings:
        """Parse the snapshot without reading files. Raises `ConfigError`."""
        return parse(self.text, self.name, env, self._file)

    def _file(self, path: str) -> str:
        try:
            return self.files[path]
        except KeyError:
            raise FileNotFoundError(2, "was not read", path) from None


class ConfigFile:
    """A config file. Changes are found by polling: it sees swapped symlinks, on any file system."""

    def __init__(self, path: Path, env: Mapping[str, str]) -> None:
        self._path = path
        self._env = env
        self._loaded: dict[str, Stamp | None] = {}
        """Files of the last `load`, and their stamps just before it read them."""
        self._seen: dict[str, Stamp | None] = {}
        """The same files, and their stamps at the last `has_changed`."""
        self._written: Document | None = None
        self.warnings: tuple[str, ...] = ()
        """About the last `load`, for the log."""
        self.sha256 = ""
        """Hash of the text of the last `load`, in hex; also where it was refused."""

    @property
    def path(self) -> Path:
        """Where it is."""
        return self._path

    def load(self) -> tuple[Settings, ConfigSnapshot]:
        """Read and parse the file and the files it names. Raises `ConfigError`."""
        before, self._loaded, self._seen = self._loaded, {}, {}
        files: dict[str, str] = {}

        def read(path: str) -> str:
            self._stamp(path)
            files[path] = text = read_file(path)
            return text

        self._stamp(str(self._path))
        text = load_text(self._path)
        self.sha256 = sha256(text.encode()).hexdigest()
        settings, written, _ = parse_document(text, str(self._path), self._env, read)
        is_same = self._loaded == before
        self.warnings = tuple(self._stale_keys(written, is_same=is_same))
        self._written = written
        return settings, ConfigSnapshot(str(self._path), text, files)

    def _stale_keys(self, written: Document, *, is_same: bool) -> Iterator[str]:
        """
        Warn of keys in variables of the environment, which keep the values of the start.

        That concerns an operator who has changed the list of keys, or who has changed no file at
        all and asks for a reload, as it seems for a variable.
        """
        before = self._written
        if before is None:
            return
        if is_same or rotated_keys(written) != rotated_keys(before):
            for problem in keys_that_reloads_keep(written):
                yield problem.text(str(self._path), written.lines)

    def has_changed(self) -> bool:
        """
        Whether a file differs from the one that was loaded, and did not change since the last call.

        The second condition avoids loading a file that is still being written.
        """
        seen, self._seen = self._seen, {path: stamp_if_there(path) for path in self._loaded}
        return self._seen not in (self._loaded, {}) and self._seen == seen

    def _stamp(self, path: str) -> None:
        self._loaded.setdefault(path, stamp_if_there(path))
