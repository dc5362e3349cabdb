"""Settings of a site, and the YAML files that hold settings."""
