"""Every setting: name, type, default, one sentence. Nobody else reads the environment.

`python -m backend.settings` prints the table of docs/settings.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, HttpUrl, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

OWN_WEIGHTS = Path(__file__).parent.parent / "model_assets" / "edgesam.safetensors"
CACHE_FOLDER = Path("~/.cache/edgesam-ls-backend")


class SettingsError(Exception):
    """A setting has a value that cannot be used; the message names each one, its value and what is allowed."""


class Settings(BaseSettings):
    """Read from the environment: a variable is a field's name in capitals. An empty value counts as none."""

    model_config = SettingsConfigDict(env_ignore_empty=True, frozen=True, extra="ignore", validate_default=True)

    label_studio_url: str | None = Field(
        None, description="Address of Label Studio as this service reaches it, with http:// or https://."
    )
    label_studio_api_key: SecretStr | None = Field(
        None, description="A personal access token (or legacy token) of Label Studio, to fetch uploaded images."
    )
    basic_auth_user: str | None = Field(None, description="User that callers must give; needs BASIC_AUTH_PASS too.")
    basic_auth_pass: SecretStr | None = Field(None, description="Password that callers must give.")
    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 is every address of the machine.")
    port: Annotated[int, Field(ge=1, le=65535)] = Field(9090, description="Port to listen on.")
    workers: Annotated[int, Field(ge=1, le=64)] = Field(
        1, description="Processes; each holds the model and a cache in memory; the one on disk is shared."
    )
    threads: Annotated[int, Field(ge=1, le=256)] = Field(8, description="Predictions that a process works on at once.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severe lines to log.")
    model_dir: Path = Field(CACHE_FOLDER, description="Folder for what is downloaded and remembered; must be writable.")
    edgesam_weights: str = Field(
        "edgesam" if OWN_WEIGHTS.exists() else "mobile_sam",
        description="A name of `python -m backend weights list`, or a .pth, .safetensors or TorchScript file.",
    )
    edgesam_accept_licence: bool = Field(
        False, description="Says that you accept the licence of weights that ask for it (EdgeSAM's published ones)."
    )
    edgesam_engine: Literal["auto", "openvino", "torch"] = Field(
        "auto", description="What runs the model: auto is torch where it finds CUDA, else OpenVINO."
    )
    edgesam_precision: Literal["auto", "f32", "bf16"] = Field(
        "auto",
        description="OpenVINO's arithmetic in encoder and decoder: auto is bf16 where the CPU has it, else f32.",
    )
    edgesam_cache_mb: Annotated[int, Field(ge=2)] = Field(
        64,
        description="Memory for embeddings in one process, in MiB; an image takes 2, each window of it that was "
        "looked at 2 more. What has no room is reread from disk.",
    )
    edgesam_disk_cache_mb: Annotated[int, Field(ge=0)] = Field(
        2048,
        description="Room for embeddings in MODEL_DIR, in MiB: 2 for an image, twice that where a version learned to "
        "see it; 0 is off.",
    )
    edgesam_smallest_part: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.005, description="Parts of a mask below this share of its area are left out; 0 keeps all."
    )
    edgesam_image_timeout: Annotated[float, Field(gt=0, le=90)] = Field(
        20.0, description="Longest time to fetch an image, in seconds; Label Studio gives up after 100."
    )
    edgesam_max_image_mb: Annotated[int, Field(ge=1)] = Field(100, description="Largest image file, in MiB.")
    edgesam_max_megapixels: Annotated[int, Field(ge=1)] = Field(100, description="Largest image, in megapixels.")
    edgesam_max_body_mb: Annotated[int, Field(ge=1)] = Field(
        256, description="Largest request, in MiB; Retrieve Predictions sends all chosen tasks at once."
    )
    edgesam_finetune_every: Annotated[int, Field(ge=0)] = Field(
        20, description="Newly accepted regions after which a project's masks are learned from; 0: only when asked to."
    )
    edgesam_finetune_minutes: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(
        10.0, description="Minutes that one fine-tuning takes: four fifths to learn, the rest or a bit more to compare."
    )
    edgesam_proposals: bool = Field(
        True, description="On tasks that nobody has labelled, propose masks like those that the project has accepted."
    )
    edgesam_local_files_root: Path | None = Field(
        None,
        description="Label Studio's LOCAL_FILES_DOCUMENT_ROOT, seen from here: local files are read, not fetched.",
    )

    @field_validator("log_level", mode="before")
    @classmethod
    def _any_case(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value

    @field_validator("label_studio_url")
    @classmethod
    def _has_a_scheme(cls, value: str | None) -> str | None:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("write http:// or https:// before it, for example http://" + value.rpartition("//")[2])
        try:
            HttpUrl(value or "http://none")
        except ValidationError as error:
            raise ValueError(f"{error.errors()[0]['msg']}") from None
        return value and value.rstrip("/")

    @field_validator("model_dir", "edgesam_local_files_root")
    @classmethod
    def _home_expanded(cls, value: Path | None) -> Path | None:
        return value and value.expanduser()

    @field_validator("model_dir")
    @classmethod
    def _may_become_a_folder(cls, value: Path) -> Path:
        if value.exists() and not value.is_dir():
            raise ValueError("this is a file: name a folder, which is made where there is none")
        return value

    @field_validator("edgesam_local_files_root")
    @classmethod
    def _is_a_folder(cls, value: Path | None) -> Path | None:
        if value and not value.is_dir():
            raise ValueError("there is no such folder")
        return value

    @model_validator(mode="after")
    def _user_and_password(self) -> Settings:
        if (self.basic_auth_user is None) != (self.basic_auth_pass is None):
            raise ValueError("BASIC_AUTH_USER and BASIC_AUTH_PASS: set both, or neither")
        return self


def read_settings(**given: Any) -> Settings:
    """The settings of the environment, but for those `given` by name; None is not given. Raises SettingsError."""
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        raise SettingsError("\n".join(_told(one) for one in error.errors())) from None


def _told(error: Any) -> str:
    """One line of what is wrong with one variable. Never shows a secret."""
    what = str(error["msg"]).removeprefix("Value error, ").replace("Input should be", "should be")
    if not error["loc"]:
        return what
    name = str(error["loc"][0])
    if name not in Settings.model_fields or "SecretStr" in str(Settings.model_fields[name].annotation):
        return f"{name.upper()}: {what}"
    return f"{name.upper()}={error['input']}: {what}"


def table() -> str:
    """All settings as a Markdown table."""
    rows = ["| variable | default | what it does |", "| --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        value = str(field.default).lower() if isinstance(field.default, bool) else field.default
        rows.append(f"| `{name.upper()}` | {'' if value is None else f'`{value}`'} | {field.description} |")
    return "\n".join(rows)


if __name__ == "__main__":
    print(table())
