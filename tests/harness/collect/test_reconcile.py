"""Nothing is lost silently, nothing is invented, and a clean session has no void."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.collect.collected import Collected, CollectedVoid
from harness.collect.raw import RawEvent
from harness.collect.reconcile import reconcile
from tests.harness.collect.simulated_board import LAG, OTHER_WORD, RING, WORD, SimulatedBoard, log_line
from wakeword.contract import SAMPLE_RATE_HZ

SECOND = SAMPLE_RATE_HZ
MARGIN = SECOND // 2
SETTLE = 2 * SECOND


def session(board: SimulatedBoard) -> SimulatedBoard:
    board.connect()
    board.begin_leg(0)
    return board


def clean(collected: Collected) -> bool:
    counts = asdict(collected.integrity)
    return not any(value for name, value in counts.items() if name != "detections")


def is_void(collected: Collected, leg: int, sample: int) -> bool:
    return any(
        void.leg == leg and void.start <= sample and (void.end is None or sample < void.end) for void in collected.voids
    )


# A step of the board's life; numbers are samples.
hears = st.tuples(st.just("hear"), st.integers(160, 2 * SECOND))
probes = st.tuples(st.just("probe"), st.integers(0, SECOND))
detects = st.tuples(st.just("detect"), st.integers(0, RING))
lags = st.tuples(st.just("lag"), st.integers(0, LAG))
harmless = st.one_of(hears, probes, detects, lags)
faults = st.one_of(
    *(
        st.tuples(st.just(name), st.integers(0, RING))
        for name in ("lose event", "lose log", "lose both", "twice", "pair")
    ),
    st.tuples(st.sampled_from(["cut", "connect", "reboot", "overflow", "kill", "foreign probe"]), st.just(0)),
)


def live(board: SimulatedBoard, steps: list[tuple[str, int]]) -> None:
    for name, number in steps:
        match name:
            case "hear":
                board.hear(number)
            case "lag":
                board.lag = max(number, 0)
            case "probe":
                board.probe(number)
            case "detect":
                board.detect(behind=number)
            case "pair":  # two models in one slice, the second is lost
                board.detect(behind=number)
                board.detect(OTHER_WORD, behind=number, log=False, event=False)
            case "lose event":
                board.detect(behind=number, event=False)
            case "lose log":
                board.detect(behind=number, log=False)
            case "lose both":
                board.detect(behind=number, log=False, event=False)
            case "twice":
                board.detect(behind=number, twice=True)
            case "cut":
                board.disconnect()
            case "connect" if not board.reachable:
                board.connect()
            case "kill":  # the harness dies and comes back
                board.reachable = False
                board.hear(SECOND)
                board.detect(behind=0)
                board.connect()
            case "reboot":
                board.disconnect()
                board.reboot()
            case "overflow":
                board.say(
                    "log",
                    **log_line(
                        "Not enough free bytes in ring buffer to store incoming audio data. Resetting the ring buffer."
                    ),
                )
            case "foreign probe":
                board.say("clock", data=board.stamp(probe="9"), sent=None, received=None, sent_position=None)
            case _:
                pass


@given(st.lists(harmless, max_size=60))
def test_a_clean_session_is_told_exactly(steps: list[tuple[str, int]]) -> None:
    board = session(SimulatedBoard())
    live(board, steps)
    board.flush()
    collected = reconcile(board.events)
    assert collected.voids == ()
    assert clean(collected)
    assert [(detection.leg, detection.position) for detection in collected.detections] == list(board.emitted.values())
    assert all((detection.average, detection.maximum) == (0.98, 1.0) for detection in collected.detections)
    leg = collected.legs[-1]
    assert leg.position == leg.confirmed == board.heard


@settings(max_examples=400)
@given(st.lists(st.one_of(harmless, harmless, faults), max_size=60), st.booleans())
def test_nothing_is_lost_silently_and_nothing_is_invented(steps: list[tuple[str, int]], ends_well: bool) -> None:
    board = session(SimulatedBoard())
    live(board, steps)
    if not board.reachable and ends_well:
        board.connect()
    if ends_well:
        board.flush()
    collected = reconcile(board.events)
    told = [(detection.stamp.boot_id, detection.stamp.seq) for detection in collected.detections]
    assert len(told) == len(set(told))
    for detection, key in zip(collected.detections, told, strict=True):
        assert detection.position in (None, board.emitted[key][1])
    for key, (leg, sample) in board.emitted.items():
        # What lies behind the last event of the leg is in no figure anyway.
        assert key in told or is_void(collected, leg, sample) or sample >= collected.legs[-1].position
    if ends_well and board.boot == 1:
        assert len(told) + collected.integrity.lost == len(board.emitted)
    for void in collected.voids:
        assert void.start >= 0
        assert void.end is None or void.start < void.end
    for one, following in zip(collected.voids, collected.voids[1:], strict=False):
        assert one.leg < following.leg or (one.end is not None and one.end < following.start)


data = st.dictionaries(
    st.sampled_from(["boot_id", "seq", "t_ms", "sample", "wake_word", "probe"]),
    st.sampled_from(["0badcafe", "12345678", "1", "2", "-1", "x", ""]) | st.text(max_size=3),
)
anything: st.SearchStrategy[Any] = (
    st.none() | st.integers(-5, 5) | st.floats(allow_nan=False) | st.text(max_size=5) | data
)
kinds = st.sampled_from(
    [
        "connected",
        "disconnected",
        "detection",
        "entity",
        "log",
        "clock",
        "identity",
        "play",
        "leg",
        "fatal",
        "note",
        "new",
    ]
)
values = st.dictionaries(
    st.sampled_from(["data", "sent", "received", "sent_position", "message", "leg", "event_type"]), anything
)
events = st.builds(RawEvent, kinds, st.floats(0, 1e6), st.integers(0, 10**7), values)


@given(st.lists(events, max_size=30))
def test_no_log_is_too_strange(log: list[RawEvent]) -> None:
    reconcile(log)


def test_a_lost_detection_is_void_between_its_neighbours() -> None:
    board = session(SimulatedBoard())
    board.hear(10 * SECOND)
    board.detect()
    board.hear(5 * SECOND)
    board.detect(log=False, event=False)
    board.hear(5 * SECOND)
    board.detect()
    board.hear(SECOND)
    board.flush()
    collected = reconcile(board.events)
    assert collected.voids == (CollectedVoid(0, 10 * SECOND, 20 * SECOND + 160, "lost detection"),)
    assert (collected.integrity.lost, collected.integrity.seq_gaps, collected.integrity.detections) == (1, 1, 2)


def test_heartbeats_narrow_a_loss() -> None:
    board = session(SimulatedBoard())
    for second in range(20):
        if second == 10:
            board.detect(event=False)
        board.hear(SECOND)
        board.probe()
    board.flush()
    collected = reconcile(board.events)
    assert collected.voids == (
        CollectedVoid(0, 9 * SECOND - MARGIN, 11 * SECOND + MARGIN, "lost detection, lost event"),
    )
    assert (collected.integrity.lost, collected.integrity.logs_without_event) == (1, 1)


def test_an_api_gap_goes_from_the_last_proof_to_the_new_connection() -> None:
    board = session(SimulatedBoard())
    for _ in range(5):
        board.hear(SECOND)
        board.probe()
    board.hear(SECOND // 2)
    board.disconnect()
    board.hear(60 * SECOND)
    board.connect()
    board.hear(SECOND)
    board.flush()
    collected = reconcile(board.events)
    assert collected.voids == (CollectedVoid(0, 4 * SECOND - MARGIN, 65 * SECOND + SECOND // 2 + MARGIN, "api gap"),)
    assert collected.integrity.api_gaps == 1


def test_a_reboot_is_void_and_its_samples_are_not_trusted() -> None:
    board = session(SimulatedBoard())
    board.hear(5 * SECOND)
    board.flush()
    board.disconnect()
    board.reboot()
    board.hear(5 * SECOND)
    board.connect()
    board.hear(10 * SECOND)
    board.detect()
    board.flush()
    collected = reconcile(board.events)
    assert collected.voids == (CollectedVoid(0, 5 * SECOND - MARGIN, 10 * SECOND + MARGIN + SETTLE, "api gap, reboot"),)
    assert (collected.integrity.reboots, collected.integrity.misplaced) == (1, 1)
    (detection,) = collected.detections
    assert (detection.position, detection.received_position) == (None, 20 * SECOND)


def test_a_new_leg_starts_from_nothing() -> None:
    board = session(SimulatedBoard())
    board.hear(5 * SECOND)
    board.detect()
    board.flush()
    board.disconnect()
    board.reboot()
    board.connect()
    board.begin_leg(1)
    board.hear(3 * SECOND)
    board.detect()
    board.flush()
    collected = reconcile(board.events)
    assert collected.voids == ()
    assert clean(collected)
    assert [(detection.leg, detection.position) for detection in collected.detections] == [
        (0, 5 * SECOND),
        (1, 3 * SECOND),
    ]
    assert [(leg.index, leg.confirmed, leg.boot_id) for leg in collected.legs] == [
        (0, 5 * SECOND, "00000001"),
        (1, 3 * SECOND, "00000002"),
    ]


def test_a_leg_that_begins_before_the_connection() -> None:
    board = session(SimulatedBoard())
    board.flush()
    board.disconnect()
    board.begin_leg(1)
    board.hear(SECOND)
    board.connect()
    board.hear(SECOND)
    board.flush()
    assert reconcile(board.events).voids == (CollectedVoid(1, 0, SECOND + MARGIN, "api gap"),)


def test_an_overflow_and_the_time_to_forget_it_are_void() -> None:
    board = session(SimulatedBoard())
    board.hear(10 * SECOND)
    board.flush()
    board.hear(SECOND)
    board.say(
        "log",
        **log_line("Not enough free bytes in ring buffer to store incoming audio data. Resetting the ring buffer."),
    )
    board.hear(10 * SECOND)
    board.flush()
    collected = reconcile(board.events, settle_seconds=1.0)
    assert collected.voids == (CollectedVoid(0, 10 * SECOND - MARGIN, 12 * SECOND + MARGIN, "ring buffer overflow"),)
    assert collected.integrity.audio_lost == 1


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("State changed from DETECTING_WAKE_WORD to STOPPING", "stopped"),
        ("Streaming interpreter invoke failed", "inference error"),
    ],
)
@pytest.mark.parametrize("comes_back", ["state", "detection", "never"])
def test_no_detection_runs(line: str, reason: str, comes_back: str) -> None:
    board = session(SimulatedBoard())
    board.hear(10 * SECOND)
    board.flush()
    board.say("log", **log_line(line))
    board.hear(5 * SECOND)
    if comes_back == "state":
        board.say("log", **log_line("State changed from STARTING to DETECTING_WAKE_WORD"))
    elif comes_back == "detection":
        board.detect()
    board.hear(10 * SECOND)
    board.flush()
    end = None if comes_back == "never" else 15 * SECOND + MARGIN + SETTLE
    assert reconcile(board.events).voids == (CollectedVoid(0, 10 * SECOND - MARGIN, end, reason),)


def test_a_stop_after_the_end_voids_nothing() -> None:
    board = session(SimulatedBoard())
    board.hear(10 * SECOND)
    board.flush()
    board.say("log", **log_line("State changed from DETECTING_WAKE_WORD to STOPPING"))
    board.say("log", **log_line("State changed from STOPPING to STOPPED"))
    board.say("log", **log_line("State changed from STARTING to DETECTING_WAKE_WORD"))
    board.begin_leg(1)
    board.hear(SECOND)
    board.flush()
    assert reconcile(board.events).voids == ()


def test_what_no_probe_confirmed_is_void() -> None:
    board = session(SimulatedBoard())
    board.hear(10 * SECOND)
    board.flush()
    board.hear(3 * SECOND)
    board.say("play")
    collected = reconcile(board.events)
    assert collected.voids == (CollectedVoid(0, 10 * SECOND - MARGIN, None, "end not confirmed"),)
    assert (collected.legs[-1].position, collected.legs[-1].confirmed) == (13 * SECOND, 10 * SECOND)


def test_a_stream_that_starts_again_unsaid() -> None:
    board = session(SimulatedBoard())
    board.hear(10 * SECOND)
    board.detect()
    board.hear(5 * SECOND)
    board.last_sample = 0
    board.detect(behind=8 * SECOND)
    board.hear(SECOND)
    board.flush()
    collected = reconcile(board.events)
    assert [detection.position for detection in collected.detections] == [10 * SECOND, None]
    assert collected.integrity.misplaced == 1
    assert collected.voids == (CollectedVoid(0, 10 * SECOND, 15 * SECOND + MARGIN + SETTLE, "stream restarted"),)


def test_a_real_board_knows_no_samples() -> None:
    board = session(SimulatedBoard())
    board.hear(10 * SECOND)
    board.seq += 1
    board.say("detection", data=board.stamp(wake_word=WORD, sample="-1"))
    board.flush()
    (detection,) = reconcile(board.events).detections
    assert (detection.position, detection.received_position, detection.average) == (None, 10 * SECOND, None)
    assert reconcile(board.events).integrity.events_without_log == 1


def test_damaged_and_dropped_events_are_void() -> None:
    board = session(SimulatedBoard())
    board.hear(10 * SECOND)
    board.say("detection", data={"seq": "one"})
    board.hear(10 * SECOND)
    board.flush()
    board.say("log", level=3, message="[W][api.connection:099]: Action request dropped, TCP buffer full")
    board.hear(10 * SECOND)
    board.flush()
    collected = reconcile(board.events)
    assert (collected.integrity.malformed, collected.integrity.events_dropped) == (1, 1)
    assert [void.reason for void in collected.voids] == ["damaged event", "event dropped by the board"]


def test_counters_of_other_lines() -> None:
    board = session(SimulatedBoard())
    board.say("log", **log_line("Probed tensor arena size: 22860 bytes"))
    board.say("log", **log_line("Wake word model predicts 'alexa', but VAD model doesn't."))
    board.say("entity", name="Wake word", event_type="detected")
    board.say("entity", name="Heap", state=5)
    collected = reconcile(board.events)
    assert collected.arena_probed == (22860,)
    assert (collected.integrity.vad_blocked, collected.integrity.entity_events) == (1, 1)


def test_a_log_without_legs_is_leg_0() -> None:
    board = SimulatedBoard()
    board.hear(SECOND)
    board.detect()
    board.flush()
    collected = reconcile(board.events)
    assert [detection.leg for detection in collected.detections] == [0]
    assert collected.voids == ()
    assert reconcile([]).legs == ()
