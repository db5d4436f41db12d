"""The frontend in NumPy against the C source that a firmware holds, compiled here, at steps that the library of
pymicro-features is not built for.
"""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from firmware.virtual.compilers import find_compilers
from firmware.virtual.libraries import FRONTEND, library
from tests.wakeword.test_microfrontend import GOLDEN, integer_sound
from wakeword.errors import MwwError
from wakeword.microfrontend import Microfrontend
from wakeword.synthetic_speech import synthetic_speech

if TYPE_CHECKING:
    from firmware.toolenv import ToolEnvironment

PROGRAM = """
#include <cstdio>
#include <cstdlib>
#include <vector>
extern "C" {
#include "tensorflow/lite/experimental/microfrontend/lib/frontend.h"
#include "tensorflow/lite/experimental/microfrontend/lib/frontend_util.h"
}
int main(int, char **arguments) {
  FrontendConfig config;
  FrontendFillConfigWithDefaults(&config);
  config.window.size_ms = 30;
  config.window.step_size_ms = atoi(arguments[1]);
  config.filterbank.num_channels = 40;
  config.filterbank.lower_band_limit = 125.0;
  config.filterbank.upper_band_limit = 7500.0;
  config.noise_reduction.smoothing_bits = 10;
  config.noise_reduction.even_smoothing = 0.025;
  config.noise_reduction.odd_smoothing = 0.06;
  config.noise_reduction.min_signal_remaining = 0.05;
  config.pcan_gain_control.enable_pcan = 1;
  config.pcan_gain_control.strength = 0.95;
  config.pcan_gain_control.offset = 80.0;
  config.pcan_gain_control.gain_bits = 21;
  config.log_scale.enable_log = 1;
  config.log_scale.scale_shift = 6;
  FrontendState state;
  if (!FrontendPopulateState(&config, &state, 16000)) return 1;
  std::vector<int16_t> samples;
  int16_t block[4096];
  for (size_t count; (count = fread(block, sizeof(int16_t), 4096, stdin)) > 0;)
    samples.insert(samples.end(), block, block + count);
  for (size_t place = 0, read = 0; place < samples.size(); place += read) {
    FrontendOutput output = FrontendProcessSamples(&state, &samples[place], samples.size() - place, &read);
    if (output.values) fwrite(output.values, sizeof(uint16_t), output.size, stdout);
  }
}
"""


@pytest.fixture(scope="module")
def program(esphome: ToolEnvironment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The C source as a program: int16 samples in, uint16 features out, at the step in its argument."""
    folder = tmp_path_factory.mktemp("frontend")
    (folder / "steps.cc").write_text(PROGRAM)
    try:
        compilers = find_compilers(esphome)
        made = library(FRONTEND, compilers, esphome)
    except MwwError as error:
        pytest.skip(f"the frontend cannot be compiled here: {error}")
    includes = [f"-I{made.include}", f"-I{made.include / 'kissfft'}"]
    compilers.run([*compilers.cxx, "-O1", *includes, "steps.cc", made.archive, "-o", "steps"], folder)
    return folder / "steps"


@pytest.mark.parametrize("step_ms", GOLDEN)
def test_the_c_source_gives_the_same(program: Path, step_ms: int) -> None:
    for samples in (
        integer_sound(),
        synthetic_speech(20, seed=step_ms),
        np.random.default_rng(step_ms).integers(-32768, 32768, 80_000).astype(np.int16),
    ):
        done = subprocess.run(
            [program, str(step_ms)], input=samples.tobytes(), capture_output=True, check=True, timeout=60
        )
        given = np.frombuffer(done.stdout, np.uint16).reshape(-1, 40)
        np.testing.assert_array_equal(Microfrontend(step_ms * 16).process(samples), given)
        if len(samples) == 48_000:
            assert hashlib.sha256(given.astype("<u2").tobytes()).hexdigest() == GOLDEN[step_ms]
