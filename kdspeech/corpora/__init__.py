"""Corpora: one reader a file for each kind, the checks of what they read, and `prepare`."""
