"""What the routes do, without the web server."""

from label_studio_ml.response import ModelResponse


def setup(model_class, data):
    model = model_class(project_id=data["project"].split(".", 1)[0], label_config=data["schema"])
    return {"model_version": model.get("model_version")}


def predict(model_class, data):
    params = dict(data["params"])
    context = params.pop("context", {})
    model = model_class(project_id=str(data["project"]).split(".", 1)[0], label_config=data["label_config"])
    response = model.predict(data["tasks"], context=context, **params)
    assert isinstance(response, ModelResponse)
    if not response.model_version:
        response.set_version(str(model.model_version))
    return {"results": response.model_dump()["predictions"]}


def webhook(model_class, data):
    model = model_class(str(data["project"]["id"]), label_config=data["project"]["label_config"])
    return {"result": model.fit(data["action"], data), "status": "ok"}
