"""What people start: the command line, the service, jobs on a cluster."""
