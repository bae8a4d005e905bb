"""Recipes: strict, typed settings for the whole way; `kdspeech.recipe_file` reads them.

A recipe is data. Unknown keys are refused, every field has its unit, and the resolved copy is saved with the run.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, field_validator, model_validator

from kdspeech.choices import DECODER_TERMS, KINDS, NEMO, PRETRAINED, Backend, Kind, LossTerm, Mode, Who

_CONFORMER_SUBSAMPLING = 4  # NeMo's default, where an encoder_config does not say


class Strict(BaseModel):
    """Frozen, and refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _later(default: Any, **limits: Any) -> Any:
    """A setting that came later: at its default it is not written down, so what was made before counts as the same."""
    return Field(default, exclude_if=lambda value: value == default, **limits)


class VocabularyConfig(Strict):
    """The SentencePiece model, trained on the task's lexicon."""

    size: int = Field(gt=4)  # upper bound on pieces
    model_type: Literal["unigram", "bpe", "char"] = "unigram"


Range = tuple[float, float]  # smallest and largest; each utterance draws its own value between them


class ChannelConfig(Strict):
    """What lies between a mouth and the recogniser, and leaves every sound where it is in time."""

    reverb_share: float = Field(0.3, ge=0, le=1)  # of utterances that are said in a room
    reverb_s: Range = (0.02, 0.2)  # seconds in which a room's echo decays by 60 dB
    equaliser_db: float = Field(8.0, ge=0)  # largest gain or cut of a random smooth equaliser
    telephone_share: float = Field(0.5, ge=0, le=1)  # of utterances that go through a telephone's band
    low_cut_hz: Range = (50, 300)
    high_cut_hz: Range = (3000, 4000)
    snr_db: Range = (5, 45)  # of coloured noise, against the utterance's mean power
    level_db: Range = (-30, -3)  # of the peak, against full scale

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        return _with_ordered_ranges(self)


class TeacherConfig(Strict):
    """One speaker's teacher: a SpeechBrain Conformer with a CTC head and an attention decoder, or a student of one.

    A NeMo teacher is the recipe's student, trained on one speaker from the student's own start. It has the student's
    architecture, features and masks; `start`, sizes (down to `dropout`) and `spec_augment` are a SpeechBrain teacher's.
    """

    backend: Backend = "speechbrain"
    start: Literal["random", "pretrained"] = "random"  # where all teachers begin; `kdspeech pretrain` makes the latter
    num_mels: int = 80
    subsampling: Literal[2, 4] = 4  # feature frames per encoder frame
    d_model: int = 96
    num_heads: int = 4
    encoder_layers: int = 4
    decoder_layers: int = 2
    feed_forward: int = 192
    kernel_size: int = 15  # of the Conformer's depthwise convolution, frames
    dropout: float = 0.1
    epochs: int = Field(40, gt=0)
    batch_size: int = Field(16, gt=0)
    learning_rate: float = Field(1e-3, gt=0)
    warmup_share: float = Field(0.1, ge=0, lt=1)  # of all steps
    weight_decay: float = Field(1e-3, ge=0)
    ctc_weight: float = Field(0.5, ge=0, le=1)  # the decoder's cross-entropy gets the rest
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    # Each utterance is played at one of them, drawn anew every epoch.
    speeds: tuple[PositiveFloat, ...] = Field((0.9, 1.0, 1.1), min_length=1)
    colouring: ChannelConfig | None = _later(None)  # of each utterance, drawn anew every epoch; None: as recorded
    spec_augment: bool = _later(True)  # up to two masks of bands and two of frames, drawn anew every batch


class DumpConfig(Strict):
    """What is stored of a teacher."""

    kinds: tuple[Kind, ...] = KINDS
    top_k: int | None = None  # columns kept a row, with the tail mass; None keeps all
    dtype: Literal["float16", "float32"] = "float16"
    min_own_wra: float = 50.0  # %; a teacher below it on its own speaker is reported as broken


