"""All that touches the butler registry: pre-update, output collections, what is there, bulk registration."""
