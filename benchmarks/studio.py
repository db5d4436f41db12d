"""How long the studio's pages take with thousands of clips, what memory its server has, and what hearing a microphone
costs.

    python -m benchmarks.studio [--clips 5000] [--seconds 120] [--model MANIFEST]

Clips are drawn noise of 0.75 to 2 s in folders of forty speakers and twenty rooms. The microphone is a program that
sends 48 kHz sound as a browser does, as fast as it is answered. Needs the extras `studio` and `train`, and the group
`test`.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote, urlencode

import numpy as np
import pymicro_wakeword
from websockets.sync.client import connect
from websockets.typing import Origin

from studio.gallery.shelf import SIZE
from studio.live.models import add_model
from tests.studio.servers import StudioServer, studio_server
from trainer.data.clips import write_clip
from wakeword.model.manifest import read_manifest

RATE, BLOCK = 48_000, 2048
MOVES = 20


def make_clips(root: Path, count: int) -> list[str]:
    """Clips of a dataset: three fifths wake words, the others negatives. Their names."""
    draw, names = np.random.default_rng(0), []
    for number in range(count):
        sound = (draw.standard_normal(int(draw.integers(12_000, 32_000))) * 3000).astype(np.int16)
        folder = f"positive/speaker{number % 40:02}" if number < 0.6 * count else f"negative/room{number % 20:02}"
        names.append(f"{folder}/clip{number:05}.wav")
        write_clip(root / names[-1], sound)
    return names


def asked(studio: StudioServer, path: str, method: str = "GET") -> float:
    """Milliseconds until a whole answer is there."""
    connection = http.client.HTTPConnection("127.0.0.1", studio.port, timeout=120)
    headers = {"Host": f"127.0.0.1:{studio.port}", "Cookie": cookie(studio), "Origin": studio.origin}
    began = time.perf_counter()
    connection.request(method, path, headers=headers)
    response = connection.getresponse()
    response.read()
    took = 1000 * (time.perf_counter() - began)
    connection.close()
    assert response.status == 200, (path, response.status)
    return took


def cookie(studio: StudioServer) -> str:
    """What lets this program in."""
    return f"studio_{studio.port}={studio.token}"


def memory(studio: StudioServer) -> int:
    """Resident memory of the server, MB."""
    status = Path(f"/proc/{studio.process.pid}/status").read_text()
    line = next(one for one in status.splitlines() if one.startswith("VmRSS"))
    return round(int(line.split()[1]) / 1024)


def processor(studio: StudioServer) -> float:
    """Seconds of processor time that the server has had (fields 14 and 15 of proc(5))."""
    fields = Path(f"/proc/{studio.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def told(name: str, times: Iterable[float]) -> None:
    """A line of response times, milliseconds."""
    ordered = sorted(times)
    print(f"{name:44} median {statistics.median(ordered):7.1f} ms, slowest of {len(ordered)} {ordered[-1]:7.1f} ms")


def gallery(studio: StudioServer, names: list[str]) -> None:
    """Every page of the list, then moves, then sound."""
    base, pages = "/record/clips/list?dataset=many", -(-len(names) // SIZE)
    print(f"{'memory before':44} {memory(studio)} MB")
    print(f"{'first page, headers are read':44} {asked(studio, '/record/clips?dataset=many'):.0f} ms")
    told("every page, waveforms are computed", [asked(studio, f"{base}&page={one}") for one in range(1, pages + 1)])
    told("every page again", [asked(studio, f"{base}&page={one}") for one in range(1, pages + 1)])
    told("of one speaker", [asked(studio, f"{base}&speaker=speaker07") for _ in range(MOVES)])
    rejected = names[100 : 100 + MOVES]
    moves, after = [], []
    for name in rejected:
        moves.append(asked(studio, f"/record/clips/reject?dataset=many&name={quote(name)}", "POST"))
        after.append(asked(studio, f"{base}&page={pages // 2}"))
    told("reject a clip", moves)
    told("the list after it", after)
    told("sound", [asked(studio, f"/record/clips/sound?dataset=many&name={quote(one)}") for one in names[200:260]])
    print(f"{'memory after':44} {memory(studio)} MB")


def microphone(studio: StudioServer, model: str, seconds: float) -> None:
    """What it costs to hear."""
    sound = (np.random.default_rng(0).standard_normal(round(seconds * RATE)) * 0.05).astype("<f4")
    address = f"ws://127.0.0.1:{studio.port}/listen/hear?{urlencode({'model': model, 'rate': RATE})}"
    times: list[float] = []
    with connect(
        address, origin=Origin(studio.origin), additional_headers={"Cookie": cookie(studio)}, proxy=None
    ) as page:
        assert "wake_word" in json.loads(page.recv())
        before = processor(studio)
        for first in range(0, len(sound), BLOCK):
            began = time.perf_counter()
            page.send(sound[first : first + BLOCK].tobytes())
            page.recv()
            times.append(1000 * (time.perf_counter() - began))
        used = processor(studio) - before
        told(f"a block of {1000 * BLOCK / RATE:.0f} ms of the microphone", times)
        print(f"{'hearing':44} {100 * used / seconds:.1f} % of a core, memory {memory(studio)} MB")


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--clips", type=int, default=5000)
    parser.add_argument("--seconds", type=float, default=120.0)
    official = Path(pymicro_wakeword.__file__).parent / "models" / "alexa.json"
    parser.add_argument("--model", type=Path, default=official)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="studio-load-") as folder, studio_server(Path(folder)) as studio:
        names = make_clips(studio.workspace.datasets / "many", given.clips)
        manifest: Path = given.model
        model = add_model(
            studio.workspace, manifest.name, manifest.read_bytes(), read_manifest(manifest)[1].read_bytes()
        )
        print(f"{given.clips} clips, load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        gallery(studio, names)
        microphone(studio, model, given.seconds)


if __name__ == "__main__":
    main()
