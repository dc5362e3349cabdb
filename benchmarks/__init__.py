"""What `make bench` measures: this package side by side with LSST's own command, in one run."""
