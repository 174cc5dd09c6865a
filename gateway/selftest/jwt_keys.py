"""Keys that stand in for those of the JWT issuers of a config, and JWTs signed by them."""

import json
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey

from gateway.config.credentials import JwtIssuerSettings

_CURVES: Final = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
_RSA_BITS: Final = 2048

SigningJwk = ECKey | OKPKey | RSAKey


class JwtKeys:
    """A key for each issuer of JWTs, by its place in the config."""

    def __init__(self, issuers: Sequence[JwtIssuerSettings], lifetime_s: float) -> None:
        self._issuers = issuers
        self._lifetime_s = int(lifetime_s)
        self._algorithms = [_fastest(entry.algorithms) for entry in issuers]
        self._keys = [_key(algorithm) for algorithm in self._algorithms]

    def written(self, folder: Path) -> dict[int, Path]:
        """Write a key set for each issuer into ``folder``; return the files."""
        files = {}
        for place, key in enumerate(self._keys):
            files[place] = folder / f"{place}.jwks.json"
            files[place].write_text(json.dumps(KeySet([key]).as_dict(private=False)))
        return files

    def sign(self, place: int, subject: str, **claims: object) -> str:
        """Sign a JWT of the issuer at ``place`` for ``subject``."""
        entry, now_s = self._issuers[place], int(time.time())
        said: dict[str, Any] = {
            "iss": entry.issuer,
            "sub": subject,
            "iat": now_s,
            "exp": now_s + self._lifetime_s,
            **claims,
        }
        if entry.audience:
            said["aud"] = entry.audience
        if entry.azp:
            said["azp"] = entry.azp[0]
        algorithm, key = self._algorithms[place], self._keys[place]
        header = {"alg": algorithm, "kid": key.kid}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)  # RFC 9864 deprecates EdDSA's name
            return jwt.encode(header, said, key, algorithms=[algorithm])


def _fastest(algorithms: Sequence[str]) -> str:
    """Choose an algorithm whose keys are made at once: RSA's take a while. EdDSA is deprecated."""
    return min(algorithms, key=lambda name: (name == "EdDSA", name[0] in "RP"))


def _key(algorithm: str) -> SigningJwk:
    parameters: Any = {"use": "sig", "alg": algorithm}
    if algorithm in _CURVES:
        return ECKey.generate_key(_CURVES[algorithm], parameters, auto_kid=True)
    if algorithm in ("EdDSA", "Ed25519"):
        return OKPKey.generate_key("Ed25519", parameters, auto_kid=True)
    return RSAKey.generate_key(_RSA_BITS, parameters, auto_kid=True)
