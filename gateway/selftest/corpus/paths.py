"""
Targets that two readers may take for two paths, public and private.

``/public`` stands for the path of a public route, ``/private`` for that of a protected one.
"""

from typing import Final

HOSTILE_TARGETS: Final = (
    *(
        "/",
        "/private",
        "/private?x=1",
        "/private/",
        "/public",
        "/public/x",
        "/publicx",
        "/PUBLIC/x",
    ),
    *("/public/../private", "/public/./x", "/public/..", "/private/..;/public/x", "/public/..;x/"),
    *("/public/%2e%2e/private", "/public/%2E%2e/private", "/public/%252e%252e/private", "/%2e/x"),
    *("//public/x", "/public//x", "/public/x//", "/public\\..\\private", "/public%5c..%5cprivate"),
    *("/public%2fx", "/public%2F..%2Fprivate", "/slashes/a%2Fb", "/slashes/a%5Cb", "/slashes/%2e"),
    *("/public/x#y", "/public/x#/../private", "/private#/public/x", "/public/%23", "/%70ublic/x"),
    *("/public;x/y", "/public/;/x", "/;/public/x", "/public%3Bx", "/%70rivate", "/public/x;y=z"),
    *("/public/%00", "/public/%0d%0a", "/public/%zz", "/public/%", "/public/%c0%ae%c0%ae/x"),
    *("/public/\u00e9", "/public/%C3%A9", "/public/%40x", "/%40public/x", "/public/x?a#b"),
    *("http://localhost/public/x", "http://localhost/private", "http://evil/public/x", "*", "x"),
    *("https://localhost/public/x", "ftp://localhost/public/x", "http://a@localhost/public/x"),
    *("", "/public/x y", "?", "/public/x?../../private", "/optional/x", "/raw/x", "/_gateway/x"),
    "/public/" + "a" * 9000,
)
