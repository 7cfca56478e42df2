"""Feeds: queues outside the store that bring the notifications of buckets."""
