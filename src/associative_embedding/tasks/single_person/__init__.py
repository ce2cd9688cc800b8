"""The one person in a crop: the refinement of the paper's section 4.1."""
