"""The log-prob store: what every teacher says of every utterance, in files that describe themselves."""
