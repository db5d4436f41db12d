"""Budgets: a board's, less than a board's, and what a model takes of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from trainer.analysis.analyse import analyse_model, fit
from trainer.analysis.boards import BOARDS, find_board
from trainer.config.loader import load_config
from trainer.config.sections import SizeTargetsSection
from trainer.search.budget import Budget, ModelCost, least_cost, model_cost
from wakeword.errors import ConfigError


def test_a_board_by_a_part_of_its_name() -> None:
    assert find_board("n8r8") is BOARDS[0]
    assert find_board("box-3").name == "ESP32-S3-BOX-3"
    for name in ("ESP8266", "ESP32-S3"):
        with pytest.raises(ConfigError, match="give one of ESP32-S3 N8R8"):
            find_board(name)


def test_what_a_board_leaves_and_less() -> None:
    whole = Budget.of(BOARDS[0])
    assert (whole.flash, whole.arena, whole.cycles) == (
        BOARDS[0].flash_for_model,
        BOARDS[0].ram_for_model - 1024,
        120_000_000,
    )
    less = Budget.of(BOARDS[0], 40, 20, 9.5)
    assert (less.flash, less.arena, less.cycles) == (40 * 1024, 20 * 1024, 9_500_000)
    assert Budget.of(BOARDS[0], 1e9, 1e9, 1e9) == whole
    assert whole.within(SizeTargetsSection()) == whole
    targeted = whole.within(SizeTargetsSection(max_flash_kb=50, max_ram_kb=21))
    assert (targeted.flash, targeted.arena) == (50 * 1024, 20 * 1024)
    assert less.exceeded(ModelCost(40 * 1024, 20 * 1024, 9_500_000)) == ""
    assert less.exceeded(ModelCost(41_000, 20_481, 9_600_000)) == (
        "flash 41,000 of 40,960 bytes, arena 20,481 of 20,480 bytes, 9.6 of 9.5 million cycles/s"
    )


def test_a_model_that_fits_a_board_keeps_within_its_budget() -> None:
    """And what is counted without building is never more than what is built takes."""
    config = load_config("standard", (), ["export.wake_word=x"])
    cost, least = model_cost(config, BOARDS[0].cycles_per_mac), least_cost(config, BOARDS[0].cycles_per_mac)
    assert least.flash < cost.flash
    assert least.arena < cost.arena
    assert least.cycles == cost.cycles
    analysis = analyse_model(config.model, config.hardware.clip_duration_ms)
    for board in BOARDS:
        of_board = replace(cost, cycles=analysis.macs_per_second * board.cycles_per_mac)
        assert fit(analysis, board).fits == (not Budget.of(board).exceeded(of_board)), board
    assert fit(analysis, BOARDS[0]).load == cost.cycles / BOARDS[0].clock_hz
