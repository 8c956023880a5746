"""Forward passes and gradients: the only place where backends differ."""
