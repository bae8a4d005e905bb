"""Training a student: batches, stages, loss terms, validation by word recognition accuracy."""
