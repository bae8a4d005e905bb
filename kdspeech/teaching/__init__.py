"""Teachers and their folders: training one per speaker, and the card that says whose speech each has heard."""
