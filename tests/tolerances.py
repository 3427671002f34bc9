"""How far two computations of one number may lie apart in tests, and why; ADR 11 tells what was measured.

One setting of one machine gives equal bits, and tests compare them so. `approx` without a number, which allows 1e-6 of
the value, stands where a number was worked out by hand: the formula is meant, not the last bits.
"""

# The same model's answer in other company or by another way. A batch is added up in another order than one row, which
# moves a probability by 1e-15; nothing is decided by less than 1e-9.
ANSWER = 1e-9
# Probabilities, scores and thresholds of two kernels of OpenBLAS, fitted and answered in float64: at most 1e-12 apart
# where it was measured. Nothing is decided by less than 1e-9.
BETWEEN_KERNELS = 1e-9
# Distances from the training X-rays of two kernels, from principal components in float32. Limits lie where two decimals
# decide, and the rates that follow from them count X-rays.
DISTANCES_BETWEEN_KERNELS = 1e-5
