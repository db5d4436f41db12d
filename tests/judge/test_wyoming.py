"""The served judge, asked by the real Wyoming client."""

from __future__ import annotations

import asyncio
import re
import signal
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncClient
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.wake import Detect, Detection, NotDetected

from tests.judge.served import DEADLINE_S, PATIENT, Server, served

type Clip = NDArray[np.int16]


def client(server: Server) -> AsyncClient:
    return AsyncClient.from_uri(f"tcp://127.0.0.1:{server.wyoming}", DEADLINE_S, DEADLINE_S)


async def send_sound(to: AsyncClient, clip: Clip, samples: int = 1024) -> None:
    for start in range(0, len(clip), samples):
        part = clip[start : start + samples]
        chunk = AudioChunk(16_000, 2, 1, part.astype("<i2").tobytes(), timestamp=start // 16)
        await to.write_event(chunk.event())


async def ask(to: AsyncClient, clip: Clip, samples: int = 1024) -> Event | None:
    await to.write_event(Detect(names=["alexa"]).event())
    await to.write_event(AudioStart(16_000, 2, 1).event())
    await send_sound(to, clip, samples)
    await to.write_event(AudioStop().event())
    return await to.read_event()


async def refusal(to: AsyncClient) -> Error:
    """The error that a client gets, after which the connection ends."""
    event = await to.read_event()
    assert event is not None
    assert Error.is_type(event.type), event
    assert await to.read_event() is None
    return Error.from_event(event)


def test_a_word_is_detected_and_others_are_not(server: Server, word: Clip, speech: Clip) -> None:
    async def talk() -> None:
        async with client(server) as asking:
            for clip, samples, expected in (
                (word, 1024, Detection),
                (speech, 512, NotDetected),
                (np.zeros(40_000, np.int16), 40_000, NotDetected),
                (word, 40_000, Detection),
                (np.zeros(0, np.int16), 1, NotDetected),
            ):
                event = await ask(asking, clip, samples)
                assert event is not None
                assert expected.is_type(event.type), event
                if expected is Detection:
                    detection = Detection.from_event(event)
                    assert detection.name == "alexa"
                    assert detection.timestamp is not None
                    assert 0 <= detection.timestamp < 2500

    asyncio.run(talk())


def test_who_streams_without_an_end_is_answered_at_the_word(server: Server, word: Clip) -> None:
    """As Home Assistant does: it never sends audio-stop, and reads while it sends."""

    async def talk() -> None:
        async with client(server) as asking:
            await asking.write_event(Detect().event())
            await asking.write_event(AudioStart(16_000, 2, 1).event())
            await send_sound(asking, np.concatenate([word, np.zeros(8000, np.int16)]))
            event = await asking.read_event()
            assert event is not None
            assert Detection.is_type(event.type)

    asyncio.run(talk())


def test_it_says_what_it_is(server: Server) -> None:
    async def talk() -> Info:
        async with client(server) as asking:
            await asking.write_event(Event("select-program", {"name": "mww-judge"}))
            await asking.write_event(Describe().event())
            event = await asking.read_event()
            assert event is not None
            return Info.from_event(event)

    (program,) = asyncio.run(talk()).wake
    (model,) = program.models
    assert (program.name, model.name, model.phrase, model.installed) == ("mww-judge", "alexa", "Alexa", True)


@pytest.mark.parametrize(
    ("events", "code"),
    [
        ([Detect(names=["okay_nabu"]).event()], "unknown-model"),
        ([AudioStart(44_100, 2, 1).event()], "format"),
        ([AudioChunk(16_000, 2, 2, bytes(8)).event()], "format"),
        ([Event("audio-chunk", {"rate": 16_000}, bytes(8))], "malformed"),
        ([Event("detect", {"names": 5})], "malformed"),
    ],
)
def test_a_wrong_event_is_refused_with_its_reason(events: list[Event], code: str, server: Server) -> None:
    async def talk() -> Error:
        async with client(server) as asking:
            for event in events:
                await asking.write_event(event)
            return await refusal(asking)

    assert asyncio.run(talk()).code == code


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "malformed"),
        (b"[" * 60_000 + b"\n", "malformed"),
        (b"[1]\n", "malformed"),
        (b"x" * 200_000, "malformed"),
        (b'{"type": "audio-chunk", "payload_length": "many"}\n', "malformed"),
        (b'{"type": "audio-chunk", "payload_length": 10000000000}\n', "too-long"),
        (b'{"type": "detect", "data_length": 10000000000}\n', "too-long"),
    ],
)
def test_bytes_that_are_no_events_are_refused_and_not_kept(sent: bytes, code: str, server: Server) -> None:
    async def talk() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.wyoming)
        writer.write(sent)
        answer = await asyncio.wait_for(reader.read(), DEADLINE_S)
        writer.close()
        return answer

    assert f'"code": "{code}"'.encode() in asyncio.run(talk())


