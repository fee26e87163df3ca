"""A Label Studio ML backend that turns a click or a box into a mask with EdgeSAM."""

import sys

__version__ = "0.1.0"

# OpenVINO tells Google Analytics whenever it is imported, unless this package of its cannot be: then it goes without.
# What annotators do here is nobody else's business, and who opted in for other programs keeps that.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None is how an import is forbidden
