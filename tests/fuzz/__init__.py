"""Bytes that nobody meant: mutated requests, mutated answers, peers that speak ZMTP badly."""
