"""A Label Studio ML backend that turns a click or a box into a mask with EdgeSAM."""

__version__ = "0.1.0"
