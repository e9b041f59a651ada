"""Recommenders made of causal language models: prompts, their answers, and what is learned from a few of them."""
