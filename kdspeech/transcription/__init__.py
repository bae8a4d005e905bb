"""What was said in recordings that nobody has written down: files, standard input, a microphone."""