class TargetConfig(Strict):
    """How the teachers' distributions become one."""

    pooling: Literal["prob_mean", "logprob_mean", "logit_mean"] = "logprob_mean"
    temperature: float = Field(2.0, gt=0)
    blank_threshold: float = Field(0.95, gt=0, le=1)  # a frame counts while the pooled blank is below it
    dilation: int = Field(2, ge=0)  # frames kept on each side of a frame that counts
    min_teachers: int = Field(1, ge=1)
    weights: Literal["uniform", "agreement"] = "uniform"
    # Whose voices count, for frames, tokens and words alike.
    who: Who = _later("all")
    own_share: float | None = _later(None, gt=0, lt=1)  # of a speaker's own teacher in what all say; None: as any
    # other, and for words what pseudo_labels.own_share says
    min_agreement: float = _later(0.0, ge=0, le=1)  # share of the teachers with one word below which nothing is learnt
    calibrate: bool = _later(False)  # each teacher's temperature first, fitted on its own validation recordings
    switch: bool = _later(False)  # one teacher speaks at a time, drawn by its weight for each recording and epoch
    # What a target is pooled over, beside the teachers: nothing more; all training recordings of the label (tokens and
    # words: frames of two recordings have no common time); or the n-th recordings of the label by every speaker, row by
    # row, frames too, as if the i-th frames of two recordings said the same.
    over: Literal["recording", "label", "index"] = _later("recording")
    blank: Literal["mask", "delete"] = _later("mask")  # a class, and a mask of frames; or cut out of both sides' frames
    align: bool = _later(False)  # the teachers' spikes are laid upon each other, by the transcript, before frames pool

    @model_validator(mode="after")
    def _composable(self) -> "TargetConfig":
        if self.who != "all" and self.own_share is not None:
            raise ValueError(f"own_share weighs a speaker's own teacher among all; with who={self.who} they never meet")
        if self.who == "own" and self.min_agreement > 0:
            raise ValueError("min_agreement needs several teachers on a recording; with who=own one speaks alone")
        if self.over != "recording" and self.switch:
            raise ValueError(f"switch lets one teacher speak on a recording, over={self.over} pools several recordings")
        if self.align and self.switch:
            raise ValueError("align lays several teachers upon each other; with switch one speaks alone")
        if self.align and self.over == "index":
            raise ValueError("align gives the teachers of a recording one time; over=index pools rows by their number")
        return self


class PseudoLabelConfig(Strict):
    """How recordings whose transcripts are not read get their words, from teachers and student."""

    temperature: float = Field(4.0, gt=0)  # of each teacher's word posteriors, before they are pooled
    own_share: float | None = Field(0.8, gt=0, lt=1)  # of a speaker's own teacher in what all say; None: as any other
    min_confidence: float = Field(0.0, ge=0, le=1)  # below it a recording is not learnt from
    # What a teacher has learnt is balanced, too: where the balance is not the speaker's, it takes right words away.
    balance_known: bool = _later(False)
    # What follows decides about recordings that no teacher has learnt: a new speaker's, others' test recordings.
    # The mean of log-posteriors, or the words that follow from each teacher's confusions of the voice.
    pooling: Literal["mean", "dawid_skene"] = "dawid_skene"
    # Each word comes as often as of the training speakers, where a speaker has as many recordings as there are words.
    balance: bool = True
    # Of the student's voice, where that of all teachers is 1; with `from_start` it grows to this in a straight line.
    student_weight: float = Field(0.5, ge=0)
    student_from: float = Field(0.5, ge=0, le=1)  # share of the training after which the student is asked, too
    from_start: bool = False  # learnt from the teachers alone, before the student is asked
    weight: Literal["together", "teachers"] = _later("together")  # whose posterior of its word a recording weighs

    @model_validator(mode="after")
    def _student_is_asked(self) -> Self:
        if not self.from_start and self.student_weight == 0:
            raise ValueError(
                "from_start=false waits for the student, who is not asked with student_weight=0; set from_start=true"
            )
        return self

    def deciding(self, strangers: bool) -> dict[str, Any]:
        """The settings that decide a run, as plain JSON values.

        Args:
            strangers: the run hears recordings that no teacher has learnt.
        """
        return self.model_dump(mode="json", exclude=None if strangers else _OF_STRANGERS)


_OF_STRANGERS = {"pooling", "balance", "student_weight", "student_from", "from_start", "weight"}


