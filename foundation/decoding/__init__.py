"""Token by token: causal models of transformers whose rows come and go between steps."""
