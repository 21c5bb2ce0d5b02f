"""One run: what the network learned."""
