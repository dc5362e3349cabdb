r"""A small but real science pipeline, to try the package without a telescope.

A simulated camera (`DemoCam`, four 300x300 pixel detectors) observes one star
field twelve times in two bands over four nights.  One of the stars varies.
The last task of the pipeline finds it.

::

    raw (exposure, detector)          bias, flat: validity ranges
      |                                          |
      +---------------> isr <--------------------+  scatter: 48 quanta
                         |
                      detect (visit, detector)      no work: closed shutter
                         |                \
      reference --> calibrateVisit (visit) |        gather detectors,
      stars              |                 |        scatter calibrations
                         +--------+--------+
                                  |
                     +------ warp (visit, patch)    gather detectors
                     |            |
                     |      coadd (patch, band)     gather visits
                     |            |
      sources of     |   measureCoadd (patch, band) schema: init-input
      all visits ----+------------+
                                  |
                         lightCurves (patch)        gather bands and visits
                                  |
                         findVariable (tract)       gather patches

Modules, in the order in which they are needed:

``camera``, ``survey``, ``stars``, ``simulation``
    What is simulated: the hardware, the schedule, the sky, and the pixels.
``repository``
    `~pipetask_demo.repository.make_repository` puts that into a butler
    repository, `~pipetask_demo.repository.build_graph` makes a quantum graph
    from ``pipeline.yaml``.
``tasks``
    One module for each `~lsst.pipe.base.PipelineTask`; the algorithms on
    arrays that they share are the modules ``background``, ``detection``,
    ``photometry``, ``astrometry``, ``resampling``, ``period``.
``report``
    `~pipetask_demo.report.summarize` compares what was found with what was
    simulated, and draws the coadds and the light curve of the star.

Importing this package alone is cheap: it imports none of the above.
"""

CAMERA = "DemoCam"
"""Short name of the simulated instrument, its ``instrument`` dimension value."""

SKYMAP = "demo"
"""Name of the only sky map, the ``skymap`` dimension value."""

DEFAULTS = "demo/defaults"
"""CHAINED collection with everything that the pipeline reads."""

__all__ = ["CAMERA", "DEFAULTS", "SKYMAP"]
