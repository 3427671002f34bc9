"""Where in the picture each number of a feature vector was measured."""

import numpy as np

from features.spec import FeatureSpec


def places(spec: FeatureSpec) -> np.ndarray:
    """float64 (len(spec.names), 4): top, left, bottom and right of each number's cell as shares of the picture's sides.

    A row of NaN stands for a number of the whole picture.
    """
    return np.concatenate([_lbp(spec), _hog(spec), _filter_bank(spec), _intensity(spec), _intensity(spec)])


def _grid(cells: int) -> np.ndarray:
    """The cells of an even grid, row by row."""
    down, right = np.divmod(np.arange(cells * cells), cells)
    return np.column_stack([down, right, down + 1, right + 1]) / cells


def _lbp(spec: FeatureSpec) -> np.ndarray:
    cells = _grid(spec.lbp.grid)
    bins = len(spec.lbp.names()) // (len(cells) * len(spec.lbp.radii))
    return np.tile(np.repeat(cells, bins, axis=0), (len(spec.lbp.radii), 1))


def _hog(spec: FeatureSpec) -> np.ndarray:
    parts = []
    for cell in spec.hog.cells:
        blocks = spec.normalise.side // cell - spec.hog.block + 1
        shape = (blocks, blocks, spec.hog.block, spec.hog.block, spec.hog.orientations)
        row, column, inner_row, inner_column, _ = np.indices(shape).reshape(5, -1)
        down, right = row + inner_row, column + inner_column
        parts.append(np.column_stack([down, right, down + 1, right + 1]) * (cell / spec.normalise.side))
    return np.concatenate(parts)


def _filter_bank(spec: FeatureSpec) -> np.ndarray:
    return np.tile(_grid(spec.filter_bank.grid), (len(spec.filter_bank.frequencies) * spec.filter_bank.directions, 1))


def _intensity(spec: FeatureSpec) -> np.ndarray:
    cells = _grid(spec.intensity.grid)
    return np.concatenate([cells, cells, np.full((len(spec.intensity.quantiles), 4), np.nan)])