class StudentConfig(Strict):
    """A NeMo encoder with a CTC head and a Transformer decoder."""

    start: Literal["teachers"] | None = None  # with all weights where its NeMo teachers started; None: as below
    encoder: str | None = None  # `pretrained` (the workspace's own), .nemo file, published name; None: from scratch
    encoder_config: dict[str, Any] | None = None  # keyword arguments of NeMo's ConformerEncoder
    num_mels: int = 80
    # Keyword arguments of NeMo's AudioToMelSpectrogramPreprocessor; `normalize: mean` is ours (students/features.py).
    preprocessor_config: dict[str, Any] | None = None
    decoder_layers: int = 4
    decoder_heads: int = 4
    decoder_size: int | None = None  # None: the encoder's; another size gets a projection in front
    decoder_feed_forward: int = 384
    decoder_dropout: float = 0.1
    spec_augment: dict[str, Any] | None = None  # keyword arguments of NeMo's SpectrogramAugmentation
    # A factor on an utterance's frequencies, drawn anew whenever it is learnt from; 1.1: a shorter vocal tract.
    vocal_tract: tuple[PositiveFloat, PositiveFloat] | None = _later(None)
    intermediate_layer: int | None = Field(None, ge=1)  # of the encoder: a second CTC head hears it while training

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        return _with_ordered_ranges(self)

    @model_validator(mode="after")
    def _one_encoder(self) -> "StudentConfig":
        if (self.encoder is None) == (self.encoder_config is None):
            raise ValueError("give either `encoder` (a checkpoint) or `encoder_config` (from scratch)")
        return self

    def starting_from(self, encoder: str) -> "StudentConfig":
        """The same student, from a checkpoint: `pretrained`, a .nemo file or a published name."""
        return self.model_copy(update={"encoder": encoder, "encoder_config": None})


Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class StageConfig(Strict):
    """A stage is a value: what trains, on which losses, for how long."""

    name: str
    # The other parts are frozen, in eval mode.
    train: tuple[Literal["encoder", "ctc_head", "decoder"], ...] = Field(min_length=1)
    epochs: int = Field(gt=0)
    learning_rate: float = Field(gt=0)
    warmup_steps: int = Field(2000, ge=0)  # an upper bound
    max_warmup_share: float = Field(0.15, ge=0, lt=1)  # of the stage's steps; scales the warm-up to short runs
    weight_decay: float = Field(1e-3, ge=0)
    losses: dict[Mode, dict[LossTerm, Weight]]  # weights of the terms, by mode; 0 takes a term out

    @field_validator("losses")
    @classmethod
    def _terms_that_count(cls, losses: dict[Mode, dict[LossTerm, Weight]]) -> dict[Mode, dict[LossTerm, Weight]]:
        return {mode: {term: weight for term, weight in terms.items() if weight > 0} for mode, terms in losses.items()}

    @model_validator(mode="after")
    def _something_learns(self) -> Self:
        for mode, terms in self.losses.items():
            reached = {"encoder", *("decoder" if term in DECODER_TERMS else "ctc_head" for term in terms)}
            if not terms:
                raise ValueError(f"no loss term of mode {mode} has a weight above 0")
            if reached.isdisjoint(self.train):
                raise ValueError(
                    f"the loss terms of mode {mode} ({', '.join(terms)}) reach {' and '.join(sorted(reached))}, and "
                    f"only {', '.join(self.train)} may learn here"
                )
        return self


class FrameKlConfig(Strict):
    """On which frames the terms `frame_kl` and `intermediate_frame_kl` compare student and teachers."""

    symmetric: int | None = Field(None, ge=0)  # also around the student's own spikes, frames on each side (Hilmes 2025)
    delay: int = Field(0, ge=0)  # frames by which the student may be early or late; the nearest match counts


class TrainingConfig(Strict):
    """What all stages share."""

    batch_size: int = Field(32, gt=0)  # utterances
    gradient_clip: float = Field(1.0, gt=0)  # largest norm of a step's gradient; .inf clips nothing
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    precision: Literal["32-true", "bf16-mixed"] = "32-true"  # Lightning's names
    speeds: tuple[PositiveFloat, ...] = Field((1.0,), min_length=1)  # drawn for each utterance and epoch; 1.1 is faster
    tempos: tuple[PositiveFloat, ...] = _later((1.0,), min_length=1)  # drawn beside the speed; pitch and formants stay
    audio_cache_mb: int = 1024  # decoded waveforms kept in memory
    save_top_k: int = Field(1, ge=1)  # checkpoints kept by validation score, best.ckpt among them
    ema_decay: float | None = Field(None, gt=0, lt=1)  # of the average of weights that is kept; None: the last step's
    frame_kl: FrameKlConfig | None = None  # None: the frames around the teachers' spikes, each with its own
    colouring: ChannelConfig | None = None  # of each utterance, drawn anew every epoch; None: as recorded
    speakers: Literal["all", "first"] = _later("all")  # whose recordings are heard; as many steps either way

    @property
    def fastest(self) -> float:
        """The highest pace (speed times tempo) at which a recording is played."""
        return max(self.speeds) * max(self.tempos)


