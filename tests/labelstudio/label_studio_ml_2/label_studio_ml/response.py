"""The answer of predict, checked by pydantic."""

from label_studio_sdk.label_interface.objects import PredictionValue
from pydantic import BaseModel, ConfigDict


class ModelResponse(BaseModel):
    model_config = ConfigDict(protected_namespaces=())
    model_version: str | None = None
    predictions: list[list[PredictionValue] | PredictionValue]

    def set_version(self, version):
        self.model_version = version
        for prediction in self.predictions:
            for one in prediction if isinstance(prediction, list) else [prediction]:
                one.model_version = one.model_version or version
