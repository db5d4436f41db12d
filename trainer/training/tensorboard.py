"""A run's curves, images and histograms for TensorBoard, without gaps or doubles over interruptions.

Everything is written at evaluations and flushed before the run's state is saved; a session that goes on first removes
what lies beyond that state, which it computes again. TensorFlow's own event records are written, so that only who looks
at them needs TensorBoard installed.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.data.batches import Batch
from trainer.training.scores import Checkpoint

IMAGES = 4
"""Spectrograms of a batch that are shown."""
BUCKETS = 30
_SOMETIMES = ("hard_recall", "expected_recall", "loss", "accuracy", "precision", "f1", "auc")
"""Figures of a validation that not every evaluation has."""
PATTERN = "events.out.tfevents.*"


class Curves:
    """Writes event files into a folder."""

    def __init__(self, folder: Path, evaluated_step: int) -> None:
        """Go on after the last evaluation of an earlier session, 0 for a new run."""
        import tensorflow as tf

        folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(folder.glob(PATTERN)):
            _cut(path, evaluated_step)
        self._tf = tf
        # A name of its own for each session; TensorBoard reads all files of a folder, in the order of their names.
        self._writer = tf.io.TFRecordWriter(str(folder / f"events.out.tfevents.{time.time_ns()}.{os.getpid()}"))
        self._write(0, file_version="brain.Event:2")

    def evaluated(
        self,
        checkpoint: Checkpoint,
        training: Mapping[str, float],
        performance: Mapping[str, float],
        model: Any,
        batch: Batch,
    ) -> None:
        """Write what is known at an evaluation; `training` and `performance` are of the steps since the one before."""
        summary, scores = self._tf.compat.v1.Summary, checkpoint.scores
        validation = {
            "recall": scores.recall,
            "false_accepts_per_hour": scores.false_accepts_per_hour,
            "average_viable_recall": scores.average_viable_recall,
            "recall_at_no_faph": scores.recall_at_no_faph,
        }
        validation |= {name: value for name in _SOMETIMES if (value := getattr(scores, name)) is not None}
        groups: dict[str, Mapping[str, float]] = {
            "training": training,
            "validation": validation,
            "performance": performance,
        }
        values = [
            summary.Value(tag=f"{group}/{name}", simple_value=value)
            for group, numbers in groups.items()
            for name, value in numbers.items()
        ]
        # Time to the right, low frequencies at the bottom.
        windows = (
            (np.asarray(batch.features)[:IMAGES].astype(np.int16) + 128)
            .astype(np.uint8)
            .transpose(0, 2, 1)[:, ::-1, :, None]
        )
        for index, window in enumerate(windows):
            png = self._tf.io.encode_png(window).numpy()
            image = summary.Image(height=window.shape[0], width=window.shape[1], colorspace=1, encoded_image_string=png)
            values.append(summary.Value(tag=f"batch/{index}", image=image))
        values += [
            summary.Value(tag=f"weights/{weight.path}", histo=self._histogram(weight.value.numpy()))
            for weight in model.trainable_variables
        ]
        self._write(checkpoint.step, summary=summary(value=values))

    def _histogram(self, values: NDArray[np.float32]) -> Any:
        counts, edges = np.histogram(values.astype(np.float64), BUCKETS)
        return self._tf.compat.v1.HistogramProto(
            min=values.min(),
            max=values.max(),
            num=values.size,
            sum=values.sum(),
            sum_squares=np.square(values).sum(),
            bucket_limit=edges[1:],
            bucket=counts,
        )

    def _write(self, step: int, **contents: Any) -> None:
        self._writer.write(self._tf.compat.v1.Event(wall_time=time.time(), step=step, **contents).SerializeToString())
        self._writer.flush()

    def close(self) -> None:
        """Write out what is left."""
        self._writer.close()


def _cut(path: Path, last_step: int) -> None:
    """Remove the events after a step from a file, and the torn end that a kill can leave."""
    import tensorflow as tf

    kept, dropped = [], False
    events = iter(tf.data.TFRecordDataset(str(path)))
    with contextlib.suppress(StopIteration):
        while True:
            try:
                record = next(events).numpy()
            except tf.errors.DataLossError:
                dropped = True
                break
            if tf.compat.v1.Event.FromString(record).step <= last_step:
                kept.append(record)
            else:
                dropped = True
    if dropped:
        temporary = path.with_name(f".{path.name}.partial")
        with tf.io.TFRecordWriter(str(temporary)) as writer:
            for record in kept:
                writer.write(record)
        temporary.replace(path)
