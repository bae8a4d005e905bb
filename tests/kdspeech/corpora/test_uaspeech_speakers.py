"""The speaker table: who is there, and which band the figures give."""

from kdspeech.corpora.uaspeech_speakers import BANDS, CONTROL, CONTROLS, DYSARTHRIC, SPEAKERS

_BANDS = {
    "VERY LOW": {"M04", "F03", "M12", "M01"},
    "LOW": {"M07", "F02", "M16"},
    "MID": {"M05", "F04", "M11"},
    "HIGH": {"M09", "M14", "M08", "M10", "F05"},
}


def test_the_bands_follow_from_the_intelligibility() -> None:
    assert {band: {s.name for s in DYSARTHRIC if s.band == band} for band in BANDS} == _BANDS


def test_controls_have_a_band_of_their_own() -> None:
    assert len(CONTROLS) == 13
    assert {s.band for s in CONTROLS} == {CONTROL}
    assert all(s.is_control for s in CONTROLS)


def test_the_letter_tells_the_sex() -> None:
    assert (SPEAKERS["F02"].sex, SPEAKERS["CF03"].sex, SPEAKERS["M16"].sex) == ("F", "F", "M")
    assert len(SPEAKERS) == 28
