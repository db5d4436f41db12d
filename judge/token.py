"""The token that a client of the HTTP service shows. It is never printed, and compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
import os
from pathlib import Path

from wakeword.errors import ConfigError
from wakeword.reading import read_text

VARIABLE = "MWW_JUDGE_TOKEN"
SHORTEST = 16
"""Characters; `openssl rand -hex 32` gives 64."""
_SCHEME = "bearer"


class Token:
    """A secret of which only a hash is kept."""

    def __init__(self, secret: str, source: str) -> None:
        """`source` names where the secret is from. Raises `ConfigError` for one that could be guessed or typed into no
        header.
        """
        if len(secret) < SHORTEST or not secret.isascii() or not secret.isprintable() or " " in secret:
            raise ConfigError(
                f"{source}: a token has {SHORTEST} or more letters, digits and signs without spaces; make one with"
                " openssl rand -hex 32"
            )
        self.source = source
        self._digest = _digest(secret.encode())

    def fits(self, authorization: bytes) -> bool:
        """Whether a header `Authorization: Bearer TOKEN` holds it. Hashes of one length are compared, so the time tells
        nothing of the token, nor of its length.
        """
        scheme, _, given = authorization.strip().partition(b" ")
        return hmac.compare_digest(_digest(given.strip()), self._digest) and scheme.lower() == _SCHEME.encode()


def read_token(file: Path | None) -> Token:
    """The token of a file, else of the environment. Raises `ConfigError` where there is none, or none that will do."""
    if file is not None:
        return Token(read_text(file, "give a file that holds the token alone").strip(), str(file))
    secret = os.environ.get(VARIABLE)
    if secret is None:
        raise ConfigError(
            f"the HTTP service needs a token: set {VARIABLE}, give --token-file, or leave the service out with"
            " --http off"
        )
    return Token(secret.strip(), VARIABLE)


def _digest(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()
