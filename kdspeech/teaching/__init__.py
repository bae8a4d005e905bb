"""Teachers: training one per speaker, from a common start; students of one speaker as teachers."""
