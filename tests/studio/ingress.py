"""Home Assistant's ingress as a studio sees it, by a real nginx: another address than the user's, and a path before."""

from __future__ import annotations

import select
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.studio.servers import SOON_S

ADDRESS = "127.0.0.2"
"""Where the gateway's connections come from; all of 127.0.0.0/8 is this machine."""
PREFIX = "/api/hassio_ingress/Zz9_-a.b~c"
"""What it takes off each address."""
_CONFIGURATION = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr notice;
events {{ }}
http {{
  access_log off;
  client_max_body_size 0;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
  server {{
    listen 127.0.0.1:{port};
    location {prefix}/ {{
      proxy_pass http://127.0.0.1:{studio}/;
      proxy_bind {address};
      proxy_http_version 1.1;
      proxy_request_buffering off;
      proxy_set_header Host $http_host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_set_header X-Ingress-Path {told};
      proxy_set_header X-Forwarded-Host $http_host;
      proxy_set_header X-Forwarded-Proto {scheme};
      proxy_set_header X-Forwarded-For $remote_addr;
    }}
  }}
}}
"""


@contextmanager
def ingress(studio_port: int, folder: Path, told: str = PREFIX, scheme: str = "$scheme") -> Iterator[int]:
    """The port of an nginx that has a studio below `PREFIX` and nothing elsewhere; `told` is the path that it tells the
    studio, `scheme` how it says that the browser came.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "nginx.conf"
    file.write_text(
        _CONFIGURATION.format(
            folder=folder, port=port, prefix=PREFIX, studio=studio_port, address=ADDRESS, told=told, scheme=scheme
        )
    )
    process = subprocess.Popen(
        ["nginx", "-p", str(folder), "-e", "stderr", "-c", str(file)], stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        said = ""
        while "event method" not in said:  # it listens before it says so
            assert select.select([process.stderr], [], [], SOON_S)[0], said
            line = process.stderr.readline()
            assert line, said
            said += line
        yield port
    finally:
        process.terminate()
        process.communicate(timeout=SOON_S)
