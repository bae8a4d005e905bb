"""Pages for people: one self-contained HTML file each, from templates that share one look."""
