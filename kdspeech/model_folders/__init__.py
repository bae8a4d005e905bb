"""Models on disk: checkpoints, the folders of students and teachers, and where they start."""
