"""Ray's jobs interface, told by a server that says what Ray 2.60 was seen to say."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.adapters.ray import LogTail, RayJobRequest, RayJobs, ended_badly, wait_for_job
from airflow_dataml.core.errors import BackendError, ConnectionSpecError, NotFoundError, SpecError
from airflow_dataml.hooks.ray import RayHook
from airflow_dataml.triggers.ray import RayJobTrigger

if TYPE_CHECKING:
    from collections.abc import Iterator


class Head:
    """A cluster of one's imagination.

    :param states: of each job by name; each look takes the next, the last one stays.
    :param lose_answers: take what is submitted and answer with an error, once.
    """

    def __init__(self, states: dict[str, list[str]] | None = None, *, lose_answers: bool = False) -> None:
        self.states = states or {}
        self.lose_answers = lose_answers
        self.asked: list[str] = []
        self.token: str | None = None

    def answer(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        self.asked.append(f"{method} {path}")
        if path == "/api/version":
            return 200, {"ray_version": "2.60.0"}
        if path == "/api/jobs/":
            return self.submit(body)
        name, _, what = path.removeprefix("/api/jobs/").partition("/")
        if name not in self.states:
            return 404, f"Job {name} does not exist"
        if what:
            return 200, {"logs": "one\ntwo\nthr", "stopped": True}
        states = self.states[name]
        status = states.pop(0) if len(states) > 1 else states[0]
        return 200, {"status": status, "message": f"{status}, last available logs (truncated):\nnoise"}

    def submit(self, body: dict[str, Any]) -> tuple[int, Any]:
        if "bogus" in body["runtime_env"]:
            return 400, "Traceback:\n  ...\nValueError: bogus is no field of a runtime_env"
        self.states.setdefault(body["submission_id"], ["PENDING"])
        if self.lose_answers:
            self.lose_answers = False
            return 500, "Traceback: gone"
        return 200, {"submission_id": body["submission_id"]}


@contextmanager
def served(head: Head) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            head.token = self.headers.get("Authorization")
            size = int(self.headers.get("Content-Length") or 0)
            status, said = head.answer(self.command, self.path, json.loads(self.rfile.read(size) or b"{}"))
            data = (said if isinstance(said, str) else json.dumps(said)).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = _serve

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def request(**changes: Any) -> RayJobRequest:
    return RayJobRequest(**({"submission_id": "j", "entrypoint": "true"} | changes))


@pytest.mark.parametrize(
    ("states", "keep", "name"),
    [
        ({}, True, "j"),
        ({"j": ["RUNNING"]}, True, "j"),
        ({"j": ["SUCCEEDED"]}, True, "j"),
        ({"j": ["SUCCEEDED"]}, False, "j-2"),
        ({"j": ["FAILED"]}, True, "j-2"),
        ({"j": ["FAILED"], "j-2": ["STOPPED"], "j-3": ["PENDING"]}, True, "j-3"),
    ],
    ids=["new", "runs", "succeeded", "wanted again", "failed", "runs after two"],
)
def test_a_job_is_found_or_submitted(states: dict[str, list[str]], keep: bool, name: str) -> None:
    head = Head(states)
    submitted = name not in states
    with served(head) as url:
        state = RayJobs(url=url).ensure(request(), keep_succeeded=keep)
    assert state.submission_id == name
    assert ("POST /api/jobs/" in head.asked) is submitted


def test_a_lost_answer_submits_nothing_twice() -> None:
    head = Head(lose_answers=True)
    with served(head) as url:
        assert RayJobs(url=url).ensure(request()).status == "PENDING"
    assert head.asked.count("POST /api/jobs/") == 1


def test_what_ray_refuses_is_told_by_its_last_line() -> None:
    with served(Head()) as url, pytest.raises(SpecError, match="HTTP 400: ValueError: bogus is no field"):
        RayJobs(url=url).ensure(request(runtime_env={"bogus": 1}))


def test_a_token_goes_with_every_request_and_into_no_message() -> None:
    head = Head()
    with served(head) as url:
        jobs = RayJobs(url=url, token="hunter2")
        assert jobs.version() == "2.60.0"
        with pytest.raises(NotFoundError) as told:
            jobs.log("nobody")
    assert head.token == "Bearer hunter2"
    assert "hunter2" not in str(told.value)
    with pytest.raises(ConnectionSpecError) as refused:
        RayJobs(url="http://ann:hunter2@head")
    assert "hunter2" not in str(refused.value)


def test_a_job_is_followed_to_its_end() -> None:
    lines: list[str] = []
    with served(Head({"j": ["PENDING", "RUNNING", "FAILED"]})) as url:
        jobs = RayJobs(url=url)
        event = wait_for_job(jobs, "j", on_line=lines.append, log_interval=0, pause=lambda _: None)
        assert event == {"submission_id": "j", "status": "FAILED", "message": "FAILED"}
        assert lines == ["one", "two"]
        assert str(ended_badly(jobs, event)) == "Ray job 'j' FAILED: FAILED. Last lines:\none\ntwo\nthr"
        assert wait_for_job(jobs, "x", on_line=print)["status"] == "LOST"


@pytest.mark.parametrize(
    ("event", "kind"),
    [({}, SpecError), ({"status": "ERROR"}, SpecError), ({"status": "UNREACHABLE"}, BackendError)],
    ids=str,
)
def test_a_wait_that_went_wrong_says_whether_a_retry_helps(event: dict[str, str], kind: type) -> None:
    assert type(ended_badly(RayJobs(url="http://nowhere"), event)) is kind


def test_the_trigger_gives_up_on_a_cluster_that_stays_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_GONE", '{"conn_type": "dataml_ray", "host": "127.0.0.1", "port": 1}')
    trigger = RayJobTrigger(submission_id="j", ray_conn_id="gone", poll_interval=0, unreachable=0)

    async def events() -> list[Any]:
        return [event.payload async for event in trigger.run()]

    (event,) = asyncio.run(events())
    assert (event["submission_id"], event["status"]) == ("j", "UNREACHABLE")
    assert "did not answer" in event["message"]


def test_the_connection_says_what_is_wrong_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "AIRFLOW_CONN_BAD", '{"conn_type": "dataml_ray", "extra": {"runtime_env": "{no json"}}'
    )
    with pytest.raises(ConnectionSpecError, match="names no host"):
        RayHook("bad").jobs()
    with pytest.raises(ConnectionSpecError, match="write a JSON object"):
        RayHook("bad").cluster()
    with pytest.raises(ConnectionSpecError, match="add one of type 'dataml_ray'"):
        RayHook("absent").jobs()


def test_a_tail_tells_new_whole_lines_and_how_many_it_left_out() -> None:
    tail = LogTail(lines=2)
    assert tail.new("a\nb") == ["a"]
    assert tail.new("a\nbc\n") == ["bc"]
    assert tail.new("a\nbc\n") == []
    assert tail.new("a\nbc\nd\ne\nf\n") == ["(1 lines left out)", "e", "f"]
    assert tail.new("anew\n") == ["anew"]
