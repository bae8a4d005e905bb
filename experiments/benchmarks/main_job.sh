#!/usr/bin/env bash
# Wall time, CPU time and peak memory of every command of the main job, in a new workspace.
# Needs an installed kdspeech, GNU time, and the Free Spoken Digit Dataset:  bash experiments/benchmarks/main_job.sh DIR
# Absolute times belong to one machine: compare two versions by running both, in turn, on the same one.
set -euo pipefail

recordings="$1"
KDSPEECH_WORKSPACE="$(mktemp -d)"
export KDSPEECH_WORKSPACE
trap 'rm -rf "$KDSPEECH_WORKSPACE"' EXIT

measure() {
    /usr/bin/time -f "%e s wall, %U s CPU, %M KiB peak of the largest process: $*" "$@" --quiet >/dev/null
}

measure kdspeech prepare fsdd --root "$recordings"
measure kdspeech train-teachers --speakers george,jackson,lucas,nicolas,yweweler
measure kdspeech dump-teachers --speakers george,jackson,lucas,nicolas,yweweler
for mode in labels decoder-kd ctc-kd; do
    measure kdspeech train --held-out theo --mode "$mode"
done
for decode_mode in ctc decoder lexicon; do
    measure kdspeech eval --held-out theo --decode-mode "$decode_mode"
done
for command in prepare train-teachers dump-teachers aggregate train eval loso; do
    /usr/bin/time -f "%e s: kdspeech $command --help" kdspeech "$command" --help >/dev/null
done
