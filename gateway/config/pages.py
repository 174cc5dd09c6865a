"""Section ``pages``: templates of operators for the gateway's own pages."""

from gateway.config.section import Section
from gateway.config.texts import OptionalText


class PagesSettings(Section):
    """The gateway's own pages: templates that replace those that come along, and places."""

    templates: OptionalText = ""
    """
    Folder of Jinja templates, read at the start and at a reload: error.html, or one for a status
    such as 404.html, login.html, callback.html, account.html, logout.html, signed-out.html,
    base.html. They run in a sandbox. None when empty.
    """

    places: OptionalText = ""
    """
    Database of places in MaxMind's format, such as GeoLite2-City.mmdb, opened at the start and at a
    reload: the account page and the dashboard name the place of each session. None when empty.
    """
