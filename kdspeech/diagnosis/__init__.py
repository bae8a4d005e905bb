"""Why a student fails: checks in the order in which faults happen, each with its evidence, and the first cause."""
