"""Inserts the dimension records of visits and patches."""

from __future__ import annotations

from typing import Any

from astropy.time import Time
from astropy.wcs import WCS
from lsst.daf.butler import Butler, Timespan
from lsst.sphgeom import ConvexPolygon, LonLat, UnitVector3d

from . import CAMERA, SKYMAP
from .camera import DETECTORS, Detector
from .skymap import TRACT, Patch, PatchGrid
from .survey import EXPOSURE_TIME, VISITS, Visit
from .wcs import Points, pixel_to_sky

__all__ = ["insert_records", "make_timespan", "unit_vector"]

VISIT_SYSTEM = {"instrument": CAMERA, "id": 0, "name": "one-to-one"}

PADDING = 1.04
"""Regions are larger than the detectors by this factor, as a telescope may miss its target."""


def make_timespan(begin: float, end: float) -> Timespan:
    """Return the timespan between two times (MJD, TAI)."""
    return Timespan(Time(begin, format="mjd", scale="tai"), Time(end, format="mjd", scale="tai"))


def insert_records(butler: Butler, grid: PatchGrid) -> None:
    """Insert the records of all visits and patches.

    Parameters
    ----------
    butler : `lsst.daf.butler.Butler`
        Repository in which the instrument is registered already.
    grid : `PatchGrid`
        The tract.
    """
    with butler.transaction():
        _insert_exposures(butler)
        _insert_visits(butler)
        _insert_skymap(butler, grid)


def _insert_exposures(butler: Butler) -> None:
    days = sorted({visit.day for visit in VISITS})
    insert = butler.registry.insertDimensionData
    insert("day_obs", *({"instrument": CAMERA, "id": day} for day in days))
    insert("group", *({"instrument": CAMERA, "name": str(visit.id)} for visit in VISITS))
    insert("exposure", *(_exposure_record(visit) for visit in VISITS))


def _insert_visits(butler: Butler) -> None:
    insert = butler.registry.insertDimensionData
    insert("visit_system", VISIT_SYSTEM)
    insert("visit", *(_visit_record(visit) for visit in VISITS))
    ids = [{"instrument": CAMERA, "visit": visit.id} for visit in VISITS]
    insert("visit_definition", *(one | {"exposure": one["visit"]} for one in ids))
    insert("visit_system_membership", *(one | {"visit_system": VISIT_SYSTEM["id"]} for one in ids))
    insert(
        "visit_detector_region",
        *(
            {
                "instrument": CAMERA,
                "visit": visit.id,
                "detector": detector.id,
                "region": _region(visit, detector),
            }
            for visit in VISITS
            for detector in DETECTORS
        ),
    )


def _insert_skymap(butler: Butler, grid: PatchGrid) -> None:
    insert = butler.registry.insertDimensionData
    size = {"tract_max": 1, "patch_nx_max": grid.columns, "patch_ny_max": grid.rows}
    insert("skymap", {"name": SKYMAP, "hash": grid.digest()} | size)
    region = _polygon(grid.wcs(), grid.corners())
    insert("tract", {"skymap": SKYMAP, "id": TRACT, "region": region})
    insert("patch", *(_patch_record(grid, patch) for patch in grid.patches()))


def _patch_record(grid: PatchGrid, patch: Patch) -> dict[str, Any]:
    return {
        "skymap": SKYMAP,
        "tract": TRACT,
        "id": patch.id,
        "cell_x": patch.x // patch.size,
        "cell_y": patch.y // patch.size,
        "region": _polygon(grid.wcs(), patch.corners()),
    }


def _observation_record(visit: Visit) -> dict[str, Any]:
    return {
        "instrument": CAMERA,
        "id": visit.id,
        "physical_filter": visit.filter,
        "day_obs": visit.day,
        "seq_num": visit.id,
        "exposure_time": EXPOSURE_TIME,
        "target_name": "variable star",
        "science_program": "demo",
        "observation_reason": "science",
        "timespan": make_timespan(visit.mjd, visit.mjd + EXPOSURE_TIME / 86400),
    }


def _exposure_record(visit: Visit) -> dict[str, Any]:
    ra, dec = visit.boresight
    return _observation_record(visit) | {
        "obs_id": f"demo-{visit.id}",
        "group": str(visit.id),
        "dark_time": EXPOSURE_TIME,
        "observation_type": "science",
        "seq_start": visit.id,
        "seq_end": visit.id,
        "tracking_ra": ra,
        "tracking_dec": dec,
        "sky_angle": visit.rotation,
        "has_simulated": True,
        "can_see_sky": True,
    }


def _visit_record(visit: Visit) -> dict[str, Any]:
    vertices = [vertex for detector in DETECTORS for vertex in _vertices(*_footprint(visit, detector))]
    region = ConvexPolygon.convexHull(vertices)
    return _observation_record(visit) | {"name": f"demo-{visit.id}", "region": region}


def _footprint(visit: Visit, detector: Detector) -> tuple[WCS, Points]:
    """Return the nominal projection, and the corners with some padding."""
    corners = detector.corners()
    middle = corners.mean(axis=0)
    return detector.wcs(visit.boresight, visit.rotation), middle + PADDING * (corners - middle)


def _region(visit: Visit, detector: Detector) -> ConvexPolygon:
    return _polygon(*_footprint(visit, detector))


def _polygon(wcs: WCS, corners: Points) -> ConvexPolygon:
    return ConvexPolygon.convexHull(_vertices(wcs, corners))


def _vertices(wcs: WCS, corners: Points) -> list[UnitVector3d]:
    return [unit_vector(ra, dec) for ra, dec in pixel_to_sky(wcs, corners)]


def unit_vector(ra: float, dec: float) -> UnitVector3d:
    """Return the direction to a right ascension and declination in degrees."""
    return UnitVector3d(LonLat.fromDegrees(float(ra), float(dec)))
