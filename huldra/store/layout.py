"""Every path of a store and of an artifact, once. `docs/format.md` says what the files hold."""

from __future__ import annotations

from dataclasses import dataclass

DATA = "data"
GIT = "git"
RAW = "raw"
RUNS = "runs"
CODE = "code"
PRIVATE = ".huldra"


@dataclass(frozen=True, slots=True)
class ArtifactPaths:
    """The files of the artifact in `directory` (an absolute path).

    `private_name` is the folder's name of all that huldra itself writes; a new one has a temporary
    name until it is whole.
    """

    directory: str
    private_name: str = PRIVATE

    @property
    def key(self) -> str:
        """`<namespace>/<hash>`: a namespace is a module's folder and a class's in it."""
        return "/".join(self.directory.rsplit("/", 3)[1:])

    @property
    def root(self) -> str:
        """The store that the artifact is in."""
        return self.directory.rsplit("/", 4)[0]

    @property
    def private(self) -> str:
        """Everything that huldra itself writes beside the user's files."""
        return f"{self.directory}/{self.private_name}"

    @property
    def success(self) -> str:
        """The truth: the artifact is made."""
        return f"{self.directory}/{self.private_name}/SUCCESS.json"

    @property
    def state(self) -> str:
        """A summary for people and tools; derived from `claims`, advisory."""
        return f"{self.directory}/{self.private_name}/state.json"

    @property
    def metadata(self) -> str:
        """What was computed, from what, where and by whom."""
        return f"{self.directory}/{self.private_name}/metadata.json"

    @property
    def git_patch(self) -> str:
        """The uncommitted changes of the user's repository, if any."""
        return f"{self.directory}/{self.private_name}/git.patch"

    @property
    def log(self) -> str:
        """The log of all attempts."""
        return f"{self.directory}/{self.private_name}/huldra.log"

    @property
    def output(self) -> str:
        """What all attempts printed on workers."""
        return f"{self.directory}/{self.private_name}/output.log"

    @property
    def accepted(self) -> str:
        """That a difference in the code does not matter, if a user has said so."""
        return f"{self.directory}/{self.private_name}/accepted.json"

    @property
    def claims(self) -> str:
        """The ledger of claims: who may write, and how each attempt ended."""
        return f"{self.directory}/{self.private_name}/claims"

    def claim(self, number: int) -> str:
        """Attempt `number`: its owner."""
        return f"{self.directory}/{self.private_name}/claims/{number}"

    def claim_end(self, number: int) -> str:
        """How attempt `number` ended, and the single name that owner and successor compete for."""
        return f"{self.directory}/{self.private_name}/claims/{number}.end"

    def claim_job(self, number: int) -> str:
        """The engine's job that a queued attempt is bound to."""
        return f"{self.directory}/{self.private_name}/claims/{number}.job"

    def claim_cancel(self, number: int) -> str:
        """Somebody asked for attempt `number` to be cancelled."""
        return f"{self.directory}/{self.private_name}/claims/{number}.cancel"


@dataclass(frozen=True, slots=True)
class StorePaths:
    """The top folders of the store in `root` (an absolute path)."""

    root: str

    def artifact(self, namespace: str, digest: str, version_controlled: bool = False) -> str:
        """The directory of one artifact."""
        return f"{self.root}/{GIT if version_controlled else DATA}/{namespace}/{digest}"

    @property
    def raw(self) -> str:
        """The folder that all artifacts share for large files."""
        return f"{self.root}/{RAW}"

    @property
    def code(self) -> str:
        """The sources that artifacts were computed by, each once."""
        return f"{self.root}/{CODE}"

    def code_record(self, digest: str) -> str:
        """What one class could reach: its modules with their digests."""
        return f"{self.root}/{CODE}/{digest}.json"

    def code_source(self, digest: str) -> str:
        """One source, by the digest of its code."""
        return f"{self.root}/{CODE}/{digest}.py"

    def code_tree(self, digest: str) -> str:
        """The list of the files of a frozen project."""
        return f"{self.root}/{CODE}/trees/{digest}.json"

    def code_file(self, digest: str) -> str:
        """A file of a frozen project, by the digest of its bytes."""
        return f"{self.root}/{CODE}/files/{digest[:2]}/{digest}"

    def run_directory(self, run_id: str) -> str:
        """The folder of one dispatch to an engine."""
        return f"{self.root}/{RUNS}/{run_id}"

    def run_record(self, run_id: str) -> str:
        """The graph of one dispatch: members, configs, edges and settings."""
        return f"{self.root}/{RUNS}/{run_id}/graph.json"

    def run_nodes(self, run_id: str) -> str:
        """The same for workers: each node and config can be read by itself."""
        return self.nodes_beside(self.run_record(run_id))

    @staticmethod
    def nodes_beside(run_record: str) -> str:
        """The file for workers beside a run's `graph.json`."""
        return f"{run_record.rpartition('/')[0]}/nodes.jsonl"
