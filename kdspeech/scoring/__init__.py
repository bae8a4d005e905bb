"""How right a text is: normalisation, word recognition accuracy, word error rate; their counts and intervals."""
