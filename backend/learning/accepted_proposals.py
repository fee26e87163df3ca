"""What a project's annotators accepted -> what proposes more of it, in a file that serving reads."""

from __future__ import annotations

import structlog

from backend.accepted import versions
from backend.labelstudio.configured import version_engine
from backend.learning.accepted_examples import AcceptedPictures
from backend.learning.proposing import learned_proposals
from backend.segmentation.engines import Engine
from backend.segmentation.familiar import Familiar
from backend.segmentation.proposer_files import write_proposer
from backend.settings import Settings

log = structlog.stdlib.get_logger("edgesam.learning")


def propose(settings: Settings, base: Engine, project: str, had: AcceptedPictures, familiar: Familiar) -> str:
    """Learn to propose with what answers the project now, or stop proposing where that is not good enough. Says so.

    familiar: with the pictures that the job learned from.

    What goes wrong here is a line in the log: the version that was made before is there, and serves.
    """
    if not settings.edgesam_proposals:
        return ""
    serving, file = versions.current(settings.model_dir, project), versions.proposer_file(settings.model_dir, project)
    try:
        engine = version_engine(base, serving) if serving else base
        pictures = [(picture.example, picture.kinds) for picture in had.pictures]
        learned = learned_proposals(engine, pictures + [(example, ()) for example in had.bare], familiar)
        if learned is None or learned.proposer is None:
            file.unlink(missing_ok=True)
        else:
            write_proposer(learned.proposer, engine.version, learned.told, file)
    except Exception:
        log.exception("proposals_failed", project=project)
        return ""
    return f"; {learned.told}" if learned else ""
