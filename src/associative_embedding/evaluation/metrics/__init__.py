"""Official metrics, each a pure function, and one of the tags alone (`grouping`)."""
