"""Which option belongs to which decode mode, and that no two settings share a file."""

from pathlib import Path
from typing import Any

import pytest

from kdspeech.choices import DECODE_MODES, DecodeMode
from kdspeech.decoding.options import DEFAULT_OPTIONS, DEFAULTS, DecodeOptions, resolve, settings_of, slug
from kdspeech.decoding.priors import load_priors
from kdspeech.errors import ConfigError
from kdspeech.lexicon import Lexicon

VALUES: dict[str, Any] = {
    "beam": 16,
    "length_norm": 0.6,
    "repetition_penalty": 1.2,
    "end_threshold": 1.5,
    "ctc_weight": 0.5,
    "lm": Path("lm.arpa"),
    "lm_weight": 0.7,
    "priors": Path("priors.tsv"),
    "nbest": 3,
}
USED: dict[DecodeMode, set[str]] = {
    "ctc": set(),
    "ctc-beam": {"beam", "lm", "lm_weight", "nbest"},
    "decoder": {"beam", "length_norm", "repetition_penalty", "end_threshold", "nbest"},
    "joint": {"beam", "length_norm", "repetition_penalty", "end_threshold", "ctc_weight", "nbest"},
    "lexicon": {"priors", "nbest"},
}
NEEDS: dict[str, dict[str, Any]] = {
    "lm_weight": {"lm": Path("lm.arpa")},
    "length_norm": {"beam": 8},
    "nbest": {"beam": 8},
}


@pytest.mark.parametrize("mode", DECODE_MODES)
@pytest.mark.parametrize("name", list(VALUES))
def test_an_option_is_used_or_refused(mode: DecodeMode, name: str) -> None:
    needed = {key: value for key, value in NEEDS.get(name, {}).items() if key in USED[mode]}
    options = DecodeOptions(**{**needed, name: VALUES[name]})
    if name in USED[mode]:
        assert getattr(resolve(mode, options), name) == VALUES[name]
    else:
        with pytest.raises(ConfigError, match=rf"{mode} does not use --{name.replace('_', '-')}; it is for "):
            resolve(mode, options)


@pytest.mark.parametrize(
    ("mode", "options", "message"),
    [
        ("decoder", DecodeOptions(beam=0), "--beam must lie between 1 and 1000, found 0"),
        ("decoder", DecodeOptions(repetition_penalty=0.5), "--repetition-penalty must lie between 1 and 10"),
        ("joint", DecodeOptions(ctc_weight=1.5), "--ctc-weight must lie between 0 and 1"),
        ("joint", DecodeOptions(beam=1), "at least 2"),
        ("decoder", DecodeOptions(length_norm=0.6), "Add --beam"),
        ("decoder", DecodeOptions(nbest=2), "more texts than the beam"),
        ("ctc-beam", DecodeOptions(lm_weight=0.2), "--lm FILE"),
        ("lexicon", DecodeOptions(nbest=0), "--nbest must lie"),
    ],
)
def test_values_that_make_no_sense_are_refused(mode: DecodeMode, options: DecodeOptions, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve(mode, options)


def test_two_settings_never_share_a_name(tmp_path: Path) -> None:
    for name, text in (("a", "x\t1"), ("b", "x\t2")):
        (tmp_path / name).write_text(text)
    given: dict[DecodeMode, list[DecodeOptions]] = {
        "decoder": [
            DEFAULT_OPTIONS,
            DecodeOptions(beam=8),
            DecodeOptions(beam=16),
            DecodeOptions(beam=8, length_norm=0.6),
            DecodeOptions(beam=8, length_norm=0.65),
            DecodeOptions(beam=8, repetition_penalty=1.6),
            DecodeOptions(beam=8, nbest=4),
        ],
        "lexicon": [DEFAULT_OPTIONS, *(DecodeOptions(priors=tmp_path / name) for name in "ab")],
    }
    settings = {mode: [settings_of(mode, resolve(mode, options)) for options in some] for mode, some in given.items()}
    for some in settings.values():
        assert len({slug(one) for one in some}) == len(some)
        assert slug(some[0]) == ""
    assert slug(settings["decoder"][3]) == "-beam8-length-norm0.6"
    assert settings["lexicon"][1]["priors"] != settings["lexicon"][2]["priors"]  # by content
    (tmp_path / "same").write_text("x\t1")
    assert settings_of("lexicon", resolve("lexicon", DecodeOptions(priors=tmp_path / "same"))) == settings["lexicon"][1]


def test_defaults_given_by_hand_are_the_defaults() -> None:
    for mode in DECODE_MODES:
        given = {name: value for name, value in DEFAULTS[mode].items() if value is not None}
        given.pop("length_norm", None) if mode == "decoder" else None  # greedy search has nothing to rank
        given.pop("lm_weight", None)  # without a language model there is nothing to weigh
        assert settings_of(mode, resolve(mode, DecodeOptions(**given))) == {}


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--priors .*none\.tsv does not exist"):
        settings_of("lexicon", resolve("lexicon", DecodeOptions(priors=tmp_path / "none.tsv")))


# Priors


def test_priors_are_normalised_weights(tmp_path: Path) -> None:
    path = tmp_path / "priors.tsv"
    path.write_text("yes\t3\nice cream\t0.5\n\nno\t0.5\n", encoding="utf-8")
    assert load_priors(path, Lexicon(("no", "yes", "ice cream"))) == {"no": 0.125, "yes": 0.75, "ice cream": 0.125}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("yes\t1\nno\t0\n", "line 2: expected `word<TAB>weight` with a weight above 0"),
        ("yes 1\nno\t1\n", "line 1: expected"),
        ("yes\tnan\nno\t1\n", "line 1: expected"),
        ("yes\t1\nyes\t2\n", "line 2: 'yes' stands twice"),
        ("yes\t1\n", r"without weight no \(1\), not in the lexicon none \(0\)"),
        ("yes\t1\nno\t1\nperhaps\t1\n", r"without weight none \(0\), not in the lexicon perhaps \(1\)"),
    ],
)
def test_priors_that_do_not_fit_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "priors.tsv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        load_priors(path, Lexicon(("yes", "no")))
    with pytest.raises(ConfigError, match="does not exist"):
        load_priors(tmp_path / "none", Lexicon(("yes", "no")))
