"""Models and manifests are files: addresses and names of a collection, which ESPHome would download, are refused in one
line.
"""

from __future__ import annotations

import re
from pathlib import Path

from wakeword.errors import ConfigError

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+(.+)")
_NAME = re.compile(r"[A-Za-z0-9_-]+")


def refuse_address(path: Path) -> None:
    """Raise `ConfigError` for what ESPHome would fetch: an address (https://, github://), or a bare name such as
    okay_nabu that is no file here.
    """
    given = str(path)
    if (address := _ADDRESS.fullmatch(given)) is not None:
        # A path holds one slash where the address had two.
        raise ConfigError(
            f"{address[1]}://{address[2]}: addresses are not fetched: download model and manifest, then give the path"
            " of the manifest"
        )
    if _NAME.fullmatch(given) and not path.exists():
        raise ConfigError(
            f"{given}: no such file, and names and addresses are not fetched: download model and manifest, then give"
            " the path of the manifest"
        )
