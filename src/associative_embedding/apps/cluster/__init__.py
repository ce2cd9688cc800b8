"""`ae predict --engine ray`: any number of images on one machine or many."""
