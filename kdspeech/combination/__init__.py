"""Several systems as one: votes, ROVER, and what an oracle would make of them."""
