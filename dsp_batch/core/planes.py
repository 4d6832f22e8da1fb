"""Image planes in space: from coordinates of the patient to pixels and back (PS3.3 C.7.6.2.1.1)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dsp_batch.model.series import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImagePlane:
    """The plane of a frame.

    Pixel coordinates are column and row, as regions of reports and presentation states have them: 0/0 is the outer
    corner of the first pixel, 0.5/0.5 its center.
    """

    position: FloatArray
    """Center of the first pixel in mm, shape (3,): ImagePositionPatient (0020,0032)."""

    along_row: FloatArray
    """Direction in which columns rise, shape (3,)."""

    along_column: FloatArray
    """Direction in which rows rise, shape (3,)."""

    spacing: tuple[float, float]
    """Distance of rows, and of columns, in mm: PixelSpacing (0028,0030)."""

    shape: tuple[int, int]
    """Rows and columns."""

    @property
    def normal(self) -> FloatArray:
        """Compute the direction across the plane."""
        normal: FloatArray = np.cross(self.along_row, self.along_column)
        return normal

    @property
    def aspect(self) -> float:
        """Return the height of a pixel over its width."""
        return self.spacing[0] / self.spacing[1]

    def project(self, points: FloatArray) -> FloatArray:
        """Compute the pixel coordinates of points of the patient.

        Args:
            points: Coordinates in mm, shape (n, 3).

        Returns:
            Column and row, shape (n, 2), of the nearest points of the plane.
        """
        offset = points - self.position
        column = offset @ self.along_row / self.spacing[1] + 0.5
        row = offset @ self.along_column / self.spacing[0] + 0.5
        return np.stack([column, row], axis=1)

    def measure_distance(self, points: FloatArray) -> FloatArray:
        """Compute how far points lie from the plane along its normal, in mm, shape (n,)."""
        distance: FloatArray = (points - self.position) @ self.normal
        return distance

    def locate(self, pixels: FloatArray) -> FloatArray:
        """Compute the coordinates in mm, shape (n, 3), of pixel coordinates, shape (n, 2)."""
        columns, rows = ((pixels - 0.5) * (self.spacing[1], self.spacing[0])).T
        located: FloatArray = self.position + np.outer(columns, self.along_row) + np.outer(rows, self.along_column)
        return located


def measure_area(points: FloatArray) -> float:
    """Compute the area of a polygon from its corners in order, shape (n, 2)."""
    x, y = points.T
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2
