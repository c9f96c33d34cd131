"""Which artifacts of a plan were computed by other code than this process has."""

from __future__ import annotations

from dataclasses import replace

from huldra.config.config_object import ConfigObject
from huldra.errors import HuldraStoreError
from huldra.logs.capture import get_logger
from huldra.provenance import code_difference
from huldra.provenance.code_difference import CodeDifference
from huldra.scheduling.planning import NodeStatus, Plan, PlannedNode
from huldra.settings import HULDRA_CONFIG
from huldra.store.layout import ArtifactPaths
from huldra.store.overlap import Overlap
from huldra.store.records import AttemptStatus


def difference_of(obj: ConfigObject, paths: ArtifactPaths) -> CodeDifference | None:
    """Return how the code that computed an artifact differs from this process's.

    None where nothing differs, nothing is recorded or can be read, and with `HULDRA_CODE=off`.
    """
    if HULDRA_CONFIG.code == "off":
        return None
    try:
        return code_difference.of_class(type(obj), paths)
    except HuldraStoreError as error:
        get_logger().debug("%s: its code could not be compared: %s", paths.key, error)
        return None


def with_code_labels(plan: Plan) -> Plan:
    """Return the plan with a word in the reason of each node that other code has computed."""
    if HULDRA_CONFIG.code == "off":
        return plan
    asked = [node for node in plan.nodes.values() if _was_computed(node)]
    labelled = dict(plan.nodes)
    for node, difference in zip(asked, _differences(asked), strict=True):
        if difference is not None:
            labelled[node.key] = replace(node, reason=_reason(node, difference))
    return replace(plan, nodes=labelled)


def _was_computed(node: PlannedNode) -> bool:
    if node.status is NodeStatus.CACHED:
        return True
    is_strict = HULDRA_CONFIG.code == "strict"
    return is_strict and node.attempt is not None and node.attempt.status is AttemptStatus.SUCCESS


def _reason(node: PlannedNode, difference: CodeDifference) -> str:
    if node.status is NodeStatus.CACHED:
        return f"{node.reason}; {difference}"
    return f"{difference}, and HULDRA_CODE=strict"


def _differences(nodes: list[PlannedNode]) -> list[CodeDifference | None]:
    return Overlap().map(lambda node: difference_of(node.node.obj, node.paths), nodes)
