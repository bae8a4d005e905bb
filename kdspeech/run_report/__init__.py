"""The page of one run or several: what a person looks at to believe a table, and to see why a model fails."""
