"""A whole run: graph, execution model, registry and sinks, wired together."""
