#!/usr/bin/env bash
# The whole way in small, without data and without a download: a simulated UASpeech, six speakers, M08 held out.
# Twelve minutes on 2 cores; students have a third of the recipe's epochs. Needs an installed kdspeech with its extra
# `demo`:  bash experiments/demo.sh
set -euo pipefail

export KDSPEECH_WORKSPACE="${KDSPEECH_WORKSPACE:-workspace-demo}"
short=stages.1.epochs=12

kdspeech prepare simulated --report --listen
kdspeech pretrain
kdspeech train-teachers --speakers all
kdspeech dump-teachers --speakers all
kdspeech train --held-out M08 --mode decoder-kd --set "$short"
for mode in ctc decoder lexicon; do
    kdspeech eval --held-out M08 --mode decoder-kd --decode-mode "$mode"
done
kdspeech report --held-out M08 --mode decoder-kd
kdspeech loso --speakers M08 --set "$short"
