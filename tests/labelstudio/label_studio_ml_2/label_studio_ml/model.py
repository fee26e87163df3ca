"""The base class: a new object for every request, its values in a store for each project."""

STORE = {}


class LabelStudioMLBase:
    INITIAL_MODEL_VERSION = "0.0.1"
    TRAIN_EVENTS = ("ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATION_DELETED", "START_TRAINING")

    def __init__(self, project_id=None, label_config=None):
        self.project_id = project_id or ""
        if label_config is not None and self.get("label_config") != label_config:
            self.set("label_config", label_config)
        if not self.model_version:
            self.set("model_version", self.INITIAL_MODEL_VERSION)
        self.setup()

    def setup(self):
        pass

    def get(self, key):
        return STORE.get((self.project_id, key))

    def set(self, key, value):
        if not isinstance(value, str):
            raise ValueError("Value must be a string")
        STORE[self.project_id, key] = value

    @property
    def label_config(self):
        return self.get("label_config")

    @property
    def model_version(self):
        return self.get("model_version")

    def predict(self, tasks, context=None, **kwargs):
        return None

    def fit(self, event, data, **additional_params):
        return None
