"""The sections that say what recordings there are and what becomes of them before the training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from trainer.config.base import Folders, Section, constant, fixed
from wakeword import contract

_FRONTEND = (
    "the frontend in ESPHome's firmware has it built in: a model that was trained otherwise would hear other features"
    " on the device"
)


class PathsSection(Section):
    """Where recordings are and results go. Relative paths start at the folder in which the command is run, the
    project's root.
    """

    positive_dir: Folders = (Path("dataset/positive"),)
    """Recordings of the wake word, a folder a speaker."""
    negative_dir: Folders = (Path("dataset/negative"),)
    """Recordings without it: speech, near misses, noise."""
    hard_negative_dir: Folders = (Path("dataset/hard_negative"),)
    """Recordings that were, or are easily, taken for the wake word; those of training speakers weigh
    `training.hard_negative_class_weight`. The default folder may be missing."""
    grouped_negative_dir: Folders = ()
    """Folders within `negative_dir` or `hard_negative_dir` whose own folders are not to be divided: a folder a speaker,
    or a show. All other recordings without the wake word are split one by one, and those of five minutes and more by
    stretches."""
    background_dir: Folders = (Path("dataset/background"),)
    """Noises that augmentation mixes under clips. The default folder may be missing: then backgrounds are computed
    (`augmentation.computed_backgrounds`)."""
    rir_dir: Folders = (Path("dataset/rirs"),)
    """Room impulse responses that augmentation places clips into. The default folder may be missing: then they are
    computed (`augmentation.computed_rooms`)."""
    generated_dir: Folders = ()
    """Folders that `mww-generate` made. They train alone where `positive_dir` has people who say the wake word; where
    it has none (its default folder may be missing then), or where `splits` lets all of them train, voices that never
    train validate and test: see `training.held_out_engines`."""
    feature_sets: Folders = ()
    """microWakeWord's published feature sets, such as `dinner_party`, or a folder of them: negatives that train,
    validate and test without audio. With them `negative_dir` may be empty, and its default folder may be missing."""
    splits: Path | None = None
    """CSV with path, group and split of recordings, for those that it lists instead of the rules. A `path` may name a
    part: `evening.flac#t=0,600`."""
    processed_dir: Path | None = None
    """Where features and decoded sounds are kept for the next run. None: `$MWW_CACHE_DIR`, or the user's cache
    folder."""
    checkpoint_dir: Path = Path("runs/run")
    """Folder of the run, which holds its checkpoints, where `mww-train` is given no --output."""
    export_dir: Path = Path("models/exported")
    """Folder of the exported model where `mww-export` is given no --output."""

    def folders(self, key: str) -> tuple[Path, ...]:
        """The folders of a key; none where it names its default alone, which may be missing, and is.

        The default of `positive_dir` may be missing with generated speech, that of `negative_dir` also with feature
        sets, those of other keys always.
        """
        folders: tuple[Path, ...] = getattr(self, key)
        instead = {"positive_dir": self.generated_dir, "negative_dir": (*self.generated_dir, *self.feature_sets)}
        may_miss = folders == type(self).model_fields[key].default and bool(instead.get(key, True))
        return () if may_miss and not any(folder.exists() for folder in folders) else folders


class HardwareSection(Section):
    """What the device hears, which cannot be changed, and the length of a clip, which can."""

    sample_rate_hz: Annotated[int, fixed(contract.SAMPLE_RATE_HZ, _FRONTEND)] = constant(contract.SAMPLE_RATE_HZ)
    """Fixed by the device; recordings of other rates are converted."""
    mel_bins: Annotated[int, fixed(contract.FEATURE_CHANNELS, _FRONTEND)] = constant(contract.FEATURE_CHANNELS)
    """Fixed by the device."""
    window_size_ms: Annotated[int, fixed(contract.WINDOW_MS, _FRONTEND)] = constant(contract.WINDOW_MS)
    """Fixed by the device."""
    window_step_ms: Annotated[int, fixed(contract.STEP_MS, _FRONTEND)] = constant(contract.STEP_MS)
    """Fixed by the device."""
    clip_duration_ms: int = Field(1500, ge=100, le=10_000)
    """Length of sound that one training window covers, before what the convolutions drop. 1500 is that of the official
    v2 models: the widest kernels of `standard` need 1550 ms for one frame of their output, and the head should see
    several."""


Probability = Annotated[float, Field(ge=0, le=1)]


class AugmentationSection(Section):
    """What is done to training clips, and how often: what is said around them, then effects in this order, each with
    its probability.

    Order and values of the effects up to `RIR` are those of the reference implementation (microWakeWord's training
    notebook, which has no `TimeStretch`), as is that the background's ratio is against the RMS of the whole augmented
    clip, the padding before a short word included. The others are what a microphone does.
    """

    copies: int = Field(4, ge=0, le=1000)
    """Augmented copies of each positive in the feature store, each drawn anew; negatives have about a clip for each
    `augmentation_duration_s` of their length. 0: no augmentation."""
    SevenBandParametricEQ: Probability = 0.1
    """Probability of an equaliser of up to 6 dB a band."""
    TanhDistortion: Probability = 0.1
    """Probability of soft clipping."""
    PitchShift: Probability = 0.1
    """Probability of another pitch, up to 3 semitones."""
    TimeStretch: Probability = 0.0
    """Probability of a rate between 0.9 and 1.1 at the same pitch: for few speakers, who all speak equally fast."""
    BandStopFilter: Probability = 0.1
    """Probability of a missing band."""
    AddColorNoise: Probability = 0.1
    """Probability of white to brown noise, 10 to 30 dB below the clip."""
    AddBackgroundNoise: Probability = 0.75
    """Probability of a recording from `paths.background_dir` or `background_paths`, or of a computed background, under
    the clip."""
    Gain: Probability = 1.0
    """Probability of another level."""
    RIR: Probability = 0.5
    """Probability of a room from `paths.rir_dir` or `impulse_paths`, or of a computed one."""
    BandLimits: Probability = 0.5
    """Probability of a microphone's band: nothing below 80 to 300 Hz, nothing above 3.5 to 7.5 kHz. Devices differ,
    generated voices do not."""
    Level: Probability = 1.0
    """Probability of a peak between `min_level_dbfs` and `max_level_dbfs`, whatever `Gain` and the recording have:
    people are near and far."""
    SelfNoise: Probability = 0.5
    """Probability of noise of the microphone, or of a recording that was silenced, -95 to -45 dBFS; in more than half
    of them it begins within the clip."""
    AutomaticGain: Probability = 0.3
    """Probability of a gain that follows the level, as the hardware of some devices has it: it raises the noise of a
    pause and lowers what follows."""
    Clipping: Probability = 0.1
    """Probability of peaks that are cut off by 1 to 10 dB: somebody is near, or the device's gain is high."""
    background_min_snr_db: float = -5.0
    """Least ratio of clip to background."""
    background_max_snr_db: float = 10.0
    """Greatest ratio of clip to background."""
    min_gain_db: float = -45.0
    """Quietest level, against the clip as it was recorded."""
    max_gain_db: float = 0.0
    """Loudest level."""
    min_jitter_s: float = Field(0.195, ge=0)
    """Least time between the word and the clip's end, seconds."""
    max_jitter_s: float = 0.205
    """Greatest time between the word and the clip's end, seconds."""
    augmentation_duration_s: float = Field(3.2, le=30)
    """Length of an augmented clip, seconds."""
    background_paths: Folders = ()
    """Folders of backgrounds beside `paths.background_dir`."""
    impulse_paths: Folders = ()
    """Folders of room impulse responses beside `paths.rir_dir`."""
    computed_rooms: int = Field(200, ge=0, le=5000)
    """Rooms that are computed where neither `paths.rir_dir` nor `impulse_paths` has any: without a room, a model knows
    only voices at the microphone. About 0.3 s of a core each, once; 0: none."""
    computed_backgrounds: int = Field(120, ge=0, le=5000)
    """Backgrounds of 15 s that are computed where neither `paths.background_dir` nor `background_paths` has any:
    noises, music, and speech of the training negatives as a television has it. 0: none."""
    computed_music_share: Probability = 0.3
    """Share of music in the computed backgrounds."""
    computed_speech_share: Probability = 0.4
    """Share of speech, one to five voices, in the computed backgrounds; the rest is noise."""
    SpeechBefore: Probability = 0.3
    """Probability of other speech of the training that ends where the word, or a short negative, begins: people do not
    pause before a name."""
    SpeechAfter: Probability = 0.3
    """Probability of other speech of the training that begins where the word, or a short negative, ends."""
    Onset: Probability = 0.3
    """Probability that a negative begins within the clip, after silence: there false accepts sit."""
    BackgroundAlone: Probability = 0.2
    """Probability that a background is heard in the place of a negative, so that noise alone does not wake the model;
    none where `AddBackgroundNoise` is 0."""
    min_level_dbfs: float = -45.0
    """Quietest peak that `Level` sets."""
    max_level_dbfs: float = Field(0.0, le=0)
    """Loudest peak that `Level` sets; 0 is full scale."""

    @property
    def samples(self) -> int:
        """Length of an augmented clip in 16 kHz samples."""
        return round(self.augmentation_duration_s * contract.SAMPLE_RATE_HZ)

    @model_validator(mode="after")
    def _limits_fit(self) -> Self:
        for low, high in (
            ("background_min_snr_db", "background_max_snr_db"),
            ("min_gain_db", "max_gain_db"),
            ("min_jitter_s", "max_jitter_s"),
            ("min_level_dbfs", "max_level_dbfs"),
        ):
            least, most = getattr(self, low), getattr(self, high)
            if least > most:
                raise ValueError(
                    f"augmentation.{low} is {least:g} and augmentation.{high} is {most:g}; the first must not be above"
                    " the second"
                )
        shortest = self.max_jitter_s + contract.WINDOW_MS / 1000
        if self.augmentation_duration_s <= shortest:
            raise ValueError(
                f"augmentation.augmentation_duration_s is {self.augmentation_duration_s:g}; give more than"
                f" {shortest:g}, which what follows a word takes (augmentation.max_jitter_s and one window)"
            )
        return self


