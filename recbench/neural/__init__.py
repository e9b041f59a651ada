"""Models trained by gradients: torch and Lightning are known here only, and imported only when a model fits or answers.

The author of a plugin writes `network(train)`; batches, losses, selection, checkpoints and answers are done here once.
"""
