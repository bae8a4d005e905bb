"""What systems write: one reader a file family, and the registry that knows a file by its first lines."""
