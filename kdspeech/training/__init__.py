"""Training a student: losses, batches, stages, checkpoints, validation by word recognition accuracy."""
