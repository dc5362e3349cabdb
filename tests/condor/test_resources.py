"""What jobs ask for and what they get, on a real pool: memory, GPUs, containers, licences, a site's settings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from condor.personal_pool import PersonalPool
from condor.plain_runs import PlainRun
from condor.pool import Pool
from memory_group import MemoryGroup
from pipetask.outcome import Status
from pipetask.testing.plain_runs import wait_until

# A quantum of 600 MB in a job that asks for 384, and then for 1536.
TOO_LITTLE = ("request_memory=384", "memory_factor=4", "error_retries=0", "retries=1")


@pytest.fixture
def site(site_pool: PersonalPool) -> Iterator[PersonalPool]:
    yield site_pool
    site_pool.remove_jobs()


@pytest.fixture
def folder(site: PersonalPool, request: pytest.FixtureRequest) -> Path:
    return site.new_folder(request.node.name)


def test_a_job_that_the_pool_holds_for_its_memory_gets_more_and_restart_remembers(
    pool: Pool, work: Path
) -> None:
    bombs = ((0, "eat_600_megabytes"), (1, "fail_until_defused"))
    run = PlainRun(pool, work, {"a": 1, "b": 1}, [(0, 1)], bombs=bombs, condor=TOO_LITTLE)
    run.submit()
    assert run.wait()["phase"] == "failed"
    assert run.statuses()[0] is Status.SUCCEEDED
    job = run.job("a_b")
    assert (job["LastHoldReasonCode"], job["LastHoldReasonSubCode"]) == (21, 102)
    assert (job["NumHolds"], job["MemoryProvisioned"], run.starts(0)) == (1, 1536, 2)
    run.defuse()
    assert "a_b-0 now asks for 1536 MB." in run.command("restart").err
    assert run.wait()["phase"] == "succeeded"
    again = run.job("a_b")
    assert (again.get("NumHolds", 0), again["MemoryProvisioned"]) == (0, 1536)


def test_a_hold_by_the_systems_policy_raises_memory_once_however_often_htcondor_counts_it(
    site: PersonalPool, folder: Path
) -> None:
    settings = ("request_memory=200", "labels.a.attributes.HoldBelow=300", "retries=1")
    run = PlainRun(site, folder, {"a": 1}, bombs=((0, "hang_until_defused"),), condor=settings)
    run.submit()

    def requests(number: int) -> bool:
        return [job["NumJobStarts"] for job in running()] == [number]

    def running() -> list[dict[str, object]]:
        return site.jobs('JobStatus == 2 && DAGNodeName == "a-0" && NumJobStarts isnt undefined')

    wait_until(lambda: requests(2), "it begins again after the hold")
    assert running()[0]["NumHolds"] > 1, "HTCondor counts one hold several times"
    request = ["condor_q", "-constraint", 'DAGNodeName == "a-0"', "-af", "RequestMemory"]
    assert site.query(*request) == "400"
    site.query("condor_vacate_job", "-constraint", 'DAGNodeName == "a-0"')
    wait_until(lambda: requests(3), "it begins again after an eviction")
    assert site.query(*request) == "400", "only want of memory raises it"
    run.defuse()
    assert run.wait()["phase"] == "succeeded"


def test_a_job_whose_quantum_the_kernel_kills_for_its_memory_gets_more(
    site: PersonalPool, folder: Path
) -> None:
    with MemoryGroup() as group:
        if group.version != 1:
            pytest.skip(
                "NOT TESTED ON A REAL HTCONDOR POOL: the kernel's kills, as groups cannot be handed over"
            )
        site.hand_over(group.folder)
        settings = (*TOO_LITTLE, f"labels.a.environment.MEMORY_GROUP={group.folder}")
        run = PlainRun(site, folder, {"a": 1}, bombs=((0, "eat_600_megabytes"),), condor=settings)
        run.submit()
        assert run.wait()["phase"] == "succeeded"
    job = run.job("a")
    assert (job["LastHoldReasonCode"], job["LastHoldReasonSubCode"]) == (3, 34)
    assert (job["LastHoldReason"], job["NumHolds"], job["MemoryProvisioned"]) == ("out of memory", 1, 1536)
    assert run.starts(0) == 3, "killed with its job, killed as its worker, and done with more"


ODD = 'coadd "r"\\$'

SITE_FILE = """
jobs:
  accounting_group: group_survey
  accounting_group_user: someone
  priority: 7
  requirements: TARGET.TotalSlotGPUs == 2
  attributes: {Project: '"wide field"'}
  submit: {description: deep}
  environment: {FILTER: "it's \\"r\\" $(HOME)"}
labels:
  calibrate: {request_gpus: 1, priority: 9, attributes: {Site: 3}}
  'coadd "r"\\$': {container_image: IMAGE, environment: {FILTER: g}}
nodes:
  final: {request_memory: 100}
