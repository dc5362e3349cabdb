"""LSST's own tests of its executors, run against ours: ``make peer-suites``."""
