"""Every public name of the package is what it says."""

import kdspeech


def test_every_public_name_is_there() -> None:
    for name in kdspeech.__all__:
        assert getattr(kdspeech, name).__name__ == name
