"""Asks EdgeSAMBackend through an api of label-studio-ml; run by test_ml_backend.py in a process of its own.

In: a list of [path, body] as JSON. Out: a list of [status, answer]. Arguments: 1.0.9 or 2; a folder.
"""

import json
import sys
from pathlib import Path

from backend.labelstudio.ml_backend import EdgeSAMBackend
from tests.labelstudio.standins import loader, segmenter_of, studio


def main(api, folder):
    # 1.0.9 hands on what /setup told; with 2.x a backend must be told Label Studio's address itself
    segmenter = segmenter_of(images=loader(studio, model_dir=Path(folder))) if api == "1.0.9" else segmenter_of()

    class Tested(EdgeSAMBackend):
        pass

    Tested.segmenter = staticmethod(lambda: segmenter)
    ask = flask_api(Tested, folder) if api == "1.0.9" else plain_api(Tested)
    json.dump([ask(path, body) for path, body in json.load(sys.stdin)], sys.stdout)


def flask_api(model_class, folder):
    from label_studio_ml.api import init_app

    client = init_app(model_class, model_dir=folder).test_client()

    def ask(path, body):
        answer = client.post(path, json=body)
        return answer.status_code, answer.get_json()

    return ask


def plain_api(model_class):
    from label_studio_ml import api

    return lambda path, body: (200, getattr(api, path.strip("/"))(model_class, body))


if __name__ == "__main__":
    main(*sys.argv[1:])
