"""Finds which stars of two lists are the same, and the map between the lists."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .wcs import Points

__all__ = ["AffineMap", "find_offset", "fit_affine", "match_nearest"]

Indices = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class AffineMap:
    """The map ``matrix @ point + offset`` of the plane.

    Parameters
    ----------
    matrix : `numpy.ndarray`, shape (2, 2)
        Rotation, scale and shear.
    offset : `numpy.ndarray`, shape (2,)
        Image of the origin.
    """

    matrix: Points
    offset: npt.NDArray[np.float64]

    def __call__(self, points: Points) -> Points:
        """Map points, shape (n, 2)."""
        return np.asarray(points @ self.matrix.T + self.offset)


def fit_affine(source: Points, target: Points) -> AffineMap:
    """Fit the map that takes one list of points to another, by least squares.

    Parameters
    ----------
    source, target : `numpy.ndarray`, shape (n, 2)
        The same points in two planes.

    Raises
    ------
    ValueError
        Raised if there are less than three points.
    """
    if len(source) < 3:
        raise ValueError(f"An affine map needs three points, not {len(source)}.")
    design = np.column_stack([source, np.ones(len(source))])
    solution = np.linalg.lstsq(design, target, rcond=None)[0].astype(np.float64)
    return AffineMap(solution[:2].T, solution[2])


def _distances(source: Points, target: Points) -> npt.NDArray[np.float64]:
    return np.hypot(*(source[:, np.newaxis] - target).transpose(2, 0, 1))


def match_nearest(source: Points, target: Points, radius: float) -> tuple[Indices, Indices]:
    """Match points that are each other's nearest neighbours.

    Parameters
    ----------
    source, target : `numpy.ndarray`, shape (n, 2) and (m, 2)
        Two lists of points in the same plane.
    radius : `float`
        Largest distance between two points that match.

    Returns
    -------
    in_source, in_target : `numpy.ndarray`, shape (k,)
        Indices of the matched points; rising in ``source``.
    """
    if not len(source) or not len(target):
        return np.empty(0, np.intp), np.empty(0, np.intp)
    distances = _distances(source, target)
    nearest = distances.argmin(axis=1)
    index = np.arange(len(source))
    mutual = (distances.argmin(axis=0)[nearest] == index) & (distances[index, nearest] <= radius)
    return index[mutual], nearest[mutual]


def find_offset(source: Points, target: Points, radius: float, tolerance: float) -> npt.NDArray[np.float64]:
    """Find the shift that brings most points of one list onto another list.

    The differences of all pairs pile up at the true shift, while those of
    unrelated points are everywhere.

    Parameters
    ----------
    source, target : `numpy.ndarray`, shape (n, 2) and (m, 2)
        Two lists with many points in common.
    radius : `float`
        Largest shift to consider.
    tolerance : `float`
        How close differences of the same shift are.

    Returns
    -------
    offset : `numpy.ndarray`, shape (2,)
        What to add to ``source``.

    Raises
    ------
    ValueError
        Raised if no two points are closer than ``radius``.
    """
    differences = (target - source[:, np.newaxis]).reshape(-1, 2)
    differences = differences[np.hypot(*differences.T) <= radius]
    if not len(differences):
        raise ValueError(f"No two points are within {radius} of each other.")
    close = _distances(differences, differences) <= tolerance
    return np.asarray(differences[close[close.sum(axis=1).argmax()]].mean(axis=0))