class VoicesConfig(Strict):
    """Synthetic voices: every utterance has one of its own."""

    pitch: Range = (5, 99)  # espeak-ng's scale, 0-100
    pitch_range: Range = (5, 95)  # espeak-ng's scale; 0 is a monotone
    rate: Range = (110, 400)  # words a minute, drawn on a logarithmic scale

    @model_validator(mode="after")
    def _ordered(self) -> "VoicesConfig":
        return _with_ordered_ranges(self)


class ColouringConfig(ChannelConfig):
    """What lies between a synthetic mouth and the recogniser."""

    speed: Range = (0.8, 1.25)  # of playing: moves tempo, pitch and formants together
    silence_s: Range = (0.0, 0.25)  # seconds added at each end


def _with_ordered_ranges(config: Any) -> Any:
    wrong = [name for name, value in config if isinstance(value, tuple) and value[0] > value[1]]
    if wrong:
        raise ValueError(f"the first value must not be above the second: {', '.join(wrong)}")
    return config


class FitConfig(Strict):
    """One training on the synthetic voices."""

    epochs: int = Field(gt=0)
    batch_size: int = Field(32, gt=0)  # utterances
    learning_rate: float = Field(gt=0)


class PretrainingConfig(Strict):
    """What `kdspeech pretrain` makes: an encoder with a CTC head, and the start of all teachers."""

    encoder_config: dict[str, Any] | None = None  # of NeMo's ConformerEncoder; None: the student's own
    utterances_per_word: int = Field(gt=0)  # of the lexicon: a larger one takes longer to learn
    valid_utterances: int = Field(200, gt=0)  # voices apart, only watched
    voices: VoicesConfig = VoicesConfig()
    colouring: ColouringConfig = ColouringConfig()
    encoder: FitConfig
    teacher: FitConfig


class Recipe(Strict):
    """Everything that decides a run, but the data and the seed."""

    name: str
    vocabulary: VocabularyConfig
    teacher: TeacherConfig
    dump: DumpConfig
    targets: TargetConfig
    pseudo_labels: PseudoLabelConfig = PseudoLabelConfig()
    student: StudentConfig
    training: TrainingConfig
    stages: tuple[StageConfig, ...] = Field(min_length=1)
    pretraining: PretrainingConfig | None = None

    @model_validator(mode="after")
    def _terms_have_what_they_need(self) -> "Recipe":
        used = {term for stage in self.stages for terms in stage.losses.values() for term in terms}
        wanted = {
            "student.spec_augment (two views of a recording must differ)": ("consistency", self.student.spec_augment),
            "student.intermediate_layer": ("intermediate_", self.student.intermediate_layer),
            "`hypotheses` among dump.kinds": ("nbest_", "hypotheses" in self.dump.kinds),
        }
        for setting, (prefix, value) in wanted.items():
            terms = sorted(term for term in used if term.startswith(prefix))
            if terms and not value:
                raise ValueError(f"the loss terms {', '.join(terms)} need {setting}")
        for stage in self.stages:
            if "encoder" not in stage.train and any("consistency" in terms for terms in stage.losses.values()):
                raise ValueError(
                    f"stage {stage.name!r} does not train the encoder, and a frozen one hears two views of a recording "
                    "alike: name the loss term consistency in a stage that trains it"
                )
        return self

    @property
    def own_share_of_words(self) -> float | None:
        """Of a speaker's own teacher in words beside a transcript; in a transcript's place `pseudo_labels` decides."""
        given = self.targets.own_share
        return self.pseudo_labels.own_share if given is None else given

    @property
    def encoder_config(self) -> dict[str, Any] | None:
        """The encoder's architecture, where the recipe describes it: the student's, or that of `pretraining`."""
        if self.student.encoder is None:
            return self.student.encoder_config
        if self.student.encoder == PRETRAINED and self.pretraining is not None:
            return self.pretraining.encoder_config
        return None

    def starting_from(self, encoder: str) -> "Recipe":
        """The same recipe with another start for the student: `pretrained`, a .nemo file or a published name."""
        return self.model_copy(update={"student": self.student.starting_from(encoder)})


def coarsest_subsampling(teacher: TeacherConfig, encoder_config: dict[str, Any] | None) -> int:
    """Feature frames per output frame of the coarser of teacher and student: what short recordings must suffice for."""
    of_student: int = (encoder_config or {}).get("subsampling_factor", _CONFORMER_SUBSAMPLING)
    return of_student if teacher.backend == NEMO else max(teacher.subsampling, of_student)
