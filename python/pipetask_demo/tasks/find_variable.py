"""Finds periodic variable stars in a tract."""

from __future__ import annotations

from typing import Any

import lsst.pex.config as pex_config
import numpy as np
from astropy.table import Table, vstack
from lsst.pipe.base import PipelineTask, PipelineTaskConfig, PipelineTaskConnections, Struct, connectionTypes

from ..catalog import VARIABILITY_COLUMNS, make_table, schema_of
from ..period import LightCurve, constant_chi2, find_period

__all__ = ["FindVariableConfig", "FindVariableTask"]


class FindVariableConnections(PipelineTaskConnections, dimensions=("skymap", "tract")):  # type: ignore[call-arg]
    """Data which `FindVariableTask` reads and writes."""

    light_curves = connectionTypes.Input(
        doc="Fluxes of the objects of each patch.",
        name="light_curves",
        storageClass="ArrowAstropy",
        dimensions=("skymap", "tract", "patch"),
        multiple=True,
    )
    variability = connectionTypes.Output(
        doc="Statistics of all light curves, the most variable star first.",
        name="variability",
        storageClass="ArrowAstropy",
        dimensions=("skymap", "tract"),
    )


class FindVariableConfig(PipelineTaskConfig, pipelineConnections=FindVariableConnections):  # type: ignore[call-arg]
    """Configuration of `FindVariableTask`."""

    min_observations = pex_config.RangeField[int](doc="Shorter light curves are left out.", default=8, min=6)
    systematic = pex_config.RangeField[float](
        doc="Error that is not photon noise, as a fraction of the flux.", default=0.01, min=0.0
    )
    min_chi2 = pex_config.RangeField[float](
        doc="Smallest chi squared for each degree of freedom of a variable star.", default=8.0, min=1.0
    )
    min_improvement = pex_config.RangeField[float](
        doc="A sine must make chi squared for each degree of freedom smaller by this factor.",
        default=3.0,
        min=1.0,
    )
    shortest_period = pex_config.RangeField[float](doc="Days.", default=0.12, min=0.0, inclusiveMin=False)
    longest_period = pex_config.RangeField[float](doc="Days.", default=4.0, min=0.0, inclusiveMin=False)


class FindVariableTask(PipelineTask):
    """Tests every light curve against a constant, and those that fail against sines."""

    ConfigClass = FindVariableConfig
    _DefaultName = "findVariable"

    def runQuantum(self, butlerQC: Any, inputRefs: Any, outputRefs: Any) -> None:  # noqa: N802, N803
        """Read the patches in their order, `run`, and write the statistics."""
        refs = sorted(inputRefs.light_curves, key=lambda ref: ref.dataId["patch"])
        light_curves = vstack([butlerQC.get(ref) for ref in refs], metadata_conflicts="silent")
        butlerQC.put(self.run(light_curves), outputRefs)

    def run(self, light_curves: Table) -> Struct:
        """Find variable stars.

        Parameters
        ----------
        light_curves : `astropy.table.Table`
            Observations of all objects.

        Returns
        -------
        result : `lsst.pipe.base.Struct`
            ``variability``, an `astropy.table.Table` with a row for each
            object that was observed often enough; the largest ``chi2`` first.
        """
        rows = [
            self._describe(observations)
            for observations in light_curves.group_by("object").groups
            if len(observations) >= self.config.min_observations
        ]
        rows.sort(key=lambda row: (not row["variable"], -row["chi2"], row["object"]))
        schema = schema_of(VARIABILITY_COLUMNS)
        variability = make_table(schema, {name: [row[name] for row in rows] for name in schema})
        self._report(variability)
        return Struct(variability=variability)

    def _describe(self, observations: Table) -> dict[str, Any]:
        """Return one row of the result."""
        mjd, band, flux, error = (
            np.asarray(observations[name]) for name in ("mjd", "band", "flux", "flux_error")
        )
        curve = LightCurve.normalized(mjd, band, flux, error, self.config.systematic)
        row: dict[str, Any] = {name: observations[name][0] for name in ("object", "ra", "dec")}
        row |= {"observations": len(observations), "chi2": constant_chi2(curve), "variable": False}
        row |= {"period": np.nan, "amplitude": np.nan, "sine_chi2": np.nan}
        if row["chi2"] >= self.config.min_chi2:
            row |= self._fit_sine(curve, row["chi2"])
        return row

    def _fit_sine(self, curve: LightCurve, chi2: float) -> dict[str, Any]:
        """Return the columns that differ for a star that is not constant."""
        sine = find_period(curve, self.config.shortest_period, self.config.longest_period)
        # Period, amplitude and phase are fitted in addition to the constants.
        freedom = max(len(curve.flux) - curve.design().shape[1] - 3, 1)
        sine_chi2 = sine.chi2 / freedom
        return {
            "variable": sine_chi2 * self.config.min_improvement <= chi2,
            "period": sine.period,
            "amplitude": sine.amplitude,
            "sine_chi2": sine_chi2,
        }

    def _report(self, variability: Table) -> None:
        found = variability[variability["variable"]]
        self.metadata["variable_stars"] = len(found)
        self.log.info("%d of %d stars vary.", len(found), len(variability))
        for star in found:
            self.log.info(
                "Variable star at %.5f %+.5f: period %.4f days, amplitude %.3f, chi2 %.1f (sine %.1f).",
                *(star[name] for name in ("ra", "dec", "period", "amplitude", "chi2", "sine_chi2")),
            )
