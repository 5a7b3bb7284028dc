"""Find misuse of softmax and cross-entropy in code, without running it: ``normexp check``."""
