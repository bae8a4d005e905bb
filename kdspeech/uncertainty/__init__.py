"""How sure a figure is: intervals by bootstrap, and whether chance alone would set two systems so far apart."""
