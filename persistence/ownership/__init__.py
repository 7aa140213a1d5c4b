"""The protocol of one partition's owner, without I/O: answers in, requests and releases out."""
