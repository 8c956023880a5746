"""Bet against the claim that numbers are uniform."""

import numpy as np

# How much a bet favors large numbers; negative values favor small ones.
_SLOPES = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
# The share of each bet that is spread over all slopes at each step.
_JUMPING = 0.002


class Bets:
    """The capital of bettors, each of which starts with 1.

    If a bettor's numbers are independent and uniform in 0..1, then its capital
    ever reaches `c` with a probability of at most `1 / c` (Ville's inequality).
    The same holds for the mean capital of all bettors, even if the numbers of
    different bettors depend on each other. If the numbers are not uniform, the
    capital grows exponentially.

    Source: the Simple Jumper (Vovk et al., "Retrain or not retrain: conformal
    test martingales for change-point detection", arXiv 2102.10439), with
    steeper slopes and rarer jumps.

    Args:
        count: Positive integer, how many bettors there are.
    """

    def __init__(self, count: int) -> None:
        slopes = len(_SLOPES)
        # The parts of each capital by their slopes, which sum to 1.
        self._parts = np.full((count, slopes), 1 / slopes)
        # The natural logarithm of each capital.
        self.log_capital = np.zeros(count)

    def add(self, numbers: np.ndarray) -> None:
        """Let each bettor bet on its next number.

        Args:
            numbers: Array `(count,)` of numbers in 0..1.
        """
        parts = (1 - _JUMPING) * self._parts + _JUMPING / len(_SLOPES)
        parts *= 1 + _SLOPES * (numbers[:, None] - 0.5)
        gain = parts.sum(axis=1)
        self.log_capital += np.log(gain)
        self._parts = parts / gain[:, None]

    @property
    def mean_log_capital(self) -> float:
        """The logarithm of the mean capital."""
        most = self.log_capital.max()
        mean = np.exp(self.log_capital - most).mean()
        return float(most + np.log(mean))
