"""What must be so in Label Studio: that it answers, takes the token, and has a project whose clicks can be answered."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import quoteattr

from backend.connecting.findings import AmissError
from backend.labelstudio.addresses import shown
from backend.labelstudio.client import Api, Project, release_at
from backend.labelstudio.configured import images_of
from backend.labelstudio.context import BOXES, POINTS
from backend.labelstudio.interface import Control, Interface, interface_of
from backend.labelstudio.outputs import nothing_holds, unknown_labels
from backend.labelstudio.pixels import pixels_of
from backend.labelstudio.unanswerable import Unanswerable
from backend.settings import Settings


def studio_answers(settings: Settings) -> tuple[str, str]:
    """Label Studio's address. Raises AmissError where it is not set, Unanswerable where it is not Label Studio's."""
    url = settings.label_studio_url
    if url is None:
        raise AmissError("LABEL_STUDIO_URL is not set: set it to Label Studio's address as this service reaches it")
    return f"{release_at(url, settings.edgesam_image_timeout)} answers at {url}", url


def token_accepted(settings: Settings) -> tuple[str, Api]:
    """The API with the settings' token. Raises AmissError where none is set, Unanswerable where it is refused."""
    api = images_of(settings).api({}) if settings.label_studio_url and settings.label_studio_api_key else None
    if api is None:
        raise AmissError(
            "LABEL_STUDIO_API_KEY is not set: in Label Studio make a Personal Access Token (Account & Settings), and "
            "set it to that"
        )
    return f"is accepted; it belongs to {api.user()}", api


def project_seen(api: Api, number: int) -> tuple[str, Project]:
    """The project of this number. Raises Unanswerable where the token's owner sees none."""
    project = api.project(number)
    return f"{number} is there; tasks: {project.tasks}", project


def interface_answerable(project: Project) -> tuple[str, Interface]:
    """The labelling interface. Raises AmissError, with the XML to add, where a click gets no mask."""
    try:
        interface = interface_of(project.label_config)
        asking = _asking(interface)
    except (AmissError, Unanswerable) as error:
        raise AmissError(f"{error} (project, Settings, Labeling Interface, Code)") from None
    names = ", ".join(f'"{control.name}"' for control in asking)
    return f"clicks or boxes with {names} can be answered", interface


def _asking(interface: Interface) -> list[Control]:
    """What asks for masks on pictures, which can be held there."""
    first = _first_image(interface)
    asking = [
        (image.name, control)
        for image in interface.images
        for control in interface.controls_on(image.name)
        if control.tag in (*POINTS, *BOXES) and control.smart
    ]
    if not asking:
        raise AmissError(_nothing_asks(first, interface.controls))
    for image, control in asking:
        if not interface.holders_on(image):
            raise AmissError(nothing_holds(image, control.labels or ()))
        if missing := unknown_labels(interface, image, control.labels or ()):
            raise AmissError(missing)
    return [control for _, control in asking]


def _first_image(interface: Interface) -> str:
    if not interface.images:
        raise AmissError('there is no picture to click on; add <Image name="image" value="$image"/>')
    return interface.images[0].name


def _nothing_asks(image: str, controls: Sequence[Control]) -> str:
    labels = next((control.labels for control in controls if control.labels), ("Object",))
    inside = "".join(f"<Label value={quoteattr(label)}/>" for label in labels)
    return (
        f"no smart keypoint or rectangle belongs to the image {image!r}, so a click asks nobody; add "
        f'<KeyPointLabels name="click" toName={quoteattr(image)} smart="true">{inside}</KeyPointLabels>'
    )


def picture_fetched(settings: Settings, api: Api, number: int, project: Project) -> tuple[str, None]:
    """Fetches the picture of the first task as a click does. Raises Unanswerable where it does not come, AmissError
    where the project shows none."""
    interface = interface_of(project.label_config)
    image = _first_image(interface)
    task = next(api.tasks(number), None)
    if task is None:
        return "the project has no tasks yet, so none was fetched", None
    address = interface.address_of(image, None, task)
    data = images_of(settings).find(address, task, anew=True).data
    assert data is not None, "who asks anew gets the bytes"
    _, frame = pixels_of(data, settings.edgesam_max_megapixels * 1_000_000)
    return f"the first task's was fetched: {shown(address)}, {frame.width} x {frame.height} pixels", None
