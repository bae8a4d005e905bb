#!/usr/bin/env bash
# The main job in small, a few minutes on 2 cores: three speakers, one of them held out.
# Needs the Free Spoken Digit Dataset and an installed kdspeech:  bash experiments/demo.sh DIR
set -euo pipefail

recordings="$1"
export KDSPEECH_WORKSPACE="${KDSPEECH_WORKSPACE:-workspace-demo}"

kdspeech prepare fsdd --root "$recordings" --speakers jackson,george,theo
kdspeech train-teachers --speakers jackson,george
kdspeech dump-teachers --speakers jackson,george
kdspeech aggregate --held-out theo
kdspeech train --held-out theo --mode decoder-kd
for mode in ctc decoder lexicon; do
    kdspeech eval --held-out theo --mode decoder-kd --decode-mode "$mode"
done
