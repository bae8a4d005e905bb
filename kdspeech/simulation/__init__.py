"""Simulated speech: a synthesiser, and a UASpeech made with it for those who have no licence."""
