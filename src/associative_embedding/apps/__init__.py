"""The programs of the package: the command line, the HTTP service, and jobs on a cluster."""
