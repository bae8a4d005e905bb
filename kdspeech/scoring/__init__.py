"""How right a text is: normalisation, word recognition accuracy and word error rate, always with their counts."""
