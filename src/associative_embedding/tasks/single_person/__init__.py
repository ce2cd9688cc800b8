"""The one person in a crop: the second stage of section 4.1."""
