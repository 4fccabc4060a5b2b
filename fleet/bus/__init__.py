"""NATS at the edge: connection, buckets, replica and fenced writes. Library errors end here."""
