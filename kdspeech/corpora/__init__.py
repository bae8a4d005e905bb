"""Corpora: what an utterance is, and one reader a file for each kind of corpus."""
