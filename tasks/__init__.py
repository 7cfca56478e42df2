"""The verbs: what the store can do, over the ports it needs to do it."""
