import pytest

from backend.labelstudio import images as images_module


@pytest.fixture
def no_bytes_kept(monkeypatch):
    """What came is known by its hash alone."""
    monkeypatch.setattr(images_module, "KEPT", 0)
