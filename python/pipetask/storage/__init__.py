"""Files of datasets: where they are, how large they are, and when they are safely on disk."""
