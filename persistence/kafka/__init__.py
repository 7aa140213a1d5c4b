"""Kafka, as the log needs it: records, brokers, and what they answer."""
