"""The result of the demo, in numbers and as text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

__all__ = ["CoaddSummary", "DemoResult", "StarSummary"]

TOLERANCES = {"separation": 0.5, "period": 0.02, "amplitude": 0.15}
"""How close the found star must be: arcseconds, fraction of the period, and of the amplitude."""


@dataclass(frozen=True)
class StarSummary:
    """A variable star.

    Parameters
    ----------
    ra, dec : `float`
        Position, ICRS degrees.
    period : `float`
        Days.
    amplitude : `float`
        Half of the range of its light, as a fraction of the mean.
    """

    ra: float
    dec: float
    period: float
    amplitude: float

    def separation(self, other: StarSummary) -> float:
        """Return the distance to another star in arcseconds, if both are close."""
        east = (self.ra - other.ra) * np.cos(np.radians(self.dec))
        return 3600 * float(np.hypot(east, self.dec - other.dec))


@dataclass(frozen=True)
class CoaddSummary:
    """The coadds of one band.

    Parameters
    ----------
    band : `str`
        The band.
    patches : `int`
        Number of coadds.
    visits : `int`
        Most visits in one of them.
    depth, single_depth : `float`
        AB magnitude of a star with a signal of five times the noise, in the
        coadds and in a single visit (medians); NaN if there is none.
    """

    band: str
    patches: int
    visits: int
    depth: float
    single_depth: float


@dataclass(frozen=True)
class DemoResult:
    """What the pipeline found.

    Parameters
    ----------
    raws : `int`
        Images that the camera took, one for each exposure and detector.
    exposures : `int`
        Exposures of which at least one detector was processed.
    without_stars : `int`
        Corrected images in which no stars were found, which are no work for
        what follows.
    sources : `int`
        Stars detected in all visits together.
    objects : `int`
        Stars detected in the coadds, in all bands together.
    light_curves : `int`
        Stars that were observed often enough to tell whether they vary.
    coadds : `tuple` [`CoaddSummary`, ...]
        One for each band.
    candidates : `int`
        Stars that were found to vary.
    found : `StarSummary` or `None`
        The most variable one.
    true : `StarSummary`
        The one that was simulated.
    picture : `pathlib.Path`
        PNG of the coadds, with a ring around the variable star.
    plot : `pathlib.Path` or `None`
        SVG of the star's light curve, folded with the period that was found.
    collection : `str`
        Where the outputs are.
    """

    raws: int
    exposures: int
    without_stars: int
    sources: int
    objects: int
    light_curves: int
    coadds: tuple[CoaddSummary, ...]
    candidates: int
    found: StarSummary | None
    true: StarSummary
    picture: Path
    plot: Path | None
    collection: str

    @property
    def matches(self) -> bool:
        """Whether exactly the simulated star was found, with its period and amplitude."""
        if self.found is None or self.candidates != 1:
            return False
        return (
            self.found.separation(self.true) <= TOLERANCES["separation"]
            and abs(self.found.period / self.true.period - 1) <= TOLERANCES["period"]
            and abs(self.found.amplitude / self.true.amplitude - 1) <= TOLERANCES["amplitude"]
        )

    def lines(self) -> list[str]:
        """Return some lines of text for a person."""
        return [
            f"{self.raws} raw images; {self.exposures} exposures processed, {self.sources} sources measured.",
            f"{self.without_stars} image(s) without stars (shutter closed): no work, and no failure.",
            *(_coadd_line(coadd) for coadd in self.coadds),
            f"{self.objects} objects in the coadds, {self.light_curves} light curves.",
            *self._star_lines(),
            f"Picture of the coadds: {self.picture}",
            *([f"Picture of its light curve: {self.plot}"] if self.plot is not None else []),
            f"Outputs: collection {self.collection}",
        ]

    def _star_lines(self) -> list[str]:
        if self.found is None:
            return ["No variable star was found, though there is one."]
        found, true = self.found, self.true
        return [
            f"{self.candidates} variable star(s) found; the best one, compared with the simulated star:",
            f"  position   {found.ra:.5f} {found.dec:+.5f}   true {true.ra:.5f} {true.dec:+.5f} deg"
            f"   ({found.separation(true):.2f} arcsec apart)",
            f"  period     {found.period:.4f} d            true {true.period:.4f} d",
            f"  amplitude  {found.amplitude:.3f}               true {true.amplitude:.3f} of the mean light",
            "It is the simulated one." if self.matches else "It is NOT the simulated one.",
        ]


def _coadd_line(coadd: CoaddSummary) -> str:
    return (
        f"Coadds in {coadd.band}: {coadd.patches} patches of up to {coadd.visits} visits, five sigma at "
        f"magnitude {coadd.depth:.2f} (single visit {coadd.single_depth:.2f})."
    )
