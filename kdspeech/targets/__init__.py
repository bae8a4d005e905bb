"""Pooling: the teachers' distributions become one target per utterance, and are decoded before training."""
