"""The held-out speaker: evaluation, baselines without a student, and leave-one-speaker-out."""
