"""The files of the dashboard: read once, named by their contents, cached by browsers for good."""

import html
from functools import cache
from typing import NamedTuple

from gateway.util.static_files import StaticFile, read_static, static_file, version_of


class DashboardFiles(NamedTuple):
    """All files, under one version that changes with any of them."""

    version: str
    files: dict[str, StaticFile]

    def page(self, name: str, *, shows_alert: bool = False) -> StaticFile:
        """Return an HTML file, with the version of the files that it names."""
        body = self.files[name].body.replace(b"{version}", self.version.encode())
        return static_file(name, body.replace(b" hidden>", b">") if shows_alert else body)

    def page_below(self, name: str, prefix: str) -> StaticFile:
        """
        Return an HTML file whose links lead below ``prefix``.

        The page is found with and without a slash at the end of its path, and its links are
        relative.
        """
        base = f'<base href="{html.escape(prefix)}/">'.encode()
        return static_file(name, self.page(name).body.replace(b"<head>", b"<head>\n" + base, 1))

    def denied(self, why: str) -> StaticFile:
        """Return the page that says why nothing is shown, in plain words."""
        reason = html.escape(why[:1].upper() + why[1:])
        body = self.page("denied.html").body.replace(b"{why}", reason.encode())
        return static_file("denied.html", body)


@cache
def assets() -> DashboardFiles:
    """Return the files of the package."""
    found = read_static("gateway.admin")
    prepared = {name: static_file(name, body) for name, body in found.items()}
    return DashboardFiles(version_of(found), prepared)