def test_more_sound_than_the_limit_is_refused(server: Server) -> None:
    async def talk() -> Error:
        async with client(server) as asking:
            await asking.write_event(AudioStart(16_000, 2, 1).event())
            await send_sound(asking, np.zeros(10 * 16_000 + 1, np.int16), 16_000)
            return await refusal(asking)

    error = asyncio.run(talk())
    assert (error.code, error.text) == ("too-long", "more than 10 s of sound")


def test_a_client_that_dies_in_the_middle_disturbs_nobody(server: Server, word: Clip) -> None:
    async def die() -> bool:
        """Whether it was let in: the server may not have noticed yet that earlier ones are gone."""
        dying = client(server)
        await dying.connect()
        await dying.write_event(AudioStart(16_000, 2, 1).event())
        await send_sound(dying, word[:4000])
        # It is asked something, so that it has heard what came before.
        await dying.write_event(Describe().event())
        event = await dying.read_event()
        assert dying._writer is not None
        dying._writer.transport.abort()
        return event is not None and Info.is_type(event.type)

    async def talk() -> None:
        died = 0
        async with asyncio.timeout(DEADLINE_S):
            while died < 20:  # more than may be inside at once
                died += await die()
        assert Detection.is_type((await answered(server, word)).type)

    asyncio.run(talk())


async def answered(server: Server, clip: Clip) -> Event:
    """The answer once there is room: a server may not have noticed yet that others have left."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            async with client(server) as asking:
                event = await ask(asking, clip)
                if event is not None and not Error.is_type(event.type):
                    return event


def test_many_clients_at_once_get_their_own_answers(server: Server, word: Clip, speech: Clip) -> None:
    async def one(clip: Clip) -> str:
        return str((await answered(server, clip)).type)

    async def talk() -> list[str]:
        return await asyncio.gather(*(one(word if number % 2 else speech) for number in range(8)))

    assert asyncio.run(talk()) == ["not-detected", "detection"] * 4


def test_too_many_clients_are_refused(small_server: Server, word: Clip) -> None:
    async def talk() -> None:
        async with client(small_server) as first, client(small_server) as second:
            for inside in (first, second):
                await inside.write_event(Describe().event())
                assert await inside.read_event() is not None
            async with client(small_server) as third:
                assert (await refusal(third)).code == "busy"
            assert await ask(first, word) is not None
        assert Detection.is_type((await answered(small_server, word)).type)

    asyncio.run(talk())


def test_a_slow_client_is_let_go(hasty_server: Server) -> None:
    async def talk() -> None:
        async with client(hasty_server) as slow:
            await slow.write_event(AudioStart(16_000, 2, 1).event())
            error = await refusal(slow)
        assert (error.code, error.text) == ("time-out", "no answer in 0.5 s")

    asyncio.run(talk())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_lets_an_answer_be_given(
    number: signal.Signals, official_models: Path, tmp_path: Path, word: Clip
) -> None:
    async def talk(server: Server) -> None:
        async with client(server) as idle, client(server) as asking:
            await idle.write_event(Describe().event())
            assert await idle.read_event() is not None
            await asking.write_event(AudioStart(16_000, 2, 1).event())
            await send_sound(asking, word[:8000])
            await asking.write_event(Describe().event())
            assert await asking.read_event() is not None  # so the sound before it was heard
            server.process.send_signal(number)
            assert await idle.read_event() is None  # it is let go at once
            with pytest.raises(OSError):
                await client(server).connect()
            await send_sound(asking, word[8000:])
            await asking.write_event(AudioStop().event())
            event = await asking.read_event()
            assert event is not None
            assert Detection.is_type(event.type)
            assert await asking.read_event() is None

    with served(tmp_path, official_models / "alexa.json", *PATIENT) as server:
        asyncio.run(talk(server))
        assert server.process.wait(DEADLINE_S) == 0
    assert server.said[-1] == "stopped"


PAGE = Path(__file__).parents[2] / "docs" / "judge.md"


def test_what_the_page_prints_asks_the_judge(
    server: Server, word: Clip, speech: Clip, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its Python block, with the port of this server."""
    (block,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert ":10410" in block
    for clip, said in ((word, "True\n"), (speech, "False\n")):
        soundfile.write(tmp_path / "clip.wav", clip, 16_000, subtype="PCM_16")
        text = block.replace(":10410", f":{server.wyoming}").replace('"clip.wav"', repr(str(tmp_path / "clip.wav")))
        exec(compile(text, str(PAGE), "exec"), {})
        assert capsys.readouterr().out == said
