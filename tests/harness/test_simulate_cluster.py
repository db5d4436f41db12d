"""`mww-simulate` on a cluster: the same lines and results as without, also when a worker is killed in the middle."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.clusters import DEADLINE_S, LocalCluster, local_cluster
from tests.commands import Run, command, environment, one_line_error
from wakeword.cluster.connection import working_on
from wakeword.device_model import load_model
from wakeword.presentation import CLIPS
from wakeword.simulation.board import hear
from wakeword.simulation.simulate import Options


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Twelve recordings of two minutes, of noise whose loudness changes."""
    folder, rng, paths = tmp_path_factory.mktemp("long"), np.random.default_rng(8), []
    for index in range(12):
        loudness = np.repeat(rng.uniform(0, 6000, 1200), 1600)
        paths.append(folder / f"{index:02}.wav")
        soundfile.write(paths[-1], (rng.normal(0, 0.4, len(loudness)) * loudness).astype(np.int16), 16_000)
    return paths


@pytest.mark.parametrize("layout", [("--mode", "clips"), ("--mode", "stream")], ids=["clips", "stream"])
def test_lines_are_the_same(
    run: Run, cluster: LocalCluster, manifest: Path, recordings: list[Path], tmp_path: Path, layout: tuple[str, str]
) -> None:
    for name, place in (("here", ()), ("there", ("--cluster", cluster.address))):
        done = run(
            "mww-simulate", manifest, recordings[0].parent, *layout, *place, "--json", f"{name}.jsonl", folder=tmp_path
        )
        assert done.returncode == 0, done.stderr
        (tmp_path / "cache").rename(tmp_path / f"cache of {name}")
    assert (tmp_path / "here.jsonl").read_bytes() == (tmp_path / "there.jsonl").read_bytes()
    kept = [contents(tmp_path / f"cache of {name}") for name in ("here", "there")]
    assert kept[0] == kept[1]
    assert len(kept[0]) == (len(recordings) if "clips" in layout else 1)


def contents(cache: Path) -> dict[Path, bytes]:
    return {path.relative_to(cache): path.read_bytes() for path in cache.rglob("*") if path.is_file()}


def test_a_killed_worker_changes_nothing(
    cluster: LocalCluster, manifest: Path, recordings: list[Path], tmp_path: Path
) -> None:
    model, killed = load_model(manifest, None, None), list[float]()

    def kill_once(seconds: float) -> None:
        if seconds and not killed:
            killed.append(seconds)
            cluster.kill_a_worker()

    alone = hear(model, recordings, CLIPS, Options(jobs=1, cache_folder=tmp_path / "alone"))
    before = set(cluster.processes())
    with working_on(cluster.address, read=recordings, written=[tmp_path / "shared"]):
        spread = hear(model, recordings, CLIPS, Options(cache_folder=tmp_path / "shared"), kill_once)
    cluster.whole(2)
    assert len(before - set(cluster.processes())) == 1
    assert alone.detections == spread.detections
    for one, other in zip(alone.streams, spread.streams, strict=True):
        assert one.recordings == other.recordings
        np.testing.assert_array_equal(one.probabilities, other.probabilities)
    assert contents(tmp_path / "alone") == contents(tmp_path / "shared")


def test_an_interrupt_ends_with_one_line(
    cluster: LocalCluster, manifest: Path, recordings: list[Path], tmp_path: Path
) -> None:
    asked = command("mww-simulate", manifest, recordings[0].parent, "--cluster", cluster.address)
    cache = tmp_path / "cache"
    running = subprocess.Popen(asked, env=environment(cache), stderr=subprocess.PIPE, text=True)
    wait_for(lambda: list(cache.glob("*/*.features")))
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=DEADLINE_S)
    assert running.returncode == 130
    assert said.splitlines()[-1].startswith("error: interrupted; ")
    assert "Traceback" not in said
    wait_for(lambda: cluster.client.run_on_scheduler(tasks_left) == 0)
    assert not list(cache.glob(".*")), "nothing is left of what workers were shown"


def tasks_left(dask_scheduler: Any) -> int:
    return sum(str(key).startswith("_run_each") for key in dask_scheduler.tasks)


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


def test_certificates_of_dask_s_own_settings_are_used(
    run_apart: Run, manifest: Path, clips: Path, tmp_path: Path
) -> None:
    distributed = pytest.importorskip("distributed")
    pytest.importorskip("cryptography")
    made = distributed.Security.temporary()
    for name, content in (("cert", made.tls_client_cert), ("key", made.tls_client_key)):
        (tmp_path / f"{name}.pem").write_text(content)
    certificate, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    settings = {"DASK_DISTRIBUTED__COMM__TLS__CA_FILE": certificate}
    for role in ("SCHEDULER", "WORKER", "CLIENT"):
        settings |= {
            f"DASK_DISTRIBUTED__COMM__TLS__{role}__CERT": certificate,
            f"DASK_DISTRIBUTED__COMM__TLS__{role}__KEY": key,
        }
    security = distributed.Security(
        tls_ca_file=certificate, tls_client_cert=certificate, tls_client_key=key, require_encryption=True
    )
    with local_cluster(tmp_path, 1, security=security, **settings) as cluster:
        assert cluster.address.startswith("tls://")
        asked = ("mww-simulate", manifest, clips, "--cluster", cluster.address)
        done = run_apart(*asked, **settings)
        assert done.returncode == 0, done.stderr
        refused = one_line_error(run_apart(*asked), 3)
    assert f"{cluster.address} wants certificates, and Dask's settings name none" in refused


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--no-cache",), "--cluster needs the cache, in a folder that all machines see; leave --no-cache out"),
        (("--jobs", "2"), "--jobs is for processes of this machine, --cluster for workers of others"),
        (("--mode", "stream", "--engine", "reference"), "--mode stream with the engine reference runs in one piece"),
    ],
)
def test_what_does_not_go_together_is_refused(
    run: Run, manifest: Path, clips: Path, options: tuple[str, ...], said: str
) -> None:
    assert said in one_line_error(run("mww-simulate", manifest, clips, "--cluster", "tcp://127.0.0.1:1", *options))
