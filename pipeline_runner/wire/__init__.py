"""Bytes and who sent them: messages, frames, proofs, TLS, shared memory. It knows no queue."""
