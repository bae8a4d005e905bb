"""Pretraining on synthetic voices, for machines that cannot download a checkpoint: no audio of the corpus is opened."""