"""


def test_a_sites_settings_reach_the_jobs(site: PersonalPool, folder: Path) -> None:
    (folder / "image.sif").touch()
    (folder / "site.yaml").write_text(SITE_FILE.replace("IMAGE", f"{folder}/image.sif"))
    run = PlainRun(
        site,
        folder,
        {"calibrate": 1, ODD: 1},
        condor=(f"labels.{ODD}.priority=8",),
        bombs=((0, "note_environment"), (1, "note_environment")),
        site=folder / "site.yaml",
    )
    run.submit()
    assert run.wait()["phase"] == "succeeded"
    calibrate, coadd, final = run.job("calibrate"), run.job("coadd"), run.job("final")
    for job in (calibrate, coadd):
        assert (job["AcctGroup"], job["AcctGroupUser"]) == ("group_survey", "someone")
        assert job["AccountingGroup"] == "group_survey.someone"
        assert (job["Project"], job["JobDescription"]) == ("wide field", "deep")
        assert "TARGET.TotalSlotGPUs == 2" in job["Requirements"]
    assert (calibrate["JobPrio"], coadd["JobPrio"]) == (9, 8)
    assert (calibrate["PipetaskLabels"], coadd["PipetaskLabels"]) == ("calibrate", ODD)
    assert (calibrate["Site"], coadd.get("Site")) == (3, None)
    assert (calibrate["RequestGPUs"], coadd.get("RequestGPUs", 0)) == (1, 0)
    assert (coadd["WantContainer"], coadd["ContainerImage"]) == (True, f"{folder}/image.sif")
    assert "WantContainer" not in calibrate
    assert (final["JobUniverse"], final["RequestMemory"]) == (12, 100)

    by_filter = {seen["FILTER"]: seen for seen in map(environment_in, folder.glob("*.environment"))}
    assert by_filter['it\'s "r" $(HOME)']["_CONDOR_AssignedGPUs"] in ("CUDA0", "CUDA1")
    assert by_filter["g"]["SINGULARITY_CONTAINER"] == f"{folder}/image.sif"


def environment_in(path: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in path.read_text().split("\0") if line)


def test_a_licence_for_one_is_had_by_one_at_a_time(site: PersonalPool, folder: Path) -> None:
    bombs = tuple((position, "hang_until_defused") for position in range(2))
    limited = ("concurrency_limits=licence",)
    run = PlainRun(site, folder, {"a": 2}, bombs=bombs, condor=limited, options={"bundle_size": 1})
    run.submit()
    running, rejected = "JobStatus == 2", 'JobStatus == 1 && regexp("concurrency limit", LastRejMatchReason)'
    wait_until(
        lambda: all(site.jobs(f"JobUniverse == 5 && {state}") for state in (running, rejected)),
        "one runs, and the other one has to wait",
    )
    assert [job["ConcurrencyLimits"] for job in site.jobs("JobUniverse == 5")] == ["licence"] * 2
    run.defuse()
    assert run.wait()["phase"] == "succeeded"


@pytest.mark.parametrize(
    ("condor", "message"),
    [
        (
            "labels.a.request_gpus=1000",
            "Jobs of task 'a' ask for 1000 GPUs, and the largest slot of the pool, ",
        ),
        (
            "labels.a.request_disk=900TB",
            "Jobs of task 'a' ask for 943718400 MB of disk, and the largest slot",
        ),
        ("nodes.final.universe=vanilla request_cpus=99", "Jobs of the final node ask for 99 CPUs"),
    ],
)
def test_what_no_slot_has_is_refused(pool: Pool, work: Path, condor: str, message: str) -> None:
    settings = tuple(condor.replace(" ", " nodes.final.").split())
    done = PlainRun(pool, work, {"a": 1}, condor=settings).try_to_submit()
    assert done.code == 1
    assert message in done.err
    assert done.err.count("\n") == 1
    assert not pool.jobs()
    assert not (work / "run").exists()


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("requirements=TARGET.x &&", "task 'a' (Parse error in expression: Requirements = (TARGET.x &&)"),
        ("labels.a.submit.notification=loud", "task 'a' (Notification must be 'Never', 'Always',"),
        ("nodes.final.submit.priority=high", "the final node (priority=high is invalid"),
    ],
)
def test_what_htcondor_does_not_take_is_refused(pool: Pool, work: Path, setting: str, said: str) -> None:
    done = PlainRun(pool, work, {"a": 1}, condor=(setting,)).try_to_submit()
    assert done.code == 1
    assert done.err.startswith(f"HTCondor does not take the settings for jobs of {said}")
    assert done.err.count("\n") == 1
    assert not (work / "run").exists()


def test_what_no_slot_has_together_is_refused_and_the_written_run_is_kept(
    site: PersonalPool, folder: Path
) -> None:
    # There are slots with the CPUs, and slots with the memory; none has both, which a job of both tasks asks for.
    requests = ("labels.a.request_cpus=2", "labels.b.request_memory=8GB")
    run = PlainRun(site, folder, {"a": 1, "b": 1}, [(0, 1)], condor=requests)
    done = run.try_to_submit()
    assert done.code == 1
    assert "Jobs of tasks 'a', 'b' ask for 2 CPUs, 8192 MB of memory, 1024 MB of disk together" in done.err
    assert f"submit it with 'pipetask restart {run.run_dir}'." in done.err
    assert not site.jobs()
    assert (run.run_dir / "dagman" / "run.dag").exists()
