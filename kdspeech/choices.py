"""The closed sets of names that recipes, functions and the command line share; imports nothing heavy."""

from typing import Literal, get_args

Mode = Literal["labels", "ctc-kd", "decoder-kd"]  # what a student learns from
LossTerm = Literal[
    "ctc",
    "cross_entropy",
    "frame_kl",
    "token_kl",
    "word_kl",
    "nbest_ctc",
    "nbest_cross_entropy",
    "consistency",
    "intermediate_ctc",
    "intermediate_frame_kl",
]
Kind = Literal["ctc", "decoder", "word", "hypotheses"]  # what is stored of a teacher
DecodeMode = Literal["ctc", "ctc-beam", "decoder", "joint", "lexicon"]
Who = Literal["all", "own", "others"]  # the teachers that speak on a speaker's recordings: its own, or all but that
Backend = Literal["speechbrain", "nemo"]  # whose models the teachers are
CombinationMethod = Literal["vote", "rover"]  # of several systems
Checkpoint = Literal["last", "best"]  # the last epoch's, or the best on the training speakers' held-back productions

NEMO: Backend = "nemo"
PRETRAINED = "pretrained"  # stands for the workspace's own pretrained models in a recipe

MODES: tuple[Mode, ...] = get_args(Mode)
LOSS_TERMS: tuple[LossTerm, ...] = get_args(LossTerm)
DECODER_TERMS: tuple[LossTerm, ...] = (
    "cross_entropy",
    "token_kl",
    "nbest_cross_entropy",
)  # what teaches the decoder
BACKENDS: tuple[Backend, ...] = get_args(Backend)
KINDS: tuple[Kind, ...] = get_args(Kind)
DECODE_MODES: tuple[DecodeMode, ...] = get_args(DecodeMode)
TABLE_MODES: tuple[DecodeMode, ...] = ("ctc", "decoder", "lexicon")  # those by which a table compares systems
COMBINATION_METHODS: tuple[CombinationMethod, ...] = get_args(CombinationMethod)
CHECKPOINTS: tuple[Checkpoint, ...] = get_args(Checkpoint)
# What is evaluated: on speakers never heard `last` is better, since `best` follows the noise of few and easy recordings
# (experiments/RESULTS_EARLIER.md).
DEFAULT_CHECKPOINT: Checkpoint = "last"
