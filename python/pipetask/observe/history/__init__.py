"""Several runs side by side: what each took, and what has changed from one to the next."""