class SpeakerClusteringSection(Section):
    """How `mww-cluster-analyze` groups recordings by voice, and whether splits are searched for what they share."""

    enabled: bool = True
    """False: the dataset's folders are its speakers, and `mww-cluster-analyze` refuses."""
    method: Literal["agglomerative", "threshold"] = "agglomerative"
    """agglomerative: the files of a group are alike on average. threshold: any chain of similar files is a group."""
    embedding_model: str = Field("speechbrain/spkrec-ecapa-voxceleb", min_length=1)
    """A model of the hub, `name` or `name@revision`, or a folder with its files."""
    similarity_threshold: float = Field(0.72, gt=0, le=1)
    """Least cosine similarity of one voice."""
    n_clusters: int = Field(0, ge=0)
    """Number of speakers where it is known, for `agglomerative`; 0: the threshold decides."""
    leakage_audit_enabled: bool = True
    """Look for the same voice (`mww-cluster-analyze`) and the same recording (`mww-train`) in two splits."""

    @model_validator(mode="after")
    def _number_is_used(self) -> Self:
        if self.n_clusters and self.method == "threshold":
            raise ValueError(
                "speaker_clustering.n_clusters needs speaker_clustering.method=agglomerative; the method 'threshold'"
                " has as many groups as it finds"
            )
        if self.n_clusters and not self.enabled:
            raise ValueError(
                "speaker_clustering.n_clusters does nothing while speaker_clustering.enabled is false; remove one of"
                " the two"
            )
        return self
