"""Prompts as Label Studio's page sends them for demo/interface.xml: percent of the picture as it is shown."""

import itertools

_ids = (f"prompt-{number}" for number in itertools.count())


def click(size, x, y, positive=True, label="Animal"):
    value = {"x": x, "y": y, "width": 0.25, "labels": [label], "keypointlabels": [label]}
    return _region("click", "keypointlabels", size, value) | {"is_positive": positive}


def box(size, x, y, width, height, label="Thing"):
    value = {"x": x, "y": y, "width": width, "height": height, "rotation": 0, "rectanglelabels": [label]}
    return _region("box", "rectanglelabels", size, value)


def _region(control, kind, size, value):
    return {
        "id": next(_ids),
        "from_name": control,
        "to_name": "image",
        "type": kind,
        "original_width": size[0],
        "original_height": size[1],
        "image_rotation": 0,
        "value": value,
        "origin": "manual",
    }
