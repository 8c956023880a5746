"""Run forward passes and gradients; backends differ only here."""
