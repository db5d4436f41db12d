from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from benchmarks.ablation import ranks
from benchmarks.ablation.ranks import FEWEST, rank_correlation

few_values = st.integers(0, 5).map(float)  # few values make ties


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "DRAWS", 199)


@given(st.lists(st.tuples(few_values, few_values), min_size=FEWEST, max_size=12))
def test_of_one_word_it_is_spearmans(pairs: list[tuple[float, float]]) -> None:
    said, real = zip(*pairs, strict=True)
    found = rank_correlation([(said, real)])
    if len(set(said)) == 1 or len(set(real)) == 1:
        assert found is None
    else:
        assert found is not None
        assert found.rho == pytest.approx(spearmanr(said, real).statistic)
        assert -1.0001 <= found.low <= found.high <= 1.0001
        assert 0 < found.p <= 1


def test_words_are_not_compared_with_one_another() -> None:
    """Validation is higher for the word that people find less often: between the words it is wrong, within each it is
    right.
    """
    easy = ([0.70, 0.71, 0.72, 0.73], [0.96, 0.97, 0.98, 0.99])
    hard = ([0.90, 0.91, 0.92, 0.93], [0.60, 0.61, 0.62, 0.63])
    found = rank_correlation([easy, hard])
    assert found is not None
    assert found.rho == pytest.approx(1)
    assert (found.models, found.words) == (8, 2)


def test_an_order_that_chance_hardly_gives_has_a_small_p_and_one_that_it_often_gives_a_large_one() -> None:
    rising = list(map(float, range(8)))
    certain, backwards = rank_correlation([(rising, rising)]), rank_correlation([(rising, rising[::-1])])
    assert certain is not None
    assert backwards is not None
    assert [certain.rho, backwards.rho] == pytest.approx([1, -1])
    assert certain.p < 0.02
    assert backwards.p < 0.02
    shuffled = rank_correlation([(rising, list(np.random.default_rng(1).permutation(rising)))])
    assert shuffled is not None
    assert shuffled.p > 0.05


@pytest.mark.parametrize("words", [[], [([1.0] * 5, [1.0, 2.0, 3.0, 4.0, 5.0])], [([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])]])
def test_without_differences_or_with_few_models_there_is_none(words: list[tuple[list[float], list[float]]]) -> None:
    assert rank_correlation(words) is None
