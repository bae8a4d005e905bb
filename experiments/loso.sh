#!/usr/bin/env bash
#SBATCH --job-name=kdspeech-loso
#SBATCH --cpus-per-task=8
#SBATCH --output=loso-%j.log
# Leave one speaker out, the whole way: one teacher per speaker, their scores on everyone, three students per held-out
# speaker, their evaluation, and one table. Needs a prepared workspace (`kdspeech prepare ...`).
#   bash experiments/loso.sh [--jobs N] [--seed N] [--recipe NAME] [--set KEY=VALUE] [--speakers A,B] [--modes labels]
# Run it again after an interruption: what is done is skipped, what is half done continues.
# On SLURM: sbatch experiments/loso.sh [the same arguments]; KDSPEECH_WORKSPACE must lie on a shared disk.
set -euo pipefail

export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" # every job is a process of its own
export KDSPEECH_WORKSPACE="${KDSPEECH_WORKSPACE:-workspace}"

# Trains and dumps the teachers that are missing before it trains the students.
kdspeech loso "$@"
