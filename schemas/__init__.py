"""The nouns of the store: what they are (`domain`), their JSON (`http`), their rows (`tables`)."""
