"""`mww-studio`: parse, call, print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from wakeword.command_line import CommandApp, reports_errors
from wakeword.extras import require

studio_app = CommandApp()


@studio_app.command()
@reports_errors
def studio(
    workspace: Annotated[
        Path, typer.Option(help="Folder for everything that is recorded, made and measured; made where it is missing.")
    ] = Path("studio-workspace"),
    port: Annotated[
        int, typer.Option(help="Where it listens on this machine; 0 takes a free one.", min=0, max=65535)
    ] = 7860,
    listen: Annotated[
        Literal["127.0.0.1", "0.0.0.0"],  # noqa: S104 - for a container alone, as the help says
        typer.Option(
            help="Where it can be reached; 0.0.0.0 is for a container alone, whose port is published on 127.0.0.1."
        ),
    ] = "127.0.0.1",
    behind_ingress: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Home Assistant's ingress, 172.30.32.2 for an add-on. It knows who is logged in, so what it asks needs"
            " no token, and nobody else is answered.",
        ),
    ] = None,
) -> None:
    """A local page for what the commands do: from a phrase to a model, its trainings, recordings, results and boards.

    It listens on this machine alone and prints the address to open, which holds a token. Work that was begun in the
    page goes on when page and server are closed.
    """
    for module in ("starlette", "uvicorn", "websockets", "python_multipart"):
        require("mww-studio", module)
    from studio.gateway import Gateway
    from studio.serving import serve
    from studio.workspace import Workspace

    gateway = Gateway.named(behind_ingress) if behind_ingress is not None else None

    def tell(address: str) -> None:
        how = f"open {address}" if gateway is None else f"{address} answers {gateway.address} alone; open it there."
        print(f"Studio of {workspace}: {how}\nCtrl-C ends it; jobs go on.", flush=True)

    serve(Workspace(workspace.absolute()), port, tell, listen, gateway)
