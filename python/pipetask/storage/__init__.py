"""Files of datasets: paths, sizes, and forcing them to disk."""
