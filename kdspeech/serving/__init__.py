"""A page on this computer: speak a word, see what a student hears."""
