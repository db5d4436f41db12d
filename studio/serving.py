"""The server: on this machine alone, until it is told to stop."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from contextlib import chdir, suppress

import uvicorn

from studio.access import PARAMETER, Door, Entrance, kept_token
from studio.app import create_app
from studio.gateway import Gateway
from studio.workspace import Workspace
from wakeword.errors import ConfigError, InfrastructureError

HERE_ALONE = "127.0.0.1"
MOST_MESSAGE_BYTES = 256 * 1024
"""Of one message of a WebSocket; a page sends blocks of 8 KiB."""


def serve(
    workspace: Workspace,
    port: int,
    tell: Callable[[str], None],
    address: str = HERE_ALONE,
    gateway: Gateway | None = None,
) -> None:
    """Show a workspace until SIGTERM or Ctrl-C.

    Args:
        workspace: What is shown. Jobs go on when this ends.
        port: Where it listens; 0 takes a free one.
        tell: Is given what to open once it can be opened.
        address: Of the network that it listens on. Whatever it is, a browser must have asked for this machine.
        gateway: What alone may ask instead, and needs no token.

    Raises `ConfigError` where the workspace cannot be one or the port is taken, and `InfrastructureError` when another
    server has the workspace.
    """
    # Commands run in the workspace: what is looked at before they begin has the same relative paths.
    with workspace.served(), chdir(workspace.root), _listening(address, port) as listener:
        port = listener.getsockname()[1]
        where = f"http://{HERE_ALONE}:{port}/"
        entrance: Entrance
        if gateway is None:
            entrance = Door(kept_token(workspace.own / "token"), port)
            where += f"?{PARAMETER}={entrance.token}"
        else:
            entrance = gateway
        config = uvicorn.Config(
            create_app(workspace, entrance),
            log_level="warning",
            access_log=False,  # an address may hold the token
            server_header=False,
            proxy_headers=False,  # who asks is told by the kernel, not by what asks
            ws_max_size=MOST_MESSAGE_BYTES,
            timeout_graceful_shutdown=2,
            lifespan="off",
        )
        # Uvicorn hands the signal that ended it on; a service that is told to stop has done its work.
        with suppress(KeyboardInterrupt):
            # It listens already: who opens the address now waits a moment.
            tell(where)
            uvicorn.Server(config).run(sockets=[listener])


def _listening(address: str, port: int) -> socket.socket:
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise ConfigError(f"port {port} is in use; give another --port, or 0 for a free one") from error
        if error.errno == errno.EACCES:
            raise ConfigError(f"port {port} is the system's; give one above 1023") from error
        raise InfrastructureError(f"port {port}: {error.strerror}") from error
    return listener
