"""Two systems on the same utterances: how far apart, how sure, and whether chance would do it."""
